//! An authentic body, from reading to alert: sort, write down, commit, alert. The path is the same
//! whether it comes from Agora or out of quarantine.
//!
//! What always holds:
//!
//! - An alert and a notice are written down before anything is sent, and only their owner sends
//!   them. What can't be written down isn't sent: the callback comes again.
//! - A notice is sent once its callback is stored.
//! - What is answered as stored has its event, its session and its alert in the table.
//! - What can't be stored as a callback is kept in quarantine.

use crate::alert::{Alert, AlertKind};
use crate::error::chain;
use crate::invocation::Invocation;
use crate::notice::Notice;
use crate::notification::{CLOUD_RECORDING, Envelope, Notification, QuarantineReason, Unreadable};
use crate::record::StoredAlert;
use crate::reply::{Freshness, Reply, Stored};
use crate::send::{Outbox, SendOutcome, Sent};
use crate::signature::Verified;
use crate::store::{
    Came, Claim, EventWrite, KeptDetails, LeasedNotice, Merge, QuarantineWrite, Quarantined,
    SessionWrite, Store, StoreError, keep_details,
};
use std::time::Duration;
use tokio::time::timeout;

/// How long writing an alert down may take. After that the callback is answered 503.
const CLAIM: Duration = Duration::from_millis(2500);

/// Where authentic bodies go: the two clients, which alerts are sent, and what is too old.
#[derive(Debug)]
pub struct Intake {
    store: Store,
    outbox: Outbox,
    alert_kinds: Vec<AlertKind>,
    max_callback_age_ms: Option<u64>,
}

/// What an authentic body turns out to be.
#[derive(Debug)]
pub enum Sorted {
    /// A callback of Cloud Recording.
    Callback(Box<Notification>),
    /// The console's check.
    Check,
    /// A callback of another product.
    OtherProduct,
    /// It can't be read, or is too old.
    Rejected {
        /// Why.
        reason: QuarantineReason,
        /// Its `noticeId`, if that much can be read.
        notice_id: Option<String>,
    },
}

/// What became of a request: the answer, and what the log line says.
#[derive(Debug)]
pub struct Outcome {
    /// The answer.
    pub reply: Reply,
    /// The callback, if it could be read.
    pub callback: Option<Box<Notification>>,
    /// What became of the session's item.
    pub session: Option<SessionWrite>,
    /// What became of the alert, if there is one.
    pub alert: Option<AlertOutcome>,
    /// What became of the notice, if it was ours to send.
    pub notice: Option<SendOutcome>,
    /// The bus wasn't told of the alert.
    pub is_bus_deferred: bool,
    /// How much of the body is in quarantine, if it is there.
    pub quarantined: Option<QuarantineWrite>,
    /// What failed, with its causes.
    pub error: Option<String>,
}

/// The outcome of a callback's alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertOutcome {
    /// It was ours to send.
    Sent(SendOutcome),
    /// It is another invocation's to send, or sent already.
    HeldElsewhere,
    /// It can't be written down, and isn't sent: the callback comes again.
    Unwritten,
}

impl AlertOutcome {
    /// The outcome in a word, for the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sent(outcome) => outcome.as_str(),
            Self::HeldElsewhere => "held_elsewhere",
            Self::Unwritten => "unwritten",
        }
    }
}

/// Whether to take what is in quarantine only because it was too old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// It stays.
    Leave,
    /// It is stored as if it had come in time.
    Take,
}

/// What became of a body out of quarantine.
#[derive(Debug)]
pub enum Redriven {
    /// It stays in quarantine.
    Stays(Stays),
    /// It was handled; it is out of quarantine if it is stored.
    Handled(Box<Outcome>),
}

/// What would become of a body out of quarantine.
#[derive(Debug)]
pub enum Preview {
    /// It would stay.
    Stays(Stays),
    /// It would be stored.
    Readable {
        /// The callback.
        callback: Box<Notification>,
        /// The alert it would raise.
        alert: Option<AlertKind>,
    },
}

/// Why a body stays in quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stays {
    /// It still can't be read.
    #[error(transparent)]
    Unreadable(Unreadable),
    /// It is the console's check.
    #[error("the console's check is never stored")]
    Check,
    /// It is another product's.
    #[error("{FOREIGN} is never stored")]
    OtherProduct,
    /// It was too old, and [`Stale::Take`] wasn't asked for.
    #[error("too old; --stale takes it")]
    TooOld,
    /// Only its beginning was kept.
    #[error("too large; only its beginning was kept")]
    Cut,
}

