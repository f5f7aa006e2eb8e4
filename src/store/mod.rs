//! The table: every item, every conditional write. The only place that knows DynamoDB's requests.
//!
//! Every write is idempotent and conditional, so that any order, any repetition and any crash
//! followed by a resend ends in the same items:
//!
//! - `attribute`: keys, JSON and bodies as attributes; pure.
//! - `batch`, `index`: many items in one request; which items are due.
//! - `outbox`: what has to leave is put once, before anything is sent, and says of each destination
//!   who may tell it until when, and what it was told; each step is written on condition that
//!   nobody wrote meanwhile. An alert for many names its members first; then each says in which
//!   digest it was told. The counter of a minute only counts up.
//! - `session`: an event's item is put once, by a key that only the same fact has. A session's
//!   item takes the *fast path*, one request that reads nothing, where the callback is newer than
//!   all before it; else the *slow path*: the refused request has brought the item, the callback is
//!   merged in and written if nobody else wrote meanwhile. A page of missing callbacks that have no
//!   room in the session's item counts only once the session's item says so. What the watchdog
//!   finds is noted together with its alerts, if no callback came meanwhile.
//! - `quarantine`: an authentic body that isn't stored as a callback is kept.
//! - `record`: all that the table holds about a recording.
//!
//! Must not know: HTTP, SNS, EventBridge, what an event means.

mod attribute;
mod batch;
mod conflict;
mod error;
mod index;
mod outbox;
mod quarantine;
mod record;
mod session;

pub use attribute::details::{KeptDetails, keep_details};
pub use attribute::key::ItemKey;
pub use attribute::{Item, size};
pub use batch::BATCH;
pub use error::{StoreError, Why};
pub use index::{Due, DuePage, Shard};
pub use outbox::alert::{LeasedAlert, read_alert};
pub use outbox::digest::{MAX_MEMBERS, NewDigest, is_digest};
pub use outbox::notice::{LeasedNotice, StoredNotice};
pub use outbox::{Claim, DueItems, InOutbox, LEASE_MS, Lease, Leased, Step};
pub use quarantine::{QuarantineWrite, Quarantined};
pub use record::SessionKey;
pub use session::event::EventWrite;
pub use session::item::read_session;
pub use session::look::{Claimed, Found, FoundSession, Glance, Leases, LookWrite};
pub use session::{Came, Merge, SessionWrite};

use crate::store::conflict::MeetsTransaction;
use crate::store::error::failed;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Builder;
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

/// How often a write that meets others is tried before the caller is told to come again.
const MAX_ATTEMPTS: u32 = 40;

/// A recording isn't expected to last longer than a week.
const LONGEST_RECORDING_SECS: u64 = 7 * 24 * 60 * 60;
/// An alert is kept for a week at least.
const ALERT_SECS: u64 = 7 * 24 * 60 * 60;

/// The table.
///
/// # Errors
/// Whatever it is asked fails with [`StoreError::Call`] where a request fails; with
/// [`StoreError::Conflict`] only where that is said.
#[derive(Debug)]
pub struct Store {
    client: Client,
    table: String,
    retention_secs: u64,
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
            generations: Mutex::default(),
        }
    }

    /// Makes the first request, so that the connection and the credentials are ready when a
    /// callback comes. Whether it succeeds doesn't matter; it isn't waited for longer than a
    /// second.
    pub async fn warm(&self) {
        let read = self.item("warm", &ItemKey::Session);
        let _ = tokio::time::timeout(Duration::from_secs(1), read).await;
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
