//! The index `watch`: due items, oldest first, in partitions that are read at the same time.

use crate::notification::Sid;
use crate::store::Store;
use crate::store::attribute::key::{ITEM, ItemKey, SID, WATCH_AT, WATCH_SHARD};
use crate::store::attribute::{Item, number, read_number, read_text, text};
use crate::store::error::{StoreError, failed, refused};
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use sha2::{Digest, Sha256};
use std::fmt;

/// Partitions among which sessions, what they have to tell, and quarantine are spread by hash.
pub(in crate::store) const HASHES: u8 = 8;
/// How many keys one request reads: some 30 KB of them.
const PAGE: i32 = 200;

/// A partition of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shard {
    /// Watched sessions whose `sid` has this hash.
    Hash(u8),
    /// What has to be sent, of sessions with this hash.
    Due(u8),
    /// Alerts that were told, of sessions with this hash: for people to find.
    Sent(u8),
    /// What was given up: for people to find.
    Failed,
}

impl Shard {
    /// The partitions that sessions are in.
    pub fn sessions() -> impl Iterator<Item = Self> {
        (0..HASHES).map(Self::Hash)
    }

    /// The partitions of what has to be sent.
    pub fn dues() -> impl Iterator<Item = Self> {
        (0..HASHES).map(Self::Due)
    }

    /// The partitions of alerts that were told.
    pub fn sents() -> impl Iterator<Item = Self> {
        (0..HASHES).map(Self::Sent)
    }

    /// The partition of a session.
    #[must_use]
    pub fn of(sid: &str) -> Self {
        Self::Hash(spread(sid))
    }

    /// The partition of what has to be sent of a session.
    #[must_use]
    pub fn due(sid: &str) -> Self {
        Self::Due(spread(sid))
    }

    /// The partition of what was told of a session.
    #[must_use]
    pub fn sent(sid: &str) -> Self {
        Self::Sent(spread(sid))
    }

    pub(in crate::store) fn attribute(self) -> AttributeValue {
        text(self.to_string())
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hash(hash) => write!(f, "{hash}"),
            Self::Due(hash) => write!(f, "due{hash}"),
            Self::Sent(hash) => write!(f, "sent{hash}"),
            Self::Failed => f.write_str("failed"),
        }
    }
}

/// Spreads what would else be written under one key.
pub(in crate::store) fn spread(of: &str) -> u8 {
    let hash = Sha256::digest(of.as_bytes());
    hash.first().copied().unwrap_or(0) % HASHES
}

/// An item that is due, by its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Its partition key: the recording, or whatever else it belongs to.
    pub sid: String,
    /// What the item is.
    pub key: ItemKey,
    /// Since when it is due, ms since the epoch.
    pub watch_at: u64,
}

impl Due {
    /// The recording, if the item is a session.
    #[must_use]
    pub fn session(&self) -> Option<Sid> {
        (self.key == ItemKey::Session).then(|| Sid::new(&self.sid))?
    }
}

/// One page of due items.
#[derive(Clone, Debug)]
pub struct DuePage {
    /// Oldest first.
    pub due: Vec<Due>,
    /// Where the next page begins, if there is one.
    pub next: Option<Item>,
}

impl Store {
    /// One page of the items of a partition that are due at `until_ms`.
    pub async fn due(
        &self,
        shard: Shard,
        until_ms: u64,
        from: Option<Item>,
    ) -> Result<DuePage, StoreError> {
        let query = self
            .query_watch(shard, from)
            .key_condition_expression("watch_shard = :shard AND watch_at <= :until")
            .expression_attribute_values(":until", number(until_ms))
            .limit(PAGE);
        read_page(query).await
    }

    /// One page of a partition, due or not, from `since_ms` on: as much as one request reads.
    pub async fn watched(
        &self,
        shard: Shard,
        since_ms: u64,
        from: Option<Item>,
    ) -> Result<DuePage, StoreError> {
        let query = self
            .query_watch(shard, from)
            .key_condition_expression("watch_shard = :shard AND watch_at >= :since")
            .expression_attribute_values(":since", number(since_ms));
        read_page(query).await
    }

    fn query_watch(&self, shard: Shard, from: Option<Item>) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.table)
            .index_name("watch")
            .expression_attribute_values(":shard", shard.attribute())
            .set_exclusive_start_key(from)
    }

    /// Everything in a partition, due or not, from `since_ms` on.
    pub(in crate::store) async fn all_in(
        &self,
        shard: Shard,
        since_ms: u64,
    ) -> Result<Vec<Due>, StoreError> {
        let (mut all, mut from) = (Vec::new(), None);
        loop {
            let page = self.watched(shard, since_ms, from).await?;
            all.extend(page.due);
            from = page.next;
            if from.is_none() {
                return Ok(all);
            }
        }
    }

    /// Puts off an item that can't be handled until `later_ms`, so that it blocks no other.
    pub async fn put_off(&self, due: &Due, later_ms: u64) -> Result<(), StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(due.key.of(&due.sid)))
            .update_expression("SET watch_at = :later")
            .condition_expression("attribute_exists(watch_at)")
            .expression_attribute_values(":later", number(later_ms));
        match update.send().await {
            Ok(_) => Ok(()),
            Err(error) => refused("UpdateItem put off", error).map(|_| ()),
        }
    }
}

async fn read_page(query: QueryFluentBuilder) -> Result<DuePage, StoreError> {
    let page = query.send().await;
    let page = page.map_err(|error| failed("Query watch", error))?;
    Ok(DuePage {
        due: page.items().iter().filter_map(read_due).collect(),
        next: page.last_evaluated_key,
    })
}

pub(in crate::store) fn read_due(item: &Item) -> Option<Due> {
    Some(Due {
        sid: read_text(item, SID)?.to_owned(),
        key: ItemKey::parse(read_text(item, ITEM)?),
        watch_at: read_number(item, WATCH_AT)?,
    })
}

/// The attributes that put an item into the index.
pub(in crate::store) fn watch_entry(shard: Shard, watch_at: u64) -> [(String, AttributeValue); 2] {
    [
        (WATCH_SHARD.to_owned(), shard.attribute()),
        (WATCH_AT.to_owned(), number(watch_at)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_the_same_in_every_version() {
        for (sid, shard) in [
            ("a", "2"),
            ("b", "6"),
            ("38f8e3cfdc474cd56fc1ceba380d7e1a", "3"),
        ] {
            assert_eq!(Shard::of(sid).to_string(), shard, "{sid}");
        }
    }
}
