//! What each destination was told of an alert, or of a notice for programs: the states, and every
//! step from one to the next. Pure; `store` writes a step on condition that nobody wrote meanwhile.
//!
//! Each destination has a state of its own, and nothing that happens at one changes another's. So
//! one that fails, hangs or is gone holds up nothing elsewhere.

use super::{AlertId, Destination};
use std::collections::BTreeMap;

/// How long something is tried before it is given up, in ms.
pub const GIVE_UP_MS: u64 = 24 * 60 * 60 * 1000;
/// The first pause after a try that failed, in ms; it doubles with every further one.
const BACKOFF_MS: u64 = 15_000;
/// The longest pause between two tries, in ms.
const MAX_BACKOFF_MS: u64 = 5 * 60 * 1000;

/// What became of something at one destination.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// It still has to be told.
    Pending {
        /// Who may tell it until `due_at`; empty where nobody has claimed it.
        owner: String,
        /// From when on anybody may claim it, ms since the epoch.
        due_at: u64,
        /// How often it was claimed.
        tries: u64,
        /// Somebody may have told it under its own name: it joins no digest any more.
        is_tried: bool,
    },
    /// It was told.
    Told {
        /// When, ms since the epoch.
        at: u64,
        /// The digest that it was told in; `None` under its own name.
        digest: Option<AlertId>,
        /// The id that the topic or the bus gave it; empty in a digest.
        message_id: String,
    },
    /// Nothing has to be said of it there.
    Needless,
    /// It was tried for a day and given up.
    Failed {
        /// How often it was tried.
        tries: u64,
    },
}

/// What became of something, by destination.
pub type Deliveries = BTreeMap<Destination, Delivery>;

/// Something that has to leave, whatever it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// When it was written down, ms since the epoch.
    pub created_at: u64,
    /// Counts its writes.
    pub version: u64,
    /// What each destination was told of it.
    pub to: Deliveries,
}

/// How telling a destination went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It was told; the topic or the bus gave it this id.
    Told(String),
    /// There was nothing to say.
    Needless,
    /// It wasn't tried, and is left to the next sweep; whether it was tried before.
    Left {
        /// Whether it had been tried before it was claimed.
        was_tried: bool,
    },
    /// It failed.
    Failed,
}

/// Where something stands, all destinations together: its place in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Something is to be done at this time, ms since the epoch.
    Due(u64),
    /// All is told but what was given up.
    Failed,
    /// All is told, the last of it at this time, ms since the epoch.
    Told(u64),
    /// There was nothing to tell anybody.
    Needless,
}

impl Delivery {
    /// What nobody has claimed yet, and anybody may from `due_at` on.
    #[must_use]
    pub fn unclaimed(due_at: u64) -> Self {
        Self::Pending {
            owner: String::new(),
            due_at,
            tries: 0,
            is_tried: false,
        }
    }

    /// What its writer tells by itself until `due_at`.
    #[must_use]
    pub fn claimed(owner: &str, due_at: u64) -> Self {
        Self::Pending {
            owner: owner.to_owned(),
            due_at,
            tries: 1,
            is_tried: true,
        }
    }