/// Why another product's callback is ignored.
const FOREIGN: &str = "not a Cloud Recording callback";

impl Sorted {
    /// Sorts a body. What was sent before `oldest_ms`, ms since the epoch, is too old.
    #[must_use]
    pub fn of(body: &Verified<'_>, oldest_ms: u64) -> Self {
        let envelope = match Envelope::read(body) {
            Ok(envelope) => envelope,
            Err(unreadable) => {
                return Self::Rejected {
                    reason: QuarantineReason::Unreadable(unreadable),
                    notice_id: None,
                };
            }
        };
        if envelope.is_check() {
            return Self::Check;
        }
        if envelope
            .product_id()
            .is_some_and(|product| product != CLOUD_RECORDING)
        {
            return Self::OtherProduct;
        }
        let notice_id = envelope.notice_id();
        let reason = if envelope.notify_ms().is_some_and(|sent| sent < oldest_ms) {
            QuarantineReason::TooOld
        } else {
            match envelope.into_notification() {
                Ok(notification) => return Self::Callback(Box::new(notification)),
                Err(unreadable) => QuarantineReason::Unreadable(unreadable),
            }
        };
        Self::Rejected { reason, notice_id }
    }
}

impl Intake {
    /// An intake that takes callbacks of any age.
    #[must_use]
    pub fn new(store: Store, outbox: Outbox, alert_kinds: Vec<AlertKind>) -> Self {
        Self {
            store,
            outbox,
            alert_kinds,
            max_callback_age_ms: None,
        }
    }

    /// Quarantines what was sent longer ago than this; `None` for no limit.
    #[must_use]
    pub fn with_max_callback_age(self, max_callback_age_ms: Option<u64>) -> Self {
        Self {
            max_callback_age_ms,
            ..self
        }
    }

    /// Sorts a body that came at `now_ms`.
    #[must_use]
    pub fn sort(&self, body: &Verified<'_>, now_ms: u64) -> Sorted {
        let oldest_ms = self
            .max_callback_age_ms
            .map_or(0, |max_age_ms| now_ms.saturating_sub(max_age_ms));
        Sorted::of(body, oldest_ms)
    }

    /// Handles a sorted body. The caller keeps the deadline, and adds the callback to the outcome.
    pub async fn handle(
        &self,
        sorted: &Sorted,
        body: Verified<'_>,
        invocation: Invocation<'_>,
    ) -> Outcome {
        match sorted {
            Sorted::Callback(notification) => {
                self.store_and_alert(notification, body, Came::Now, invocation)
                    .await
            }
            Sorted::Check => Outcome::answer(Reply::Test),
            Sorted::OtherProduct => Outcome::answer(Reply::Ignored { reason: FOREIGN }),
            Sorted::Rejected { reason, notice_id } => {
                let now_ms = invocation.began_at_ms();
                self.quarantine(body, *reason, notice_id.as_deref(), now_ms)
                    .await
            }
        }
    }

    /// What [`Intake::redrive`] would do.
    #[must_use]
    pub fn preview(&self, quarantined: &Quarantined, stale: Stale) -> Preview {
        match read_again(quarantined, stale) {
            Ok((_, callback)) => Preview::Readable {
                alert: Alert::of(&callback, &self.alert_kinds).map(|alert| alert.kind),
                callback,
            },
            Err(stays) => Preview::Stays(stays),
        }
    }

    /// Handles a body out of quarantine as if it could have been read when it came.
    ///
    /// # Errors
    /// [`StoreError`] if it is stored and couldn't be taken out of quarantine; it can be redriven
    /// again.
    pub async fn redrive(
        &self,
        quarantined: &Quarantined,
        stale: Stale,
        invocation: Invocation<'_>,
    ) -> Result<Redriven, StoreError> {
        let (body, callback) = match read_again(quarantined, stale) {
            Ok(read) => read,
            Err(stays) => return Ok(Redriven::Stays(stays)),
        };
        let outcome = self
            .store_and_alert(
                &callback,
                body,
                Came::Before(quarantined.received_at),
                invocation,
            )
            .await;
        if matches!(outcome.reply, Reply::Stored(_)) {
            self.store.release(quarantined).await?;
        }
        Ok(Redriven::Handled(Box::new(Outcome {
            callback: Some(callback),
            ..outcome
        })))
    }

