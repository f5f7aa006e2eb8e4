//! One sweep, once a minute: people are told first what is due, then every watched session is
//! checked, then programs are told, until the time is up.
//!
//! Two sweeps at the same moment do no harm, even of one event that was delivered twice: an alert
//! is sent by whoever holds its lease, and a finding counts only if nobody wrote the session since
//! it was read. Must not know: what started it, HTTP.

mod again;
mod alerts;
mod due;
mod looks;
mod programs;
mod resolutions;

pub use again::Hurry;

use crate::alert::Destination;
use crate::error::chain;
use crate::invocation::Invocation;
use crate::record::StoredAlert;
use crate::send::Outbox;
use crate::store::{Shard, Store, StoreError, StoredNotice};
use crate::watchdog::Rules;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// An item that can't be read or written is put off for this long, in ms.
pub const PUT_OFF_MS: u64 = 60 * 60 * 1000;
/// How often a sweep is started, in ms: the lag of one that does all it should is 0.
const EVERY_MS: u64 = 60_000;
/// How often SNS is asked who listens, in ms.
const HOUR_MS: u64 = 60 * 60 * 1000;
/// How long it may take to tell.
const WHO_LISTENS: Duration = Duration::from_secs(2);
/// Heartbeats are expected of every recording for so long after any was seen, in ms.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// How often it is noted that one was seen, in ms.
const NOTED_EVERY_MS: u64 = 60 * 60 * 1000;
/// Consecutive failures after which a destination counts as down, and this run leaves it alone.
const IS_DOWN: u32 = 3;
/// Consecutive failed requests after which the table counts as down, and the rest is left to the
/// next run.
const TABLE_IS_DOWN: u32 = 3;
/// Problems of one sweep that are kept; all are counted.
const MAX_REMARKS: usize = 50;
/// How much memory there has to be for each batch that is read at the same time, in MB.
const MB_PER_BATCH: usize = 16;
/// Batches read at the same time unless the sweeper has room for more.
const IN_FLIGHT: usize = 16;

/// What a sweep did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sweep {
    /// Sessions looked at.
    pub looked: u64,
    /// Those among them whose newest heartbeat came within the last minute.
    pub heard: u64,
    /// Sessions that aren't watched any more unless a callback comes.
    pub closed: u64,
    /// Missing callbacks of sessions that are over, each counted once.
    pub missing_sequences: u64,
    /// Alerts that the watchdog raised or took back.
    pub found: u64,
    /// Messages published to topics.
    pub published: u64,
    /// Alerts that a topic couldn't be told of, those that are given up among them.
    pub deferred: u64,
    /// Alerts left to the next run because a topic is down, or enough has left in this one.
    pub held: u64,
    /// Alerts that a topic wasn't told of for a day and that are given up.
    pub failed: u64,
    /// Events put on the bus.
    #[serde(skip_serializing_if = "is_none")]
    pub notices_sent: u64,
    /// Alerts and notices that the bus still has to get.
    #[serde(skip_serializing_if = "is_none")]
    pub notices_deferred: u64,
    /// Alerts and notices that the bus didn't get for a day and that are given up.
    #[serde(skip_serializing_if = "is_none")]
    pub notices_failed: u64,
    /// The same, by destination.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub destinations: BTreeMap<&'static str, Tally>,
    /// Items that can't be read or written.
    pub unreadable: u64,
    /// Requests to the table that failed.
    pub errors: u64,
    /// The age of the oldest alert that is due and that a topic wasn't told of, in ms.
    pub oldest_pending_ms: u64,
    /// How late the sessions that waited longest for a look are by now, in ms.
    pub lag_ms: u64,
    /// Subscriptions of the topics, if this run asked: confirmed ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscribers: Option<u64>,
    /// The others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscribers_pending: Option<u64>,
    /// False if the time was up before everything was processed.
    pub finished: bool,
    /// Problems for people to read: at most 50.
    #[serde(skip)]
    pub remarks: Vec<Remark>,
}

/// What became of what one destination was to be told in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Messages that it took.
    pub told: u64,
    /// What it still has to be told.
    pub deferred: u64,
    /// What is given up.
    pub failed: u64,
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

