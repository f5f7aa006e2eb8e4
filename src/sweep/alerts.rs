//! Tells people of alerts: each destination for itself, three messages a second; five or more of
//! one kind leave as one digest. What one destination does holds up nothing at another.

use super::due::AT_A_TIME;
use super::{Run, Sweep};
use crate::alert::{
    Alert, AlertId, AlertKind, Attempt, Deliveries, Delivery, Destination, Digest, Incident, Links,
    Message, NAMED, message,
};
use crate::error::chain;
use crate::record::{DigestMembers, StoredAlert};
use crate::send::{SendError, SendOutcome};
use crate::store::{BATCH, LeasedAlert, MAX_MEMBERS, NewDigest, Step, StoreError};
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use std::collections::{BTreeMap, HashMap};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

/// How long a destination may take for one message, so that one that hangs doesn't take the whole
/// run.
pub(super) const SEND: Duration = Duration::from_secs(6);
/// Time reserved for one message; none is started with less.
pub(super) const ALERT: Duration = Duration::from_millis(1500);
/// The same for a digest, which its members join one after another.
pub(super) const DIGEST: Duration = Duration::from_secs(4);
/// So many alerts of one kind leave as one.
pub(super) const MANY: usize = 5;
/// Batches of alerts that are read at the same time.
const BATCHES_AT_A_TIME: usize = 8;

/// One destination's part of a run.
pub(super) struct Lane<'a> {
    pub(super) run: &'a Run<'a>,
    pub(super) at: Destination,
    until: Instant,
    pub(super) links: &'a Links,
    pub(super) sweep: Sweep,
}

impl Run<'_> {
    /// Tells people of these until then.
    pub(super) async fn tell_people(&self, alerts: &[StoredAlert], until: Instant) -> Sweep {
        let mut sweep = Sweep::default();
        if alerts.is_empty() {
            return sweep;
        }
        let links = self.sweeper.outbox.links(self.invocation.now_ms()).await;
        let links = &links;
        let lanes = Destination::PACED.map(|at| async move {
            let mut lane = self.lane(at, until, links);
            let worked_off = timeout_at(self.invocation.deadline, lane.work_off(alerts)).await;
            lane.sweep.finished &= worked_off.is_ok();
            lane.sweep
        });
        for lane in join_all(lanes).await {
            sweep.add(lane);
        }
        sweep
    }

    pub(super) fn lane<'a>(
        &'a self,
        at: Destination,
        until: Instant,
        links: &'a Links,
    ) -> Lane<'a> {
        Lane {
            run: self,
            at,
            until: until.min(self.invocation.deadline),
            links,
            sweep: Sweep::default(),
        }
    }

    /// Reads these alerts; those that are gone or can't be read aren't among them.
    pub(super) async fn read_alerts(
        &self,
        ids: &[AlertId],
    ) -> Result<HashMap<AlertId, StoredAlert>, StoreError> {
        let store = &self.sweeper.store;
        let batches: Vec<_> = ids.chunks(BATCH).collect();
        let read: Vec<_> = stream::iter(batches)
            .map(|batch| store.stored_alerts(batch))
            .buffer_unordered(BATCHES_AT_A_TIME)
            .try_collect()
            .await?;
        let read = read.into_iter().flatten();
        Ok(read.map(|stored| (stored.alert.id(), stored)).collect())
    }

    /// Waits until another message may leave to a destination.
    pub(super) async fn pace(&self, at: Destination) {
        let next = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let next = next.entry(at).or_insert_with(Instant::now);
            let now = (*next).max(Instant::now());
            *next = now + gap(at);
            now
        };
        sleep_until(next).await;
    }

    /// Sends what a check found and may leave at once. What fails is due once its lease is over.
    pub(super) async fn send_found(&self, mut leased: LeasedAlert, sweep: &mut Sweep) {
        let paced: Vec<_> = leased
            .lease()
            .destinations()
            .filter(|at| is_paced(*at))
            .collect();
        if paced.is_empty() {
            return self.defer_to_end([leased.into_stored()]);
        }
        for at in paced {
            self.pace(at).await;
        }
        let deadline = self.invocation.deadline.min(Instant::now() + SEND);
        let invocation = self.invocation.until(deadline);
        let (store, outbox) = (&self.sweeper.store, &self.sweeper.outbox);
        let sent = outbox.send(store, &mut leased, invocation).await;
        if let Some(error) = sent.error {
            let alert = leased.alert();
            let outcome = sent.outcome.as_str();
            sweep.remark(&alert.sid, item_of(alert), outcome, Some(error));
        }
        let stored = leased.stored();
        for (at, delivery) in &stored.outgoing.to {
            match delivery {
                Delivery::Told { .. } => {
                    self.reset_failures(*at);
                    sweep.count_told(*at);
                }
                Delivery::Pending { .. } if is_paced(*at) => {
                    self.add_failure(*at);
                    let age_ms = self.age_ms(stored.outgoing.created_at);
                    sweep.count_deferred(*at, age_ms);
                }
                Delivery::Pending { .. } | Delivery::Needless | Delivery::Failed { .. } => {}
            }
        }
        self.defer_to_end([leased.into_stored()]);
    }

    /// How old it was when this run began, in ms.
    pub(super) fn age_ms(&self, since_ms: u64) -> u64 {
        self.invocation.began_at_ms().saturating_sub(since_ms)
    }
}

