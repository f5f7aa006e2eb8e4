//! The table: every item, every conditional write. The only place that knows DynamoDB's requests.
//!
//! Every write is idempotent and conditional, so that any order, any repetition and any crash followed by a resend ends in the
//! same items:
//!
//! - an event's item is put once, by a key that only the same fact has;
//! - the session's item takes the *fast path*, one request that reads nothing, where the callback is newer than all before it;
//!   else the *slow path*: the refused request has brought the item, the callback is merged in and written if nobody was faster;
//! - an alert's item is put once, before anything is sent, and names who has to send it until when.
//!
//! Must not know: HTTP, SNS, what an event means.

mod item;
mod value;

pub use item::{Item, read_session, size};

use crate::alert::Alert;
use crate::notification::{Notification, Sid, Unreadable};
use crate::session::{Fact, Ledger, Noted, Range, Recorder, Register, Session, WINDOW};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure::AllOld};
use item::{
    Page, flat_ranges, make_room, number, page_key, read_number, read_page, read_text,
    register_attribute, text, write_session,
};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::error::Error;
use std::sync::Mutex;
use std::time::Duration;

/// How long whoever wrote or claimed an alert has to send it before somebody else may, in ms.
pub const LEASE_MS: u64 = 15_000;
/// How long after a session began the watchdog looks at it first, in ms.
const FIRST_LOOK_MS: u64 = 5 * 60 * 1000;
/// How often a conflicting write is tried before the caller is told to come again.
const MAX_ATTEMPTS: u32 = 40;
/// Sessions with more than one recorder whose generation is remembered, at most.
const MAX_GENERATIONS: usize = 256;

/// No such item yet.
const IS_NEW: &str = "attribute_not_exists(sid)";
/// The callback is newer than all of the recorder at work, and the window has room.
const IS_NEWEST: &str =
    "uid = :uid AND generation = :generation AND last_sequence < :n AND size(received) < :window";
/// Nobody wrote the session since it was read.
const IS_UNCHANGED: &str = "version = :version";
/// The session was not there when it was read.
const HAS_NO_VERSION: &str = "attribute_not_exists(version)";
/// No page yet, or one from an earlier version of the session.
const IS_NO_OLDER: &str = "attribute_not_exists(sid) OR version <= :version";
/// Nobody took a number out of the page since it was read.
const IS_SAME_PAGE: &str = "ranges = :stored";
/// The alert still has to be sent, and whoever had the job is late.
const IS_DUE: &str = "#state = :pending AND due_at <= :now";
/// The alert still has to be sent, and the job is ours.
const IS_OURS: &str = "#state = :pending AND #owner = :owner";

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

/// What became of the session's item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionWrite {
    /// The callback's number was known already.
    pub known: bool,
    /// Newer callbacks came before it.
    pub behind: bool,
    /// It said something new.
    pub changed: bool,
    /// Requests it took.
    pub attempts: u32,
}

/// Whose job it is to send an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Ours.
    Ours,
    /// Somebody else's, or it is done.
    Others,
}

