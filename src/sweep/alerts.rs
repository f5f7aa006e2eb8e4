//! Sends due alerts, three a second; five or more of one kind leave as one digest.

use super::{PUT_OFF_MS, Run, Sweep};
use crate::alert::{AlertId, AlertKind, Destination, Destinations, Severity};
use crate::error::chain;
use crate::record::{AlertState, Roll, StoredAlert};
use crate::send::{SendOutcome, Sent};
use crate::store::{
    BATCH, Draft, Due, DueClaim, ItemKey, Lease, MAX_MEMBERS, Shard, StoreError, is_digest,
};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use std::collections::{BTreeMap, HashMap};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout_at};

/// An alert that couldn't be sent for this long is given up, in ms.
pub(super) const GIVE_UP_MS: u64 = 24 * 60 * 60 * 1000;
/// How long a run may send due alerts before it checks the sessions.
const DUE_TIME: Duration = Duration::from_secs(15);
/// How long SNS may take for one alert, so that one that hangs doesn't take the whole run.
pub(super) const SEND: Duration = Duration::from_secs(6);
/// Time reserved for one alert; none is started with less.
pub(super) const ALERT: Duration = Duration::from_millis(1500);
/// The same for a digest, whose members are taken in one after another.
const DIGEST: Duration = Duration::from_secs(4);
/// Time reserved for what a run has found and left to its end.
const HELD_TIME: Duration = Duration::from_secs(6);
/// Three a second: SNS suspends an email subscription that gets more than ten.
const GAP: Duration = Duration::from_millis(334);
/// So many alerts of one kind leave as one.
const MANY: usize = 5;
/// Keys of due alerts that a run reads at most, and of due notices.
const MAX_DUE: usize = 20_000;
/// How long it may read them.
const LIST_TIME: Duration = Duration::from_secs(5);
/// Batches of alerts that are read at the same time.
const BATCHES_AT_A_TIME: usize = 8;

/// What a digest's members have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Common {
    kind: AlertKind,
    to: Destinations,
    /// If they take alerts back: the digest that those were sent in.
    resolves: Option<AlertId>,
}

/// Alerts that may leave as one.
type Groups = BTreeMap<Common, Vec<(Due, StoredAlert)>>;

