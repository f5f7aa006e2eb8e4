//! A model of what one destination is told, explored exhaustively, with the very functions that
//! decide in the product: three alerts, told alone or in digests by two sweepers, and what takes
//! each of them back; crashes between any two writes, answers that are lost, publishes that fail.
//!
//! Another destination of the same alerts never answers: what it was to be told stays pending for
//! ever, in the very items that are read here.

use super::assert_is_seen;
use agora_recording_callbacks::alert::{
    AlertId, Attempt, Closing, Delivery, Destination, Outgoing, Progress, Route, closing, route,
};
use stateright::{Checker, Model, Property};

const MEMBERS: usize = 3;
const SWEEPERS: usize = 2;
const DIGESTS: usize = 1;
const CRASHES: u8 = 1;
const LOSSES: u8 = 1;
/// The time, which stands still: what is due is due now, and a lease is over when its owner is.
const NOW: u64 = 10;
const LEASED: u64 = 20;
/// The destination that never answers.
const SILENT: Destination = Destination::Facts;

/// What the destination has heard of an incident.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Heard {
    opened: u8,
    closed: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Digest {
    delivery: Delivery,
    /// What closes it, once that is written down.
    resolution: Option<Delivery>,
    /// Those that it told of, when it was last published.
    told: [bool; MEMBERS],
    heard: Heard,
    /// A count of who is open, for the mistake of counting.
    open: u8,
}

