//! What may be claimed about a session: how it goes, and what became of its files. Pure.
//!
//! A green word is a promise. A recorder that failed stays known as failed, whatever orderly exit
//! follows; files are confirmed by nothing but a callback that confirms them.

use super::words::NAMES_NO_FILE;
use super::{Line, MAX_NAME, Tone};
use crate::alert::BACKUP_KEPT_MS;
use crate::event::{EventType, UploadingStatus};
use crate::record::Watched;
use crate::session::{Phase, Reported, Upload, UploadState};
use crate::text::{clean, utc};
use crate::watchdog::{Rules, over_since};
use std::collections::BTreeSet;

/// The failure in an item of an earlier version, which doesn't say what it was.
const UNTOLD: EventType = EventType(0);

/// A word of Agora's is cut to this many characters.
const MAX_WORD: usize = 40;

/// How a recording goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No callback reported a state.
    Unknown,
    /// The service or a recorder is being set up.
    Starting,
    /// A recorder is at work.
    Recording,
    /// The work is over, the service hasn't exited yet.
    Stopping,
    /// The heartbeats have stopped, and no end was reported.
    Silent {
        /// The last heartbeat, ms since the epoch.
        since: u64,
    },
    /// It exited in order, and the recorder at work reported no failure.
    Ended,
    /// It exited in order, but the recorder at work had failed, as the event says.
    EndedAfterFailure(EventType),
    /// A failure was reported, no end.
    Failing(EventType),
    /// It failed, and is over.
    Failed(EventType),
}

