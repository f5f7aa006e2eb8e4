//! What has to leave the table, an alert or a notice. Its item is put before anything is sent, and
//! says of each destination who may tell it until when, and what it was told. Every step from there
//! is written on condition that nobody wrote the item meanwhile; else it is decided anew.
//!
//! Must not know: what it says, how it is sent.

pub(super) mod alert;
pub(super) mod digest;
mod minute;
pub(super) mod notice;

use crate::alert::{
    AlertId, Attempt, Deliveries, Delivery, Destination, Destinations, Outgoing, Progress,
};
use crate::invocation::Invocation;
use crate::record::StoredAlert;
use crate::store::attribute::key::{EXPIRES_AT, IS_NEW, ItemKey, VERSION};
use crate::store::attribute::{Item, number, read_number, read_text, text};
use crate::store::batch::Reads;
use crate::store::error::{StoreError, is_invalid, refused};
use crate::store::index::{Due, Shard, read_due, watch_entry};
use crate::store::outbox::alert::read_alert;
use crate::store::outbox::notice::{StoredNotice, read_notice};
use crate::store::{MAX_ATTEMPTS, Store};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure::AllOld;
use std::collections::BTreeMap;

/// How long a lease lasts, from the write that takes it, in ms.
pub const LEASE_MS: u64 = 15_000;
/// What each destination was told.
const TO: &str = "to";
const CREATED_AT: &str = "created_at";

/// What can be in the outbox, as it is stored: an alert, or a notice.
pub trait InOutbox: Sized {
    /// The keys of its item.
    fn key(&self) -> (&str, ItemKey);
    /// What became of it.
    fn outgoing(&self) -> &Outgoing;
    /// The same, to be changed.
    fn outgoing_mut(&mut self) -> &mut Outgoing;
    /// Its item, when it is new.
    fn item(&self, expires_at: u64) -> Item;
}

/// What is ours to tell some destinations of until the lease is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leased<T> {
    stored: T,
    lease: Lease,
}

impl<T: InOutbox> Leased<T> {
    /// What is new, to be written now by `owner`.
    pub(in crate::store) fn new(stored: T, owner: &str) -> Self {
        let lease = Lease::new(stored.outgoing(), owner);
        Self { stored, lease }
    }

    /// What it is, as it was last written.
    #[must_use]
    pub fn stored(&self) -> &T {
        &self.stored
    }

    /// The same, once nothing is to be told any more.
    #[must_use]
    pub fn into_stored(self) -> T {
        self.stored
    }

    /// Until when, and which destinations.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.lease
    }
}

/// Who may tell of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim<T> {
    /// We may.
    Ours(Box<Leased<T>>),
    /// Its lease is held elsewhere, or it is done, or gone.
    HeldElsewhere,
    /// An attribute of the item isn't what the write needs.
    Unwritable,
}

impl<T> Claim<T> {
    /// What is ours.
    #[must_use]
    pub fn ours(self) -> Option<Leased<T>> {
        match self {
            Self::Ours(leased) => Some(*leased),
            Self::HeldElsewhere | Self::Unwritable => None,
        }
    }
}

/// Something new, told to `to` by its writer alone for as long as a lease lasts.
pub(in crate::store) fn claimed(to: &Destinations, invocation: Invocation<'_>) -> Outgoing {
    let now_ms = invocation.now_ms();
    let delivery = Delivery::claimed(invocation.id, now_ms + LEASE_MS);
    Outgoing {
        created_at: now_ms,
        version: 1,
        to: to.iter().map(|at| (*at, delivery.clone())).collect(),
    }
}

/// The right to tell some destinations of an item until then. Only a write to the table makes one,
/// so that nothing is sent that isn't written down and claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    owner: String,
    ends_at: u64,
    /// Whether each had been tried before.
    was_tried: BTreeMap<Destination, bool>,
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is written.
    Written,
    /// It can't be made any more: the item is done there, gone, or somebody else is at it.
    Refused,
    /// An attribute of the item isn't what the write needs.
    Unwritable,
}

impl Lease {
    /// That of a new item, to be written now, for those of its destinations that it claims.
    pub(super) fn new(outgoing: &Outgoing, owner: &str) -> Self {
        let claimed = outgoing.to.iter().filter_map(|(at, delivery)| {
            let Delivery::Pending {
                owner: by, due_at, ..
            } = delivery
            else {
                return None;
            };
            (by == owner).then_some((*at, *due_at))
        });
        let claimed: BTreeMap<_, _> = claimed.collect();
        Self {
            owner: owner.to_owned(),
            ends_at: claimed.values().copied().min().unwrap_or(0),
            was_tried: claimed.keys().map(|at| (*at, false)).collect(),
        }
    }

