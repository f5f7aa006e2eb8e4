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
//! A `failure` is what [`Event::is_failure`] says: all that makes the phase `failed`, and a
//! recorder that a signal killed. Only a newer 40, 42 or 70 of the same recorder heals it: an
//! orderly exit ends a failed session and leaves it failed.
//!
//! Callbacks of a stage beside the recording (a snapshot, a transcoding) say nothing at all.

use crate::event::{Event, Part, ServiceStatus};
use std::collections::BTreeMap;
use std::fmt;

/// What the recording does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The service or a new recorder is being set up.
    Starting,
    /// The recorder is at work.
    Recording,
    /// The recorder has left; files may still be uploaded.
    Stopping,
    /// The service has exited as it should.
    Ended,
    /// The recording died, or could not begin.
    Failed,
}

impl Phase {
    /// The word in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Recording => "recording",
            Self::Stopping => "stopping",
            Self::Ended => "ended",
            Self::Failed => "failed",
        }
    }

    /// Reads the word in the table.
    #[must_use]
    pub fn read(word: &str) -> Option<Self> {
        let all = [
            Self::Starting,
            Self::Recording,
            Self::Stopping,
            Self::Ended,
            Self::Failed,
        ];
        all.into_iter().find(|phase| phase.as_str() == word)
    }
}

/// The registers of a session, by the name of their attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RegisterName {
    /// What the recording does; see the module's table.
    Phase,
    /// The service status (3).
    Status,
    /// The recorder (40, 41, 70, 71, 72).
    Recorder,
    /// The newest sign that the recorder began its work (40, 70): it heals an earlier failure.
    Started,
    /// The newest failure of the recorder at work; gone where it was seen at work since.
    Failure,
    /// The uploader, and what became of the files (30, 31, 32).
    Upload,
    /// The newest 32: what a later 31 takes back.
    Backup,
    /// All files are in video on demand (61).
    OnDemand,
    /// The upload progress (33).
    Progress,
    /// The M3U8 file (4).
    Playlist,
    /// The first slice, or the first after an interruption (42).
    Slice,
    /// The exit (11).
    Exit,
    /// The newest error (1).
    LastError,
    /// The newest warning (2).
    LastWarning,
}

