//! Quarantine: authentic bodies that aren't stored as callbacks, kept whole, eight partitions a
//! day.

use crate::hash::short_hash;
use crate::notification::QuarantineReason;
use crate::signature::Verified;
use crate::store::Store;
use crate::store::attribute::body::{keep_beginning, keep_body, read_body};
use crate::store::attribute::key::{DAY, EXPIRES_AT, ITEM, SID, utc_name};
use crate::store::attribute::{Item, number, read_number, read_text, text};
use crate::store::error::{StoreError, failed};
use crate::store::index::{HASHES, spread};

/// Whether quarantine holds all of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuarantineWrite {
    /// All of it.
    Whole,
    /// Its beginning, its length and its hash.
    Cut,
}

/// A body in quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// Its partition key: `quarantine#<yyyy-mm-dd>#<0 to 7>`.
    pub sid: String,
    /// Its sort key: `<received_at>#<hash>`.
    pub item: String,
    /// Why it isn't stored as a callback.
    pub reason: String,
    /// When it came, ms since the epoch.
    pub received_at: u64,
    /// The length of the whole body, in bytes.
    pub length: usize,
    body: Vec<u8>,
    is_cut: bool,
}

impl Quarantined {
    /// The raw body, or the beginning of one that was cut.
    #[must_use]
    pub fn beginning(&self) -> &[u8] {
        &self.body
    }

    /// The raw body, which was verified before it got here; `None` if it was cut.
    #[must_use]
    pub fn body(&self) -> Option<Verified<'_>> {
        (!self.is_cut).then(|| Verified::out_of_quarantine(&self.body))
    }

    /// True if it is here because it was too old.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.reason == QuarantineReason::TooOld.to_string()
    }
}

impl Store {
    /// Keeps an authentic body, whole if it fits.
    pub async fn quarantine(
        &self,
        body: &Verified<'_>,
        reason: QuarantineReason,
        notice_id: Option<&str>,
        now_ms: u64,
    ) -> Result<QuarantineWrite, StoreError> {
        let body = body.body();
        let hash = short_hash(body, 8);
        let whole = keep_body(body);
        let write = match whole {
            Some(_) => QuarantineWrite::Whole,
            None => QuarantineWrite::Cut,
        };
        let (name, attribute) = whole.unwrap_or_else(|| keep_beginning(body));
        let mut put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item(SID, text(partition(now_ms, spread(&hash))))
            .item(ITEM, text(format!("{now_ms}#{hash}")))
            .item(name, attribute)
            .item("reason", text(reason.to_string()))
            .item("received_at", number(now_ms))
            .item(EXPIRES_AT, number(self.expires_at(now_ms)));
        if let Some(notice_id) = notice_id {
            put = put.item("notice_id", text(notice_id));
        }
        if write == QuarantineWrite::Cut {
            put = put
                .item("body_length", number(body.len()))
                .item("body_sha256", text(short_hash(body, 32)));
        }
        put.send()
            .await
            .map(|_| write)
            .map_err(|error| failed("PutItem quarantine", error))
    }

    /// The bodies that were put into quarantine on the UTC day of `day_ms`, oldest first.
    pub async fn quarantined(&self, day_ms: u64) -> Result<Vec<Quarantined>, StoreError> {
        let mut bodies = Vec::new();
        for part in 0..HASHES {
            let mut items = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("sid = :sid")
                .expression_attribute_values(":sid", text(partition(day_ms, part)))
                .consistent_read(true)
                .into_paginator()
                .items()
                .send();
            while let Some(item) = items.next().await {
                let item = item.map_err(|error| failed("Query quarantine", error))?;
                bodies.extend(read_quarantined(&item));
            }
        }
        bodies.sort_by_key(|body: &Quarantined| body.received_at);
        Ok(bodies)
    }

    /// Takes a body out of quarantine.
    pub async fn release(&self, quarantined: &Quarantined) -> Result<(), StoreError> {
        self.client
            .delete_item()
            .table_name(&self.table)
            .key(SID, text(quarantined.sid.as_str()))
            .key(ITEM, text(quarantined.item.as_str()))
            .send()
            .await
            .map(|_| ())
            .map_err(|error| failed("DeleteItem quarantine", error))
    }
}

fn read_quarantined(item: &Item) -> Option<Quarantined> {
    let body = read_body(item)?;
    let cut_from = read_number(item, "body_length").and_then(|length| length.try_into().ok());
    Some(Quarantined {
        sid: read_text(item, SID)?.to_owned(),
        item: read_text(item, ITEM)?.to_owned(),
        reason: read_text(item, "reason").unwrap_or_default().to_owned(),
        received_at: read_number(item, "received_at")?,
        length: cut_from.unwrap_or(body.len()),
        is_cut: cut_from.is_some(),
        body,
    })
}

/// A partition of a time's UTC day.
fn partition(ms: u64, part: u8) -> String {
    format!("quarantine#{}#{part}", utc_name(ms, DAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_the_partitions_that_it_always_had() {
        for (ms, key) in [
            (1_772_460_333_480, "quarantine#2026-03-02#7"),
            (1_772_409_599_999, "quarantine#2026-03-01#7"),
            (1_772_409_600_000, "quarantine#2026-03-02#7"),
            (0, "quarantine#1970-01-01#7"),
        ] {
            assert_eq!(partition(ms, 7), key);
        }
    }
}