    /// When it is over, ms since the epoch: from then on another invocation may send the item.
    #[must_use]
    pub fn ends_at(&self) -> u64 {
        self.ends_at
    }

    /// The destinations that it is for.
    pub fn destinations(&self) -> impl Iterator<Item = Destination> {
        self.was_tried.keys().copied()
    }

    /// That telling this destination is left to the next sweep.
    #[must_use]
    pub fn leave(&self, at: Destination) -> Attempt {
        Attempt::Left {
            was_tried: self.was_tried.get(&at).copied().unwrap_or(true),
        }
    }
}

/// What a batch of due items holds.
#[derive(Clone, Debug, Default)]
pub struct DueItems {
    /// Alerts.
    pub alerts: Vec<StoredAlert>,
    /// Notices.
    pub notices: Vec<StoredNotice>,
    /// What is neither, or can't be read.
    pub unreadable: Vec<Due>,
}

impl Store {
    /// Due items, [`BATCH`](crate::store::BATCH) at most, read consistently; those that are gone
    /// aren't among them.
    pub async fn due_items(&self, due: &[Due]) -> Result<DueItems, StoreError> {
        let mut keys: Vec<_> = due.iter().map(|due| (&due.sid, &due.key)).collect();
        keys.sort_unstable();
        keys.dedup();
        let keys = keys.into_iter().map(|(sid, key)| key.of(sid)).collect();
        let mut found = DueItems::default();
        for item in self.items(keys, None, Reads::Consistent).await? {
            if let Some(alert) = read_alert(&item) {
                found.alerts.push(alert);
            } else if let Some(notice) = read_notice(&item) {
                found.notices.push(notice);
            } else {
                found.unreadable.extend(read_due(&item));
            }
        }
        Ok(found)
    }

    /// Writes something new down and takes its lease, or takes it over once the lease of another
    /// is over.
    pub(in crate::store) async fn claim<T: InOutbox>(
        &self,
        mut stored: T,
        invocation: Invocation<'_>,
    ) -> Result<Claim<T>, StoreError> {
        let Some(found) = self.put(&stored, invocation).await? else {
            let leased = Leased::new(stored, invocation.id);
            return Ok(Claim::Ours(Box::new(leased)));
        };
        let Some(outgoing) = read_outgoing(&found) else {
            // The sweeper reports what can't be read; the callback is stored all the same.
            return Ok(Claim::HeldElsewhere);
        };
        let all: Vec<_> = outgoing.to.keys().copied().collect();
        *stored.outgoing_mut() = outgoing;
        self.lease(stored, &all, invocation).await
    }

    /// Puts a new item; the item that is there, if one was and isn't this very one: the SDK tries
    /// again when an answer is lost, and finds its own write.
    pub(in crate::store) async fn put<T: InOutbox>(
        &self,
        stored: &T,
        invocation: Invocation<'_>,
    ) -> Result<Option<Item>, StoreError> {
        let item = stored.item(self.alert_expires_at(invocation.now_ms()));
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression(IS_NEW)
            .return_values_on_condition_check_failure(AllOld);
        let Err(error) = put.send().await else {
            return Ok(None);
        };
        let found = refused("PutItem outbox", error)?.unwrap_or_default();
        let is_ours = read_outgoing(&found).as_ref() == Some(stored.outgoing());
        Ok((!is_ours).then_some(found))
    }

    /// Takes the lease of something for those of `wanted` that are due.
    ///
    /// # Errors
    /// [`StoreError::Conflict`], too, here and in the other steps.
    pub async fn lease<T: InOutbox>(
        &self,
        mut stored: T,
        wanted: &[Destination],
        invocation: Invocation<'_>,
    ) -> Result<Claim<T>, StoreError> {
        let now_ms = invocation.now_ms();
        let ends_at = now_ms + LEASE_MS;
        let mut was_tried = BTreeMap::new();
        let claim = |to: &mut Deliveries| {
            was_tried.clear();
            for at in wanted {
                let Some(delivery) = to.get_mut(at) else {
                    continue;
                };
                let tried = matches!(delivery, Delivery::Pending { is_tried: true, .. });
                if delivery.claim(invocation.id, now_ms, ends_at) {
                    was_tried.insert(*at, tried);
                }
            }
            !was_tried.is_empty()
        };
        let step = self.step(&mut stored, now_ms, claim).await?;
        Ok(match step {
            Step::Written => {
                let lease = Lease {
                    was_tried,
                    ..Lease::new(stored.outgoing(), invocation.id)
                };
                Claim::Ours(Box::new(Leased { stored, lease }))
            }
            Step::Refused => Claim::HeldElsewhere,
            Step::Unwritable => Claim::Unwritable,
        })
    }

