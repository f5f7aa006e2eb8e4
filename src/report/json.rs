//! A report as JSON, for programs. Pure.
//!
//! The names are part of the interface: fields may be added, none is renamed or removed. Times are
//! ms since the epoch.

use super::{Entry, Files, Report, What};
use crate::event::EventType;
use crate::files::FileList;
use crate::record::{AlertState, Record};
use crate::session::Reported;
use crate::text::is_unseen;
use serde_json::{Value, json};

/// The report, and of its record what a program may want to decide on.
#[must_use]
pub fn json(report: &Report, record: &Record) -> Value {
    let session = &record.watched.session;
    let recorders: Vec<_> = session
        .recorders
        .iter()
        .zip(record.missing.iter().chain(std::iter::repeat(&Vec::new())))
        .enumerate()
        .map(|(index, (recorder, missing))| {
            json!({
                "uid": recorder.uid,
                "generation": session.generation_of(index),
                "since": recorder.since,
                "announcedAt": recorder.announced_at,
                "lastSendts": recorder.last_sendts,
                "lastSequence": recorder.ledger.last,
                "missing": missing,
                "failure": recorder.failure().map(failure_json),
            })
        })
        .collect();
    let answers: Vec<_> = report
        .answers
        .iter()
        .map(|answer| {
            let (text, tone) = (&answer.line.text, answer.line.tone.as_str());
            json!({"label": answer.question.label(), "text": text, "tone": tone})
        })
        .collect();
    let mut json = json!({
        "schema": 1,
        "sid": record.watched.sid.as_str(),
        "cname": record.watched.cname,
        "phase": report.phase_word(),
        "state": report.state.word(),
        "failure": session.failure().map(failure_json),
        "upload": upload_json(&report.files),
        "over": report.over.is_some(),
        "done": report.done,
        "began": report.began,
        "newest": report.newest,
        "overSince": report.over,
        "silentSince": record.watched.standing.silent_since,
        "unconfirmedSince": record.watched.standing.unconfirmed_since,
        "recorders": recorders,
        "answers": answers,
        "timeline": report.timeline.iter().map(entry).collect::<Vec<_>>(),
    });
    let files = FileList::of(&record.events).json(report.bucket.as_ref());
    if let (Some(json), Value::Object(files)) = (json.as_object_mut(), files) {
        json.extend(files);
    }
    json
}

fn failure_json(failure: Reported<EventType>) -> Value {
    json!({
        "sequence": failure.sequence,
        "at": failure.at,
        "eventType": failure.value.0,
        "name": failure.value.name(),
    })
}

fn upload_json(files: &Files) -> Value {
    let reported = files.reported.as_ref();
    json!({
        "state": files.state.as_str(),
        "recorders": files.each.iter().map(|(uid, state)| {
            json!({"uid": uid, "state": state.as_str()})
        }).collect::<Vec<_>>(),
        "eventType": reported.map(|upload| upload.value.event_type.0),
        "at": reported.map(|upload| upload.at),
        "status": reported.and_then(|upload| upload.value.status).map(|status| status.0),
    })
}

/// JSON in which no character steers a terminal: it is escaped, and reads the same.
#[must_use]
pub fn printable(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        // Only strings have anything to escape: outside of them are line breaks and spaces alone.
        if c == '\n' || !is_unseen(c) {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

fn entry(entry: &Entry) -> Value {
    let mut json = json!({
        "at": entry.at,
        "what": entry.what.as_str(),
        "tone": entry.line.tone.as_str(),
        "uid": entry.uid,
        "sequence": entry.sequence,
        "text": entry.text(),
    });
    let more = match &entry.what {
        What::Callback {
            event_type,
            name,
            scene,
            ..
        } => json!({"eventType": event_type, "name": name, "serviceScene": scene}),
        What::Heartbeat { progress } => {
            json!({"eventType": EventType::UPLOADING_PROGRESS.0, "progress": progress})
        }
        What::Alert { kind, state, .. } => {
            let at = match state {
                AlertState::Sent { at } => *at,
                AlertState::Pending | AlertState::Failed => None,
            };
            json!({"kind": kind.as_str(), "state": state.as_str(), "sentAt": at})
        }
        What::Missing(hole) => {
            json!({"from": hole.range.0, "to": hole.range.1, "after": hole.after,
                "before": hole.before})
        }
    };
    if let (Some(json), Value::Object(more)) = (json.as_object_mut(), more) {
        json.extend(more);
    }
    json
}
