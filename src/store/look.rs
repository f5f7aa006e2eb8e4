//! What the watchdog finds: a watched session is read, and what was found is noted in one write.
//!
//! A check changes the session's item only on condition that no callback has come since it was
//! read, and its alerts are written down in the same transaction: either all of it is noted, or
//! nothing.

use super::alert::alert_item;
use super::index::Due;
use super::item::{Item, number, read_number, read_session, read_text};
use super::key::{CNAME, ItemKey, SID, VERSION, WATCH_AT, WATCH_SHARD};
use super::session::IS_UNCHANGED;
use super::{IS_NEW, Lease, Store, StoreError, is_invalid, refused};
use crate::alert::AlertKey;
use crate::invocation::Invocation;
use crate::watchdog::{Look, Standing, Watched};
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, Put, ReturnValuesOnConditionCheckFailure::AllOld,
    TransactWriteItem, Update,
};
use std::collections::HashMap;

/// What was found under the key of a session that is due.
#[derive(Debug)]
pub enum Found {
    /// A session that is due.
    Session(Box<FoundSession>),
    /// Nothing that is due: the index was behind.
    NotDue,
    /// An item that can't be read as a session.
    Unreadable,
}

/// A session as it was read, and what its change is conditioned on.
#[derive(Debug)]
pub struct FoundSession {
    /// The session.
    pub watched: Watched,
    version: u64,
}

/// The outcome of noting a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookWrite {
    /// It is noted, and its alerts are ours to send.
    Written(Vec<Lease>),
    /// A callback came meanwhile: check again.
    Overtaken,
    /// These alerts were written down before: they aren't ours to send.
    AlreadyClaimed(Vec<AlertKey>),
    /// An attribute of the item isn't what the write needs.
    Unwritable,
}

impl Store {
    /// Reads a session that is due, consistently.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn due_session(&self, due: &Due, now_ms: u64) -> Result<Found, StoreError> {
        let Some(item) = self.item(&due.sid, &due.key).await? else {
            return Ok(Found::NotDue);
        };
        if read_number(&item, WATCH_AT).is_none_or(|watch_at| watch_at > now_ms) {
            return Ok(Found::NotDue);
        }
        let watched = read_watched(&item);
        Ok(match read_number(&item, VERSION) {
            Some(version) if !watched.session.recorders.is_empty() => {
                Found::Session(Box::new(FoundSession { watched, version }))
            }
            Some(_) | None => Found::Unreadable,
        })
    }

    /// Notes the result of a check: its alerts, leased to `invocation`, what stands, and when to
    /// check again.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn note_look(
        &self,
        found: &FoundSession,
        look: &Look,
        invocation: Invocation<'_>,
    ) -> Result<LookWrite, StoreError> {
        let (expression, values) = look_update(found, look);
        let key = ItemKey::Session.of(&found.watched.sid);
        if look.alerts.is_empty() {
            let update = self
                .client
                .update_item()
                .table_name(&self.table)
                .set_key(Some(key))
                .update_expression(expression)
                .condition_expression(IS_UNCHANGED)
                .set_expression_attribute_values(Some(values));
            return match update.send().await {
                Ok(_) => Ok(LookWrite::Written(Vec::new())),
                Err(error) if is_invalid(&error) => Ok(LookWrite::Unwritable),
                Err(error) => refused("UpdateItem look", error).map(|_| LookWrite::Overtaken),
            };
        }
        let (mut writes, mut leases) = (Vec::new(), Vec::new());
        for alert in &look.alerts {
            let lease = Lease::new(alert.clone(), invocation);
            let put = Put::builder()
                .table_name(&self.table)
                .set_item(Some(alert_item(
                    &lease,
                    self.expires_at(lease.created_at()),
                )))
                .condition_expression(IS_NEW)
                .return_values_on_condition_check_failure(AllOld)
                .build()
                .map_err(|error| unwritten(error.into()))?;
            writes.push(TransactWriteItem::builder().put(put).build());
            leases.push(lease);
        }
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key))
            .update_expression(expression)
            .condition_expression(IS_UNCHANGED)
            .set_expression_attribute_values(Some(values))
            .build()
            .map_err(|error| unwritten(error.into()))?;
        writes.push(TransactWriteItem::builder().update(update).build());
        let transaction = self
            .client
            .transact_write_items()
            .set_transact_items(Some(writes));
        let error = match transaction.send().await {
            Ok(_) => return Ok(LookWrite::Written(leases)),
            Err(error) if is_invalid(&error) => return Ok(LookWrite::Unwritable),
            Err(error) => aws_sdk_dynamodb::Error::from(error),
        };
        let write = match &error {
            aws_sdk_dynamodb::Error::TransactionCanceledException(canceled) => {
                cancellation(canceled.cancellation_reasons(), look)
            }
            _ => None,
        };
        write.ok_or_else(|| unwritten(error.into()))
    }
}

