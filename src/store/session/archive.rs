//! The archive: ranges of missing callbacks that have no room in their session's item.

use crate::notification::Sid;
use crate::session::{Ledger, Noted, Range, Recorder};
use crate::store::attribute::key::{EXPIRES_AT, ITEM, SID, VERSION};
use crate::store::attribute::{Item, number, text};
use crate::store::error::{StoreError, failed, refused};
use crate::store::session::page::{Page, flat_ranges, missing, owned_keys, read_page};
use crate::store::{MAX_ATTEMPTS, Store};
use aws_sdk_dynamodb::types::AttributeValue;

/// No page yet, or one of this version of the session or of an earlier one.
const PAGE_IS_NOT_NEWER: &str = "attribute_not_exists(sid) OR version <= :version";
/// No number was taken out of the page since it was read.
const IS_SAME_PAGE: &str = "ranges = :stored";

impl Store {
    /// Puts pages of the archive, unless a later version of the session did. The session's item
    /// owns them only once it is written, too.
    pub(in crate::store) async fn put_pages(
        &self,
        sid: &Sid,
        pages: &[Page],
        version: u64,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        for page in pages {
            let put = self
                .client
                .put_item()
                .table_name(&self.table)
                .item(SID, text(sid.as_str()))
                .item(ITEM, text(page.key()))
                .item("ranges", flat_ranges(&page.ranges))
                .item(VERSION, number(version))
                .item(EXPIRES_AT, number(self.fact_expires_at(now_ms)))
                .condition_expression(PAGE_IS_NOT_NEWER)
                .expression_attribute_values(":version", number(version));
            match put.send().await {
                Ok(_) => {}
                Err(error) => {
                    refused("PutItem missing", error)?;
                }
            }
        }
        Ok(())
    }

    /// Takes the number of a late callback out of the archive; false if it isn't missing there.
    /// `version` is the session's: later than that of any page it owns, so that no latecomer puts
    /// the page again as it was.
    pub(in crate::store) async fn fill_page(
        &self,
        sid: &Sid,
        recorder: &Recorder,
        sequence: u64,
        version: u64,
    ) -> Result<bool, StoreError> {
        for _ in 0..MAX_ATTEMPTS {
            let mut holed = None;
            for page in self.pages(sid, recorder).await? {
                let mut ledger = Ledger::of_archive(read_page(&page));
                if ledger.insert(sequence, false) == Noted::New {
                    holed = Some((page, ledger.missing));
                }
            }
            let Some((mut page, ranges)) = holed else {
                return Ok(false);
            };
            let stored = page.remove("ranges").unwrap_or(AttributeValue::Null(true));
            page.retain(|name, _| name == SID || name == ITEM);
            let update = self
                .client
                .update_item()
                .table_name(&self.table)
                .set_key(Some(page))
                .update_expression("SET ranges = :ranges, version = :version")
                .condition_expression(IS_SAME_PAGE)
                .expression_attribute_values(":ranges", flat_ranges(&ranges))
                .expression_attribute_values(":stored", stored)
                .expression_attribute_values(":version", number(version));
            match update.send().await {
                Ok(_) => return Ok(true),
                Err(error) => refused("UpdateItem missing", error)?,
            };
        }
        Err(StoreError::Conflict {
            what: "a page of missing callbacks",
            tries: MAX_ATTEMPTS,
        })
    }

    /// The missing callbacks of one recorder of a session, archive included, as sorted
    /// ranges.
    pub async fn missing(&self, sid: &Sid, recorder: &Recorder) -> Result<Vec<Range>, StoreError> {
        let mut pages = Vec::new();
        if recorder.ledger.truncated {
            pages = self.pages(sid, recorder).await?;
        }
        Ok(missing(recorder, pages.iter()))
    }

    /// The pages of the archive that a recorder's ledger owns.
    async fn pages(&self, sid: &Sid, recorder: &Recorder) -> Result<Vec<Item>, StoreError> {
        let (first, last) = owned_keys(recorder).into_inner();
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("sid = :sid AND #item BETWEEN :first AND :last")
            .expression_attribute_names("#item", "item")
            .expression_attribute_values(":sid", text(sid.as_str()))
            .expression_attribute_values(":first", text(first))
            .expression_attribute_values(":last", text(last))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let mut owned = Vec::new();
        while let Some(page) = pages.next().await {
            owned.push(page.map_err(|error| failed("Query missing", error))?);
        }
        Ok(owned)
    }
}
