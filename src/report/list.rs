//! Sessions as rows of a table. Pure.

use super::state::overall_tone;
use super::{Files, MAX_NAME, State, Tone};
use crate::notification::Sid;
use crate::record::StoredSession;
use crate::text::clean;
use crate::watchdog::Rules;

/// A session in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The recording.
    pub sid: Sid,
    /// The channel.
    pub cname: String,
    /// When it began: the index's key, `sendts` of the callback that opened it, ms since the
    /// epoch.
    pub began: u64,
    /// Its newest callback, ms since the epoch.
    pub newest: u64,
    /// How it goes, in a word or two.
    pub state: &'static str,
    /// How good that is.
    pub tone: Tone,
    /// The upload's progress.
    pub progress: String,
    /// What became of the files, in a word or two.
    pub files: &'static str,
    /// Not over yet.
    pub is_active: bool,
    /// It failed, if only before an orderly end, or is silent, or its files aren't all where they
    /// belong.
    pub is_failed: bool,
}

impl Row {
    /// Reads what a session's item says.
    #[must_use]
    pub fn of(stored: StoredSession, rules: &Rules) -> Self {
        let watched = &stored.watched;
        let session = &watched.session;
        let covered = watched.standing.covered.as_ref();
        let covered = covered
            .map(|covered| covered.uids.clone())
            .unwrap_or_default();
        let (state, files) = (State::of(watched), Files::of(watched, &covered, rules));
        let progress = session.progress().and_then(|progress| progress.value);
        let newest = session
            .recorders
            .iter()
            .map(|recorder| recorder.last_sendts);
        Self {
            sid: watched.sid.clone(),
            cname: clean(&watched.cname, MAX_NAME),
            began: stored.first_sendts,
            newest: newest.max().unwrap_or(0),
            state: state.word(),
            tone: overall_tone(state, &files),
            progress: progress.map_or_else(|| "-".to_owned(), progress_words),
            files: files.word(),
            is_active: !files.is_over,
            is_failed: state.is_failed() || files.is_failed(),
        }
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
