//! The state of a recording session, the same whatever order its callbacks come in. Pure: no clock,
//! no I/O.
//!
//! A session is a set of recorders, ordered by when each began; the newest that said something of
//! its own is the one at work. Usually there is one. Agora's failover starts another on the same
//! `sid`, with another `uid` and a counter that may start again; its number in the order is the
//! `generation`. Each recorder has a
//! [`Ledger`] of the callbacks that came and [`Register`]s with the newest thing said under each
//! name. Every part is a set, a minimum or a maximum, so that merging a callback in is commutative,
//! associative and idempotent: that is the whole proof of order independence, and why nothing here
//! may look at what came before what.
//!
//! Must not know: DynamoDB, the clock, whether a callback came fast or late.

mod ledger;
mod recorder;
mod register;
mod uploads;

pub use crate::event::{Phase, Upload, UploadState, Work};
pub use ledger::{Ledger, MAX_RANGES, Noted, Range, WINDOW};
pub use recorder::{Recorder, Reported};
pub(crate) use register::is_preliminary;
pub use register::{Fields, MAX_TEXT, Register, RegisterName, Scalar};
pub use uploads::Uploads;

use crate::event::{Event, EventType, LeaveStatus, Meaning, Part};
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
    /// It is its recorder's own word: anything but 1, 2 and 3, which a service may say that has
    /// none at work.
    pub is_own: bool,
    /// It comes from a stage beside the recording, and only counts.
    pub is_beside: bool,
}

impl Fact {
    /// What `notification` says about its session.
    #[must_use]
    pub fn of(notification: &Notification) -> Self {
        let Notification {
            uid,
            sequence,
            sendts,
            event_type,
            event,
            ..
        } = notification;
        Self::said(
            uid,
            (*sequence, *sendts),
            *event_type,
            event,
            &notification.meaning(),
        )
    }

    /// What the recorder `uid` said under a number, at a time (ms since the epoch).
    #[must_use]
    pub fn said(
        uid: &str,
        (sequence, sendts): (u64, u64),
        event_type: u32,
        event: &Event,
        meaning: &Meaning<'_>,
    ) -> Self {
        Self {
            uid: uid.to_owned(),
            sequence,
            sendts,
            registers: register::registers(event, event_type, meaning),
            new_uid: meaning.announces.map(str::to_owned),
            is_own: !EventType(event_type).is_of_any_service(),
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
        let mut names = self.registers.iter().map(|(name, _)| name);
        names.any(|name| name.tells_state()) || self.new_uid.is_some()
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
    /// The recorder at work: the newest that said something of its own. An announcement alone makes
    /// none, nor does an error: it may never come.
    #[must_use]
    pub fn current(&self) -> Option<&Recorder> {
        self.recorders.get(self.at_work()?)
    }

    /// Its index.
    #[must_use]
    pub fn at_work(&self) -> Option<usize> {
        let newest = |is: fn(&Recorder) -> bool| self.recorders.iter().rposition(is);
        newest(|one| one.has_own)
            .or_else(|| newest(|one| one.since.is_some()))
            .or_else(|| self.recorders.len().checked_sub(1))
    }

    /// Puts a session together that was taken apart: `uid` is at work, in this generation.
    #[must_use]
    pub fn assembled(
        recorders: Vec<Recorder>,
        beside: Vec<Recorder>,
        uid: &str,
        generation: u64,
    ) -> Self {
        let mut session = Self {
            recorders,
            forgotten: 0,
            beside,
        };
        session
            .recorders
            .sort_by(|one, other| one.sort_key().cmp(&other.sort_key()));
        let index = session.recorders.iter().position(|one| one.uid == uid);
        let index = index.and_then(|index| u64::try_from(index).ok());
        session.forgotten = generation.saturating_sub(index.unwrap_or(0));
        session
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
        self.generation_of(self.at_work().unwrap_or(0))
    }

    /// The generation of the recorder at `index`.
    #[must_use]
    pub fn generation_of(&self, index: usize) -> u64 {
        self.forgotten + u64::try_from(index).unwrap_or(u64::MAX)
    }

    /// The register that counts under `name` and the index of its recorder: that of the recorder
    /// at work, else the newest other's. An exit and a failure count for the recorder at work only:
    /// one that has been replaced can't end the session.
    #[must_use]
    pub fn register(&self, name: RegisterName) -> Option<(usize, &Register)> {
        let at_work = self.at_work();
        self.by_weight()
            .filter(|index| !name.counts_at_work_only() || Some(*index) == at_work)
            .find_map(|index| Some((index, self.recorders.get(index)?.registers.get(&name)?)))
    }

    /// The places of the recorders, those first that count more.
    fn by_weight(&self) -> impl Iterator<Item = usize> {
        let at_work = self.at_work();
        let others = (0..self.recorders.len()).rev();
        at_work
            .into_iter()
            .chain(others.filter(move |index| Some(*index) != at_work))
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

    fn newest<T>(&self, of: fn(&Recorder) -> Option<T>) -> Option<T> {
        self.by_weight()
            .find_map(|index| of(self.recorders.get(index)?))
    }

    /// Takes over the heartbeats of other recorders, and whoever sent nothing else.
    pub fn add_heartbeats(&mut self, others: &[Recorder]) {
        for other in others {
            let progress = other.registers.get(&RegisterName::Progress);
            if let Some(progress) = progress
                && let Some(own) = self.recorder_or_insert(&other.uid, other.since.unwrap_or(0))
            {
                own.put(RegisterName::Progress, progress.clone());
                own.since = own.since.or(other.since);
            }
            self.sort();
        }
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
        changed |= fact.is_own && !recorder.has_own;
        recorder.has_own |= fact.is_own;
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
        // A 12 speaks of a newer one.
        let at_work = fact.new_uid.is_none() && self.current().is_some_and(|one| one.uid == uid);
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
            .or_else(|| self.at_work().filter(|_| is_nameless));
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
        let nameless = self.current().is_some_and(|current| current.uid.is_empty());
        if nameless || (uid.is_empty() && !self.recorders.is_empty()) {
            let at_work = self.at_work()?;
            let current = self.recorders.get_mut(at_work)?;
            if nameless {
                uid.clone_into(&mut current.uid);
            }
            return Some(current);
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
