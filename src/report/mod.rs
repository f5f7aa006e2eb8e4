//! A session for a person: what happened to it, in words, as a picture, as a page, and as JSON for programs. Pure.
//!
//! A [`Record`] is everything the table holds about a session; a [`Report`] is what a person asks about it. Every text from
//! outside is cleaned on its way into the report: one line, no control or direction characters, cut. Heartbeats (33) leave no
//! item, so a report knows the newest only. Times are `sendts`, ms since the epoch, where nothing else is said.
//!
//! Must not know: the table, the clock, what the functions do. They don't use it, and it isn't linked into them.

mod html;
mod json;
mod lanes;
mod list;
mod missing;
mod text;
mod timeline;
mod words;

#[cfg(test)]
mod tests;

pub use html::{Page, list_page, page};
pub use json::{json, printable};
pub use lanes::{Curve, Lane, LaneKind, Mark, Picture, Shape, Span, picture};
pub use list::{Row, progress_words};
pub use missing::Hole;
pub use text::{entry_line, text, toned};
pub use timeline::{Entry, What};
pub use words::{ago, clock, duration, offset};

use crate::alert::{Alert, clean, utc};
use crate::event::{Event, LeaveCode, LeaveStatus, WebStopCode};
use crate::session::{Phase, Range, Recorder, Register, RegisterName, Scalar};
use crate::watchdog::{Watched, over_since};
use serde_json::Value;

/// A name from outside is cut to this many characters.
const MAX_NAME: usize = 128;
/// Agora keeps a backup for 10 days, in ms.
const BACKUP_KEPT_MS: u64 = 10 * 24 * 60 * 60 * 1000;
/// A session of which nothing has come for this long isn't waited for, in ms.
const QUIET_MS: u64 = 5 * 60 * 1000;

/// Everything the table holds about a session.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The session's item.
    pub watched: Watched,
    /// What is missing of each recorder, in the order of `watched.session.recorders`, archive included; sorted.
    pub missing: Vec<Vec<Range>>,
    /// Every callback that has an item, in any order.
    pub callbacks: Vec<Callback>,
    /// Every alert, in any order.
    pub alerts: Vec<SentAlert>,
    /// Items that can't be read.
    pub unreadable: usize,
}

/// A callback as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Callback {
    /// Its number.
    pub sequence: u64,
    /// The event's number.
    pub event_type: u32,
    /// The recorder.
    pub uid: String,
    /// When it happened, ms since the epoch.
    pub sendts: u64,
    /// The event.
    pub event: Event,
    /// `details`, as they came.
    pub details: Value,
}

/// An alert and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentAlert {
    /// The alert.
    pub alert: Alert,
    /// Whether it is sent.
    pub sending: Sending,
    /// How often it was tried.
    pub tries: u64,
}

/// Whether an alert is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sending {
    /// Not yet; the next try is at that time, ms since the epoch.
    Pending(u64),
    /// At that time, ms since the epoch; 0 if it isn't noted.
    Sent(u64),
    /// Tried for a day and given up.
    GivenUp,
}

/// How good or bad something is; also its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    /// Of no weight.
    Quiet,
    /// As it is.
    Plain,
    /// As it should be.
    Good,
    /// Somebody may want to look.
    Warning,
    /// Something is lost or broken.
    Bad,
}

impl Tone {
    /// A word for programs and style sheets.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Plain => "plain",
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Bad => "bad",
        }
    }
}

/// One answer to a question that a person has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What is asked, a word or two.
    pub label: &'static str,
    /// The answer.
    pub text: String,
    /// How good it is.
    pub tone: Tone,
}

