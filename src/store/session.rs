//! A session's item: the fast path that reads nothing, and the slow path that merges.

use super::item::{
    Item, number, read_number, read_session, register_attribute, text, write_session,
};
use super::page::make_room;
use super::{IS_NEW, MAX_ATTEMPTS, Store, StoreError, refused, watch_shard};
use crate::notification::{Notification, Sid};
use crate::session::{Fact, Noted, Register, Session, WINDOW};
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure::AllOld;
use std::time::Duration;

/// Sessions with more than one recorder whose generation is remembered, at most.
const MAX_GENERATIONS: usize = 256;
/// After that many tries there are others who write the same session all the time.
const CROWD: u32 = 4;
/// The longest pause between two tries of a write that others are faster with, in ms.
const MAX_PAUSE_MS: u64 = 400;
/// The callback is newer than all of the recorder at work, and the window has room.
const IS_NEWEST: &str =
    "uid = :uid AND generation = :generation AND last_sequence < :n AND size(received) < :window";
/// Nobody wrote the session since it was read.
pub(super) const IS_UNCHANGED: &str = "version = :version";
/// The session was not there when it was read.
const HAS_NO_VERSION: &str = "attribute_not_exists(version)";

/// What became of the session's item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionWrite {
    /// The callback's number was known already.
    pub known: bool,
    /// Newer callbacks came before it.
    pub behind: bool,
    /// It said something new.
    pub changed: bool,
    /// Tries it took; the first is the fast path.
    pub attempts: u32,
}

/// What came of the fast path.
enum Newest {
    Written,
    /// The condition doesn't hold; the item that is there.
    Refused(Option<Item>),
}