/// The change of a session's item. `updated_at` stays: it tells when a callback was written.
fn look_update(found: &FoundSession, look: &Look) -> (String, HashMap<String, AttributeValue>) {
    let mut values = HashMap::from([
        (":version".to_owned(), number(found.version)),
        (":next_version".to_owned(), number(found.version + 1)),
    ]);
    let mut set = "SET version = :next_version".to_owned();
    let mut remove = Vec::new();
    let Standing {
        silent_since,
        unconfirmed_since,
        killed_since,
        taken_back,
        missing_counted,
    } = look.standing;
    for (name, value) in [
        ("silent_since", silent_since),
        ("unconfirmed_since", unconfirmed_since),
        ("killed_since", killed_since),
        ("taken_back", taken_back),
        ("missing_counted", missing_counted),
        (WATCH_AT, look.next),
    ] {
        match value {
            Some(value) => {
                set.push_str(&format!(", {name} = :{name}"));
                values.insert(format!(":{name}"), number(value));
            }
            None => remove.push(name),
        }
    }
    if look.next.is_none() {
        remove.push(WATCH_SHARD);
    }
    if !remove.is_empty() {
        set.push_str(&format!(" REMOVE {}", remove.join(", ")));
    }
    (set, values)
}

/// Why the transaction of a look's alerts and its session was cancelled; `None` if the reason is no
/// condition of ours.
fn cancellation(reasons: &[CancellationReason], look: &Look) -> Option<LookWrite> {
    const CONDITION: &str = "ConditionalCheckFailed";
    const CONFLICT: &str = "TransactionConflict";
    const INVALID: &str = "ValidationError";
    let is = |reason: &CancellationReason, code| reason.code() == Some(code);
    let overtaken = reasons
        .get(look.alerts.len())
        .is_some_and(|session| is(session, CONDITION));
    if overtaken || reasons.iter().any(|reason| is(reason, CONFLICT)) {
        return Some(LookWrite::Overtaken);
    }
    if reasons.iter().any(|reason| is(reason, INVALID)) {
        return Some(LookWrite::Unwritable);
    }
    let claimed: Vec<_> = reasons
        .iter()
        .zip(&look.alerts)
        .filter(|(reason, _)| is(reason, CONDITION))
        .map(|(_, alert)| alert.key.clone())
        .collect();
    (!claimed.is_empty()).then_some(LookWrite::AlreadyClaimed(claimed))
}

/// The error of a transaction that couldn't be made or written.
fn unwritten(source: Box<dyn std::error::Error + Send + Sync>) -> StoreError {
    StoreError::Call {
        call: "TransactWriteItems look",
        source,
    }
}

/// Reads what the watchdog needs of a session's item.
pub(super) fn read_watched(item: &Item) -> Watched {
    let string = |name| read_text(item, name).unwrap_or_default().to_owned();
    Watched {
        sid: string(SID),
        cname: string(CNAME),
        session: read_session(item),
        updated_at: read_number(item, "updated_at").unwrap_or(u64::MAX),
        standing: Standing {
            silent_since: read_number(item, "silent_since"),
            unconfirmed_since: read_number(item, "unconfirmed_since"),
            killed_since: read_number(item, "killed_since"),
            taken_back: read_number(item, "taken_back"),
            missing_counted: read_number(item, "missing_counted"),
        },
    }
}
