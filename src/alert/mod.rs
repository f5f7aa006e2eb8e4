//! Which callback is an alarm, how bad it is, and everything its message needs. Pure; its sentences are in `words`, its message in `message`.
//!
//! An [`Alert`] is what is written down before anything is sent: from its fields alone the message can be made again, by
//! whoever sends it in the end. Its id never changes, so that a receiver can tell a second copy.

mod message;
mod rehearsal;
mod words;

pub use message::{Message, message};
pub use rehearsal::rehearsal;
pub use words::{BACKUP_KEPT_MS, Words, in_words};

use crate::event::Event;
use crate::notification::Notification;
use crate::text::clean;
use std::collections::BTreeMap;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlertKind {
    /// Event 1 with `errorLevel` 5 or more.
    FatalError,
    /// Event 11 with `leaveStatus` other than 0.
    AbnormalExit,
    /// Event 32: files only reached Agora's backup.
    BackupOnlyUpload,
    /// Heartbeats were seen, and no more come.
    SessionSilent,
    /// The recording is over, and nobody said what became of its files.
    UploadUnconfirmed,
    /// A part of the service reports an abnormal status. Optional.
    ComponentFailure,
    /// Event 42 after an interruption: seconds are lost. Optional.
    RecordingGap,
    /// Event 12: a new recorder takes over. Optional.
    Failover,
    /// A silent session has spoken again, or is over.
    SessionSilentResolved,
    /// The upload was confirmed after all.
    UploadUnconfirmedResolved,
    /// Event 31 after 32: all files have reached the user's storage after all.
    BackupOnlyUploadResolved,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Somebody should act now.
    Critical,
    /// Somebody should look, with a deadline perhaps.
    Warning,
    /// Nothing has to be done: an alert is taken back.
    Info,
}

impl Severity {
    /// The word in the message and in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

impl AlertKind {
    /// All kinds that can be asked for.
    pub const ALL: [Self; 8] = [
        Self::FatalError,
        Self::AbnormalExit,
        Self::BackupOnlyUpload,
        Self::SessionSilent,
        Self::UploadUnconfirmed,
        Self::ComponentFailure,
        Self::RecordingGap,
        Self::Failover,
    ];
    /// The kinds that take an alert back: sent where the alert is.
    pub const RESOLVED: [Self; 3] = [
        Self::SessionSilentResolved,
        Self::UploadUnconfirmedResolved,
        Self::BackupOnlyUploadResolved,
    ];
    /// The kinds sent without being asked for.
    pub const DEFAULT: [Self; 5] = [
        Self::FatalError,
        Self::AbnormalExit,
        Self::BackupOnlyUpload,
        Self::SessionSilent,
        Self::UploadUnconfirmed,
    ];

    /// The word in the message, in the table and in `ALERT_KINDS`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FatalError => "fatal_error",
            Self::AbnormalExit => "abnormal_exit",
            Self::BackupOnlyUpload => "backup_only_upload",
            Self::SessionSilent => "session_silent",
            Self::UploadUnconfirmed => "upload_unconfirmed",
            Self::ComponentFailure => "component_failure",
            Self::RecordingGap => "recording_gap",
            Self::Failover => "failover",
            Self::SessionSilentResolved => "session_silent_resolved",
            Self::UploadUnconfirmedResolved => "upload_unconfirmed_resolved",
            Self::BackupOnlyUploadResolved => "backup_only_upload_resolved",
        }
    }

    /// Reads the word of any kind.
    #[must_use]
    pub fn read(word: &str) -> Option<Self> {
        let kinds = Self::ALL.into_iter().chain(Self::RESOLVED);
        kinds.into_iter().find(|kind| kind.as_str() == word)
    }

    /// How bad it is.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Self::FatalError
            | Self::AbnormalExit
            | Self::SessionSilent
            | Self::ComponentFailure => Severity::Critical,
            Self::BackupOnlyUpload
            | Self::UploadUnconfirmed
            | Self::RecordingGap
            | Self::Failover => Severity::Warning,
            Self::SessionSilentResolved
            | Self::UploadUnconfirmedResolved
            | Self::BackupOnlyUploadResolved => Severity::Info,
        }
    }
}

/// An alarm with everything its message needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// What is wrong.
    pub kind: AlertKind,
    /// The sort key of its item: `alert#<suffix of its event>`, or `alert#<kind>#<ms>` for one of the watchdog.
    pub item: String,
    /// The recording.
    pub sid: String,
    /// The channel, as received.
    pub cname: String,
    /// The recorder, as received.
    pub uid: String,
    /// The number of the callback.
    pub sequence: u64,
    /// The event's number.
    pub event_type: u32,
    /// The event's `sendts`; for an alert of the watchdog when it was due. Ms since the epoch.
    pub at: u64,
    /// The event's codes under the specification's names; for an alert of the watchdog the times it is about.
    pub codes: BTreeMap<String, String>,
}

impl Alert {
    /// The alert that `notification` asks for, if it asks for one of `kinds`.
    #[must_use]
    pub fn of(notification: &Notification, kinds: &[AlertKind]) -> Option<Self> {
        let (kind, codes) = alarms(&notification.event)
            .into_iter()
            .find(|(kind, _)| kinds.contains(kind))?;
        Some(Self {
            kind,
            item: format!("alert#{}", notification.fact_key()),
            sid: notification.sid.as_str().to_owned(),
            cname: notification.cname.clone(),
            uid: notification.uid.clone(),
            sequence: notification.sequence,
            event_type: notification.event_type,
            at: notification.sendts,
            codes,
        })
    }

