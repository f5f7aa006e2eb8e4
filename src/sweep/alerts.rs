//! Sending alerts that are due.

use super::{PUT_OFF_MS, Run, Sweep, Sweeper};
use crate::error::chain;
use crate::send::SendOutcome;
use crate::store::{Due, DueClaim, ItemKey, Lease, Shard, StoreError};
use futures_util::stream::{self, StreamExt};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// An alert that couldn't be sent for this long is given up, in ms.
const GIVE_UP_MS: u64 = 24 * 60 * 60 * 1000;
/// How long SNS may take for one alert, so that one that hangs doesn't take the whole run.
const SEND: Duration = Duration::from_secs(6);
/// Time reserved for one alert; none is started with less.
pub(super) const ALERT: Duration = Duration::from_millis(1500);
/// Alerts that are sent at the same time.
const AT_ONCE: usize = 8;

impl Run<'_> {
    /// Sends the alerts that are due.
    pub(super) async fn send_due(&self) -> Sweep {
        let mut sweep = Sweep::default();
        // What becomes due meanwhile, what this run put off itself too, is for the next one.
        let due_until_ms = self.invocation.began_at_ms();
        let mut from = None;
        loop {
            let store = &self.sweeper.store;
            let page = store.due(Shard::Due, due_until_ms, from);
            let page = match timeout_at(self.invocation.deadline, page).await {
                Ok(Ok(page)) => page,
                Ok(Err(error)) => {
                    sweep.errors += 1;
                    sweep.finished = false;
                    let item = format!("shard {}", Shard::Due);
                    sweep.remark("watch", item, "not read", Some(chain(&error)));
                    return sweep;
                }
                Err(_) => {
                    sweep.finished = false;
                    return sweep;
                }
            };
            sweep.add(self.send_all(&page.due).await);
            from = page.next;
            if from.is_none() || !sweep.finished {
                return sweep;
            }
        }
    }

    /// Sends these, some at a time.
    pub(super) async fn send_all(&self, due: &[Due]) -> Sweep {
        let sent = stream::iter(due).map(|due| self.send_one(due));
        sent.buffer_unordered(AT_ONCE)
            .fold(Sweep::default(), async |mut sweep, part| {
                sweep.add(part);
                sweep
            })
            .await
    }

    async fn send_one(&self, due: &Due) -> Sweep {
        let mut sweep = Sweep::default();
        if self.table_is_down() || !self.has_time(ALERT) {
            sweep.finished = false;
            return sweep;
        }
        let sent = match due.key {
            ItemKey::Alert(_) => {
                timeout_at(self.invocation.deadline, self.try_alert(due, &mut sweep)).await
            }
            ItemKey::Session | ItemKey::Event(_) | ItemKey::Missing(_) | ItemKey::Other(_) => {
                Ok(self.put_off(due, "unreadable", &mut sweep).await)
            }
        };
        match sent {
            Ok(Ok(())) => self.table_failures.store(0, Ordering::Relaxed),
            Ok(Err(error)) => {
                self.table_failures.fetch_add(1, Ordering::Relaxed);
                sweep.errors += 1;
                let error = Some(chain(&error));
                sweep.remark(&due.sid, due.key.to_string(), "not processed", error);
            }
            Err(_) => sweep.finished = false,
        }
        sweep
    }

    async fn try_alert(&self, due: &Due, sweep: &mut Sweep) -> Result<(), StoreError> {
        if self.sns_is_down() {
            sweep.held += 1;
            self.note_oldest_pending(due.watch_at, sweep);
            return Ok(());
        }
        let store = &self.sweeper.store;
        let lease = match store.claim_due(due, self.invocation).await? {
            DueClaim::Ours(lease) => lease,
            DueClaim::HeldElsewhere => return Ok(()),
            DueClaim::Unreadable => return self.put_off(due, "unreadable", sweep).await,
        };
        if self.send(&lease, sweep).await {
            return Ok(());
        }
        let now_ms = self.invocation.now_ms();
        if lease.created_at().saturating_add(GIVE_UP_MS) <= now_ms {
            sweep.failed += 1;
            sweep.remark(&due.sid, due.key.to_string(), "given up", None);
            return store.fail_alert(&lease, now_ms).await;
        }
        self.note_oldest_pending(lease.created_at(), sweep);
        store.defer_alert(&lease, now_ms).await
    }

    /// An item that can't be read or written is reported and put off, and doesn't stop the rest.
    async fn put_off(
        &self,
        due: &Due,
        why: &'static str,
        sweep: &mut Sweep,
    ) -> Result<(), StoreError> {
        sweep.unreadable += 1;
        sweep.remark(&due.sid, due.key.to_string(), why, None);
        let later_ms = self.invocation.now_ms() + PUT_OFF_MS;
        self.sweeper.store.put_off(due, later_ms).await
    }

    /// Sends what a check found. What can't be sent now is due once its lease is over.
    pub(super) async fn send_found(&self, leases: &[Lease], sweep: &mut Sweep) {
        for lease in leases {
            sweep.found += 1;
            if self.sns_is_down() {
                sweep.held += 1;
                self.note_oldest_pending(lease.created_at(), sweep);
            } else if !self.send(lease, sweep).await {
                self.note_oldest_pending(lease.created_at(), sweep);
            }
        }
    }

    /// Sends an alert that is ours; false if it has to be tried again.
    async fn send(&self, lease: &Lease, sweep: &mut Sweep) -> bool {
        let deadline = self.invocation.deadline.min(Instant::now() + SEND);
        let Sweeper { store, outbox, .. } = self.sweeper;
        let sent = outbox
            .send(store, lease, self.invocation.until(deadline))
            .await;
        if sent.error.is_some() {
            let alert = lease.alert();
            let (key, outcome) = (ItemKey::Alert(alert.key.clone()), sent.outcome.as_str());
            sweep.remark(&alert.sid, key.to_string(), outcome, sent.error);
        }
        match sent.outcome {
            SendOutcome::Published => {
                self.sns_failures.store(0, Ordering::Relaxed);
                sweep.published += 1;
                true
            }
            SendOutcome::Refused => {
                sweep.deferred += 1;
                false
            }
            SendOutcome::Deferred => {
                self.sns_failures.fetch_add(1, Ordering::Relaxed);
                sweep.deferred += 1;
                false
            }
        }
    }

    /// Notes the age of an alert that isn't sent.
    fn note_oldest_pending(&self, since_ms: u64, sweep: &mut Sweep) {
        let age_ms = self.invocation.now_ms().saturating_sub(since_ms);
        sweep.oldest_pending_ms = sweep.oldest_pending_ms.max(age_ms);
    }
}
