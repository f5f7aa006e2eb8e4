//! What a callback says about its session: values under names, each overwritten only by a newer
//! callback. Pure.
//!
//! This is the table of what means what. The `phase` says what the recording does:
//!
//! | event | phase |
//! | --- | --- |
//! | 12, for the new recorder | `starting` |
//! | 3 with status 0 to 3 | `starting` |
//! | 40, 42, 70; 3 with status 4 or 5 | `recording` |
//! | 41, 71; 3 with status 6 to 8 | `stopping` |
//! | 11 | `ended` |
//! | any of these that says that it is abnormal; a fatal error (1); 72 | `failed` |
//! | all others | say nothing |
//!
//! 30 says nothing: it comes before the recorder starts, or after it has left. A later callback
//! that shows a recording at work (42) overrules an earlier fatal error, which only *may* end it.
//! What became of the files is the registers `upload` and `vod`.
//!
//! A `failure` is what [`Meaning::failure`] says: all that makes the phase `failed`, and a
//! recorder that a signal killed. Only a newer 40, 42 or 70 of the same recorder heals it: an
//! orderly exit ends a failed session and leaves it failed.
//!
//! Callbacks of a stage beside the recording (a snapshot, a transcoding) say nothing at all.

use crate::event::{Event, EventType, Meaning, Part, Phase, Sign, Work};
use crate::named::named;
use std::collections::BTreeMap;
use std::fmt;

named! {
    /// The registers of a session, by the name of their attribute.
    pub enum RegisterName {
        /// What the recording does; see the module's table.
        Phase = "phase",
        /// The service status (3).
        Status = "status",
        /// The recorder (40, 41, 70, 71, 72).
        Recorder = "recorder",
        /// The newest sign that the recorder began its work (40, 70): it heals an earlier failure.
        Started = "started",
        /// The newest failure of the recorder at work; gone where it was seen at work since.
        Failure = "failure",
        /// What became of the files (31, 32); until then that the uploader started (30).
        Upload = "upload",
        /// The newest 32: what a later 31 takes back.
        Backup = "backup",
        /// All files are in video on demand (61).
        OnDemand = "vod",
        /// The upload progress (33).
        Progress = "progress",
        /// The M3U8 file (4).
        Playlist = "playlist",
        /// The first slice, or the first after an interruption (42).
        Slice = "slice",
        /// A stream that is received (43, 44).
        Stream = "stream",
        /// A snapshot (45).
        Snapshot = "snapshot",
        /// The exit (11).
        Exit = "exit",
        /// The newest error (1).
        LastError = "last_error",
        /// The newest warning (2).
        LastWarning = "last_warning",
    }
}

impl RegisterName {
    /// True for what a recorder that has been replaced can't say about the session.
    pub(super) fn counts_at_work_only(self) -> bool {
        match self {
            Self::Exit | Self::Failure | Self::Started | Self::Stream | Self::Snapshot => true,
            Self::Phase
            | Self::Status
            | Self::Recorder
            | Self::Upload
            | Self::Backup
            | Self::OnDemand
            | Self::Progress
            | Self::Playlist
            | Self::Slice
            | Self::LastError
            | Self::LastWarning => false,
        }
    }

    /// False for what there may be many of, and what tells nothing of how the recording goes.
    pub(super) fn tells_state(self) -> bool {
        !matches!(self, Self::Stream | Self::Snapshot)
    }
}

/// A value inside a register.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scalar {
    /// A number.
    Int(i64),
    /// A text, at most [`MAX_TEXT`] bytes.
    Text(String),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(int) => int.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// Longer texts are cut in a register; the event's own item has them whole.
pub const MAX_TEXT: usize = 160;

/// The fields of a register, under the specification's names.
pub type Fields = BTreeMap<String, Scalar>;

/// A value and the callback it comes from. The order is the order of time: by `sequence`, then
/// `sendts`, then content, so that any two registers have the same winner wherever they meet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Register {
    /// The callback's number.
    pub sequence: u64,
    /// The callback's `sendts`, ms since the epoch.
    pub at: u64,
    /// What it said.
    pub fields: Fields,
}

impl Register {
    /// What orders the reports under a name: time, but that 30 never counts more than what the
    /// upload came to.
    pub(super) fn rank(&self, name: RegisterName) -> (bool, &Self) {
        (!is_preliminary(name, &self.fields), self)
    }

