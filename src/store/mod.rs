//! The table: every item, every conditional write. The only place that knows DynamoDB's requests.
//!
//! Every write is idempotent and conditional, so that any order, any repetition and any crash
//! followed by a resend ends in the same items:
//!
//! | file | its items and writes |
//! | --- | --- |
//! | `event` | an event's item is put once, by a key that only the same fact has |
//! | `session` | a session's item takes the *fast path*, one request that reads nothing, where the callback is newer than all before it; else the *slow path*: the refused request has brought the item, the callback is merged in and written if nobody else wrote meanwhile |
//! | `archive`, `page` | a page of missing callbacks that have no room in the session's item counts only once the session's item says so |
//! | `outbox` | the item of what has to leave is put once, before anything is sent, and names who may send it until when |
//! | `alert`, `notice` | what such an item says |
//! | `digest` | an alert for many names its members first; then each says in which digest it was sent |
//! | `minute` | the counter of a minute only counts up |
//! | `look` | what the watchdog finds is noted together with its alerts, if no callback came meanwhile |
//! | `quarantine` | an authentic body that isn't stored as a callback is kept |
//! | `index`, `batch` | what is due, and which sessions are watched |
//! | `record` | reading for people |
//! | `key`, `item`, `value`, `kept_body` | keys, sessions, JSON and bodies as attributes; pure |
//!
//! Must not know: HTTP, SNS, EventBridge, what an event means.

mod alert;
mod archive;
mod batch;
mod conflict;
mod digest;
mod event;
mod index;
mod item;
mod kept_body;
mod key;
mod look;
mod minute;
mod notice;
mod outbox;
mod page;
mod quarantine;
mod record;
mod session;
mod value;

pub use alert::{Claim, DueClaim, Lease, read_alert};
pub use batch::BATCH;
pub use digest::{Draft, MAX_MEMBERS, Membership, is_digest};
pub use event::EventWrite;
pub use index::{Due, DuePage, Shard};
pub use item::{Item, read_session, size};
pub use key::ItemKey;
pub use look::{Checked, Claimed, Found, FoundSession, Leases, LookWrite};
pub use notice::{DueNotice, NoticeLease};
pub use outbox::{Hold, LEASE_MS};
pub use quarantine::{QuarantineReason, QuarantineWrite, Quarantined};
pub use record::Opened;
pub use session::{Came, Merge, SessionWrite};
pub use value::{KeptDetails, keep_details};

use crate::notification::Sid;
use crate::watchdog::LOOK_MS;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use conflict::MeetsTransaction;
use std::collections::HashMap;
use std::error::Error;
use std::sync::Mutex;
use std::time::Duration;

/// How often a write that meets others is tried before the caller is told to come again.
const MAX_ATTEMPTS: u32 = 40;

/// A recording isn't expected to last longer than a week.
const LONGEST_RECORDING_SECS: u64 = 7 * 24 * 60 * 60;
/// An alert is kept for a week at least.
const ALERT_SECS: u64 = 7 * 24 * 60 * 60;

/// No such item yet.
const IS_NEW: &str = "attribute_not_exists(sid)";

