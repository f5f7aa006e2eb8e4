//! An alert's item: what it says, and, of a digest, whom it may stand for. What each destination
//! was told of it is `outbox`'s.

use crate::alert::{Alert, AlertId, AlertKind, Delivery, Destinations, Outgoing};
use crate::event::CodeName;
use crate::invocation::Invocation;
use crate::record::{DigestMembers, StoredAlert};
use crate::store::attribute::key::{ITEM, ItemKey, SID};
use crate::store::attribute::{Item, number, read_number, read_text, text};
use crate::store::batch::Reads;
use crate::store::error::StoreError;
use crate::store::index::Shard;
use crate::store::outbox::{Claim, InOutbox, Leased, claimed, outgoing_item, read_outgoing};
use crate::store::{BATCH, Store};
use aws_sdk_dynamodb::types::AttributeValue;

/// The alerts that a digest may stand for.
const MEMBERS: &str = "members";
/// Whether a digest is about half of all recordings or more.
const WIDESPREAD: &str = "widespread";

/// An alert that is ours to tell some destinations of until the lease is over.
pub type LeasedAlert = Leased<StoredAlert>;

impl LeasedAlert {
    /// The alert.
    #[must_use]
    pub fn alert(&self) -> &Alert {
        &self.stored().alert
    }
}

impl InOutbox for StoredAlert {
    fn key(&self) -> (&str, ItemKey) {
        (&self.alert.sid, ItemKey::Alert(self.alert.key.clone()))
    }

    fn outgoing(&self) -> &Outgoing {
        &self.outgoing
    }

    fn outgoing_mut(&mut self) -> &mut Outgoing {
        &mut self.outgoing
    }

    fn item(&self, expires_at: u64) -> Item {
        let (alert, (sid, key)) = (&self.alert, self.key());
        let codes = alert
            .codes
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), text(value.as_str())))
            .collect();
        let mut item = outgoing_item(sid, &key, &self.outgoing, expires_at);
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
        if let Some(members) = &self.members {
            let ids = members.ids.iter().map(|member| text(member.to_string()));
            item.insert(MEMBERS.to_owned(), AttributeValue::L(ids.collect()));
            let is_widespread = AttributeValue::Bool(members.is_widespread);
            item.insert(WIDESPREAD.to_owned(), is_widespread);
        }
        item
    }
}

impl Store {
    /// Alerts, [`BATCH`] at most, read consistently; those that are gone or can't be read aren't
    /// among them.
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
    pub async fn claim_alert(
        &self,
        alert: Alert,
        to: &Destinations,
        invocation: Invocation<'_>,
    ) -> Result<Claim<StoredAlert>, StoreError> {
        let stored = StoredAlert {
            alert,
            outgoing: claimed(to, invocation),
            members: None,
        };
        self.claim(stored, invocation).await
    }

    /// An alert, read consistently; `None` if it isn't there, or can't be read.
    pub async fn stored_alert(&self, id: &AlertId) -> Result<Option<StoredAlert>, StoreError> {
        let item = self.item(&id.sid, &ItemKey::Alert(id.key.clone())).await?;
        Ok(item.as_ref().and_then(read_alert))
    }

    /// All alerts that some destination wasn't told of yet, or that were given up there, oldest
    /// first; those that can't be read aren't among them.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Destination;

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
        let mut item = stored.item(9);
        assert_eq!(read_alert(&item).as_ref(), Some(&stored));
        for name in ["kind", "codes", "at", "created_at", "to", "version"] {
            let kept = item.remove(name).unwrap();
            assert_eq!(read_alert(&item), None, "{name}");
            item.insert(name.to_owned(), kept);
        }
    }
}
