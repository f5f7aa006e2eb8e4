//! Sending what is ours: an alert to its destinations, or a notice to the bus, then noting how each
//! took it. Who may is decided before, in the table: only what is leased can be sent, and only
//! until that is over.
//!
//! Must not know: what the alert is about.

mod notice;
mod pages;
mod plan;

pub use pages::PageKeys;

use crate::alert::{
    AlertKind, Attempt, DETAIL_TYPE, Destination, Destinations, INCIDENT_TYPE, Incident, Links,
    Message, incident_detail, message,
};
use crate::bus::{Bus, Entry, PutError};
use crate::error::chain;
use crate::files::Bucket;
use crate::invocation::Invocation;
use crate::store::{Lease, LeasedAlert, Store};
use crate::topic::{PublishError, Topics};
use futures_util::future::join_all;
use plan::{Plan, plan};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Time reserved for noting how a slow publish went.
const NOTE_RESERVE: Duration = Duration::from_millis(700);
/// A publish isn't begun with less time: one that is cut off may have arrived, and comes twice.
const PUBLISH_RESERVE: Duration = Duration::from_millis(400);
/// How long the counter of the minute may take. Without its answer the sweeper sends the alert.
const COUNT: Duration = Duration::from_secs(1);
/// How long a callback waits for the bus.
const BUS: Duration = Duration::from_millis(900);
/// How long a process that waited in vain leaves the bus to the sweeper, in ms.
const BUS_RESTS_MS: u64 = 60 * 1000;
const MINUTE_MS: u64 = 60 * 1000;

/// Where alerts and notices leave.
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
    /// In which minute a destination has got all that it may get at once, as far as this process
    /// knows.
    budget_spent_in: Mutex<BTreeMap<Destination, u64>>,
    /// Until when the bus is left to the sweeper, ms since the epoch.
    bus_rests_until: AtomicU64,
}

/// The outcome of sending an alert or a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// All that it is for were told.
    Published,
    /// There was nothing to tell.
    Empty,
    /// Some weren't told, because enough has been sent in this minute or the bus rests: that leaves
    /// with the next sweep.
    Left,
    /// What there is to tell isn't known yet.
    Waits,
    /// Some weren't told: it can be sent again once the lease is over.
    Deferred,
    /// The same; its content is rejected.
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

/// The outcome of sending, and what failed.
#[derive(Debug)]
pub struct Sent {
    /// The outcome, as far as the topics go; that of a notice is the bus's.
    pub outcome: SendOutcome,
    /// What failed, with its causes: a publish, or noting one.
    pub error: Option<String>,
    /// The bus wasn't told.
    pub is_bus_deferred: bool,
}

impl Sent {
    fn of(outcome: SendOutcome) -> Self {
        Self {
            outcome,
            error: None,
            is_bus_deferred: false,
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
    fn of(lease: &Lease, invocation: Invocation<'_>) -> Self {
        let left_ms = lease.ends_at().saturating_sub(invocation.now_ms());
        let lease_ends = Instant::now() + Duration::from_millis(left_ms);
        let deadline = invocation.deadline;
        let leave_time = deadline.checked_sub(NOTE_RESERVE).unwrap_or(deadline);
        Self {
            send: leave_time.min(lease_ends),
            note: leave_time + NOTE_RESERVE / 2,
        }
    }

    /// True if a publish can still be begun.
    fn has_time(&self) -> bool {
        Instant::now() + PUBLISH_RESERVE <= self.send
    }
}

/// Why a destination wasn't told, or perhaps was: an answer can be lost.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// SNS.
    #[error(transparent)]
    Topic(#[from] PublishError),
    /// EventBridge.
    #[error(transparent)]
    Bus(#[from] PutError),
    /// It took too long.
    #[error("it took too long")]
    Timeout,
}

impl SendError {
    /// True if it is the content that isn't liked: others may well go through.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Topic(PublishError::Refused(_)) | Self::Bus(PutError::Refused(_)) => true,
            Self::Topic(PublishError::Failed(_)) | Self::Bus(PutError::Failed(_)) => false,
            Self::Timeout => false,
        }
    }
}

/// How each destination took a message: with the id that it gave it.
type Publishes = BTreeMap<Destination, Result<String, SendError>>;

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
            budget_spent_in: Mutex::default(),
            bus_rests_until: AtomicU64::new(0),
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

    /// Fetches the key of the links ahead of the first alert.
    pub async fn warm(&self, now_ms: u64) {
        if let Some(pages) = &self.pages {
            pages.warm(now_ms).await;
        }
    }

