//! What may be claimed about a session: how it goes, and what became of its files. Pure.
//!
//! A green word is a promise. A recorder that failed stays known as failed, whatever orderly exit
//! follows; files are confirmed by nothing but a callback that confirms them.

use super::{Line, Tone};
use crate::alert::BACKUP_KEPT_MS;
use crate::event::{ComponentStatus, EventType, UploadingStatus};
use crate::session::{Fields, Phase, Recorder, RegisterName, Scalar, Session};
use crate::text::utc;
use crate::watchdog::{Watched, over_since};

/// How a recording goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No callback reported a state.
    Unknown,
    /// The service or a recorder is being set up.
    Starting,
    /// A recorder is at work.
    Recording,
    /// The recorder has left, the service hasn't exited yet.
    Stopping,
    /// The heartbeats have stopped, and no end was reported.
    Silent {
        /// The last heartbeat, ms since the epoch.
        since: u64,
    },
    /// It exited in order, and the recorder at work reported no failure.
    Ended,
    /// It exited in order, but the recorder at work had failed.
    EndedAfterFailure(Failure),
    /// A failure was reported, no end.
    Failing(Failure),
    /// It failed, and is over.
    Failed(Failure),
}

/// How a recorder failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The number of the callback that reported it.
    pub sequence: u64,
    /// Its `sendts`.
    pub at: u64,
    /// What it was.
    pub event_type: EventType,
}

/// What became of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upload {
    /// A callback confirmed that all of them are where they belong.
    Confirmed {
        /// Since when.
        at: u64,
        /// Whether they are in video on demand, not in the storage.
        on_demand: bool,
        /// Whether some were in Agora's backup before.
        after_backup: bool,
    },
    /// Some are only in Agora's backup.
    Backup {
        /// Since when.
        at: u64,
    },
    /// Some are still at Agora, to be uploaded later.
    Stranded {
        /// Since when.
        at: u64,
    },
    /// Nothing confirmed them.
    Unconfirmed {
        /// The abnormal status that an upload reported, if one did.
        status: Option<ComponentStatus>,
    },
    /// Nothing was recorded, so none are expected.
    None,
}

impl State {
    /// Reads what a session's item says.
    #[must_use]
    pub fn of(watched: &Watched) -> Self {
        let over = over_since(watched);
        if let (Some(since), None) = (watched.standing.silent_since, over) {
            return Self::Silent { since };
        }
        let phase = phase(&watched.session);
        let failure = watched.session.current().and_then(failure);
        match (phase, failure) {
            (Some(Phase::Ended), Some(failure)) => Self::EndedAfterFailure(failure),
            (_, Some(failure)) if over.is_some() => Self::Failed(failure),
            (_, Some(failure)) => Self::Failing(failure),
            (Some(Phase::Starting), None) => Self::Starting,
            (Some(Phase::Recording), None) => Self::Recording,
            (Some(Phase::Stopping), None) => Self::Stopping,
            (Some(Phase::Ended), None) => Self::Ended,
            (Some(Phase::Failed) | None, None) => Self::Unknown,
        }
    }

    /// A word or two for a table.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Starting => Phase::Starting.as_str(),
            Self::Recording => Phase::Recording.as_str(),
            Self::Stopping => Phase::Stopping.as_str(),
            Self::Silent { .. } => "SILENT",
            Self::Ended => Phase::Ended.as_str(),
            Self::EndedAfterFailure(_) => "ended, after a failure",
            Self::Failing(_) | Self::Failed(_) => Phase::Failed.as_str(),
        }
    }

    /// True where somebody should look at it.
    #[must_use]
    pub fn is_failed(self) -> bool {
        match self {
            Self::Silent { .. }
            | Self::EndedAfterFailure(_)
            | Self::Failing(_)
            | Self::Failed(_) => true,
            Self::Unknown | Self::Starting | Self::Recording | Self::Stopping | Self::Ended => {
                false
            }
        }
    }

    pub(super) fn line(self, replaced: u64) -> Line {
        match self {
            Self::Unknown => Line::warning("unknown: no callback has reported a state"),
            Self::Starting => Line::plain("starting"),
            Self::Recording => Line::good("recording"),
            Self::Stopping => {
                Line::plain("stopping: the recorder has left, the service hasn't exited yet")
            }
            Self::Silent { since } => Line::bad(format!(
                "SILENT: no heartbeat since {}; no end reported",
                utc(since)
            )),
            Self::Ended => Line::good(format!("ended as it should{}", failovers(replaced))),
            Self::EndedAfterFailure(failure) => {
                Line::bad(format!("ended, after a FAILURE: {}", failure.words()))
            }
            Self::Failing(failure) => Line::bad(format!(
                "probably FAILED: {}, but no end reported",
                failure.words()
            )),
            Self::Failed(failure) => Line::bad(format!("FAILED: {}", failure.words())),
        }
    }
}

