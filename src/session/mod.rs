//! The state of a recording session, the same whatever order its callbacks come in. Pure: no clock, no I/O.
//!
//! A session is a set of recorders, ordered by when each began; the newest is the one at work. Usually there is one. Agora's
//! failover starts another on the same `sid`, with another `uid` and a counter that may start again; its number in the order
//! is the `generation`. Each recorder has a [`Ledger`] of the callbacks that came and [`Register`]s with the newest thing said
//! under each name. Every part is a set, a minimum or a maximum, so that merging a callback in is commutative, associative and
//! idempotent: that is the whole proof of order independence, and why nothing here may look at what came before what.
//!
//! Must not know: DynamoDB, the clock, whether a callback came fast or late.

mod ledger;
mod register;

pub use ledger::{Ledger, MAX_RANGES, Noted, Range, WINDOW};
pub use register::{Fields, MAX_TEXT, Phase, Register, RegisterName, Scalar, phase};

use crate::event::Event;
use crate::notification::Notification;
use std::collections::BTreeMap;

/// More recorders than this aren't kept apart. Agora replaces a recorder three times at most.
pub const MAX_RECORDERS: usize = 8;

/// What one callback says about its session.
#[derive(Clone, Debug, PartialEq, Eq)]
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
}

impl Fact {
    /// What `notification` says about its session.
    #[must_use]
    pub fn of(notification: &Notification) -> Self {
        Self {
            uid: notification.uid.clone(),
            sequence: notification.sequence,
            sendts: notification.sendts,
            registers: register::registers(&notification.event, notification.event_type),
            new_uid: if let Event::SessionFailover { new_uid } = &notification.event {
                new_uid.clone()
            } else {
                None
            },
        }
    }

    /// False for a callback that only counts: a stream's, a snapshot's, one of an unknown type.
    #[must_use]
    pub fn tells_state(&self) -> bool {
        !self.registers.is_empty() || self.new_uid.is_some()
    }
}

/// One recorder of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorder {
    /// Its uid.
    pub uid: String,
    /// When event 12 announced it, ms since the epoch.
    pub announced_at: Option<u64>,
    /// `sendts` of its callback with the lowest number, ms since the epoch.
    pub since: Option<u64>,
    /// `sendts` of its callback with the highest number, ms since the epoch.
    pub last_sendts: u64,
    /// Which of its callbacks came.
    pub ledger: Ledger,
    /// The newest it said, by name.
    pub registers: BTreeMap<RegisterName, Register>,
}

impl Recorder {
    /// What orders recorders: when it was announced, else when it began; two that began together by uid.
    fn order(&self) -> (u64, &str) {
        (
            self.announced_at.or(self.since).unwrap_or(u64::MAX),
            &self.uid,
        )
    }

    fn put(&mut self, name: RegisterName, register: Register) -> bool {
        match self.registers.get(&name) {
            Some(stored) if *stored >= register && !self.is_announcement(stored) => false,
            Some(stored) if *stored == register => false,
            Some(_) | None => {
                self.registers.insert(name, register);
                true
            }
        }
    }

    /// Notes that it was announced: at work, though it may not have said a word. The earliest announcement counts.
    fn announce(&mut self, at: u64) -> bool {
        if self
            .announced_at
            .is_some_and(|announced_at| announced_at <= at)
        {
            return false;
        }
        let is_silent = self
            .registers
            .get(&RegisterName::Phase)
            .is_none_or(|phase| self.is_announcement(phase));
        self.announced_at = Some(at);
        if is_silent {
            self.registers.insert(RegisterName::Phase, announcement(at));
        }
        true
    }

    /// True if a phase is only that of its announcement: whatever it says itself counts more, whenever it was.
    fn is_announcement(&self, phase: &Register) -> bool {
        self.announced_at
            .is_some_and(|at| *phase == announcement(at))
    }
}

/// The phase of a recorder that was announced and hasn't told one itself.
fn announcement(at: u64) -> Register {
    Register {
        sequence: 0,
        at,
        fields: register::phase_fields(Phase::Starting),
    }
}

/// A session: its recorders, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// The recorders, ordered by when they began; at most [`MAX_RECORDERS`].
    pub recorders: Vec<Recorder>,
    /// How many older recorders were forgotten.
    pub forgotten: u64,
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

    /// The recorder that a callback under `uid` belongs to; one without a uid belongs to the recorder at work.
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

    /// The register that counts under `name` and the index of its recorder: the newest recorder's that has one. An exit counts
    /// for the recorder at work only: one that has been replaced can't end the session.
    #[must_use]
    pub fn register(&self, name: RegisterName) -> Option<(usize, &Register)> {
        let newest = self.recorders.len().saturating_sub(1);
        self.recorders
            .iter()
            .enumerate()
            .rev()
            .filter(|(index, _)| name != RegisterName::Exit || *index == newest)
            .find_map(|(index, recorder)| {
                recorder
                    .registers
                    .get(&name)
                    .map(|register| (index, register))
            })
    }

    /// Merges one callback in.
    pub fn apply(&mut self, fact: &Fact) -> Merged {
        let mut changed = false;
        if let Some(new_uid) = &fact.new_uid {
            changed |= self
                .recorder(new_uid, fact.sendts)
                .is_some_and(|recorder| recorder.announce(fact.sendts));
            self.order();
        }
        let from_zero = self.recorders.is_empty();
        let Some(recorder) = self.recorder(&fact.uid, fact.sendts) else {
            return Merged {
                noted: Noted::New,
                behind: true,
                changed,
            };
        };
        let last = recorder.ledger.last;
        let first = recorder.ledger.first;
        let noted = recorder.ledger.insert(fact.sequence, from_zero);
        changed |= noted == Noted::New;

        if first.is_none_or(|first| fact.sequence < first) {
            recorder.since = Some(fact.sendts);
        } else if first == Some(fact.sequence)
            && recorder.since.is_none_or(|since| fact.sendts < since)
        {
            recorder.since = Some(fact.sendts);
            changed = true;
        }
        if last.is_none_or(|last| fact.sequence > last) {
            recorder.last_sendts = fact.sendts;
        } else if last == Some(fact.sequence) && fact.sendts > recorder.last_sendts {
            recorder.last_sendts = fact.sendts;
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
        self.order();
        let at_work = self.current().is_some_and(|current| current.uid == uid);
        Merged {
            noted,
            behind: !at_work || last.is_some_and(|last| fact.sequence < last),
            changed,
        }
    }

    /// The recorder `uid`, put last if it is new; one without a uid is the recorder at work. `None` if there are too many
    /// recorders and this one, heard of at `at`, is older than all of them.
    fn recorder(&mut self, uid: &str, at: u64) -> Option<&mut Recorder> {
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
                .is_some_and(|oldest| (at, uid) < oldest.order())
            {
                return None;
            }
            self.recorders.remove(0);
            self.forgotten += 1;
        }
        self.recorders.push(Recorder {
            uid: uid.to_owned(),
            ..Recorder::default()
        });
        self.recorders.last_mut()
    }

    /// Puts the recorders in order again. Only the very first one's numbers count from zero.
    fn order(&mut self) {
        self.recorders
            .sort_by(|one, other| one.order().cmp(&other.order()));
        for (index, recorder) in self.recorders.iter_mut().enumerate() {
            recorder
                .ledger
                .lead_from_zero(index == 0 && self.forgotten == 0);
        }
    }
}

#[cfg(test)]
mod tests;
