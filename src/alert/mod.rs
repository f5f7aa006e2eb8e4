//! Which callback is an alarm, how bad it is, and everything its message needs. Pure; what tells
//! one trouble from another is in `key`, the sentences are in `words`, the message is in `message`.
//!
//! An [`Alert`] is what is written down before anything is sent: from its fields alone the message
//! can be made again, by whoever sends it in the end. Its id never changes, so that a receiver can
//! tell a second copy.

mod destination;
mod detail;
mod digest;
mod key;
mod links;
mod message;
mod rehearsal;
mod words;

pub use destination::{Destination, Destinations};
pub use detail::DETAIL_TYPE;
pub use digest::{Digest, NAMED, action_of_rest};
pub(crate) use key::KeyPart;
pub use key::{AlertId, AlertKey};
pub use links::{Links, Pages};
pub use message::{Action, Incident, Message, message};
pub use rehearsal::rehearsal;
pub use words::{BACKUP_KEPT_MS, Words, in_words};

use crate::event::{Event, Part, PushStatus, TranscodeResult, hide_stream_keys};
use crate::notification::Notification;
use crate::text::clean;
use std::collections::BTreeMap;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlertKind {
    /// Event 1 with `errorLevel` 5 or more.
    FatalError,
    /// A recorder ended abnormally, or could not begin.
    AbnormalExit,
    /// Event 32: files only reached Agora's backup.
    BackupOnlyUpload,
    /// Event 30 or 31 with an abnormal status.
    ComponentFailure,
    /// Postponed transcoding lacks files (81, 90, 1001).
    TranscodingFailed,
    /// Event 34: the storage's temporary credentials have expired.
    StorageCredentialsExpired,
    /// Heartbeats were seen, and no more come.
    SessionSilent,
    /// The recording is over, and nothing confirmed its files.
    UploadUnconfirmed,
    /// Event 42 after an interruption: seconds are lost. Opt-in.
    RecordingGap,
    /// Event 12: a new recorder takes over. Opt-in.
    Failover,
    /// Event 100: a push to a live audience broke off. Opt-in.
    PushDisconnected,
    /// Another recorder is at work in the place of one that ended abnormally.
    AbnormalExitResolved,
    /// A silent session has spoken again, or is over.
    SessionSilentResolved,
    /// The upload was confirmed after all.
    UploadUnconfirmedResolved,
    /// Event 31 after 32: all files have reached the user's storage after all.
    BackupOnlyUploadResolved,
}

/// How bad it is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::FatalError,
        Self::AbnormalExit,
        Self::BackupOnlyUpload,
        Self::ComponentFailure,
        Self::TranscodingFailed,
        Self::StorageCredentialsExpired,
        Self::SessionSilent,
        Self::UploadUnconfirmed,
        Self::RecordingGap,
        Self::Failover,
        Self::PushDisconnected,
        Self::AbnormalExitResolved,
        Self::SessionSilentResolved,
        Self::UploadUnconfirmedResolved,
        Self::BackupOnlyUploadResolved,
    ];
    /// Those that `ALERT_KINDS` may name; the others are sent where what they take back is.
    pub const CONFIGURABLE: [Self; 11] = [
        Self::FatalError,
        Self::AbnormalExit,
        Self::BackupOnlyUpload,
        Self::ComponentFailure,
        Self::TranscodingFailed,
        Self::StorageCredentialsExpired,
        Self::SessionSilent,
        Self::UploadUnconfirmed,
        Self::RecordingGap,
        Self::Failover,
        Self::PushDisconnected,
    ];
    /// Those that take an alert back.
    pub const RESOLVED: [Self; 4] = [
        Self::AbnormalExitResolved,
        Self::SessionSilentResolved,
        Self::UploadUnconfirmedResolved,
        Self::BackupOnlyUploadResolved,
    ];
    /// Those that are sent unless `ALERT_KINDS` says otherwise.
    pub const DEFAULT: [Self; 8] = [
        Self::FatalError,
        Self::AbnormalExit,
        Self::BackupOnlyUpload,
        Self::ComponentFailure,
        Self::TranscodingFailed,
        Self::StorageCredentialsExpired,
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
            Self::ComponentFailure => "component_failure",
            Self::TranscodingFailed => "transcoding_failed",
            Self::StorageCredentialsExpired => "storage_credentials_expired",
            Self::SessionSilent => "session_silent",
            Self::UploadUnconfirmed => "upload_unconfirmed",
            Self::RecordingGap => "recording_gap",
            Self::Failover => "failover",
            Self::PushDisconnected => "push_disconnected",
            Self::AbnormalExitResolved => "abnormal_exit_resolved",
            Self::SessionSilentResolved => "session_silent_resolved",
            Self::UploadUnconfirmedResolved => "upload_unconfirmed_resolved",
            Self::BackupOnlyUploadResolved => "backup_only_upload_resolved",
        }
    }

    /// Reads the word of any kind.
    #[must_use]
    pub fn read(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The alarm of an incident: for a resolution the kind that it takes back, else the
    /// kind itself.
    #[must_use]
    pub fn alarm(self) -> Self {
        match self {
            Self::AbnormalExitResolved => Self::AbnormalExit,
            Self::SessionSilentResolved => Self::SessionSilent,
            Self::UploadUnconfirmedResolved => Self::UploadUnconfirmed,
            Self::BackupOnlyUploadResolved => Self::BackupOnlyUpload,
            alarm => alarm,
        }
    }

    /// How bad it is.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Self::FatalError
            | Self::AbnormalExit
            | Self::StorageCredentialsExpired
            | Self::SessionSilent => Severity::Critical,
            Self::BackupOnlyUpload
            | Self::ComponentFailure
            | Self::TranscodingFailed
            | Self::UploadUnconfirmed
            | Self::RecordingGap
            | Self::Failover
            | Self::PushDisconnected => Severity::Warning,
            Self::AbnormalExitResolved
            | Self::SessionSilentResolved
            | Self::UploadUnconfirmedResolved
            | Self::BackupOnlyUploadResolved => Severity::Info,
        }
    }
}