/// What a person asks about a session.
#[derive(Clone, Debug)]
pub struct Report {
    /// The recording.
    pub sid: String,
    /// The channel; empty if it isn't known.
    pub cname: String,
    /// What it does.
    pub phase: Option<Phase>,
    /// How good that is.
    pub tone: Tone,
    /// When it began, ms since the epoch; 0 if nothing says.
    pub began: u64,
    /// Its newest callback, ms since the epoch.
    pub newest: u64,
    /// When it was over, ms since the epoch.
    pub over: Option<u64>,
    /// Nothing more is expected: it is over, and its files are accounted for or nothing has come for minutes.
    pub done: bool,
    /// The moment it is looked at from, ms since the epoch.
    pub now_ms: u64,
    /// How many recorders there were.
    pub recorders: usize,
    /// The answers, most important first.
    pub answers: Vec<Answer>,
    /// What is missing.
    pub holes: Vec<Hole>,
    /// What happened, by time and number.
    pub timeline: Vec<Entry>,
    /// Errors, warnings and interruptions, and alerts: places in `timeline`.
    pub worries: Vec<usize>,
    /// Each alert and what became of it: places in `timeline`.
    pub alerts: Vec<usize>,
}

impl Report {
    /// Reads a record at a given moment.
    #[must_use]
    pub fn of(record: &Record, now_ms: u64) -> Self {
        let session = &record.watched.session;
        let holes = missing::holes(record);
        let timeline = timeline::timeline(record, &holes);
        let phase = phase_of(record);
        let times = || {
            let callbacks = record.callbacks.iter().map(|callback| callback.sendts);
            let recorders = session.recorders.iter();
            callbacks.chain(recorders.flat_map(|recorder| {
                let registers = recorder.registers.values().map(|register| register.at);
                recorder
                    .since
                    .into_iter()
                    .chain([recorder.last_sendts])
                    .chain(registers)
            }))
        };
        let began = times().filter(|at| *at > 0).min().unwrap_or(0);
        let newest = times().max().unwrap_or(0);
        let over = over_since(&record.watched);
        let upload = int(record, RegisterName::Upload, "eventType");
        let is_accounted = matches!(upload, Some(31 | 32));
        let is_quiet = now_ms.saturating_sub(record.watched.updated_at) > QUIET_MS;
        let at = |wanted: fn(&Entry) -> bool| {
            let places = timeline.iter().enumerate();
            places
                .filter(|(_, entry)| wanted(entry))
                .map(|(place, _)| place)
                .collect::<Vec<_>>()
        };
        let worries =
            at(|entry| entry.tone >= Tone::Warning && matches!(entry.what, What::Callback { .. }));
        let alerts = at(|entry| matches!(entry.what, What::Alert { .. }));
        let (what, tone) = verdict(record, phase, over);
        let mut answers = vec![Answer {
            label: "state",
            text: what,
            tone,
        }];
        answers.extend(time_answers(record, began, newest, over, now_ms));
        answers.extend(work_answers(record, over, now_ms));
        answers.push(missing::answer(&holes));
        answers.push(alert_answer(record));
        if record.unreadable > 0 {
            answers.push(Answer {
                label: "unreadable",
                text: format!("{} items can't be read and aren't shown", record.unreadable),
                tone: Tone::Warning,
            });
        }
        Self {
            sid: clean(&record.watched.sid, MAX_NAME),
            cname: clean(&record.watched.cname, MAX_NAME),
            phase,
            tone,
            began,
            newest,
            over,
            done: over.is_some() && (is_accounted || is_quiet),
            now_ms,
            recorders: session.recorders.len(),
            answers,
            holes,
            worries,
            alerts,
            timeline,
        }
    }

    /// The answer under a label.
    #[must_use]
    pub fn answer(&self, label: &str) -> Option<&Answer> {
        self.answers.iter().find(|answer| answer.label == label)
    }
}

fn phase_of(record: &Record) -> Option<Phase> {
    match text_of(record, RegisterName::Phase, "phase") {
        Some(word) => Phase::read(word),
        None => None,
    }
}

fn register(record: &Record, name: RegisterName) -> Option<&Register> {
    record
        .watched
        .session
        .register(name)
        .map(|(_, register)| register)
}

fn int_in(register: &Register, field: &str) -> Option<i64> {
    match register.fields.get(field)? {
        Scalar::Int(int) => Some(*int),
        Scalar::Text(_) => None,
    }
}

fn int(record: &Record, name: RegisterName, field: &str) -> Option<i64> {
    int_in(register(record, name)?, field)
}

