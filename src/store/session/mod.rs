//! A session's item: the fast path that reads nothing, and the slow path that merges.

mod archive;
pub(super) mod event;
pub(super) mod item;
pub(super) mod look;
pub(super) mod page;

use crate::notification::{Notification, Sid};
use crate::session::{Fact, Noted, Register, Session, WINDOW, is_preliminary};
use crate::store::attribute::key::{
    CNAME, EXPIRES_AT, FIRST_SENDTS, HEARD_AT, IS_NEW, IS_UNCHANGED, ItemKey, QUIET_UNTIL, VERSION,
    WATCH_AT, WATCH_SHARD,
};
use crate::store::attribute::{Item, number, read_number, text};
use crate::store::error::{StoreError, is_invalid, refused};
use crate::store::index::{Shard, watch_entry};
use crate::store::session::item::{read_session, register_attribute, write_session};
use crate::store::session::page::make_room;
use crate::store::{MAX_ATTEMPTS, Store};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure::AllOld;
use std::collections::HashMap;
use std::time::Duration;

/// Sessions with more than one recorder whose generation is remembered, at most.
const MAX_GENERATIONS: usize = 256;
/// After so many tries there is contention: the next one waits.
const CONTENTION: u32 = 4;
/// Base of the random pause under contention, in ms: its bound is this times 2^tries.
const PAUSE_MS: u64 = 5;
/// The longest pause under contention, in ms.
const MAX_PAUSE_MS: u64 = 400;
/// The callback is newer than all of the recorder at work, which has begun, and the window has
/// room. A recorder that has said nothing of its own yet begins on the slow path: it may not be the
/// one at work, and its first number isn't the first that was counted.
const IS_NEWEST: &str = "uid = :uid AND generation = :generation AND attribute_exists(since) \
                         AND last_sequence < :n AND size(received) < :window";
/// The session was not there when it was read.
const HAS_NO_VERSION: &str = "attribute_not_exists(version)";
/// How long a recording is left alone after it was redriven, in ms.
const REDRIVEN_QUIET_MS: u64 = 60 * 60 * 1000;
/// What only the callback that opens a session writes, and the placeholder of its value. A value
/// that stands in several places is sent once.
const OPENING: [(&str, &str); 7] = [
    ("#schema", ":one"),
    (CNAME, ":cname"),
    (FIRST_SENDTS, ":sendts"),
    ("since", ":sendts"),
    ("received_from", ":zero"),
    (WATCH_SHARD, ":watch_shard"),
    (WATCH_AT, ":watch_at"),
];
/// What every callback on the fast path writes, and the placeholder of its value.
const ALWAYS: [(&str, &str); 6] = [
    ("uid", ":uid"),
    ("generation", ":generation"),
    ("last_sequence", ":n"),
    ("last_sendts", ":sendts"),
    ("updated_at", ":now"),
    (EXPIRES_AT, ":expires_at"),
];

/// The outcome of merging a callback into its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionWrite {
    /// How it relates to the callbacks before it.
    pub merge: Merge,
    /// Callbacks with a higher number came before it, or a newer recorder is at work.
    pub is_late: bool,
    /// How many tries it took; the first is the fast path.
    pub attempts: u32,
}

/// How a callback relates to those before it in its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// Its number is new.
    New,
    /// Its number was known, and it says nothing new: a resend, as a rule.
    Duplicate,
    /// Its number was known, and it says something new: its producer doesn't count.
    Conflict,
}

/// The outcome of one try to write a session.
enum Attempt {
    Written,
    /// Its condition doesn't hold: somebody else wrote the session, and this is what is there now.
    Overtaken(Option<Item>),
}

/// How a callback came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// From Agora, now.
    Now,
    /// Out of quarantine; it came first at that time, ms since the epoch.
    Before(u64),
}

impl Came {
    /// Its arrival, ms since the epoch, if it is `now_ms` now.
    #[must_use]
    pub fn at_ms(self, now_ms: u64) -> u64 {
        match self {
            Self::Now => now_ms,
            Self::Before(at) => at,
        }
    }
}

/// A callback on its way into its session.
struct Arrival<'a> {
    notification: &'a Notification,
    fact: Fact,
    came: Came,
    now_ms: u64,
    expires_at: u64,
}

