//! An alert's item: written down before anything is sent, claimed by lease, marked when it is sent.

use super::item::{Item, number, read_text, text};
use super::{IS_NEW, Store, StoreError, refused, watch_shard};
use crate::alert::Alert;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure::AllOld;

/// How long whoever wrote or claimed an alert has to send it before somebody else may, in ms.
pub const LEASE_MS: u64 = 15_000;
/// The alert still has to be sent, and whoever had the job is late.
const IS_DUE: &str = "#state = :pending AND due_at <= :now";
/// The alert still has to be sent, and the job is ours.
const IS_OURS: &str = "#state = :pending AND #owner = :owner";

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
        if read_text(&stored, "state") != Some("pending") {
            return Ok(Claim::Others);
        }
        // The SDK tries again when an answer is lost, and finds its own write.
        if read_text(&stored, "owner") == Some(owner) {
            return Ok(Claim::Ours);
        }
        self.take_over_alert(alert, owner, now_ms).await
    }

    async fn take_over_alert(
        &self,
        alert: &Alert,
        owner: &str,
        now_ms: u64,
    ) -> Result<Claim, StoreError> {
        let due_at = number(now_ms + LEASE_MS);
        let update = self
            .alert_request(alert, owner)
            .update_expression(
                "SET #owner = :owner, due_at = :due_at, watch_at = :due_at ADD tries :one",
            )
            .condition_expression(IS_DUE)
            .expression_attribute_values(":now", number(now_ms))
            .expression_attribute_values(":due_at", due_at)
            .expression_attribute_values(":one", number(1));
        match update.send().await {
            Ok(_) => Ok(Claim::Ours),
            Err(error) => {
                let stored = refused(error, "UpdateItem alert claim")?.unwrap_or_default();
                let ours = read_text(&stored, "owner") == Some(owner)
                    && read_text(&stored, "state") == Some("pending");
                Ok(if ours { Claim::Ours } else { Claim::Others })
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
            .alert_request(alert, owner)
            .update_expression(
                "SET #state = :sent, sns_message_id = :message_id, sent_at = :now REMOVE watch_shard, watch_at",
            )
            .condition_expression(IS_OURS)
            .expression_attribute_values(":sent", text("sent"))
            .expression_attribute_values(":message_id", text(message_id))
            .expression_attribute_values(":now", number(now_ms));
        match update.send().await {
            Ok(_) => Ok(()),
            Err(error) => refused(error, "UpdateItem alert sent").map(|_| ()),
        }
    }

    fn alert_request(&self, alert: &Alert, owner: &str) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("sid", text(alert.sid.as_str()))
            .key("item", text(alert.item.as_str()))
            .return_values_on_condition_check_failure(AllOld)
            .expression_attribute_names("#state", "state")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":pending", text("pending"))
            .expression_attribute_values(":owner", text(owner))
    }
}

fn alert_item(alert: &Alert, owner: &str, now_ms: u64, expires_at: u64) -> Item {
    let codes = alert
        .codes
        .iter()
        .map(|(name, value)| (name.clone(), text(value.as_str())))
        .collect();
    Item::from([
        ("sid".to_owned(), text(alert.sid.as_str())),
        ("item".to_owned(), text(alert.item.as_str())),
        ("kind".to_owned(), text(alert.kind.as_str())),
        ("severity".to_owned(), text(alert.kind.severity().as_str())),
        ("state".to_owned(), text("pending")),
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
