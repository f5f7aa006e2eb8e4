//! Which callback is an alarm, how bad it is, and everything its message needs. Pure; what tells
//! one trouble from another is in `key`, the sentences are in `words`, the message is in `message`.
//!
//! An [`Alert`] is what is written down before anything is sent: from its fields alone the message
//! can be made again, by whoever sends it in the end. Its id never changes, so that a receiver can
//! tell a second copy.

mod delivery;
mod destination;
mod detail;
mod digest;
mod key;
mod links;
mod message;
mod rehearsal;
mod words;

pub use delivery::{
    Attempt, Closing, Deliveries, Delivery, GIVE_UP_MS, Outgoing, Progress, Route, closing, route,
};
pub use destination::{Destination, Destinations};
pub use detail::{DETAIL_TYPE, INCIDENT_TYPE, incident_detail};
pub use digest::{Digest, NAMED};
pub(crate) use key::KeyPart;
pub use key::{AlertId, AlertKey};
pub use links::{Links, Pages};
pub use message::{Action, Incident, Message, message};
pub use rehearsal::rehearsal;
pub use words::{BACKUP_KEPT_MS, Words, in_words};

use crate::event::{CodeName, Meaning, Part, Trouble, TroubleKind, hide_stream_keys};
use crate::named::named;
use crate::notification::Notification;
use crate::text::clean;
use std::collections::BTreeMap;

named! {
    /// What is wrong.
    pub enum AlertKind {
        /// Event 1 with `errorLevel` 5 or more.
        FatalError = "fatal_error",
        /// A recorder ended abnormally, or could not begin.
        AbnormalExit = "abnormal_exit",
        /// Event 32: files only reached Agora's backup.
        BackupOnlyUpload = "backup_only_upload",
        /// Event 30 or 31 with an abnormal status.
        ComponentFailure = "component_failure",
        /// Postponed transcoding lacks files (81, 90, 1001).
        TranscodingFailed = "transcoding_failed",
        /// Event 34: the storage's temporary credentials have expired.
        StorageCredentialsExpired = "storage_credentials_expired",
        /// Heartbeats were seen, and no more come.
        SessionSilent = "session_silent",
        /// The recording is over, and nothing confirmed its files.
        UploadUnconfirmed = "upload_unconfirmed",
        /// Event 42 after an interruption: seconds are lost. Opt-in.
        RecordingGap = "recording_gap",
        /// Event 12: a new recorder takes over. Opt-in.
        Failover = "failover",
        /// Event 100: a push to a live audience broke off. Opt-in.
        PushDisconnected = "push_disconnected",
        /// Another recorder is at work in the place of one that ended abnormally.
        AbnormalExitResolved = "abnormal_exit_resolved",
        /// A silent session has spoken again, or is over.
        SessionSilentResolved = "session_silent_resolved",
        /// The upload was confirmed after all.
        UploadUnconfirmedResolved = "upload_unconfirmed_resolved",
        /// Event 31 after 32: all files have reached the user's storage after all.
        BackupOnlyUploadResolved = "backup_only_upload_resolved",
    }
}

named! {
    /// How bad it is, the worst first; its word in the message and in the table.
    pub enum Severity {
        /// Somebody should act now.
        Critical = "critical",
        /// Somebody should look, with a deadline perhaps.
        Warning = "warning",
        /// Nothing has to be done: an alert is taken back.
        Info = "info",
    }
}

/// What a kind is.
enum Role {
    /// A callback rings; unless `ALERT_KINDS` says otherwise.
    Callback(Severity),
    /// A callback rings, if `ALERT_KINDS` names it.
    OptIn(Severity),
    /// The watchdog finds it; unless `ALERT_KINDS` says otherwise.
    Watchdog(Severity),
    /// It takes alerts of another kind back, and is sent where those are.
    Resolves(AlertKind),
}

impl AlertKind {
    fn role(self) -> Role {
        use Severity::{Critical, Warning};
        match self {
            Self::FatalError | Self::AbnormalExit | Self::StorageCredentialsExpired => {
                Role::Callback(Critical)
            }
            Self::BackupOnlyUpload | Self::ComponentFailure | Self::TranscodingFailed => {
                Role::Callback(Warning)
            }
            Self::RecordingGap | Self::Failover | Self::PushDisconnected => Role::OptIn(Warning),
            Self::SessionSilent => Role::Watchdog(Critical),
            Self::UploadUnconfirmed => Role::Watchdog(Warning),
            Self::AbnormalExitResolved => Role::Resolves(Self::AbnormalExit),
            Self::SessionSilentResolved => Role::Resolves(Self::SessionSilent),
            Self::UploadUnconfirmedResolved => Role::Resolves(Self::UploadUnconfirmed),
            Self::BackupOnlyUploadResolved => Role::Resolves(Self::BackupOnlyUpload),
        }
    }

    /// True where a callback rings by itself, at once.
    #[must_use]
    pub fn is_of_callback(self) -> bool {
        matches!(self.role(), Role::Callback(_) | Role::OptIn(_))
    }

    /// Those that `ALERT_KINDS` may name; the others follow the kind that they resolve.
    #[must_use]
    pub fn configurable() -> Vec<Self> {
        let mut kinds = Self::ALL.to_vec();
        kinds.retain(|kind| kind.resolves().is_none());
        kinds
    }