impl Lane<'_> {
    /// Tells this destination what it still has to be told: digests first, because they are about
    /// many; what is critical before the rest; alerts before what takes them back.
    async fn work_off(&mut self, alerts: &[StoredAlert]) {
        let mut due: Vec<_> = self.due(alerts).cloned().collect();
        due.sort_by_key(|it| (it.alert.kind.alarm().severity(), it.outgoing.created_at));
        if !self.run.sweeper.outbox.has(self.at) {
            return self.settle(due, &Delivery::Needless).await;
        }
        let (resolutions, alarms): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|it| takes_back(&it.alert));
        let (digests, alarms): (Vec<_>, Vec<_>) =
            alarms.into_iter().partition(|it| it.members.is_some());
        for digest in digests {
            if let Some(leased) = self.lease(digest, DIGEST).await {
                self.send_digest(leased).await;
            }
        }
        for stored in self.send_many(alarms).await {
            self.send_alone(stored).await;
        }
        self.take_back(resolutions).await;
    }

    /// Those that this destination may be told now.
    pub(super) fn due<'s>(
        &self,
        alerts: impl IntoIterator<Item = &'s StoredAlert>,
    ) -> impl Iterator<Item = &'s StoredAlert> {
        let (at, owner, now_ms) = (
            self.at,
            self.run.invocation.id,
            self.run.invocation.now_ms(),
        );
        alerts.into_iter().filter(move |stored| {
            let delivery = stored.outgoing.to.get(&at);
            delivery.is_some_and(|delivery| delivery.is_due(owner, now_ms))
        })
    }

    /// Sends as digests what many of these have to say; the others are left.
    async fn send_many(&mut self, alarms: Vec<StoredAlert>) -> Vec<StoredAlert> {
        let now_ms = self.run.invocation.now_ms();
        let mut by_kind: BTreeMap<AlertKind, Vec<StoredAlert>> = BTreeMap::new();
        let mut left = Vec::new();
        for stored in alarms {
            let delivery = stored.outgoing.to.get(&self.at);
            if delivery.is_some_and(|delivery| delivery.can_join(now_ms)) {
                by_kind.entry(stored.alert.kind).or_default().push(stored);
            } else {
                left.push(stored);
            }
        }
        for (kind, some) in by_kind {
            for some in some.chunks(MAX_MEMBERS) {
                if some.len() < MANY {
                    left.extend_from_slice(some);
                } else if !self.can_send(DIGEST) {
                    self.hold(some);
                } else if let Some(leased) = self.put_digest(kind, some).await {
                    self.send_digest(leased).await;
                }
            }
        }
        left.sort_by_key(|it| (it.alert.kind.severity(), it.outgoing.created_at));
        left
    }

    /// Writes down a digest of these.
    async fn put_digest(&mut self, kind: AlertKind, some: &[StoredAlert]) -> Option<LeasedAlert> {
        let watched = self.run.sweeper.watched.load(Ordering::Relaxed);
        let count = u64::try_from(some.len()).unwrap_or(u64::MAX);
        let oldest = some.iter().map(|it| it.outgoing.created_at).min();
        let digest = NewDigest {
            kind,
            at: self.at,
            since: some.iter().map(|it| it.alert.at).min().unwrap_or(0),
            created_at: oldest.unwrap_or(0),
            members: DigestMembers {
                ids: some.iter().map(|it| it.alert.id()).collect(),
                is_widespread: watched > 0 && count.saturating_mul(2) >= watched,
            },
        };
        let store = &self.run.sweeper.store;
        let put = store.put_digest(digest, self.run.invocation).await;
        // Whoever takes over one that is there already sends it.
        self.ok("digest", "alert#", put)?
    }

    /// Lets a digest stand for its members, and sends it. If that of one can't be told, all has to
    /// be tried again: nobody may be left out who doesn't leave alone any more.
    async fn send_digest(&mut self, leased: LeasedAlert) {
        let (sid, item) = (leased.alert().sid.clone(), item_of(leased.alert()));
        let left_ms = leased.lease().ends_at();
        let left_ms = left_ms.saturating_sub(self.run.invocation.now_ms());
        let joined = self.join_members(leased.stored());
        // Whoever takes the digest over lets them join.
        let Ok(joined) = timeout(Duration::from_millis(left_ms), joined).await else {
            return;
        };
        let Some(members) = self.ok(&sid, &item, joined) else {
            return;
        };
        if members.is_empty() {
            let leased = vec![leased];
            return self.note(leased, Attempt::Needless).await;
        }
        let alert = Alert {
            at: members.first().map_or(leased.alert().at, |first| first.at),
            ..leased.alert().clone()
        };
        let incident = Incident::of(&alert);
        let is_widespread = leased.stored().members.as_ref();
        let is_widespread = is_widespread.is_some_and(|members| members.is_widespread);
        let message = self.many(&alert, &members, &incident, is_widespread, &[]);
        self.publish(vec![leased], &message).await;
    }

    /// Lets a digest stand for those of its members that can still join it; all that it stands for,
    /// oldest first.
    async fn join_members(&self, digest: &StoredAlert) -> Result<Vec<Alert>, StoreError> {
        let (at, id) = (self.at, digest.alert.id());
        let ids = digest.members.iter().flat_map(|members| &members.ids);
        let ids: Vec<_> = ids.cloned().collect();
        let members = self.run.read_alerts(&ids).await?;
        let now_ms = self.run.invocation.now_ms();
        let store = &self.run.sweeper.store;
        let joins = members.into_values().map(|mut member| {
            let id = &id;
            async move {
                let join = |to: &mut Deliveries| {
                    let delivery = to.get_mut(&at);
                    delivery.is_some_and(|delivery| delivery.join(id, now_ms))
                };
                // One that can't be written leaves alone.
                let step = store.step(&mut member, now_ms, join).await?;
                Ok((step == Step::Written).then_some(member.alert))
            }
        });
        let joined: Vec<_> = stream::iter(joins)
            .buffer_unordered(AT_A_TIME)
            .try_collect()
            .await?;
        let mut joined: Vec<_> = joined.into_iter().flatten().collect();
        joined.sort_by(|one, other| (one.at, &one.sid).cmp(&(other.at, &other.sid)));
        Ok(joined)
    }

    /// Sends one under its own name.
    pub(super) async fn send_alone(&mut self, stored: StoredAlert) {
        if let Some(leased) = self.lease(stored, ALERT).await {
            let alert = leased.alert();
            let message = message(alert, &Incident::of(alert), self.links);
            self.publish(vec![leased], &message).await;
        }
    }

    /// A message about many. `closes` are the incidents that it closes, if they are several.
    pub(super) fn many(
        &self,
        alert: &Alert,
        members: &[Alert],
        incident: &Incident,
        is_widespread: bool,
        closes: &[String],
    ) -> Message {
        let named = members.get(..NAMED.min(members.len())).unwrap_or_default();
        let digest = Digest {
            alert,
            named,
            count: u64::try_from(members.len()).unwrap_or(u64::MAX),
            is_widespread,
            incident,
            links: self.links,
            closes,
        };
        digest.message()
    }

    /// Takes the lease of one, if there is time for it and nobody else is at it.
    pub(super) async fn lease(
        &mut self,
        stored: StoredAlert,
        time: Duration,
    ) -> Option<LeasedAlert> {
        if !self.can_send(time) {
            self.hold(&[stored]);
            return None;
        }
        self.run.lease(&stored, self.at, &mut self.sweep).await
    }

    /// Publishes a message about these, and notes how that went of each.
    pub(super) async fn publish(&mut self, leased: Vec<LeasedAlert>, message: &Message) {
        self.run.pace(self.at).await;
        let Some(first) = leased.first() else {
            return;
        };
        let lease_ends = leased.iter().map(|leased| leased.lease().ends_at()).min();
        let left_ms = lease_ends.unwrap_or(0);
        let left_ms = left_ms.saturating_sub(self.run.invocation.now_ms());
        let until = Instant::now() + SEND.min(Duration::from_millis(left_ms));
        let until = until.min(self.run.invocation.deadline - ALERT / 3);
        let outbox = &self.run.sweeper.outbox;
        let attempt = if Instant::now() >= until {
            None
        } else {
            Some(outbox.publish_to(self.at, message, until).await)
        };
        match attempt {
            None => {}
            Some(Ok(message_id)) => {
                self.run.reset_failures(self.at);
                self.sweep.count_told(self.at);
                self.note(leased, Attempt::Told(message_id)).await;
            }
            Some(Err(error)) => {
                let alert = first.alert();
                self.remark(alert, &error);
                if !error.is_refusal() {
                    self.run.add_failure(self.at);
                }
                self.note(leased, Attempt::Failed).await;
            }
        }
    }

    /// Notes of each of these how telling it went.
    async fn note(&mut self, leased: Vec<LeasedAlert>, attempt: Attempt) {
        let attempts = leased.into_iter().map(|leased| (leased, attempt.clone()));
        self.run.note(attempts, self.at, &mut self.sweep).await;
    }

    /// Takes the leases of these, if there is time for them, as far as nobody else is at them.
    pub(super) async fn lease_all(
        &mut self,
        some: &[StoredAlert],
        time: Duration,
    ) -> Vec<LeasedAlert> {
        if !self.can_send(time) {
            self.hold(some);
            return Vec::new();
        }
        let (run, at) = (self.run, self.at);
        let leases = some.iter().map(|stored| async move {
            let mut part = Sweep::default();
            (run.lease(stored, at, &mut part).await, part)
        });
        let leases: Vec<_> = stream::iter(leases).buffered(AT_A_TIME).collect().await;
        let mut all = Vec::new();
        for (leased, part) in leases {
            all.extend(leased);
            self.sweep.add(part);
        }
        all
    }

    /// Settles these without a message.
    pub(super) async fn settle(&mut self, some: Vec<StoredAlert>, settled: &Delivery) {
        let now_ms = self.run.invocation.now_ms();
        let (at, store) = (self.at, &self.run.sweeper.store);
        let steps = some.into_iter().map(|mut stored| async move {
            let settle = |to: &mut Deliveries| {
                let delivery = to.get_mut(&at);
                delivery.is_some_and(|delivery| delivery.settle(settled.clone(), now_ms))
            };
            let step = store.step(&mut stored, now_ms, settle).await;
            (stored.alert, step)
        });
        let mut steps = std::pin::pin!(stream::iter(steps).buffer_unordered(AT_A_TIME));
        while let Some((alert, step)) = steps.next().await {
            self.ok(&alert.sid, &item_of(&alert), step);
        }
    }

    /// True if something that takes so long can still be begun, and this destination takes it.
    pub(super) fn can_send(&self, time: Duration) -> bool {
        let is_down = self.run.is_down(self.at) || self.run.table_is_down();
        !is_down && Instant::now() + time <= self.until
    }

    /// Leaves these to the next run.
    pub(super) fn hold(&mut self, some: &[StoredAlert]) {
        for stored in some {
            let age_ms = self.run.age_ms(stored.outgoing.created_at);
            self.sweep.count_held(self.at, age_ms);
        }
        self.sweep.finished &= self.run.is_down(self.at);
    }

    /// What was asked of the table, if it answered. A failure is reported, and stops nothing else.
    pub(super) fn ok<T>(
        &mut self,
        sid: &str,
        item: &str,
        result: Result<T, StoreError>,
    ) -> Option<T> {
        self.run.ok(sid, item, result, &mut self.sweep)
    }

    pub(super) fn remark(&mut self, alert: &Alert, error: &SendError) {
        let outcome = if error.is_refusal() {
            SendOutcome::Refused
        } else {
            SendOutcome::Deferred
        };
        let error = Some(format!("{}: {}", self.at.as_str(), chain(error)));
        self.sweep
            .remark(&alert.sid, item_of(alert), outcome.as_str(), error);
    }
}

/// The sort key of an alert, for a remark.
pub(super) fn item_of(alert: &Alert) -> String {
    format!("alert#{}", alert.key)
}

/// Messages are at least so far apart. Three a second: SNS suspends an email subscription that gets
/// more than ten. Ten facts a request: the smallest Regions take 400 events a second.
fn gap(at: Destination) -> Duration {
    match at {
        Destination::Critical | Destination::Alerts | Destination::Incidents => {
            Duration::from_millis(334)
        }
        Destination::Facts => Duration::from_millis(25),
    }
}

pub(super) fn takes_back(alert: &Alert) -> bool {
    alert.kind.alarm() != alert.kind
}

fn is_paced(at: Destination) -> bool {
    Destination::PACED.contains(&at)
}
