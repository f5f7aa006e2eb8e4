//! A digest's item: it names its members before it stands for any. Each member's item then says
//! which digest it was sent in, so that whoever takes the digest over finds the same ones; and a
//! digest that was sent counts those that aren't taken back.

use crate::alert::{Alert, AlertId, AlertKey, AlertKind, Destination, Destinations};
use crate::event::CodeName;
use crate::invocation::Invocation;
use crate::record::{AlertState, Roll, StoredAlert};
use crate::store::Store;
use crate::store::attribute::key::{DAY, ItemKey, utc_name};
use crate::store::attribute::{number, text};
use crate::store::error::{StoreError, is_invalid, reasons, refused, undone, unmade};
use crate::store::outbox::Put;
use crate::store::outbox::alert::{
    Lease, OPEN, SENT_IN, TO, TOOK_OFF, alert_item, alert_key, read_alert,
};
use aws_sdk_dynamodb::types::{
    CancellationReason, ReturnValue, TransactWriteItem, Update, builders::UpdateBuilder,
};

/// A digest names at most this many members.
pub const MAX_MEMBERS: usize = 1000;

/// A digest to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The kind of its members.
    pub kind: AlertKind,
    /// What its members still have to be published to.
    pub to: Destinations,
    /// Since when, ms since the epoch.
    pub since: u64,
    /// When the first of its members was written down, ms since the epoch.
    pub created_at: u64,
    /// Whom it is about.
    pub roll: Roll,
}

/// Whether a digest stands for an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Membership {
    /// It does; without the alert where that can't be read.
    Holds(Option<Box<Alert>>),
    /// It doesn't.
    None,
}