fn failovers(count: u64) -> String {
    match count {
        0 => String::new(),
        1 => ", after one failover".to_owned(),
        more => format!(", after {more} failovers"),
    }
}

impl Failure {
    pub(super) fn words(self) -> &'static str {
        match self.event_type {
            EventType::CLOUD_RECORDING_ERROR => "a fatal error",
            EventType::CLOUD_RECORDING_STATUS_UPDATE => "the service reported an abnormal exit",
            EventType::SESSION_EXIT => "the service exited abnormally",
            EventType::RECORDER_STARTED => "the recorder did not start",
            EventType::RECORDER_LEAVE => "the recorder left the channel abnormally",
            EventType::WEB_RECORDER_STOPPED => "the web page recorder stopped abnormally",
            EventType::WEB_RECORDER_CAPABILITY_LIMIT => {
                "the page asked for more than the recorder can do"
            }
            _ => "a failure was reported",
        }
    }
}

impl Upload {
    /// Reads what a session's item says: what became of the files of the newest recorder that has
    /// any, and whether an earlier one still has some elsewhere.
    #[must_use]
    pub fn of(session: &Session) -> Self {
        let mut uploads = session.recorders.iter().rev().map(Self::of_recorder);
        let newest = uploads.by_ref().find(|upload| *upload != Self::None);
        let elsewhere =
            |upload: &Self| matches!(upload, Self::Backup { .. } | Self::Stranded { .. });
        match newest.unwrap_or(Self::None) {
            newest @ Self::Confirmed { .. } => uploads.find(elsewhere).unwrap_or(newest),
            newest => newest,
        }
    }

    fn of_recorder(recorder: &Recorder) -> Self {
        let has = |name| recorder.registers.contains_key(&name);
        let upload = recorder.registers.get(&RegisterName::Upload);
        let event_type = upload.and_then(|upload| int(&upload.fields, "eventType"));
        let status = upload.and_then(|upload| int(&upload.fields, "status"));
        let status = status
            .map(ComponentStatus)
            .filter(|status| status.is_abnormal());
        let uploading = upload.and_then(|upload| text(&upload.fields, "uploadingStatus"));
        let is_stranded = uploading.map(UploadingStatus::read) == Some(UploadingStatus::Stranded);
        let at = upload.map_or(0, |upload| upload.at);
        match event_type
            .and_then(|number| u32::try_from(number).ok())
            .map(EventType)
        {
            Some(EventType::UPLOADED | EventType::BACKUPED) if status.is_some() => {
                Self::Unconfirmed { status }
            }
            Some(EventType::UPLOADED | EventType::BACKUPED) if is_stranded => Self::Stranded { at },
            Some(EventType::UPLOADED) => Self::Confirmed {
                at,
                on_demand: false,
                after_backup: has(RegisterName::Backup),
            },
            Some(EventType::BACKUPED) => Self::Backup { at },
            Some(_) | None => {
                let is_recorded = [
                    RegisterName::Slice,
                    RegisterName::Playlist,
                    RegisterName::Progress,
                ];
                if is_recorded.into_iter().any(has) {
                    Self::Unconfirmed { status: None }
                } else {
                    Self::None
                }
            }
        }
    }

