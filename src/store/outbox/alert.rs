//! An alert's item: what it says, what it still has to be published to, and, of a digest, whom it
//! stands for. Who may send it is `outbox`'s.

use crate::alert::{Alert, AlertId, AlertKind, Destination, Destinations};
use crate::event::CodeName;
use crate::invocation::Invocation;
use crate::record::{AlertState, Roll, StoredAlert};
use crate::store::Store;
use crate::store::attribute::key::{ITEM, ItemKey, SID};
use crate::store::attribute::{Item, number, read_number, read_text, text};
use crate::store::error::{StoreError, refused};
use crate::store::index::{Due, Shard};
use crate::store::outbox::{Hold, Put, Taken, is_ours, read_state};
use aws_sdk_dynamodb::types::AttributeValue;

/// What an alert still has to be published to; absent once it is sent.
pub(in crate::store) const TO: &str = "to";
/// The digest that an alert was sent in.
pub(in crate::store) const SENT_IN: &str = "sent_in";
/// How many members of a digest aren't taken back.
pub(in crate::store) const OPEN: &str = "open";
/// How many members a resolution has taken off the `open` of the digest that they were sent in.
pub(in crate::store) const TOOK_OFF: &str = "took_off";
/// The alerts that a digest may stand for.
const MEMBERS: &str = "members";
/// Whether a digest is about half of all recordings or more.
const WIDESPREAD: &str = "widespread";
/// Nobody took the lease since the alert was read.
const IS_AS_READ: &str = "#state = :state AND due_at = :read_due_at";

/// An alert that is ours to send until the lease is over. Only a write to the table makes one, so
/// that nothing is sent that isn't written down and claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    hold: Hold,
    alert: Alert,
    to: Destinations,
    roll: Option<Roll>,
    took_off: u64,
}

impl Lease {
    /// The lease of a new alert, to be written now.
    pub(in crate::store) fn new(
        alert: Alert,
        to: Destinations,
        invocation: Invocation<'_>,
    ) -> Self {
        Self {
            hold: Hold::new(&alert.sid, alert_key(&alert), invocation),
            to,
            alert,
            roll: None,
            took_off: 0,
        }
    }

    /// The lease of a new digest, to be written now.
    pub(in crate::store) fn of_digest(
        alert: Alert,
        to: Destinations,
        roll: Roll,
        created_at: u64,
        invocation: Invocation<'_>,
    ) -> Self {
        let mut lease = Self::new(alert, to, invocation);
        lease.roll = Some(roll);
        lease.hold.created_at = created_at;
        lease
    }

    /// The lease that `invocation` has taken of what is stored as `item`.
    fn of_stored(stored: StoredAlert, item: &Item, invocation: Invocation<'_>) -> Self {
        let mut lease = Self::new(stored.alert, stored.to, invocation);
        lease.hold = lease.hold.stored_as(item);
        lease.roll = stored.roll;
        lease.took_off = stored.took_off;
        lease
    }

    /// Whose it is, and until when.
    #[must_use]
    pub fn hold(&self) -> &Hold {
        &self.hold
    }

    /// The alert.
    #[must_use]
    pub fn alert(&self) -> &Alert {
        &self.alert
    }

    /// If it is a digest: what it is about.
    #[must_use]
    pub fn roll(&self) -> Option<&Roll> {
        self.roll.as_ref()
    }

    /// How many members it has taken off the digest that it takes back.
    pub(in crate::store) fn took_off(&self) -> u64 {
        self.took_off
    }

    /// What the alert still has to be published to.
    #[must_use]
    pub fn to(&self) -> &Destinations {
        &self.to
    }
}

/// Who may send an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// We may.
    Ours(Box<Lease>),
    /// Its lease is held elsewhere, or it is done.
    HeldElsewhere,
}

/// Who may send an alert that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DueClaim {
    /// We may.
    Ours(Box<Lease>),
    /// Its lease is held elsewhere, or it is done, or gone.
    HeldElsewhere,
    /// The item isn't an alert that can be read, or be written.
    Unreadable,
}

