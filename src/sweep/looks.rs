//! Looks at the watched sessions: all of them are listed and read in batches, and only what is
//! found is written.
//!
//! A look that finds nothing writes nothing. What one finds is verified by a consistent read,
//! because a batch may be a moment old, and noted on condition that nobody wrote the session
//! meanwhile.

use super::alerts::ALERT;
use super::{EVERY_MS, PUT_OFF_MS, Run, Sweep};
use crate::error::chain;
use crate::notification::Sid;
use crate::record::Watched;
use crate::store::{
    BATCH, Claimed, Due, Found, FoundSession, Glance, Item, ItemKey, LookWrite, Shard, StoreError,
};
use crate::watchdog::{Look, look, look_into, over_since};
use futures_util::stream::{self, StreamExt};
use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::timeout_at;

/// How often a session is looked at anew when callbacks keep coming in between.
const MAX_LOOKS: u32 = 5;
/// Time reserved for a batch and what it finds; none is started with less.
const BATCH_TIME: Duration = Duration::from_millis(2500);

/// What one page of a partition holds.
enum Listed {
    Sessions(Shard, Vec<Sid>),
    /// Items that nobody knows.
    Others(Vec<Due>),
    /// The partition can't be read.
    Failed(Shard, Option<StoreError>),
}

/// Where the listing is.
struct Place {
    shards: std::vec::IntoIter<Shard>,
    shard: Option<(Shard, Option<Item>)>,
}

