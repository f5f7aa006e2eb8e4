//! What is due in the table when a run begins, and what leaves at its end.

use super::{AtEnd, Run, Sweep};
use crate::alert::{Alert, AlertKind, Attempt, Delivery, Destination, Outgoing};
use crate::error::chain;
use crate::record::StoredAlert;
use crate::store::{
    BATCH, Claim, Due, DueItems, InOutbox, ItemKey, LEASE_MS, Leased, Shard, StoreError,
};
use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long a run may send what is due before it checks the sessions.
const DUE_TIME: Duration = Duration::from_secs(15);
/// Keys of due alerts that a run reads at most from a partition, and of due notices.
const MAX_DUE: usize = 2_500;
/// How long it may read them.
const LIST_TIME: Duration = Duration::from_secs(5);
/// Batches that are read at the same time.
const BATCHES_AT_A_TIME: usize = 8;
/// Items that are written at the same time.
pub(super) const AT_A_TIME: usize = 32;
/// Time reserved for what leaves at the end of a run.
const END_TIME: Duration = Duration::from_secs(6);
/// So many findings of a run leave at once, the rest at its end: in digests, where there are many.
const AT_ONCE: u32 = 3;

impl Run<'_> {
    /// Tells people what is due; programs are told at the end of the run.
    pub(super) async fn send_due(&self) -> Sweep {
        let mut sweep = Sweep::default();
        let read = timeout_at(self.invocation.deadline, self.read_due()).await;
        let found = match read {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                self.table_failures.fetch_add(1, Ordering::Relaxed);
                sweep.errors += 1;
                sweep.finished = false;
                let error = Some(chain(&error));
                sweep.remark("watch", "shard due".to_owned(), "not read", error);
                return sweep;
            }
            Err(_) => {
                sweep.finished = false;
                return sweep;
            }
        };
        for due in found.unreadable {
            self.put_off(&due, "unreadable", &mut sweep).await;
        }
        let until = Instant::now() + DUE_TIME;
        sweep.add(self.tell_people(&found.alerts, until).await);
        let mut at_end = self.at_end();
        at_end.notices.extend(found.notices);
        let is_for_programs =
            |stored: &StoredAlert| stored.outgoing.to.contains_key(&Destination::Facts);
        let facts = found.alerts.into_iter().filter(is_for_programs);
        at_end.facts.extend(facts);
        drop(at_end);
        sweep
    }

    /// Tells people what this run has found, then programs everything.
    pub(super) async fn send_rest(&self) -> Sweep {
        let AtEnd {
            alerts,
            notices,
            mut facts,
        } = std::mem::take(&mut *self.at_end());
        let mut sweep = self.tell_people(&alerts, self.invocation.deadline).await;
        sweep.add(self.tell_notices(notices).await);
        facts.extend(alerts);
        sweep.add(self.tell_facts(facts).await);
        sweep
    }

    /// Reads what is due. What becomes due meanwhile, what this run puts off itself too, is for the
    /// next one.
    async fn read_due(&self) -> Result<DueItems, StoreError> {
        let until = Instant::now() + LIST_TIME;
        let listed = try_join_all(Shard::dues().map(|shard| self.list_due(shard, until))).await?;
        let (alerts, others): (Vec<_>, Vec<_>) = listed.into_iter().unzip();
        let due: Vec<_> = alerts.into_iter().chain(others).flatten().collect();
        let store = &self.sweeper.store;
        let batches: Vec<_> = due.chunks(BATCH).collect();
        let read: Vec<_> = stream::iter(batches)
            .map(|batch| store.due_items(batch))
            .buffered(BATCHES_AT_A_TIME)
            .try_collect()
            .await?;
        let mut found = DueItems::default();
        for some in read {
            found.alerts.extend(some.alerts);
            found.notices.extend(some.notices);
            found.unreadable.extend(some.unreadable);
        }
        Ok(found)
    }

    /// Lists the alerts that are due in a partition, and the rest: however many notices wait for a
    /// bus that is down, alerts are found.
    async fn list_due(
        &self,
        shard: Shard,
        until: Instant,
    ) -> Result<(Vec<Due>, Vec<Due>), StoreError> {
        let due_until_ms = self.invocation.began_at_ms();
        let (mut alerts, mut others, mut from) = (Vec::new(), Vec::new(), None);
        loop {
            let page = self.sweeper.store.due(shard, due_until_ms, from).await?;
            let is_alert = |due: &Due| matches!(due.key, ItemKey::Alert(_));
            let (some, rest): (Vec<_>, Vec<_>) = page.due.into_iter().partition(is_alert);
            alerts.extend(some);
            others.extend(rest);
            others.truncate(MAX_DUE);
            from = page.next;
            if from.is_none() || alerts.len() >= MAX_DUE || Instant::now() >= until {
                return Ok((alerts, others));
            }
        }
    }

    /// True if so many findings may still leave at once.
    pub(super) fn may_leave_at_once(&self, alerts: &[Alert]) -> bool {
        let alarms = alerts.iter().filter(|it| it.kind.alarm() == it.kind);
        let count = u32::try_from(alarms.count()).unwrap_or(u32::MAX);
        self.found_at_once.fetch_add(count, Ordering::Relaxed) + count <= AT_ONCE
    }

    /// A finding, as it is written down: what leaves at once is this run's from the beginning, and
    /// so is what programs are told at its end.
    pub(super) fn finding(&self, kind: AlertKind, leaves_at_once: bool) -> Outgoing {
        let now_ms = self.invocation.now_ms();
        let left = self.invocation.deadline.duration_since(Instant::now());
        let run_ends = now_ms + u64::try_from(left.as_millis()).unwrap_or(0) + LEASE_MS;
        let owner = self.invocation.id;
        let is_alarm = kind.alarm() == kind;
        let delivery = |at: Destination| match at {
            Destination::Facts if is_alarm => Delivery::claimed(owner, run_ends),
            Destination::Critical | Destination::Alerts | Destination::Incidents
                if leaves_at_once && is_alarm && !self.is_down(at) =>
            {
                Delivery::claimed(owner, now_ms + LEASE_MS)
            }
            _ => Delivery::unclaimed(now_ms),
        };
        let to = self.sweeper.outbox.destinations(kind);
        Outgoing {
            created_at: now_ms,
            version: 1,
            to: to.into_iter().map(|at| (at, delivery(at))).collect(),
        }
    }

    /// Leaves alerts to the end of the run.
    pub(super) fn defer_to_end(&self, alerts: impl IntoIterator<Item = StoredAlert>) {
        self.at_end().alerts.extend(alerts);
    }

    /// Time that is reserved for the end of the run.
    pub(super) fn reserved_for_end(&self) -> Duration {
        let at_end = self.at_end();
        if at_end.alerts.is_empty() && at_end.notices.is_empty() && at_end.facts.is_empty() {
            Duration::ZERO
        } else {
            // Of a short run only a part, so that sessions are checked, too.
            END_TIME.min(self.length / 4)
        }
    }

    /// Takes the lease of something for a destination, if nobody else is at it. One that can't be
    /// written is put off.
    pub(super) async fn lease<T: InOutbox + Clone>(
        &self,
        stored: &T,
        at: Destination,
        sweep: &mut Sweep,
    ) -> Option<Leased<T>> {
        let (sid, key) = stored.key();
        let store = &self.sweeper.store;
        let claim = store.lease(stored.clone(), &[at], self.invocation).await;
        match self.ok(sid, &key.to_string(), claim, sweep)? {
            Claim::Ours(leased) => Some(*leased),
            Claim::HeldElsewhere => None,
            Claim::Unwritable => {
                let due = Due {
                    sid: sid.to_owned(),
                    key,
                    watch_at: self.invocation.now_ms(),
                };
                self.put_off(&due, "unwritable", sweep).await;
                None
            }
        }
    }

    /// Notes of each of these how telling a destination went, and counts what it wasn't told.
    pub(super) async fn note<T: InOutbox>(
        &self,
        attempts: impl IntoIterator<Item = (Leased<T>, Attempt)>,
        at: Destination,
        sweep: &mut Sweep,
    ) {
        let (store, now_ms) = (&self.sweeper.store, self.invocation.now_ms());
        let notes = attempts
            .into_iter()
            .map(|(mut leased, attempt)| async move {
                let attempts = [(at, attempt)].into();
                let noted = store.note(&mut leased, &attempts, now_ms).await;
                (leased, noted)
            });
        let mut notes = std::pin::pin!(stream::iter(notes).buffer_unordered(AT_A_TIME));
        while let Some((leased, noted)) = notes.next().await {
            let ((sid, key), outgoing) = (leased.stored().key(), leased.stored().outgoing());
            self.ok(sid, &key.to_string(), noted, sweep);
            match outgoing.to.get(&at) {
                Some(Delivery::Failed { .. }) => {
                    sweep.count_failed(at);
                    let at = Some(at.as_str().to_owned());
                    sweep.remark(sid, key.to_string(), "given up", at);
                }
                Some(Delivery::Pending { .. }) => {
                    sweep.count_deferred(at, self.age_ms(outgoing.created_at));
                }
                Some(Delivery::Told { .. } | Delivery::Needless) | None => {}
            }
        }
    }

    /// An item that can't be read or written is reported and put off, and doesn't stop the rest.
    pub(super) async fn put_off(&self, due: &Due, why: &'static str, sweep: &mut Sweep) {
        sweep.unreadable += 1;
        let item = due.key.to_string();
        sweep.remark(&due.sid, item.clone(), why, None);
        let later_ms = self.invocation.now_ms() + super::PUT_OFF_MS;
        let put_off = self.sweeper.store.put_off(due, later_ms).await;
        self.ok(&due.sid, &item, put_off, sweep);
    }
}