/// Where there is no bus, a sweep says nothing of one.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks for it")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

impl Default for Sweep {
    /// A sweep that had nothing to do.
    fn default() -> Self {
        Self {
            looked: 0,
            heard: 0,
            closed: 0,
            missing_sequences: 0,
            found: 0,
            published: 0,
            deferred: 0,
            held: 0,
            failed: 0,
            notices_sent: 0,
            notices_deferred: 0,
            notices_failed: 0,
            destinations: BTreeMap::new(),
            unreadable: 0,
            errors: 0,
            oldest_pending_ms: 0,
            lag_ms: 0,
            subscribers: None,
            subscribers_pending: None,
            finished: true,
            remarks: Vec::new(),
        }
    }
}

impl Sweep {
    fn remark(&mut self, sid: &str, item: String, outcome: &'static str, error: Option<String>) {
        self.remarks.push(Remark {
            sid: sid.to_owned(),
            item,
            outcome,
            error,
        });
    }

    fn tally(&mut self, at: Destination) -> &mut Tally {
        self.destinations.entry(at.as_str()).or_default()
    }

    /// Counts a message that a destination took.
    fn count_told(&mut self, at: Destination) {
        self.tally(at).told += 1;
        if at.is_on_bus() {
            self.notices_sent += 1;
        } else {
            self.published += 1;
        }
    }

    /// Counts what a destination couldn't be told.
    fn count_deferred(&mut self, at: Destination, age_ms: u64) {
        self.tally(at).deferred += 1;
        if at.is_on_bus() {
            self.notices_deferred += 1;
        } else {
            self.deferred += 1;
            self.oldest_pending_ms = self.oldest_pending_ms.max(age_ms);
        }
    }

    /// Counts what a destination is told later.
    fn count_held(&mut self, at: Destination, age_ms: u64) {
        self.tally(at).deferred += 1;
        if at.is_on_bus() {
            self.notices_deferred += 1;
        } else {
            self.held += 1;
            self.oldest_pending_ms = self.oldest_pending_ms.max(age_ms);
        }
    }

    /// Counts what is given up at a destination.
    fn count_failed(&mut self, at: Destination) {
        self.tally(at).failed += 1;
        if at.is_on_bus() {
            self.notices_failed += 1;
        } else {
            self.deferred += 1;
            self.failed += 1;
        }
    }

    fn add(&mut self, other: Self) {
        self.looked += other.looked;
        self.heard += other.heard;
        self.closed += other.closed;
        self.missing_sequences += other.missing_sequences;
        self.found += other.found;
        self.published += other.published;
        self.deferred += other.deferred;
        self.held += other.held;
        self.failed += other.failed;
        self.notices_sent += other.notices_sent;
        self.notices_deferred += other.notices_deferred;
        self.notices_failed += other.notices_failed;
        for (at, tally) in other.destinations {
            let sum = self.destinations.entry(at).or_default();
            sum.told += tally.told;
            sum.deferred += tally.deferred;
            sum.failed += tally.failed;
        }
        self.unreadable += other.unreadable;
        self.errors += other.errors;
        self.oldest_pending_ms = self.oldest_pending_ms.max(other.oldest_pending_ms);
        self.lag_ms = self.lag_ms.max(other.lag_ms);
        self.subscribers = self.subscribers.or(other.subscribers);
        self.subscribers_pending = self.subscribers_pending.or(other.subscribers_pending);
        self.finished &= other.finished;
        self.remarks.extend(other.remarks);
        self.remarks.truncate(MAX_REMARKS);
    }
}

/// The sweeper: its rules and the two clients, made once.
#[derive(Debug)]
pub struct Sweeper {
    rules: Rules,
    store: Store,
    outbox: Outbox,
    in_flight: usize,
    /// How many sessions the last whole sweep of this process looked at.
    watched: AtomicU64,
    /// The hour in which SNS was last asked who listens, in hours since the epoch.
    asked_in: AtomicU64,
    /// When this process last looked at all sessions of each partition, ms since the epoch.
    looked_at: Mutex<HashMap<Shard, u64>>,
}