    /// Notes how telling the destinations of a lease went, as far as they are still its own.
    pub async fn note<T: InOutbox>(
        &self,
        leased: &mut Leased<T>,
        attempts: &BTreeMap<Destination, Attempt>,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let Leased { stored, lease } = leased;
        let created_at = stored.outgoing().created_at;
        let note = |to: &mut Deliveries| {
            let mut is_ours = false;
            for (at, attempt) in attempts {
                let delivery = to.get_mut(at);
                is_ours |=
                    delivery.is_some_and(|it| it.note(&lease.owner, attempt, now_ms, created_at));
            }
            is_ours
        };
        self.step(stored, now_ms, note).await.map(|_| ())
    }

    /// Writes a step of an item on condition that nobody wrote it since it was read; if somebody
    /// did, the step is made anew of what is there. It says whether it can still be made.
    pub async fn step<T: InOutbox>(
        &self,
        stored: &mut T,
        now_ms: u64,
        mut step: impl FnMut(&mut Deliveries) -> bool,
    ) -> Result<Step, StoreError> {
        for _ in 0..MAX_ATTEMPTS {
            let (sid, key) = stored.key();
            let outgoing = stored.outgoing();
            let mut next = outgoing.clone();
            if !step(&mut next.to) {
                return Ok(Step::Refused);
            }
            if next == *outgoing {
                return Ok(Step::Written);
            }
            next.version += 1;
            let entry = index_entry(sid, &key, &next, now_ms);
            let place = match entry {
                Some(_) => "watch_shard = :shard, watch_at = :at",
                None => "REMOVE watch_shard, watch_at",
            };
            let between = if entry.is_some() { "," } else { "" };
            let mut update = self
                .client
                .update_item()
                .table_name(&self.table)
                .set_key(Some(key.of(sid)))
                .update_expression(format!("SET #to = :to, version = :next{between} {place}"))
                .condition_expression("version = :version")
                .expression_attribute_names("#to", TO)
                .expression_attribute_values(":to", deliveries(&next.to))
                .expression_attribute_values(":next", number(next.version))
                .expression_attribute_values(":version", number(outgoing.version))
                .return_values_on_condition_check_failure(AllOld);
            if let Some((shard, at)) = entry {
                update = update
                    .expression_attribute_values(":shard", shard.attribute())
                    .expression_attribute_values(":at", number(at));
            }
            let found = match update.send().await {
                Ok(_) => {
                    *stored.outgoing_mut() = next;
                    return Ok(Step::Written);
                }
                Err(error) if is_invalid(&error) => return Ok(Step::Unwritable),
                Err(error) => refused("UpdateItem outbox", error)?,
            };
            let Some(found) = found else {
                return Ok(Step::Refused);
            };
            let Some(found) = read_outgoing(&found) else {
                return Ok(Step::Unwritable);
            };
            // The SDK tries again when an answer is lost, and finds its own write.
            let is_ours = found == next;
            *stored.outgoing_mut() = found;
            if is_ours {
                return Ok(Step::Written);
            }
        }
        Err(StoreError::Conflict {
            what: "what has to leave",
            tries: MAX_ATTEMPTS,
        })
    }
}

/// The attributes of a new item that all have.
fn outgoing_item(sid: &str, key: &ItemKey, outgoing: &Outgoing, expires_at: u64) -> Item {
    let mut item = key.of(sid);
    if let Some((shard, at)) = index_entry(sid, key, outgoing, outgoing.created_at) {
        item.extend(watch_entry(shard, at));
    }
    item.extend([
        (TO.to_owned(), deliveries(&outgoing.to)),
        (VERSION.to_owned(), number(outgoing.version)),
        (CREATED_AT.to_owned(), number(outgoing.created_at)),
        (EXPIRES_AT.to_owned(), number(expires_at)),
    ]);
    item
}

/// Where the index lists an item: what is due, what was given up, and alerts that were told.
fn index_entry(sid: &str, key: &ItemKey, outgoing: &Outgoing, now_ms: u64) -> Option<(Shard, u64)> {
    match (outgoing.progress(), key) {
        (Progress::Due(at), _) => Some((Shard::due(sid), at)),
        (Progress::Failed, _) => Some((Shard::Failed, now_ms)),
        (Progress::Told(at), ItemKey::Alert(_)) => Some((Shard::sent(sid), at)),
        (Progress::Told(_) | Progress::Needless, _) => None,
    }
}

