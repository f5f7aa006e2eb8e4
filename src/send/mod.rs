//! Sending what is ours, an alert to what it is for or a notice to the bus, then marking it as
//! sent. Who may is decided before, in the table: only what is leased can be sent, and only until
//! that is over. How much may leave at once is decided here: SNS suspends an email subscription
//! that gets more than ten messages a second, and a storm would silence the very person who has to
//! act.
//!
//! Must not know: what the alert is about.

mod notice;
mod pages;
mod prepare;

pub use pages::PageKeys;

use crate::alert::{
    Alert, DETAIL_TYPE, Destination, Destinations, Incident, Links, Message, Severity, message,
};
use crate::bus::{Bus, PutError};
use crate::error::chain;
use crate::files::Bucket;
use crate::invocation::Invocation;
use crate::store::{Hold, Lease, Store};
use crate::topic::{PublishError, Topics};
use futures_util::future::join_all;
use prepare::{Opened, Prepared, opened, prepare};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Time reserved for marking an alert as sent after a slow publish.
const MARK_SENT_RESERVE: Duration = Duration::from_millis(700);
/// A publish isn't begun with less time: one that is cut off may have arrived, and comes twice.
const PUBLISH_RESERVE: Duration = Duration::from_millis(400);
/// So many alerts a minute go to a topic at once; the rest leaves with the sweeper.
const AT_ONCE: u64 = 3;
/// How long the counter of the minute may take. Without its answer an alert is published.
const COUNT: Duration = Duration::from_secs(1);
const MINUTE_MS: u64 = 60 * 1000;
/// How often a process tells of alerts that it can't write down, in ms.
const CRY_EVERY_MS: u64 = 5 * 60 * 1000;

/// Where alerts leave.
#[derive(Debug)]
pub struct Outbox {
    /// The topics.
    pub topics: Topics,
    /// The bus for programs, if there is one.
    bus: Option<Bus>,
    /// Where the files are, if that is known.
    bucket: Option<Bucket>,
    /// The address of the runbook, which every message leads to.
    runbook: Option<String>,
    /// The pages of recordings, if messages lead there, too.
    pages: Option<PageKeys>,
    /// Up to which minute a topic has got all that it may get at once, as far as this process
    /// knows.
    full_in: Mutex<BTreeMap<Destination, u64>>,
    /// When this process last told of an alert that it couldn't write down, ms since the epoch.
    cried_at: Mutex<Option<u64>>,
}

/// The outcome of sending an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// It is published to all that it is for.
    Published,
    /// A digest whose members have all left otherwise: there is nothing to say any more.
    Empty,
    /// It isn't published, or not to all, because enough has been in this minute: it leaves with
    /// the next sweep.
    Left,
    /// It takes back an alert that isn't sent yet: that one goes first.
    Waits,
    /// It isn't published, or not to all, and stays pending: it can be sent again once the lease is
    /// over.
    Deferred,
    /// The same; SNS rejects its content.
    Refused,
}

impl SendOutcome {
    /// The outcome in a word, for the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Empty => "empty",
            Self::Left => "left_to_sweep",
            Self::Waits => "waits",
            Self::Deferred => "deferred",
            Self::Refused => "refused",
        }
    }
}

/// The outcome of sending an alert, and what failed.
#[derive(Debug)]
pub struct Sent {
    /// The outcome.
    pub outcome: SendOutcome,
    /// What failed, with its causes: a publish, or noting one.
    pub error: Option<String>,
    /// Of all destinations only the bus failed: SNS is well.
    pub only_bus_failed: bool,
}

impl Sent {
    fn of(outcome: SendOutcome) -> Self {
        Self {
            outcome,
            error: None,
            only_bus_failed: false,
        }
    }

    fn deferred(error: String) -> Self {
        Self {
            error: Some(error),
            ..Self::of(SendOutcome::Deferred)
        }
    }
}

/// How long one alert or notice may take.
struct Limits {
    /// Until when it may be sent: the lease isn't over, and there is time to note it.
    send: Instant,
    /// Until when it may be noted.
    note: Instant,
}

impl Limits {
    fn of(hold: &Hold, invocation: Invocation<'_>) -> Self {
        let left_ms = hold.ends_at().saturating_sub(invocation.now_ms());
        let lease_ends = Instant::now() + Duration::from_millis(left_ms);
        let deadline = invocation.deadline;
        let leave_time = deadline.checked_sub(MARK_SENT_RESERVE).unwrap_or(deadline);
        Self {
            send: leave_time.min(lease_ends),
            note: leave_time + MARK_SENT_RESERVE / 2,
        }
    }
}

/// How the destinations took a message.
#[derive(Debug, Default)]
struct Published {
    /// What failed.
    rest: Destinations,
    /// SNS's id of the message, of the last topic that took it.
    message_id: Option<String>,
    is_refused: bool,
    errors: Vec<String>,
}

/// Why one destination didn't take a message.
struct Failure {
    /// It was for its content.
    is_refusal: bool,
    text: String,
}