/// Why something isn't stored. What to do next is the same for all of them: come again.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A request failed: unreachable, refused.
    #[error("{call} failed")]
    Call {
        /// Which request.
        call: &'static str,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A request was throttled, however often it was tried.
    #[error("{call} failed")]
    Throttled {
        /// Which request.
        call: &'static str,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The table didn't answer in time, however often it was asked.
    #[error("{call} failed")]
    Timeout {
        /// Which request.
        call: &'static str,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Others kept writing the same item.
    #[error("{what} was written by others {tries} times in a row")]
    Conflict {
        /// Which item.
        what: &'static str,
        /// How often it was tried.
        tries: u32,
    },
}

/// The table.
#[derive(Debug)]
pub struct Store {
    client: Client,
    table: String,
    retention_secs: u64,
    /// How soon the watchdog looks at a new session, in ms.
    first_look_ms: u64,
    /// Whether alerts go to a bus, too.
    has_bus: bool,
    /// Generations other than 0, by `sid`: a guess that lets the fast path label its registers; the
    /// condition checks it.
    generations: Mutex<HashMap<String, u64>>,
}

impl Store {
    /// A store on `table` whose items live for `retention_secs` after their last write.
    #[must_use]
    pub fn new(client: Builder, table: String, retention_secs: u64) -> Self {
        let client = client.retry_classifier(MeetsTransaction).build();
        Self {
            client: Client::from_conf(client),
            table,
            retention_secs,
            first_look_ms: LOOK_MS,
            has_bus: false,
            generations: Mutex::default(),
        }
    }

    /// Lets the watchdog look at a new session after another time than [`LOOK_MS`].
    #[must_use]
    pub fn with_first_look(mut self, first_look_ms: u64) -> Self {
        self.first_look_ms = first_look_ms;
        self
    }

    /// Lets alerts go to a bus, too.
    #[must_use]
    pub fn with_bus(mut self, has_bus: bool) -> Self {
        self.has_bus = has_bus;
        self
    }

    /// Makes the first request, so that the connection and the credentials are ready when a
    /// callback comes. Whether it succeeds doesn't matter; it isn't waited for longer than a
    /// second.
    pub async fn warm(&self) {
        if let Some(sid) = Sid::new("warm") {
            let _ = tokio::time::timeout(Duration::from_secs(1), self.session(&sid)).await;
        }
    }

    /// One item, read consistently.
    async fn item(&self, sid: &str, key: &ItemKey) -> Result<Option<Item>, StoreError> {
        let get = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key.of(sid)))
            .consistent_read(true);
        let got = get.send().await.map_err(|error| failed("GetItem", error))?;
        Ok(got.item)
    }

    /// When a session, or a body in quarantine, written at `now_ms` expires, in s since the epoch.
    fn expires_at(&self, now_ms: u64) -> u64 {
        now_ms / 1000 + self.retention_secs
    }

    /// When a fact or a page written at `now_ms` expires: not before its session, which may still
    /// be written to for as long as a recording lasts.
    fn fact_expires_at(&self, now_ms: u64) -> u64 {
        self.expires_at(now_ms) + LONGEST_RECORDING_SECS
    }

    /// When an alert written down at `now_ms` expires: long after it was sent or given up, so that
    /// somebody sees it.
    fn alert_expires_at(&self, now_ms: u64) -> u64 {
        now_ms / 1000 + self.retention_secs.max(ALERT_SECS)
    }
}

/// The item that is there, if the condition didn't hold; an error for everything else.
fn refused<E, R>(call: &'static str, error: SdkError<E, R>) -> Result<Option<Item>, StoreError>
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

/// True if an attribute of the item isn't what the request needs: somebody edited it by hand, or a
/// later version wrote it. Trying again won't help.
fn is_invalid<E, R>(error: &SdkError<E, R>) -> bool
where
    E: ProvideErrorMetadata,
{
    let service = error.as_service_error();
    service.is_some_and(|error| error.code() == Some("ValidationException"))
}

fn failed<E, R>(call: &'static str, error: SdkError<E, R>) -> StoreError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let is_slow = match &error {
        SdkError::TimeoutError(_) => true,
        SdkError::DispatchFailure(failure) => failure.is_timeout(),
        _ => false,
    };
    let is_throttled = matches!(
        error.code(),
        Some(
            "ProvisionedThroughputExceededException"
                | "ThrottlingException"
                | "RequestLimitExceeded"
        )
    );
    let source = Box::new(error);
    match (is_slow, is_throttled) {
        (true, _) => StoreError::Timeout { call, source },
        (false, true) => StoreError::Throttled { call, source },
        (false, false) => StoreError::Call { call, source },
    }
}