/// What an alert, a digest, or what takes one back is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Item {
    Alert(usize),
    Back(usize),
    Digest(usize),
    Close(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Sweeper {
    Idle,
    Joins {
        digest: usize,
        next: usize,
    },
    Publishes(Item),
    /// Published, or not, and not noted yet.
    Notes(Item, bool),
    /// Has read that all of them are back.
    Closes {
        digest: usize,
        member: usize,
    },
    /// Has seen to it that they are told otherwise.
    Settles {
        member: usize,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    alerts: [Delivery; MEMBERS],
    backs: [Option<Delivery>; MEMBERS],
    heard: [Heard; MEMBERS],
    digests: [Option<Digest>; DIGESTS],
    sweepers: [Sweeper; SWEEPERS],
    crashes: u8,
    losses: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Went {
    Well,
    AnswerLost,
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    /// Something took an alert back.
    GetsBack(usize),
    PutDigest(usize),
    Claim(usize, Item),
    Join(usize),
    Publish(usize, Went),
    Note(usize),
    /// Reads a digest's members, for what takes one of them back.
    Read(usize, usize),
    Close(usize),
    Settle(usize),
    Crash(usize),
}

/// The protocol, and the mistakes that can be made in it.
#[derive(Clone, Copy, Debug)]
struct Protocol {
    at: Destination,
    /// Takes nothing back until every destination was told.
    waits_for_all: bool,
    /// Lets what was tried alone join a digest.
    joins_what_was_tried: bool,
    /// Counts who is open, at every try.
    counts: bool,
}

const SOUND: Protocol = Protocol {
    at: Destination::Alerts,
    waits_for_all: false,
    joins_what_was_tried: false,
    counts: false,
};

fn id(digest: usize) -> AlertId {
    let id = format!("digest#2026-03-02/alert#session_silent#{digest:016}");
    AlertId::parse(&id).unwrap()
}

/// An item: what this destination was told, and another one that never answers. What the time and
/// the tries are makes no difference here.
fn outgoing(at: Destination, delivery: &Delivery) -> Outgoing {
    let silent = Delivery::claimed("nobody", LEASED);
    Outgoing {
        to: [(at, delivery.clone()), (SILENT, silent)].into(),
        ..Outgoing::default()
    }
}

fn is_sent(delivery: &Delivery) -> bool {
    !delivery.is_pending()
}

impl State {
    fn delivery(&mut self, item: Item) -> Option<&mut Delivery> {
        match item {
            Item::Alert(n) => Some(&mut self.alerts[n]),
            Item::Back(n) => self.backs[n].as_mut(),
            Item::Digest(d) => self.digests[d].as_mut().map(|digest| &mut digest.delivery),
            Item::Close(d) => self.digests[d].as_mut()?.resolution.as_mut(),
        }
    }

    /// True while a sweeper that lives is at it: its lease isn't over.
    fn is_at_it(&self, item: Item) -> bool {
        self.sweepers.iter().any(|sweeper| match sweeper {
            Sweeper::Idle => false,
            Sweeper::Joins { digest, .. } => item == Item::Digest(*digest),
            Sweeper::Publishes(of) | Sweeper::Notes(of, _) => *of == item,
            Sweeper::Closes { member, .. } | Sweeper::Settles { member } => {
                item == Item::Back(*member)
            }
        })
    }

    fn can_join(&self, n: usize, protocol: Protocol) -> bool {
        let alert = &self.alerts[n];
        let is_free = alert.is_pending() && !self.is_at_it(Item::Alert(n));
        alert.can_join(NOW) || (protocol.joins_what_was_tried && is_free)
    }

    fn is_back(&self, n: usize) -> bool {
        self.backs[n].is_some()
    }

    /// What has to be told before an incident is closed.
    fn all_is_over(&self) -> bool {
        let digests = self.digests.iter().flatten();
        self.alerts.iter().all(is_sent)
            && self
                .backs
                .iter()
                .all(|back| back.as_ref().is_some_and(is_sent))
            && digests
                .clone()
                .all(|it| is_sent(&it.delivery) && it.resolution.as_ref().is_none_or(is_sent))
    }
}

impl Protocol {
    fn route(self, state: &State, n: usize) -> Route {
        let origin = outgoing(self.at, &state.alerts[n]);
        if self.waits_for_all && matches!(origin.progress(), Progress::Due(_)) {
            return Route::Waits;
        }
        route(Some(&origin), self.at)
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            alerts: [(); MEMBERS].map(|()| Delivery::unclaimed(NOW)),
            backs: [(); MEMBERS].map(|()| None),
            heard: [Heard::default(); MEMBERS],
            digests: [(); DIGESTS].map(|()| None),
            sweepers: [Sweeper::Idle; SWEEPERS],
            crashes: CRASHES,
            losses: LOSSES,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for n in 0..MEMBERS {
            if state.backs[n].is_none() {
                actions.push(Action::GetsBack(n));
            }
        }
        for (s, sweeper) in state.sweepers.iter().enumerate() {
            match sweeper {
                Sweeper::Idle => {
                    let joinable = (0..MEMBERS).filter(|n| state.can_join(*n, *self)).count();
                    if joinable >= 2 && state.digests.iter().any(Option::is_none) {
                        actions.push(Action::PutDigest(s));
                    }
                    for n in 0..MEMBERS {
                        if state.alerts[n].is_pending() && !state.is_at_it(Item::Alert(n)) {
                            actions.push(Action::Claim(s, Item::Alert(n)));
                        }
                        let back = state.backs[n].as_ref();
                        let is_due = back.is_some_and(Delivery::is_pending);
                        if !is_due || state.is_at_it(Item::Back(n)) {
                            continue;
                        }
                        match self.route(state, n) {
                            Route::Alone => actions.push(Action::Claim(s, Item::Back(n))),
                            Route::Digest(_) => actions.push(Action::Read(s, n)),
                            Route::Waits | Route::Needless | Route::Kept => {}
                        }
                    }
                    for (d, digest) in state.digests.iter().enumerate() {
                        let Some(digest) = digest else { continue };
                        if digest.delivery.is_pending() && !state.is_at_it(Item::Digest(d)) {
                            actions.push(Action::Claim(s, Item::Digest(d)));
                        }
                        let close = digest.resolution.as_ref();
                        let is_due = close.is_some_and(Delivery::is_pending);
                        if is_due && !state.is_at_it(Item::Close(d)) {
                            actions.push(Action::Claim(s, Item::Close(d)));
                        }
                    }
                    continue;
                }
                Sweeper::Joins { .. } => actions.push(Action::Join(s)),
                Sweeper::Publishes(_) => {
                    actions.push(Action::Publish(s, Went::Well));
                    if state.losses > 0 {
                        actions.push(Action::Publish(s, Went::AnswerLost));
                        actions.push(Action::Publish(s, Went::Failed));
                    }
                }
                Sweeper::Notes(..) => actions.push(Action::Note(s)),
                Sweeper::Closes { .. } => actions.push(Action::Close(s)),
                Sweeper::Settles { .. } => actions.push(Action::Settle(s)),
            }
            if state.crashes > 0 {
                actions.push(Action::Crash(s));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::GetsBack(n) => state.backs[n] = Some(Delivery::unclaimed(NOW)),
            Action::PutDigest(s) => {
                let digest = state.digests.iter().position(Option::is_none)?;
                state.digests[digest] = Some(Digest {
                    delivery: Delivery::claimed(&s.to_string(), LEASED),
                    resolution: None,
                    told: [false; MEMBERS],
                    heard: Heard::default(),
                    open: 0,
                });
                state.sweepers[s] = Sweeper::Joins { digest, next: 0 };
            }
            Action::Claim(s, item) => {
                let delivery = state.delivery(item)?;
                // Whoever held it is dead.
                end_lease(delivery);
                if !delivery.claim(&s.to_string(), NOW, LEASED) {
                    return None;
                }
                state.sweepers[s] = match item {
                    Item::Digest(digest) => Sweeper::Joins { digest, next: 0 },
                    Item::Alert(_) | Item::Back(_) | Item::Close(_) => Sweeper::Publishes(item),
                };
            }
            Action::Join(s) => {
                let Sweeper::Joins { digest, next } = state.sweepers[s] else {
                    return None;
                };
                if self.joins_what_was_tried && state.can_join(next, *self) {
                    state.alerts[next] = Delivery::unclaimed(NOW);
                }
                state.alerts[next].join(&id(digest), NOW);
                state.sweepers[s] = if next + 1 < MEMBERS {
                    let next = next + 1;
                    Sweeper::Joins { digest, next }
                } else {
                    Sweeper::Publishes(Item::Digest(digest))
                };
            }
            Action::Publish(s, went) => {
                let Sweeper::Publishes(item) = state.sweepers[s] else {
                    return None;
                };
                state.losses -= u8::from(went != Went::Well);
                if went != Went::Failed {
                    self.hear(&mut state, item)?;
                }
                state.sweepers[s] = Sweeper::Notes(item, went == Went::Well);
            }
            Action::Note(s) => {
                let Sweeper::Notes(item, is_well) = state.sweepers[s] else {
                    return None;
                };
                let attempt = if is_well {
                    Attempt::Told(String::new())
                } else {
                    Attempt::Failed
                };
                let delivery = state.delivery(item)?;
                delivery.note(&s.to_string(), &attempt, NOW, NOW);
                if !is_well {
                    end_lease(delivery);
                }
                state.sweepers[s] = Sweeper::Idle;
            }
            Action::Read(s, member) => {
                let Route::Digest(of) = self.route(&state, member) else {
                    return None;
                };
                let digest = (0..DIGESTS).find(|d| id(*d) == of)?;
                let members = (0..MEMBERS).filter(|n| state.alerts[*n].is_told_in(&of));
                let is_back: Vec<_> = members.map(|n| state.is_back(n)).collect();
                let item = state.digests[digest].as_mut()?;
                let mut decided = closing(
                    &outgoing(self.at, &item.delivery),
                    self.at,
                    is_back.into_iter(),
                );
                if self.counts && decided != Closing::Waits {
                    item.open = item.open.saturating_sub(1);
                    decided = if item.open == 0 {
                        Closing::Resolve
                    } else {
                        Closing::Update
                    };
                }
                state.sweepers[s] = match decided {
                    Closing::Waits | Closing::Kept => return None,
                    Closing::Resolve => Sweeper::Closes { digest, member },
                    Closing::Update if self.at == Destination::Alerts => {
                        let back = state.backs[member].as_mut()?;
                        end_lease(back);
                        back.claim(&s.to_string(), NOW, LEASED);
                        Sweeper::Publishes(Item::Back(member))
                    }
                    Closing::Update => Sweeper::Settles { member },
                };
            }
            Action::Close(s) => {
                let Sweeper::Closes { digest, member } = state.sweepers[s] else {
                    return None;
                };
                let resolution = &mut state.digests[digest].as_mut()?.resolution;
                resolution.get_or_insert_with(|| Delivery::unclaimed(NOW));
                state.sweepers[s] = Sweeper::Settles { member };
            }
            Action::Settle(s) => {
                let Sweeper::Settles { member } = state.sweepers[s] else {
                    return None;
                };
                let back = state.backs[member].as_mut()?;
                end_lease(back);
                back.settle(Delivery::Needless, NOW);
                state.sweepers[s] = Sweeper::Idle;
            }
            Action::Crash(s) => {
                state.crashes -= 1;
                state.sweepers[s] = Sweeper::Idle;
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "who is in a digest that was told was named",
                |_, state: &State| {
                    let digests = state.digests.iter().enumerate();
                    digests
                        .filter_map(|(d, digest)| Some((d, digest.as_ref()?)))
                        .filter(|(_, digest)| matches!(digest.delivery, Delivery::Told { .. }))
                        .all(|(d, digest)| {
                            let mut members = 0..MEMBERS;
                            members.all(|n| !state.alerts[n].is_told_in(&id(d)) || digest.told[n])
                        })
                },
            ),
            Property::always(EARLY, |_, state: &State| {
                let alone = state.heard.iter().enumerate();
                let digests = state.digests.iter().flatten();
                alone
                    .into_iter()
                    .all(|(n, heard)| heard.closed == 0 || state.is_back(n))
                    && digests.clone().all(|digest| {
                        let mut told = (0..MEMBERS).filter(|n| digest.told[*n]);
                        digest.heard.closed == 0 || told.all(|n| state.is_back(n))
                    })
            }),
            Property::always(
                "nothing is closed that was never opened there",
                |_, state: &State| {
                    let digests = state.digests.iter().flatten().map(|digest| digest.heard);
                    let mut all = state.heard.iter().copied().chain(digests);
                    all.all(|heard| heard.closed == 0 || heard.opened > 0)
                },
            ),
            Property::always(TWICE, |_, state: &State| {
                let digests = state.digests.iter().flatten().map(|digest| digest.heard);
                let all = state.heard.iter().copied().chain(digests);
                let again = all.map(|it| it.opened.saturating_sub(1) + it.closed.saturating_sub(1));
                again.sum::<u8>() <= (CRASHES - state.crashes) + (LOSSES - state.losses)
            }),
            Property::always(LEFT_OPEN, |_, state: &State| {
                let digests = state.digests.iter().flatten().map(|digest| digest.heard);
                let mut all = state.heard.iter().copied().chain(digests);
                !state.all_is_over() || all.all(|heard| heard.opened == 0 || heard.closed > 0)
            }),
            Property::eventually("all is told, and taken back", |_, state: &State| {
                state.all_is_over()
            }),
            Property::sometimes("one leaves alone, the others as one", |_, state: &State| {
                let alone = state.heard.iter().filter(|heard| heard.opened > 0).count();
                let digests = state.digests.iter().flatten();
                let is_told = |digest: &Digest| digest.told.iter().filter(|it| **it).count() == 2;
                state.all_is_over() && alone == 1 && digests.clone().any(is_told)
            }),
        ]
    }
}

const EARLY: &str = "no incident is closed before the last of what it stands for";
const LEFT_OPEN: &str = "no incident is left open";
const TWICE: &str = "twice only after a crash or an answer that was lost";

impl Protocol {
    /// The destination hears of an item.
    fn hear(self, state: &mut State, item: Item) -> Option<()> {
        match item {
            Item::Alert(n) => state.heard[n].opened += 1,
            Item::Back(n) => {
                if let Route::Alone = self.route(state, n) {
                    state.heard[n].closed += 1;
                }
            }
            Item::Digest(d) => {
                let told = [0, 1, 2].map(|n| state.alerts[n].is_told_in(&id(d)));
                let digest = state.digests[d].as_mut()?;
                if told != [false; MEMBERS] {
                    digest.heard.opened += 1;
                }
                digest.told = told;
                digest.open = u8::try_from(told.iter().filter(|told| **told).count()).ok()?;
            }
            Item::Close(d) => state.digests[d].as_mut()?.heard.closed += 1,
        }
        Some(())
    }
}

/// Its owner is dead, or has put it off: the time comes when it is due.
fn end_lease(delivery: &mut Delivery) {
    if let Delivery::Pending {
        owner,
        due_at,
        tries,
        ..
    } = delivery
    {
        owner.clear();
        *due_at = NOW;
        *tries = 0;
    }
}

#[test]
fn every_incident_is_closed_with_the_last_of_what_it_stands_for() {
    for at in [Destination::Alerts, Destination::Critical] {
        let protocol = Protocol { at, ..SOUND };
        let checker = protocol.checker().threads(2).spawn_bfs().join();
        println!(
            "proved: {} states of what one destination is told, {} of them different, no violation",
            checker.state_count(),
            checker.unique_state_count()
        );
        assert!(checker.unique_state_count() > 10_000);
        checker.assert_properties();
    }
}

#[test]
fn the_model_sees_the_mistakes_that_can_be_made_with_digests() {
    for (mistake, property) in [
        (
            Protocol {
                waits_for_all: true,
                ..SOUND
            },
            "all is told, and taken back",
        ),
        (
            Protocol {
                joins_what_was_tried: true,
                ..SOUND
            },
            LEFT_OPEN,
        ),
        (
            Protocol {
                counts: true,
                ..SOUND
            },
            EARLY,
        ),
    ] {
        assert_is_seen(mistake, property);
    }
}