    async fn quarantine(
        &self,
        body: Verified<'_>,
        reason: QuarantineReason,
        notice_id: Option<&str>,
        now_ms: u64,
    ) -> Outcome {
        let write = self.store.quarantine(&body, reason, notice_id, now_ms);
        match write.await {
            Ok(write) => Outcome {
                quarantined: Some(write),
                ..Outcome::answer(Reply::Quarantined { reason })
            },
            Err(error) => Outcome::not_stored(chain(&error)),
        }
    }

    /// Writes down the alert and the notice of a callback, then commits the callback and sends
    /// them.
    async fn store_and_alert(
        &self,
        notification: &Notification,
        body: Verified<'_>,
        came: Came,
        invocation: Invocation<'_>,
    ) -> Outcome {
        let now_ms = invocation.began_at_ms();
        let event = if notification.is_heartbeat() {
            None
        } else if let Some(details) =
            keep_details(&notification.details, notification.is_mended, &body)
        {
            Some(details)
        } else {
            let notice_id = notification.notice_id.as_deref();
            return self
                .quarantine(body, QuarantineReason::TooLarge, notice_id, now_ms)
                .await;
        };
        let claim = match Alert::of(notification, &self.alert_kinds) {
            None => None,
            Some(alert) => match self.claim(&alert, invocation).await {
                Ok(claim) => Some(claim),
                Err(error) => {
                    return Outcome {
                        alert: Some(AlertOutcome::Unwritten),
                        ..Outcome::not_stored(format!("an alert can't be written down: {error}"))
                    };
                }
            },
        };
        let notice = match self.claim_notice(notification, invocation).await {
            Ok(notice) => notice,
            Err(error) => return Outcome::not_stored(chain(&error)),
        };
        let ((committed, told), sent) = tokio::join!(
            self.commit_and_tell(notification, event, notice, came, invocation),
            self.send(claim, invocation)
        );
        let (alert, sent) = match sent {
            None => (None, None),
            Some((alert, sent)) => (Some(alert), sent),
        };
        let is_bus_deferred = sent.as_ref().is_some_and(|sent| sent.is_bus_deferred);
        let mut errors = Vec::from_iter(sent.and_then(|sent| sent.error));
        let mut outcome = match committed {
            Ok((freshness, session)) => Outcome {
                session: Some(session),
                ..Outcome::answer(Reply::Stored(Stored {
                    freshness,
                    sid: notification.sid.as_str().to_owned(),
                    sequence: notification.sequence,
                }))
            },
            Err(error) => {
                errors.push(chain(&error));
                Outcome::answer(Reply::NotStored)
            }
        };
        outcome.alert = alert;
        outcome.is_bus_deferred = is_bus_deferred;
        if let Some(told) = told {
            outcome.notice = Some(told.outcome);
            errors.extend(told.error);
        }
        outcome.error = (!errors.is_empty()).then(|| errors.join("; "));
        outcome
    }

    /// Writes down the callback's notice, if it has one and there is a bus.
    async fn claim_notice(
        &self,
        notification: &Notification,
        invocation: Invocation<'_>,
    ) -> Result<Option<LeasedNotice>, StoreError> {
        if self.outbox.bus().is_none() {
            return Ok(None);
        }
        match Notice::of(notification) {
            Some(notice) => {
                let claim = self.store.claim_notice(notice, invocation).await?;
                Ok(claim.ours())
            }
            None => Ok(None),
        }
    }

    /// Writes event and session, then sends the notice, which is made from both.
    async fn commit_and_tell(
        &self,
        notification: &Notification,
        event: Option<KeptDetails>,
        notice: Option<LeasedNotice>,
        came: Came,
        invocation: Invocation<'_>,
    ) -> (Result<(Freshness, SessionWrite), StoreError>, Option<Sent>) {
        let committed = self.commit(notification, event, came, invocation).await;
        let told = match notice.filter(|_| committed.is_ok()) {
            Some(mut leased) => Some(
                self.outbox
                    .tell_at_once(&self.store, &mut leased, invocation)
                    .await,
            ),
            None => None,
        };
        (committed, told)
    }

