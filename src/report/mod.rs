//! A session for a person: what happened to it, in words, as a picture, as a page, and as JSON for programs. Pure.
//!
//! A [`Record`] is everything the table holds about a session; a [`Report`] is what a person asks about it. Every text from
//! outside is cleaned on its way into the report: one line, no control or direction characters, cut. Heartbeats (33) leave no
//! item, so a report knows the newest only. Times are `sendts`, ms since the epoch, where nothing else is said.
//!
//! Must not know: the table, the clock, what the functions do. They don't use it, and it isn't linked into them.

mod answers;
mod html;
mod json;
mod lanes;
mod list;
mod missing;
mod svg;
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

use crate::record::Record;
use crate::session::{Phase, Register, RegisterName, Scalar};
use crate::text::clean;
use crate::watchdog::over_since;
use answers::{alert_answer, time_answers, verdict, work_answers};

/// A name from outside is cut to this many characters.
const MAX_NAME: usize = 128;
/// Agora keeps a backup for 10 days, in ms.
const BACKUP_KEPT_MS: u64 = 10 * 24 * 60 * 60 * 1000;
/// A session of which nothing has come for this long isn't waited for, in ms.
const QUIET_MS: u64 = 5 * 60 * 1000;

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
            let callbacks = record.events.iter().map(|callback| callback.sendts);
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