    /// The word for programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed { .. } => "confirmed",
            Self::Backup { .. } => "backup",
            Self::Stranded { .. } => "stranded",
            Self::Unconfirmed { .. } => "unconfirmed",
            Self::None => "none",
        }
    }

    /// A word or two for a table; `is_over` tells whether the recording is.
    #[must_use]
    pub fn word(self, is_over: bool) -> &'static str {
        match self {
            Self::Confirmed {
                on_demand: true, ..
            } => "in video on demand",
            Self::Confirmed { .. } => "in your storage",
            Self::Backup { .. } => "in Agora's backup",
            Self::Stranded { .. } => "STRANDED at Agora",
            Self::Unconfirmed { .. } if is_over => "NOT CONFIRMED",
            Self::Unconfirmed { .. } => "-",
            Self::None => "-",
        }
    }

    /// True where somebody should look for the files.
    #[must_use]
    pub fn is_failed(self, is_over: bool) -> bool {
        match self {
            Self::Confirmed { .. } | Self::None => false,
            Self::Backup { .. } | Self::Stranded { .. } => true,
            Self::Unconfirmed { status } => is_over || status.is_some(),
        }
    }

    pub(super) fn line(self, is_over: bool, now_ms: u64) -> Line {
        match self {
            Self::Confirmed {
                at,
                on_demand,
                after_backup,
            } => {
                let place = if on_demand {
                    "video on demand"
                } else {
                    "your storage"
                };
                let after = if after_backup { ", after a backup" } else { "" };
                Line::good(format!("all in {place} since {}{after}", utc(at)))
            }
            Self::Backup { at } => {
                let until = at.saturating_add(BACKUP_KEPT_MS);
                let left = if until > now_ms {
                    format!("which is kept until {}", utc(until))
                } else {
                    format!("which was deleted at {}", utc(until))
                };
                Line::warning(format!(
                    "some only in Agora's backup since {}, {left}",
                    utc(at)
                ))
            }
            Self::Stranded { at } => Line::warning(format!(
                "STRANDED at Agora since {}: some are not in your storage yet, Agora uploads them \
                 later",
                utc(at)
            )),
            Self::Unconfirmed {
                status: Some(status),
            } => Line::bad(format!(
                "NOT CONFIRMED: an upload reported the abnormal status {}; check your storage",
                status.0
            )),
            Self::Unconfirmed { status: None } if is_over => Line::warning(
                "NOT CONFIRMED: it is over, and neither an upload (31) nor a backup (32) was \
                 reported; check your storage",
            ),
            Self::Unconfirmed { status: None } => {
                Line::quiet("uploaded as it goes; confirmed after the end")
            }
            Self::None if is_over => Line::plain("none expected: nothing was recorded"),
            Self::None => Line::quiet("none yet"),
        }
    }
}

/// How good it is altogether: never better than what became of the files.
pub(super) fn overall_tone(state: State, upload: Upload, is_over: bool) -> Tone {
    let tone = state.line(0).tone;
    if state.is_failed() || upload.is_failed(is_over) {
        tone.max(Tone::Warning)
    } else {
        tone
    }
}

pub(super) fn phase(session: &Session) -> Option<Phase> {
    let (_, register) = session.register(RegisterName::Phase)?;
    Phase::read(text(&register.fields, "phase")?)
}

/// How a recorder failed, unless it was seen at work later.
pub(super) fn failure(recorder: &Recorder) -> Option<Failure> {
    // What its phase says: the session keeps no failures.
    let phase = recorder.registers.get(&RegisterName::Phase)?;
    let exit = recorder.registers.get(&RegisterName::Exit);
    let event_type = match exit {
        Some(exit) if exit.sequence == phase.sequence => EventType::SESSION_EXIT,
        Some(_) | None => EventType::CLOUD_RECORDING_ERROR,
    };
    (text(&phase.fields, "phase") == Some(Phase::Failed.as_str())).then_some(Failure {
        sequence: phase.sequence,
        at: phase.at,
        event_type,
    })
}

pub(super) fn int(fields: &Fields, name: &str) -> Option<i64> {
    match fields.get(name)? {
        Scalar::Int(int) => Some(*int),
        Scalar::Text(_) => None,
    }
}

pub(super) fn text<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    match fields.get(name)? {
        Scalar::Text(text) => Some(text),
        Scalar::Int(_) => None,
    }
}
