//! Tells programs, after everything for people: due notices, a few at the same time, then alerts,
//! ten a request. The first failure ends it for this run: a bus that is down or throttles gets
//! better only if it is left alone.

use super::alerts::{ALERT, SEND, item_of};
use super::resolutions::origin_of;
use super::{Run, Sweep};
use crate::alert::{Attempt, Delivery, Destination, Incident, Message, Route, message, route};
use crate::bus::MAX_ENTRIES;
use crate::error::chain;
use crate::record::StoredAlert;
use crate::send::SendOutcome;
use crate::store::{Claim, LeasedAlert, LeasedNotice, NoticeClaim, StoredNotice};
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Notices that are told at the same time.
const AT_A_TIME: usize = 8;
/// Requests are at least so far apart: the smallest Regions take 400 events a second.
const GAP: Duration = Duration::from_millis(25);
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
        let (sid, item) = (
            stored.notice.sid.as_str().to_owned(),
            item_of_notice(&stored),
        );
        let due = self.due_of_notice(&stored);
        let claim = self
            .sweeper
            .store
            .lease_notice(stored, self.invocation)
            .await;
        match self.ok(&sid, &item, claim, &mut sweep) {
            Some(NoticeClaim::Ours(leased)) => self.tell_leased(*leased, &mut sweep).await,
            Some(NoticeClaim::Unwritable) => {
                let put_off = self.put_off(&due, "unwritable", &mut sweep).await;
                self.ok(&sid, &item, put_off, &mut sweep);
            }
            Some(NoticeClaim::HeldElsewhere) | None => {}
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
        let (sid, key) = (
            leased.notice().sid.as_str().to_owned(),
            leased.notice().key(),
        );
        let item = format!("notice#{}", key.as_str());
        if let Some(error) = told.error {
            sweep.remark(&sid, item.clone(), told.outcome.as_str(), Some(error));
        }
        let now_ms = self.invocation.now_ms();
        let is_old = leased.created_at() + crate::alert::GIVE_UP_MS <= now_ms;
        let attempt = match told.outcome {
            SendOutcome::Published => {
                self.reset_failures(FACTS);
                return sweep.count_told(FACTS);
            }
            SendOutcome::Empty | SendOutcome::Left => return,
            // What it waits for never came: there is nothing to tell.
            SendOutcome::Waits if is_old => Attempt::Needless,
            SendOutcome::Waits => Attempt::Failed,
            SendOutcome::Refused | SendOutcome::Deferred => {
                if told.outcome == SendOutcome::Deferred {
                    self.add_failure(FACTS);
                }
                if is_old {
                    sweep.count_failed(FACTS);
                    sweep.remark(&sid, item.clone(), "given up", None);
                } else {
                    sweep.count_deferred(FACTS, 0);
                }
                Attempt::Failed
            }
        };
        let noted = store.note_noticed(&mut leased, attempt, now_ms).await;
        self.ok(&sid, &item, noted, sweep);
    }

    /// Tells programs of these alerts.
    pub(super) async fn tell_facts(&self, alerts: Vec<StoredAlert>) -> Sweep {
        let mut sweep = Sweep::default();
        let (owner, now_ms) = (self.invocation.id, self.invocation.now_ms());
        let is_due = |stored: &StoredAlert| {
            let delivery = stored.outgoing.to.get(&FACTS);
            delivery.is_some_and(|delivery| delivery.is_due(owner, now_ms))
        };
        let ids = alerts.iter().filter(|stored| is_due(stored));
        let ids: Vec<_> = ids.map(|stored| stored.alert.id()).collect();
        // People may have been told of them since they were read.
        let read = self.read_alerts(&ids).await;
        let due = self.ok("alerts", "alert#", read, &mut sweep);
        let mut due: Vec<_> = due.into_iter().flat_map(HashMap::into_values).collect();
        due.retain(is_due);
        due.sort_by_key(|stored| stored.outgoing.created_at);
        let (resolutions, alarms): (Vec<_>, Vec<_>) = due
            .into_iter()
            .partition(|stored| origin_of(stored).is_some());
        self.put_facts(alarms, &mut sweep).await;
        let resolutions = self.told_before(resolutions, &mut sweep).await;
        self.put_facts(resolutions, &mut sweep).await;
        sweep
    }

    /// Those of these resolutions whose alert programs were told of.
    async fn told_before(
        &self,
        resolutions: Vec<StoredAlert>,
        sweep: &mut Sweep,
    ) -> Vec<StoredAlert> {
        let origins: Vec<_> = resolutions.iter().filter_map(origin_of).collect();
        let origins = self.read_alerts(&origins).await;
        let Some(origins) = self.ok("alerts", "alert#", origins, sweep) else {
            return Vec::new();
        };
        let mut told = Vec::new();
        for mut stored in resolutions {
            let origin = origin_of(&stored).and_then(|id| origins.get(&id));
            let settled = match route(origin.map(|origin| &origin.outgoing), FACTS) {
                Route::Waits => continue,
                Route::Alone | Route::Digest(_) => {
                    told.push(stored);
                    continue;
                }
                Route::Needless => Delivery::Needless,
                Route::Kept => Delivery::Failed { tries: 0 },
            };
            let now_ms = self.invocation.now_ms();
            let settle = |to: &mut crate::alert::Deliveries| {
                let delivery = to.get_mut(&FACTS);
                delivery.is_some_and(|delivery| delivery.settle(settled.clone(), now_ms))
            };
            let step = self
                .sweeper
                .store
                .step_alert(&mut stored, now_ms, settle)
                .await;
            self.ok(&stored.alert.sid, &item_of(&stored.alert), step, sweep);
        }
        told
    }

    async fn put_facts(&self, alerts: Vec<StoredAlert>, sweep: &mut Sweep) {
        let mut next = Instant::now();
        let mut is_over = false;
        for some in alerts.chunks(MAX_ENTRIES) {
            is_over |= self.is_down(FACTS) || self.table_is_down() || !self.has_time(ALERT);
            if is_over {
                for _ in some {
                    sweep.count_held(FACTS, 0);
                }
                continue;
            }
            sleep_until(next).await;
            next = Instant::now() + GAP;
            let claims = some.iter().map(|stored| {
                let store = &self.sweeper.store;
                store.lease_alert(stored.clone(), &[FACTS], self.invocation)
            });
            let mut leased = Vec::new();
            for (stored, claim) in some.iter().zip(join_all(claims).await) {
                let (sid, item) = (stored.alert.sid.as_str(), item_of(&stored.alert));
                match self.ok(sid, &item, claim, sweep) {
                    Some(Claim::Ours(one)) => leased.push(*one),
                    Some(Claim::Unwritable) => {
                        let due = self.due_of(stored);
                        let put_off = self.put_off(&due, "unwritable", sweep).await;
                        self.ok(sid, &item, put_off, sweep);
                    }
                    Some(Claim::HeldElsewhere) | None => {}
                }
            }
            is_over = !leased.is_empty() && !self.put_leased(leased, sweep).await;
        }
    }

    /// Puts these on the bus; false if it took none, or throttles.
    async fn put_leased(&self, leased: Vec<LeasedAlert>, sweep: &mut Sweep) -> bool {
        let outbox = &self.sweeper.outbox;
        let links = outbox.links(self.invocation.now_ms()).await;
        let messages: Vec<Message> = leased
            .iter()
            .map(|leased| message(leased.alert(), &Incident::of(leased.alert()), &links))
            .collect();
        let until = self.invocation.deadline.min(Instant::now() + SEND);
        let put = outbox.put_facts(&messages, until).await;
        let mut is_well = true;
        let attempts: Vec<_> = match put {
            Ok(results) => {
                let mut results = results.into_iter();
                let attempts = leased.iter().map(|leased| match results.next() {
                    Some(Ok(event_id)) => Attempt::Told(event_id),
                    Some(Err(error)) => {
                        let error = crate::send::SendError::from(error);
                        is_well &= error.is_refusal();
                        let alert = leased.alert();
                        let (item, error) = (item_of(alert), Some(chain(&error)));
                        sweep.remark(&alert.sid, item, "deferred", error);
                        Attempt::Failed
                    }
                    None => Attempt::Failed,
                });
                attempts.collect()
            }
            Err(error) => {
                is_well = false;
                sweep.remark("bus", "facts".to_owned(), "deferred", Some(chain(&error)));
                leased.iter().map(|_| Attempt::Failed).collect()
            }
        };
        if !is_well {
            self.add_failure(FACTS);
        }
        let now_ms = self.invocation.now_ms();
        let notes = leased.into_iter().zip(attempts);
        let notes = notes.map(|(mut leased, attempt)| async move {
            let attempts = [(FACTS, attempt)].into();
            let noted = self
                .sweeper
                .store
                .note_told(&mut leased, &attempts, now_ms)
                .await;
            (leased, noted)
        });
        for (leased, noted) in join_all(notes).await {
            let alert = leased.alert();
            self.ok(&alert.sid, &item_of(alert), noted, sweep);
            match leased.stored().outgoing.to.get(&FACTS) {
                Some(Delivery::Told { .. }) => sweep.count_told(FACTS),
                Some(Delivery::Pending { .. }) => sweep.count_deferred(FACTS, 0),
                Some(Delivery::Failed { .. }) => {
                    sweep.count_failed(FACTS);
                    sweep.remark(&alert.sid, item_of(alert), "given up", None);
                }
                Some(Delivery::Needless) | None => {}
            }
        }
        is_well
    }
}

fn item_of_notice(stored: &StoredNotice) -> String {
    format!("notice#{}", stored.notice.key().as_str())
}