impl State {
    /// Reads what a session's item says.
    #[must_use]
    pub fn of(watched: &Watched) -> Self {
        let over = over_since(watched);
        let phase = watched.session.phase().map(|phase| phase.value);
        let failure = watched.session.failure().map(|failure| failure.value);
        let failure = failure.or((phase == Some(Phase::Failed)).then_some(UNTOLD));
        if let (Some(since), None, None) = (watched.standing.silent_since, over, failure) {
            return Self::Silent { since };
        }
        match (phase, failure) {
            (Some(Phase::Ended), Some(failure)) => Self::EndedAfterFailure(failure),
            (_, Some(failure)) if over.is_some() => Self::Failed(failure),
            (_, Some(failure)) => Self::Failing(failure),
            // Whatever ended it, a 31 for one: it isn't at work any more.
            (Some(Phase::Starting | Phase::Recording), None) if over.is_some() => Self::Stopping,
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

    /// True where the operator should check it.
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
            Self::Unknown => {
                Line::warning("unknown: no callback has reported the state of the recording")
            }
            Self::Starting => Line::plain("starting"),
            Self::Recording => Line::good("recording"),
            Self::Stopping => {
                Line::plain("stopping: the work is over, the service hasn't exited yet")
            }
            Self::Silent { since } => Line::bad(format!(
                "SILENT: no heartbeat since {}; no end reported",
                utc(since)
            )),
            Self::Ended => Line::good(format!("ended as it should{}", failovers(replaced))),
            Self::EndedAfterFailure(failure) => Line::bad(format!(
                "ended, after a FAILURE: {}",
                failure_words(failure)
            )),
            Self::Failing(failure) => Line::bad(format!(
                "probably FAILED: {}, but no end reported",
                failure_words(failure)
            )),
            Self::Failed(failure) => Line::bad(format!("FAILED: {}", failure_words(failure))),
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

/// How a recorder failed.
pub(super) fn failure_words(event_type: EventType) -> &'static str {
    match event_type {
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

/// What became of a session's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// What may be claimed.
    pub state: UploadState,
    /// The same of each recorder that recorded, by uid.
    pub each: Vec<(String, UploadState)>,
    /// What says so, where something does.
    pub reported: Option<Reported<Upload>>,
    /// It says that all is well, and names no file.
    pub names_no_file: bool,
    /// Some were in Agora's backup before.
    pub after_backup: bool,
    /// The recording is over.
    pub is_over: bool,
    /// Something was recorded.
    pub was_recorded: bool,
}

impl Files {
    /// Reads what a session's item says. `covered`: the recorders whose files another's report
    /// confirms.
    #[must_use]
    pub fn of(watched: &Watched, covered: &BTreeSet<String>, rules: &Rules) -> Self {
        let session = &watched.session;
        let uploads = session.uploads(covered, rules.does_failure_ring);
        Self {
            state: uploads.state,
            was_recorded: !uploads.each.is_empty(),
            each: uploads.each,
            reported: uploads.reported,
            names_no_file: false,
            after_backup: session
                .recorders
                .iter()
                .any(|recorder| recorder.backup().is_some()),
            is_over: over_since(watched).is_some(),
        }
    }

    /// A word or two for a table.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self.state {
            UploadState::Confirmed if self.is_on_demand() => "in video on demand",
            UploadState::Confirmed => "in your storage",
            UploadState::Backup => "in Agora's backup",
            UploadState::Stranded => "STRANDED at Agora",
            UploadState::Partial if self.is_over => "PARTLY CONFIRMED",
            UploadState::Partial => "-",
            UploadState::Unconfirmed | UploadState::None if self.is_failed() => "NOT CONFIRMED",
            UploadState::Unconfirmed | UploadState::None => "-",
        }
    }

    /// True where the operator should check where they are.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        match self.state {
            UploadState::Confirmed => false,
            UploadState::Backup | UploadState::Stranded => true,
            UploadState::Partial => self.is_over,
            UploadState::Unconfirmed => self.is_over || self.doubt().is_some(),
            // It failed: whoever is told of that looks for its files, too.
            UploadState::None => self.is_over && self.was_recorded,
        }
    }

    /// True where no more is to come.
    #[must_use]
    pub fn is_accounted_for(&self) -> bool {
        self.state.is_confirmed()
    }

    fn is_on_demand(&self) -> bool {
        let reported = self.reported.as_ref();
        reported.is_some_and(|upload| upload.value.goes_on_demand)
    }

    /// Why what was reported confirms nothing, where it says so itself.
    fn doubt(&self) -> Option<String> {
        let upload = &self.reported.as_ref()?.value;
        if let Some(status) = upload.status.filter(|status| status.is_abnormal()) {
            return Some(format!("the abnormal status {}", status.0));
        }
        match &upload.uploading_status {
            Some(UploadingStatus::Other(word)) => {
                Some(format!("the uploadingStatus {}", clean(word, MAX_WORD)))
            }
            Some(
                UploadingStatus::Uploaded | UploadingStatus::Backuped | UploadingStatus::Stranded,
            )
            | None => None,
        }
    }

    pub(super) fn line(&self, now_ms: u64) -> Line {
        let at = self.reported.as_ref().map_or(0, |upload| upload.at);
        match self.state {
            UploadState::Confirmed => {
                let place = if self.is_on_demand() {
                    "video on demand"
                } else {
                    "your storage"
                };
                let after = if self.after_backup {
                    ", after a backup"
                } else {
                    ""
                };
                match self.names_no_file {
                    true => Line::plain(format!("{NAMES_NO_FILE}, since {}{after}", utc(at))),
                    false => Line::good(format!("all in {place} since {}{after}", utc(at))),
                }
            }
            UploadState::Backup => {
                let until = at.saturating_add(BACKUP_KEPT_MS);
                let left = if until > now_ms {
                    format!("which is kept until {}", utc(until))
                } else {
                    format!("which was deleted at {}", utc(until))
                };
                let since = utc(at);
                Line::warning(format!("some only in Agora's backup since {since}, {left}"))
            }
            UploadState::Stranded => Line::warning(format!(
                "STRANDED at Agora since {}: some aren't in your storage yet; Agora uploads them \
                 later",
                utc(at)
            )),
            UploadState::Partial => self.partial_line(),
            UploadState::Unconfirmed => self.unconfirmed_line(),
            UploadState::None if self.is_failed() => Line::warning(
                "NOT CONFIRMED: the recording failed, so no upload is waited for; check your \
                 storage",
            ),
            UploadState::None if self.was_recorded => {
                Line::quiet("none confirmed: the recording failed, so no upload is waited for")
            }
            UploadState::None if self.is_over => Line::plain("none expected: nothing was recorded"),
            UploadState::None => Line::quiet("none yet"),
        }
    }

    /// Whose files are confirmed, and whose aren't.
    fn partial_line(&self) -> Line {
        let each = self.each.iter().map(|(uid, state)| {
            let word = match state {
                UploadState::Confirmed => "confirmed",
                UploadState::Backup => "only in Agora's backup",
                UploadState::Stranded => "STRANDED at Agora",
                UploadState::Partial | UploadState::Unconfirmed | UploadState::None => {
                    "NOT CONFIRMED"
                }
            };
            format!("those of uid {} {word}", clean(uid, MAX_NAME))
        });
        let each: Vec<_> = each.collect();
        let each = each.join(", ");
        match self.is_over {
            true => Line::warning(format!("PARTLY CONFIRMED: {each}; check your storage")),
            false => Line::plain(format!("so far {each}")),
        }
    }

    fn unconfirmed_line(&self) -> Line {
        if let Some(doubt) = self.doubt() {
            return Line::bad(format!(
                "NOT CONFIRMED: an upload reported {doubt}; check your storage"
            ));
        }
        if !self.is_over {
            return Line::quiet("uploaded as it goes; to be confirmed after the end");
        }
        let reported = self.reported.as_ref();
        if let Some(upload) = reported.filter(|upload| upload.value.state().is_confirmed()) {
            let at = utc(upload.at);
            return Line::warning(format!(
                "NOT CONFIRMED: what was recorded after the upload of {at}; check your storage"
            ));
        }
        Line::warning(if self.is_on_demand() {
            "NOT CONFIRMED: uploaded, and not reported to be in video on demand (61)"
        } else {
            "NOT CONFIRMED: it is over, and neither an upload (31) nor a backup (32) was reported; \
             check your storage"
        })
    }
}

/// How good it is altogether: never better than what became of the files.
pub(super) fn overall_tone(state: State, files: &Files) -> Tone {
    let tone = state.line(0).tone;
    if state.is_failed() || files.is_failed() {
        tone.max(Tone::Warning)
    } else {
        tone
    }
}
