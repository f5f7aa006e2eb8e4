//! What has to leave the table, an alert or a notice: its item is put before anything is sent, and
//! names who may send it until when. Then it is marked as sent, put off, or given up, which stays
//! to be seen.
//!
//! Must not know: what it says, where it goes.

pub(super) mod alert;
pub(super) mod digest;
mod minute;
pub(super) mod notice;

use crate::invocation::Invocation;
use crate::record::AlertState;
use crate::store::Store;
use crate::store::attribute::key::{EXPIRES_AT, IS_NEW, ItemKey, WATCH_AT};
use crate::store::attribute::{Item, number, read_number, read_text, text};
use crate::store::error::{StoreError, is_invalid, refused};
use crate::store::index::{Due, Shard, watch_entry};
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::ReturnValue;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure::AllOld;

/// How long a lease lasts, from the write that takes it, in ms.
pub const LEASE_MS: u64 = 15_000;
/// It still has to be sent, and its lease is over.
const IS_DUE: &str = "#state = :pending AND due_at <= :now";
/// It still has to be sent, and its lease is ours.
const IS_OURS: &str = "#state = :pending AND #owner = :owner";
/// The first pause after a try that failed, in ms; it doubles with every further one.
const BACKOFF_MS: u64 = 15_000;
/// The longest pause between two tries, in ms.
const MAX_BACKOFF_MS: u64 = 5 * 60 * 1000;

/// An item that is ours to send until then. Only a write to the table makes it ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    sid: String,
    key: ItemKey,
    owner: String,
    ends_at: u64,
    pub(in crate::store) tries: u64,
    pub(in crate::store) created_at: u64,
}

/// What became of writing an item down.
pub(in crate::store) enum Put {
    /// It is there, and ours.
    Ours,
    /// Another was there: this one.
    There(Item),
}

/// Whose an item is that is due.
pub(in crate::store) enum Taken {
    /// Ours, as it is now.
    Ours(Item),
    /// Its lease is held elsewhere, or it is done, or gone.
    HeldElsewhere,
    /// The item can't be written.
    Unreadable,
}

impl Hold {
    /// That of a new item, to be written now.
    pub(in crate::store) fn new(sid: &str, key: ItemKey, invocation: Invocation<'_>) -> Self {
        let now_ms = invocation.now_ms();
        Self {
            sid: sid.to_owned(),
            key,
            owner: invocation.id.to_owned(),
            ends_at: now_ms + LEASE_MS,
            tries: 1,
            created_at: now_ms,
        }
    }

    /// The same, as the item says it.
    pub(in crate::store) fn stored_as(self, stored: &Item) -> Self {
        Self {
            ends_at: read_number(stored, "due_at").unwrap_or(self.ends_at),
            tries: read_number(stored, "tries").unwrap_or(self.tries),
            created_at: read_number(stored, "created_at").unwrap_or(self.created_at),
            ..self
        }
    }

    /// The item, as the index would list it.
    pub(in crate::store) fn due(&self) -> Due {
        Due {
            sid: self.sid.clone(),
            key: self.key.clone(),
            watch_at: self.ends_at,
        }
    }

    /// The item's partition key.
    #[must_use]
    pub fn sid(&self) -> &str {
        &self.sid
    }

    /// What the item is.
    #[must_use]
    pub fn key(&self) -> &ItemKey {
        &self.key
    }

    /// Whose it is.
    pub(in crate::store) fn owner(&self) -> &str {
        &self.owner
    }

    /// When it is over, ms since the epoch: from then on another invocation may send the item.
    #[must_use]
    pub fn ends_at(&self) -> u64 {
        self.ends_at
    }

    /// When the item was written down, ms since the epoch.
    #[must_use]
    pub fn created_at(&self) -> u64 {
        self.created_at
    }

    /// The attributes of a new item.
    pub(in crate::store) fn item(&self, expires_at: u64) -> Item {
        let mut item = self.key.of(&self.sid);
        item.extend(watch_entry(Shard::Due, self.ends_at));
        item.extend([
            ("state".to_owned(), text(AlertState::Pending.as_str())),
            ("owner".to_owned(), text(self.owner.as_str())),
            ("due_at".to_owned(), number(self.ends_at)),
            ("tries".to_owned(), number(self.tries)),
            ("created_at".to_owned(), number(self.created_at)),
            (EXPIRES_AT.to_owned(), number(expires_at)),
        ]);
        item
    }
}

