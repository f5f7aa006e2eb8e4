//! One sweep: due items are processed, oldest first, in all partitions at once, until nothing is
//! left or the time is up. What is left stays due, and the next run begins with it.
//!
//! Two sweeps at the same moment do no harm, even of one event that was delivered twice: an alert
//! is sent by whoever holds its lease, and a check counts only if nobody wrote the session since it
//! was read. Must not know: what started it, HTTP.

use crate::error::chain;
use crate::invocation::Invocation;
use crate::notification::Sid;
use crate::send::{Outbox, SendOutcome};
use crate::store::{
    Due, DueClaim, Found, FoundSession, ItemKey, Lease, LookWrite, Shard, Store, StoreError,
};
use crate::watchdog::{Look, Rules, look, over_since};
use futures_util::future::join_all;
use serde::Serialize;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// An alert that couldn't be sent for this long is given up, in ms.
const GIVE_UP_MS: u64 = 24 * 60 * 60 * 1000;
/// An item that can't be read or written is put off for this long, in ms.
pub const PUT_OFF_MS: u64 = 60 * 60 * 1000;
/// How long SNS may take for one alert, so that one that hangs doesn't take the whole run.
const SEND: Duration = Duration::from_secs(6);
/// Time reserved for one item, publishing included; no item is started with less.
const ITEM: Duration = Duration::from_millis(1500);
/// Consecutive failed publishes after which SNS counts as down, and this run leaves the other
/// alerts alone.
const SNS_IS_DOWN: u32 = 3;
/// Consecutive failed items after which a partition is left to the next run.
const TABLE_IS_DOWN: u32 = 3;
/// How often a session is checked anew when callbacks keep coming in between.
const MAX_CHECKS: u32 = 5;
/// Problems of one sweep that are kept; all are counted.
const MAX_REMARKS: usize = 50;

/// What a sweep did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sweep {
    /// Sessions checked.
    pub looked: u64,
    /// Sessions that aren't checked again unless a callback comes.
    pub closed: u64,
    /// Missing callbacks of sessions that are over, each counted once.
    pub missing_sequences: u64,
    /// Alerts that the watchdog raised or took back.
    pub found: u64,
    /// Alerts published.
    pub published: u64,
    /// Alerts that couldn't be published and stay pending.
    pub deferred: u64,
    /// Alerts left alone because SNS is down.
    pub held: u64,
    /// Alerts that were tried for a day and are given up.
    pub failed: u64,
    /// Items that can't be read or written.
    pub unreadable: u64,
    /// Requests to the table that failed.
    pub errors: u64,
    /// The age of the oldest alert that is due and wasn't sent, in ms.
    pub oldest_pending_ms: u64,
    /// False if the time was up before everything was processed.
    pub finished: bool,
    /// Problems for people to read: at most 50.
    #[serde(skip)]
    pub remarks: Vec<Remark>,
}

/// A problem with one item, or with a partition of the index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// The item's partition key; `watch`, the index, for a partition of it.
    pub sid: String,
    /// The item's sort key; `shard <name>` for a partition of the index.
    pub item: String,
    /// What happened, in a few words.
    pub outcome: &'static str,
    /// What failed, with its causes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Sweep {
    /// A sweep that has nothing to do.
    fn nothing() -> Self {
        Self {
            finished: true,
            ..Self::default()
        }
    }

    fn remark(&mut self, sid: &str, item: String, outcome: &'static str, error: Option<String>) {
        self.remarks.push(Remark {
            sid: sid.to_owned(),
            item,
            outcome,
            error,
        });
    }

    fn add(mut self, other: Self) -> Self {
        self.looked += other.looked;
        self.closed += other.closed;
        self.missing_sequences += other.missing_sequences;
        self.found += other.found;
        self.published += other.published;
        self.deferred += other.deferred;
        self.held += other.held;
        self.failed += other.failed;
        self.unreadable += other.unreadable;
        self.errors += other.errors;
        self.oldest_pending_ms = self.oldest_pending_ms.max(other.oldest_pending_ms);
        self.finished &= other.finished;
        self.remarks.extend(other.remarks);
        self.remarks.truncate(MAX_REMARKS);
        self
    }
}

/// The sweeper: its rules and the two clients, made once.
#[derive(Debug)]
pub struct Sweeper {
    rules: Rules,
    store: Store,
    outbox: Outbox,
}