impl Store {
    /// Writes a digest down and takes its lease; its members aren't in it yet. `None` if there is
    /// one already.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn put_digest(
        &self,
        draft: Draft,
        invocation: Invocation<'_>,
    ) -> Result<Option<Lease>, StoreError> {
        let now_ms = invocation.now_ms();
        let members = draft.roll.members.iter();
        let parts = [invocation.id.to_owned()].into_iter();
        let parts = parts.chain(members.map(ToString::to_string));
        let alert = Alert {
            kind: draft.kind,
            key: AlertKey::new(draft.kind, parts),
            sid: format!("{DIGEST}{}", utc_name(now_ms, DAY)),
            cname: String::new(),
            uid: String::new(),
            sequence: 0,
            event_type: 0,
            at: draft.since,
            codes: [(CodeName::Count, draft.roll.members.len().to_string())].into(),
        };
        let lease = Lease::of_digest(alert, draft.to, draft.roll, draft.created_at, invocation);
        let item = alert_item(&lease, self.expires_at(now_ms));
        Ok(
            match self.put_held("PutItem digest", item, invocation.id).await? {
                Put::Ours => Some(lease),
                Put::There(_) => None,
            },
        )
    }

    /// Lets a digest stand for a member, if that still has to be sent and nobody holds its lease,
    /// or if it stands for it already.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn take_in(
        &self,
        digest: &Lease,
        member: &AlertId,
        now_ms: u64,
    ) -> Result<Membership, StoreError> {
        let alert = digest.alert();
        let is_for_the_same = is_for(digest.to(), alert.kind);
        let condition = format!(
            "(#state = :pending AND due_at <= :now AND {is_for_the_same}) OR {SENT_IN} = :digest"
        );
        let sent = AlertState::Sent { at: Some(now_ms) };
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(ItemKey::Alert(member.key.clone()).of(&member.sid)))
            .update_expression(format!(
                "SET #state = :sent, {SENT_IN} = :digest, sent_at = :now \
                 REMOVE watch_shard, watch_at, #to"
            ))
            .condition_expression(condition)
            .expression_attribute_names("#state", "state")
            .expression_attribute_names("#to", TO)
            .expression_attribute_values(":pending", text(AlertState::Pending.as_str()))
            .expression_attribute_values(":sent", text(sent.as_str()))
            .expression_attribute_values(":now", number(now_ms))
            .expression_attribute_values(":digest", text(alert.id().to_string()))
            .expression_attribute_values(":count", number(digest.to().len()))
            .return_values(ReturnValue::AllNew);
        for to in digest.to() {
            update =
                update.expression_attribute_values(format!(":{}", to.as_str()), text(to.as_str()));
        }
        match update.send().await {
            Ok(updated) => {
                let stored = updated.attributes.as_ref().and_then(read_alert);
                Ok(Membership::Holds(
                    stored.map(|stored| Box::new(stored.alert)),
                ))
            }
            Err(error) if is_invalid(&error) => Ok(Membership::None),
            Err(error) => refused("UpdateItem alert digested", error).map(|_| Membership::None),
        }
    }

    /// Takes `count` members off those of `digest` that aren't taken back, once, whoever asks how
    /// often; then tells how many are left. `None` if `digest` isn't there, or was never sent.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn take_off(
        &self,
        resolution: &Lease,
        digest: &AlertId,
        count: u64,
    ) -> Result<Option<u64>, StoreError> {
        let before = resolution.took_off();
        if count > before {
            let key = alert_key(resolution.alert()).of(&resolution.alert().sid);
            let note = Update::builder()
                .table_name(&self.table)
                .set_key(Some(key))
                .update_expression(format!("SET {TOOK_OFF} = :count"))
                .condition_expression(format!(
                    "#state = :pending AND #owner = :owner AND \
                     (attribute_not_exists({TOOK_OFF}) OR {TOOK_OFF} = :before)"
                ))
                .expression_attribute_names("#state", "state")
                .expression_attribute_names("#owner", "owner")
                .expression_attribute_values(":pending", text(AlertState::Pending.as_str()))
                .expression_attribute_values(":owner", text(resolution.hold().owner()))
                .expression_attribute_values(":before", number(before))
                .expression_attribute_values(":count", number(count));
            let off = Update::builder()
                .table_name(&self.table)
                .set_key(Some(ItemKey::Alert(digest.key.clone()).of(&digest.sid)))
                .update_expression("SET #open = #open - :off")
                .condition_expression("attribute_exists(#open)")
                .expression_attribute_names("#open", OPEN)
                .expression_attribute_values(":off", number(count - before));
            let writes = [note, off]
                .map(write)
                .into_iter()
                .collect::<Result<_, _>>()?;
            let transaction = self
                .client
                .transact_write_items()
                .set_transact_items(Some(writes));
            if let Err(error) = transaction.send().await {
                let is_refused =
                    |reason: &CancellationReason| reason.code() == Some("ConditionalCheckFailed");
                if !reasons(&error).iter().any(is_refused) {
                    return Err(undone(TAKEN_BACK, error));
                }
                // Its own write, whose answer was lost, or the digest has no count.
                let stored = self.stored_alert(&resolution.alert().id()).await?;
                let is_noted = stored.is_some_and(|stored| stored.took_off == count);
                if !is_noted
                    && self
                        .stored_alert(digest)
                        .await?
                        .is_some_and(|it| it.open.is_some())
                {
                    return Err(undone(TAKEN_BACK, error));
                }
            }
        }
        Ok(self.stored_alert(digest).await?.and_then(|it| it.open))
    }

    /// An alert, read consistently; `None` if it isn't there, or can't be read.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn stored_alert(&self, id: &AlertId) -> Result<Option<StoredAlert>, StoreError> {
        let item = self.item(&id.sid, &ItemKey::Alert(id.key.clone())).await?;
        Ok(item.as_ref().and_then(read_alert))
    }
}

/// The transaction that takes members off a digest.
const TAKEN_BACK: &str = "TransactWriteItems taken back";

/// What the partition of a day's digests begins with.
const DIGEST: &str = "digest#";

/// True if an item under `sid` is a digest.
#[must_use]
pub fn is_digest(sid: &str) -> bool {
    sid.starts_with(DIGEST)
}

/// The condition that an alert still has to be published to exactly that. One of an earlier version
/// doesn't say it: to all that its kind is for.
fn is_for(to: &Destinations, kind: AlertKind) -> String {
    let mut condition = "size(#to) = :count".to_owned();
    for to in to {
        condition.push_str(&format!(" AND contains(#to, :{})", to.as_str()));
    }
    if *to == Destination::of(kind) {
        condition = format!("(attribute_not_exists(#to) OR ({condition}))");
    }
    condition
}

fn write(update: UpdateBuilder) -> Result<TransactWriteItem, StoreError> {
    let update = update.build().map_err(|error| unmade(TAKEN_BACK, error))?;
    Ok(TransactWriteItem::builder().update(update).build())
}
