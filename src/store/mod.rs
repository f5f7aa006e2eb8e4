//! The table: every item, every conditional write. The only place that knows DynamoDB's requests.
//!
//! Every write is idempotent and conditional, so that any order, any repetition and any crash followed by a resend ends in the
//! same items:
//!
//! - an event's item is put once, by a key that only the same fact has;
//! - the session's item takes the *fast path*, one request that reads nothing, where the callback is newer than all before it;
//!   else the *slow path*: the refused request has brought the item, the callback is merged in and written if nobody was faster;
//! - a page of missing callbacks that have no room in the session's item counts only once the session's item says so;
//! - an alert's item is put once, before anything is sent, and names who has to send it until when;
//! - what the watchdog finds is noted together with its alerts, if no callback came meanwhile.
//!
//! Must not know: HTTP, SNS, what an event means.

mod alert;
mod archive;
mod item;
mod kept_body;
mod page;
mod quarantine;
mod record;
mod session;
mod value;
mod watch;

pub use alert::{Claim, DueClaim, LEASE_MS, read_alert};
pub use item::{Item, read_session, size};
pub use quarantine::{QuarantineReason, QuarantineWrite, Quarantined};
pub use record::Opened;
pub use session::SessionWrite;
pub use value::{KeptDetails, keep_details};
pub use watch::{Due, DuePage, Found, FoundSession, LookWrite, PUSH_BACK_MS, WATCH_SHARDS};

use crate::event::EventType;
use crate::notification::{Notification, Sid};
use crate::watchdog::LOOK_MS;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use item::{number, text};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::error::Error;
use std::sync::Mutex;
use std::time::Duration;

/// How often a conflicting write is tried before the caller is told to come again.
const MAX_ATTEMPTS: u32 = 40;

/// No such item yet.
const IS_NEW: &str = "attribute_not_exists(sid)";

/// Why something isn't stored. What to do next is the same for all of them: come again.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A request failed: throttled, unreachable, refused.
    #[error("{call} failed")]
    Call {
        /// Which request.
        call: &'static str,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Others kept writing the same session.
    #[error("the session was written by others {MAX_ATTEMPTS} times in a row")]
    Conflict,
}

/// What became of an event's item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventWrite {
    /// It is there now.
    New,
    /// It was there.
    Known,
}

/// The table.
#[derive(Debug)]
pub struct Store {
    client: Client,
    table: String,
    retention_secs: u64,
    /// How soon the watchdog looks at a new session, in ms.
    first_look_ms: u64,
    /// Generations other than 0, by `sid`: a guess that lets the fast path label its registers; the condition checks it.
    generations: Mutex<HashMap<String, u64>>,
}

impl Store {
    /// A store on `table` whose items live for `retention_secs` after their last write.
    #[must_use]
    pub fn new(client: Client, table: String, retention_secs: u64) -> Self {
        Self {
            client,
            table,
            retention_secs,
            first_look_ms: LOOK_MS,
            generations: Mutex::default(),
        }
    }

    /// Lets the watchdog look at a new session after another time than [`LOOK_MS`].
    #[must_use]
    pub fn with_first_look(mut self, first_look_ms: u64) -> Self {
        self.first_look_ms = first_look_ms;
        self
    }

    /// Makes the first request, so that the connection and the credentials are ready when a callback comes. Whether it succeeds
    /// doesn't matter; it isn't waited for longer than a second.
    pub async fn warm(&self) {
        if let Some(sid) = Sid::new("warm") {
            let _ = tokio::time::timeout(Duration::from_secs(1), self.session(&sid)).await;
        }
    }

    /// One item, read consistently.
    async fn item(&self, sid: &str, item: &str) -> Result<Option<Item>, StoreError> {
        let get = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("sid", text(sid))
            .key("item", text(item))
            .consistent_read(true);
        let got = get.send().await.map_err(|error| failed("GetItem", error))?;
        Ok(got.item)
    }

    /// When an item written at `now_ms` expires, in s since the epoch.
    fn expires_at(&self, now_ms: u64) -> u64 {
        now_ms / 1000 + self.retention_secs
    }

    /// Stores the fact that `notification` reports, with its details verbatim.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn put_event(
        &self,
        notification: &Notification,
        details: KeptDetails,
        now_ms: u64,
    ) -> Result<EventWrite, StoreError> {
        let mut item = Item::from([
            ("sid".to_owned(), text(notification.sid.as_str())),
            (
                "item".to_owned(),
                text(format!("event#{}", notification.fact_key())),
            ),
            ("sequence".to_owned(), number(notification.sequence)),
            ("event_type".to_owned(), number(notification.event_type)),
            (
                "name".to_owned(),
                text(EventType(notification.event_type).name()),
            ),
            ("uid".to_owned(), text(notification.uid.as_str())),
            ("sendts".to_owned(), number(notification.sendts)),
            ("received_at".to_owned(), number(now_ms)),
            ("expires_at".to_owned(), number(self.expires_at(now_ms))),
        ]);
        let optional = [
            (
                "service_type",
                notification
                    .service_type
                    .map(|service_type| number(service_type.0)),
            ),
            (
                "service_scene",
                notification.service_scene.clone().map(text),
            ),
            ("notify_ms", notification.notify_ms.map(number)),
            ("notice_id", notification.notice_id.clone().map(text)),
        ];
        item.extend(
            optional
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?))),
        );
        let details = details.0.into_iter();
        item.extend(details.map(|(name, value)| (name.to_owned(), value)));
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression(IS_NEW);
        match put.send().await {
            Ok(_) => Ok(EventWrite::New),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|e| e.is_conditional_check_failed_exception()) =>
            {
                Ok(EventWrite::Known)
            }
            Err(error) => Err(failed("PutItem event", error)),
        }
    }
}

/// The item that is there, if the condition didn't hold; an error for everything else.
fn refused<E, R>(error: SdkError<E, R>, call: &'static str) -> Result<Option<Item>, StoreError>
where
    E: Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
    aws_sdk_dynamodb::Error: From<SdkError<E, R>>,
{
    match aws_sdk_dynamodb::Error::from(error) {
        aws_sdk_dynamodb::Error::ConditionalCheckFailedException(refusal) => Ok(refusal.item),
        other => Err(StoreError::Call {
            call,
            source: Box::new(other),
        }),
    }
}

fn failed<E, R>(call: &'static str, error: SdkError<E, R>) -> StoreError
where
    E: Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    StoreError::Call {
        call,
        source: Box::new(error),
    }
}

/// One of the eight partitions of the `watch` index, by hash.
fn watch_shard(sid: &str) -> String {
    let hash = Sha256::digest(sid.as_bytes()).first().copied().unwrap_or(0);
    (hash % 8).to_string()
}
