//! What is due: the `watch` index, read oldest first, and the one write that a look at a session
//! ends in.
//!
//! A look changes the session's item only on condition that no callback has come since it was read,
//! and writes the alerts it found down in the same transaction: either it is all noted, or nothing
//! is.

use super::alert::alert_item;
use super::item::{Item, number, read_number, read_session, read_text, text};
use super::session::IS_UNCHANGED;
use super::{IS_NEW, Store, StoreError, failed, refused};
use crate::watchdog::{Look, Standing, Watched};
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, Put, ReturnValuesOnConditionCheckFailure::AllOld,
    TransactWriteItem, Update,
};
use std::collections::HashMap;

/// The partitions of the `watch` index that are worked off.
pub const WATCH_SHARDS: u8 = 8;
/// Keys read in one request: about what fits into the smallest unit of reading, many times over.
const PAGE: i32 = 200;
/// What can't be read is looked at again after this long, in ms.
pub const PUSH_BACK_MS: u64 = 60 * 60 * 1000;

/// The key of an item that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Its partition key.
    pub sid: String,
    /// Its sort key.
    pub item: String,
    /// Since when it is due, ms since the epoch.
    pub watch_at: u64,
}

/// Some of what is due.
#[derive(Clone, Debug)]
pub struct DuePage {
    /// Oldest first.
    pub due: Vec<Due>,
    /// Where the next page begins, if there is one.
    pub next: Option<Item>,
}

/// What is in the place of a session that is due.
#[derive(Debug)]
pub enum Found {
    /// A session that is due.
    Session(Box<FoundSession>),
    /// Nothing that is due: the index was behind.
    NotDue,
    /// An item that isn't a session that can be read.
    Unreadable,
}

/// A session as it was read, and what its change is conditioned on.
#[derive(Debug)]
pub struct FoundSession {
    /// The session.
    pub watched: Watched,
    version: u64,
}

/// What came of noting a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookWrite {
    /// It is noted, and the alerts are ours to send.
    Written,
    /// A callback came meanwhile: look again.
    Overtaken,
    /// These alerts, by index, were written down before: they aren't ours to send.
    Said(Vec<usize>),
}