impl Store {
    /// Puts a new item.
    pub(in crate::store) async fn put_held(
        &self,
        call: &'static str,
        item: Item,
        owner: &str,
    ) -> Result<Put, StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression(IS_NEW)
            .return_values_on_condition_check_failure(AllOld);
        let stored = match put.send().await {
            Ok(_) => return Ok(Put::Ours),
            Err(error) => refused(call, error)?.unwrap_or_default(),
        };
        // The SDK tries again when an answer is lost, and finds its own write.
        Ok(if is_ours(&stored, owner) {
            Put::Ours
        } else {
            Put::There(stored)
        })
    }

    /// Takes the lease of an item that is due.
    pub(in crate::store) async fn take(
        &self,
        call: &'static str,
        due: &Due,
        invocation: Invocation<'_>,
    ) -> Result<Taken, StoreError> {
        let now_ms = invocation.now_ms();
        let claim = self
            .held_request(due.key.of(&due.sid), invocation.id)
            .update_expression(
                "SET #owner = :owner, due_at = :due_at, watch_at = :due_at ADD tries :one",
            )
            .condition_expression(IS_DUE)
            .expression_attribute_values(":now", number(now_ms))
            .expression_attribute_values(":due_at", number(now_ms + LEASE_MS))
            .expression_attribute_values(":one", number(1))
            .return_values(ReturnValue::AllNew);
        let error = match claim.send().await {
            Ok(claimed) => return Ok(Taken::Ours(claimed.attributes.unwrap_or_default())),
            Err(error) if is_invalid(&error) => return Ok(Taken::Unreadable),
            Err(error) => error,
        };
        Ok(match refused(call, error)? {
            None => Taken::HeldElsewhere,
            // The SDK tries again when an answer is lost, and finds its own write.
            Some(stored) if is_ours(&stored, invocation.id) => Taken::Ours(stored),
            // What the index said is no longer so.
            Some(stored) if is_settled(&stored) => Taken::HeldElsewhere,
            Some(stored) if read_number(&stored, WATCH_AT).is_none_or(|at| at > now_ms) => {
                Taken::HeldElsewhere
            }
            Some(_) => Taken::Unreadable,
        })
    }

    /// Puts an item off after a try that failed: 15 s, 30 s, 1 min … 5 min.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn defer(&self, hold: &Hold, now_ms: u64) -> Result<(), StoreError> {
        let update = self
            .leased_request(hold)
            .update_expression("SET due_at = :due_at, watch_at = :due_at")
            .expression_attribute_values(":due_at", number(now_ms + backoff_ms(hold.tries)));
        match update.send().await {
            Ok(_) => Ok(()),
            Err(error) => refused("UpdateItem deferred", error).map(|_| ()),
        }
    }

    /// Gives an item up. It stays, in [`Shard::Failed`] of the index.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn give_up(&self, hold: &Hold, now_ms: u64) -> Result<(), StoreError> {
        let update = self
            .leased_request(hold)
            .update_expression("SET #state = :failed, watch_shard = :shard, watch_at = :now")
            .expression_attribute_values(":failed", text(AlertState::Failed.as_str()))
            .expression_attribute_values(":shard", Shard::Failed.attribute())
            .expression_attribute_values(":now", number(now_ms));
        match update.send().await {
            Ok(_) => Ok(()),
            Err(error) => refused("UpdateItem given up", error).map(|_| ()),
        }
    }

    /// A change of an item whose lease is ours.
    pub(in crate::store) fn leased_request(&self, hold: &Hold) -> UpdateItemFluentBuilder {
        self.held_request(hold.key.of(&hold.sid), &hold.owner)
            .condition_expression(IS_OURS)
    }

    pub(in crate::store) fn held_request(&self, key: Item, owner: &str) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key))
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

pub(in crate::store) fn is_ours(stored: &Item, owner: &str) -> bool {
    read_text(stored, "owner") == Some(owner) && read_state(stored) == Some(AlertState::Pending)
}

/// True if nobody has to send it any more.
fn is_settled(stored: &Item) -> bool {
    matches!(
        read_state(stored),
        Some(AlertState::Sent { .. } | AlertState::Failed)
    )
}

pub(in crate::store) fn read_state(item: &Item) -> Option<AlertState> {
    let at = read_number(item, "sent_at");
    let states = [
        AlertState::Pending,
        AlertState::Sent { at },
        AlertState::Failed,
    ];
    let word = read_text(item, "state")?;
    states.into_iter().find(|state| state.as_str() == word)
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
}