impl Store {
    /// Merges `notification` into its session.
    ///
    /// # Errors
    /// [`StoreError::Conflict`], too, when it lost every race.
    pub async fn write_session(
        &self,
        notification: &Notification,
        came: Came,
        now_ms: u64,
    ) -> Result<SessionWrite, StoreError> {
        let sid = &notification.sid;
        let arrival = Arrival {
            notification,
            fact: Fact::of(notification),
            came,
            now_ms,
            expires_at: self.expires_at(now_ms),
        };
        let fact = &arrival.fact;
        // A callback that announces another recorder says something about two of them: never the
        // fast path.
        let mut stored = if fact.new_uid.is_some() {
            self.session(sid).await?
        } else {
            match self.write_newest(&arrival).await? {
                Attempt::Written => {
                    return Ok(SessionWrite {
                        merge: Merge::New,
                        is_late: false,
                        attempts: 1,
                    });
                }
                Attempt::Overtaken(item) => item,
            }
        };
        let mut found_in_archive = false;
        for attempts in 2..=MAX_ATTEMPTS {
            let mut session = stored.as_ref().map(read_session).unwrap_or_default();
            let pages = stored
                .as_ref()
                .map_or_else(Vec::new, |item| make_room(&mut session, item));
            let version = stored
                .as_ref()
                .and_then(|item| read_number(item, VERSION))
                .unwrap_or(0);
            let before = session.clone();
            let merged = session.apply(fact);
            self.remember_generation(sid, session.generation());
            match (merged.noted, session.recorder_of(&fact.uid)) {
                // Its own number may be among those that have to make room: archive first, then
                // look there.
                (Noted::Archived, _) if !pages.is_empty() => {
                    self.put_pages(sid, &pages, version, now_ms).await?;
                    self.replace_session(&arrival, &before, stored, None)
                        .await?;
                    stored = self.session(sid).await?;
                    continue;
                }
                (Noted::Archived, Some(recorder)) => {
                    let filled = self
                        .fill_page(sid, recorder, fact.sequence, version)
                        .await?;
                    found_in_archive |= filled;
                }
                (Noted::New | Noted::Known | Noted::Archived, _) => {}
            }
            let is_new = merged.noted == Noted::New || found_in_archive;
            let write = SessionWrite {
                merge: match (is_new, merged.changed) {
                    (true, _) => Merge::New,
                    (false, true) => Merge::Conflict,
                    (false, false) => Merge::Duplicate,
                },
                is_late: merged.behind,
                attempts,
            };
            if !merged.changed && stored.is_some() {
                return Ok(write);
            }
            self.put_pages(sid, &pages, version, now_ms).await?;
            let heard_at = arrival.heard_at().filter(|_| is_new);
            let replaced = self.replace_session(&arrival, &session, stored, heard_at);
            match replaced.await? {
                Attempt::Written => return Ok(write),
                Attempt::Overtaken(newer) => stored = newer,
            }
            // Under contention, what the refusal brought is old after a pause: read again rather
            // than lose again.
            if attempts >= CONTENTION {
                let longest_ms = MAX_PAUSE_MS.min(PAUSE_MS << attempts.min(10));
                tokio::time::sleep(Duration::from_millis(fastrand::u64(0..=longest_ms))).await;
                stored = self.session(sid).await?;
            }
        }
        Err(StoreError::Conflict {
            what: "the session",
            tries: MAX_ATTEMPTS,
        })
    }

