//! Looks at watched sessions: they are read, and what a look finds is noted in one write.
//!
//! A look changes the session's item only on condition that no callback has come since it was
//! read, and what it found is written down in the same transaction: either all of it is noted, or
//! nothing.

use crate::alert::{AlertKey, AlertKind, Outgoing};
use crate::invocation::Invocation;
use crate::notification::Sid;
use crate::record::{Covered, Ending, Standing, StoredAlert, ToldEnd, Watched};
use crate::session::RegisterName;
use crate::store::Store;
use crate::store::attribute::key::{
    CNAME, EXPIRES_AT, HEARD_AT, IS_NEW, IS_UNCHANGED, ITEM, ItemKey, QUIET_UNTIL, SID, VERSION,
    WATCH_AT, WATCH_SHARD,
};
use crate::store::attribute::{Item, number, read_number, read_text, text};
use crate::store::batch::Projection;
use crate::store::error::{StoreError, failed, is_invalid, reasons, refused, undone, unmade};
use crate::store::outbox::InOutbox;
use crate::store::outbox::alert::LeasedAlert;
use crate::store::outbox::notice::{LeasedNotice, StoredNotice};
use crate::store::session::item::read_session;
use crate::watchdog::Look;
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, Put, ReturnValuesOnConditionCheckFailure::AllOld,
    TransactWriteItem, Update,
};
use std::collections::HashMap;
use std::sync::LazyLock;

/// The end of the newest notice `Recording Ended`: generation and outcome.
const TOLD_END: &str = "told_end";

/// Whose files another recorder's report confirms, and when that was found.
const COVERED: &str = "covered";

/// The transaction that notes what a look found.
const LOOK: &str = "TransactWriteItems look";

/// The item of the newest heartbeat of any recording.
const RECEIVER: &str = "receiver#state";
const HEARTBEAT: &str = "heartbeat";

/// What a batch holds under the key of a watched session.
#[derive(Debug)]
pub enum Glance {
    /// A session, perhaps a moment old.
    Session(Box<Watched>),
    /// A session that is left alone for now.
    Quiet,
    /// An item that can't be read as a session.
    Unreadable,
}

/// What was found under the key of a watched session, read consistently.
#[derive(Debug)]
pub enum Found {
    /// A session.
    Session(Box<FoundSession>),
    /// Nothing that is watched: the index was behind, or the session is left alone for now.
    NotWatched,
    /// An item that can't be read as a session.
    Unreadable,
}

/// A session as it was read, and the version that its change is conditioned on.
#[derive(Debug)]
pub struct FoundSession {
    /// The session.
    pub watched: Watched,
    version: u64,
}

/// The outcome of noting a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookWrite {
    /// It is noted, and what it found is ours to send.
    Written(Leases),
    /// A callback came meanwhile: look again.
    Overtaken,
    /// These were written down before: they aren't ours to send.
    AlreadyClaimed(Claimed),
    /// An attribute of the item isn't what the write needs.
    Unwritable,
}

/// What a look found, ours to send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leases {
    /// Alerts.
    pub alerts: Vec<LeasedAlert>,
    /// What programs are told.
    pub notice: Option<LeasedNotice>,
}

/// What a look found that was written down before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claimed {
    /// Alerts.
    pub alerts: Vec<AlertKey>,
    /// The notice `Recording Ended`.
    pub notice: bool,
}

impl Store {
    /// Watched sessions, [`BATCH`](crate::store::BATCH) at most, read eventually consistent, only
    /// what the rules need of them. Those that are gone aren't among them.
    pub async fn glance_at(
        &self,
        sids: &[Sid],
        now_ms: u64,
    ) -> Result<Vec<(Sid, Glance)>, StoreError> {
        let items = self.session_items(sids, Some(&NEEDED)).await?;
        let glances = items.into_iter().map(|(sid, item)| {
            let glance = if is_quiet(&item, now_ms) {
                Glance::Quiet
            } else {
                match read_session_item(&sid, &item) {
                    Some((watched, _)) => Glance::Session(Box::new(watched)),
                    None => Glance::Unreadable,
                }
            };
            (sid, glance)
        });
        Ok(glances.collect())
    }

