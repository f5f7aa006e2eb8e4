//! The state of a recording session, the same whatever order its callbacks come in. Pure: no clock,
//! no I/O.
//!
//! A session is a set of recorders, ordered by when each began; the newest is the one at work.
//! Usually there is one. Agora's failover starts another on the same `sid`, with another `uid` and
//! a counter that may start again; its number in the order is the `generation`. Each recorder has a
//! [`Ledger`] of the callbacks that came and [`Register`]s with the newest thing said under each
//! name. Every part is a set, a minimum or a maximum, so that merging a callback in is commutative,
//! associative and idempotent: that is the whole proof of order independence, and why nothing here
//! may look at what came before what.
//!
//! Must not know: DynamoDB, the clock, whether a callback came fast or late.

mod ledger;
mod recorder;
mod register;

pub use crate::event::{Phase, Upload, UploadState, Work};
pub use ledger::{Ledger, MAX_RANGES, Noted, Range, WINDOW};
pub use recorder::{Recorder, Reported};
pub use register::{Fields, MAX_TEXT, Register, RegisterName, Scalar};

use crate::event::{EventType, LeaveStatus, Part, Sign};
use crate::notification::Notification;

/// More recorders than this aren't kept apart. Agora replaces a recorder three times at most.
pub const MAX_RECORDERS: usize = 8;

/// More ranges of missing callbacks than this aren't kept of a stage beside the recording.
const MAX_RANGES_BESIDE: usize = 10;

/// What one callback says about its session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fact {
    /// The recorder that speaks; empty if the callback doesn't say.
    pub uid: String,
    /// The callback's number.
    pub sequence: u64,
    /// When it happened, ms since the epoch.
    pub sendts: u64,
    /// What it says, by register.
    pub registers: Vec<(RegisterName, Fields)>,
    /// The recorder that it announces (event 12).
    pub new_uid: Option<String>,
    /// The recorder receives a stream.
    pub has_stream: bool,
    /// It comes from a stage beside the recording, and only counts.
    pub is_beside: bool,
}

impl Fact {
    /// What `notification` says about its session.
    #[must_use]
    pub fn of(notification: &Notification) -> Self {
        let meaning = notification.meaning();
        let event_type = notification.event_type;
        Self {
            uid: notification.uid.clone(),
            sequence: notification.sequence,
            sendts: notification.sendts,
            registers: register::registers(&notification.event, event_type, &meaning),
            new_uid: meaning.announces.map(str::to_owned),
            has_stream: meaning.sign == Some(Sign::Stream),
            is_beside: meaning.part == Part::Beside,
        }
    }

    /// True where it shows its recorder at work, which heals an earlier failure.
    #[must_use]
    pub(crate) fn shows_work(&self) -> bool {
        self.registers
            .iter()
            .any(|(name, _)| matches!(name, RegisterName::Started | RegisterName::Slice))
    }

    /// False for a callback that only counts: a stream's, a snapshot's, one of an unknown type.
    #[must_use]
    pub fn tells_state(&self) -> bool {
        !self.registers.is_empty() || self.new_uid.is_some()
    }
}

/// A session: its recorders, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// The recorders, ordered by when they began; at most [`MAX_RECORDERS`].
    pub recorders: Vec<Recorder>,
    /// How many older recorders were forgotten.
    pub forgotten: u64,
    /// Those of which only callbacks of a stage beside the recording came: they count, and say
    /// nothing. By uid; at most [`MAX_RECORDERS`].
    pub beside: Vec<Recorder>,
}

/// What merging a callback came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merged {
    /// What its recorder's ledger knew of its number.
    pub noted: Noted,
    /// Newer callbacks came before it, or a newer recorder is at work.
    pub behind: bool,
    /// The session is another one now.
    pub changed: bool,
}

impl Session {
    /// The recorder at work.
    #[must_use]
    pub fn current(&self) -> Option<&Recorder> {
        self.recorders.last()
    }

    /// The recorder that a callback under `uid` belongs to; one without a uid belongs to the
    /// recorder at work.
    #[must_use]
    pub fn recorder_of(&self, uid: &str) -> Option<&Recorder> {
        self.recorders
            .iter()
            .find(|recorder| recorder.uid == uid)
            .or_else(|| self.current())
    }