    /// The fast path: one request that reads nothing.
    async fn write_newest(&self, arrival: &Arrival<'_>) -> Result<Attempt, StoreError> {
        let sid = &arrival.notification.sid;
        let update = newest_update(arrival, self.guess_generation(sid));
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(ItemKey::Session.of(sid.as_str())))
            .condition_expression(update.condition)
            .update_expression(update.expression)
            .set_expression_attribute_names(Some(update.names).filter(|names| !names.is_empty()))
            .set_expression_attribute_values(Some(update.values))
            .return_values_on_condition_check_failure(AllOld);
        match request.send().await {
            Ok(_) => Ok(Attempt::Written),
            // An attribute that somebody spoiled by hand: the slow path reads around it.
            Err(error) if is_invalid(&error) => self.session(sid).await.map(Attempt::Overtaken),
            Err(error) => refused("UpdateItem session", error).map(Attempt::Overtaken),
        }
    }

    /// The slow path's write: `session` over what is `stored`.
    async fn replace_session(
        &self,
        arrival: &Arrival<'_>,
        session: &Session,
        stored: Option<Item>,
        heard_at: Option<u64>,
    ) -> Result<Attempt, StoreError> {
        let is_watched = |item: &Item| item.contains_key("uid");
        let opens_recorder = !arrival.fact.is_beside && !stored.as_ref().is_some_and(is_watched);
        let mut item = stored.unwrap_or_else(|| arrival.opened());
        let version = item.get(VERSION).cloned();
        let next_version = read_number(&item, VERSION).unwrap_or(0) + 1;
        write_session(session, &mut item);
        let expires_at = arrival
            .expires_at
            .max(read_number(&item, EXPIRES_AT).unwrap_or(0));
        if (arrival.fact.tells_state() || opens_recorder) && !item.contains_key(WATCH_AT) {
            item.extend(arrival.watch_entry());
        }
        if let Some(heard_at) = heard_at.max(read_number(&item, HEARD_AT)) {
            item.insert(HEARD_AT.to_owned(), number(heard_at));
        }
        match arrival.quiet_until() {
            Some(until) => item.insert(QUIET_UNTIL.to_owned(), number(until)),
            None => item.remove(QUIET_UNTIL),
        };
        item.insert("updated_at".to_owned(), number(arrival.now_ms));
        item.insert(EXPIRES_AT.to_owned(), number(expires_at));
        item.insert(VERSION.to_owned(), number(next_version));
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
            Ok(_) => Ok(Attempt::Written),
            Err(error) => refused("PutItem session", error).map(Attempt::Overtaken),
        }
    }

    /// The session's item, read consistently.
    pub async fn session(&self, sid: &Sid) -> Result<Option<Item>, StoreError> {
        self.item(sid.as_str(), &ItemKey::Session).await
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

impl Arrival<'_> {
    /// What only the callback that opens a session writes.
    fn opened(&self) -> Item {
        let mut item = ItemKey::Session.of(self.notification.sid.as_str());
        item.insert("schema".to_owned(), number(1));
        item.insert(FIRST_SENDTS.to_owned(), number(self.fact.sendts));
        item.extend(self.cname().map(|cname| (CNAME.to_owned(), text(cname))));
        item
    }

    /// When a heartbeat arrived, ms since the epoch; `None` for other callbacks.
    fn heard_at(&self) -> Option<u64> {
        let at_ms = self.came.at_ms(self.now_ms);
        self.notification.is_heartbeat().then_some(at_ms)
    }

    /// Until when a recording that is being redriven is left alone, ms since the epoch.
    fn quiet_until(&self) -> Option<u64> {
        match self.came {
            Came::Now => None,
            Came::Before(_) => Some(self.now_ms + REDRIVEN_QUIET_MS),
        }
    }

    /// What lets the watchdog find the session.
    fn watch_entry(&self) -> [(String, AttributeValue); 2] {
        let shard = Shard::of(self.notification.sid.as_str());
        watch_entry(shard, self.now_ms)
    }

    /// The channel as an index key, which can't be empty.
    fn cname(&self) -> Option<&str> {
        Some(self.notification.cname.as_str()).filter(|cname| !cname.is_empty())
    }
}

