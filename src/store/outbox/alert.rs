//! An alert's item: what it says, and, of a digest, whom it may stand for. What each destination
//! was told of it is `outbox`'s.

use crate::alert::{
    Alert, AlertId, AlertKind, Attempt, Deliveries, Delivery, Destination, Destinations, Outgoing,
};
use crate::event::CodeName;
use crate::invocation::Invocation;
use crate::record::{DigestMembers, StoredAlert};
use crate::store::attribute::key::{ITEM, ItemKey, SID};
use crate::store::attribute::{Item, number, read_number, read_text, text};
use crate::store::batch::Reads;
use crate::store::error::StoreError;
use crate::store::index::Shard;
use crate::store::outbox::{LEASE_MS, Lease, Step, outgoing_item, read_outgoing};
use crate::store::{BATCH, Store};
use aws_sdk_dynamodb::types::AttributeValue;
use std::collections::BTreeMap;

/// The alerts that a digest may stand for.
const MEMBERS: &str = "members";
/// Whether a digest is about half of all recordings or more.
const WIDESPREAD: &str = "widespread";

/// An alert that is ours to tell some destinations of until the lease is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeasedAlert {
    stored: StoredAlert,
    lease: Lease,
}

impl LeasedAlert {
    /// That of a new alert, to be written now by `owner`.
    pub(in crate::store) fn new(stored: StoredAlert, owner: &str) -> Self {
        let lease = Lease::new(&stored.outgoing, owner);
        Self { stored, lease }
    }

    /// The alert.
    #[must_use]
    pub fn alert(&self) -> &Alert {
        &self.stored.alert
    }

    /// The alert, as it was last written.
    #[must_use]
    pub fn stored(&self) -> &StoredAlert {
        &self.stored
    }

    /// The same, once nothing is to be told any more.
    #[must_use]
    pub fn into_stored(self) -> StoredAlert {
        self.stored
    }

    /// Until when, and which destinations.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.lease
    }
}

/// Who may tell of an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// We may.
    Ours(Box<LeasedAlert>),
    /// Its lease is held elsewhere, or it is done, or gone.
    HeldElsewhere,
    /// An attribute of the item isn't what the write needs.
    Unwritable,
}

/// Something new, told to `to` by its writer alone for as long as a lease lasts.
pub(in crate::store) fn claimed(to: &Destinations, invocation: Invocation<'_>) -> Outgoing {
    let now_ms = invocation.now_ms();
    let deliveries = to.iter();
    Outgoing {
        created_at: now_ms,
        version: 1,
        to: deliveries
            .map(|at| (*at, Delivery::claimed(invocation.id, now_ms + LEASE_MS)))
            .collect(),
    }
}