/// One run of a sweep.
struct Run<'a> {
    sweeper: &'a Sweeper,
    invocation: Invocation<'a>,
    /// The rules of this run.
    rules: Rules,
    /// The newest arrival of a heartbeat that this run has seen, ms since the epoch.
    newest_heartbeat: AtomicU64,
    /// Consecutive failures, by destination.
    failures: Mutex<BTreeMap<Destination, u32>>,
    /// Consecutive failed requests to the table.
    table_failures: AtomicU32,
    /// How long it may take.
    length: Duration,
    /// When another message may leave, by destination.
    next: Mutex<BTreeMap<Destination, Instant>>,
    /// How many findings left at once.
    found_at_once: AtomicU32,
    /// What leaves at the end of the run.
    at_end: Mutex<AtEnd>,
}

/// What leaves at the end of a run: what was found and isn't told yet, and what programs are told.
#[derive(Default)]
struct AtEnd {
    /// For everybody.
    alerts: Vec<StoredAlert>,
    /// For programs: notices.
    notices: Vec<StoredNotice>,
    /// For programs: alerts that people were told of before.
    facts: Vec<StoredAlert>,
}

impl Sweeper {
    /// A sweeper of `store` that sends by `outbox`.
    #[must_use]
    pub fn new(rules: Rules, store: Store, outbox: Outbox) -> Self {
        Self {
            rules,
            store,
            outbox,
            in_flight: IN_FLIGHT,
            watched: AtomicU64::new(0),
            asked_in: AtomicU64::new(0),
            looked_at: Mutex::default(),
        }
    }

    /// Lets it read as many batches of sessions at the same time as `memory_mb` can carry.
    #[must_use]
    pub fn with_memory(mut self, memory_mb: usize) -> Self {
        self.in_flight = (memory_mb / MB_PER_BATCH).clamp(8, 64);
        self
    }

    /// Sends due alerts and notices, and looks at no session.
    pub async fn send_due(&self, invocation: Invocation<'_>) -> Sweep {
        let owner = owner_of_run(invocation);
        let run = self.begin(&owner, invocation, self.rules);
        let mut sweep = run.send_due().await;
        sweep.add(run.send_rest().await);
        sweep
    }

    /// Sends these alerts and notices and nothing else, whatever else is due.
    pub async fn send_these(
        &self,
        alerts: Vec<StoredAlert>,
        notices: Vec<StoredNotice>,
        invocation: Invocation<'_>,
    ) -> Sweep {
        let owner = owner_of_run(invocation);
        let run = self.begin(&owner, invocation, self.rules);
        *run.at_end() = AtEnd {
            alerts,
            notices,
            facts: Vec::new(),
        };
        run.send_rest().await
    }

    /// Sends what is due, then looks at the watched sessions.
    pub async fn sweep(&self, invocation: Invocation<'_>) -> Sweep {
        let seen_at = self.heartbeat_seen_at(invocation).await;
        let expects_heartbeats = seen_at.saturating_add(DAY_MS) > invocation.now_ms();
        let rules = Rules {
            expects_heartbeats,
            ..self.rules
        };
        let owner = owner_of_run(invocation);
        let run = self.begin(&owner, invocation, rules);
        let mut sweep = run.send_due().await;
        let checked = run.look_at_sessions().await;
        if checked.finished {
            self.watched.store(checked.looked, Ordering::Relaxed);
        }
        sweep.add(checked);
        sweep.add(run.send_rest().await);
        self.ask_who_listens(run.invocation, &mut sweep).await;
        let newest = run.newest_heartbeat.load(Ordering::Relaxed);
        if newest >= seen_at.saturating_add(NOTED_EVERY_MS) {
            let noted = self.store.note_heartbeat(newest, invocation.now_ms());
            if let Ok(Err(error)) = timeout_at(invocation.deadline, noted).await {
                sweep.errors += 1;
                let error = Some(chain(&error));
                sweep.remark("receiver#state", "heartbeat".to_owned(), "not noted", error);
            }
        }
        sweep
    }