/// The parts of an `UpdateItem`.
struct Update {
    condition: String,
    expression: String,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

/// The fast path's write: it sets blindly what a callback newer than all before it says, and opens
/// a session. A callback that says nothing about the session's state leaves the watchdog's mark
/// alone, so that stragglers don't make a session that is over be watched again; it doesn't open
/// one this way either.
fn newest_update(arrival: &Arrival<'_>, generation: u64) -> Update {
    let fact = &arrival.fact;
    // All of it: what is left out here would be there on the slow path only. What announces a
    // recorder, or only counts, goes that way.
    let Fact {
        uid,
        sequence,
        sendts,
        registers,
        new_uid: _,
        is_own,
        is_beside: _,
    } = fact;
    // Which recorder is at work is the slow path's to say.
    let opens = fact.tells_state() && *is_own;
    let mut condition = if generation == 0 && opens {
        format!("{IS_NEW} OR ({IS_NEWEST})")
    } else {
        IS_NEWEST.to_owned()
    };
    let received = AttributeValue::Ns(vec![sequence.to_string()]);
    let mut names = HashMap::new();
    let mut values = HashMap::from([
        (":n".to_owned(), number(sequence)),
        (":window".to_owned(), number(WINDOW)),
        (":received".to_owned(), received),
        (":one".to_owned(), number(1)),
        (":uid".to_owned(), text(uid.as_str())),
        (":generation".to_owned(), number(generation)),
        (":sendts".to_owned(), number(sendts)),
        (":now".to_owned(), number(arrival.now_ms)),
        (":expires_at".to_owned(), number(arrival.expires_at)),
    ]);
    let mut set = String::with_capacity(512);
    if opens {
        let shard = Shard::of(arrival.notification.sid.as_str());
        names.insert("#schema".to_owned(), "schema".to_owned());
        values.insert(":zero".to_owned(), number(0));
        values.insert(":watch_shard".to_owned(), shard.attribute());
        values.insert(":watch_at".to_owned(), number(arrival.now_ms));
        let cname = arrival.cname();
        values.extend(cname.map(|cname| (":cname".to_owned(), text(cname))));
        for (name, value) in OPENING {
            if name != CNAME || cname.is_some() {
                set.push_str(&format!("{name} = if_not_exists({name}, {value}), "));
            }
        }
    }
    for (register_name, fields) in registers {
        let name = register_name.as_str();
        let register = Register {
            sequence: *sequence,
            at: *sendts,
            fields: fields.clone(),
        };
        // What an upload came to counts more than that it started.
        if is_preliminary(*register_name, fields) {
            condition = format!("({condition}) AND attribute_not_exists(#{name})");
        }
        set.push_str(&format!("#{name} = :{name}, "));
        names.insert(format!("#{name}"), name.to_owned());
        values.insert(
            format!(":{name}"),
            register_attribute(&register, generation),
        );
    }
    set.push_str(
        &ALWAYS
            .map(|(name, value)| format!("{name} = {value}"))
            .join(", "),
    );
    let mut remove = Vec::new();
    // Seen at work after a failure: it is healed.
    if fact.shows_work() {
        remove.push("failure");
    }
    match arrival.quiet_until() {
        Some(until) => {
            values.insert(":quiet_until".to_owned(), number(until));
            set.push_str(", quiet_until = :quiet_until");
        }
        None => remove.push(QUIET_UNTIL),
    }
    if let Some(heard_at) = arrival.heard_at() {
        values.insert(":heard_at".to_owned(), number(heard_at));
        set.push_str(", heard_at = :heard_at");
    }
    let remove = if remove.is_empty() {
        String::new()
    } else {
        format!(" REMOVE {}", remove.join(", "))
    };
    Update {
        condition,
        expression: format!("SET {set} ADD received :received, version :one{remove}"),
        names,
        values,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use serde_json::{Value, json};

    fn update(event_type: u32, details: &Value, cname: &str, generation: u64) -> Update {
        let notification = Notification {
            sid: Sid::new("a").unwrap(),
            cname: cname.to_owned(),
            uid: "5".to_owned(),
            sequence: 7,
            sendts: 1_772_460_000_123,
            service_type: None,
            service_scene: None,
            event_type,
            event: Event::read(event_type, details),
            details: details.clone(),
            is_mended: false,
            notice_id: None,
            notify_ms: None,
        };
        let arrival = Arrival {
            notification: &notification,
            fact: Fact::of(&notification),
            came: Came::Now,
            now_ms: 1_000,
            expires_at: 9,
        };
        newest_update(&arrival, generation)
    }

    #[test]
    fn a_heartbeat_opens_a_session_or_is_newer_than_all_before_it() {
        let update = update(33, &json!({"progress": 10_000}), "math-101", 0);
        assert_eq!(update.condition, format!("{IS_NEW} OR ({IS_NEWEST})"));
        for part in [
            "cname = if_not_exists(cname, :cname), ",
            "watch_at = if_not_exists(watch_at, :watch_at), ",
            "#progress = :progress, ",
            "last_sequence = :n, ",
            " ADD received :received, version :one",
        ] {
            assert!(
                update.expression.contains(part),
                "{part}: {}",
                update.expression
            );
        }
    }

    #[test]
    fn every_placeholder_has_a_value_and_every_value_a_placeholder() {
        for (event_type, details, cname, generation) in [
            (33, json!({"progress": 1}), "math-101", 0),
            (33, json!({"progress": 1}), "", 3),
            (43, json!({}), "math-101", 0),
            (40, json!({"status": 0}), "", 0),
        ] {
            let update = update(event_type, &details, cname, generation);
            let text = format!("{} {}", update.condition, update.expression);
            let is_name = |c: char| c.is_alphanumeric() || c == '_';
            let used = |sign: char| -> std::collections::BTreeSet<String> {
                text.match_indices(sign)
                    .map(|(at, _)| {
                        let name: String =
                            text[at + 1..].chars().take_while(|c| is_name(*c)).collect();
                        format!("{sign}{name}")
                    })
                    .collect()
            };
            assert_eq!(
                used('#'),
                update.names.keys().cloned().collect(),
                "{event_type}"
            );
            assert_eq!(
                used(':'),
                update.values.keys().cloned().collect(),
                "{event_type}"
            );
        }
    }

    #[test]
    fn a_callback_that_says_nothing_about_the_state_opens_nothing() {
        let update = update(43, &json!({"streamType": 0}), "math-101", 0);
        assert_eq!(update.condition, IS_NEWEST);
        assert!(
            !update.expression.contains("watch_at"),
            "{}",
            update.expression
        );
    }

    #[test]
    fn a_later_generation_opens_nothing() {
        let update = update(33, &json!({"progress": 1}), "math-101", 2);
        assert_eq!(update.condition, IS_NEWEST);
        assert_eq!(update.values[":generation"], number(2));
    }
}