    /// How many recorders came before the one at work.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.forgotten + u64::try_from(self.recorders.len().saturating_sub(1)).unwrap_or(u64::MAX)
    }

    /// The generation of the recorder at `index`.
    #[must_use]
    pub fn generation_of(&self, index: usize) -> u64 {
        self.forgotten + u64::try_from(index).unwrap_or(u64::MAX)
    }

    /// The register that counts under `name` and the index of its recorder: the newest recorder's
    /// that has one. An exit and a failure count for the recorder at work only: one that has been
    /// replaced can't end the session.
    #[must_use]
    pub fn register(&self, name: RegisterName) -> Option<(usize, &Register)> {
        let newest = self.recorders.len().saturating_sub(1);
        self.recorders
            .iter()
            .enumerate()
            .rev()
            .filter(|(index, _)| !name.counts_at_work_only() || *index == newest)
            .find_map(|(index, recorder)| {
                recorder
                    .registers
                    .get(&name)
                    .map(|register| (index, register))
            })
    }

    /// What the recording does, if it is known.
    #[must_use]
    pub fn phase(&self) -> Option<Reported<Phase>> {
        self.newest(Recorder::phase)
    }

    /// The newest heartbeat.
    #[must_use]
    pub fn progress(&self) -> Option<Reported<Option<i64>>> {
        self.newest(Recorder::progress)
    }

    /// The newest error: its code, as it was told.
    #[must_use]
    pub fn last_error(&self) -> Option<Reported<Option<String>>> {
        self.newest(Recorder::last_error)
    }

    /// How the recorder at work exited, if it did.
    #[must_use]
    pub fn exit(&self) -> Option<Reported<Option<LeaveStatus>>> {
        self.current()?.exit()
    }

    /// The failure of the recorder at work: an orderly exit ends it, and doesn't heal it.
    #[must_use]
    pub fn failure(&self) -> Option<Reported<EventType>> {
        self.current()?.failure()
    }

    /// What was reported about the files of the newest recorder that has some, or is to have some.
    #[must_use]
    pub fn upload(&self) -> Option<Reported<Upload>> {
        self.newest_recording()?.upload()
    }

    /// The same, once the uploader is through, however it went.
    #[must_use]
    pub fn finished_upload(&self) -> Option<Reported<Upload>> {
        self.upload().filter(|upload| upload.value.is_over())
    }

    /// What may be said of all files: what was reported of those of the newest recorder, unless
    /// those of an earlier one aren't where they belong.
    #[must_use]
    pub fn reported_upload(&self) -> Option<Reported<Upload>> {
        let newest = self.finished_upload()?;
        if newest.value.state() != UploadState::Confirmed {
            return Some(newest);
        }
        let uploads = self.recorders.iter().rev().filter_map(Recorder::upload);
        let mut reported = uploads.filter(|upload| upload.value.is_over());
        let elsewhere = reported.find(|upload| upload.value.state() != UploadState::Confirmed);
        Some(elsewhere.unwrap_or(newest))
    }

    /// What became of the files. `does_failure_ring`: whoever waits for files of a recording that
    /// failed is told of the failure, and nothing is expected any more.
    #[must_use]
    pub fn upload_state(&self, does_failure_ring: bool) -> UploadState {
        match self.finished_upload() {
            Some(upload) => upload.value.state(),
            None if self.is_upload_expected(does_failure_ring) => UploadState::Unconfirmed,
            None => UploadState::None,
        }
    }

    /// True where files are to come: something was recorded, and it didn't fail with an alert of
    /// its own.
    #[must_use]
    pub fn is_upload_expected(&self, does_failure_ring: bool) -> bool {
        let failed = does_failure_ring && self.failure().is_some();
        self.has_recorded() && !failed
    }

    /// True where something was recorded.
    #[must_use]
    pub fn has_recorded(&self) -> bool {
        self.newest_recording().is_some()
    }

    fn newest_recording(&self) -> Option<&Recorder> {
        let mut newest_first = self.recorders.iter().rev();
        newest_first.find(|recorder| recorder.has_recorded())
    }

    fn newest<T>(&self, of: fn(&Recorder) -> Option<T>) -> Option<T> {
        self.recorders.iter().rev().find_map(of)
    }

    /// Merges one callback in.
    pub fn apply(&mut self, fact: &Fact) -> Merged {
        if fact.is_beside {
            return self.count(fact);
        }
        let mut changed = false;
        if let Some(new_uid) = &fact.new_uid {
            changed |= self
                .recorder_or_insert(new_uid, fact.sendts)
                .is_some_and(|recorder| recorder.announce(fact.sendts));
            self.sort();
        }
        let from_zero = self.recorders.is_empty();
        let Some(recorder) = self.recorder_or_insert(&fact.uid, fact.sendts) else {
            return Merged {
                noted: Noted::New,
                behind: true,
                changed,
            };
        };
        let last = recorder.ledger.last;
        let noted = recorder.note(fact.sequence, fact.sendts, from_zero, &mut changed);
        let first = recorder.since_sequence;
        if first.is_none_or(|first| fact.sequence < first)
            || (first == Some(fact.sequence)
                && recorder.since.is_none_or(|since| fact.sendts < since))
        {
            recorder.since = Some(fact.sendts);
            recorder.since_sequence = Some(fact.sequence);
            changed = true;
        }
        if fact.has_stream && !recorder.had_stream {
            recorder.had_stream = true;
            changed = true;
        }
        for (name, fields) in &fact.registers {
            let register = Register {
                sequence: fact.sequence,
                at: fact.sendts,
                fields: fields.clone(),
            };
            changed |= recorder.put(*name, register);
        }
        let uid = recorder.uid.clone();
        self.sort();
        let at_work = self.current().is_some_and(|current| current.uid == uid);
        Merged {
            noted,
            behind: !at_work || last.is_some_and(|last| fact.sequence < last),
            changed,
        }
    }

    /// Counts a callback of a stage beside the recording: with its recorder where there is one,
    /// else by itself. It opens none.
    fn count(&mut self, fact: &Fact) -> Merged {
        let mut changed = false;
        let is_nameless = fact.uid.is_empty();
        let index = self
            .recorders
            .iter()
            .position(|recorder| recorder.uid == fact.uid)
            .or_else(|| self.recorders.len().checked_sub(1).filter(|_| is_nameless));
        if let Some(recorder) = index.and_then(|index| self.recorders.get_mut(index)) {
            let last = recorder.ledger.last;
            let noted = recorder.note(fact.sequence, fact.sendts, false, &mut changed);
            return Merged {
                noted,
                behind: last.is_some_and(|last| fact.sequence < last),
                changed,
            };
        }
        let place = self.beside.binary_search_by(|one| one.uid.cmp(&fact.uid));
        if let Err(place) = place
            && self.beside.len() < MAX_RECORDERS
        {
            let recorder = Recorder {
                uid: fact.uid.clone(),
                ..Recorder::default()
            };
            self.beside.insert(place, recorder);
        }
        let index = place.unwrap_or_else(|place| place);
        let known = self.beside.get_mut(index);
        let Some(one) = known.filter(|one| one.uid == fact.uid) else {
            return Merged {
                noted: Noted::New,
                behind: false,
                changed: false,
            };
        };
        let last = one.ledger.last;
        let noted = match one.note(fact.sequence, fact.sendts, false, &mut changed) {
            // There is no archive for these: what is forgotten counts as known.
            Noted::Known | Noted::Archived => Noted::Known,
            Noted::New => Noted::New,
        };
        one.ledger.forget_all_but(MAX_RANGES_BESIDE);
        Merged {
            noted,
            behind: last.is_some_and(|last| fact.sequence < last),
            changed,
        }
    }

    /// The recorder `uid`, put last if it is new; one without a uid is the recorder at work. `None`
    /// if there are too many recorders and this one, heard of at `at`, is older than all of them.
    fn recorder_or_insert(&mut self, uid: &str, at: u64) -> Option<&mut Recorder> {
        let known = self
            .recorders
            .iter()
            .position(|recorder| recorder.uid == uid);
        if let Some(index) = known {
            return self.recorders.get_mut(index);
        }
        // A recorder that never said its uid is the one that now does.
        let nameless = self
            .recorders
            .last()
            .is_some_and(|newest| newest.uid.is_empty());
        if nameless || (uid.is_empty() && !self.recorders.is_empty()) {
            let newest = self.recorders.last_mut()?;
            if nameless {
                uid.clone_into(&mut newest.uid);
            }
            return Some(newest);
        }
        if self.recorders.len() >= MAX_RECORDERS {
            if self
                .recorders
                .first()
                .is_some_and(|oldest| (at, uid) < oldest.sort_key())
            {
                return None;
            }
            self.recorders.remove(0);
            self.forgotten += 1;
        }
        let counted = self
            .beside
            .iter()
            .position(|one| one.uid == uid || one.uid.is_empty());
        let mut recorder = counted.map_or_else(Recorder::default, |one| self.beside.remove(one));
        uid.clone_into(&mut recorder.uid);
        self.recorders.push(recorder);
        self.recorders.last_mut()
    }

    /// Puts the recorders in order again. Only the very first one's numbers count from zero.
    fn sort(&mut self) {
        self.recorders
            .sort_by(|one, other| one.sort_key().cmp(&other.sort_key()));
        for (index, recorder) in self.recorders.iter_mut().enumerate() {
            recorder
                .ledger
                .lead_from_zero(index == 0 && self.forgotten == 0);
        }
    }
}

#[cfg(test)]
mod tests;
