//! One request, top to bottom: verify, read, decide, commit, alert, answer. The only place that knows the whole way, and the
//! only one with the deadline.
//!
//! Invariants: nothing is parsed for its meaning before its signature holds (but to see whether an unsigned one is the
//! console's check); an alert is written down before anything else, and published only by its owner; 200 for a callback means
//! that its event, its session and its alert are in the table.

use crate::alert::{Alert, message};
use crate::config::{Config, UnsignedCheck};
use crate::notification::{CLOUD_RECORDING, Envelope, Notification, Unreadable};
use crate::reply::{How, Reply, Stored};
use crate::signature::{SignatureError, SignatureHeaders, Verified, verify};
use crate::store::{Claim, EventWrite, SessionWrite, Store, StoreError};
use crate::topic::Topic;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The largest body that is read, in bytes.
pub const MAX_BODY: usize = 256 * 1024;
/// How far in the future `notifyMs` may be, in ms.
const MAX_AHEAD_MS: u64 = 5 * 60 * 1000;
/// What is left of the deadline for the answer's own way.
const ANSWER: Duration = Duration::from_millis(300);
/// What is left of the deadline to mark an alert as sent after a slow publish.
const MARK: Duration = Duration::from_millis(700);

/// A request as the receiver needs it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Whether it is a POST.
    pub is_post: bool,
    /// Its signature headers.
    pub signature: SignatureHeaders<'a>,
    /// Its body; `None` if it claims to be base64 and isn't.
    pub body: Option<&'a [u8]>,
}

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
    pub callback: Option<Brief>,
    /// What became of the session's item.
    pub session: Option<SessionWrite>,
    /// What became of the alert, if there is one.
    pub alert: Option<AlertOutcome>,
    /// What failed, with its causes.
    pub error: Option<String>,
}

/// What the log says about a callback.
#[derive(Clone, Debug)]
pub struct Brief {
    /// The recording.
    pub sid: String,
    /// The callback's number.
    pub sequence: u64,
    /// The event's number.
    pub event_type: u32,
}

/// What became of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertOutcome {
    /// Published.
    Published,
    /// Somebody else's job, or done already.
    Others,
    /// Written down and not published; whoever comes after the lease does it.
    Deferred,
}

impl AlertOutcome {
    /// The outcome in a word, for the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Others => "others",
            Self::Deferred => "deferred",
        }
    }
}

/// The receiver: configuration and the two clients, made once.
#[derive(Debug)]
pub struct Receiver {
    config: Config,
    store: Store,
    topic: Topic,
}

impl Receiver {
    /// Puts the parts together.
    #[must_use]
    pub fn new(config: Config, store: Store, topic: Topic) -> Self {
        Self {
            config,
            store,
            topic,
        }
    }

    /// Handles one request. Always answers, and in time.
    pub async fn receive(&self, request: Request<'_>, call: Call<'_>) -> Handled {
        let body = match request {
            Request { is_post: false, .. } => return Handled::answer(Reply::MethodNotAllowed),
            Request { body: None, .. } => return Handled::answer(Reply::InvalidSignature),
            Request {
                body: Some(body), ..
            } if body.len() > MAX_BODY => return Handled::answer(Reply::TooLarge),
            Request {
                body: Some(body), ..
            } => body,
        };
        let verified = match verify(
            request.signature,
            body,
            &self.config.secrets,
            self.config.require_signature_v2,
        ) {
            Ok(verified) => verified,
            Err(refusal) => return Handled::answer(self.unverified(refusal, body)),
        };
        let deadline = call.deadline.checked_sub(ANSWER).unwrap_or(call.deadline);
        match timeout_at(deadline, self.verified(verified, Call { deadline, ..call })).await {
            Ok(handled) => handled,
            Err(_) => Handled {
                error: Some("the deadline is near".to_owned()),
                ..Handled::answer(Reply::NotStored)
            },
        }
    }

    /// The answer to a body nobody vouches for.
    fn unverified(&self, refusal: SignatureError, body: &[u8]) -> Reply {
        match (refusal, self.config.unsigned_check) {
            (SignatureError::Wrong, _) | (SignatureError::Missing, UnsignedCheck::Never) => {
                Reply::InvalidSignature
            }
            (SignatureError::Missing, UnsignedCheck::Test | UnsignedCheck::Any)
                if Envelope::unsigned_is_check(body) =>
            {
                Reply::Test
            }
            (SignatureError::Missing, UnsignedCheck::Test) => Reply::InvalidSignature,
            (SignatureError::Missing, UnsignedCheck::Any) => Reply::Ignored { reason: "unsigned" },
        }
    }