impl From<PutError> for Failure {
    fn from(error: PutError) -> Self {
        Self {
            is_refusal: matches!(error, PutError::Refused(_)),
            text: chain(&error),
        }
    }
}

impl Outbox {
    /// Alerts leave to `topics`, with the address of the runbook in them.
    #[must_use]
    pub fn new(topics: Topics, runbook: Option<String>) -> Self {
        Self {
            topics,
            bus: None,
            bucket: None,
            runbook,
            pages: None,
            full_in: Mutex::default(),
            cried_at: Mutex::default(),
        }
    }

    /// Tells programs on a bus, too, with the addresses of files in `bucket`.
    #[must_use]
    pub fn with_bus(self, bus: Option<Bus>, bucket: Option<Bucket>) -> Self {
        Self {
            bus,
            bucket,
            ..self
        }
    }

    /// The bus on which programs are told, if there is one.
    #[must_use]
    pub fn bus(&self) -> Option<&Bus> {
        self.bus.as_ref()
    }

    /// Lets messages lead to the pages of their recordings.
    #[must_use]
    pub fn with_pages(self, pages: Option<PageKeys>) -> Self {
        Self { pages, ..self }
    }

    /// What a message made at `now_ms` since the epoch leads to. The first time, and every few
    /// minutes, the key of the links has to be fetched: a message doesn't wait long for it.
    pub async fn links(&self, now_ms: u64) -> Links {
        Links {
            runbook: self.runbook.clone(),
            pages: match &self.pages {
                Some(pages) => pages.pages(now_ms).await,
                None => None,
            },
        }
    }

    /// Publishes an alert to all that it still has to be published to, and marks it as sent. What
    /// fails doesn't hold back the others, and isn't sent to them again. Ends before the deadline
    /// of `invocation`.
    pub async fn send(&self, store: &Store, lease: &Lease, invocation: Invocation<'_>) -> Sent {
        self.send_but(store, lease, None, &Destinations::new(), invocation)
            .await
    }

