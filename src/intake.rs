//! An authentic body, from reading to alert: read, decide, commit, alert. The same way whether it comes from Agora or out of
//! quarantine.
//!
//! Invariants: an alert is written down before anything else, and published only by its owner; what is told as stored has its
//! event, its session and its alert in the table; what can't be read is kept whole.

use crate::alert::{Alert, AlertKind};
use crate::error::chain;
use crate::notification::{CLOUD_RECORDING, Envelope, Notification, Unreadable};
use crate::reply::{How, Reply, Stored};
use crate::send::{AlertOutcome, Sent, send};
use crate::signature::Verified;
use crate::store::{Claim, EventWrite, Quarantined, SessionWrite, Store, StoreError};
use crate::topic::Topic;
use tokio::time::Instant;

/// How far in the future `notifyMs` may be, in ms.
const MAX_AHEAD_MS: u64 = 5 * 60 * 1000;

/// What a request is handled under.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Names this invocation; the owner of the alerts it claims.
    pub request_id: &'a str,
    /// Now, in ms since the epoch.
    pub now_ms: u64,
    /// When the answer has to be out.
    pub deadline: Instant,
}

/// What became of a request: the answer, and what the log line says.
#[derive(Debug)]
pub struct Handled {
    /// The answer.
    pub reply: Reply,
    /// The callback, if it could be read.
    pub callback: Option<Box<Notification>>,
    /// What became of the session's item.
    pub session: Option<SessionWrite>,
    /// What became of the alert, if there is one.
    pub alert: Option<AlertOutcome>,
    /// What failed, with its causes.
    pub error: Option<String>,
}

/// Where authentic bodies go in: the two clients, and which alerts are sent.
#[derive(Debug)]
pub struct Intake {
    store: Store,
    topic: Topic,
    alert_kinds: Vec<AlertKind>,
    max_callback_age_ms: Option<u64>,
}

/// What became of a body out of quarantine.
#[derive(Debug)]
pub enum Redriven {
    /// It still can't be read, and stays.
    Unreadable(Unreadable),
    /// It would never have been stored, and stays.
    Ignored(&'static str),
    /// It can be read; nothing was done.
    Readable {
        /// The callback.
        callback: Box<Notification>,
        /// The alert it would raise.
        alert: Option<AlertKind>,
    },
    /// It was handled; it is out of quarantine if it is stored.
    Handled(Box<Handled>),
}

impl Intake {
    /// Puts the parts together.
    #[must_use]
    pub fn new(
        store: Store,
        topic: Topic,
        alert_kinds: Vec<AlertKind>,
        max_callback_age_ms: Option<u64>,
    ) -> Self {
        Self {
            store,
            topic,
            alert_kinds,
            max_callback_age_ms,
        }
    }

    /// Handles an authentic body. The deadline is the caller's to keep.
    pub async fn handle(&self, body: Verified<'_>, call: Call<'_>) -> Handled {
        let envelope = match Envelope::read(&body) {
            Ok(envelope) => envelope,
            Err(reason) => return self.quarantine(&body, reason, None, call).await,
        };
        if envelope.is_check() {
            return Handled::answer(Reply::Test);
        }
        if is_foreign(&envelope) {
            return Handled::answer(Reply::Ignored { reason: FOREIGN });
        }
        if self.is_stale(envelope.notify_ms(), call.now_ms) {
            return Handled::answer(Reply::Stale);
        }
        let notice_id = envelope.notice_id();
        match envelope.into_notification() {
            Ok(notification) => self.callback(notification, &body, call.now_ms, call).await,
            Err(reason) => self.quarantine(&body, reason, notice_id, call).await,
        }
    }

    /// Handles a body out of quarantine as if it could have been read when it came. With `is_rehearsal` nothing is written.
    ///
    /// # Errors
    /// [`StoreError`] if it is stored and couldn't be taken out of quarantine; it can be redriven again.
    pub async fn redrive(
        &self,
        quarantined: &Quarantined,
        is_rehearsal: bool,
        call: Call<'_>,
    ) -> Result<Redriven, StoreError> {
        let body = Verified::out_of_quarantine(&quarantined.body);
        let envelope = match Envelope::read(&body) {
            Ok(envelope) => envelope,
            Err(reason) => return Ok(Redriven::Unreadable(reason)),
        };
        if envelope.is_check() {
            return Ok(Redriven::Ignored("the console's check"));
        }
        if is_foreign(&envelope) {
            return Ok(Redriven::Ignored(FOREIGN));
        }
        let notification = match envelope.into_notification() {
            Ok(notification) => notification,
            Err(reason) => return Ok(Redriven::Unreadable(reason)),
        };
        if is_rehearsal {
            return Ok(Redriven::Readable {
                alert: Alert::of(&notification, &self.alert_kinds).map(|alert| alert.kind),
                callback: Box::new(notification),
            });
        }
        let handled = self
            .callback(notification, &body, quarantined.received_at, call)
            .await;
        if handled.reply.status() == 200 {
            self.store.release(quarantined).await?;
        }
        Ok(Redriven::Handled(Box::new(handled)))
    }