impl Run<'_> {
    /// Looks at every watched session.
    pub(super) async fn look_at_sessions(&self) -> Sweep {
        let began_ms = self.invocation.began_at_ms();
        // Where the time isn't enough for all, it is enough for others each minute.
        let mut shards: Vec<_> = Shard::sessions().collect();
        let minute = usize::try_from(began_ms / EVERY_MS).unwrap_or(0);
        let first = minute.checked_rem(shards.len()).unwrap_or(0);
        shards.rotate_left(first);
        let place = Place {
            shards: shards.into_iter(),
            shard: None,
        };
        let parts = stream::unfold(place, |place| self.next_page(place))
            .flat_map(stream::iter)
            .map(|listed| self.look_at_listed(listed))
            .buffer_unordered(self.sweeper.in_flight);
        let (mut sweep, mut behind) = (Sweep::default(), HashSet::new());
        let mut parts = std::pin::pin!(parts);
        while let Some((shard, part)) = parts.next().await {
            behind.extend(shard.filter(|_| !part.finished));
            sweep.add(part);
        }
        sweep.lag_ms = self.lag_ms(&behind);
        sweep
    }

    /// Lists one page of the partitions, in batches.
    async fn next_page(&self, mut place: Place) -> Option<(Vec<Listed>, Place)> {
        let (shard, from) = match place.shard.take() {
            Some(at) => at,
            None => (place.shards.next()?, None),
        };
        if self.table_is_down() || !self.has_time(BATCH_TIME + self.reserved_for_end()) {
            return Some((vec![Listed::Failed(shard, None)], place));
        }
        let page = self.sweeper.store.watched(shard, 0, from);
        let page = match timeout_at(self.invocation.deadline, page).await {
            Ok(Ok(page)) => page,
            Ok(Err(error)) => return Some((vec![Listed::Failed(shard, Some(error))], place)),
            Err(_) => return Some((vec![Listed::Failed(shard, None)], place)),
        };
        place.shard = page.next.map(|next| (shard, Some(next)));
        let (mut sids, mut others) = (Vec::new(), Vec::new());
        for due in page.due {
            match due.session() {
                Some(sid) => sids.push(sid),
                None => others.push(due),
            }
        }
        others.retain(|due| due.watch_at <= self.invocation.began_at_ms());
        let batches = sids.chunks(BATCH).map(|batch| {
            let mut batch = batch.to_vec();
            batch.sort_unstable();
            batch.dedup();
            Listed::Sessions(shard, batch)
        });
        let listed = [Listed::Others(others)].into_iter().chain(batches);
        Some((listed.collect(), place))
    }

    async fn look_at_listed(&self, listed: Listed) -> (Option<Shard>, Sweep) {
        match listed {
            Listed::Others(due) => {
                let mut sweep = Sweep::default();
                for due in due {
                    self.put_off(&due, "unreadable", &mut sweep).await;
                }
                (None, sweep)
            }
            Listed::Sessions(shard, sids) => (Some(shard), self.look_at_batch(&sids).await),
            Listed::Failed(shard, error) => {
                let mut sweep = Sweep {
                    finished: false,
                    ..Sweep::default()
                };
                if let Some(error) = error {
                    self.table_failures.fetch_add(1, Ordering::Relaxed);
                    sweep.errors += 1;
                    let item = format!("shard {shard}");
                    sweep.remark("watch", item, "not read", Some(chain(&error)));
                }
                (Some(shard), sweep)
            }
        }
    }

    /// Reads a batch of sessions, and looks closer where a look finds something.
    async fn look_at_batch(&self, sids: &[Sid]) -> Sweep {
        let mut sweep = Sweep::default();
        if self.table_is_down() || !self.has_time(BATCH_TIME + self.reserved_for_end()) {
            sweep.finished = false;
            return sweep;
        }
        let now_ms = self.invocation.now_ms();
        let batch = self.sweeper.store.glance_at(sids, now_ms);
        let batch = match timeout_at(self.invocation.deadline, batch).await {
            Ok(Ok(batch)) => batch,
            Ok(Err(error)) => {
                self.table_failures.fetch_add(1, Ordering::Relaxed);
                sweep.errors += 1;
                sweep.finished = false;
                let first = sids.first().map_or("", Sid::as_str);
                let item = ItemKey::Session.to_string();
                sweep.remark(first, item, "batch not read", Some(chain(&error)));
                return sweep;
            }
            Err(_) => {
                sweep.finished = false;
                return sweep;
            }
        };
        self.table_failures.store(0, Ordering::Relaxed);
        for (sid, glance) in batch {
            let closer = match glance {
                Glance::Session(watched) => {
                    sweep.looked += 1;
                    let heard_at = watched.heard_at.unwrap_or(0);
                    sweep.heard += u64::from(heard_at.saturating_add(EVERY_MS) > now_ms);
                    self.newest_heartbeat.fetch_max(heard_at, Ordering::Relaxed);
                    self.is_news(&watched, now_ms)
                }
                Glance::Unreadable => true,
                Glance::Quiet => false,
            };
            if !closer {
                continue;
            }
            // What is cut off between its publish and its mark is published again.
            if !self.has_time(ALERT) {
                sweep.finished = false;
                break;
            }
            let noted = self.look_closer(&sid, &mut sweep);
            match timeout_at(self.invocation.deadline, noted).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    sweep.errors += 1;
                    let item = ItemKey::Session.to_string();
                    sweep.remark(sid.as_str(), item, "not processed", Some(chain(&error)));
                }
                Err(_) => sweep.finished = false,
            }
        }
        sweep
    }

    fn is_news(&self, watched: &Watched, now_ms: u64) -> bool {
        let look = look(watched, &self.rules, now_ms);
        is_news(watched, &look)
    }

    /// Reads a session consistently, looks at it again, and notes and sends what is found.
    async fn look_closer(&self, sid: &Sid, sweep: &mut Sweep) -> Result<(), StoreError> {
        let store = &self.sweeper.store;
        let mut claimed_before = Claimed::default();
        for _ in 0..MAX_LOOKS {
            let now_ms = self.invocation.now_ms();
            let found = match store.watched_session(sid, now_ms).await? {
                Found::Session(found) => found,
                Found::NotWatched => return Ok(()),
                Found::Unreadable => return self.quieten(sid, "unreadable", sweep).await,
            };
            let mut look = look(&found.watched, &self.rules, now_ms);
            if look.wants_record {
                let record = store.record(sid).await?;
                look = look_into(&found.watched, record.as_ref(), &self.rules, now_ms);
            }
            look.alerts
                .retain(|alert| !claimed_before.alerts.contains(&alert.key));
            look.ended = look.ended.filter(|_| !claimed_before.notice);
            if !is_news(&found.watched, &look) {
                return Ok(());
            }
            let counted = look.standing.missing_counted.unwrap_or(0);
            let missing = self.missing(&found, &look).await?.unwrap_or(0).max(counted);
            look.standing.missing_counted = Some(missing).filter(|missing| *missing > 0);
            let leaves_at_once = self.may_leave_at_once(&look.alerts);
            let outgoing = |kind| self.finding(kind, leaves_at_once);
            match store
                .note_look(&found, &look, outgoing, self.invocation)
                .await?
            {
                LookWrite::Written(leases) => {
                    sweep.closed += u64::from(!look.stays_watched);
                    sweep.missing_sequences += missing - counted;
                    for leased in leases.alerts {
                        sweep.found += 1;
                        self.send_found(leased, sweep).await;
                    }
                    if let Some(leased) = leases.notice {
                        self.tell_leased(leased, sweep).await;
                    }
                    return Ok(());
                }
                LookWrite::Overtaken => {}
                LookWrite::AlreadyClaimed(claimed) => {
                    claimed_before.alerts.extend(claimed.alerts);
                    claimed_before.notice |= claimed.notice;
                }
                LookWrite::Unwritable => return self.quieten(sid, "unwritable", sweep).await,
            }
        }
        Err(StoreError::Conflict {
            what: "the session",
            tries: MAX_LOOKS,
        })
    }

    /// A session that can't be read or written is reported and left alone for a while.
    async fn quieten(
        &self,
        sid: &Sid,
        why: &'static str,
        sweep: &mut Sweep,
    ) -> Result<(), StoreError> {
        sweep.unreadable += 1;
        sweep.remark(sid.as_str(), ItemKey::Session.to_string(), why, None);
        let until_ms = self.invocation.now_ms() + PUT_OFF_MS;
        self.sweeper.store.quieten(sid, until_ms).await
    }

    /// How many callbacks are missing from a session that is over and isn't watched any more. Later
    /// looks may close it again; `missing_counted` keeps a callback from being counted twice.
    async fn missing(&self, found: &FoundSession, look: &Look) -> Result<Option<u64>, StoreError> {
        let watched = &found.watched;
        let is_closed = !look.stays_watched && over_since(watched).is_some();
        if !is_closed {
            return Ok(None);
        }
        let mut missing = 0;
        for recorder in &watched.session.recorders {
            let ranges = self.sweeper.store.missing(&watched.sid, recorder).await?;
            missing += ranges.iter().map(|(from, to)| to - from + 1).sum::<u64>();
        }
        Ok(Some(missing))
    }

    /// How late the partitions are whose sessions weren't all looked at.
    fn lag_ms(&self, behind: &HashSet<Shard>) -> u64 {
        let (began_ms, now_ms) = (self.invocation.began_at_ms(), self.invocation.now_ms());
        let Ok(mut looked_at) = self.sweeper.looked_at.lock() else {
            return 0;
        };
        let mut lag_ms = 0;
        for shard in Shard::sessions() {
            let looked_at = looked_at.entry(shard).or_insert(began_ms);
            if behind.contains(&shard) {
                lag_ms = lag_ms.max(now_ms.saturating_sub(*looked_at + EVERY_MS));
            } else {
                *looked_at = began_ms;
            }
        }
        lag_ms
    }
}

/// True if something has to be written.
fn is_news(watched: &Watched, look: &Look) -> bool {
    !look.alerts.is_empty()
        || look.standing != watched.standing
        || !look.stays_watched
        || look.wants_record
}
