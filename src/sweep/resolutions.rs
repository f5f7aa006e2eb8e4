//! Takes alerts back, at one destination: under the name under which it was told of each, as soon
//! as it was told.
//!
//! A digest's incident is closed once, when each of the members that it tells of has been taken
//! back. That is read from the members after what takes one back was written down, so whoever
//! handles the last one sees all of them.

use super::alerts::{ALERT, DIGEST, Lane, MANY};
use crate::alert::{
    Action, Alert, AlertId, AlertKind, Closing, Delivery, Destination, Incident, Outgoing, Route,
    closing, message, route,
};
use crate::record::StoredAlert;
use crate::store::{LeasedAlert, MAX_MEMBERS, StoreError, is_digest};
use std::collections::{BTreeMap, HashMap};

/// A digest some of whose members are taken back.
struct Told {
    /// The digest.
    digest: StoredAlert,
    /// Its members that it tells of, and whether each has been taken back.
    members: Vec<(Alert, bool)>,
}

/// What takes alerts back, by how it leaves.
#[derive(Default)]
pub(super) struct Routed {
    /// Under the incident of what it takes back.
    pub(super) alone: Vec<StoredAlert>,
    /// What it takes back was told in this digest.
    by_digest: BTreeMap<AlertId, Vec<StoredAlert>>,
}