impl Run<'_> {
    /// Sends the alerts that are due.
    pub(super) async fn send_due(&self) -> Sweep {
        let mut sweep = Sweep::default();
        // What becomes due meanwhile, what this run put off itself too, is for the next one.
        let due_until_ms = self.invocation.began_at_ms();
        let (mut due, mut notices, mut from) = (Vec::new(), Vec::new(), None);
        let list_until = Instant::now() + LIST_TIME;
        loop {
            let store = &self.sweeper.store;
            let page = store.due(Shard::Due, due_until_ms, from);
            match timeout_at(self.invocation.deadline, page).await {
                Ok(Ok(page)) => {
                    let (some, others): (Vec<_>, Vec<_>) = page
                        .due
                        .into_iter()
                        .partition(|due| matches!(due.key, ItemKey::Notice(_)));
                    // However many notices wait for a bus that is down, alerts are found.
                    notices.extend(some);
                    notices.truncate(MAX_DUE);
                    due.extend(others);
                    from = page.next;
                }
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
            }
            if from.is_none() || due.len() >= MAX_DUE || Instant::now() >= list_until {
                break;
            }
        }
        due.extend(notices);
        let until = self.invocation.deadline.min(Instant::now() + DUE_TIME);
        self.send_all(due, until, &mut sweep).await;
        sweep
    }

    /// Sends what this run has found and left to its end.
    pub(super) async fn send_held(&self) -> Sweep {
        let mut sweep = Sweep::default();
        let held = std::mem::take(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner));
        self.send_all(held, self.invocation.deadline, &mut sweep)
            .await;
        sweep
    }

    /// Leaves alerts to the end of the run.
    pub(super) fn hold(&self, due: impl IntoIterator<Item = Due>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.extend(due);
    }

    /// Time that is reserved for what is held.
    pub(super) fn reserved_for_held(&self) -> Duration {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_empty() {
            Duration::ZERO
        } else {
            // Of a short run only a part, so that sessions are checked, too.
            HELD_TIME.min(self.length / 4)
        }
    }

    /// Sends these until then: digests first, because they are about many; alerts before what takes
    /// them back; what is critical before the rest.
    async fn send_all(&self, mut due: Vec<Due>, until: Instant, sweep: &mut Sweep) {
        due.sort_by_key(|due| (order(due), due.watch_at));
        let (notices, due): (Vec<_>, Vec<_>) = due
            .into_iter()
            .partition(|due| matches!(due.key, ItemKey::Notice(_)));
        let (digests, alerts): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|due| is_digest(&due.sid));
        for due in &digests {
            self.send_one(due, until, sweep).await;
        }
        let (resolutions, alarms): (Vec<_>, Vec<_>) = alerts.into_iter().partition(is_resolution);
        for part in [alarms, resolutions] {
            for due in self.send_digests(part, until, sweep).await {
                self.send_one(&due, until, sweep).await;
            }
        }
        sweep.add(self.tell_due(notices, until).await);
    }

    /// Sends as one what many of these have to say; the others are left.
    async fn send_digests(&self, due: Vec<Due>, until: Instant, sweep: &mut Sweep) -> Vec<Due> {
        let mut by_kind: BTreeMap<Option<AlertKind>, Vec<Due>> = BTreeMap::new();
        for due in due {
            by_kind.entry(kind(&due)).or_default().push(due);
        }
        let mut left = Vec::new();
        for (kind, some) in by_kind {
            let can_be_sent = !self.sns_is_down() && !self.table_is_down();
            let is_many = kind.is_some_and(|kind| some.len() >= many(kind));
            if !is_many || !can_be_sent || Instant::now() >= until {
                left.extend(some);
                continue;
            }
            match timeout_at(until, self.group(&some)).await {
                Ok(Ok((groups, alone))) => {
                    left.extend(alone);
                    for (common, members) in groups {
                        left.extend(self.send_group(&common, members, until, sweep).await);
                    }
                }
                Ok(Err(error)) => {
                    self.table_failures.fetch_add(1, Ordering::Relaxed);
                    sweep.errors += 1;
                    let item = format!("shard {}", Shard::Due);
                    sweep.remark("watch", item, "alerts not read", Some(chain(&error)));
                    left.extend(some);
                }
                Err(_) => left.extend(some),
            }
        }
        left.sort_by_key(|due| (order(due), due.watch_at));
        left
    }

    /// Sends those that have everything in common as one, or as one for each thousand; too few are
    /// left.
    async fn send_group(
        &self,
        common: &Common,
        members: Vec<(Due, StoredAlert)>,
        until: Instant,
        sweep: &mut Sweep,
    ) -> Vec<Due> {
        let watched = self.sweeper.watched.load(Ordering::Relaxed);
        let count = u64::try_from(members.len()).unwrap_or(u64::MAX);
        let is_widespread = watched > 0 && count.saturating_mul(2) >= watched;
        let mut left = Vec::new();
        for some in members.chunks(MAX_MEMBERS) {
            let due = some.iter().map(|(due, _)| due);
            let has_time = Instant::now() + DIGEST <= until;
            if some.len() < many(common.kind) || self.sns_is_down() || !has_time {
                left.extend(due.cloned());
                continue;
            }
            let draft = Draft {
                kind: common.kind,
                to: common.to.clone(),
                created_at: some.iter().map(|(_, it)| it.created_at).min().unwrap_or(0),
                since: some.iter().map(|(_, it)| it.alert.at).min().unwrap_or(0),
                roll: Roll {
                    members: some.iter().map(|(_, it)| it.alert.id()).collect(),
                    is_widespread,
                    resolves: common.resolves.clone(),
                },
            };
            let put = self.sweeper.store.put_digest(draft, self.invocation);
            match timeout_at(until, put).await {
                Ok(Ok(Some(lease))) => {
                    if let Err(error) = self.send_lease(&lease, until, sweep).await {
                        self.note_error(&lease.alert().sid, error, sweep);
                    }
                }
                // Whoever takes the digest over sends it.
                Ok(Ok(None)) => {}
                Ok(Err(error)) => {
                    self.note_error("digest", error, sweep);
                    left.extend(due.cloned());
                }
                Err(_) => left.extend(due.cloned()),
            }
        }
        left
    }

    /// Reads these, and puts together what may leave as one; the others leave alone. What takes
    /// back an alert that isn't sent yet is left to the next run.
    async fn group(&self, due: &[Due]) -> Result<(Groups, Vec<Due>), StoreError> {
        let ids: Vec<_> = due.iter().filter_map(id).collect();
        let stored = self.read_alerts(&ids).await?;
        let opened: Vec<_> = ids
            .iter()
            .filter_map(|id| {
                Some(AlertId {
                    sid: id.sid.clone(),
                    key: id.key.resolves()?,
                })
            })
            .collect();
        let opened = self.read_alerts(&opened).await?;
        let (mut groups, mut alone) = (Groups::new(), Vec::new());
        for due in due {
            let Some(found) = id(due).and_then(|id| Some((stored.get(&id)?, id))) else {
                alone.push(due.clone());
                continue;
            };
            let (found, id) = found;
            let opened = id.key.resolves().and_then(|key| {
                let sid = id.sid.clone();
                opened.get(&AlertId { sid, key })
            });
            let resolves = opened.and_then(|opened| opened.sent_in.clone());
            let is_resolution = id.key.resolves().is_some();
            // What the topics have got has an incident of its own.
            let is_left_for_bus = found.to == [Destination::Bus].into();
            let is_alone = is_left_for_bus || (is_resolution && resolves.is_none());
            if found.state != AlertState::Pending || is_alone {
                alone.push(due.clone());
                continue;
            }
            let common = Common {
                kind: found.alert.kind,
                to: found.to.clone(),
                resolves,
            };
            groups
                .entry(common)
                .or_default()
                .push((due.clone(), found.clone()));
        }
        // A digest that isn't sent yet is waited for.
        let mut sent = Groups::new();
        for (common, members) in groups {
            let is_sent = match &common.resolves {
                None => true,
                Some(digest) => {
                    let digest = self.sweeper.store.stored_alert(digest).await?;
                    digest.is_none_or(|digest| digest.state != AlertState::Pending)
                }
            };
            if is_sent && members.len() >= many(common.kind) {
                sent.insert(common, members);
            } else {
                alone.extend(members.into_iter().map(|(due, _)| due));
            }
        }
        Ok((sent, alone))
    }

    async fn read_alerts(
        &self,
        ids: &[AlertId],
    ) -> Result<HashMap<AlertId, StoredAlert>, StoreError> {
        let store = &self.sweeper.store;
        let batches = ids.chunks(BATCH).map(|batch| store.stored_alerts(batch));
        let read: Vec<_> = stream::iter(batches)
            .buffer_unordered(BATCHES_AT_A_TIME)
            .try_collect()
            .await?;
        Ok(read
            .into_iter()
            .flatten()
            .map(|stored| (stored.alert.id(), stored))
            .collect())
    }

    async fn send_one(&self, due: &Due, until: Instant, sweep: &mut Sweep) {
        if self.table_is_down() || !self.has_time(ALERT) {
            sweep.finished = false;
            return;
        }
        if Instant::now() + ALERT > until {
            sweep.finished = false;
            sweep.held += 1;
            self.note_oldest_pending(due.watch_at, sweep);
            return;
        }
        let sent = match due.key {
            ItemKey::Alert(_) => {
                timeout_at(self.invocation.deadline, self.try_alert(due, until, sweep)).await
            }
            ItemKey::Session
            | ItemKey::Event(_)
            | ItemKey::Notice(_)
            | ItemKey::Missing(_)
            | ItemKey::Other(_) => Ok(self.put_off(due, "unreadable", sweep).await),
        };
        self.note_due(due, sent, sweep);
    }

    async fn try_alert(
        &self,
        due: &Due,
        until: Instant,
        sweep: &mut Sweep,
    ) -> Result<(), StoreError> {
        if self.sns_is_down() {
            sweep.held += 1;
            self.note_oldest_pending(due.watch_at, sweep);
            return Ok(());
        }
        let store = &self.sweeper.store;
        match store.claim_due(due, self.invocation).await? {
            DueClaim::Ours(lease) => self.send_lease(&lease, until, sweep).await,
            DueClaim::HeldElsewhere => Ok(()),
            DueClaim::Unreadable => self.put_off(due, "unreadable", sweep).await,
        }
    }

    /// Sends an alert that is ours; what fails is put off, and given up after a day.
    async fn send_lease(
        &self,
        lease: &Lease,
        until: Instant,
        sweep: &mut Sweep,
    ) -> Result<(), StoreError> {
        self.pace().await;
        let until = self.invocation.deadline.min(until);
        let invocation = self.invocation.until(until.min(Instant::now() + SEND));
        let (store, outbox) = (&self.sweeper.store, &self.sweeper.outbox);
        let sent = outbox.send(store, lease, invocation).await;
        if self.note_sent(lease, sent, sweep) {
            return Ok(());
        }
        let now_ms = self.invocation.now_ms();
        if lease.hold().created_at().saturating_add(GIVE_UP_MS) <= now_ms {
            sweep.failed += 1;
            let alert = lease.alert();
            let key = ItemKey::Alert(alert.key.clone()).to_string();
            sweep.remark(&alert.sid, key, "given up", None);
            return store.give_up(lease.hold(), now_ms).await;
        }
        self.note_oldest_pending(lease.hold().created_at(), sweep);
        store.defer(lease.hold(), now_ms).await
    }

    /// Waits until another message may leave.
    async fn pace(&self) {
        let at = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let at = (*next).max(Instant::now());
            *next = at + GAP;
            at
        };
        sleep_until(at).await;
    }

    /// An item that can't be read or written is reported and put off, and doesn't stop the rest.
    pub(super) async fn put_off(
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

    /// Sends what a check found, as far as the topics haven't got enough in this minute; what is
    /// over that leaves at the end of this run. What can't be sent now is due once its lease is
    /// over.
    pub(super) async fn send_found(&self, leases: &[Lease], sweep: &mut Sweep) {
        for lease in leases {
            sweep.found += 1;
            if self.sns_is_down() {
                sweep.held += 1;
                self.note_oldest_pending(lease.hold().created_at(), sweep);
                continue;
            }
            let deadline = self.invocation.deadline.min(Instant::now() + SEND);
            let invocation = self.invocation.until(deadline);
            let (store, outbox) = (&self.sweeper.store, &self.sweeper.outbox);
            let sent = outbox.announce(store, lease, invocation).await;
            if sent.outcome == SendOutcome::Left {
                let alert = lease.alert();
                self.hold([Due {
                    sid: alert.sid.clone(),
                    key: ItemKey::Alert(alert.key.clone()),
                    watch_at: self.invocation.now_ms(),
                }]);
            }
            if !self.note_sent(lease, sent, sweep) {
                self.note_oldest_pending(lease.hold().created_at(), sweep);
            }
        }
    }

    /// Counts an alert as published or deferred; false if the sweeper has to try it again.
    fn note_sent(&self, lease: &Lease, sent: Sent, sweep: &mut Sweep) -> bool {
        if let Some(error) = sent.error {
            let alert = lease.alert();
            let (key, outcome) = (ItemKey::Alert(alert.key.clone()), sent.outcome.as_str());
            sweep.remark(&alert.sid, key.to_string(), outcome, Some(error));
        }
        match sent.outcome {
            SendOutcome::Published => {
                self.sns_failures.store(0, Ordering::Relaxed);
                sweep.published += 1;
                return true;
            }
            SendOutcome::Empty | SendOutcome::Left => return true,
            SendOutcome::Waits | SendOutcome::Refused => sweep.deferred += 1,
            SendOutcome::Deferred => {
                let failures = u32::from(!sent.only_bus_failed);
                self.sns_failures.fetch_add(failures, Ordering::Relaxed);
                sweep.deferred += 1;
            }
        }
        false
    }

    fn note_error(&self, sid: &str, error: StoreError, sweep: &mut Sweep) {
        self.table_failures.fetch_add(1, Ordering::Relaxed);
        sweep.errors += 1;
        sweep.remark(
            sid,
            "alert#".to_owned(),
            "not processed",
            Some(chain(&error)),
        );
    }

    /// Notes the age of an alert that isn't sent.
    fn note_oldest_pending(&self, since_ms: u64, sweep: &mut Sweep) {
        let age_ms = self.invocation.now_ms().saturating_sub(since_ms);
        sweep.oldest_pending_ms = sweep.oldest_pending_ms.max(age_ms);
    }
}

/// So many of a kind leave as one. What takes back what one digest told belongs together anyway.
fn many(kind: AlertKind) -> usize {
    if kind.alarm() == kind { MANY } else { 2 }
}

/// The id of a due alert.
fn id(due: &Due) -> Option<AlertId> {
    match &due.key {
        ItemKey::Alert(key) => Some(AlertId {
            sid: due.sid.clone(),
            key: key.clone(),
        }),
        ItemKey::Session
        | ItemKey::Event(_)
        | ItemKey::Notice(_)
        | ItemKey::Missing(_)
        | ItemKey::Other(_) => None,
    }
}

/// The kind of a due alert, as far as its key says it.
fn kind(due: &Due) -> Option<AlertKind> {
    id(due)?.key.kind()
}

fn is_resolution(due: &Due) -> bool {
    kind(due).is_some_and(|kind| kind.alarm() != kind)
}

/// What leaves first: alerts before what takes them back, critical ones before the rest.
fn order(due: &Due) -> (bool, bool) {
    let severity = kind(due).map(|kind| kind.alarm().severity());
    (is_resolution(due), severity != Some(Severity::Critical))
}