    /// When a heartbeat of any recording was last noted, ms since the epoch.
    pub async fn heartbeat_seen_at(&self) -> Result<Option<u64>, StoreError> {
        let item = self
            .item(RECEIVER, &ItemKey::Other(HEARTBEAT.to_owned()))
            .await?;
        Ok(item.as_ref().and_then(|item| read_number(item, "seen_at")))
    }

    /// Notes that a heartbeat of some recording came at `seen_at`.
    pub async fn note_heartbeat(&self, seen_at: u64, now_ms: u64) -> Result<(), StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item(SID, text(RECEIVER))
            .item(ITEM, text(HEARTBEAT))
            .item("seen_at", number(seen_at))
            .item(EXPIRES_AT, number(self.expires_at(now_ms)));
        match put.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(failed("PutItem heartbeat", error)),
        }
    }

    /// Leaves a session alone until `until_ms`.
    pub async fn quieten(&self, sid: &Sid, until_ms: u64) -> Result<(), StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(ItemKey::Session.of(sid.as_str())))
            .update_expression("SET quiet_until = :until")
            .condition_expression("attribute_exists(watch_at)")
            .expression_attribute_values(":until", number(until_ms));
        match update.send().await {
            Ok(_) => Ok(()),
            Err(error) => refused("UpdateItem quiet", error).map(|_| ()),
        }
    }

    /// Reads a watched session, consistently and whole.
    pub async fn watched_session(&self, sid: &Sid, now_ms: u64) -> Result<Found, StoreError> {
        let Some(item) = self.item(sid.as_str(), &ItemKey::Session).await? else {
            return Ok(Found::NotWatched);
        };
        if !item.contains_key(WATCH_AT) || is_quiet(&item, now_ms) {
            return Ok(Found::NotWatched);
        }
        Ok(match read_session_item(sid, &item) {
            Some((watched, version)) => Found::Session(Box::new(FoundSession { watched, version })),
            None => Found::Unreadable,
        })
    }

    /// Notes a look: what it found, as `outgoing` says of each alert, what stands, and whether it
    /// stays watched.
    pub async fn note_look(
        &self,
        found: &FoundSession,
        look: &Look,
        outgoing: impl Fn(AlertKind) -> Outgoing,
        invocation: Invocation<'_>,
    ) -> Result<LookWrite, StoreError> {
        let (expression, values) = look_update(found, look);
        let key = ItemKey::Session.of(found.watched.sid.as_str());
        if look.alerts.is_empty() && look.ended.is_none() {
            let update = self
                .client
                .update_item()
                .table_name(&self.table)
                .set_key(Some(key))
                .update_expression(expression)
                .condition_expression(IS_UNCHANGED)
                .set_expression_attribute_values(Some(values));
            return match update.send().await {
                Ok(_) => Ok(LookWrite::Written(Leases::default())),
                Err(error) if is_invalid(&error) => Ok(LookWrite::Unwritable),
                Err(error) => refused("UpdateItem look", error).map(|_| LookWrite::Overtaken),
            };
        }
        let alerts = look.alerts.iter().map(|alert| {
            let stored = StoredAlert {
                alert: alert.clone(),
                outgoing: outgoing(alert.kind),
                members: None,
            };
            LeasedAlert::new(stored, invocation.id)
        });
        let notice = look.ended.clone().map(|notice| {
            let stored = StoredNotice::new(notice, invocation);
            LeasedNotice::new(stored, invocation.id)
        });
        let leases = Leases {
            alerts: alerts.collect(),
            notice,
        };
        let expires_at = self.alert_expires_at(invocation.now_ms());
        let alerts = leases.alerts.iter();
        let alerts = alerts.map(|leased| leased.stored().item(expires_at));
        let notice = leases.notice.iter();
        let notice = notice.map(|leased| leased.stored().item(expires_at));
        let mut writes = Vec::new();
        for item in alerts.chain(notice) {
            let put = Put::builder()
                .table_name(&self.table)
                .set_item(Some(item))
                .condition_expression(IS_NEW)
                .return_values_on_condition_check_failure(AllOld)
                .build()
                .map_err(|error| unmade(LOOK, error))?;
            writes.push(TransactWriteItem::builder().put(put).build());
        }
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key))
            .update_expression(expression)
            .condition_expression(IS_UNCHANGED)
            .set_expression_attribute_values(Some(values))
            .build()
            .map_err(|error| unmade(LOOK, error))?;
        writes.push(TransactWriteItem::builder().update(update).build());
        let transaction = self
            .client
            .transact_write_items()
            .set_transact_items(Some(writes));
        let error = match transaction.send().await {
            Ok(_) => return Ok(LookWrite::Written(leases)),
            Err(error) if is_invalid(&error) => return Ok(LookWrite::Unwritable),
            Err(error) => error,
        };
        cancellation(reasons(&error), look).ok_or_else(|| undone(LOOK, error))
    }
}