impl Lane<'_> {
    /// Tells this destination of what takes alerts back.
    pub(super) async fn take_back(&mut self, resolutions: Vec<StoredAlert>) {
        let Routed {
            mut alone,
            by_digest,
        } = self.routed(resolutions).await;
        for (digest, some) in by_digest {
            let told = self.read_digest(&digest).await;
            match self.ok(&digest.sid, "alert#", told) {
                Some(Some(told)) => {
                    alone.extend(self.take_members_back(&digest, told, some).await);
                }
                // Nobody knows of the digest any more.
                Some(None) => alone.extend(some),
                None => {}
            }
        }
        self.close(alone).await;
    }

    /// Sorts what takes alerts back by how it leaves here; what doesn't is settled.
    pub(super) async fn routed(&mut self, resolutions: Vec<StoredAlert>) -> Routed {
        let mut routed = Routed::default();
        let origins: Vec<_> = resolutions.iter().filter_map(origin_of).collect();
        let origins = self.run.read_alerts(&origins).await;
        let Some(origins) = self.ok("alerts", "alert#", origins) else {
            return routed;
        };
        let (mut needless, mut kept) = (Vec::new(), Vec::new());
        for stored in resolutions {
            let origin = origin_of(&stored).and_then(|id| origins.get(&id));
            match route(origin.map(|origin| &origin.outgoing), self.at) {
                // It goes with the first run after what it takes back was told.
                Route::Waits => {}
                Route::Alone => routed.alone.push(stored),
                Route::Digest(id) => routed.by_digest.entry(id).or_default().push(stored),
                Route::Needless => needless.push(stored),
                Route::Kept => kept.push(stored),
            }
        }
        self.settle(needless, &Delivery::Needless).await;
        self.keep(kept).await;
        routed
    }

    /// Takes these members of a digest back; what closes the digest, if that is to be sent.
    async fn take_members_back(
        &mut self,
        id: &AlertId,
        told: Told,
        some: Vec<StoredAlert>,
    ) -> Option<StoredAlert> {
        let is_back = told.members.iter().map(|(_, is_back)| *is_back);
        match closing(&told.digest.outgoing, self.at, is_back) {
            Closing::Waits => {}
            Closing::Kept => self.keep(some).await,
            Closing::Update if self.at == Destination::Alerts => {
                self.update(id, some).await;
            }
            Closing::Update => self.settle(some, &Delivery::Needless).await,
            Closing::Resolve => {
                let kind = some.first()?.alert.kind;
                let (store, invocation) = (&self.run.sweeper.store, self.run.invocation);
                let put = store.put_digests_resolution(&told.digest, kind, self.at, invocation);
                let put = put.await;
                // Only then are its members done.
                let resolution = self.ok(&id.sid, "alert#", put)?;
                self.settle(some, &Delivery::Needless).await;
                return resolution;
            }
        }
        None
    }

    /// Keeps what takes back what was given up here, in case that is sent again.
    async fn keep(&mut self, some: Vec<StoredAlert>) {
        self.settle(some, &Delivery::Failed { tries: 0 }).await;
    }

    /// Tells who is back of a digest of which others are still open.
    async fn update(&mut self, digest: &AlertId, some: Vec<StoredAlert>) {
        let incident = Incident {
            id: digest.incident(),
            action: Action::Update,
        };
        for some in some.chunks(MAX_MEMBERS) {
            let leased = self.lease_all(some, DIGEST).await;
            self.publish_as_one(leased, &incident, &[]).await;
        }
    }

    /// Closes incidents of their own. A pager closes one a message; people are told of many at
    /// once.
    async fn close(&mut self, resolutions: Vec<StoredAlert>) {
        let mut by_kind: BTreeMap<AlertKind, Vec<StoredAlert>> = BTreeMap::new();
        for stored in resolutions {
            if is_digest(&stored.alert.sid) {
                self.close_digest(stored).await;
            } else {
                by_kind.entry(stored.alert.kind).or_default().push(stored);
            }
        }
        for some in by_kind.into_values() {
            if self.at == Destination::Alerts && some.len() >= MANY {
                for some in some.chunks(MAX_MEMBERS) {
                    self.close_many(some).await;
                }
                continue;
            }
            for stored in some {
                self.send_alone(stored).await;
            }
        }
    }

    /// Closes the incidents of these in one message.
    async fn close_many(&mut self, some: &[StoredAlert]) {
        let leased = self.lease_all(some, DIGEST).await;
        let closes = leased.iter().map(|leased| leased.alert().incident());
        let closes: Vec<_> = closes.collect();
        let Some(first) = closes.first() else { return };
        let incident = Incident {
            id: first.clone(),
            action: Action::Resolve,
        };
        self.publish_as_one(leased, &incident, &closes).await;
    }

    /// Closes the incident of a digest, and tells of all its members.
    async fn close_digest(&mut self, stored: StoredAlert) {
        let Some(id) = origin_of(&stored) else {
            return;
        };
        let told = self.read_digest(&id).await;
        let Some(Some(told)) = self.ok(&id.sid, "alert#", told) else {
            return;
        };
        if let Some(leased) = self.lease(stored, ALERT).await {
            let members: Vec<_> = told.members.into_iter().map(|(member, _)| member).collect();
            let incident = Incident::of(leased.alert());
            let message = self.many(leased.alert(), &members, &incident, false, &[]);
            self.publish(vec![leased], &message).await;
        }
    }

    /// Publishes one message about these.
    async fn publish_as_one(
        &mut self,
        leased: Vec<LeasedAlert>,
        incident: &Incident,
        closes: &[String],
    ) {
        let members: Vec<_> = leased.iter().map(|leased| leased.alert().clone()).collect();
        let message = match members.as_slice() {
            [] => return,
            [one] => message(one, incident, self.links),
            [first, ..] => self.many(first, &members, incident, false, closes),
        };
        self.publish(leased, &message).await;
    }

    /// Reads a digest, the members that it tells this destination of, and who of them is back.
    async fn read_digest(&self, id: &AlertId) -> Result<Option<Told>, StoreError> {
        let Some(digest) = self.run.sweeper.store.stored_alert(id).await? else {
            return Ok(None);
        };
        let ids = digest.members.iter();
        let ids: Vec<_> = ids.flat_map(|members| members.ids.clone()).collect();
        let members = self.run.read_alerts(&ids).await?;
        let told_here = |outgoing: &Outgoing| {
            let delivery = outgoing.to.get(&self.at);
            delivery.is_some_and(|delivery| delivery.is_told_in(id))
        };
        let members = members.into_values();
        let members: Vec<_> = members.filter(|it| told_here(&it.outgoing)).collect();
        let resolutions: HashMap<AlertId, Vec<AlertId>> = members
            .iter()
            .map(|member| (member.alert.id(), resolutions_of(&member.alert.id())))
            .collect();
        let wanted: Vec<_> = resolutions.values().flatten().cloned().collect();
        let there = self.run.read_alerts(&wanted).await?;
        let mut members: Vec<_> = members
            .into_iter()
            .map(|member| {
                let by = resolutions.get(&member.alert.id()).into_iter().flatten();
                let is_back = by.into_iter().any(|id| there.contains_key(id));
                (member.alert, is_back)
            })
            .collect();
        members.sort_by(|(one, _), (other, _)| (one.at, &one.sid).cmp(&(other.at, &other.sid)));
        Ok(Some(Told { digest, members }))
    }
}

/// What an alert takes back.
pub(super) fn origin_of(stored: &StoredAlert) -> Option<AlertId> {
    Some(AlertId {
        sid: stored.alert.sid.clone(),
        key: stored.alert.key.resolves()?,
    })
}

/// What may take an alert back.
pub(super) fn resolutions_of(alarm: &AlertId) -> Vec<AlertId> {
    let of = alarm.key.kind();
    let kinds = AlertKind::ALL.into_iter();
    kinds
        .filter(|kind| Some(*kind) != of && Some(kind.alarm()) == of)
        .map(|kind| AlertId {
            sid: alarm.sid.clone(),
            key: alarm.key.resolved_by(kind),
        })
        .collect()
}