/// One partition's part of a sweep.
struct Part<'a> {
    sweeper: &'a Sweeper,
    run: Invocation<'a>,
    /// Consecutive failed publishes, in all partitions.
    sns_failures: &'a AtomicU32,
    sweep: Sweep,
}

impl Sweeper {
    /// A sweeper of `store` that sends by `outbox`.
    #[must_use]
    pub fn new(rules: Rules, store: Store, outbox: Outbox) -> Self {
        Self {
            rules,
            store,
            outbox,
        }
    }

    /// Processes what is due.
    pub async fn sweep(&self, invocation: Invocation<'_>) -> Sweep {
        // Lambda may deliver one event twice, under one request id. Two runs are two owners.
        let owner = format!("{}/{:016x}", invocation.id, fastrand::u64(..));
        let run = Invocation::new(&owner, invocation.now_ms(), invocation.deadline);
        let sns_failures = AtomicU32::new(0);
        let parts = Shard::swept().map(|shard| {
            let part = Part {
                sweeper: self,
                run,
                sns_failures: &sns_failures,
                sweep: Sweep::nothing(),
            };
            part.process(shard)
        });
        join_all(parts)
            .await
            .into_iter()
            .fold(Sweep::nothing(), Sweep::add)
    }
}

impl Part<'_> {
    /// Processes what is due in a partition.
    async fn process(mut self, shard: Shard) -> Sweep {
        // What becomes due meanwhile, what it put off itself too, is for the next run.
        let due_until_ms = self.run.began_at_ms();
        let mut table_failures = 0;
        let mut from = None;
        loop {
            let store = &self.sweeper.store;
            let page = timeout_at(self.run.deadline, store.due(shard, due_until_ms, from)).await;
            let page = match page {
                Ok(Ok(page)) => page,
                Ok(Err(error)) => {
                    self.sweep.errors += 1;
                    self.sweep.finished = false;
                    let item = format!("shard {shard}");
                    self.sweep
                        .remark("watch", item, "not read", Some(chain(&error)));
                    return self.sweep;
                }
                Err(_) => {
                    self.sweep.finished = false;
                    return self.sweep;
                }
            };
            for due in &page.due {
                if Instant::now() + ITEM > self.run.deadline {
                    self.sweep.finished = false;
                    return self.sweep;
                }
                match timeout_at(self.run.deadline, self.item(due)).await {
                    Ok(Ok(())) => table_failures = 0,
                    Ok(Err(error)) => {
                        table_failures += 1;
                        self.sweep.errors += 1;
                        let error = Some(chain(&error));
                        self.sweep
                            .remark(&due.sid, due.key.to_string(), "not processed", error);
                    }
                    Err(_) => table_failures = TABLE_IS_DOWN,
                }
                if table_failures >= TABLE_IS_DOWN {
                    self.sweep.finished = false;
                    return self.sweep;
                }
            }
            match page.next {
                Some(next) => from = Some(next),
                None => return self.sweep,
            }
        }
    }

    async fn item(&mut self, due: &Due) -> Result<(), StoreError> {
        match due.key {
            ItemKey::Session => self.check_session(due).await,
            ItemKey::Alert(_) => self.send_due(due).await,
            ItemKey::Event(_) | ItemKey::Missing(_) | ItemKey::Other(_) => {
                self.put_off(due, "unreadable").await
            }
        }
    }

    /// An item that can't be read or written is reported and put off, and doesn't stop the rest.
    async fn put_off(&mut self, due: &Due, why: &'static str) -> Result<(), StoreError> {
        self.sweep.unreadable += 1;
        self.sweep.remark(&due.sid, due.key.to_string(), why, None);
        let later_ms = self.run.now_ms() + PUT_OFF_MS;
        self.sweeper.store.put_off(due, later_ms).await
    }

    /// Sends an alert that is due.
    async fn send_due(&mut self, due: &Due) -> Result<(), StoreError> {
        if self.sns_is_down() {
            self.sweep.held += 1;
            self.note_oldest_pending(due.watch_at);
            return Ok(());
        }
        let store = &self.sweeper.store;
        let lease = match store.claim_due(due, self.run).await? {
            DueClaim::Ours(lease) => lease,
            DueClaim::HeldElsewhere => return Ok(()),
            DueClaim::Unreadable => return self.put_off(due, "unreadable").await,
        };
        if self.send(&lease).await {
            return Ok(());
        }
        let now_ms = self.run.now_ms();
        if lease.created_at().saturating_add(GIVE_UP_MS) <= now_ms {
            self.sweep.failed += 1;
            self.sweep
                .remark(&due.sid, due.key.to_string(), "given up", None);
            return store.fail_alert(&lease, now_ms).await;
        }
        self.note_oldest_pending(lease.created_at());
        store.defer_alert(&lease, now_ms).await
    }

    fn sns_is_down(&self) -> bool {
        self.sns_failures.load(Ordering::Relaxed) >= SNS_IS_DOWN
    }

    /// Sends an alert that is ours; false if it has to be tried again.
    async fn send(&mut self, lease: &Lease) -> bool {
        let Sweeper { store, outbox, .. } = self.sweeper;
        let deadline = self.run.deadline.min(Instant::now() + SEND);
        let sent = outbox.send(store, lease, self.run.until(deadline)).await;
        if sent.error.is_some() {
            let alert = lease.alert();
            let (key, outcome) = (ItemKey::Alert(alert.key.clone()), sent.outcome.as_str());
            self.sweep
                .remark(&alert.sid, key.to_string(), outcome, sent.error);
        }
        match sent.outcome {
            SendOutcome::Published => {
                self.sns_failures.store(0, Ordering::Relaxed);
                self.sweep.published += 1;
                true
            }
            SendOutcome::Refused => {
                self.sweep.deferred += 1;
                false
            }
            SendOutcome::Deferred => {
                self.sns_failures.fetch_add(1, Ordering::Relaxed);
                self.sweep.deferred += 1;
                false
            }
        }
    }

    /// Checks a session that is due, and sends what was found.
    async fn check_session(&mut self, due: &Due) -> Result<(), StoreError> {
        let store = &self.sweeper.store;
        let mut claimed_before = Vec::new();
        for _ in 0..MAX_CHECKS {
            let now_ms = self.run.now_ms();
            let found = match store.due_session(due, now_ms).await? {
                Found::Session(found) => found,
                Found::NotDue => return Ok(()),
                Found::Unreadable => return self.put_off(due, "unreadable").await,
            };
            let mut look = look(&found.watched, &self.sweeper.rules, now_ms);
            look.alerts
                .retain(|alert| !claimed_before.contains(&alert.key));
            let counted = look.standing.missing_counted.unwrap_or(0);
            let missing = self.missing(&found, &look).await?.unwrap_or(0).max(counted);
            look.standing.missing_counted = Some(missing).filter(|missing| *missing > 0);
            match store.note_look(&found, &look, self.run).await? {
                LookWrite::Written(leases) => {
                    self.sweep.looked += 1;
                    self.sweep.closed += u64::from(look.next.is_none());
                    self.sweep.missing_sequences += missing - counted;
                    self.send_found(&leases).await;
                    return Ok(());
                }
                LookWrite::Overtaken => {}
                LookWrite::AlreadyClaimed(keys) => claimed_before.extend(keys),
                LookWrite::Unwritable => return self.put_off(due, "unwritable").await,
            }
        }
        Err(StoreError::Conflict {
            what: "the session",
            tries: MAX_CHECKS,
        })
    }

    /// Sends what a check found. What can't be sent now is due once its lease is over.
    async fn send_found(&mut self, leases: &[Lease]) {
        for lease in leases {
            self.sweep.found += 1;
            if self.sns_is_down() {
                self.sweep.held += 1;
                self.note_oldest_pending(lease.created_at());
            } else if !self.send(lease).await {
                self.note_oldest_pending(lease.created_at());
            }
        }
    }

    /// How many callbacks are missing of a session that is over and isn't checked again. Later
    /// checks may close it again; `missing_counted` keeps what was counted from being counted
    /// twice.
    async fn missing(&self, found: &FoundSession, look: &Look) -> Result<Option<u64>, StoreError> {
        let watched = &found.watched;
        let is_closed = look.next.is_none() && over_since(watched).is_some();
        let Some(sid) = Sid::new(&watched.sid).filter(|_| is_closed) else {
            return Ok(None);
        };
        let mut missing = 0;
        for recorder in &watched.session.recorders {
            let ranges = self.sweeper.store.missing(&sid, recorder).await?;
            missing += ranges.iter().map(|(from, to)| to - from + 1).sum::<u64>();
        }
        Ok(Some(missing))
    }

    /// Notes the age of an alert that isn't sent.
    fn note_oldest_pending(&mut self, since_ms: u64) {
        let age_ms = self.run.now_ms().saturating_sub(since_ms);
        self.sweep.oldest_pending_ms = self.sweep.oldest_pending_ms.max(age_ms);
    }
}