    /// When it was said, for comparing with what another callback said.
    pub(super) fn moment(&self) -> (u64, u64) {
        (self.sequence, self.at)
    }

    pub(super) fn int(&self, field: &str) -> Option<i64> {
        match self.fields.get(field)? {
            Scalar::Int(int) => Some(*int),
            Scalar::Text(_) => None,
        }
    }

    pub(super) fn text(&self, field: &str) -> Option<&str> {
        match self.fields.get(field)? {
            Scalar::Text(text) => Some(text),
            Scalar::Int(_) => None,
        }
    }
}

/// True for a 30 under `upload`.
pub(crate) fn is_preliminary(name: RegisterName, fields: &Fields) -> bool {
    let started = Scalar::Int(i64::from(EventType::UPLOADER_STARTED.0));
    name == RegisterName::Upload && fields.get("eventType") == Some(&started)
}

/// The fields of the `phase` register.
#[must_use]
pub(super) fn phase_fields(phase: Phase) -> Fields {
    fields([("phase", Some(Scalar::Text(phase.as_str().to_owned())))])
}

/// Everything a callback says, as registers; nothing where it isn't the recording's own.
#[must_use]
pub(super) fn registers(
    event: &Event,
    event_type: u32,
    meaning: &Meaning<'_>,
) -> Vec<(RegisterName, Fields)> {
    match meaning.part {
        Part::Beside => Vec::new(),
        Part::Recording | Part::OnDemand => RegisterName::ALL
            .into_iter()
            .filter_map(|name| Some((name, said(name, event, event_type, meaning)?)))
            .collect(),
    }
}

/// What a callback says under a name.
fn said(
    name: RegisterName,
    event: &Event,
    event_type: u32,
    meaning: &Meaning<'_>,
) -> Option<Fields> {
    let number = || ("eventType", Some(Scalar::Int(i64::from(event_type))));
    let upload = meaning.upload.as_ref();
    match name {
        RegisterName::Phase => meaning.phase.map(phase_fields),
        RegisterName::Recorder => meaning.work.map(|work| {
            let code = work
                .code()
                .map(|(name, code)| (name.as_str(), code.map(Scalar::Int)));
            fields([Some(number()), code].into_iter().flatten())
        }),
        // Of a web page something is recorded from then on.
        RegisterName::Started => (meaning.sign == Some(Sign::Started)).then(|| {
            let is_web = meaning.work == Some(Work::WebStarted);
            fields(is_web.then(number))
        }),
        RegisterName::Stream => (meaning.sign == Some(Sign::Stream)).then(Fields::new),
        RegisterName::Snapshot => {
            matches!(event, Event::RecorderSnapshotFile { .. }).then(Fields::new)
        }
        RegisterName::Failure => meaning.failure().map(|_| fields([number()])),
        RegisterName::OnDemand => upload
            .filter(|upload| upload.event_type == EventType::VOD_TRIGGERED)
            .map(|_| Fields::new()),
        RegisterName::Backup => upload
            .filter(|upload| upload.is_backup())
            .map(|_| Fields::new()),
        RegisterName::Upload => upload
            .filter(|upload| upload.event_type != EventType::VOD_TRIGGERED)
            .map(|upload| {
                let word = upload.uploading_status.as_ref();
                // There only where a 31 or 32 confirms nothing.
                let goes_on_demand = upload.goes_on_demand && upload.is_over();
                fields([
                    number(),
                    ("status", upload.status.map(|code| Scalar::Int(code.0))),
                    ("uploadingStatus", word.map(|word| cut(word.as_str()))),
                    ("vod", goes_on_demand.then_some(Scalar::Int(1))),
                ])
            }),
        RegisterName::Status => {
            let Event::CloudRecordingStatusUpdate {
                status,
                recording_mode,
                ..
            } = event
            else {
                return None;
            };
            let mode = recording_mode.map(|code| Scalar::Int(code.0));
            Some(fields([
                ("status", status.map(|code| Scalar::Int(code.0))),
                ("recordingMode", mode),
            ]))
        }
        // A heartbeat is one even where its number can't be read.
        RegisterName::Progress => {
            let Event::UploadingProgress { progress } = event else {
                return None;
            };
            Some(fields([("progress", progress.map(Scalar::Int))]))
        }
        RegisterName::Playlist => {
            let Event::CloudRecordingFileInfos { file_list } = event else {
                return None;
            };
            let name = file_list.first().map(|file| cut(&file.file_name));
            Some(fields([("fileList", name)]))
        }
        // Whose slice it is stays in the event's item: a session has many, and the session's item
        // should stay small.
        RegisterName::Slice => {
            let Event::RecorderSliceStart {
                start_utc_ms,
                discontinue_utc_ms,
                ..
            } = event
            else {
                return None;
            };
            Some(fields([
                ("startUtcMs", start_utc_ms.and_then(time)),
                ("discontinueUtcMs", discontinue_utc_ms.and_then(time)),
            ]))
        }
        RegisterName::Exit => {
            let Event::SessionExit { leave_status } = event else {
                return None;
            };
            let status = leave_status.map(|code| Scalar::Int(code.0));
            Some(fields([("leaveStatus", status)]))
        }
        RegisterName::LastError => {
            let Event::CloudRecordingError {
                module,
                error_level,
                error_code,
                error_msg,
                ..
            } = event
            else {
                return None;
            };
            let message = error_msg.as_deref().filter(|text| !text.is_empty());
            Some(fields([
                ("module", module.map(|code| Scalar::Int(code.0))),
                ("errorLevel", error_level.map(|code| Scalar::Int(code.0))),
                ("errorCode", error_code.map(Scalar::Int)),
                ("errorMsg", message.map(cut)),
            ]))
        }
        RegisterName::LastWarning => {
            let Event::CloudRecordingWarning { module, warn_code } = event else {
                return None;
            };
            Some(fields([
                ("module", module.map(|code| Scalar::Int(code.0))),
                ("warnCode", warn_code.map(Scalar::Int)),
            ]))
        }
    }
}