    /// True if it still has to be told.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        matches!(self, Self::Pending { .. })
    }

    /// True if it still has to be told, and nobody else is at it.
    #[must_use]
    pub fn is_due(&self, owner: &str, now_ms: u64) -> bool {
        matches!(self, Self::Pending { owner: by, due_at, .. }
            if *due_at <= now_ms || (!by.is_empty() && by == owner))
    }

    /// True if it can be told in a digest: it is due, and was never tried under its own name.
    #[must_use]
    pub fn can_join(&self, now_ms: u64) -> bool {
        matches!(self, Self::Pending { due_at, is_tried, .. } if *due_at <= now_ms && !is_tried)
    }

    /// Claims it until `until` for `owner`, under its own name; false if somebody else is at it, or
    /// it is done.
    pub fn claim(&mut self, owner: &str, now_ms: u64, until: u64) -> bool {
        let is_due = self.is_due(owner, now_ms);
        match self {
            Self::Pending {
                owner: by,
                due_at,
                tries,
                is_tried,
            } if is_due => {
                // What is ours already stays as it is.
                if *due_at <= now_ms {
                    *tries += 1;
                    owner.clone_into(by);
                    *due_at = until;
                    *is_tried = true;
                }
                true
            }
            Self::Pending { .. } | Self::Told { .. } | Self::Needless | Self::Failed { .. } => {
                false
            }
        }
    }

    /// Lets `digest` tell it, if it can join one; true if `digest` tells it.
    pub fn join(&mut self, digest: &AlertId, now_ms: u64) -> bool {
        if self.can_join(now_ms) {
            *self = Self::Told {
                at: now_ms,
                digest: Some(digest.clone()),
                message_id: String::new(),
            };
        }
        self.is_told_in(digest)
    }

    /// True if it was told in this digest.
    #[must_use]
    pub fn is_told_in(&self, digest: &AlertId) -> bool {
        matches!(self, Self::Told { digest: Some(by), .. } if by == digest)
    }

    /// Notes how telling it went; false, and nothing is noted, if it isn't `owner`'s any more.
    pub fn note(&mut self, owner: &str, attempt: &Attempt, now_ms: u64, created_at: u64) -> bool {
        let Self::Pending {
            owner: by,
            due_at,
            tries,
            is_tried,
        } = self
        else {
            return false;
        };
        if by != owner {
            return false;
        }
        match attempt {
            Attempt::Told(message_id) => {
                *self = Self::Told {
                    at: now_ms,
                    digest: None,
                    message_id: message_id.clone(),
                };
            }
            Attempt::Needless => *self = Self::Needless,
            Attempt::Left { was_tried } => {
                by.clear();
                *due_at = now_ms;
                *tries = tries.saturating_sub(1);
                *is_tried = *was_tried;
            }
            Attempt::Failed if created_at.saturating_add(GIVE_UP_MS) <= now_ms => {
                *self = Self::Failed { tries: *tries };
            }
            Attempt::Failed => {
                by.clear();
                *due_at = now_ms + backoff_ms(*tries);
            }
        }
        true
    }

    /// Settles what nobody has claimed: as `Needless`, or as given up with what it takes back;
    /// false if somebody is at it, or it is done.
    pub fn settle(&mut self, settled: Self, now_ms: u64) -> bool {
        let is_free = self.is_due("", now_ms);
        if is_free {
            *self = settled;
        }
        is_free
    }

    /// Makes what was given up due again.
    pub fn reopen(&mut self, now_ms: u64) -> bool {
        let Self::Failed { tries } = *self else {
            return false;
        };
        *self = Self::Pending {
            owner: String::new(),
            due_at: now_ms,
            tries,
            is_tried: true,
        };
        true
    }
}

impl Outgoing {
    /// Where it stands.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let (mut due, mut failed, mut told) = (None, false, None);
        for delivery in self.to.values() {
            match delivery {
                Delivery::Pending { due_at, .. } => {
                    due = Some(due.map_or(*due_at, |due: u64| due.min(*due_at)));
                }
                Delivery::Told { at, .. } => told = told.max(Some(*at)),
                Delivery::Needless => {}
                Delivery::Failed { .. } => failed = true,
            }
        }
        match (due, failed, told) {
            (Some(due_at), _, _) => Progress::Due(due_at),
            (None, true, _) => Progress::Failed,
            (None, false, Some(at)) => Progress::Told(at),
            (None, false, None) => Progress::Needless,
        }
    }
}

/// How what takes an alert back leaves at a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// What it takes back has to be told first.
    Waits,
    /// Under the incident of the alert itself, which was told alone.
    Alone,
    /// It was told in this digest: whether that is closed is in the other members.
    Digest(AlertId),
    /// That destination was never told of the alert.
    Needless,
    /// What it takes back was given up there: it is kept, in case that is sent again.
    Kept,
}

/// How what takes an alert back leaves at a destination that has heard this of it. Of an alert
/// that isn't there any more nobody knows what became: it counts as told.
#[must_use]
pub fn route(origin: Option<&Outgoing>, at: Destination) -> Route {
    let Some(origin) = origin else {
        return Route::Alone;
    };
    match origin.to.get(&at) {
        None | Some(Delivery::Needless) => Route::Needless,
        Some(Delivery::Pending { .. }) => Route::Waits,
        Some(Delivery::Failed { .. }) => Route::Kept,
        Some(Delivery::Told { digest: None, .. }) => Route::Alone,
        Some(Delivery::Told {
            digest: Some(digest),
            ..
        }) => Route::Digest(digest.clone()),
    }
}

/// How what takes a member of a digest back leaves at a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// The digest has to be told first.
    Waits,
    /// Others are still open: people are told who is back, a pager isn't.
    Update,
    /// The digest's incident is closed, which tells of all of them.
    Resolve,
    /// The digest was given up: it is kept, in case that is sent again.
    Kept,
}

/// How a digest's members are taken back at the destination that was told of it. `is_back` says of
/// each member that the digest tells of whether it has been taken back.
#[must_use]
pub fn closing(
    digest: &Outgoing,
    at: Destination,
    mut is_back: impl Iterator<Item = bool>,
) -> Closing {
    match digest.to.get(&at) {
        Some(Delivery::Pending { .. }) => Closing::Waits,
        Some(Delivery::Failed { .. }) => Closing::Kept,
        Some(Delivery::Told { .. } | Delivery::Needless) | None => {
            if is_back.all(|is_back| is_back) {
                Closing::Resolve
            } else {
                Closing::Update
            }
        }
    }
}