/// Reads what became of an item; `None` if a part isn't there.
pub(super) fn read_outgoing(item: &Item) -> Option<Outgoing> {
    let to = item.get(TO)?.as_m().ok()?;
    let to = to
        .iter()
        .map(|(at, delivery)| {
            Some((
                Destination::read(at)?,
                read_delivery(delivery.as_m().ok()?)?,
            ))
        })
        .collect::<Option<_>>()?;
    Some(Outgoing {
        created_at: read_number(item, CREATED_AT)?,
        version: read_number(item, VERSION)?,
        to,
    })
}

fn deliveries(to: &Deliveries) -> AttributeValue {
    let to = to.iter();
    let to = to.map(|(at, delivery)| (at.as_str().to_owned(), attribute(delivery)));
    AttributeValue::M(to.collect())
}

fn attribute(delivery: &Delivery) -> AttributeValue {
    let own = match delivery {
        Delivery::Pending {
            owner,
            due_at,
            tries,
            is_tried,
        } => vec![
            ("state", Some(text("pending"))),
            ("owner", (!owner.is_empty()).then(|| text(owner.as_str()))),
            ("due_at", Some(number(due_at))),
            ("tries", Some(number(tries))),
            ("tried", Some(AttributeValue::Bool(*is_tried))),
        ],
        Delivery::Told {
            at,
            digest,
            message_id,
        } => vec![
            ("state", Some(text("sent"))),
            ("sent_at", Some(number(at))),
            ("digest", digest.as_ref().map(|it| text(it.to_string()))),
            (
                "message_id",
                (!message_id.is_empty()).then(|| text(message_id.as_str())),
            ),
        ],
        Delivery::Needless => vec![("state", Some(text("needless")))],
        Delivery::Failed { tries } => vec![
            ("state", Some(text("failed"))),
            ("tries", Some(number(tries))),
        ],
    };
    let own = own.into_iter();
    AttributeValue::M(
        own.filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect(),
    )
}

fn read_delivery(map: &Item) -> Option<Delivery> {
    Some(match read_text(map, "state")? {
        "pending" => Delivery::Pending {
            owner: read_text(map, "owner").unwrap_or_default().to_owned(),
            due_at: read_number(map, "due_at")?,
            tries: read_number(map, "tries")?,
            is_tried: map.get("tried")?.as_bool().copied().ok()?,
        },
        "sent" => Delivery::Told {
            at: read_number(map, "sent_at")?,
            digest: match read_text(map, "digest") {
                Some(digest) => Some(AlertId::parse(digest)?),
                None => None,
            },
            message_id: read_text(map, "message_id").unwrap_or_default().to_owned(),
        },
        "needless" => Delivery::Needless,
        "failed" => Delivery::Failed {
            tries: read_number(map, "tries")?,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::attribute::key::{WATCH_AT, WATCH_SHARD};

    #[test]
    fn what_each_destination_was_told_is_read_as_it_was_written() {
        let digest = AlertId::parse("digest#2026-03-02/alert#session_silent#0123456789abcdef");
        let told = |digest| Delivery::Told {
            at: 5,
            digest,
            message_id: "id".to_owned(),
        };
        for (delivery, shard) in [
            (Delivery::claimed("us", 9), Some("due2")),
            (Delivery::unclaimed(9), Some("due2")),
            (told(None), Some("sent2")),
            (told(digest), Some("sent2")),
            (Delivery::Needless, Some("due2")),
            (Delivery::Failed { tries: 3 }, Some("failed")),
        ] {
            let other = match shard {
                Some("due2") => Delivery::unclaimed(7),
                _ => Delivery::Needless,
            };
            let outgoing = Outgoing {
                created_at: 3,
                version: 2,
                to: [
                    (Destination::Critical, delivery),
                    (Destination::Alerts, other),
                ]
                .into(),
            };
            let key = ItemKey::parse("alert#failover#0a1b");
            let item = outgoing_item("a", &key, &outgoing, 99);
            assert_eq!(read_outgoing(&item), Some(outgoing));
            assert_eq!(read_text(&item, WATCH_SHARD), shard);
            let at = if shard == Some("due2") { 7 } else { 5 };
            if shard != Some("failed") {
                assert_eq!(read_number(&item, WATCH_AT), Some(at));
            }
        }
    }
}