impl Store {
    /// Alerts, [`BATCH`] at most, read consistently; those that are gone or can't be read aren't
    /// among them.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn stored_alerts(&self, ids: &[AlertId]) -> Result<Vec<StoredAlert>, StoreError> {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let keys = ids
            .iter()
            .map(|id| ItemKey::Alert(id.key.clone()).of(&id.sid));
        let items = self.items(keys.collect(), None, Reads::Consistent).await?;
        Ok(items.iter().filter_map(read_alert).collect())
    }

    /// Writes an alert down and takes its lease, or takes it over once the lease of another is
    /// over.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn claim_alert(
        &self,
        alert: Alert,
        to: &Destinations,
        invocation: Invocation<'_>,
    ) -> Result<Claim, StoreError> {
        let stored = StoredAlert {
            alert,
            outgoing: claimed(to, invocation),
            members: None,
        };
        match self.put_alert(&stored, invocation).await? {
            None => Ok(Claim::Ours(Box::new(LeasedAlert::new(
                stored,
                invocation.id,
            )))),
            Some(found) => {
                let Some(outgoing) = read_outgoing(&found) else {
                    // The sweeper reports what can't be read; the callback is stored all the same.
                    return Ok(Claim::HeldElsewhere);
                };
                let stored = StoredAlert { outgoing, ..stored };
                let all: Vec<_> = stored.outgoing.to.keys().copied().collect();
                self.lease_alert(stored, &all, invocation).await
            }
        }
    }

    /// Puts a new alert; the item that is there, if one was.
    pub(super) async fn put_alert(
        &self,
        stored: &StoredAlert,
        invocation: Invocation<'_>,
    ) -> Result<Option<Item>, StoreError> {
        let item = alert_item(stored, self.alert_expires_at(invocation.now_ms()));
        self.put_outgoing("PutItem alert", item).await
    }

    /// Takes the lease of an alert for those of `wanted` that are due.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn lease_alert(
        &self,
        mut stored: StoredAlert,
        wanted: &[Destination],
        invocation: Invocation<'_>,
    ) -> Result<Claim, StoreError> {
        let (sid, key) = (stored.alert.sid.clone(), alert_key(&stored.alert));
        let outgoing = &mut stored.outgoing;
        let leased = self.lease((&sid, &key), outgoing, wanted, invocation);
        Ok(match leased.await? {
            Ok(lease) => Claim::Ours(Box::new(LeasedAlert { stored, lease })),
            Err(Step::Unwritable) => Claim::Unwritable,
            Err(Step::Written | Step::Refused) => Claim::HeldElsewhere,
        })
    }

    /// Notes how telling of an alert went, as far as that is still ours to say.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn note_told(
        &self,
        leased: &mut LeasedAlert,
        attempts: &BTreeMap<Destination, Attempt>,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let key = alert_key(&leased.stored.alert);
        let LeasedAlert { stored, lease } = leased;
        let (sid, outgoing) = (stored.alert.sid.as_str(), &mut stored.outgoing);
        self.note_attempts((sid, &key), outgoing, lease, attempts, now_ms)
            .await
    }

    /// Writes a step of an alert.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn step_alert(
        &self,
        stored: &mut StoredAlert,
        now_ms: u64,
        step: impl FnMut(&mut Deliveries) -> bool,
    ) -> Result<Step, StoreError> {
        let key = alert_key(&stored.alert);
        let at = (stored.alert.sid.as_str(), &key);
        self.step("UpdateItem alert", at, &mut stored.outgoing, now_ms, step)
            .await
    }

    /// An alert, read consistently; `None` if it isn't there, or can't be read.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn stored_alert(&self, id: &AlertId) -> Result<Option<StoredAlert>, StoreError> {
        let item = self.item(&id.sid, &ItemKey::Alert(id.key.clone())).await?;
        Ok(item.as_ref().and_then(read_alert))
    }

    /// All alerts that some destination wasn't told of yet, or that were given up there, oldest
    /// first; those that can't be read aren't among them.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn unsent_alerts(&self) -> Result<Vec<StoredAlert>, StoreError> {
        let mut unsent = self
            .alerts_in(Shard::dues().chain([Shard::Failed]), 0)
            .await?;
        unsent.retain(|stored| {
            let mut to = stored.outgoing.to.values();
            to.any(|it| matches!(it, Delivery::Pending { .. } | Delivery::Failed { .. }))
        });
        unsent.sort_by_key(|stored| stored.outgoing.created_at);
        Ok(unsent)
    }

    /// All alerts that were told since then, ms since the epoch, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn sent_alerts(&self, since_ms: u64) -> Result<Vec<StoredAlert>, StoreError> {
        self.alerts_in(Shard::sents(), since_ms).await
    }

    async fn alerts_in(
        &self,
        shards: impl Iterator<Item = Shard>,
        since_ms: u64,
    ) -> Result<Vec<StoredAlert>, StoreError> {
        let mut ids = Vec::new();
        for shard in shards {
            for due in self.all_in(shard, since_ms).await? {
                if let ItemKey::Alert(key) = due.key {
                    ids.push(AlertId { sid: due.sid, key });
                }
            }
        }
        let mut alerts = Vec::new();
        for batch in ids.chunks(BATCH) {
            alerts.extend(self.stored_alerts(batch).await?);
        }
        alerts.sort_by_key(|stored| stored.outgoing.created_at);
        Ok(alerts)
    }
}