    fn is_stale(&self, notify_ms: Option<u64>, now_ms: u64) -> bool {
        match (notify_ms, self.max_callback_age_ms) {
            (Some(notify_ms), Some(max_age_ms)) => {
                notify_ms.saturating_add(max_age_ms) < now_ms
                    || notify_ms > now_ms.saturating_add(MAX_AHEAD_MS)
            }
            (None, _) | (_, None) => false,
        }
    }

    async fn quarantine(
        &self,
        body: &Verified<'_>,
        reason: Unreadable,
        notice_id: Option<String>,
        call: Call<'_>,
    ) -> Handled {
        match self
            .store
            .quarantine(body.body(), reason, notice_id, call.now_ms)
            .await
        {
            Ok(()) => Handled::answer(Reply::Quarantined {
                reason: reason.to_string(),
            }),
            Err(error) => Handled {
                error: Some(chain(&error)),
                ..Handled::answer(Reply::NotStored)
            },
        }
    }

    /// Commits a callback that came at `received_at` and sends its alert.
    async fn callback(
        &self,
        notification: Notification,
        body: &Verified<'_>,
        received_at: u64,
        call: Call<'_>,
    ) -> Handled {
        let mut handled = Handled::answer(Reply::NotStored);
        let alert = Alert::of(&notification, &self.alert_kinds);
        let claim = match &alert {
            None => Ok(None),
            Some(alert) => {
                let claim = self
                    .store
                    .claim_alert(alert, call.request_id, call.now_ms)
                    .await;
                claim.map(|claim| Some((alert, claim)))
            }
        };
        match claim {
            Err(error) => handled.error = Some(chain(&error)),
            Ok(claim) => {
                let (committed, sent) = tokio::join!(
                    self.commit(&notification, body, received_at, call),
                    self.send(claim, call)
                );
                handled.alert = sent.as_ref().map(|sent| sent.outcome);
                handled.error = sent.and_then(|sent| sent.error);
                match committed {
                    Ok((how, session)) => {
                        handled.session = Some(session);
                        handled.reply = Reply::Stored(Stored {
                            how,
                            sid: notification.sid.as_str().to_owned(),
                            sequence: notification.sequence,
                        });
                    }
                    Err(error) => handled.error = Some(chain(&error)),
                }
            }
        }
        Handled {
            callback: Some(Box::new(notification)),
            ..handled
        }
    }

    /// Sends an alert if that is our job. Failing is no failure of the callback: the alert is written down.
    async fn send(&self, claim: Option<(&Alert, Claim)>, call: Call<'_>) -> Option<Sent> {
        match claim? {
            (_, Claim::Others) => Some(Sent {
                outcome: AlertOutcome::Others,
                error: None,
            }),
            (alert, Claim::Ours) => {
                let Self { store, topic, .. } = self;
                Some(send(store, topic, alert, call.request_id, call.deadline).await)
            }
        }
    }

    /// Writes the event and the session, both at once.
    async fn commit(
        &self,
        notification: &Notification,
        body: &Verified<'_>,
        received_at: u64,
        call: Call<'_>,
    ) -> Result<(How, SessionWrite), StoreError> {
        let event = async {
            if notification.is_heartbeat() {
                return Ok(None);
            }
            self.store
                .put_event(notification, body.body(), received_at)
                .await
                .map(Some)
        };
        let (event, session) =
            tokio::try_join!(event, self.store.write_session(notification, call.now_ms))?;
        Ok((how(event, session), session))
    }
}

/// How a callback relates to what was there, from what its two writes met.
fn how(event: Option<EventWrite>, session: SessionWrite) -> How {
    let known = match event {
        Some(EventWrite::Known) => session.known,
        // A known number with a fact that wasn't there: some producers never count.
        Some(EventWrite::New) => false,
        None => session.known && !session.changed,
    };
    match (known, session.behind) {
        (true, _) => How::Duplicate,
        (false, true) => How::Late,
        (false, false) => How::Stored,
    }
}

/// Why another product's callback is ignored.
const FOREIGN: &str = "not a Cloud Recording callback";

fn is_foreign(envelope: &Envelope) -> bool {
    envelope
        .product_id()
        .is_some_and(|product| product != CLOUD_RECORDING)
}

impl Handled {
    /// An answer about which there is nothing more to say.
    pub(crate) fn answer(reply: Reply) -> Self {
        Self {
            reply,
            callback: None,
            session: None,
            alert: None,
            error: None,
        }
    }
}
