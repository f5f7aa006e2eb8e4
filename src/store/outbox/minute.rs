//! The counter of the minute: how many alerts have gone to each topic at once, whoever sent them.

use crate::alert::{Destination, Destinations};
use crate::store::Store;
use crate::store::attribute::key::{EXPIRES_AT, ItemKey, MINUTE, utc_name};
use crate::store::attribute::{number, read_number};
use crate::store::error::{StoreError, failed};
use aws_sdk_dynamodb::types::ReturnValue;
use std::collections::BTreeMap;

/// Nobody asks for a minute that has passed; this is long enough to look at a storm afterwards.
const KEPT_SECS: u64 = 24 * 60 * 60;
/// What the counter of a minute is called.
const ALERTS: &str = "alerts";

impl Store {
    /// Counts an alert to each of these topics, and tells the how manieth it is there in this
    /// minute. One write, whose answer may be lost: then it counts twice.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn count_alert(
        &self,
        to: &Destinations,
        now_ms: u64,
    ) -> Result<BTreeMap<Destination, u64>, StoreError> {
        let minute = format!("minute#{}", utc_name(now_ms, MINUTE));
        let words: Vec<_> = to
            .iter()
            .map(|to| format!("{} :one", to.as_str()))
            .collect();
        let counted = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(ItemKey::Other(ALERTS.to_owned()).of(&minute)))
            .update_expression(format!(
                "ADD {} SET {EXPIRES_AT} = :expires_at",
                words.join(", ")
            ))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":expires_at", number(now_ms / 1000 + KEPT_SECS))
            .return_values(ReturnValue::UpdatedNew)
            .send()
            .await
            .map_err(|error| failed("UpdateItem minute", error))?;
        let counts = counted.attributes.unwrap_or_default();
        let counts = to
            .iter()
            .filter_map(|to| Some((*to, read_number(&counts, to.as_str())?)));
        Ok(counts.collect())
    }
}