impl RegisterName {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Phase,
        Self::Status,
        Self::Recorder,
        Self::Started,
        Self::Failure,
        Self::Upload,
        Self::Backup,
        Self::OnDemand,
        Self::Progress,
        Self::Playlist,
        Self::Slice,
        Self::Exit,
        Self::LastError,
        Self::LastWarning,
    ];

    /// The attribute's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Phase => "phase",
            Self::Status => "status",
            Self::Recorder => "recorder",
            Self::Started => "started",
            Self::Failure => "failure",
            Self::Upload => "upload",
            Self::Backup => "backup",
            Self::OnDemand => "vod",
            Self::Progress => "progress",
            Self::Playlist => "playlist",
            Self::Slice => "slice",
            Self::Exit => "exit",
            Self::LastError => "last_error",
            Self::LastWarning => "last_warning",
        }
    }

    /// True for what a recorder that has been replaced can't say about the session.
    pub(super) fn counts_at_work_only(self) -> bool {
        matches!(self, Self::Exit | Self::Failure | Self::Started)
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

/// The phase that an event tells, if it tells one.
#[must_use]
pub fn phase(event: &Event) -> Option<Phase> {
    match event {
        Event::CloudRecordingError { .. } => event.is_failure().then_some(Phase::Failed),
        Event::CloudRecordingStatusUpdate { status, .. } => match *status {
            Some(
                ServiceStatus::NOT_STARTED
                | ServiceStatus::INITIALIZED
                | ServiceStatus::RECORDER_STARTING
                | ServiceStatus::UPLOADER_READY,
            ) => Some(Phase::Starting),
            Some(ServiceStatus::RECORDER_READY | ServiceStatus::RUNNING) => Some(Phase::Recording),
            Some(
                ServiceStatus::STOPPED
                | ServiceStatus::SERVICE_STOPPED
                | ServiceStatus::READY_TO_EXIT,
            ) => Some(Phase::Stopping),
            Some(ServiceStatus::ABNORMAL_EXIT) => Some(Phase::Failed),
            Some(ServiceStatus(_)) | None => None,
        },
        Event::SessionExit { .. } => Some(failed_or(event, Phase::Ended)),
        Event::RecorderStarted { .. } => Some(failed_or(event, Phase::Recording)),
        // A recorder that a signal killed has left, too; Agora may replace it.
        Event::RecorderLeave { .. } | Event::WebRecorderStopped { .. } => {
            Some(failed_or(event, Phase::Stopping))
        }
        Event::RecorderSliceStart { .. } | Event::WebRecorderStarted { .. } => {
            Some(Phase::Recording)
        }
        Event::WebRecorderCapabilityLimit { .. } => Some(Phase::Failed),
        _ => None,
    }
}

fn failed_or(event: &Event, otherwise: Phase) -> Phase {
    if event.is_abnormal_exit() {
        Phase::Failed
    } else {
        otherwise
    }
}

/// The fields of the `phase` register.
#[must_use]
pub(super) fn phase_fields(phase: Phase) -> Fields {
    fields([("phase", Some(Scalar::Text(phase.as_str().to_owned())))])
}

/// Everything an event says, as registers; nothing where it isn't the recording's own.
#[must_use]
pub(super) fn registers(event: &Event, event_type: u32, part: Part) -> Vec<(RegisterName, Fields)> {
    if part == Part::Beside {
        return Vec::new();
    }
    let number = || ("eventType", Some(Scalar::Int(i64::from(event_type))));
    // There only where a 31 or 32 confirms nothing.
    let on_demand = || ("vod", (part == Part::OnDemand).then_some(Scalar::Int(1)));
    let own = match event {
        Event::CloudRecordingError {
            module,
            error_level,
            error_code,
            error_msg,
            ..
        } => Some((
            RegisterName::LastError,
            fields([
                ("module", module.map(|code| Scalar::Int(code.0))),
                ("errorLevel", error_level.map(|code| Scalar::Int(code.0))),
                ("errorCode", error_code.map(Scalar::Int)),
                (
                    "errorMsg",
                    error_msg
                        .as_deref()
                        .filter(|text| !text.is_empty())
                        .map(cut),
                ),
            ]),
        )),
        Event::CloudRecordingWarning { module, warn_code } => Some((
            RegisterName::LastWarning,
            fields([
                ("module", module.map(|code| Scalar::Int(code.0))),
                ("warnCode", warn_code.map(Scalar::Int)),
            ]),
        )),
        Event::CloudRecordingStatusUpdate {
            status,
            recording_mode,
            ..
        } => Some((
            RegisterName::Status,
            fields([
                ("status", status.map(|code| Scalar::Int(code.0))),
                (
                    "recordingMode",
                    recording_mode.map(|code| Scalar::Int(code.0)),
                ),
            ]),
        )),
        Event::CloudRecordingFileInfos { file_list } => Some((
            RegisterName::Playlist,
            fields([(
                "fileList",
                file_list.first().map(|file| cut(&file.file_name)),
            )]),
        )),
        Event::SessionExit { leave_status } => Some((
            RegisterName::Exit,
            fields([("leaveStatus", leave_status.map(|code| Scalar::Int(code.0)))]),
        )),
        Event::UploaderStarted { status } => Some((
            RegisterName::Upload,
            fields([number(), ("status", status.map(|code| Scalar::Int(code.0)))]),
        )),
        Event::Uploaded {
            status,
            uploading_status,
            ..
        }
        | Event::Backuped {
            status,
            uploading_status,
            ..
        } => Some((
            RegisterName::Upload,
            fields([
                number(),
                ("status", status.map(|code| Scalar::Int(code.0))),
                (
                    "uploadingStatus",
                    uploading_status.as_ref().map(|s| cut(s.as_str())),
                ),
                on_demand(),
            ]),
        )),
        // A heartbeat is one even where its number can't be read.
        Event::UploadingProgress { progress } => Some((
            RegisterName::Progress,
            fields([("progress", progress.map(Scalar::Int))]),
        )),
        Event::RecorderStarted { status } => Some((
            RegisterName::Recorder,
            fields([number(), ("status", status.map(|code| Scalar::Int(code.0)))]),
        )),
        Event::RecorderLeave { leave_code } => Some((
            RegisterName::Recorder,
            fields([
                number(),
                ("leaveCode", leave_code.map(|code| Scalar::Int(code.0))),
            ]),
        )),
        Event::WebRecorderStopped { code, .. } => Some((
            RegisterName::Recorder,
            fields([number(), ("code", code.map(|code| Scalar::Int(code.0)))]),
        )),
        Event::WebRecorderStarted { .. } | Event::WebRecorderCapabilityLimit { .. } => {
            Some((RegisterName::Recorder, fields([number()])))
        }
        // Whose slice it is stays in the event's item: a session has many, and the session's item
        // should stay small.
        Event::RecorderSliceStart {
            start_utc_ms,
            discontinue_utc_ms,
            ..
        } => Some((
            RegisterName::Slice,
            fields([
                ("startUtcMs", start_utc_ms.and_then(time)),
                ("discontinueUtcMs", discontinue_utc_ms.and_then(time)),
            ]),
        )),
        Event::VodTriggered => Some((RegisterName::OnDemand, Fields::new())),
        _ => None,
    };
    let backup =
        matches!(event, Event::Backuped { .. }).then(|| (RegisterName::Backup, Fields::new()));
    let failure = event
        .is_failure()
        .then(|| (RegisterName::Failure, fields([number()])));
    let started = match event {
        Event::RecorderStarted { .. } => !event.is_failure(),
        Event::WebRecorderStarted { .. } => true,
        _ => false,
    };
    let started = started.then(|| (RegisterName::Started, Fields::new()));
    let phase = phase(event).map(|phase| (RegisterName::Phase, phase_fields(phase)));
    [own, backup, failure, started, phase]
        .into_iter()
        .flatten()
        .collect()
}

fn fields<const N: usize>(entries: [(&str, Option<Scalar>); N]) -> Fields {
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
                phase(&Event::read(event_type, &details)),
                expected,
                "{event_type} {details}"
            );
        }
    }

    #[test]
    fn texts_in_registers_are_cut_at_a_character() {
        let name = "é".repeat(MAX_TEXT);
        let registers = registers(
            &Event::read(4, &json!({ "fileList": name })),
            4,
            Part::Recording,
        );
        let Some((RegisterName::Playlist, fields)) = registers.first() else {
            panic!("{registers:?}")
        };
        assert_eq!(
            fields.get("fileList"),
            Some(&Scalar::Text("é".repeat(MAX_TEXT / 2)))
        );
    }
}