impl Store {
    /// Reads which items of a shard are due at `now_ms`.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn due(
        &self,
        shard: u8,
        now_ms: u64,
        from: Option<Item>,
    ) -> Result<DuePage, StoreError> {
        self.watch_page(&shard.to_string(), now_ms, from).await
    }

    /// One page of a partition of the index.
    pub(super) async fn watch_page(
        &self,
        shard: &str,
        now_ms: u64,
        from: Option<Item>,
    ) -> Result<DuePage, StoreError> {
        let page = self
            .client
            .query()
            .table_name(&self.table)
            .index_name("watch")
            .key_condition_expression("watch_shard = :shard AND watch_at <= :now")
            .expression_attribute_values(":shard", text(shard))
            .expression_attribute_values(":now", number(now_ms))
            .set_exclusive_start_key(from)
            .limit(PAGE)
            .send()
            .await
            .map_err(|error| failed("Query watch", error))?;
        Ok(DuePage {
            due: page.items().iter().filter_map(read_due).collect(),
            next: page.last_evaluated_key,
        })
    }

    /// Reads a session that is due, consistently.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn due_session(&self, due: &Due, now_ms: u64) -> Result<Found, StoreError> {
        let Some(item) = self.item(&due.sid, &due.item).await? else {
            return Ok(Found::NotDue);
        };
        if read_number(&item, "watch_at").is_none_or(|watch_at| watch_at > now_ms) {
            return Ok(Found::NotDue);
        }
        let watched = read_watched(&item);
        Ok(match read_number(&item, "version") {
            Some(version) if !watched.session.recorders.is_empty() => {
                Found::Session(Box::new(FoundSession { watched, version }))
            }
            Some(_) | None => Found::Unreadable,
        })
    }

    /// Notes what a look came to: its alerts, whose sending is `owner`'s job, what stands, and when
    /// to look again.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn note_look(
        &self,
        found: &FoundSession,
        look: &Look,
        owner: &str,
        now_ms: u64,
    ) -> Result<LookWrite, StoreError> {
        let (expression, values) = look_update(found, look);
        if look.alerts.is_empty() {
            let update = self
                .client
                .update_item()
                .table_name(&self.table)
                .key("sid", text(found.watched.sid.as_str()))
                .key("item", text("session"))
                .update_expression(expression)
                .condition_expression(IS_UNCHANGED)
                .set_expression_attribute_values(Some(values));
            return match update.send().await {
                Ok(_) => Ok(LookWrite::Written),
                Err(error) => refused(error, "UpdateItem look").map(|_| LookWrite::Overtaken),
            };
        }
        let mut writes = Vec::new();
        for alert in &look.alerts {
            let item = alert_item(alert, owner, now_ms, self.expires_at(now_ms));
            let put = Put::builder()
                .table_name(&self.table)
                .set_item(Some(item))
                .condition_expression(IS_NEW)
                .return_values_on_condition_check_failure(AllOld)
                .build()
                .map_err(|error| unwritten(error.into()))?;
            writes.push(TransactWriteItem::builder().put(put).build());
        }
        let update = Update::builder()
            .table_name(&self.table)
            .key("sid", text(found.watched.sid.as_str()))
            .key("item", text("session"))
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
        match transaction.send().await {
            Ok(_) => Ok(LookWrite::Written),
            Err(error) => {
                let error = aws_sdk_dynamodb::Error::from(error);
                let write = match &error {
                    aws_sdk_dynamodb::Error::TransactionCanceledException(canceled) => {
                        cancellation(canceled.cancellation_reasons(), look.alerts.len())
                    }
                    _ => None,
                };
                write.ok_or_else(|| unwritten(error.into()))
            }
        }
    }

    /// Puts off an item that can't be read, so that it doesn't stand in the way of the others.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn push_back(&self, due: &Due, now_ms: u64) -> Result<(), StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("sid", text(due.sid.as_str()))
            .key("item", text(due.item.as_str()))
            .update_expression("SET watch_at = :later")
            .condition_expression("attribute_exists(watch_at)")
            .expression_attribute_values(":later", number(now_ms + PUSH_BACK_MS));
        match update.send().await {
            Ok(_) => Ok(()),
            Err(error) => refused(error, "UpdateItem push back").map(|_| ()),
        }
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
        ("watch_at", look.next),
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
        remove.push("watch_shard");
    }
    if !remove.is_empty() {
        set.push_str(&format!(" REMOVE {}", remove.join(", ")));
    }
    (set, values)
}

/// Why a transaction of some alerts and a session was cancelled; `None` if the reason is no
/// condition of ours.
fn cancellation(reasons: &[CancellationReason], alerts: usize) -> Option<LookWrite> {
    const NOT_OURS: &str = "ConditionalCheckFailed";
    const IN_THE_WAY: &str = "TransactionConflict";
    let is = |reason: &CancellationReason, code| reason.code() == Some(code);
    let overtaken = reasons
        .get(alerts)
        .is_some_and(|session| is(session, NOT_OURS));
    if overtaken || reasons.iter().any(|reason| is(reason, IN_THE_WAY)) {
        return Some(LookWrite::Overtaken);
    }
    let said: Vec<_> = reasons
        .iter()
        .take(alerts)
        .enumerate()
        .filter(|(_, reason)| is(reason, NOT_OURS))
        .map(|(index, _)| index)
        .collect();
    (!said.is_empty()).then_some(LookWrite::Said(said))
}

/// The error of a transaction that couldn't be made or written.
fn unwritten(source: Box<dyn std::error::Error + Send + Sync>) -> StoreError {
    StoreError::Call {
        call: "TransactWriteItems look",
        source,
    }
}

fn read_due(item: &Item) -> Option<Due> {
    Some(Due {
        sid: read_text(item, "sid")?.to_owned(),
        item: read_text(item, "item")?.to_owned(),
        watch_at: read_number(item, "watch_at")?,
    })
}

/// Reads what the watchdog needs of a session's item.
pub(super) fn read_watched(item: &Item) -> Watched {
    let string = |name| read_text(item, name).unwrap_or_default().to_owned();
    Watched {
        sid: string("sid"),
        cname: string("cname"),
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
