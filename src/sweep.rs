//! One sweep: what is due is worked off, oldest first, in eight partitions at once, until nothing is left or the time is up.
//! What is left stays due, and the next run begins with it.
//!
//! Two sweeps at the same moment do no harm: an alert is sent by whoever claims it, and a look counts only if nobody wrote the
//! session since it was read. Must not know: what started it, HTTP.

use crate::alert::Alert;
use crate::error::chain;
use crate::notification::Sid;
use crate::send::{AlertOutcome, send};
use crate::store::{
    Due, DueClaim, Found, FoundSession, LookWrite, Store, StoreError, WATCH_SHARDS,
};
use crate::topic::Topic;
use crate::watchdog::{Rules, look, over_since};
use futures_util::future::join_all;
use serde::Serialize;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// An alert that couldn't be sent for this long is given up, in ms.
const GIVE_UP_MS: u64 = 24 * 60 * 60 * 1000;
/// How long SNS may take for one alert, so that one that hangs doesn't take the whole run.
const SEND: Duration = Duration::from_secs(6);
/// What an item may need, publishing included: with less time left none is begun, so that none is cut off.
const ITEM: Duration = Duration::from_millis(1500);
/// So many publishes failed in a row: SNS is down, and this run leaves the other alerts alone.
const SNS_IS_DOWN: u32 = 3;
/// So many requests to the table failed in a row: the shard is left to the next run.
const TABLE_IS_DOWN: u32 = 3;
/// How often a session is looked at anew when callbacks keep coming in between.
const MAX_LOOKS: u32 = 5;
/// Remarks kept of one sweep; all are counted.
const MAX_REMARKS: usize = 50;

/// What a sweep runs under.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// Names this run; the owner of the alerts it claims.
    pub owner: &'a str,
    /// Now, in ms since the epoch.
    pub now_ms: u64,
    /// When the work has to be over.
    pub deadline: Instant,
}

/// What a sweep came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sweep {
    /// Sessions looked at.
    pub looked: u64,
    /// Sessions that aren't looked at again unless a callback comes.
    pub closed: u64,
    /// Callbacks that never came, of the closed sessions that are over.
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
    /// Items that can't be read.
    pub unreadable: u64,
    /// Requests to the table that failed.
    pub errors: u64,
    /// The age of the oldest alert that is due and wasn't sent, in ms.
    pub oldest_pending_ms: u64,
    /// False if the time was up before everything was worked off.
    pub finished: bool,
    /// What somebody should read: at most 50.
    #[serde(skip)]
    pub remarks: Vec<Remark>,
}

