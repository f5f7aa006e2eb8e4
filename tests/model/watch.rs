//! A model of how a silence is found, noted and told, explored exhaustively: heartbeats that come
//! at any moment, reads that are a moment old, two runs of the sweeper at once, one of them the
//! same event delivered again, crashes, lost answers. Its actions are named after the functions
//! they stand for.
//!
//! What it leaves out: that a silence is taken back, which is noted in the same way; leases that
//! run out while their owner lives, which the protocol of alerts has.

use super::assert_is_seen;
use stateright::{Checker, Model, Property};

const RUNS: usize = 2;
const HEARTBEATS: u8 = 2;
const CRASHES: u8 = 2;
/// Answers that are lost.
const LOSSES: u8 = 2;
/// Reads that are a moment old.
const STALE: u8 = 2;

/// The session's item, and whether nothing has come for the threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Session {
    version: u8,
    heartbeat: u8,
    is_silent: bool,
    /// The heartbeat after which a silence was noted.
    silent_since: Option<u8>,
}

impl Session {
    fn is_news(self) -> bool {
        self.is_silent && self.silent_since.is_none()
    }
}

/// The item of a silence's alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Alert {
    owner: u8,
    is_due: bool,
    is_sent: bool,
}

/// One run of the sweeper, where it is with this session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Run {
    Idle,
    /// A batch said that there is news.
    LookingCloser,
    Noting(Session),
    /// The session's item says it, and the alert is still to be written down: a mistake.
    NotedHalf(u8),
    Publishing(u8),
    Marking(u8),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    session: Session,
    /// As it was before its last write: what an eventually consistent read may still say.
    before: Session,
    /// By the heartbeat after which it is silent.
    alerts: [Option<Alert>; HEARTBEATS as usize + 1],
    published: [u8; HEARTBEATS as usize + 1],
    runs: [Run; RUNS],
    crashes: u8,
    losses: u8,
    stale: u8,
    /// Publishes of which nobody knows.
    unknown: u8,
    was_noted_wrongly: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Read {
    Fresh,
    Stale,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Answer {
    Arrives,
    IsLost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    Heartbeat,
    ThresholdPasses,
    CheckSessions(usize, Read),
    WatchedSession(usize),
    NoteLook(usize, Answer),
    PutAlert(usize),
    ClaimDue(usize, usize, Answer),
    Publish(usize, Answer),
    MarkSent(usize, Answer),
    Crash(usize),
    LeaseRunsOut(usize),
}

/// How findings are noted, and the mistakes that can be made in it.
#[derive(Clone, Copy, Debug, Default)]
struct Watch {
    /// Notes a finding whatever was written meanwhile.
    forgets_condition: bool,
    /// Notes the finding first, and writes its alert down then.
    notes_apart: bool,
    /// Both runs have one name, as Lambda's request id would be.
    shares_owner: bool,
}

impl Watch {
    fn owner(self, run: usize) -> u8 {
        u8::from(!self.shares_owner && run > 0)
    }
}

impl Model for Watch {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            session: Session::default(),
            before: Session::default(),
            alerts: Default::default(),
            published: Default::default(),
            runs: [Run::Idle; RUNS],
            crashes: CRASHES,
            losses: LOSSES,
            stale: STALE,
            unknown: 0,
            was_noted_wrongly: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let mut answers = vec![Answer::Arrives];
        if state.losses > 0 {
            answers.push(Answer::IsLost);
        }
        if state.session.heartbeat < HEARTBEATS {
            actions.push(Action::Heartbeat);
        }
        if !state.session.is_silent {
            actions.push(Action::ThresholdPasses);
        }
        for (r, run) in state.runs.iter().enumerate() {
            match run {
                Run::Idle => {
                    if state.session.is_news() {
                        actions.push(Action::CheckSessions(r, Read::Fresh));
                    }
                    if state.before.is_news() && state.stale > 0 {
                        actions.push(Action::CheckSessions(r, Read::Stale));
                    }
                    for (n, alert) in state.alerts.iter().enumerate() {
                        if alert.is_some_and(|alert| alert.is_due && !alert.is_sent) {
                            let claims = answers.iter();
                            actions.extend(claims.map(|answer| Action::ClaimDue(r, n, *answer)));
                        }
                    }
                    continue;
                }
                Run::LookingCloser => actions.push(Action::WatchedSession(r)),
                Run::Noting(_) => {
                    actions.extend(answers.iter().map(|answer| Action::NoteLook(r, *answer)));
                }
                Run::NotedHalf(_) => actions.push(Action::PutAlert(r)),
                Run::Publishing(_) => {
                    actions.extend(answers.iter().map(|answer| Action::Publish(r, *answer)));
                }
                Run::Marking(_) => {
                    actions.extend(answers.iter().map(|answer| Action::MarkSent(r, *answer)));
                }
            }
            if state.crashes > 0 {
                actions.push(Action::Crash(r));
            }
        }
        for (n, alert) in state.alerts.iter().enumerate() {
            let is_held = |alert: Alert| {
                (0..RUNS).any(|r| {
                    let is_at_it = matches!(state.runs[r],
                        Run::Publishing(of) | Run::Marking(of) if usize::from(of) == n);
                    is_at_it && self.owner(r) == alert.owner
                })
            };
            if alert.is_some_and(|alert| !alert.is_sent && !alert.is_due && !is_held(alert)) {
                actions.push(Action::LeaseRunsOut(n));
            }
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
            Action::Heartbeat => {
                state.before = state.session;
                let heartbeat = state.session.heartbeat + 1;
                state.session = Session {
                    version: state.session.version + 1,
                    heartbeat,
                    is_silent: false,
                    // Taken back at once: that is noted like any other finding.
                    silent_since: None,
                };
            }
            Action::ThresholdPasses => {
                state.session.is_silent = true;
                state.before.is_silent |= state.before.heartbeat == state.session.heartbeat;
            }
            Action::CheckSessions(r, read) => {
                state.stale -= u8::from(read == Read::Stale);
                state.runs[r] = Run::LookingCloser;
            }
            Action::WatchedSession(r) => {
                state.runs[r] = match state.session.is_news() {
                    true => Run::Noting(state.session),
                    false => Run::Idle,
                };
            }
            Action::NoteLook(r, answer) => {
                let Run::Noting(read) = state.runs[r] else {
                    return None;
                };
                let n = usize::from(read.heartbeat);
                let is_unchanged = state.session.version == read.version;
                let is_new = state.alerts[n].is_none();
                let holds = (is_unchanged || self.forgets_condition) && is_new;
                if holds {
                    state.was_noted_wrongly |= !state.session.is_silent;
                    state.before = state.session;
                    state.session.version += 1;
                    state.session.silent_since = Some(read.heartbeat);
                    if !self.notes_apart {
                        state.alerts[n] = Some(Alert {
                            owner: self.owner(r),
                            is_due: false,
                            is_sent: false,
                        });
                    }
                }
                // The SDK asks again when an answer is lost, and is refused by its own write.
                state.runs[r] = match (lost(answer, &mut state), holds) {
                    (true, _) | (false, false) => Run::LookingCloser,
                    (false, true) if self.notes_apart => Run::NotedHalf(read.heartbeat),
                    (false, true) => Run::Publishing(read.heartbeat),
                };
            }
            Action::PutAlert(r) => {
                let Run::NotedHalf(n) = state.runs[r] else {
                    return None;
                };
                state.alerts[usize::from(n)] = Some(Alert {
                    owner: self.owner(r),
                    is_due: false,
                    is_sent: false,
                });
                state.runs[r] = Run::Publishing(n);
            }
            Action::ClaimDue(r, n, answer) => {
                let alert = state.alerts[n].as_mut()?;
                alert.owner = self.owner(r);
                alert.is_due = false;
                state.runs[r] = Run::Publishing(u8::try_from(n).ok()?);
                // Asked again under the same owner, it finds its own write.
                lost(answer, &mut state);
                if self.shares_owner {
                    // So does the other run, which has read the same entry of the index.
                    let other = 1 - r;
                    if state.runs[other] == Run::Idle {
                        state.runs[other] = state.runs[r];
                    }
                }
            }
            Action::Publish(r, answer) => {
                let Run::Publishing(n) = state.runs[r] else {
                    return None;
                };
                state.published[usize::from(n)] += 1;
                let is_lost = lost(answer, &mut state);
                state.unknown += u8::from(is_lost);
                state.runs[r] = if is_lost { Run::Idle } else { Run::Marking(n) };
            }
            Action::MarkSent(r, answer) => {
                let Run::Marking(n) = state.runs[r] else {
                    return None;
                };
                if let Some(alert) = &mut state.alerts[usize::from(n)]
                    && alert.owner == self.owner(r)
                {
                    alert.is_sent = true;
                }
                if !lost(answer, &mut state) {
                    state.runs[r] = Run::Idle;
                }
            }
            Action::Crash(r) => {
                state.crashes -= 1;
                state.runs[r] = Run::Idle;
            }
            Action::LeaseRunsOut(n) => state.alerts[n].as_mut()?.is_due = true,
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "nothing is noted of a session that speaks",
                |_, state: &State| !state.was_noted_wrongly,
            ),
            Property::always(
                "a silence is told twice only after a crash or an answer that was lost",
                |_, state: &State| {
                    let excuses = (CRASHES - state.crashes) + state.unknown;
                    state.published.iter().all(|times| *times <= 1 + excuses)
                },
            ),
            Property::eventually("a silence that stays is told", |_, state: &State| {
                state.session.heartbeat == HEARTBEATS
                    && state.session.is_silent
                    && state.alerts[usize::from(HEARTBEATS)].is_some_and(|alert| alert.is_sent)
                    && state.published[usize::from(HEARTBEATS)] > 0
            }),
            Property::sometimes("two silences are told", |_, state: &State| {
                state.published.iter().filter(|times| **times > 0).count() == 2
            }),
        ]
    }
}

#[test]
fn a_silence_is_noted_and_told_whoever_sweeps() {
    let checker = Watch::default().checker().threads(2).spawn_bfs().join();
    println!(
        "proved: {} states of the watch, {} of them different, no violation",
        checker.state_count(),
        checker.unique_state_count()
    );
    assert!(
        checker.unique_state_count() > 10_000,
        "{}",
        checker.unique_state_count()
    );
    checker.assert_properties();
}

#[test]
fn the_model_of_the_watch_sees_the_mistakes_that_can_be_made() {
    for (mistake, property) in [
        (
            Watch {
                forgets_condition: true,
                ..Watch::default()
            },
            "nothing is noted of a session that speaks",
        ),
        (
            Watch {
                notes_apart: true,
                ..Watch::default()
            },
            "a silence that stays is told",
        ),
        (
            Watch {
                shares_owner: true,
                ..Watch::default()
            },
            "a silence is told twice only after a crash or an answer that was lost",
        ),
    ] {
        assert_is_seen(mistake, property);
    }
}