    fn begin<'a>(&'a self, owner: &'a str, invocation: Invocation<'a>, rules: Rules) -> Run<'a> {
        let now = Instant::now();
        Run {
            sweeper: self,
            invocation: Invocation::new(owner, invocation.now_ms(), invocation.deadline),
            rules,
            newest_heartbeat: AtomicU64::new(0),
            failures: Mutex::default(),
            table_failures: AtomicU32::new(0),
            length: invocation.deadline.saturating_duration_since(now),
            next: Mutex::default(),
            found_at_once: AtomicU32::new(0),
            at_end: Mutex::default(),
        }
    }

    /// Asks SNS once an hour how many subscribe.
    async fn ask_who_listens(&self, invocation: Invocation<'_>, sweep: &mut Sweep) {
        let hour = invocation.now_ms() / HOUR_MS;
        if self.asked_in.swap(hour, Ordering::Relaxed) == hour {
            return;
        }
        let until = invocation.deadline.min(Instant::now() + WHO_LISTENS);
        let error = match timeout_at(until, self.outbox.topics.subscribers()).await {
            Ok(Ok(subscribers)) => {
                sweep.subscribers = Some(subscribers.confirmed);
                sweep.subscribers_pending = Some(subscribers.pending);
                return;
            }
            Ok(Err(error)) => chain(&error),
            Err(_) => "it took too long".to_owned(),
        };
        sweep.remark("topics", "subscribers".to_owned(), "not told", Some(error));
    }

    /// When a heartbeat of any recording was last noted; 0 where that can't be read.
    async fn heartbeat_seen_at(&self, invocation: Invocation<'_>) -> u64 {
        let seen_at = self.store.heartbeat_seen_at();
        match timeout_at(invocation.deadline, seen_at).await {
            Ok(Ok(seen_at)) => seen_at.unwrap_or(0),
            Ok(Err(_)) | Err(_) => 0,
        }
    }
}

/// Lambda may deliver one event twice, under one request id. Two runs are two owners.
fn owner_of_run(invocation: Invocation<'_>) -> String {
    format!("{}/{:016x}", invocation.id, fastrand::u64(..))
}

impl Run<'_> {
    /// True if what needs `reserve` can still be begun.
    fn has_time(&self, reserve: Duration) -> bool {
        Instant::now() + reserve <= self.invocation.deadline
    }

    fn is_down(&self, at: Destination) -> bool {
        let failures = self.failures.lock();
        let failures = failures.unwrap_or_else(PoisonError::into_inner);
        failures.get(&at).is_some_and(|count| *count >= IS_DOWN)
    }

    fn add_failure(&self, at: Destination) {
        let failures = self.failures.lock();
        let mut failures = failures.unwrap_or_else(PoisonError::into_inner);
        *failures.entry(at).or_default() += 1;
    }

    /// Leaves a destination alone for the rest of the run.
    fn leave_alone(&self, at: Destination) {
        let failures = self.failures.lock();
        let mut failures = failures.unwrap_or_else(PoisonError::into_inner);
        failures.insert(at, IS_DOWN);
    }

    fn reset_failures(&self, at: Destination) {
        let failures = self.failures.lock();
        failures.unwrap_or_else(PoisonError::into_inner).remove(&at);
    }

    fn at_end(&self) -> MutexGuard<'_, AtEnd> {
        self.at_end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn table_is_down(&self) -> bool {
        self.table_failures.load(Ordering::Relaxed) >= TABLE_IS_DOWN
    }

    /// What was asked of the table, if it answered. A failure is reported, and stops nothing else.
    fn ok<T>(
        &self,
        sid: &str,
        item: &str,
        result: Result<T, StoreError>,
        sweep: &mut Sweep,
    ) -> Option<T> {
        match result {
            Ok(answer) => {
                self.table_failures.store(0, Ordering::Relaxed);
                Some(answer)
            }
            Err(error) => {
                self.table_failures.fetch_add(1, Ordering::Relaxed);
                sweep.errors += 1;
                let error = Some(chain(&error));
                sweep.remark(sid, item.to_owned(), "not processed", error);
                None
            }
        }
    }
}
