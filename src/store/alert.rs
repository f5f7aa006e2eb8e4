//! An alert's item: written down before anything is sent, claimed by lease, marked when it is sent, or given up, which stays to
//! be seen.

use super::item::{Item, number, read_number, read_text, text};
use super::watch::{Due, WATCH_SHARDS};
use super::{IS_NEW, Store, StoreError, refused, watch_shard};
use crate::alert::{Alert, AlertKey, AlertKind};
use crate::record::{AlertState, StoredAlert};
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure::AllOld;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};

/// How long whoever wrote or claimed an alert has to send it before somebody else may, in ms.
pub const LEASE_MS: u64 = 15_000;
/// The alert still has to be sent, and whoever had the job is late.
const IS_DUE: &str = "#state = :pending AND due_at <= :now";
/// The alert still has to be sent, and the job is ours.
const IS_OURS: &str = "#state = :pending AND #owner = :owner";

/// Nobody took the job since the alert was read.
const IS_AS_READ: &str = "#state = :state AND due_at = :read_due_at";
/// Alerts that were given up are in this partition of the `watch` index, which nobody works off.
pub(super) const FAILED_SHARD: &str = "failed";
/// The first pause after a try that failed, in ms; it doubles with every further one.
const BACKOFF_MS: u64 = 15_000;
/// The longest pause between two tries, in ms.
const MAX_BACKOFF_MS: u64 = 5 * 60 * 1000;

/// What came of claiming an alert that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DueClaim {
    /// It is ours to send.
    Ours(Box<StoredAlert>),
    /// Somebody else's, done, or gone.
    Others,
    /// The item isn't an alert that can be read.
    Unreadable,
}

/// Whose job it is to send an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Ours.
    Ours,
    /// Somebody else's, or it is done.
    Others,
}

