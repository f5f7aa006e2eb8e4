//! A model of how an alert is written down, claimed, published, marked and swept, explored
//! exhaustively: two receivers with doubled copies, a sweeper, crashes, lost answers, an owner that
//! is so slow that its lease runs out. Its actions are named after the functions they stand for.
//!
//! What it leaves out: two alerts never touch the same item, so there is one; once an owner has
//! begun to publish, its lease lasts, because it looks at it first and leaves room for the mark.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod digest;
mod watch;

use stateright::{Checker, HasDiscoveries, Model, Property};
use std::fmt::Debug;
use std::hash::Hash;

const RECEIVERS: usize = 2;
const COPIES: u8 = 3;
const CRASHES: u8 = 2;
/// Answers that are lost, and owners that are too slow.
const LOSSES: u8 = 3;

/// The alert's item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Item {
    is_sent: bool,
    owner: u8,
    is_due: bool,
}

/// Where the sending of an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Sending {
    Publish,
    MarkSent,
    Over,
}

/// One invocation of a receiver. After its claim the writes and the sending go on at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Receiver {
    Idle,
    Claiming {
        owner: u8,
    },
    Working {
        owner: u8,
        has_event: bool,
        has_session: bool,
        sending: Sending,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Sweeper {
    Idle,
    Sending { owner: u8, sending: Sending },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    item: Option<Item>,
    has_event: bool,
    has_session: bool,
    receivers: [Receiver; RECEIVERS],
    sweeper: Sweeper,
    next_owner: u8,
    copies: u8,
    crashes: u8,
    losses: u8,
    published: u8,
    /// Publishes of which nobody knows.
    unknown: u8,
    is_acknowledged: bool,
}

/// Whether the answer of a request arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Answer {
    Arrives,
    IsLost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Actor {
    Receiver(usize),
    Sweeper,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    Deliver(usize),
    ClaimAlert(usize, Answer),
    PutEvent(usize, Answer),
    WriteSession(usize, Answer),
    Reply(usize),
    ClaimDue(Answer),
    Publish(Actor, Answer),
    PublishFails(Actor),
    MarkSent(Actor, Answer),
    /// Its lease is over before it publishes: it leaves the alert to others.
    GiveUp(Actor),
    Crash(Actor),
    LeaseRunsOut,
}

/// The protocol, and the mistakes that can be made in it.
#[derive(Clone, Copy, Debug, Default)]
struct Protocol {
    /// Publishes before the alert is written down.
    publishes_first: bool,
    /// Takes the job over although the lease hasn't run out.
    ignores_lease: bool,
    /// Publishes without a look at its lease.
    forgets_lease: bool,
    /// Answers before the session is written.
    replies_early: bool,
}

impl State {
    fn sending(&mut self, actor: Actor) -> Option<(u8, &mut Sending)> {
        match actor {
            Actor::Receiver(r) => match self.receivers.get_mut(r)? {
                Receiver::Working { owner, sending, .. } => Some((*owner, sending)),
                Receiver::Idle | Receiver::Claiming { .. } => None,
            },
            Actor::Sweeper => match &mut self.sweeper {
                Sweeper::Sending { owner, sending } => Some((*owner, sending)),
                Sweeper::Idle => None,
            },
        }
    }

    /// True while somebody alive is about to send what `owner` has claimed.
    fn is_at_it(&self, owner: u8) -> bool {
        let receivers = self.receivers.iter().any(|receiver| match receiver {
            Receiver::Idle => false,
            Receiver::Claiming { owner: of } => *of == owner,
            Receiver::Working {
                owner: of, sending, ..
            } => *of == owner && *sending != Sending::Over,
        });
        let sweeper = matches!(
            self.sweeper,
            Sweeper::Sending { owner: of, sending } if of == owner && sending != Sending::Over
        );
        receivers || sweeper
    }

    /// True if `owner` may still be about to publish.
    fn is_before_publish(&self, owner: u8) -> bool {
        let receivers = self.receivers.iter().any(|receiver| match receiver {
            Receiver::Idle => false,
            Receiver::Claiming { owner: of } => *of == owner,
            Receiver::Working {
                owner: of, sending, ..
            } => *of == owner && *sending == Sending::Publish,
        });
        let sweeper = Sweeper::Sending {
            owner,
            sending: Sending::Publish,
        };
        receivers || self.sweeper == sweeper
    }

    /// True if `owner` holds the alert and its lease isn't over.
    fn has_lease(&self, owner: u8) -> bool {
        self.item
            .is_some_and(|item| item.owner == owner && !item.is_due)
    }

    /// The conditional writes of a claim; true if the job is `owner`'s.
    fn claim(&mut self, owner: u8, may_create: bool, protocol: Protocol) -> bool {
        match &mut self.item {
            None if may_create => {
                self.item = Some(Item {
                    is_sent: false,
                    owner,
                    is_due: false,
                });
                true
            }
            None => false,
            Some(item) if item.is_sent => false,
            Some(item) if item.owner == owner => true,
            Some(item) if item.is_due || protocol.ignores_lease => {
                *item = Item {
                    is_sent: false,
                    owner,
                    is_due: false,
                };
                true
            }
            Some(_) => false,
        }
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            item: None,
            has_event: false,
            has_session: false,
            receivers: [Receiver::Idle; RECEIVERS],
            sweeper: Sweeper::Idle,
            next_owner: 0,
            copies: COPIES,
            crashes: CRASHES,
            losses: LOSSES,
            published: 0,
            unknown: 0,
            is_acknowledged: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let mut answers = vec![Answer::Arrives];
        if state.losses > 0 {
            answers.push(Answer::IsLost);
        }
        let send = |actor, owner, sending: &Sending, actions: &mut Vec<Action>| match sending {
            Sending::Publish if !state.has_lease(owner) && !self.forgets_lease => {
                actions.push(Action::GiveUp(actor));
            }
            Sending::Publish => {
                actions.extend(answers.iter().map(|answer| Action::Publish(actor, *answer)));
                if state.losses > 0 {
                    actions.push(Action::PublishFails(actor));
                }
            }
            Sending::MarkSent => {
                actions.extend(
                    answers
                        .iter()
                        .map(|answer| Action::MarkSent(actor, *answer)),
                );
            }
            Sending::Over => {}
        };
        for (r, receiver) in state.receivers.iter().enumerate() {
            match receiver {
                Receiver::Idle => {
                    if state.copies > 0 {
                        actions.push(Action::Deliver(r));
                    }
                    continue;
                }
                Receiver::Claiming { .. } => {
                    actions.extend(answers.iter().map(|answer| Action::ClaimAlert(r, *answer)));
                }
                Receiver::Working {
                    owner,
                    has_event,
                    has_session,
                    sending,
                } => {
                    if !has_event {
                        actions.extend(answers.iter().map(|answer| Action::PutEvent(r, *answer)));
                    }
                    if !has_session {
                        actions.extend(
                            answers
                                .iter()
                                .map(|answer| Action::WriteSession(r, *answer)),
                        );
                    }
                    send(Actor::Receiver(r), *owner, sending, actions);
                    if *has_event
                        && (*has_session || self.replies_early)
                        && *sending == Sending::Over
                    {
                        actions.push(Action::Reply(r));
                    }
                }
            }
            if state.crashes > 0 {
                actions.push(Action::Crash(Actor::Receiver(r)));
            }
        }
        match &state.sweeper {
            Sweeper::Idle => {
                if state
                    .item
                    .is_some_and(|item| !item.is_sent && (item.is_due || self.ignores_lease))
                {
                    actions.extend(answers.iter().map(|answer| Action::ClaimDue(*answer)));
                }
            }
            Sweeper::Sending { owner, sending } => {
                send(Actor::Sweeper, *owner, sending, actions);
                if state.crashes > 0 {
                    actions.push(Action::Crash(Actor::Sweeper));
                }
            }
        }
        let may_run_out =
            |owner| !state.is_at_it(owner) || (state.losses > 0 && state.is_before_publish(owner));
        if state
            .item
            .is_some_and(|item| !item.is_sent && !item.is_due && may_run_out(item.owner))
        {
            actions.push(Action::LeaseRunsOut);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let lost = |answer, state: &mut State| {
            let is_lost = answer == Answer::IsLost;
            state.losses -= u8::from(is_lost);
            is_lost
        };
        match action {
            Action::Deliver(r) => {
                let owner = state.next_owner;
                state.next_owner += 1;
                state.copies -= 1;
                state.receivers[r] = Receiver::Claiming { owner };
                if self.publishes_first {
                    state.published += 1;
                }
            }
            Action::ClaimAlert(r, answer) => {
                let Receiver::Claiming { owner } = state.receivers[r] else {
                    return None;
                };
                let is_ours = state.claim(owner, true, *self);
                // The SDK asks again when an answer is lost.
                if !lost(answer, &mut state) {
                    let sending = match (is_ours, self.publishes_first) {
                        (true, false) => Sending::Publish,
                        (true, true) => Sending::MarkSent,
                        (false, _) => Sending::Over,
                    };
                    state.receivers[r] = Receiver::Working {
                        owner,
                        has_event: false,
                        has_session: false,
                        sending,
                    };
                }
            }
            Action::PutEvent(r, answer) => {
                state.has_event = true;
                let is_known = !lost(answer, &mut state);
                if let Receiver::Working { has_event, .. } = &mut state.receivers[r] {
                    *has_event = is_known;
                }
            }
            Action::WriteSession(r, answer) => {
                state.has_session = true;
                let is_known = !lost(answer, &mut state);
                if let Receiver::Working { has_session, .. } = &mut state.receivers[r] {
                    *has_session = is_known;
                }
            }
            Action::Reply(r) => {
                state.is_acknowledged = true;
                state.receivers[r] = Receiver::Idle;
            }
            Action::ClaimDue(answer) => {
                let owner = state.next_owner;
                let is_ours = state.claim(owner, false, *self);
                state.next_owner += 1;
                if is_ours {
                    // Asked again under the same owner, it finds its own write.
                    lost(answer, &mut state);
                    state.sweeper = Sweeper::Sending {
                        owner,
                        sending: Sending::Publish,
                    };
                }
            }
            Action::Publish(actor, answer) => {
                state.published += 1;
                let is_lost = lost(answer, &mut state);
                state.unknown += u8::from(is_lost);
                let (_, sending) = state.sending(actor)?;
                *sending = if is_lost {
                    Sending::Over
                } else {
                    Sending::MarkSent
                };
            }
            Action::PublishFails(actor) => {
                state.losses -= 1;
                *state.sending(actor)?.1 = Sending::Over;
            }
            Action::MarkSent(actor, answer) => {
                let (owner, _) = state.sending(actor)?;
                if let Some(item) = &mut state.item
                    && item.owner == owner
                {
                    item.is_sent = true;
                }
                if !lost(answer, &mut state) {
                    *state.sending(actor)?.1 = Sending::Over;
                }
            }
            Action::Crash(actor) => {
                state.crashes -= 1;
                match actor {
                    Actor::Receiver(r) => state.receivers[r] = Receiver::Idle,
                    Actor::Sweeper => state.sweeper = Sweeper::Idle,
                }
            }
            Action::GiveUp(actor) => *state.sending(actor)?.1 = Sending::Over,
            Action::LeaseRunsOut => {
                let owner = state.item?.owner;
                state.losses -= u8::from(state.is_at_it(owner));
                state.item.as_mut()?.is_due = true;
            }
        }
        if matches!(
            state.sweeper,
            Sweeper::Sending {
                sending: Sending::Over,
                ..
            }
        ) {
            state.sweeper = Sweeper::Idle;
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("what is acknowledged is stored", |_, state: &State| {
                !state.is_acknowledged
                    || (state.item.is_some() && state.has_event && state.has_session)
            }),
            Property::always(
                "nothing is published that isn't written down",
                |_, state: &State| state.published == 0 || state.item.is_some(),
            ),
            Property::always(
                "what is marked as sent was published",
                |_, state: &State| {
                    state
                        .item
                        .is_none_or(|item| !item.is_sent || state.published > 0)
                },
            ),
            Property::always(
                "twice only after a crash or an answer of SNS that was lost",
                |_, state: &State| state.published <= 1 + (CRASHES - state.crashes) + state.unknown,
            ),
            Property::eventually("what is written down is sent", |_, state: &State| {
                let is_over = state.copies == 0 && state.receivers == [Receiver::Idle; RECEIVERS];
                state.item.map_or(is_over, |item| item.is_sent)
            }),
            Property::sometimes(
                "somebody else takes over after a crash",
                |_, state: &State| {
                    state.crashes < CRASHES
                        && state.item.is_some_and(|item| item.is_sent)
                        && state.published == 1
                },
            ),
        ]
    }
}

#[test]
fn no_order_of_crashes_copies_and_lost_answers_loses_an_alert() {
    let checker = Protocol::default().checker().threads(2).spawn_bfs().join();
    println!(
        "proved: {} states of the alert protocol, {} of them different, no violation",
        checker.state_count(),
        checker.unique_state_count()
    );
    assert!(
        checker.unique_state_count() > 1_000_000,
        "{}",
        checker.unique_state_count()
    );
    checker.assert_properties();
}

#[test]
fn the_model_sees_the_mistakes_that_can_be_made() {
    for (mistake, property) in [
        (
            Protocol {
                publishes_first: true,
                ..Protocol::default()
            },
            "nothing is published that isn't written down",
        ),
        (
            Protocol {
                ignores_lease: true,
                ..Protocol::default()
            },
            "twice only after a crash or an answer of SNS that was lost",
        ),
        (
            Protocol {
                forgets_lease: true,
                ..Protocol::default()
            },
            "twice only after a crash or an answer of SNS that was lost",
        ),
        (
            Protocol {
                replies_early: true,
                ..Protocol::default()
            },
            "what is acknowledged is stored",
        ),
    ] {
        assert_is_seen(mistake, property);
    }
}

/// Explores a protocol with a planted mistake, and wants the property to fail.
fn assert_is_seen<M>(mistake: M, property: &'static str)
where
    M: Model + Copy + Debug + Send + Sync + 'static,
    M::Action: Clone + PartialEq + Debug,
    M::State: Clone + PartialEq + Debug + Hash + Send + Sync + 'static,
{
    let checker = mistake
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .threads(2)
        .spawn_bfs()
        .join();
    let seen = checker.discoveries();
    assert!(
        seen.contains_key(property),
        "{mistake:?}: {:?}",
        seen.keys()
    );
}