fn fields<'a>(entries: impl IntoIterator<Item = (&'a str, Option<Scalar>)>) -> Fields {
    entries
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

fn time(ms: u64) -> Option<Scalar> {
    i64::try_from(ms).ok().map(Scalar::Int)
}

fn cut(text: &str) -> Scalar {
    Scalar::Text(
        text.get(..text.floor_char_boundary(MAX_TEXT))
            .unwrap_or_default()
            .to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_event_tells_the_phase_of_the_table() {
        let rows = [
            (1, json!({"errorLevel": 5}), Some(Phase::Failed)),
            (1, json!({"errorLevel": 4}), None),
            (2, json!({}), None),
            (3, json!({"status": 3}), Some(Phase::Starting)),
            (3, json!({"status": 5}), Some(Phase::Recording)),
            (3, json!({"status": 8}), Some(Phase::Stopping)),
            (3, json!({"status": 20}), Some(Phase::Failed)),
            (3, json!({"status": 21}), None),
            (11, json!({"leaveStatus": 0}), Some(Phase::Ended)),
            (11, json!({"exitStatus": 1}), Some(Phase::Failed)),
            (30, json!({"status": 0}), None),
            (33, json!({"progress": 1}), None),
            (40, json!({"status": 0}), Some(Phase::Recording)),
            (40, json!({"status": 1}), Some(Phase::Failed)),
            (41, json!({"leaveCode": 24}), Some(Phase::Stopping)),
            (41, json!({"leaveCode": 0}), Some(Phase::Failed)),
            (42, json!({}), Some(Phase::Recording)),
            (43, json!({"state": 1}), None),
            (71, json!({"code": 1}), Some(Phase::Stopping)),
            (71, json!({"code": 4}), Some(Phase::Failed)),
            (72, json!({}), Some(Phase::Failed)),
            (999, json!({}), None),
        ];
        for (event_type, details, expected) in rows {
            assert_eq!(
                Event::read(event_type, &details)
                    .meaning(event_type, None)
                    .phase,
                expected,
                "{event_type} {details}"
            );
        }
    }

    #[test]
    fn texts_in_registers_are_cut_at_a_character() {
        let name = "é".repeat(MAX_TEXT);
        let event = Event::read(4, &json!({ "fileList": name }));
        let registers = registers(&event, 4, &event.meaning(4, None));
        let Some((RegisterName::Playlist, fields)) = registers.first() else {
            panic!("{registers:?}")
        };
        assert_eq!(
            fields.get("fileList"),
            Some(&Scalar::Text("é".repeat(MAX_TEXT / 2)))
        );
    }
}