impl Store {
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
        let mut found_in_archive = false;
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
            match (merged.noted, session.recorder_of(&fact.uid)) {
                // Its own number may be among those that have to make room: archive first, then look there.
                (Noted::Archived, _) if !pages.is_empty() => {
                    self.put_pages(&notification.sid, &pages, version, now_ms)
                        .await?;
                    self.replace_session(notification, &fact, &roomy, stored, now_ms)
                        .await?;
                    stored = self.session(&notification.sid).await?;
                    continue;
                }
                (Noted::Archived, Some(recorder)) => {
                    let filled = self
                        .fill_page(&notification.sid, recorder, fact.sequence, version)
                        .await?;
                    found_in_archive |= filled;
                }
                (Noted::New | Noted::Known | Noted::Archived, _) => {}
            }
            let write = SessionWrite {
                known: merged.noted != Noted::New && !found_in_archive,
                behind: merged.behind,
                changed: merged.changed || found_in_archive,
                attempts,
            };
            if !merged.changed && stored.is_some() {
                return Ok(write);
            }
            self.put_pages(&notification.sid, &pages, version, now_ms)
                .await?;
            match self
                .replace_session(notification, &fact, &session, stored, now_ms)
                .await?
            {
                None => return Ok(write),
                Some(newer) => stored = newer,
            }
            // In a crowd, what the refusal brought is old after a pause: look again rather than be refused again.
            if attempts >= CROWD {
                let longest_ms = MAX_PAUSE_MS.min(5 << attempts.min(10));
                tokio::time::sleep(Duration::from_millis(fastrand::u64(0..=longest_ms))).await;
                stored = self.session(&notification.sid).await?;
            }
        }
        Err(StoreError::Conflict)
    }

    /// The fast path: one request that writes blindly what a callback newer than all says, and opens a session. A callback that
    /// says nothing about the session's state leaves the watchdog's mark alone, so that stragglers don't make a session that is
    /// over be looked at again; it doesn't open one this way either.
    async fn write_newest(
        &self,
        notification: &Notification,
        fact: &Fact,
        now_ms: u64,
    ) -> Result<Newest, StoreError> {
        let generation = self.guess_generation(&notification.sid);
        // Attribute, placeholder. A value that stands in several places is sent once.
        let opening = [
            ("#schema", ":one"),
            ("cname", ":cname"),
            ("first_sendts", ":sendts"),
            ("since", ":sendts"),
            ("received_from", ":zero"),
            ("watch_shard", ":watch_shard"),
            ("watch_at", ":watch_at"),
        ];
        let always = [
            ("uid", ":uid"),
            ("generation", ":generation"),
            ("last_sequence", ":n"),
            ("last_sendts", ":sendts"),
            ("updated_at", ":now"),
            ("expires_at", ":expires_at"),
        ];
        let opens = fact.tells_state();
        let condition = if generation == 0 && opens {
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
            .expression_attribute_values(":n", number(fact.sequence))
            .expression_attribute_values(":window", number(WINDOW))
            .expression_attribute_values(
                ":received",
                AttributeValue::Ns(vec![fact.sequence.to_string()]),
            )
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":uid", text(fact.uid.as_str()))
            .expression_attribute_values(":generation", number(generation))
            .expression_attribute_values(":sendts", number(fact.sendts))
            .expression_attribute_values(":now", number(now_ms))
            .expression_attribute_values(":expires_at", number(self.expires_at(now_ms)));
        if opens {
            request = request
                .expression_attribute_names("#schema", "schema")
                .expression_attribute_values(":zero", number(0))
                .expression_attribute_values(
                    ":watch_shard",
                    text(watch_shard(notification.sid.as_str())),
                )
                .expression_attribute_values(":watch_at", number(now_ms + self.first_look_ms));
            let cname = channel(notification);
            if let Some(cname) = cname {
                request = request.expression_attribute_values(":cname", text(cname));
            }
            for (name, value) in opening {
                if name != "cname" || cname.is_some() {
                    set.push_str(&format!("{name} = if_not_exists({name}, {value}), "));
                }
            }
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
        if fact.has_stream {
            request = request.expression_attribute_values(":true", AttributeValue::Bool(true));
            request = request.expression_attribute_names("#stream", "stream");
            set.push_str("#stream = :true, ");
        }
        let always = always.map(|(name, value)| format!("{name} = {value}"));
        set.push_str(&always.join(", "));
        // Seen at work after a failure: it is healed.
        let healed = if fact.shows_work() {
            " REMOVE failure"
        } else {
            ""
        };
        let update = format!("SET {set} ADD received :received, version :one{healed}");
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
        fact: &Fact,
        session: &Session,
        stored: Option<Item>,
        now_ms: u64,
    ) -> Result<Option<Option<Item>>, StoreError> {
        let opens_recorder =
            stored.as_ref().is_none_or(|item| !item.contains_key("uid")) && !fact.is_beside;
        let mut item = stored.unwrap_or_else(|| opened(notification));
        let version = item.get("version").cloned();
        let next_version = read_number(&item, "version").unwrap_or(0) + 1;
        write_session(session, &mut item);
        let expires_at = self
            .expires_at(now_ms)
            .max(read_number(&item, "expires_at").unwrap_or(0));
        if (fact.tells_state() || opens_recorder) && !item.contains_key("watch_at") {
            item.extend(self.watch_mark(notification, now_ms));
        }
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

    /// What lets the watchdog find a session.
    fn watch_mark(
        &self,
        notification: &Notification,
        now_ms: u64,
    ) -> [(String, AttributeValue); 2] {
        let shard = watch_shard(notification.sid.as_str());
        [
            ("watch_shard".to_owned(), text(shard)),
            ("watch_at".to_owned(), number(now_ms + self.first_look_ms)),
        ]
    }

    /// The session's item, read consistently.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn session(&self, sid: &Sid) -> Result<Option<Item>, StoreError> {
        self.item(sid.as_str(), "session").await
    }

    fn guess_generation(&self, sid: &Sid) -> u64 {
        self.generations.lock().map_or(0, |generations| {
            generations.get(sid.as_str()).copied().unwrap_or(0)
        })
    }

    fn remember_generation(&self, sid: &Sid, generation: u64) {
        let Ok(mut generations) = self.generations.lock() else {
            return;
        };
        if generation == 0 {
            generations.remove(sid.as_str());
            return;
        }
        if generations.len() >= MAX_GENERATIONS {
            generations.clear();
        }
        generations.insert(sid.as_str().to_owned(), generation);
    }
}

/// What only the callback that opens a session writes.
fn opened(notification: &Notification) -> Item {
    let sid = notification.sid.as_str();
    let mut item = Item::from([
        ("sid".to_owned(), text(sid)),
        ("item".to_owned(), text("session")),
        ("schema".to_owned(), number(1)),
        ("first_sendts".to_owned(), number(notification.sendts)),
    ]);
    item.extend(channel(notification).map(|cname| ("cname".to_owned(), text(cname))));
    item
}

/// The channel as an index key, which can't be empty.
fn channel(notification: &Notification) -> Option<&str> {
    Some(notification.cname.as_str()).filter(|cname| !cname.is_empty())
}
