//! Tells programs, after everything for people: due notices, a few at the same time, then alerts,
//! ten a request. The first failure ends it for this run: a bus that is down or throttles gets
//! better only if it is left alone.

use super::alerts::{ALERT, Lane, SEND, takes_back};
use super::{Run, Sweep};
use crate::alert::{Attempt, Destination, GIVE_UP_MS, Incident, message};
use crate::bus::MAX_ENTRIES;
use crate::error::chain;
use crate::record::StoredAlert;
use crate::send::{SendError, SendOutcome};
use crate::store::{InOutbox, LeasedAlert, LeasedNotice, StoredNotice};
use futures_util::stream::{self, StreamExt};
use tokio::time::Instant;

/// Notices that are told at the same time.
const AT_A_TIME: usize = 8;
const FACTS: Destination = Destination::Facts;

impl Run<'_> {
    /// Puts these notices on the bus.
    pub(super) async fn tell_notices(&self, notices: Vec<StoredNotice>) -> Sweep {
        let parts = stream::iter(notices)
            .map(|notice| self.tell_one(notice))
            .buffer_unordered(AT_A_TIME);
        let mut sweep = Sweep::default();
        let mut parts = std::pin::pin!(parts);
        while let Some(part) = parts.next().await {
            sweep.add(part);
        }
        sweep
    }

    async fn tell_one(&self, stored: StoredNotice) -> Sweep {
        let mut sweep = Sweep::default();
        if self.is_down(FACTS) || self.table_is_down() || !self.has_time(ALERT) {
            // A bus that is down leaves nothing else undone.
            sweep.finished = self.is_down(FACTS);
            sweep.count_held(FACTS, 0);
            return sweep;
        }
        if let Some(leased) = self.lease(&stored, FACTS, &mut sweep).await {
            self.tell_leased(leased, &mut sweep).await;
        }
        sweep
    }

    /// Tells programs what is ours to tell; what fails is put off, and given up after a day.
    pub(super) async fn tell_leased(&self, mut leased: LeasedNotice, sweep: &mut Sweep) {
        if self.is_down(FACTS) {
            sweep.count_held(FACTS, 0);
            return;
        }
        let deadline = self.invocation.deadline.min(Instant::now() + SEND);
        let invocation = self.invocation.until(deadline);
        let (store, outbox) = (&self.sweeper.store, &self.sweeper.outbox);
        let told = outbox.tell(store, &mut leased, SEND, invocation).await;
        let (sid, key) = leased.stored().key();
        if let Some(error) = told.error {
            sweep.remark(sid, key.to_string(), told.outcome.as_str(), Some(error));
        }
        match told.outcome {
            SendOutcome::Published => {
                self.reset_failures(FACTS);
                sweep.count_told(FACTS);
            }
            SendOutcome::Empty | SendOutcome::Left => {}
            SendOutcome::Waits => {
                let now_ms = self.invocation.now_ms();
                // What it waits for never came after a day: there is nothing to tell.
                let is_old = leased.stored().outgoing.created_at + GIVE_UP_MS <= now_ms;
                let attempt = if is_old {
                    Attempt::Needless
                } else {
                    Attempt::Failed
                };
                let attempts = [(FACTS, attempt)].into();
                let noted = store.note(&mut leased, &attempts, now_ms).await;
                let (sid, key) = leased.stored().key();
                self.ok(sid, &key.to_string(), noted, sweep);
            }
            SendOutcome::Refused | SendOutcome::Deferred => {
                if told.outcome == SendOutcome::Deferred {
                    self.add_failure(FACTS);
                }
                self.note([(leased, Attempt::Failed)], FACTS, sweep).await;
            }
        }
    }

    /// Tells programs of these alerts.
    pub(super) async fn tell_facts(&self, alerts: Vec<StoredAlert>) -> Sweep {
        if alerts.is_empty() {
            return Sweep::default();
        }
        let links = self.sweeper.outbox.links(self.invocation.now_ms()).await;
        let mut lane = self.lane(FACTS, self.invocation.deadline, &links);
        let ids: Vec<_> = lane.due(&alerts).map(|stored| stored.alert.id()).collect();
        // People may have been told of them since they were read.
        let read = self.read_alerts(&ids).await;
        let read = lane.ok("alerts", "alert#", read).unwrap_or_default();
        let mut due: Vec<_> = lane.due(read.values()).cloned().collect();
        due.sort_by_key(|stored| stored.outgoing.created_at);
        let (resolutions, alarms): (Vec<_>, Vec<_>) = due
            .into_iter()
            .partition(|stored| takes_back(&stored.alert));
        lane.put_facts(alarms).await;
        // Programs aren't told in digests.
        let told = lane.routed(resolutions).await.alone;
        lane.put_facts(told).await;
        lane.sweep
    }
}

impl Lane<'_> {
    async fn put_facts(&mut self, alerts: Vec<StoredAlert>) {
        for some in alerts.chunks(MAX_ENTRIES) {
            if self.can_send(ALERT) {
                self.run.pace(FACTS).await;
            }
            let leased = self.lease_all(some, ALERT).await;
            if !leased.is_empty() {
                self.put_leased(leased).await;
            }
        }
    }

    /// Puts these on the bus. One that takes none, or throttles, is left alone for this run.
    async fn put_leased(&mut self, leased: Vec<LeasedAlert>) {
        let messages = leased.iter().map(LeasedAlert::alert);
        let messages: Vec<_> = messages
            .map(|alert| message(alert, &Incident::of(alert), self.links))
            .collect();
        let until = self.run.invocation.deadline.min(Instant::now() + SEND);
        let put = self.run.sweeper.outbox.put_facts(&messages, until).await;
        let (results, mut is_well) = match put {
            Ok(results) => (results, true),
            Err(error) => {
                let error = Some(chain(&error));
                self.sweep
                    .remark("bus", "facts".to_owned(), "deferred", error);
                (Vec::new(), false)
            }
        };
        let (mut results, mut attempts) = (results.into_iter(), Vec::new());
        for leased in leased {
            let attempt = match results.next() {
                Some(Ok(event_id)) => {
                    self.sweep.count_told(FACTS);
                    Attempt::Told(event_id)
                }
                Some(Err(error)) => {
                    let error = SendError::from(error);
                    is_well &= error.is_refusal();
                    self.remark(leased.alert(), &error);
                    Attempt::Failed
                }
                None => Attempt::Failed,
            };
            attempts.push((leased, attempt));
        }
        if !is_well {
            self.run.leave_alone(FACTS);
        }
        self.run.note(attempts, FACTS, &mut self.sweep).await;
    }
}
