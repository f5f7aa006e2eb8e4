//! What the table holds about a recording, and which recordings it holds. Writes nothing.

use crate::notification::{Envelope, Sid};
use crate::record::{Record, StoredEvent, StoredSession};
use crate::store::Store;
use crate::store::attribute::body::read_body;
use crate::store::attribute::key::{FIRST_SENDTS, ITEM, ItemKey, SID};
use crate::store::attribute::{Item, number, read_number, read_text, text};
use crate::store::batch::BATCH;
use crate::store::error::{StoreError, failed};
use crate::store::index::{Due, Shard};
use crate::store::outbox::alert::read_alert;
use crate::store::outbox::notice::was_told;
use crate::store::session::look::read_watched;
use crate::store::session::page::{missing, owned_keys};
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;
use serde_json::{Map, Number, Value};

/// The key of a session in the index of channels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionKey {
    /// `sendts` of the callback that opened it, ms since the epoch.
    pub first_sendts: u64,
    /// The recording.
    pub sid: Sid,
}

impl Store {
    /// Everything about a session, read consistently in one query; `None` if there is no such
    /// session.
    pub async fn record(&self, sid: &Sid) -> Result<Option<Record>, StoreError> {
        let mut items = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("sid = :sid")
            .expression_attribute_values(":sid", text(sid.as_str()))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let mut record = Record::new(sid.clone());
        let (mut pages, mut found) = (Vec::new(), false);
        while let Some(item) = items.next().await {
            let item = item.map_err(|error| failed("Query session", error))?;
            found = true;
            let key = read_text(&item, ITEM).unwrap_or_default();
            match ItemKey::parse(key) {
                ItemKey::Session => record.watched = read_watched(sid.clone(), &item),
                ItemKey::Event(fact) => match read_event(fact, &item) {
                    Some(event) => record.events.push(event),
                    None => record.unreadable += 1,
                },
                ItemKey::Alert(_) => match read_alert(&item) {
                    Some(alert) => record.alerts.push(alert),
                    None => record.unreadable += 1,
                },
                ItemKey::Notice(key) => {
                    record.files_told |= key.is_about_files() && was_told(&item)
                }
                ItemKey::Missing(_) => pages.push((key.to_owned(), item)),
                ItemKey::Other(_) => {}
            }
        }
        let recorders = record.watched.session.recorders.iter();
        record.missing = recorders
            .map(|recorder| {
                let owned = owned_keys(recorder);
                let pages = pages.iter();
                let owned = pages
                    .filter(|(key, _)| recorder.ledger.truncated && owned.contains(key))
                    .map(|(_, page)| page);
                missing(recorder, owned)
            })
            .collect();
        Ok(found.then_some(record))
    }

    /// The keys of the sessions of a channel, or of all, newest first, that were opened at or after
    /// `since` (ms since the epoch).
    ///
    /// Costs a query of the channel's part of the index `channel`; without a channel a scan of that
    /// whole index, however old.
    pub async fn session_keys(
        &self,
        cname: Option<&str>,
        since: u64,
    ) -> Result<Vec<SessionKey>, StoreError> {
        let mut opened = Vec::new();
        let mut read = |item: &Item| opened.extend(read_session_key(item));
        if let Some(cname) = cname {
            let mut items = self
                .client
                .query()
                .table_name(&self.table)
                .index_name("channel")
                .key_condition_expression("cname = :cname AND first_sendts >= :since")
                .expression_attribute_values(":cname", text(cname))
                .expression_attribute_values(":since", number(since))
                .into_paginator()
                .items()
                .send();
            while let Some(item) = items.next().await {
                read(&item.map_err(|error| failed("Query channel", error))?);
            }
        } else {
            let mut items = self
                .client
                .scan()
                .table_name(&self.table)
                .index_name("channel")
                .filter_expression("first_sendts >= :since")
                .expression_attribute_values(":since", number(since))
                .into_paginator()
                .items()
                .send();
            while let Some(item) = items.next().await {
                read(&item.map_err(|error| failed("Scan channel", error))?);
            }
        }
        opened.sort_unstable_by(|a, b| b.cmp(a));
        Ok(opened)
    }