fn text_of<'a>(record: &'a Record, name: RegisterName, field: &str) -> Option<&'a str> {
    match register(record, name)?.fields.get(field)? {
        Scalar::Text(text) => Some(text),
        Scalar::Int(_) => None,
    }
}

/// What the recording does, and how good that is.
fn verdict(record: &Record, phase: Option<Phase>, over: Option<u64>) -> (String, Tone) {
    let standing = record.watched.standing;
    if let (Some(since), None) = (standing.silent_since, over) {
        let heard = utc(since);
        return (
            format!("SILENT: no heartbeat since {heard}; nobody said that it is over"),
            Tone::Bad,
        );
    }
    let exit = int(record, RegisterName::Exit, "leaveStatus").map(LeaveStatus);
    match phase {
        Some(Phase::Starting) => ("starting".to_owned(), Tone::Plain),
        Some(Phase::Recording) => ("recording".to_owned(), Tone::Good),
        Some(Phase::Stopping) => (
            "stopping: the recorder has left, the service hasn't exited yet".to_owned(),
            Tone::Plain,
        ),
        Some(Phase::Ended) => {
            let replaced = record.watched.session.generation();
            let after = match replaced {
                0 => String::new(),
                1 => ", after one failover".to_owned(),
                more => format!(", after {more} failovers"),
            };
            (format!("ended as it should{after}"), Tone::Good)
        }
        Some(Phase::Failed) => match exit.filter(|status| status.is_abnormal()) {
            Some(status) => (
                format!("FAILED: exited abnormally, leaveStatus {}", status.0),
                Tone::Bad,
            ),
            None if over.is_some() => ("FAILED".to_owned(), Tone::Bad),
            None => (
                "FAILED, it seems: a fatal error, but nobody said that it is over".to_owned(),
                Tone::Bad,
            ),
        },
        None => ("unknown: no callback has told".to_owned(), Tone::Warning),
    }
}

fn time_answers(
    record: &Record,
    began: u64,
    newest: u64,
    over: Option<u64>,
    now_ms: u64,
) -> Vec<Answer> {
    if began == 0 {
        return Vec::new();
    }
    let plain = |label, text| Answer {
        label,
        text,
        tone: Tone::Plain,
    };
    let mut answers = Vec::new();
    if let Some(phase) = register(record, RegisterName::Phase) {
        answers.push(plain(
            "since",
            format!("{}, {}", utc(phase.at), ago(phase.at, now_ms)),
        ));
    }
    let lasted = match over {
        Some(over) => format!("over after {}", duration(over.saturating_sub(began))),
        None => format!("newest callback {}", ago(newest, now_ms)),
    };
    answers.push(plain("began", format!("{}, {lasted}", utc(began))));
    answers
}

/// Recorder, progress and files.
fn work_answers(record: &Record, over: Option<u64>, now_ms: u64) -> Vec<Answer> {
    let mut answers = Vec::new();
    let recorders = &record.watched.session.recorders;
    for (index, recorder) in recorders.iter().enumerate() {
        let is_current = index + 1 == recorders.len();
        let (text, tone) = recorder_words(recorder, is_current, recorders.len());
        answers.push(Answer {
            label: "recorder",
            text,
            tone,
        });
    }
    if let Some(register) = register(record, RegisterName::Progress) {
        let percent = int_in(register, "progress")
            .map_or_else(|| "unreadable".to_owned(), list::progress_words);
        answers.push(Answer {
            label: "progress",
            text: format!(
                "{percent} of what was recorded until then is uploaded, {}",
                utc(register.at)
            ),
            tone: Tone::Plain,
        });
    }
    let upload = register(record, RegisterName::Upload);
    let (text, tone) = match upload.and_then(|upload| Some((int_in(upload, "eventType")?, upload.at)))
    {
        Some((31, at)) => {
            let was_backed_up = register(record, RegisterName::Backup).is_some();
            let after = if was_backed_up { ", after a backup" } else { "" };
            (format!("all in your storage since {}{after}", utc(at)), Tone::Good)
        }
        Some((32, at)) => {
            let until = at.saturating_add(BACKUP_KEPT_MS);
            let left = if until > now_ms {
                format!("which is kept until {}", utc(until))
            } else {
                format!("which was deleted at {}", utc(until))
            };
            (
                format!("some only in Agora's backup since {}, {left}", utc(at)),
                Tone::Warning,
            )
        }
        _ if over.is_some() => (
            "NOT CONFIRMED: it is over, and neither an upload (31) nor a backup (32) was reported; look into your storage"
                .to_owned(),
            Tone::Warning,
        ),
        _ => ("uploaded as it goes; confirmed after the end".to_owned(), Tone::Quiet),
    };
    answers.push(Answer {
        label: "files",
        text,
        tone,
    });
    answers
}