impl Store {
    /// Writes an alert down and takes the job of sending it, or takes it over from somebody who is late. `owner` names us.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn claim_alert(
        &self,
        alert: &Alert,
        owner: &str,
        now_ms: u64,
    ) -> Result<Claim, StoreError> {
        let item = alert_item(alert, owner, now_ms, self.expires_at(now_ms));
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression(IS_NEW)
            .return_values_on_condition_check_failure(AllOld);
        let stored = match put.send().await {
            Ok(_) => return Ok(Claim::Ours),
            Err(error) => refused(error, "PutItem alert")?.unwrap_or_default(),
        };
        // The SDK tries again when an answer is lost, and finds its own write.
        if is_ours(&stored, owner) {
            return Ok(Claim::Ours);
        }
        if read_text(&stored, "state") != Some(AlertState::Pending.as_str()) {
            return Ok(Claim::Others);
        }
        self.take_over_alert(alert, owner, now_ms).await
    }

    async fn take_over_alert(
        &self,
        alert: &Alert,
        owner: &str,
        now_ms: u64,
    ) -> Result<Claim, StoreError> {
        let update = self.claim_request(&alert.sid, &sort_key(alert), owner, now_ms);
        match update.send().await {
            Ok(_) => Ok(Claim::Ours),
            Err(error) => {
                let stored = refused(error, "UpdateItem alert claim")?.unwrap_or_default();
                Ok(if is_ours(&stored, owner) {
                    Claim::Ours
                } else {
                    Claim::Others
                })
            }
        }
    }

    /// Notes that an alert is sent, if the job is still ours.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn mark_sent(
        &self,
        alert: &Alert,
        owner: &str,
        message_id: &str,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let update = self
            .alert_request(&alert.sid, &sort_key(alert), owner)
            .update_expression(
                "SET #state = :sent, sns_message_id = :message_id, sent_at = :now REMOVE watch_shard, watch_at",
            )
            .condition_expression(IS_OURS)
            .expression_attribute_values(":sent", text(AlertState::Sent { at: None }.as_str()))
            .expression_attribute_values(":message_id", text(message_id))
            .expression_attribute_values(":now", number(now_ms));
        match update.send().await {
            Ok(_) => Ok(()),
            Err(error) => refused(error, "UpdateItem alert sent").map(|_| ()),
        }
    }

    /// Takes the job of sending an alert that is due, and reads it.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn claim_due(
        &self,
        due: &Due,
        owner: &str,
        now_ms: u64,
    ) -> Result<DueClaim, StoreError> {
        let claim = self
            .claim_request(&due.sid, &due.item, owner, now_ms)
            .return_values(ReturnValue::AllNew);
        let stored = match claim.send().await {
            Ok(claimed) => claimed.attributes.unwrap_or_default(),
            Err(error) => match refused(error, "UpdateItem alert claim")? {
                None => return Ok(DueClaim::Others),
                // The SDK tries again when an answer is lost, and finds its own write.
                Some(stored) if is_ours(&stored, owner) => stored,
                // What the index said is no longer so.
                Some(stored) if is_settled(&stored) => return Ok(DueClaim::Others),
                Some(stored) if read_number(&stored, "watch_at") > Some(now_ms) => {
                    return Ok(DueClaim::Others);
                }
                Some(stored) if !stored.contains_key("watch_at") => return Ok(DueClaim::Others),
                Some(_) => return Ok(DueClaim::Unreadable),
            },
        };
        Ok(match read_alert(&stored) {
            Some(alert) => DueClaim::Ours(Box::new(alert)),
            None => DueClaim::Unreadable,
        })
    }

    /// Puts off an alert that is ours after its `tries`-th try failed: 15 s, 30 s, 1 min … 5 min.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn defer_alert(
        &self,
        alert: &Alert,
        owner: &str,
        tries: u64,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let update = self
            .alert_request(&alert.sid, &sort_key(alert), owner)
            .update_expression("SET due_at = :due_at, watch_at = :due_at")
            .condition_expression(IS_OURS)
            .expression_attribute_values(":due_at", number(now_ms + backoff_ms(tries)));
        match update.send().await {
            Ok(_) => Ok(()),
            Err(error) => refused(error, "UpdateItem alert deferred").map(|_| ()),
        }
    }

    /// Gives up an alert that is ours. It stays, and is found in the index under `failed`.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn fail_alert(
        &self,
        alert: &Alert,
        owner: &str,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let update = self
            .alert_request(&alert.sid, &sort_key(alert), owner)
            .update_expression("SET #state = :failed, watch_shard = :shard, watch_at = :now")
            .condition_expression(IS_OURS)
            .expression_attribute_values(":failed", text(AlertState::Failed.as_str()))
            .expression_attribute_values(":shard", text(FAILED_SHARD))
            .expression_attribute_values(":now", number(now_ms));
        match update.send().await {
            Ok(_) => Ok(()),
            Err(error) => refused(error, "UpdateItem alert failed").map(|_| ()),
        }
    }

    /// All alerts that are pending or were given up, oldest first; those that can't be read aren't among them.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn unsent_alerts(&self) -> Result<Vec<StoredAlert>, StoreError> {
        let shards = (0..WATCH_SHARDS).map(|shard| shard.to_string());
        let mut unsent = Vec::new();
        for shard in shards.chain([FAILED_SHARD.to_owned()]) {
            let mut from = None;
            loop {
                let page = self.watch_page(&shard, u64::MAX, from).await?;
                for due in page.due.iter().filter(|due| due.item.starts_with("alert#")) {
                    let stored = self.item(&due.sid, &due.item).await?;
                    unsent.extend(stored.as_ref().and_then(read_alert));
                }
                from = page.next;
                if from.is_none() {
                    break;
                }
            }
        }
        unsent.retain(|stored| !matches!(stored.state, AlertState::Sent { .. }));
        unsent.sort_by_key(|stored| stored.created_at);
        Ok(unsent)
    }

    /// Takes the job of sending an alert that wasn't sent, due or not; false if somebody took it since it was read.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn reopen_alert(
        &self,
        stored: &StoredAlert,
        owner: &str,
        now_ms: u64,
    ) -> Result<bool, StoreError> {
        let alert = &stored.alert;
        let update = self
            .alert_request(&alert.sid, &sort_key(alert), owner)
            .update_expression(
                "SET #state = :pending, #owner = :owner, due_at = :due_at, watch_at = :due_at, watch_shard = :shard \
                 ADD tries :one",
            )
            .condition_expression(IS_AS_READ)
            .expression_attribute_values(":state", text(stored.state.as_str()))
            .expression_attribute_values(":read_due_at", number(stored.due_at))
            .expression_attribute_values(":due_at", number(now_ms + LEASE_MS))
            .expression_attribute_values(":shard", text(watch_shard(&alert.sid)))
            .expression_attribute_values(":one", number(1));
        match update.send().await {
            Ok(_) => Ok(true),
            Err(error) => {
                let stored = refused(error, "UpdateItem alert reopened")?;
                Ok(stored.is_some_and(|stored| is_ours(&stored, owner)))
            }
        }
    }

    fn claim_request(
        &self,
        sid: &str,
        item: &str,
        owner: &str,
        now_ms: u64,
    ) -> UpdateItemFluentBuilder {
        self.alert_request(sid, item, owner)
            .update_expression(
                "SET #owner = :owner, due_at = :due_at, watch_at = :due_at ADD tries :one",
            )
            .condition_expression(IS_DUE)
            .expression_attribute_values(":now", number(now_ms))
            .expression_attribute_values(":due_at", number(now_ms + LEASE_MS))
            .expression_attribute_values(":one", number(1))
    }

    fn alert_request(&self, sid: &str, item: &str, owner: &str) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("sid", text(sid))
            .key("item", text(item))
            .return_values_on_condition_check_failure(AllOld)
            .expression_attribute_names("#state", "state")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":pending", text(AlertState::Pending.as_str()))
            .expression_attribute_values(":owner", text(owner))
    }
}