/// The change of a session's item. `updated_at` stays: it tells when a callback was written.
fn look_update(found: &FoundSession, look: &Look) -> (String, HashMap<String, AttributeValue>) {
    let mut values = HashMap::from([
        (":version".to_owned(), number(found.version)),
        (":next_version".to_owned(), number(found.version + 1)),
    ]);
    let mut set = "SET version = :next_version".to_owned();
    let mut remove = Vec::new();
    let Standing {
        silent_since,
        explained_since,
        unconfirmed_since,
        killed_since,
        taken_back,
        covered,
        missing_counted,
        spoke_at,
        told_end,
    } = look.standing.clone();
    let told_end =
        told_end.map(|told| text(format!("{} {}", told.generation, told.outcome.as_str())));
    for (name, value) in [
        ("silent_since", silent_since.map(number)),
        ("explained_since", explained_since.map(number)),
        ("unconfirmed_since", unconfirmed_since.map(number)),
        ("killed_since", killed_since.map(number)),
        ("taken_back", taken_back.map(number)),
        ("missing_counted", missing_counted.map(number)),
        ("spoke_at", spoke_at.map(number)),
        (TOLD_END, told_end),
        (COVERED, covered.map(covered_attribute)),
    ] {
        match value {
            Some(value) => {
                set.push_str(&format!(", {name} = :{name}"));
                values.insert(format!(":{name}"), value);
            }
            None => remove.push(name),
        }
    }
    if !look.stays_watched {
        remove.extend([WATCH_AT, WATCH_SHARD]);
    }
    if !remove.is_empty() {
        set.push_str(&format!(" REMOVE {}", remove.join(", ")));
    }
    (set, values)
}

/// Why the transaction of a look's alerts and its session was cancelled; `None` if the reason is no
/// condition of ours.
fn cancellation(reasons: &[CancellationReason], look: &Look) -> Option<LookWrite> {
    const CONDITION: &str = "ConditionalCheckFailed";
    const CONFLICT: &str = "TransactionConflict";
    const INVALID: &str = "ValidationError";
    let is = |reason: &CancellationReason, code| reason.code() == Some(code);
    // In the order of the writes: the alerts, the notice, the session.
    let (alerts, rest) = reasons.split_at_checked(look.alerts.len())?;
    let (notice, session) = rest.split_at_checked(usize::from(look.ended.is_some()))?;
    let overtaken = session
        .first()
        .is_some_and(|session| is(session, CONDITION));
    if overtaken || reasons.iter().any(|reason| is(reason, CONFLICT)) {
        return Some(LookWrite::Overtaken);
    }
    if reasons.iter().any(|reason| is(reason, INVALID)) {
        return Some(LookWrite::Unwritable);
    }
    let refused = alerts
        .iter()
        .zip(&look.alerts)
        .filter(|(reason, _)| is(reason, CONDITION));
    let claimed = Claimed {
        alerts: refused.map(|(_, alert)| alert.key.clone()).collect(),
        notice: notice.iter().any(|reason| is(reason, CONDITION)),
    };
    (claimed != Claimed::default()).then_some(LookWrite::AlreadyClaimed(claimed))
}

