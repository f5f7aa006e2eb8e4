//! Quarantine: authentic bodies that can't be read, kept whole, a partition a day.

use super::item::{Item, number, read_number, read_text, text};
use super::{Store, StoreError, failed};
use crate::notification::Unreadable;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use sha2::{Digest, Sha256};

/// A body in quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// Its partition key: `quarantine#<yyyy-mm-dd>`.
    pub sid: String,
    /// Its sort key: `<received_at>#<hash>`.
    pub item: String,
    /// The raw body.
    pub body: Vec<u8>,
    /// Why it couldn't be read.
    pub reason: String,
    /// When it came, ms since the epoch.
    pub received_at: u64,
}

impl Store {
    /// Keeps an authentic body that can't be read, whole.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn quarantine(
        &self,
        body: &[u8],
        reason: Unreadable,
        notice_id: Option<String>,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let hash = Sha256::digest(body)
            .iter()
            .take(8)
            .fold(String::new(), |hash, byte| format!("{hash}{byte:02x}"));
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("sid", text(partition(now_ms)))
            .item("item", text(format!("{now_ms}#{hash}")))
            .item("body", body_attribute(body))
            .item("reason", text(reason.to_string()))
            .item("received_at", number(now_ms))
            .item("expires_at", number(self.expires_at(now_ms)));
        let put = match notice_id {
            Some(notice_id) => put.item("notice_id", text(notice_id)),
            None => put,
        };
        put.send()
            .await
            .map(|_| ())
            .map_err(|error| failed("PutItem quarantine", error))
    }

    /// The bodies that were put into quarantine on the UTC day of `day_ms`, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn quarantined(&self, day_ms: u64) -> Result<Vec<Quarantined>, StoreError> {
        let mut items = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("sid = :sid")
            .expression_attribute_values(":sid", text(partition(day_ms)))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let mut bodies = Vec::new();
        while let Some(item) = items.next().await {
            let item = item.map_err(|error| failed("Query quarantine", error))?;
            bodies.extend(read_quarantined(&item));
        }
        Ok(bodies)
    }

    /// Takes a body out of quarantine.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn release(&self, quarantined: &Quarantined) -> Result<(), StoreError> {
        self.client
            .delete_item()
            .table_name(&self.table)
            .key("sid", text(quarantined.sid.as_str()))
            .key("item", text(quarantined.item.as_str()))
            .send()
            .await
            .map(|_| ())
            .map_err(|error| failed("DeleteItem quarantine", error))
    }
}

fn read_quarantined(item: &Item) -> Option<Quarantined> {
    let body = match item.get("body")? {
        AttributeValue::S(body) => body.clone().into_bytes(),
        AttributeValue::B(body) => body.as_ref().to_vec(),
        _ => return None,
    };
    Some(Quarantined {
        sid: read_text(item, "sid")?.to_owned(),
        item: read_text(item, "item")?.to_owned(),
        body,
        reason: read_text(item, "reason").unwrap_or_default().to_owned(),
        received_at: read_number(item, "received_at")?,
    })
}

/// A body as text, or as bytes where it is none.
pub(super) fn body_attribute(body: &[u8]) -> AttributeValue {
    match std::str::from_utf8(body) {
        Ok(body) => text(body),
        Err(_) => AttributeValue::B(Blob::new(body)),
    }
}

/// The partition of a time's UTC day.
fn partition(ms: u64) -> String {
    let day = crate::text::date(ms);
    format!("quarantine#{day}")
}