fn recorder_words(recorder: &Recorder, is_current: bool, of: usize) -> (String, Tone) {
    let uid = clean(&recorder.uid, MAX_NAME);
    let field = |name, field| int_in(recorder.registers.get(&name)?, field);
    let exit = field(RegisterName::Exit, "leaveStatus").map(LeaveStatus);
    let state = match field(RegisterName::Recorder, "eventType") {
        Some(40) if field(RegisterName::Recorder, "status").is_some_and(|status| status != 0) => {
            ("did not start".to_owned(), Tone::Bad)
        }
        Some(40) => ("started, at work".to_owned(), Tone::Good),
        Some(70) => ("web page recorder started".to_owned(), Tone::Good),
        Some(41) => match field(RegisterName::Recorder, "leaveCode").map(LeaveCode) {
            Some(code) => (format!("left, leaveCode {code}"), words::leave_tone(code)),
            None => ("left".to_owned(), Tone::Plain),
        },
        Some(71) => match field(RegisterName::Recorder, "code").map(WebStopCode) {
            Some(code) if code.is_abnormal() => (format!("stopped, code {code}"), Tone::Bad),
            Some(code) => (format!("stopped, code {code}"), Tone::Good),
            None => ("stopped".to_owned(), Tone::Plain),
        },
        Some(72) => ("stopped: the page asks for too much".to_owned(), Tone::Bad),
        Some(_) | None => ("has said nothing about itself".to_owned(), Tone::Quiet),
    };
    let is_over = exit.is_some() || !is_current;
    let (mut text, mut tone) = match state {
        // What never left and isn't at work any more was cut off.
        (_, Tone::Good) if is_over && field(RegisterName::Recorder, "eventType") == Some(40) => {
            ("started, never reported leaving".to_owned(), Tone::Warning)
        }
        state => state,
    };
    if !is_current {
        text.push_str("; replaced by a failover");
    }
    if let Some(status) = exit {
        text.push_str(&format!("; service exit {status}"));
        if status.is_abnormal() {
            tone = Tone::Bad;
        }
    }
    let which = if of > 1 {
        let since = recorder
            .since
            .or(recorder.announced_at)
            .map_or_else(String::new, |at| format!(" since {}", clock(at)));
        format!("uid {uid}{since}: ")
    } else {
        format!("uid {uid}: ")
    };
    (which + &text, tone)
}

fn alert_answer(record: &Record) -> Answer {
    let count = |wanted: fn(&Sending) -> bool| {
        let alerts = record.alerts.iter();
        alerts.filter(|sent| wanted(&sent.sending)).count()
    };
    let (pending, given_up) = (
        count(|sending| matches!(sending, Sending::Pending(_))),
        count(|sending| matches!(sending, Sending::GivenUp)),
    );
    let (text, tone) = match (record.alerts.len(), pending + given_up) {
        (0, _) => ("none".to_owned(), Tone::Good),
        (1, 0) => ("1, sent".to_owned(), Tone::Plain),
        (all, 0) => (format!("{all}, all sent"), Tone::Plain),
        (all, _) => (
            format!(
                "{all}: {pending} NOT SENT YET, {given_up} GIVEN UP; `recordings alerts list` tells more"
            ),
            Tone::Bad,
        ),
    };
    Answer {
        label: "alerts",
        text,
        tone,
    }
}
