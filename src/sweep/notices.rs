//! Puts due notices on the bus, a few at the same time, for as long as the run has time.

use super::alerts::{ALERT, GIVE_UP_MS, SEND};
use super::{Run, Sweep};
use crate::send::SendOutcome;
use crate::store::{Due, DueNotice, NoticeLease, StoreError};
use futures_util::stream::{self, StreamExt};
use std::sync::atomic::Ordering;
use tokio::time::{Instant, timeout_at};

/// Notices that are told at the same time.
const AT_A_TIME: usize = 8;

impl Run<'_> {
    /// Puts these notices on the bus.
    pub(super) async fn tell_due(&self, due: Vec<Due>, until: Instant) -> Sweep {
        let parts = stream::iter(due)
            .map(|due| self.tell_one(due, until))
            .buffer_unordered(AT_A_TIME);
        let mut sweep = Sweep::default();
        let mut parts = std::pin::pin!(parts);
        while let Some(part) = parts.next().await {
            sweep.add(part);
        }
        sweep
    }

    async fn tell_one(&self, due: Due, until: Instant) -> Sweep {
        let mut sweep = Sweep::default();
        if self.bus_is_down() || self.table_is_down() || Instant::now() + ALERT > until {
            sweep.finished = self.bus_is_down();
            sweep.notices_deferred += 1;
            return sweep;
        }
        let told = self.try_notice(&due, &mut sweep);
        let told = timeout_at(self.invocation.deadline, told).await;
        self.note_due(&due, told, &mut sweep);
        sweep
    }

    async fn try_notice(&self, due: &Due, sweep: &mut Sweep) -> Result<(), StoreError> {
        let store = &self.sweeper.store;
        let lease = match store.claim_due_notice(due, self.invocation).await? {
            DueNotice::Ours(lease) => lease,
            DueNotice::HeldElsewhere => return Ok(()),
            DueNotice::Unreadable => return self.put_off(due, "unreadable", sweep).await,
        };
        let Some(outcome) = self.tell(&lease, sweep).await else {
            return Ok(());
        };
        let now_ms = self.invocation.now_ms();
        if lease.hold().created_at().saturating_add(GIVE_UP_MS) > now_ms {
            return store.defer(lease.hold(), now_ms).await;
        }
        if outcome == SendOutcome::Waits {
            // What it waits for never came: there is nothing to tell.
            return store.mark_told(&lease, None, now_ms).await;
        }
        sweep.notices_failed += 1;
        sweep.remark(&due.sid, due.key.to_string(), "given up", None);
        store.give_up(lease.hold(), now_ms).await
    }

    /// Tells programs what a check found. What can't be told now is due once its lease is over.
    pub(super) async fn tell_found(&self, lease: &NoticeLease, sweep: &mut Sweep) {
        if self.bus_is_down() {
            sweep.notices_deferred += 1;
            return;
        }
        self.tell(lease, sweep).await;
    }

    /// Tells programs; `None` if that is done, else why not.
    async fn tell(&self, lease: &NoticeLease, sweep: &mut Sweep) -> Option<SendOutcome> {
        let deadline = self.invocation.deadline.min(Instant::now() + SEND);
        let invocation = self.invocation.until(deadline);
        let (store, outbox) = (&self.sweeper.store, &self.sweeper.outbox);
        let told = outbox.tell(store, lease, invocation).await;
        if let Some(error) = told.error {
            let (hold, outcome) = (lease.hold(), told.outcome.as_str());
            sweep.remark(hold.sid(), hold.key().to_string(), outcome, Some(error));
        }
        match told.outcome {
            SendOutcome::Published => {
                self.bus_failures.store(0, Ordering::Relaxed);
                sweep.notices_sent += 1;
                return None;
            }
            SendOutcome::Empty => return None,
            SendOutcome::Waits => {}
            SendOutcome::Refused => sweep.notices_deferred += 1,
            SendOutcome::Deferred | SendOutcome::Left => {
                self.bus_failures.fetch_add(1, Ordering::Relaxed);
                sweep.notices_deferred += 1;
            }
        }
        Some(told.outcome)
    }
}