    /// The stable identifier: the same on every copy of the message.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}", self.sid, self.item)
    }

    /// A code as a number.
    fn code(&self, name: &str) -> Option<i64> {
        self.codes.get(name).and_then(|code| code.parse().ok())
    }
}

/// Everything alarming about an event, the most telling first.
fn alarms(event: &Event) -> Vec<(AlertKind, BTreeMap<String, String>)> {
    let when = |alarming: bool, kind, codes| {
        if alarming {
            vec![(kind, codes)]
        } else {
            Vec::new()
        }
    };
    match event {
        Event::CloudRecordingError {
            module,
            error_level,
            error_code,
            stat,
            error_msg,
        } => when(
            error_level.is_some_and(|level| level.is_fatal()),
            AlertKind::FatalError,
            codes([
                ("module", module.map(|code| code.0.to_string())),
                ("errorLevel", error_level.map(|code| code.0.to_string())),
                ("errorCode", error_code.map(|code| code.to_string())),
                ("stat", stat.map(|code| code.0.to_string())),
                (
                    "errorMsg",
                    error_msg
                        .as_deref()
                        .filter(|text| !text.is_empty())
                        .map(|text| clean(text, 500)),
                ),
            ]),
        ),
        Event::SessionExit { leave_status } => when(
            leave_status.is_some_and(|status| status.is_abnormal()),
            AlertKind::AbnormalExit,
            codes([("leaveStatus", leave_status.map(|code| code.0.to_string()))]),
        ),
        Event::Backuped { status, .. } => {
            let codes = codes([("status", status.map(|code| code.0.to_string()))]);
            let failed = status.is_some_and(|status| status.is_abnormal());
            let mut alarms = vec![(AlertKind::BackupOnlyUpload, codes.clone())];
            alarms.extend(when(failed, AlertKind::ComponentFailure, codes));
            alarms
        }
        Event::UploaderStarted { status }
        | Event::Uploaded { status, .. }
        | Event::RecorderStarted { status } => when(
            status.is_some_and(|status| status.is_abnormal()),
            AlertKind::ComponentFailure,
            codes([("status", status.map(|code| code.0.to_string()))]),
        ),
        Event::RecorderLeave { leave_code } => when(
            leave_code.is_some_and(|code| code.is_init_failure()),
            AlertKind::ComponentFailure,
            codes([("leaveCode", leave_code.map(|code| code.0.to_string()))]),
        ),
        Event::CloudRecordingStatusUpdate { status, .. } => when(
            *status == Some(crate::event::ServiceStatus::ABNORMAL_EXIT),
            AlertKind::ComponentFailure,
            codes([("status", status.map(|code| code.0.to_string()))]),
        ),
        Event::WebRecorderStopped { code, message, .. } => when(
            code.is_some_and(|code| code.is_abnormal()),
            AlertKind::ComponentFailure,
            codes([
                ("code", code.map(|code| code.0.to_string())),
                ("message", message.as_deref().map(|text| clean(text, 100))),
            ]),
        ),
        Event::WebRecorderCapabilityLimit { limit_type } => when(
            true,
            AlertKind::ComponentFailure,
            codes([(
                "limitType",
                limit_type.as_deref().map(|text| clean(text, 100)),
            )]),
        ),
        Event::RecorderSliceStart {
            start_utc_ms: Some(start),
            discontinue_utc_ms: Some(stop),
            stream_uid,
            ..
        } => when(
            stop < start,
            AlertKind::RecordingGap,
            codes([
                ("startUtcMs", Some(start.to_string())),
                ("discontinueUtcMs", Some(stop.to_string())),
                (
                    "streamUid",
                    stream_uid.as_deref().map(|text| clean(text, 100)),
                ),
            ]),
        ),
        Event::SessionFailover { new_uid } => when(
            true,
            AlertKind::Failover,
            codes([("newUid", new_uid.as_deref().map(|text| clean(text, 100)))]),
        ),
        Event::CloudRecordingWarning { .. }
        | Event::CloudRecordingFileInfos { .. }
        | Event::HighAvailabilityRegistered
        | Event::UploadingProgress { .. }
        | Event::StorageTokenExpired
        | Event::RecorderSliceStart { .. }
        | Event::StreamStateChanged { .. }
        | Event::RecorderSnapshotFile { .. }
        | Event::RecorderAudioInfoChanged
        | Event::RecorderVideoInfoChanged
        | Event::VodStarted { .. }
        | Event::VodTriggered
        | Event::WebRecorderStarted { .. }
        | Event::WebRecorderReload { .. }
        | Event::TranscoderStarted
        | Event::TranscoderCompleted { .. }
        | Event::DownloadFailed { .. }
        | Event::RtmpPublishStatus { .. }
        | Event::CloudTranscoder { .. }
        | Event::PostponeTranscodeFinalResult { .. }
        | Event::Other => Vec::new(),
    }
}

fn codes<const N: usize>(entries: [(&str, Option<String>); N]) -> BTreeMap<String, String> {
    entries
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

#[cfg(test)]
mod tests;
