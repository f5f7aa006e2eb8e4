//! A report as JSON, for programs. Pure.
//!
//! The names are part of the interface: fields may be added, none is renamed or removed. Times are ms since the epoch.

use super::{Entry, Record, Report, What};
use crate::record::AlertState;
use crate::text::clean;
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
            })
        })
        .collect();
    let answers: Vec<_> = report
        .answers
        .iter()
        .map(|answer| json!({"label": answer.label, "text": answer.text, "tone": answer.tone.as_str()}))
        .collect();
    json!({
        "schema": 1,
        "sid": record.watched.sid,
        "cname": record.watched.cname,
        "phase": report.phase_word(),
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
    })
}

/// JSON in which no character steers a terminal: it is escaped, and reads the same.
#[must_use]
pub fn printable(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        // Only inside of strings is there anything to escape: outside there are line breaks and spaces alone.
        if c == '\n' || clean(c.encode_utf8(&mut [0; 4]), 1) == c.to_string() {
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
        "tone": entry.tone.as_str(),
        "uid": entry.uid,
        "sequence": entry.sequence,
        "text": entry.text,
    });
    let more = match &entry.what {
        What::Callback {
            event_type, name, ..
        } => json!({"eventType": event_type, "name": name}),
        What::Heartbeat { progress } => json!({"eventType": 33, "progress": progress}),
        What::Alert { kind, state, .. } => {
            let at = match state {
                AlertState::Sent { at } => *at,
                AlertState::Pending | AlertState::Failed => None,
            };
            json!({"kind": kind, "state": state.as_str(), "sentAt": at})
        }
        What::Missing(hole) => {
            json!({"from": hole.range.0, "to": hole.range.1, "after": hole.after, "before": hole.before})
        }
    };
    if let (Some(json), Value::Object(more)) = (json.as_object_mut(), more) {
        json.extend(more);
    }
    json
}