    /// Handles an authentic body.
    async fn verified(&self, body: Verified<'_>, call: Call<'_>) -> Handled {
        let envelope = match Envelope::read(&body) {
            Ok(envelope) => envelope,
            Err(reason) => return self.quarantine(&body, reason, None, call).await,
        };
        if envelope.is_check() {
            return Handled::answer(Reply::Test);
        }
        if envelope
            .product_id()
            .is_some_and(|product| product != CLOUD_RECORDING)
        {
            return Handled::answer(Reply::Ignored {
                reason: "not a Cloud Recording callback",
            });
        }
        if self.is_stale(envelope.notify_ms(), call.now_ms) {
            return Handled::answer(Reply::Stale);
        }
        let notice_id = envelope.notice_id();
        match envelope.into_notification() {
            Ok(notification) => self.callback(&notification, &body, call).await,
            Err(reason) => self.quarantine(&body, reason, notice_id, call).await,
        }
    }

    fn is_stale(&self, notify_ms: Option<u64>, now_ms: u64) -> bool {
        match (notify_ms, self.config.max_callback_age_ms) {
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

    /// Commits a callback and sends its alert.
    async fn callback(
        &self,
        notification: &Notification,
        body: &Verified<'_>,
        call: Call<'_>,
    ) -> Handled {
        let alert = Alert::of(notification, &self.config.alert_kinds);
        let handled = Handled {
            callback: Some(Brief {
                sid: notification.sid.as_str().to_owned(),
                sequence: notification.sequence,
                event_type: notification.event_type,
            }),
            ..Handled::answer(Reply::NotStored)
        };
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
        let claim = match claim {
            Ok(claim) => claim,
            Err(error) => {
                return Handled {
                    error: Some(chain(&error)),
                    ..handled
                };
            }
        };
        let send = async {
            match claim {
                None => (None, None),
                Some((_, Claim::Others)) => (Some(AlertOutcome::Others), None),
                Some((alert, Claim::Ours)) => self.send(alert, call).await,
            }
        };
        let (committed, (alert, alert_error)) =
            tokio::join!(self.commit(notification, body, call), send);
        match committed {
            Ok((how, session)) => Handled {
                reply: Reply::Stored(Stored {
                    how,
                    sid: notification.sid.as_str().to_owned(),
                    sequence: notification.sequence,
                }),
                session: Some(session),
                alert,
                error: alert_error,
                ..handled
            },
            Err(error) => Handled {
                alert,
                error: Some(chain(&error)),
                ..handled
            },
        }
    }

    /// Writes the event and the session, both at once.
    async fn commit(
        &self,
        notification: &Notification,
        body: &Verified<'_>,
        call: Call<'_>,
    ) -> Result<(How, SessionWrite), StoreError> {
        let event = async {
            if notification.is_heartbeat() {
                return Ok(None);
            }
            self.store
                .put_event(notification, body.body(), call.now_ms)
                .await
                .map(Some)
        };
        let (event, session) =
            tokio::try_join!(event, self.store.write_session(notification, call.now_ms))?;
        Ok((how(event, session), session))
    }

    /// Publishes an alert that is ours to send. Failing is no failure of the callback: the alert is written down.
    async fn send(&self, alert: &Alert, call: Call<'_>) -> (Option<AlertOutcome>, Option<String>) {
        let deadline = call.deadline.checked_sub(MARK).unwrap_or(call.deadline);
        let message = message(alert);
        match timeout_at(deadline, self.topic.publish(&message)).await {
            Ok(Ok(message_id)) => {
                let marked = timeout_at(
                    deadline + MARK / 2,
                    self.store.mark_sent(
                        alert,
                        call.request_id,
                        &message_id,
                        crate::clock::now_ms(),
                    ),
                );
                let error = match marked.await {
                    Ok(Ok(())) => None,
                    Ok(Err(error)) => Some(chain(&error)),
                    Err(_) => Some("marking the alert as sent took too long".to_owned()),
                };
                (Some(AlertOutcome::Published), error)
            }
            Ok(Err(error)) => (Some(AlertOutcome::Deferred), Some(chain(&error))),
            Err(_) => (
                Some(AlertOutcome::Deferred),
                Some("Publish took too long".to_owned()),
            ),
        }
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

impl Handled {
    /// An answer about which there is nothing more to say.
    fn answer(reply: Reply) -> Self {
        Self {
            reply,
            callback: None,
            session: None,
            alert: None,
            error: None,
        }
    }
}

/// An error and its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}