    /// Writes an alert down, if the table takes it in time.
    async fn claim(
        &self,
        alert: &Alert,
        invocation: Invocation<'_>,
    ) -> Result<Claim<StoredAlert>, String> {
        let to = self.outbox.destinations(alert.kind);
        let claim = self.store.claim_alert(alert.clone(), &to, invocation);
        let claim = timeout(CLAIM, claim);
        // The key of the link in it is fetched meanwhile, if there is none yet.
        let (claim, _) = tokio::join!(claim, self.outbox.links(invocation.began_at_ms()));
        match claim {
            Ok(Ok(claim)) => Ok(claim),
            Ok(Err(error)) => Err(chain(&error)),
            Err(_) => Err("writing the alert down took too long".to_owned()),
        }
    }

    /// Sends an alert if this invocation holds its lease. A failure is none of the callback: the
    /// alert is written down.
    async fn send(
        &self,
        claim: Option<Claim<StoredAlert>>,
        invocation: Invocation<'_>,
    ) -> Option<(AlertOutcome, Option<Sent>)> {
        match claim? {
            // The sweeper reports what can't be written; the callback is stored all the same.
            Claim::HeldElsewhere | Claim::Unwritable => Some((AlertOutcome::HeldElsewhere, None)),
            Claim::Ours(mut leased) => {
                let sent = self
                    .outbox
                    .announce(&self.store, &mut leased, invocation)
                    .await;
                Some((AlertOutcome::Sent(sent.outcome), Some(sent)))
            }
        }
    }

    /// Writes the event and the session, both at once. A heartbeat has no event.
    async fn commit(
        &self,
        notification: &Notification,
        event: Option<KeptDetails>,
        came: Came,
        invocation: Invocation<'_>,
    ) -> Result<(Freshness, SessionWrite), StoreError> {
        let now_ms = invocation.began_at_ms();
        let event = async {
            match event {
                None => Ok(None),
                Some(details) => self
                    .store
                    .put_event(notification, details, came.at_ms(now_ms))
                    .await
                    .map(Some),
            }
        };
        let session = self.store.write_session(notification, came, now_ms);
        let (event, session) = tokio::try_join!(event, session)?;
        Ok((freshness(event, session), session))
    }
}

/// Reads a body out of quarantine again, by the rules of today.
fn read_again(
    quarantined: &Quarantined,
    stale: Stale,
) -> Result<(Verified<'_>, Box<Notification>), Stays> {
    let body = quarantined.body().ok_or(Stays::Cut)?;
    if quarantined.is_stale() && stale == Stale::Leave {
        return Err(Stays::TooOld);
    }
    match Sorted::of(&body, 0) {
        Sorted::Callback(notification) => Ok((body, notification)),
        Sorted::Check => Err(Stays::Check),
        Sorted::OtherProduct => Err(Stays::OtherProduct),
        Sorted::Rejected { reason, .. } => Err(match reason {
            QuarantineReason::Unreadable(unreadable) => Stays::Unreadable(unreadable),
            QuarantineReason::TooOld => Stays::TooOld,
            QuarantineReason::TooLarge => Stays::Cut,
        }),
    }
}

/// How a callback relates to what was there, from the outcomes of its two writes.
fn freshness(event: Option<EventWrite>, session: SessionWrite) -> Freshness {
    let is_duplicate = match (event, session.merge) {
        (Some(EventWrite::Known), Merge::Duplicate | Merge::Conflict) => true,
        // A known number with a fact that wasn't there: its producer doesn't count.
        (Some(EventWrite::New), _) | (Some(EventWrite::Known), Merge::New) => false,
        (None, merge) => merge == Merge::Duplicate,
    };
    match (is_duplicate, session.is_late) {
        (true, _) => Freshness::Duplicate,
        (false, true) => Freshness::Late,
        (false, false) => Freshness::Newest,
    }
}

impl Outcome {
    /// A reply with nothing else to log.
    pub(crate) fn answer(reply: Reply) -> Self {
        Self {
            reply,
            callback: None,
            session: None,
            alert: None,
            notice: None,
            is_bus_deferred: false,
            quarantined: None,
            error: None,
        }
    }

    /// Not stored, and why.
    pub(crate) fn not_stored(error: String) -> Self {
        Self {
            error: Some(error),
            ..Self::answer(Reply::NotStored)
        }
    }
}