    /// The newest `limit` sessions of a channel, newest first. Costs one query of the channel's
    /// part of the index `channel`.
    pub async fn newest_of(&self, cname: &str, limit: u16) -> Result<Vec<SessionKey>, StoreError> {
        let newest = self
            .client
            .query()
            .table_name(&self.table)
            .index_name("channel")
            .key_condition_expression("cname = :cname")
            .expression_attribute_values(":cname", text(cname))
            .scan_index_forward(false)
            .limit(i32::from(limit))
            .send()
            .await
            .map_err(|error| failed("Query channel", error))?;
        Ok(newest.items().iter().filter_map(read_session_key).collect())
    }

    /// As many watched sessions as one request a partition reads, which is thousands; and whether
    /// there are more. Costs eight queries of the index `watch`.
    pub async fn some_watched(&self) -> Result<(Vec<Sid>, bool), StoreError> {
        let pages = Shard::sessions().map(|shard| self.watched(shard, 0, None));
        let pages = try_join_all(pages).await?;
        let has_more = pages.iter().any(|page| page.next.is_some());
        let all = pages.into_iter().flat_map(|page| page.due);
        Ok((all.filter_map(|due| due.session()).collect(), has_more))
    }

    /// The sessions that the watchdog looks after: those that aren't over and have spoken within a
    /// day, and some that are waited for otherwise. Costs eight queries of the index `watch`, which
    /// holds no others.
    pub async fn watched_sids(&self) -> Result<Vec<Sid>, StoreError> {
        let mut sids = Vec::new();
        for shard in Shard::sessions() {
            let watched = self.all_in(shard, 0).await?;
            sids.extend(watched.iter().filter_map(Due::session));
        }
        // One whose mark is moved meanwhile comes twice.
        sids.sort_unstable();
        sids.dedup();
        Ok(sids)
    }

    /// The sessions under these `sid`s, in the same order; those that are gone aren't among them.
    pub async fn sessions(&self, sids: &[Sid]) -> Result<Vec<StoredSession>, StoreError> {
        let mut sessions = Vec::with_capacity(sids.len());
        for batch in sids.chunks(BATCH) {
            let mut items = self.session_items(batch, None).await?;
            for sid in batch {
                if let Some(item) = items.remove(sid) {
                    sessions.push(StoredSession {
                        watched: read_watched(sid.clone(), &item),
                        first_sendts: read_number(&item, FIRST_SENDTS).unwrap_or(0),
                    });
                }
            }
        }
        Ok(sessions)
    }
}

fn read_session_key(item: &Item) -> Option<SessionKey> {
    Some(SessionKey {
        first_sendts: read_number(item, FIRST_SENDTS)?,
        sid: Sid::new(read_text(item, SID)?)?,
    })
}

fn read_event(fact: String, item: &Item) -> Option<StoredEvent> {
    Some(StoredEvent {
        fact,
        sequence: read_number(item, "sequence")?,
        event_type: u32::try_from(read_number(item, "event_type")?).ok()?,
        uid: read_text(item, "uid").unwrap_or_default().to_owned(),
        sendts: read_number(item, "sendts").unwrap_or(0),
        service_scene: read_text(item, "service_scene").map(str::to_owned),
        details: read_details(item),
    })
}

/// The details as they came: from the attribute, or, where it couldn't hold them, from the body
/// beside it.
fn read_details(item: &Item) -> Value {
    match (read_body(item), item.get("details")) {
        (Some(body), _) => Envelope::details_of(&body),
        (None, Some(details)) => json(details),
        (None, None) => Value::Null,
    }
}

/// An attribute as JSON.
fn json(attribute: &AttributeValue) -> Value {
    match attribute {
        AttributeValue::S(text) => Value::String(text.clone()),
        AttributeValue::N(number) => serde_json::from_str::<Number>(number)
            .map_or_else(|_| Value::String(number.clone()), Value::Number),
        AttributeValue::Bool(flag) => Value::Bool(*flag),
        AttributeValue::L(values) => values.iter().map(json).collect(),
        AttributeValue::M(map) => {
            let mut sorted: Vec<_> = map.iter().collect();
            sorted.sort_by_key(|(name, _)| *name);
            let members = sorted
                .into_iter()
                .map(|(name, value)| (name.clone(), json(value)));
            Value::Object(members.collect::<Map<_, _>>())
        }
        _ => Value::Null,
    }
}
