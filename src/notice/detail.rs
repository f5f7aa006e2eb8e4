//! What a notice says, from everything that has come of its recording. Pure.
//!
//! Every field is always there, `null` where it isn't known: what transforms an event on a bus
//! drops what is missing.

use super::{News, Notice};
use crate::event::{EventType, Sign};
use crate::files::{Bucket, FileList, Moment, covered};
use crate::record::{Ending, Record, StoredEvent};
use crate::session::{Reported, Session};
use serde_json::{Map, Value, json};

/// The version of what notices say.
const SCHEMA: u64 = 1;
/// What one notice may say, in bytes of JSON; what is over that is left out, and said to be. With
/// its names it stays below 256 KB, which any bus takes.
pub const MAX_DETAIL: usize = 256 * 1024 - 256;

/// What becomes of a notice.
#[derive(Clone, Debug, PartialEq)]
pub enum Telling {
    /// It says this.
    Says(Value),
    /// There is nothing to say: the files aren't confirmed.
    Nothing,
    /// There may be something to say later: its callback isn't stored yet, or what one recorder
    /// confirmed isn't yet true of the recording.
    Waits,
}

impl Notice {
    /// What it says of a recording of which this has come.
    #[must_use]
    pub fn tell(&self, record: &Record, bucket: Option<&Bucket>) -> Telling {
        match &self.news {
            News::Started if !record.events.iter().any(|event| self.is_start(event)) => {
                Telling::Waits
            }
            News::Started => Telling::Says(self.detail(record, json!({}))),
            News::FilesReady { fact } => self.tell_files(fact, record, bucket),
            News::Ended(outcome) => {
                let failure = match outcome {
                    Ending::Normal => None,
                    Ending::Failed => self.failure(&record.watched.session),
                };
                let more = json!({"outcome": outcome.as_str(), "failure": failure});
                Telling::Says(self.detail(record, more))
            }
        }
    }

    fn is_start(&self, callback: &StoredEvent) -> bool {
        let event = callback.event();
        callback.uid == self.uid && callback.meaning(&event).sign == Some(Sign::Started)
    }

    fn tell_files(&self, fact: &str, record: &Record, bucket: Option<&Bucket>) -> Telling {
        if record.events.iter().all(|callback| callback.fact != fact) {
            return Telling::Waits;
        }
        // By the events that `revision` counts: two notices of one revision say the same.
        let session = record.told();
        let state = session
            .uploads(&covered(&session, &record.events), false)
            .state;
        // Once told, whatever is said of the files is told, too.
        if !state.is_confirmed() && !record.files_told {
            let confirms = |callback: &StoredEvent| {
                let event = callback.event();
                let upload = callback.meaning(&event).upload;
                upload.is_some_and(|upload| upload.state().is_confirmed())
            };
            return if record.events.iter().any(confirms) {
                Telling::Waits
            } else {
                Telling::Nothing
            };
        }
        let list = FileList::of(&record.events);
        let at = |moment: &Option<Moment>| moment.as_ref().map(|moment| moment.at);
        let missing = record.missing.iter().flatten();
        let missing: u64 = missing.map(|(from, to)| to - from + 1).sum();
        let more = json!({
            "upload": state.as_str(),
            "files": [],
            "filesTruncated": false,
            "playback": list.playback().map(|file| file.json(bucket)),
            "startedAt": at(&list.span.started),
            "endedAt": at(&list.span.ended),
            "durationMs": list.span.duration_ms(),
            "missing": missing,
        });
        let mut detail = self.detail(record, more);
        let files = list.files.iter().map(|file| file.json(bucket));
        add_files(&mut detail, files);
        Telling::Says(detail)
    }

    /// How the recorder failed that the notice is about.
    fn failure(&self, session: &Session) -> Option<Value> {
        let recorder = session.recorders.iter().find(|one| one.uid == self.uid)?;
        let Reported {
            value: EventType(event_type),
            sequence,
            at,
        } = recorder.failure()?;
        let name = EventType(event_type).name();
        Some(json!({"eventType": event_type, "name": name, "sequence": sequence, "at": at}))
    }

    /// What all notices say, and `more`.
    fn detail(&self, record: &Record, more: Value) -> Value {
        let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let mut detail = json!({
            "schema": SCHEMA,
            "id": self.id(),
            "sid": self.sid.as_str(),
            "cname": known(&self.cname),
            "uid": known(&self.uid),
            "at": Some(self.at).filter(|at| *at > 0),
            "revision": record.events.len(),
        });
        if let (Some(detail), Value::Object(more)) = (detail.as_object_mut(), more) {
            detail.extend(more);
        }
        detail
    }
}

/// Puts in as many files as have room.
fn add_files(detail: &mut Value, files: impl Iterator<Item = Value>) {
    let mut length = detail.to_string().len();
    let mut kept = Vec::new();
    let mut is_truncated = false;
    for file in files {
        length += file.to_string().len() + 1;
        is_truncated = length > MAX_DETAIL;
        if is_truncated {
            break;
        }
        kept.push(file);
    }
    let detail = detail.as_object_mut();
    if let Some(detail) = detail.filter(|detail: &&mut Map<_, _>| detail.contains_key("files")) {
        detail.insert("files".to_owned(), Value::Array(kept));
        detail.insert("filesTruncated".to_owned(), Value::Bool(is_truncated));
    }
}
