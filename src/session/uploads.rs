//! What may be said of the files of a recording, recorder by recorder. Pure.
//!
//! A green word is a promise: each recorder that recorded has files of its own, and those of one
//! say nothing of another's.

use super::{Recorder, RegisterName, Reported, Session, Upload, UploadState};
use crate::event::EventType;
use std::collections::BTreeSet;

/// Streams of a shorter session alone, in ms, promise no file.
const SHORT_MS: u64 = 10 * 60 * 1000;

/// What may be said of the files of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploads {
    /// Of all.
    pub state: UploadState,
    /// Of each recorder that recorded, by uid, oldest first.
    pub each: Vec<(String, UploadState)>,
    /// Whether they are waited for: not all are accounted for, and no failure that rings says why.
    pub are_awaited: bool,
    /// The report that `state` follows from, if one does.
    pub reported: Option<Reported<Upload>>,
}

impl Uploads {
    /// The recorders whose files are accounted for, or those whose aren't.
    #[must_use]
    pub fn uids(&self, are_accounted_for: bool) -> String {
        let each = self.each.iter();
        let uids = each.filter(|(_, state)| state.is_confirmed() == are_accounted_for);
        uids.map(|(uid, _)| uid.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    }
}

impl Session {
    /// What may be said of the files. `covered`: the recorders whose files another's report
    /// confirms. `does_failure_ring`: whoever waits for files of a recorder that failed is told of
    /// the failure.
    #[must_use]
    pub fn uploads(&self, covered: &BTreeSet<String>, does_failure_ring: bool) -> Uploads {
        let recorded = self.recorded();
        let state_of = |one: &Recorder| match covered.contains(&one.uid) {
            true => UploadState::Confirmed,
            false => one.upload_state(),
        };
        let is_awaited = |one: &&Recorder| {
            !(state_of(one).is_confirmed() || does_failure_ring && self.rings(one))
        };
        let are_awaited = recorded.iter().any(is_awaited);
        let any = |state| recorded.iter().any(|one| state_of(one) == state);
        let accounted = recorded
            .iter()
            .filter(|one| state_of(one).is_confirmed())
            .count();
        let state = if recorded.is_empty() {
            UploadState::None
        } else if accounted == recorded.len() {
            if any(UploadState::Backup) {
                UploadState::Backup
            } else {
                UploadState::Confirmed
            }
        } else if accounted > 0 {
            UploadState::Partial
        } else if any(UploadState::Stranded) {
            UploadState::Stranded
        } else if are_awaited || recorded.iter().any(|one| one.newest_upload().is_some()) {
            UploadState::Unconfirmed
        } else {
            UploadState::None
        };
        let newest_first = || recorded.iter().rev();
        let decides = newest_first().find(|one| state_of(one) == state);
        let reported = decides.and_then(|one| one.upload().or_else(|| one.newest_upload()));
        Uploads {
            state,
            are_awaited,
            reported: reported.or_else(|| newest_first().find_map(|one| one.upload())),
            each: recorded
                .iter()
                .map(|one| (one.uid.clone(), state_of(one)))
                .collect(),
        }
    }

    /// The same, as far as the session alone knows.
    #[must_use]
    pub fn upload_state(&self, does_failure_ring: bool) -> UploadState {
        self.uploads(&BTreeSet::new(), does_failure_ring).state
    }

    /// The recorders that recorded something; where none is known to have, those that speak of an
    /// upload.
    fn recorded(&self) -> Vec<&Recorder> {
        use RegisterName::{OnDemand, Playlist, Progress, Slice, Snapshot, Stream, Upload};
        let any = |names: &[RegisterName]| self.recorders.iter().any(|one| one.has_any(names));
        let is_short = {
            let began = self.recorders.iter().filter_map(|one| one.since).min();
            let newest = self.recorders.iter().map(|one| one.last_sendts).max();
            newest.unwrap_or(0).saturating_sub(began.unwrap_or(0)) < SHORT_MS
        };
        let takes_snapshots = any(&[Snapshot]) && !any(&[Slice, Playlist, Progress]);
        let is_trifle = is_short && !any(&[Upload, Playlist, Progress, Slice]);
        let signs: &[RegisterName] = match takes_snapshots || is_trifle {
            true => &[Slice, Playlist],
            false => &[Slice, Playlist, Stream],
        };
        let those = |names: &[RegisterName]| {
            let all = self.recorders.iter();
            all.filter(|one| one.has_any(names) || one.recorded_a_page())
                .collect::<Vec<_>>()
        };
        let known = those(signs);
        if !known.is_empty() {
            // What one says of files that aren't where they belong counts, whatever else was lost.
            let has_files = |one: &&Recorder| match one.upload_state() {
                UploadState::Backup | UploadState::Stranded => true,
                UploadState::Confirmed
                | UploadState::Partial
                | UploadState::Unconfirmed
                | UploadState::None => false,
            };
            let is_known = |one: &&Recorder| known.iter().any(|other| other.uid == one.uid);
            let all = self.recorders.iter();
            return all.filter(|one| is_known(one) || has_files(one)).collect();
        }
        let reports =
            |one: &&Recorder| one.has_any(&[Progress, OnDemand]) || one.newest_upload().is_some();
        self.recorders.iter().filter(reports).collect()
    }

    /// True where the failure of a recorder rings by itself. A recorder that a signal killed rings
    /// only if none replaced it.
    fn rings(&self, recorder: &Recorder) -> bool {
        let is_at_work = self
            .current()
            .is_some_and(|current| current.uid == recorder.uid);
        let was_killed = recorder.killed().is_some();
        recorder.failure().is_some_and(|failure| {
            is_at_work || !was_killed || failure.value != EventType::RECORDER_LEAVE
        })
    }
}