/// Names of codes that aren't Agora's.
pub(crate) mod code {
    /// `session_silent`: the last heartbeat, ms since the epoch.
    pub(crate) const LAST_HEARTBEAT: &str = "lastHeartbeat";
    /// `upload_unconfirmed`: the end of the recording, ms since the epoch.
    pub(crate) const OVER_SINCE: &str = "overSince";
    /// `backup_only_upload_resolved`: the backup, ms since the epoch.
    pub(crate) const BACKED_UP_AT: &str = "backedUpAt";
    /// `abnormal_exit_resolved`: the recorder that took over.
    pub(crate) const NEW_UID: &str = "newUid";
    /// `transcoding_failed`: users without their files, joined by `, `.
    pub(crate) const FAILED_UIDS: &str = "failedUids";
    /// `upload_unconfirmed`: `stranded` where the files are still at Agora, to be uploaded later.
    pub(crate) const UPLOAD_STATE: &str = "uploadState";
    /// The scene of the callback, where it names one.
    pub(crate) const SERVICE_SCENE: &str = "serviceScene";
}

/// An alarm with everything its message needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// What is wrong.
    pub kind: AlertKind,
    /// What tells this trouble from another of the recording.
    pub key: AlertKey,
    /// The recording.
    pub sid: String,
    /// The channel, as received.
    pub cname: String,
    /// The recorder it is about, as received.
    pub uid: String,
    /// The number of the callback.
    pub sequence: u64,
    /// The event's number.
    pub event_type: u32,
    /// The event's `sendts`; for an alert of the watchdog when it was due. Ms since the epoch.
    pub at: u64,
    /// The event's codes under the specification's names, and the parts of the key; for an alert of
    /// the watchdog the times it is about.
    pub codes: BTreeMap<String, String>,
}

impl Alert {
    /// The alert that `notification` asks for, if it asks for one of `kinds`.
    #[must_use]
    pub fn of(notification: &Notification, kinds: &[AlertKind]) -> Option<Self> {
        let alarm = alarm(notification).filter(|alarm| kinds.contains(&alarm.kind))?;
        let scene = notification.service_scene.as_deref();
        let scene = (code::SERVICE_SCENE, scene.map(str::to_owned));
        let parts = alarm
            .parts
            .iter()
            .map(|part| (part.name, Some(part.value.clone())));
        // What Agora calls a code stays as it is where a part has the same name.
        let codes = parts.chain([scene]).chain(alarm.codes);
        Some(Self {
            kind: alarm.kind,
            key: AlertKey::new(alarm.kind, &alarm.parts),
            sid: notification.sid.as_str().to_owned(),
            cname: notification.cname.clone(),
            uid: notification.uid.clone(),
            sequence: notification.sequence,
            event_type: notification.event_type,
            at: notification.sendts,
            codes: codes
                .filter_map(|(name, value)| {
                    Some((name.to_owned(), clean(&hide_stream_keys(&value?), MAX_CODE)))
                })
                .filter(|(_, value)| !value.is_empty())
                .collect(),
        })
    }