/// Reads an alert from its item; `None` if a part that the message needs isn't there.
#[must_use]
pub fn read_alert(item: &Item) -> Option<StoredAlert> {
    let string = |name| read_text(item, name).map(str::to_owned);
    let codes = item.get("codes")?.as_m().ok()?;
    let ItemKey::Alert(key) = ItemKey::parse(read_text(item, ITEM)?) else {
        return None;
    };
    Some(StoredAlert {
        alert: Alert {
            kind: AlertKind::read(read_text(item, "kind")?)?,
            key,
            sid: string(SID)?,
            cname: string("channel")?,
            uid: string("uid")?,
            sequence: read_number(item, "sequence")?,
            event_type: u32::try_from(read_number(item, "event_type")?).ok()?,
            at: read_number(item, "at")?,
            codes: codes
                .iter()
                .filter_map(|(name, value)| {
                    Some((CodeName::read(name)?, value.as_s().ok()?.clone()))
                })
                .collect(),
        },
        outgoing: read_outgoing(item)?,
        members: read_members(item),
    })
}

fn read_members(item: &Item) -> Option<DigestMembers> {
    let ids = item.get(MEMBERS)?.as_l().ok()?.iter();
    let ids = ids.filter_map(|member| AlertId::parse(member.as_s().ok()?));
    Some(DigestMembers {
        ids: ids.collect(),
        is_widespread: item
            .get(WIDESPREAD)
            .is_some_and(|it| it.as_bool() == Ok(&true)),
    })
}

/// The key of an alert's item.
pub(super) fn alert_key(alert: &Alert) -> ItemKey {
    ItemKey::Alert(alert.key.clone())
}

/// The item of a new alert.
pub(in crate::store) fn alert_item(stored: &StoredAlert, expires_at: u64) -> Item {
    let alert = &stored.alert;
    let codes = alert
        .codes
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), text(value.as_str())))
        .collect();
    let mut item = outgoing_item(&alert.sid, &alert_key(alert), &stored.outgoing, expires_at);
    item.extend([
        ("kind".to_owned(), text(alert.kind.as_str())),
        ("severity".to_owned(), text(alert.kind.severity().as_str())),
        // Not `cname`: that name is the key of an index of sessions.
        ("channel".to_owned(), text(alert.cname.as_str())),
        ("uid".to_owned(), text(alert.uid.as_str())),
        ("sequence".to_owned(), number(alert.sequence)),
        ("event_type".to_owned(), number(alert.event_type)),
        ("at".to_owned(), number(alert.at)),
        ("codes".to_owned(), AttributeValue::M(codes)),
    ]);
    if let Some(members) = &stored.members {
        let ids = members.ids.iter().map(|member| text(member.to_string()));
        item.insert(MEMBERS.to_owned(), AttributeValue::L(ids.collect()));
        let is_widespread = AttributeValue::Bool(members.is_widespread);
        item.insert(WIDESPREAD.to_owned(), is_widespread);
    }
    item
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_read_as_it_was_written() {
        let alert = Alert {
            kind: AlertKind::FatalError,
            key: crate::alert::AlertKey::from_stored("fatal_error#0a1b2c3d"),
            sid: "38f8e3cfdc474cd56fc1ceba380d7e1a".to_owned(),
            cname: String::new(),
            uid: "5".to_owned(),
            sequence: 3,
            event_type: 1,
            at: 1_772_460_000_123,
            codes: [(CodeName::ErrorCode, "110".to_owned())].into(),
        };
        let invocation = Invocation::new("us", 1_000, tokio::time::Instant::now());
        let stored = StoredAlert {
            alert,
            outgoing: claimed(&[Destination::Alerts].into(), invocation),
            members: Some(DigestMembers {
                ids: Vec::new(),
                is_widespread: true,
            }),
        };
        let mut item = alert_item(&stored, 9);
        assert_eq!(read_alert(&item).as_ref(), Some(&stored));
        for name in ["kind", "codes", "at", "created_at", "to", "version"] {
            let kept = item.remove(name).unwrap();
            assert_eq!(read_alert(&item), None, "{name}");
            item.insert(name.to_owned(), kept);
        }
    }
}