/// How long to wait after the `tries`-th try, in ms.
fn backoff_ms(tries: u64) -> u64 {
    let doublings = u32::try_from(tries.saturating_sub(1)).unwrap_or(u32::MAX);
    let factor = 2_u64.checked_pow(doublings).unwrap_or(u64::MAX);
    BACKOFF_MS.saturating_mul(factor).min(MAX_BACKOFF_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Destination::{Alerts, Critical, Facts};

    fn digest() -> AlertId {
        AlertId::parse("digest#2026-03-02/alert#session_silent#0123456789abcdef").unwrap()
    }

    fn told(digest: Option<AlertId>) -> Delivery {
        Delivery::Told {
            at: 5,
            digest,
            message_id: String::new(),
        }
    }

    #[test]
    fn tries_are_further_and_further_apart() {
        let pauses: Vec<_> = [0, 1, 2, 3, 5, 6, 99, u64::MAX]
            .map(backoff_ms)
            .into_iter()
            .map(|ms| ms / 1000)
            .collect();
        assert_eq!(pauses, [15, 15, 30, 60, 240, 300, 300, 300]);
    }

    #[test]
    fn what_was_tried_under_its_own_name_joins_no_digest() {
        let mut left = Delivery::unclaimed(10);
        assert!(!left.join(&digest(), 9), "it isn't due");
        assert!(left.join(&digest(), 10) && left.is_told_in(&digest()));
        assert!(
            left.join(&digest(), 11),
            "whoever takes the digest over finds it"
        );

        let mut claimed = Delivery::unclaimed(10);
        assert!(claimed.claim("one", 10, 20) && !claimed.claim("other", 19, 30));
        assert!(!claimed.can_join(20), "its owner may have told it");
        let leave = Attempt::Left { was_tried: false };
        assert!(!claimed.note("other", &leave, 15, 0));
        assert!(claimed.note("one", &leave, 15, 0) && claimed.can_join(15));

        assert!(claimed.claim("one", 15, 30) && claimed.note("one", &Attempt::Failed, 16, 0));
        assert!(!claimed.can_join(u64::MAX));
        assert!(claimed.claim("other", 16 + BACKOFF_MS, u64::MAX));
    }

    #[test]
    fn after_a_day_it_is_given_up_and_can_be_sent_again() {
        let mut delivery = Delivery::claimed("one", 20);
        assert!(delivery.note("one", &Attempt::Failed, GIVE_UP_MS, 0));
        assert_eq!(delivery, Delivery::Failed { tries: 1 });
        assert!(!delivery.claim("one", u64::MAX, u64::MAX) && delivery.reopen(7));
        assert!(delivery.is_due("other", 7) && !delivery.can_join(7));
    }

    #[test]
    fn what_one_destination_does_changes_nothing_at_another() {
        let mut outgoing = Outgoing {
            to: [
                (Critical, Delivery::claimed("one", 20)),
                (Alerts, Delivery::unclaimed(10)),
                (Facts, told(None)),
            ]
            .into(),
            ..Outgoing::default()
        };
        assert_eq!(outgoing.progress(), Progress::Due(10));
        for (origin, at, expected) in [
            (Some(&outgoing), Critical, Route::Waits),
            (Some(&outgoing), Alerts, Route::Waits),
            (Some(&outgoing), Facts, Route::Alone),
            (Some(&outgoing), Destination::Incidents, Route::Needless),
            (None, Alerts, Route::Alone),
        ] {
            assert_eq!(route(origin, at), expected, "{at:?}");
        }
        outgoing.to.insert(Alerts, told(Some(digest())));
        outgoing.to.insert(Critical, Delivery::Failed { tries: 9 });
        assert_eq!(route(Some(&outgoing), Alerts), Route::Digest(digest()));
        assert_eq!(route(Some(&outgoing), Critical), Route::Kept);
        assert_eq!(outgoing.progress(), Progress::Failed);
        outgoing.to.insert(Critical, Delivery::Needless);
        assert_eq!(outgoing.progress(), Progress::Told(5));
    }

    #[test]
    fn a_digest_is_closed_when_all_that_it_tells_of_are_back() {
        let digest = |delivery| Outgoing {
            to: [(Alerts, delivery)].into(),
            ..Outgoing::default()
        };
        for (delivery, is_back, expected) in [
            (Delivery::claimed("one", 20), [true, true], Closing::Waits),
            (Delivery::Failed { tries: 1 }, [true, true], Closing::Kept),
            (told(None), [true, false], Closing::Update),
            (told(None), [true, true], Closing::Resolve),
        ] {
            let closing = closing(&digest(delivery), Alerts, is_back.into_iter());
            assert_eq!(closing, expected);
        }
    }
}