    /// The stable identifier: the same on every copy of the message.
    #[must_use]
    pub fn id(&self) -> AlertId {
        AlertId {
            sid: self.sid.clone(),
            key: self.key.clone(),
        }
    }

    /// What an alert and its resolution have in common: a pager closes by it what it
    /// opened by it.
    #[must_use]
    pub fn incident(&self) -> String {
        let alarm = self.kind.alarm().as_str();
        format!("{}/{alarm}/{}", self.sid, self.key.hash())
    }

    /// A code as a number.
    fn code(&self, name: &str) -> Option<i64> {
        self.codes.get(name).and_then(|code| code.parse().ok())
    }
}

/// A code is cut to this many characters.
pub(crate) const MAX_CODE: usize = 500;

/// What is alarming about a callback.
struct Alarm {
    kind: AlertKind,
    /// What tells this trouble from another, beside the kind.
    parts: Vec<KeyPart>,
    codes: Vec<(&'static str, Option<String>)>,
}

/// What is alarming about a callback, if anything is. No callback fits two kinds.
fn alarm(notification: &Notification) -> Option<Alarm> {
    let at = notification.sendts;
    let recorder = KeyPart::recorder(&notification.uid);
    let stage = || {
        let scene = notification.service_scene.as_deref();
        KeyPart::stage(Part::of(notification.event_type, scene))
    };
    match &notification.event {
        Event::CloudRecordingError {
            module,
            error_level,
            error_code,
            stat,
            error_msg,
        } if error_level.is_some_and(|level| level.is_fatal()) => Some(Alarm {
            kind: AlertKind::FatalError,
            parts: vec![
                recorder,
                KeyPart::code("module", module.map(|code| code.0)),
                KeyPart::code("errorCode", *error_code),
                KeyPart::ten_minutes(at),
            ],
            codes: vec![
                ("errorLevel", number(error_level.map(|code| code.0))),
                ("stat", number(stat.map(|code| code.0))),
                ("errorMsg", error_msg.clone()),
            ],
        }),
        event if event.is_abnormal_exit() => Some(Alarm {
            kind: AlertKind::AbnormalExit,
            parts: vec![recorder, KeyPart::hour(at)],
            codes: exit_codes(event),
        }),
        Event::Backuped {
            status,
            uploading_status,
            ..
        } => Some(Alarm {
            kind: AlertKind::BackupOnlyUpload,
            parts: vec![recorder, stage()],
            codes: vec![
                ("status", number(status.map(|code| code.0))),
                (
                    "uploadingStatus",
                    uploading_status
                        .as_ref()
                        .map(|word| word.as_str().to_owned()),
                ),
            ],
        }),
        Event::UploaderStarted { status } | Event::Uploaded { status, .. }
            if status.is_some_and(|status| status.is_abnormal()) =>
        {
            Some(Alarm {
                kind: AlertKind::ComponentFailure,
                parts: vec![
                    recorder,
                    stage(),
                    KeyPart::new("reportedBy", notification.event_type),
                ],
                codes: vec![("status", number(status.map(|code| code.0)))],
            })
        }
        Event::TranscoderCompleted { .. }
        | Event::PostponeTranscodeFinalResult { .. }
        | Event::DownloadFailed { .. } => Some(Alarm {
            kind: AlertKind::TranscodingFailed,
            codes: transcoding_codes(&notification.event)?,
            parts: vec![
                recorder,
                KeyPart::new("detailsHash", notification.details_hash()),
            ],
        }),
        Event::StorageTokenExpired => Some(Alarm {
            kind: AlertKind::StorageCredentialsExpired,
            parts: vec![recorder, KeyPart::hour(at)],
            codes: Vec::new(),
        }),
        Event::RecorderSliceStart {
            start_utc_ms: Some(start),
            discontinue_utc_ms: Some(stop),
            stream_uid,
            ..
        } if stop < start => Some(Alarm {
            kind: AlertKind::RecordingGap,
            parts: vec![recorder, KeyPart::minute(*start)],
            codes: vec![
                ("startUtcMs", Some(start.to_string())),
                ("discontinueUtcMs", Some(stop.to_string())),
                ("streamUid", stream_uid.clone()),
            ],
        }),
        Event::SessionFailover { new_uid } => Some(Alarm {
            kind: AlertKind::Failover,
            parts: vec![KeyPart::recorder(new_uid.as_deref().unwrap_or_default())],
            codes: vec![(code::NEW_UID, new_uid.clone())],
        }),
        Event::RtmpPublishStatus {
            rtmp_url,
            status: Some(PushStatus::Disconnected),
        } => Some(Alarm {
            kind: AlertKind::PushDisconnected,
            parts: vec![
                recorder,
                KeyPart::new(
                    "pushAddress",
                    rtmp_url
                        .as_ref()
                        .map_or_else(String::new, ToString::to_string),
                ),
                KeyPart::ten_minutes(at),
            ],
            codes: Vec::new(),
        }),
        Event::CloudRecordingError { .. }
        | Event::CloudRecordingWarning { .. }
        | Event::CloudRecordingStatusUpdate { .. }
        | Event::CloudRecordingFileInfos { .. }
        | Event::SessionExit { .. }
        | Event::HighAvailabilityRegistered
        | Event::UploaderStarted { .. }
        | Event::Uploaded { .. }
        | Event::UploadingProgress { .. }
        | Event::RecorderStarted { .. }
        | Event::RecorderLeave { .. }
        | Event::RecorderSliceStart { .. }
        | Event::StreamStateChanged { .. }
        | Event::RecorderSnapshotFile { .. }
        | Event::RecorderAudioInfoChanged
        | Event::RecorderVideoInfoChanged
        | Event::VodStarted { .. }
        | Event::VodTriggered
        | Event::WebRecorderStarted { .. }
        | Event::WebRecorderStopped { .. }
        | Event::WebRecorderCapabilityLimit { .. }
        | Event::WebRecorderReload { .. }
        | Event::TranscoderStarted
        | Event::RtmpPublishStatus { .. }
        | Event::CloudTranscoder { .. }
        | Event::Other => None,
    }
}

/// What an abnormal exit says about itself.
fn exit_codes(event: &Event) -> Vec<(&'static str, Option<String>)> {
    match event {
        Event::SessionExit { leave_status } => {
            vec![("leaveStatus", number(leave_status.map(|code| code.0)))]
        }
        Event::CloudRecordingStatusUpdate { status, .. } => {
            vec![("status", number(status.map(|code| code.0)))]
        }
        Event::RecorderStarted { status } => {
            vec![("status", number(status.map(|code| code.0)))]
        }
        Event::RecorderLeave { leave_code } => {
            vec![("leaveCode", number(leave_code.map(|code| code.0)))]
        }
        Event::WebRecorderStopped { code, message, .. } => vec![
            ("code", number(code.map(|code| code.0))),
            ("message", message.clone()),
        ],
        Event::WebRecorderCapabilityLimit { limit_type } => vec![("limitType", limit_type.clone())],
        _ => Vec::new(),
    }
}

/// What a transcoding that lacks files says about them; `None` if it lacks none.
fn transcoding_codes(event: &Event) -> Option<Vec<(&'static str, Option<String>)>> {
    match event {
        Event::TranscoderCompleted { result, uids } => {
            let lacks_files = matches!(
                result,
                Some(TranscodeResult::Partial | TranscodeResult::Failed)
            );
            let failed: Vec<_> = uids
                .iter()
                .filter(|user| user.has_no_file())
                .map(|user| user.uid.as_str())
                .collect();
            let result = result.as_ref().map(|result| result.as_str().to_owned());
            lacks_files.then(|| {
                vec![
                    ("result", result),
                    (code::FAILED_UIDS, Some(failed.join(", "))),
                ]
            })
        }
        Event::PostponeTranscodeFinalResult { result, .. } => {
            let is_success = *result == Some(TranscodeResult::Success);
            let result = result.as_ref().map(|result| result.as_str().to_owned());
            (!is_success).then(|| vec![("result", result)])
        }
        Event::DownloadFailed {
            vendor,
            region,
            bucket,
            file_names,
        } => Some(vec![
            ("vendor", number(*vendor)),
            ("region", number(*region)),
            ("bucket", bucket.clone()),
            ("fileName", Some(file_names.join(";"))),
        ]),
        _ => None,
    }
}

fn number(code: Option<i64>) -> Option<String> {
    code.map(|code| code.to_string())
}

#[cfg(test)]
mod tests;
