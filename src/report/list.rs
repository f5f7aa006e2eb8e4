//! Sessions as rows of a table. Pure.

use super::{MAX_NAME, Record, RegisterName, Report, Tone, int, text_of, verdict};
use crate::record::StoredSession;
use crate::session::Phase;
use crate::text::clean;
use crate::watchdog::over_since;

/// A session in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The recording.
    pub sid: String,
    /// The channel.
    pub cname: String,
    /// When it began: the index's key, `sendts` of the callback that opened it, ms since the epoch.
    pub began: u64,
    /// Its newest callback, ms since the epoch.
    pub newest: u64,
    /// What it does, in a word; `SILENT` where the watchdog says so.
    pub state: &'static str,
    /// How good that is.
    pub tone: Tone,
    /// The upload's progress.
    pub progress: String,
    /// What became of the files, in a word or two.
    pub files: &'static str,
    /// Not over yet.
    pub is_active: bool,
    /// It failed, or is silent, or its upload isn't confirmed or only in the backup.
    pub is_failed: bool,
}

impl Row {
    /// Reads what a session's item says.
    #[must_use]
    pub fn of(session: StoredSession) -> Self {
        let over = over_since(&session.watched);
        let record = Record {
            watched: session.watched,
            ..Record::default()
        };
        let watched = &record.watched;
        let phase = text_of(&record, RegisterName::Phase, "phase").and_then(Phase::read);
        let (_, tone) = verdict(&record, phase, over);
        let is_silent = over.is_none() && watched.standing.silent_since.is_some();
        let upload = int(&record, RegisterName::Upload, "eventType");
        let files = match upload {
            Some(31) => "in your storage",
            Some(32) => "in Agora's backup",
            Some(_) | None if watched.standing.unconfirmed_since.is_some() => "UNCONFIRMED",
            Some(_) | None if over.is_some() => "not confirmed",
            Some(_) | None => "-",
        };
        let is_failed = is_silent
            || phase == Some(Phase::Failed)
            || upload == Some(32)
            || watched.standing.unconfirmed_since.is_some();
        Self {
            sid: clean(&watched.sid, MAX_NAME),
            cname: clean(&watched.cname, MAX_NAME),
            began: session.first_sendts,
            newest: watched
                .session
                .recorders
                .iter()
                .map(|recorder| recorder.last_sendts)
                .max()
                .unwrap_or(0),
            state: if is_silent {
                "SILENT"
            } else {
                phase.map_or("unknown", Phase::as_str)
            },
            tone: if is_failed {
                tone.max(Tone::Warning)
            } else {
                tone
            },
            progress: int(&record, RegisterName::Progress, "progress")
                .map_or_else(|| "-".to_owned(), progress_words),
            files,
            is_active: over.is_none(),
            is_failed,
        }
    }
}

impl Report {
    /// The session's phase in a word.
    #[must_use]
    pub fn phase_word(&self) -> &'static str {
        self.phase.map_or("unknown", Phase::as_str)
    }
}

/// 0 to 10,000 as a percentage.
#[must_use]
pub fn progress_words(progress: i64) -> String {
    match u32::try_from(progress) {
        Ok(progress) => format!("{}.{} %", progress / 100, progress % 100 / 10),
        Err(_) => progress.to_string(),
    }
}