/// Reads the end that programs were told.
fn read_told_end(text: &str) -> Option<ToldEnd> {
    let (generation, outcome) = text.split_once(' ')?;
    Some(ToldEnd {
        generation: generation.parse().ok()?,
        outcome: Ending::read(outcome)?,
    })
}

fn covered_attribute(covered: Covered) -> AttributeValue {
    let uids = covered.uids.into_iter().map(AttributeValue::S).collect();
    let map = HashMap::from([
        ("at".to_owned(), number(covered.at)),
        ("uids".to_owned(), AttributeValue::L(uids)),
    ]);
    AttributeValue::M(map)
}

fn read_covered(value: &AttributeValue) -> Option<Covered> {
    let map = value.as_m().ok()?;
    let uids = map.get("uids")?.as_l().ok()?;
    let uids = uids.iter().filter_map(|uid| uid.as_s().ok().cloned());
    Some(Covered {
        at: read_number(map, "at")?,
        uids: uids.collect(),
    })
}

/// The attributes that the rules need; the ledgers, which are large, aren't among them.
static NEEDED: LazyLock<Projection> = LazyLock::new(|| {
    let registers = RegisterName::ALL.map(RegisterName::as_str);
    let others = [
        SID,
        CNAME,
        VERSION,
        QUIET_UNTIL,
        HEARD_AT,
        "uid",
        "generation",
        "since",
        "heard_since",
        "since_sequence",
        "announced_at",
        "first_sequence",
        "last_sequence",
        "last_sendts",
        "updated_at",
        "previous",
        "silent_since",
        "explained_since",
        "unconfirmed_since",
        "killed_since",
        "taken_back",
        "missing_counted",
        "spoke_at",
        TOLD_END,
        COVERED,
    ];
    Projection::of(others.into_iter().chain(registers))
});

fn is_quiet(item: &Item, now_ms: u64) -> bool {
    read_number(item, QUIET_UNTIL).is_some_and(|until| until > now_ms)
}

/// A session and its version; `None` if the item can't be read as one.
fn read_session_item(sid: &Sid, item: &Item) -> Option<(Watched, u64)> {
    let version = read_number(item, VERSION)?;
    let watched = read_watched(sid.clone(), item);
    (!watched.session.recorders.is_empty()).then_some((watched, version))
}

/// Reads the part of a session's item that the watchdog needs.
pub(in crate::store) fn read_watched(sid: Sid, item: &Item) -> Watched {
    Watched {
        sid,
        cname: read_text(item, CNAME).unwrap_or_default().to_owned(),
        session: read_session(item),
        updated_at: read_number(item, "updated_at").unwrap_or(u64::MAX),
        heard_at: read_number(item, HEARD_AT),
        standing: Standing {
            silent_since: read_number(item, "silent_since"),
            explained_since: read_number(item, "explained_since"),
            unconfirmed_since: read_number(item, "unconfirmed_since"),
            killed_since: read_number(item, "killed_since"),
            taken_back: read_number(item, "taken_back"),
            missing_counted: read_number(item, "missing_counted"),
            spoke_at: read_number(item, "spoke_at"),
            told_end: read_text(item, TOLD_END).and_then(read_told_end),
            covered: item.get(COVERED).and_then(read_covered),
        },
    }
}