    /// Those that are sent unless `ALERT_KINDS` says otherwise.
    #[must_use]
    pub fn by_default() -> Vec<Self> {
        let mut kinds = Self::ALL.to_vec();
        kinds.retain(|kind| matches!(kind.role(), Role::Callback(_) | Role::Watchdog(_)));
        kinds
    }

    /// The kind of the alerts that it takes back, if it takes any back.
    #[must_use]
    pub fn resolves(self) -> Option<Self> {
        match self.role() {
            Role::Resolves(kind) => Some(kind),
            Role::Callback(_) | Role::OptIn(_) | Role::Watchdog(_) => None,
        }
    }

    /// The kind that takes an alert of this one back, if one does.
    #[must_use]
    pub fn resolution(self) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.resolves() == Some(self))
    }

    /// The alarm of an incident: for a resolution the kind that it takes back, else the
    /// kind itself.
    #[must_use]
    pub fn alarm(self) -> Self {
        self.resolves().unwrap_or(self)
    }

    /// How bad it is.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self.role() {
            Role::Callback(severity) | Role::OptIn(severity) | Role::Watchdog(severity) => severity,
            Role::Resolves(_) => Severity::Info,
        }
    }
}

/// What an alert says in numbers and words, under its names.
pub type Codes = BTreeMap<CodeName, String>;

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
    pub codes: Codes,
}

impl Alert {
    /// The alert that `notification` asks for, if it asks for one of `kinds`.
    #[must_use]
    pub fn of(notification: &Notification, kinds: &[AlertKind]) -> Option<Self> {
        let Meaning { part, trouble, .. } = notification.meaning();
        let trouble = trouble?;
        let (kind, parts) = alarm(&trouble, part, notification)?;
        if !kinds.contains(&kind) {
            return None;
        }
        let scene = notification.service_scene.clone();
        let own = parts
            .iter()
            .map(|part| (part.name, Some(part.value.clone())));
        // What Agora calls a code stays as it is where a part has the same name.
        let scene = [(CodeName::ServiceScene, scene)];
        let codes = own.chain(scene).chain(trouble.codes);
        Some(Self {
            kind,
            key: AlertKey::new(kind, &parts),
            sid: notification.sid.as_str().to_owned(),
            cname: notification.cname.clone(),
            uid: notification.uid.clone(),
            sequence: notification.sequence,
            event_type: notification.event_type,
            at: notification.sendts,
            codes: codes
                .filter_map(|(name, value)| {
                    Some((name, clean(&hide_stream_keys(&value?), MAX_CODE)))
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

    /// A code, in its words.
    pub(crate) fn code(&self, name: CodeName) -> Option<&str> {
        self.codes.get(&name).map(String::as_str)
    }

    /// A code as a number.
    pub(crate) fn number(&self, name: CodeName) -> Option<i64> {
        self.code(name)?.parse().ok()
    }
}

/// A code is cut to this many characters.
pub(crate) const MAX_CODE: usize = 500;

/// The kind of a trouble that rings at once, and what tells it from another one. Of a recorder that
/// a signal killed the watchdog speaks, because Agora may replace it.
fn alarm(
    trouble: &Trouble,
    part: Part,
    notification: &Notification,
) -> Option<(AlertKind, Vec<KeyPart>)> {
    let at = notification.sendts;
    let recorder = KeyPart::recorder(&notification.uid);
    let said = |name| KeyPart::new(name, trouble.code(name).unwrap_or_default());
    Some(match trouble.kind {
        TroubleKind::FatalError => {
            let (module, code) = (said(CodeName::Module), said(CodeName::ErrorCode));
            let parts = vec![recorder, module, code, KeyPart::ten_minutes(at)];
            (AlertKind::FatalError, parts)
        }
        TroubleKind::AbnormalExit => (AlertKind::AbnormalExit, vec![recorder, KeyPart::hour(at)]),
        TroubleKind::Killed => return None,
        TroubleKind::BackupOnlyUpload => (
            AlertKind::BackupOnlyUpload,
            vec![recorder, KeyPart::hour(at), KeyPart::stage(part)],
        ),
        TroubleKind::ComponentFailure => {
            let event = KeyPart::new(CodeName::ReportedBy, notification.event_type);
            (
                AlertKind::ComponentFailure,
                vec![recorder, KeyPart::stage(part), event],
            )
        }
        TroubleKind::TranscodingFailed => {
            let hash = KeyPart::new(CodeName::DetailsHash, notification.details_hash());
            (AlertKind::TranscodingFailed, vec![recorder, hash])
        }
        TroubleKind::StorageCredentialsExpired => (
            AlertKind::StorageCredentialsExpired,
            vec![recorder, KeyPart::hour(at)],
        ),
        TroubleKind::RecordingGap => {
            let start = trouble.code(CodeName::StartUtcMs);
            let start = start.and_then(|start| start.parse().ok()).unwrap_or(0);
            (
                AlertKind::RecordingGap,
                vec![recorder, KeyPart::minute(start)],
            )
        }
        TroubleKind::Failover => {
            let new_uid = trouble.code(CodeName::NewUid).unwrap_or_default();
            (AlertKind::Failover, vec![KeyPart::recorder(new_uid)])
        }
        TroubleKind::PushDisconnected => {
            let parts = vec![
                recorder,
                said(CodeName::PushAddress),
                KeyPart::ten_minutes(at),
            ];
            (AlertKind::PushDisconnected, parts)
        }
    })
}

#[cfg(test)]
mod tests;