/// Something about one item that somebody should read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// Its partition key.
    pub sid: String,
    /// Its sort key.
    pub item: String,
    /// What happened, in a few words.
    pub outcome: &'static str,
    /// What failed, with its causes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Sweep {
    fn remark(&mut self, sid: &str, item: &str, outcome: &'static str, error: Option<String>) {
        self.remarks.push(Remark {
            sid: sid.to_owned(),
            item: item.to_owned(),
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
    topic: Topic,
}

/// One partition's part of a sweep.
struct Shard<'a> {
    sweeper: &'a Sweeper,
    run: Run<'a>,
    started: Instant,
    /// Publishes that failed in a row, in all partitions.
    sns_failures: &'a AtomicU32,
    sweep: Sweep,
}

impl Sweeper {
    /// Puts the parts together.
    #[must_use]
    pub fn new(rules: Rules, store: Store, topic: Topic) -> Self {
        Self {
            rules,
            store,
            topic,
        }
    }

    /// Works off what is due.
    pub async fn sweep(&self, run: Run<'_>) -> Sweep {
        let started = Instant::now();
        let sns_failures = AtomicU32::new(0);
        let shards = (0..WATCH_SHARDS).map(|shard| {
            let part = Shard {
                sweeper: self,
                run,
                started,
                sns_failures: &sns_failures,
                sweep: Sweep {
                    finished: true,
                    ..Sweep::default()
                },
            };
            part.work_off(shard)
        });
        let whole = Sweep {
            finished: true,
            ..Sweep::default()
        };
        join_all(shards).await.into_iter().fold(whole, Sweep::add)
    }
}

impl Shard<'_> {
    fn now_ms(&self) -> u64 {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.run.now_ms.saturating_add(elapsed)
    }

    async fn work_off(mut self, shard: u8) -> Sweep {
        // Items that become due meanwhile, its own pushed-on ones too, are for the next run.
        let due_until_ms = self.run.now_ms;
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
                    let key = format!("shard {shard}");
                    self.sweep
                        .remark("watch", &key, "not read", Some(chain(&error)));
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
                            .remark(&due.sid, &due.item, "not worked off", error);
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
        if due.item == "session" {
            self.session(due).await
        } else if due.item.starts_with("alert#") {
            self.alert(due).await
        } else {
            self.unreadable(due).await
        }
    }

    /// An item that can't be read is told about and put off, and doesn't stop the rest.
    async fn unreadable(&mut self, due: &Due) -> Result<(), StoreError> {
        self.sweep.unreadable += 1;
        self.sweep.remark(&due.sid, &due.item, "unreadable", None);
        self.sweeper.store.push_back(due, self.now_ms()).await
    }

    async fn alert(&mut self, due: &Due) -> Result<(), StoreError> {
        if self.sns_is_down() {
            self.sweep.held += 1;
            self.still_pending(due.watch_at);
            return Ok(());
        }
        let (store, owner) = (&self.sweeper.store, self.run.owner);
        let stored = match store.claim_due(due, owner, self.now_ms()).await? {
            DueClaim::Ours(stored) => stored,
            DueClaim::Others => return Ok(()),
            DueClaim::Unreadable => return self.unreadable(due).await,
        };
        if self.send(&stored.alert).await {
            return Ok(());
        }
        let now_ms = self.now_ms();
        if stored.created_at.saturating_add(GIVE_UP_MS) <= now_ms {
            self.sweep.failed += 1;
            self.sweep.remark(&due.sid, &due.item, "given up", None);
            return store.fail_alert(&stored.alert, owner, now_ms).await;
        }
        self.still_pending(stored.created_at);
        store
            .defer_alert(&stored.alert, owner, stored.tries, now_ms)
            .await
    }

    fn sns_is_down(&self) -> bool {
        self.sns_failures.load(Ordering::Relaxed) >= SNS_IS_DOWN
    }

    /// Sends an alert that is ours; false if it has to be tried again.
    async fn send(&mut self, alert: &Alert) -> bool {
        let Sweeper { store, topic, .. } = self.sweeper;
        let deadline = self.run.deadline.min(Instant::now() + SEND);
        let sent = send(store, topic, alert, self.run.owner, deadline).await;
        if sent.error.is_some() {
            let outcome = sent.outcome.as_str();
            self.sweep
                .remark(&alert.sid, alert.key.as_str(), outcome, sent.error);
        }
        match sent.outcome {
            AlertOutcome::Published => {
                self.sns_failures.store(0, Ordering::Relaxed);
                self.sweep.published += 1;
                true
            }
            AlertOutcome::Refused => {
                self.sweep.deferred += 1;
                false
            }
            AlertOutcome::Deferred | AlertOutcome::Others => {
                self.sns_failures.fetch_add(1, Ordering::Relaxed);
                self.sweep.deferred += 1;
                false
            }
        }
    }

    async fn session(&mut self, due: &Due) -> Result<(), StoreError> {
        let (store, owner) = (&self.sweeper.store, self.run.owner);
        let mut said = Vec::new();
        for _ in 0..MAX_LOOKS {
            let now_ms = self.now_ms();
            let found = match store.due_session(due, now_ms).await? {
                Found::Session(found) => found,
                Found::NotDue => return Ok(()),
                Found::Unreadable => return self.unreadable(due).await,
            };
            let mut look = look(&found.watched, &self.sweeper.rules, now_ms);
            look.alerts.retain(|alert| !said.contains(&alert.key));
            // A session may be closed several times; what is missing counts once.
            let counted = look.standing.missing_counted.unwrap_or(0);
            let is_over = over_since(&found.watched).is_some();
            let missing = if look.next.is_none() && is_over {
                counted.max(self.missing(&found).await?)
            } else {
                counted
            };
            look.standing.missing_counted = Some(missing).filter(|missing| *missing > 0);
            match store.note_look(&found, &look, owner, now_ms).await? {
                LookWrite::Written => {
                    self.sweep.looked += 1;
                    for alert in &look.alerts {
                        self.sweep.found += 1;
                        if self.sns_is_down() {
                            self.sweep.held += 1;
                            self.still_pending(now_ms);
                        } else if !self.send(alert).await {
                            self.still_pending(now_ms);
                        }
                    }
                    if look.next.is_none() {
                        self.sweep.closed += 1;
                        self.sweep.missing_sequences += missing - counted;
                    }
                    return Ok(());
                }
                LookWrite::Overtaken => {}
                LookWrite::Said(known) => said.extend(
                    known
                        .into_iter()
                        .filter_map(|index| Some(look.alerts.get(index)?.key.clone())),
                ),
            }
        }
        Err(StoreError::Conflict)
    }

    /// How many callbacks of a session never came.
    async fn missing(&self, found: &FoundSession) -> Result<u64, StoreError> {
        let Some(sid) = Sid::new(&found.watched.sid) else {
            return Ok(0);
        };
        let mut missing = 0;
        for recorder in &found.watched.session.recorders {
            let ranges = self.sweeper.store.missing(&sid, recorder).await?;
            missing += ranges.iter().map(|(from, to)| to - from + 1).sum::<u64>();
        }
        Ok(missing)
    }

    fn still_pending(&mut self, since_ms: u64) {
        let age_ms = self.now_ms().saturating_sub(since_ms);
        self.sweep.oldest_pending_ms = self.sweep.oldest_pending_ms.max(age_ms);
    }
}