    /// The same, but only as far as each topic hasn't got enough in this minute; the rest is left
    /// to the next sweep, and so is what takes back what a digest told: others will follow.
    pub async fn announce(&self, store: &Store, lease: &Lease, invocation: Invocation<'_>) -> Sent {
        let opened = opened(store, lease.alert());
        let opened = match timeout_at(invocation.deadline, opened).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => return Sent::deferred(chain(&error)),
            Err(_) => return Sent::deferred("reading what is taken back took too long".to_owned()),
        };
        let over = match opened {
            Opened::NotYet => return Sent::of(SendOutcome::Waits),
            Opened::Alone => self.over_budget(store, lease.to(), invocation).await,
            Opened::In(_) => lease.to().clone(),
        };
        self.send_but(store, lease, Some(opened), &over, invocation)
            .await
    }

    /// Sends an alert to all but `later`, which is left to the next sweep.
    async fn send_but(
        &self,
        store: &Store,
        lease: &Lease,
        known: Option<Opened>,
        later: &Destinations,
        invocation: Invocation<'_>,
    ) -> Sent {
        if lease.hold().ends_at() <= invocation.now_ms() {
            let error = "the lease was over before the alert could be published";
            return Sent::deferred(error.to_owned());
        }
        let Limits {
            send: until,
            note: note_until,
        } = Limits::of(lease.hold(), invocation);
        let now: Destinations = lease.to().difference(later).copied().collect();
        let (mut published, members) = if now.is_empty() && !later.is_empty() {
            (Published::default(), None)
        } else {
            let links = self.links(invocation.now_ms()).await;
            let prepared = prepare(store, lease, known, &links, invocation);
            match timeout_at(until, prepared).await {
                Ok(Ok(Prepared::Ready(..))) if Instant::now() + PUBLISH_RESERVE > until => {
                    return Sent::deferred("there was no time left to publish".to_owned());
                }
                Ok(Ok(Prepared::Ready(message, members))) => {
                    (self.publish(&now, &message, until).await, members)
                }
                Ok(Ok(Prepared::Empty)) => (Published::default(), Some(0)),
                Ok(Ok(Prepared::Waits)) => {
                    return Sent::of(SendOutcome::Waits);
                }
                Ok(Err(error)) => return Sent::deferred(chain(&error)),
                Err(_) => return Sent::deferred("preparing the alert took too long".to_owned()),
            }
        };
        let outcome = if !later.is_empty() {
            SendOutcome::Left
        } else if published.is_refused {
            SendOutcome::Refused
        } else if !published.rest.is_empty() {
            SendOutcome::Deferred
        } else if members == Some(0) {
            SendOutcome::Empty
        } else {
            SendOutcome::Published
        };
        let rest: Destinations = published.rest.union(later).copied().collect();
        let now_ms = invocation.now_ms();
        let note = async {
            if !later.is_empty() {
                store.leave_alert(lease, &rest, now_ms).await
            } else if rest.is_empty() {
                let message_id = published.message_id.as_deref().unwrap_or_default();
                store.mark_sent(lease, message_id, members, now_ms).await
            } else if rest == *lease.to() {
                Ok(())
            } else {
                store.note_rest(lease, &rest).await
            }
        };
        match timeout_at(note_until, note).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => published.errors.push(chain(&error)),
            Err(_) => {
                let error = "noting what was published took too long";
                published.errors.push(error.to_owned());
            }
        }
        let errors = published.errors;
        Sent {
            error: (!errors.is_empty()).then(|| errors.join("; ")),
            only_bus_failed: published.rest == [Destination::Bus].into(),
            ..Sent::of(outcome)
        }
    }

    /// Publishes a message to those of `to` that there are, all at the same time, so that one that
    /// hangs doesn't hold back the others.
    async fn publish(&self, to: &Destinations, message: &Message, until: Instant) -> Published {
        let there = to.iter().filter(|to| self.has(**to));
        let publishes = there
            .map(|to| async move { (*to, timeout_at(until, self.publish_to(*to, message)).await) });
        let mut published = Published::default();
        for (to, came) in join_all(publishes).await {
            let error = match came {
                Ok(Ok(message_id)) => {
                    if to != Destination::Bus {
                        published.message_id = Some(message_id);
                    }
                    continue;
                }
                Ok(Err(error)) => {
                    published.is_refused |= error.is_refusal;
                    error.text
                }
                Err(_) => "Publish took too long".to_owned(),
            };
            published.rest.insert(to);
            published.errors.push(format!("{}: {error}", to.as_str()));
        }
        published
    }

    fn has(&self, to: Destination) -> bool {
        match to {
            Destination::Critical | Destination::Alerts => self.topics.arn(to).is_some(),
            Destination::Bus => self.bus.is_some(),
        }
    }

    /// Publishes a message to one destination; to one that there isn't, nothing.
    async fn publish_to(&self, to: Destination, message: &Message) -> Result<String, Failure> {
        if let (Destination::Bus, Some(bus)) = (to, &self.bus) {
            let put = bus.put(DETAIL_TYPE, &message.detail).await;
            return put.map_err(Failure::from);
        }
        match self.topics.arn(to) {
            Some(arn) => self
                .topics
                .publish(arn, message)
                .await
                .map_err(|error| Failure {
                    is_refusal: matches!(error, PublishError::Refused(_)),
                    text: chain(&error),
                }),
            None => Ok(String::new()),
        }
    }

    /// The topics of `to` that have got enough in this minute; this alert is counted.
    async fn over_budget(
        &self,
        store: &Store,
        to: &Destinations,
        invocation: Invocation<'_>,
    ) -> Destinations {
        let now_ms = invocation.now_ms();
        let minute = now_ms / MINUTE_MS;
        let (over, asked): (Destinations, Destinations) = {
            let full_in = self.full_in.lock().unwrap_or_else(PoisonError::into_inner);
            let there = to.iter().filter(|to| self.topics.arn(**to).is_some());
            there.partition(|to| full_in.get(to) == Some(&minute))
        };
        // What may leave in a digest leaves on the bus as that digest only.
        let with_bus = |mut over: Destinations| {
            let waits = !over.is_empty() && to.contains(&Destination::Bus);
            over.extend(waits.then_some(Destination::Bus));
            over
        };
        if asked.is_empty() {
            return with_bus(over);
        }
        let until = invocation.deadline.min(Instant::now() + COUNT);
        let Ok(Ok(counts)) = timeout_at(until, store.count_alert(&asked, now_ms)).await else {
            return with_bus(over);
        };
        let now_over = counts.iter().filter(|(_, count)| **count > AT_ONCE);
        let now_over: Destinations = now_over.map(|(to, _)| *to).collect();
        let mut full_in = self.full_in.lock().unwrap_or_else(PoisonError::into_inner);
        full_in.extend(now_over.iter().map(|to| (*to, minute)));
        with_bus(over.union(&now_over).copied().collect())
    }

    /// Tells of a critical alert that can't be written down, at most once in five minutes a
    /// process; `None` if it isn't told. Nobody knows of it afterwards: it may come again.
    pub async fn cry(&self, alert: &Alert, invocation: Invocation<'_>) -> Option<Sent> {
        let now_ms = invocation.now_ms();
        {
            let mut cried_at = self.cried_at.lock().unwrap_or_else(PoisonError::into_inner);
            let is_soon = cried_at.is_some_and(|at| at.saturating_add(CRY_EVERY_MS) > now_ms);
            if is_soon || alert.kind.severity() != Severity::Critical {
                return None;
            }
            *cried_at = Some(now_ms);
        }
        let links = self.links(now_ms).await;
        let message = message(alert, &Incident::of(alert), &links).of_table_down();
        let mut to = Destination::of(alert.kind);
        to.insert(Destination::Bus);
        let published = self.publish(&to, &message, invocation.deadline).await;
        let outcome = if published.rest.is_empty() {
            SendOutcome::Published
        } else {
            SendOutcome::Deferred
        };
        let errors = published.errors;
        Some(Sent {
            error: (!errors.is_empty()).then(|| errors.join("; ")),
            ..Sent::of(outcome)
        })
    }
}
