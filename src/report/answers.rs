//! The answers to what a person asks first: what it does, since when, who worked, where the files are. Pure.

use super::{
    Answer, BACKUP_KEPT_MS, MAX_NAME, Record, Tone, ago, clock, duration, int, int_in, list,
    register, words,
};
use crate::event::{LeaveCode, LeaveStatus, WebStopCode};
use crate::record::AlertState;
use crate::session::{Phase, Recorder, RegisterName};
use crate::text::{clean, utc};

/// What the recording does, and how good that is.
pub(super) fn verdict(record: &Record, phase: Option<Phase>, over: Option<u64>) -> (String, Tone) {
    let standing = record.watched.standing;
    if let (Some(since), None) = (standing.silent_since, over) {
        let heard = utc(since);
        return (
            format!("SILENT: no heartbeat since {heard}; no end reported"),
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
                "probably FAILED: a fatal error, but no end reported".to_owned(),
                Tone::Bad,
            ),
        },
        None => (
            "unknown: no callback has reported a state".to_owned(),
            Tone::Warning,
        ),
    }
}

pub(super) fn time_answers(
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
pub(super) fn work_answers(record: &Record, over: Option<u64>, now_ms: u64) -> Vec<Answer> {
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
                "{percent} of what had been recorded was uploaded at {}",
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
            "NOT CONFIRMED: it is over, and neither an upload (31) nor a backup (32) was reported; check your storage"
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
        Some(_) | None => ("not heard from yet".to_owned(), Tone::Quiet),
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

pub(super) fn alert_answer(record: &Record) -> Answer {
    let count = |state| {
        let alerts = record.alerts.iter();
        alerts.filter(|stored| stored.state == state).count()
    };
    let (pending, given_up) = (count(AlertState::Pending), count(AlertState::Failed));
    let (text, tone) = match (record.alerts.len(), pending + given_up) {
        (0, _) => ("none".to_owned(), Tone::Good),
        (1, 0) => ("1, sent".to_owned(), Tone::Plain),
        (all, 0) => (format!("{all}, all sent"), Tone::Plain),
        (all, _) => (
            format!(
                "{all}: {pending} NOT SENT YET, {given_up} GIVEN UP; see `recordings alerts list`"
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