    /// What a message made at `now_ms` since the epoch leads to.
    pub async fn links(&self, now_ms: u64) -> Links {
        Links {
            runbook: self.runbook.clone(),
            pages: match &self.pages {
                Some(pages) => pages.pages(now_ms).await,
                None => None,
            },
        }
    }

    /// True if there is such a destination.
    #[must_use]
    pub fn has(&self, at: Destination) -> bool {
        if at.is_on_bus() {
            self.bus.is_some()
        } else {
            self.topics.arn(at).is_some()
        }
    }

    /// Who is told of alerts of this kind.
    #[must_use]
    pub fn destinations(&self, kind: AlertKind) -> Destinations {
        let all = Destination::ALL.into_iter();
        all.filter(|at| at.is_for(kind) && self.has(*at)).collect()
    }

    /// Tells those of a new alert that haven't got enough in this minute; the rest is left to the
    /// next sweep. Ends before the deadline of `invocation`, and waits for the bus for a second at
    /// most.
    pub async fn announce(
        &self,
        store: &Store,
        leased: &mut LeasedAlert,
        invocation: Invocation<'_>,
    ) -> Sent {
        let claimed: Destinations = leased.lease().destinations().collect();
        let counts = self.counts(store, &claimed, invocation).await;
        let plan = plan(&claimed, &counts, self.bus_rests(invocation.now_ms()));
        // What fails can be tried again once the lease is over.
        self.send_planned(store, leased, &plan, None, invocation)
            .await
    }

    /// Tells the people of a lease; what fails is put off. Programs are told after everybody else.
    /// Ends before the deadline of `invocation`.
    pub async fn send(
        &self,
        store: &Store,
        leased: &mut LeasedAlert,
        invocation: Invocation<'_>,
    ) -> Sent {
        let plan = Plan {
            now: leased
                .lease()
                .destinations()
                .filter(|at| Destination::PACED.contains(at))
                .collect(),
            later: Destinations::new(),
        };
        self.send_planned(store, leased, &plan, Some(Attempt::Failed), invocation)
            .await
    }