impl Store {
    /// Alerts, [`BATCH`](crate::store::BATCH) at most, perhaps a moment old; those that are gone or
    /// can't be read aren't among them.
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
        let items = self.items(keys.collect(), None).await?;
        Ok(items.iter().filter_map(read_alert).collect())
    }

    /// Writes an alert down and takes its lease, or takes it over once the lease of another is
    /// over. What one that was there still has to be published to is what it says: another
    /// invocation may have served a topic.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn claim_alert(
        &self,
        alert: Alert,
        invocation: Invocation<'_>,
    ) -> Result<Claim, StoreError> {
        let to = self.destinations(alert.kind);
        let mut lease = Lease::new(alert, to, invocation);
        let item = alert_item(&lease, self.alert_expires_at(lease.hold.created_at()));
        let stored = match self.put_held("PutItem alert", item, invocation.id).await? {
            Put::Ours => return Ok(Claim::Ours(Box::new(lease))),
            Put::There(stored) => stored,
        };
        if read_state(&stored) != Some(AlertState::Pending) {
            return Ok(Claim::HeldElsewhere);
        }
        let due = lease.hold.due();
        match self
            .take("UpdateItem alert claim", &due, invocation)
            .await?
        {
            Taken::Ours(claimed) => {
                lease.to = read_to(&claimed, lease.alert.kind);
                lease.hold = lease.hold.stored_as(&claimed);
                Ok(Claim::Ours(Box::new(lease)))
            }
            // The sweeper reports what can't be written; the callback is stored all the same.
            Taken::HeldElsewhere | Taken::Unreadable => Ok(Claim::HeldElsewhere),
        }
    }

    /// Takes the lease of an alert that is due, and reads it.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn claim_due(
        &self,
        due: &Due,
        invocation: Invocation<'_>,
    ) -> Result<DueClaim, StoreError> {
        let item = match self.take("UpdateItem alert claim", due, invocation).await? {
            Taken::Ours(item) => item,
            Taken::HeldElsewhere => return Ok(DueClaim::HeldElsewhere),
            Taken::Unreadable => return Ok(DueClaim::Unreadable),
        };
        Ok(match read_alert(&item) {
            Some(stored) => DueClaim::Ours(Box::new(Lease::of_stored(stored, &item, invocation))),
            None => DueClaim::Unreadable,
        })
    }

    /// Notes that an alert is sent, if the lease is still ours; a digest with so many members.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn mark_sent(
        &self,
        lease: &Lease,
        message_id: &str,
        members: Option<u64>,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let sent = AlertState::Sent { at: Some(now_ms) };
        let counts = match (members, lease.alert.kind.alarm() == lease.alert.kind) {
            (None, _) => "",
            (Some(_), false) => ", members_sent = :members",
            (Some(_), true) => ", members_sent = :members, #open = :members",
        };
        let mut update = self
            .leased_request(&lease.hold)
            .update_expression(format!(
                "SET #state = :sent, sns_message_id = :message_id, sent_at = :now{counts} \
                 REMOVE watch_shard, watch_at, #to"
            ))
            .expression_attribute_names("#to", TO)
            .expression_attribute_values(":sent", text(sent.as_str()))
            .expression_attribute_values(":message_id", text(message_id))
            .expression_attribute_values(":now", number(now_ms));
        if let Some(members) = members {
            update = update.expression_attribute_values(":members", number(members));
        }
        if counts.contains("#open") {
            update = update.expression_attribute_names("#open", OPEN);
        }
        match update.send().await {
            Ok(_) => Ok(()),
            Err(error) => refused("UpdateItem alert sent", error).map(|_| ()),
        }
    }

    /// Notes what an alert, whose lease stays ours, still has to be published to.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn note_rest(&self, lease: &Lease, rest: &Destinations) -> Result<(), StoreError> {
        let update = self
            .leased_request(&lease.hold)
            .update_expression("SET #to = :rest")
            .expression_attribute_names("#to", TO)
            .expression_attribute_values(":rest", words_of(rest));
        match update.send().await {
            Ok(_) => Ok(()),
            Err(error) => refused("UpdateItem alert served", error).map(|_| ()),
        }
    }

    /// Leaves an alert to the next sweep, at once, with what it still has to be published to. That
    /// was no try: whoever comes next may have to wait longer after each that failed.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn leave_alert(
        &self,
        lease: &Lease,
        rest: &Destinations,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let update = self
            .leased_request(&lease.hold)
            .update_expression("SET #to = :rest, due_at = :now, watch_at = :now, tries = :tries")
            .expression_attribute_values(":tries", number(lease.hold.tries.saturating_sub(1)))
            .expression_attribute_names("#to", TO)
            .expression_attribute_values(":rest", words_of(rest))
            .expression_attribute_values(":now", number(now_ms));
        match update.send().await {
            Ok(_) => Ok(()),
            Err(error) => refused("UpdateItem alert left", error).map(|_| ()),
        }
    }

    /// All alerts that are pending or were given up, oldest first; those that can't be read aren't
    /// among them.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn unsent_alerts(&self) -> Result<Vec<StoredAlert>, StoreError> {
        let mut unsent = Vec::new();
        for shard in Shard::swept().chain([Shard::Failed]) {
            for due in self.all_in(shard).await? {
                if let ItemKey::Alert(_) = due.key {
                    let stored = self.item(&due.sid, &due.key).await?;
                    unsent.extend(stored.as_ref().and_then(read_alert));
                }
            }
        }
        unsent.retain(|stored| !matches!(stored.state, AlertState::Sent { .. }));
        unsent.sort_by_key(|stored| stored.created_at);
        Ok(unsent)
    }

    /// Takes the lease of an alert that wasn't sent, due or not; `None` if another invocation took
    /// it since the alert was read.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn reopen_alert(
        &self,
        stored: &StoredAlert,
        invocation: Invocation<'_>,
    ) -> Result<Option<Lease>, StoreError> {
        let mut lease = Lease::new(stored.alert.clone(), stored.to.clone(), invocation);
        lease.roll.clone_from(&stored.roll);
        lease.took_off = stored.took_off;
        lease.hold.tries = stored.tries + 1;
        lease.hold.created_at = stored.created_at;
        let key = alert_key(&lease.alert).of(&lease.alert.sid);
        let update = self
            .held_request(key, lease.hold.owner())
            .update_expression(
                "SET #state = :pending, #owner = :owner, due_at = :due_at, \
                 watch_at = :due_at, watch_shard = :shard ADD tries :one",
            )
            .condition_expression(IS_AS_READ)
            .expression_attribute_values(":state", text(stored.state.as_str()))
            .expression_attribute_values(":read_due_at", number(stored.due_at))
            .expression_attribute_values(":due_at", number(lease.hold.ends_at()))
            .expression_attribute_values(":shard", Shard::Due.attribute())
            .expression_attribute_values(":one", number(1));
        let is_taken = match update.send().await {
            Ok(_) => true,
            Err(error) => {
                let stored = refused("UpdateItem alert reopened", error)?;
                stored.is_some_and(|stored| is_ours(&stored, invocation.id))
            }
        };
        Ok(is_taken.then_some(lease))
    }

    /// What an alert of this kind is published to.
    pub(in crate::store) fn destinations(&self, kind: AlertKind) -> Destinations {
        let bus = self.has_bus.then_some(Destination::Bus);
        Destination::of(kind).into_iter().chain(bus).collect()
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
    let kind = AlertKind::read(read_text(item, "kind")?)?;
    Some(StoredAlert {
        to: read_to(item, kind),
        alert: Alert {
            kind,
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
        state: read_state(item)?,
        sent_in: read_text(item, SENT_IN).and_then(AlertId::parse),
        roll: read_roll(item),
        open: read_number(item, OPEN),
        took_off: read_number(item, TOOK_OFF).unwrap_or(0),
        tries: read_number(item, "tries")?,
        created_at: read_number(item, "created_at")?,
        due_at: read_number(item, "due_at")?,
    })
}

/// What an alert still has to be published to. Alerts of earlier versions don't say it: to all.
fn read_to(item: &Item, kind: AlertKind) -> Destinations {
    let words = item.get(TO).and_then(|to| to.as_ss().ok());
    words.map_or_else(
        || Destination::of(kind),
        |words| {
            words
                .iter()
                .filter_map(|to| Destination::read(to))
                .collect()
        },
    )
}

fn words_of(to: &Destinations) -> AttributeValue {
    AttributeValue::Ss(to.iter().map(|to| to.as_str().to_owned()).collect())
}

fn read_roll(item: &Item) -> Option<Roll> {
    let members = item.get(MEMBERS)?.as_l().ok()?.iter();
    let members = members.filter_map(|member| AlertId::parse(member.as_s().ok()?));
    Some(Roll {
        members: members.collect(),
        is_widespread: item
            .get(WIDESPREAD)
            .is_some_and(|it| it.as_bool() == Ok(&true)),
        resolves: read_text(item, "takes_back").and_then(AlertId::parse),
    })
}

fn write_roll(roll: &Roll, item: &mut Item) {
    let members = roll.members.iter().map(|member| text(member.to_string()));
    item.insert(MEMBERS.to_owned(), AttributeValue::L(members.collect()));
    let is_widespread = AttributeValue::Bool(roll.is_widespread);
    item.insert(WIDESPREAD.to_owned(), is_widespread);
    if let Some(resolved) = &roll.resolves {
        item.insert("takes_back".to_owned(), text(resolved.to_string()));
    }
}

/// The key of an alert's item.
pub(in crate::store) fn alert_key(alert: &Alert) -> ItemKey {
    ItemKey::Alert(alert.key.clone())
}

/// The item of a new alert and its lease.
pub(in crate::store) fn alert_item(lease: &Lease, expires_at: u64) -> Item {
    let alert = &lease.alert;
    let codes = alert
        .codes
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), text(value.as_str())))
        .collect();
    let mut item = lease.hold.item(expires_at);
    item.extend([
        ("kind".to_owned(), text(alert.kind.as_str())),
        ("severity".to_owned(), text(alert.kind.severity().as_str())),
        (TO.to_owned(), words_of(&lease.to)),
        // Not `cname`: that name is the key of an index of sessions.
        ("channel".to_owned(), text(alert.cname.as_str())),
        ("uid".to_owned(), text(alert.uid.as_str())),
        ("sequence".to_owned(), number(alert.sequence)),
        ("event_type".to_owned(), number(alert.event_type)),
        ("at".to_owned(), number(alert.at)),
        ("codes".to_owned(), AttributeValue::M(codes)),
    ]);
    if let Some(roll) = &lease.roll {
        write_roll(roll, &mut item);
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
            key: crate::alert::AlertKey::from_stored("0000000003#1#0a1b2c3d"),
            sid: "38f8e3cfdc474cd56fc1ceba380d7e1a".to_owned(),
            cname: String::new(),
            uid: "5".to_owned(),
            sequence: 3,
            event_type: 1,
            at: 1_772_460_000_123,
            codes: [(CodeName::ErrorCode, "110".to_owned())].into(),
        };
        let invocation = Invocation::new("us", 1_000, tokio::time::Instant::now());
        let mut lease = Lease::new(alert.clone(), [Destination::Alerts].into(), invocation);
        lease.hold.created_at = 1_000;
        let mut item = alert_item(&lease, 9);
        let stored = read_alert(&item).unwrap();
        assert_eq!((stored.alert, stored.tries), (alert, 1));
        assert_eq!(stored.to, [Destination::Alerts].into());
        assert_eq!(
            (stored.created_at, stored.due_at),
            (1_000, lease.hold.ends_at())
        );
        for name in ["kind", "codes", "at", "created_at"] {
            let kept = item.remove(name).unwrap();
            assert_eq!(read_alert(&item), None, "{name}");
            item.insert(name.to_owned(), kept);
        }
        // As an earlier version wrote it.
        item.remove(TO).unwrap();
        let to = read_alert(&item).unwrap().to;
        assert_eq!(to, [Destination::Critical, Destination::Alerts].into());
    }
}