/// The table.
#[derive(Debug)]
pub struct Store {
    client: Client,
    table: String,
    retention_secs: u64,
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
            generations: Mutex::default(),
        }
    }

    /// Makes the first request, so that the connection and the credentials are ready when a callback comes. Whether it succeeds
    /// doesn't matter.
    pub async fn warm(&self) {
        let key = Sid::new("warm").map(|sid| self.session_request(&sid));
        if let Some(request) = key {
            let _ = request.send().await;
        }
    }

    /// When an item written at `now_ms` expires, in s since the epoch.
    fn expires_at(&self, now_ms: u64) -> u64 {
        now_ms / 1000 + self.retention_secs
    }

    /// Stores the fact that `notification` reports, verbatim. `body` is kept too where the attribute can't hold all of it.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn put_event(
        &self,
        notification: &Notification,
        body: &[u8],
        now_ms: u64,
    ) -> Result<EventWrite, StoreError> {
        let details = value::verbatim(&notification.details);
        let mut item = Item::from([
            ("sid".to_owned(), text(notification.sid.as_str())),
            (
                "item".to_owned(),
                text(format!("event#{}", notification.suffix())),
            ),
            ("sequence".to_owned(), number(notification.sequence)),
            ("event_type".to_owned(), number(notification.event_type)),
            ("name".to_owned(), text(notification.event.name())),
            ("uid".to_owned(), text(notification.uid.as_str())),
            ("sendts".to_owned(), number(notification.sendts)),
            ("received_at".to_owned(), number(now_ms)),
            ("expires_at".to_owned(), number(self.expires_at(now_ms))),
            ("details".to_owned(), details.attribute),
        ]);
        let optional = [
            (
                "service_type",
                notification
                    .service_type
                    .map(|service_type| number(service_type.0)),
            ),
            ("notify_ms", notification.notify_ms.map(number)),
            ("notice_id", notification.notice_id.clone().map(text)),
            ("body", (!details.exact).then(|| body_attribute(body))),
        ];
        item.extend(
            optional
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?))),
        );
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

    /// Merges `notification` into its session.
    ///
    /// # Errors
    /// [`StoreError::Call`], and [`StoreError::Conflict`] when others are always faster.
    pub async fn write_session(
        &self,
        notification: &Notification,
        now_ms: u64,
    ) -> Result<SessionWrite, StoreError> {
        let fact = Fact::of(notification);
        // A callback that announces another recorder says something about two of them: never the fast path.
        let mut stored = if fact.new_uid.is_some() {
            self.session(&notification.sid).await?
        } else {
            match self.write_newest(notification, &fact, now_ms).await? {
                Newest::Written => {
                    return Ok(SessionWrite {
                        known: false,
                        behind: false,
                        changed: true,
                        attempts: 1,
                    });
                }
                Newest::Refused(item) => item,
            }
        };
        for attempts in 2..MAX_ATTEMPTS {
            let mut session = stored.as_ref().map(read_session).unwrap_or_default();
            let pages = stored
                .as_ref()
                .map_or_else(Vec::new, |item| make_room(&mut session, item));
            let version = stored
                .as_ref()
                .and_then(|item| read_number(item, "version"))
                .unwrap_or(0);
            let roomy = session.clone();
            let merged = session.apply(&fact);
            self.remember_generation(&notification.sid, session.generation());
            let was_missing = match merged.noted {
                Noted::New => true,
                Noted::Known => false,
                // Its own number may be among those that have to make room: archive first, then look there.
                Noted::Archived if !pages.is_empty() => {
                    self.put_pages(&notification.sid, &pages, version, now_ms)
                        .await?;
                    self.replace_session(notification, &roomy, stored, now_ms)
                        .await?;
                    stored = self.session(&notification.sid).await?;
                    continue;
                }
                Noted::Archived => match session.recorder_of(&fact.uid) {
                    Some(recorder) => {
                        self.fill_page(&notification.sid, recorder, fact.sequence, version)
                            .await?
                    }
                    None => false,
                },
            };
            let changed = merged.changed || was_missing;
            let write = SessionWrite {
                known: !was_missing,
                behind: merged.behind,
                changed,
                attempts,
            };
            if !merged.changed && stored.is_some() {
                return Ok(write);
            }
            self.put_pages(&notification.sid, &pages, version, now_ms)
                .await?;
            match self
                .replace_session(notification, &session, stored, now_ms)
                .await?
            {
                None => return Ok(write),
                Some(newer) => stored = newer,
            }
            let jitter = fastrand::u64(0..=u64::from(attempts.min(10)) * 10);
            tokio::time::sleep(Duration::from_millis(jitter)).await;
        }
        Err(StoreError::Conflict)
    }

    /// The fast path: one request that writes blindly what a callback newer than all says, and opens a session.
    async fn write_newest(
        &self,
        notification: &Notification,
        fact: &Fact,
        now_ms: u64,
    ) -> Result<Newest, StoreError> {
        let generation = self.guess_generation(&notification.sid);
        let opening = [
            ("#schema", "schema", number(1)),
            ("first_sendts", "first_sendts", number(fact.sendts)),
            ("since", "since", number(fact.sendts)),
            ("received_from", "received_from", number(0)),
            (
                "watch_shard",
                "watch_shard",
                text(watch_shard(notification.sid.as_str())),
            ),
            ("watch_at", "watch_at", number(now_ms + FIRST_LOOK_MS)),
        ];
        let always = [
            ("uid", text(fact.uid.as_str())),
            ("generation", number(generation)),
            ("last_sequence", number(fact.sequence)),
            ("last_sendts", number(fact.sendts)),
            ("updated_at", number(now_ms)),
            ("expires_at", number(self.expires_at(now_ms))),
        ];
        let condition = if generation == 0 {
            format!("{IS_NEW} OR ({IS_NEWEST})")
        } else {
            IS_NEWEST.to_owned()
        };
        let mut set = String::with_capacity(512);
        let mut request = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("sid", text(notification.sid.as_str()))
            .key("item", text("session"))
            .condition_expression(condition)
            .return_values_on_condition_check_failure(AllOld)
            .expression_attribute_names("#schema", "schema")
            .expression_attribute_values(":n", number(fact.sequence))
            .expression_attribute_values(":window", number(WINDOW))
            .expression_attribute_values(
                ":received",
                AttributeValue::Ns(vec![fact.sequence.to_string()]),
            )
            .expression_attribute_values(":one", number(1));
        if let Some(cname) = channel(notification) {
            set.push_str("cname = if_not_exists(cname, :cname), ");
            request = request.expression_attribute_values(":cname", text(cname));
        }
        for (path, name, value) in opening {
            set.push_str(&format!("{path} = if_not_exists({path}, :{name}), "));
            request = request.expression_attribute_values(format!(":{name}"), value);
        }
        for (name, fields) in &fact.registers {
            let name = name.as_str();
            let register = Register {
                sequence: fact.sequence,
                at: fact.sendts,
                fields: fields.clone(),
            };
            set.push_str(&format!("#{name} = :{name}, "));
            request = request
                .expression_attribute_names(format!("#{name}"), name)
                .expression_attribute_values(
                    format!(":{name}"),
                    register_attribute(&register, generation),
                );
        }
        for (index, (name, value)) in always.into_iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            set.push_str(&format!("{comma}{name} = :{name}"));
            request = request.expression_attribute_values(format!(":{name}"), value);
        }
        let update = format!("SET {set} ADD received :received, version :one");
        match request.update_expression(update).send().await {
            Ok(_) => Ok(Newest::Written),
            // An attribute that somebody spoiled by hand: the slow path reads around it.
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|e| e.code() == Some("ValidationException")) =>
            {
                self.session(&notification.sid).await.map(Newest::Refused)
            }
            Err(error) => refused(error, "UpdateItem session").map(Newest::Refused),
        }
    }

    /// The slow path's write. `None`: written. `Some`: somebody was faster, and this is what is there now.
    async fn replace_session(
        &self,
        notification: &Notification,
        session: &Session,
        stored: Option<Item>,
        now_ms: u64,
    ) -> Result<Option<Option<Item>>, StoreError> {
        let mut item = stored.unwrap_or_else(|| self.opened(notification, now_ms));
        let version = item.get("version").cloned();
        let next_version = read_number(&item, "version").unwrap_or(0) + 1;
        write_session(session, &mut item);
        let expires_at = self
            .expires_at(now_ms)
            .max(read_number(&item, "expires_at").unwrap_or(0));
        item.insert("updated_at".to_owned(), number(now_ms));
        item.insert("expires_at".to_owned(), number(expires_at));
        item.insert("version".to_owned(), number(next_version));
        let mut request = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .return_values_on_condition_check_failure(AllOld);
        request = match version {
            Some(version) => request
                .condition_expression(IS_UNCHANGED)
                .expression_attribute_values(":version", version),
            None => request.condition_expression(HAS_NO_VERSION),
        };
        match request.send().await {
            Ok(_) => Ok(None),
            Err(error) => refused(error, "PutItem session").map(Some),
        }
    }

    /// Puts pages of the archive, unless a later version of the session did. The session's item owns them only once it is
    /// written, too.
    async fn put_pages(
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
                .item("sid", text(sid.as_str()))
                .item("item", text(page.key()))
                .item("ranges", flat_ranges(&page.ranges))
                .item("version", number(version))
                .item("expires_at", number(self.expires_at(now_ms)))
                .condition_expression(IS_NO_OLDER)
                .expression_attribute_values(":version", number(version));
            match put.send().await {
                Ok(_) => {}
                Err(error) => {
                    refused(error, "PutItem missing")?;
                }
            }
        }
        Ok(())
    }

    /// Takes the number of a late callback out of the archive; false if it isn't missing there. `version` is the session's: later
    /// than that of any page it owns, so that no latecomer puts the page again as it was.
    async fn fill_page(
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
            page.retain(|name, _| name == "sid" || name == "item");
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
                Err(error) => refused(error, "UpdateItem missing")?,
            };
        }
        Err(StoreError::Conflict)
    }

    /// All callbacks of one recorder of a session that are missing, archive included, as sorted ranges.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn missing(&self, sid: &Sid, recorder: &Recorder) -> Result<Vec<Range>, StoreError> {
        let mut ranges = recorder.ledger.missing_ranges();
        if recorder.ledger.truncated {
            ranges.extend(self.pages(sid, recorder).await?.iter().flat_map(read_page));
        }
        ranges.sort_unstable();
        Ok(ranges)
    }

    /// The pages of the archive that a recorder's ledger owns.
    async fn pages(&self, sid: &Sid, recorder: &Recorder) -> Result<Vec<Item>, StoreError> {
        let last_page = recorder.ledger.received_from.saturating_sub(1);
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("sid = :sid AND #item BETWEEN :first AND :last")
            .expression_attribute_names("#item", "item")
            .expression_attribute_values(":sid", text(sid.as_str()))
            .expression_attribute_values(":first", text(page_key(&recorder.uid, 0)))
            .expression_attribute_values(":last", text(page_key(&recorder.uid, last_page)))
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

    /// What only the callback that opens a session writes.
    fn opened(&self, notification: &Notification, now_ms: u64) -> Item {
        let sid = notification.sid.as_str();
        let mut item = Item::from([
            ("sid".to_owned(), text(sid)),
            ("item".to_owned(), text("session")),
            ("schema".to_owned(), number(1)),
            ("first_sendts".to_owned(), number(notification.sendts)),
            ("watch_shard".to_owned(), text(watch_shard(sid))),
            ("watch_at".to_owned(), number(now_ms + FIRST_LOOK_MS)),
        ]);
        item.extend(channel(notification).map(|cname| ("cname".to_owned(), text(cname))));
        item
    }

    /// The session's item, read consistently.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn session(&self, sid: &Sid) -> Result<Option<Item>, StoreError> {
        let got = self
            .session_request(sid)
            .send()
            .await
            .map_err(|error| failed("GetItem session", error))?;
        Ok(got.item)
    }

    fn session_request(
        &self,
        sid: &Sid,
    ) -> aws_sdk_dynamodb::operation::get_item::builders::GetItemFluentBuilder {
        self.client
            .get_item()
            .table_name(&self.table)
            .key("sid", text(sid.as_str()))
            .key("item", text("session"))
            .consistent_read(true)
    }

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
        if read_number(&stored, "due_at").is_some_and(|due_at| due_at > now_ms) {
            return Ok(Claim::Others);
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

    fn alert_request(
        &self,
        alert: &Alert,
        owner: &str,
    ) -> aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder {
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
            .item("sid", text(format!("quarantine#{}", day(now_ms))))
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

    fn guess_generation(&self, sid: &Sid) -> u64 {
        self.generations.lock().map_or(0, |generations| {
            generations.get(sid.as_str()).copied().unwrap_or(0)
        })
    }

    fn remember_generation(&self, sid: &Sid, generation: u64) {
        if generation == 0 {
            return;
        }
        if let Ok(mut generations) = self.generations.lock() {
            if generations.len() >= MAX_GENERATIONS {
                generations.clear();
            }
            generations.insert(sid.as_str().to_owned(), generation);
        }
    }
}

/// What came of the fast path.
enum Newest {
    Written,
    /// The condition doesn't hold; the item that is there.
    Refused(Option<Item>),
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

/// One of the eight partitions of the `watch` index, by hash.
fn watch_shard(sid: &str) -> String {
    let hash = Sha256::digest(sid.as_bytes()).first().copied().unwrap_or(0);
    (hash % 8).to_string()
}

/// The channel as an index key, which can't be empty.
fn channel(notification: &Notification) -> Option<&str> {
    Some(notification.cname.as_str()).filter(|cname| !cname.is_empty())
}

/// A body as text, or as bytes where it is none.
fn body_attribute(body: &[u8]) -> AttributeValue {
    match std::str::from_utf8(body) {
        Ok(body) => text(body),
        Err(_) => AttributeValue::B(Blob::new(body)),
    }
}

/// The UTC day of a time, `yyyy-mm-dd`.
fn day(ms: u64) -> String {
    crate::alert::utc(ms).chars().take(10).collect()
}