    async fn send_planned(
        &self,
        store: &Store,
        leased: &mut LeasedAlert,
        plan: &Plan,
        failed: Option<Attempt>,
        invocation: Invocation<'_>,
    ) -> Sent {
        let limits = Limits::of(leased.lease(), invocation);
        if !limits.has_time() {
            let error = "the lease was over before the alert could be published";
            return Sent::deferred(error.to_owned());
        }
        let mut publishes = Publishes::new();
        if !plan.now.is_empty() {
            let links = self.links(invocation.now_ms()).await;
            let message = message(leased.alert(), &Incident::of(leased.alert()), &links);
            publishes = self.publish(&plan.now, &message, &limits).await;
        }
        let now_ms = invocation.now_ms();
        let is_late = |(at, went): (&Destination, &Result<_, SendError>)| {
            at.is_on_bus() && matches!(went, Err(SendError::Timeout))
        };
        if publishes.iter().any(is_late) {
            let until_ms = now_ms + BUS_RESTS_MS;
            self.bus_rests_until.store(until_ms, Ordering::Relaxed);
        }
        let left = plan.later.iter();
        let mut attempts: BTreeMap<_, _> =
            left.map(|at| (*at, leased.lease().leave(*at))).collect();
        attempts.extend(publishes.iter().filter_map(|(at, went)| {
            let attempt = match went {
                Ok(message_id) => Some(Attempt::Told(message_id.clone())),
                Err(_) => failed.clone(),
            };
            Some((*at, attempt?))
        }));
        let mut sent = summary(plan, &publishes);
        if attempts.is_empty() {
            return sent;
        }
        let note = store.note(leased, &attempts, now_ms);
        let error = match timeout_at(limits.note, note).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(chain(&error)),
            Err(_) => Some("noting what was published took too long".to_owned()),
        };
        let errors = sent.error.into_iter().chain(error);
        let errors: Vec<_> = errors.collect();
        sent.error = (!errors.is_empty()).then(|| errors.join("; "));
        sent
    }

    /// Publishes a message to these, all at the same time, so that one that hangs doesn't hold back
    /// the others.
    async fn publish(&self, to: &Destinations, message: &Message, limits: &Limits) -> Publishes {
        let bus_until = limits.send.min(Instant::now() + BUS);
        let publishes = to.iter().map(|at| async move {
            let until = if at.is_on_bus() {
                bus_until
            } else {
                limits.send
            };
            (*at, self.publish_to(*at, message, until).await)
        });
        join_all(publishes).await.into_iter().collect()
    }

    /// Publishes a message to one destination until then; the id that it gave it.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn publish_to(
        &self,
        at: Destination,
        message: &Message,
        until: Instant,
    ) -> Result<String, SendError> {
        let publish = async {
            Ok(match (at, &self.bus) {
                (Destination::Critical | Destination::Alerts, _) => {
                    self.topics.publish(at, message).await?
                }
                (Destination::Incidents, Some(bus)) => {
                    bus.put(INCIDENT_TYPE, &incident_detail(&message.detail))
                        .await?
                }
                (Destination::Facts, Some(bus)) => bus.put(DETAIL_TYPE, &message.detail).await?,
                (Destination::Incidents | Destination::Facts, None) => String::new(),
            })
        };
        timeout_at(until, publish)
            .await
            .unwrap_or(Err(SendError::Timeout))
    }

    /// Tells programs of alerts, each by its message, in one request; how each went.
    ///
    /// # Errors
    /// [`SendError`]: none of them may be there.
    pub async fn put_facts(
        &self,
        messages: &[Message],
        until: Instant,
    ) -> Result<Vec<Result<String, PutError>>, SendError> {
        let Some(bus) = &self.bus else {
            return Ok(Vec::new());
        };
        let entries = messages.iter().map(|message| Entry {
            detail_type: DETAIL_TYPE,
            detail: &message.detail,
        });
        let entries: Vec<_> = entries.collect();
        match timeout_at(until, bus.put_all(&entries)).await {
            Ok(put) => Ok(put?),
            Err(_) => Err(SendError::Timeout),
        }
    }

    /// True while the bus is left to the sweeper, because it hung a moment ago.
    fn bus_rests(&self, now_ms: u64) -> bool {
        self.bus_rests_until.load(Ordering::Relaxed) > now_ms
    }

    /// Counts an alert at those destinations that have a budget, and tells the number that it is
    /// there in this minute; those of which nothing is known aren't in it.
    async fn counts(
        &self,
        store: &Store,
        to: &Destinations,
        invocation: Invocation<'_>,
    ) -> BTreeMap<Destination, u64> {
        let now_ms = invocation.now_ms();
        let minute = now_ms / MINUTE_MS;
        let asked: Destinations = {
            let spent_in = self.budget_spent_in.lock();
            let spent_in = spent_in.unwrap_or_else(PoisonError::into_inner);
            let paced = Destination::PACED.into_iter();
            paced
                .filter(|at| to.contains(at) && spent_in.get(at) != Some(&minute))
                .collect()
        };
        if asked.is_empty() {
            return BTreeMap::new();
        }
        let until = invocation.deadline.min(Instant::now() + COUNT);
        let Ok(Ok(counts)) = timeout_at(until, store.count_alert(&asked, now_ms)).await else {
            return BTreeMap::new();
        };
        let spent = counts.iter().filter(|(_, count)| **count > plan::AT_ONCE);
        let mut spent_in = self
            .budget_spent_in
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        spent_in.extend(spent.map(|(at, _)| (*at, minute)));
        counts
    }
}

/// What came of it, all destinations together.
fn summary(plan: &Plan, publishes: &Publishes) -> Sent {
    let failed = publishes.iter().filter_map(|(at, went)| {
        let error = went.as_ref().err()?;
        Some((*at, error))
    });
    let failed: Vec<_> = failed.collect();
    let (on_bus, topics): (Vec<_>, Vec<_>) = failed.iter().partition(|(at, _)| at.is_on_bus());
    let outcome = if topics.iter().any(|(_, error)| error.is_refusal()) {
        SendOutcome::Refused
    } else if !topics.is_empty() {
        SendOutcome::Deferred
    } else if plan.later.iter().any(|at| !at.is_on_bus()) {
        SendOutcome::Left
    } else {
        SendOutcome::Published
    };
    let errors = failed.iter();
    let errors: Vec<_> = errors
        .map(|(at, error)| format!("{}: {}", at.as_str(), chain(error)))
        .collect();
    Sent {
        outcome,
        error: (!errors.is_empty()).then(|| errors.join("; ")),
        // Facts have no budget: they are left only where the bus rests.
        is_bus_deferred: !on_bus.is_empty() || plan.later.contains(&Destination::Facts),
    }
}