/// How long to wait after the `tries`-th try, in ms.
fn backoff_ms(tries: u64) -> u64 {
    let doublings = u32::try_from(tries.saturating_sub(1)).unwrap_or(u32::MAX);
    let factor = 2_u64.checked_pow(doublings).unwrap_or(u64::MAX);
    BACKOFF_MS.saturating_mul(factor).min(MAX_BACKOFF_MS)
}

fn is_ours(stored: &Item, owner: &str) -> bool {
    read_text(stored, "owner") == Some(owner)
        && read_text(stored, "state") == Some(AlertState::Pending.as_str())
}

/// True if nobody has to send it any more.
fn is_settled(stored: &Item) -> bool {
    matches!(
        read_state(stored),
        Some(AlertState::Sent { .. } | AlertState::Failed)
    )
}

/// Reads an alert from its item; `None` if a part that the message needs isn't there.
#[must_use]
pub fn read_alert(item: &Item) -> Option<StoredAlert> {
    let string = |name| read_text(item, name).map(str::to_owned);
    let codes = item.get("codes")?.as_m().ok()?;
    Some(StoredAlert {
        alert: Alert {
            kind: AlertKind::read(read_text(item, "kind")?)?,
            key: AlertKey::from_stored(read_text(item, "item")?.strip_prefix("alert#")?),
            sid: string("sid")?,
            cname: string("channel")?,
            uid: string("uid")?,
            sequence: read_number(item, "sequence")?,
            event_type: u32::try_from(read_number(item, "event_type")?).ok()?,
            at: read_number(item, "at")?,
            codes: codes
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), value.as_s().ok()?.clone())))
                .collect(),
        },
        state: read_state(item)?,
        tries: read_number(item, "tries")?,
        created_at: read_number(item, "created_at")?,
        due_at: read_number(item, "due_at")?,
    })
}

fn read_state(item: &Item) -> Option<AlertState> {
    let at = read_number(item, "sent_at");
    let states = [
        AlertState::Pending,
        AlertState::Sent { at },
        AlertState::Failed,
    ];
    let word = read_text(item, "state")?;
    states.into_iter().find(|state| state.as_str() == word)
}

/// The sort key of an alert.
fn sort_key(alert: &Alert) -> String {
    format!("alert#{}", alert.key)
}

/// The item of an alert that `owner` has to send.
pub(super) fn alert_item(alert: &Alert, owner: &str, now_ms: u64, expires_at: u64) -> Item {
    let codes = alert
        .codes
        .iter()
        .map(|(name, value)| (name.clone(), text(value.as_str())))
        .collect();
    Item::from([
        ("sid".to_owned(), text(alert.sid.as_str())),
        ("item".to_owned(), text(sort_key(alert))),
        ("kind".to_owned(), text(alert.kind.as_str())),
        ("severity".to_owned(), text(alert.kind.severity().as_str())),
        ("state".to_owned(), text(AlertState::Pending.as_str())),
        ("owner".to_owned(), text(owner)),
        ("due_at".to_owned(), number(now_ms + LEASE_MS)),
        ("tries".to_owned(), number(1)),
        // Not `cname`: that name is the key of an index of sessions.
        ("channel".to_owned(), text(alert.cname.as_str())),
        ("uid".to_owned(), text(alert.uid.as_str())),
        ("sequence".to_owned(), number(alert.sequence)),
        ("event_type".to_owned(), number(alert.event_type)),
        ("at".to_owned(), number(alert.at)),
        ("codes".to_owned(), AttributeValue::M(codes)),
        ("created_at".to_owned(), number(now_ms)),
        ("expires_at".to_owned(), number(expires_at)),
        ("watch_shard".to_owned(), text(watch_shard(&alert.sid))),
        ("watch_at".to_owned(), number(now_ms + LEASE_MS)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_further_and_further_apart() {
        let pauses: Vec<_> = [0, 1, 2, 3, 5, 6, 99, u64::MAX]
            .map(backoff_ms)
            .into_iter()
            .map(|ms| ms / 1000)
            .collect();
        assert_eq!(pauses, [15, 15, 30, 60, 240, 300, 300, 300]);
    }

    #[test]
    fn an_alert_is_read_as_it_was_written() {
        let alert = Alert {
            kind: AlertKind::FatalError,
            key: AlertKey::from_stored("0000000003#1#0a1b2c3d"),
            sid: "38f8e3cfdc474cd56fc1ceba380d7e1a".to_owned(),
            cname: String::new(),
            uid: "5".to_owned(),
            sequence: 3,
            event_type: 1,
            at: 1_772_460_000_123,
            codes: [("errorCode".to_owned(), "110".to_owned())].into(),
        };
        let mut item = alert_item(&alert, "us", 1_000, 9);
        let stored = read_alert(&item).unwrap();
        assert_eq!((stored.alert, stored.tries), (alert, 1));
        assert_eq!(
            (stored.created_at, stored.due_at),
            (1_000, 1_000 + LEASE_MS)
        );
        for name in ["kind", "codes", "at", "created_at"] {
            let kept = item.remove(name).unwrap();
            assert_eq!(read_alert(&item), None, "{name}");
            item.insert(name.to_owned(), kept);
        }
    }
}
