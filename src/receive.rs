//! One request, top to bottom: who may send, then the intake, then the answer, within the deadline.
//! Must not know what a callback says.
//!
//! Invariant: nothing is parsed for its meaning before its signature holds, except to check whether
//! an unsigned request is the console's check.

use crate::config::{Admission, UnsignedCheck};
use crate::error::chain;
use crate::intake::{Intake, Outcome, Sorted};
use crate::invocation::Invocation;
use crate::notification::Envelope;
use crate::reply::Reply;
use crate::secrets::{Secrets, SecretsError};
use crate::signature::{SignatureError, SignatureHeaders, Verified, verify};
use std::time::Duration;
use tokio::time::timeout_at;

pub use lambda_http::http::Method;

/// The largest body without any signature header that is looked at, in bytes.
const MAX_UNSIGNED: usize = 32 * 1024;
/// Time reserved for returning the answer.
const ANSWER: Duration = Duration::from_millis(300);

/// A request as the receiver needs it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its signature headers.
    pub signature: SignatureHeaders<'a>,
    /// Its body.
    pub body: Body<'a>,
}

/// The body of a request.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// All of it.
    Bytes(&'a [u8]),
    /// More than [`MAX_BODY`](crate::signature::MAX_BODY), unread.
    TooLarge,
}

/// The receiver: made once.
#[derive(Debug)]
pub struct Receiver {
    admission: Admission,
    secrets: Secrets,
    intake: Intake,
}

/// A request that goes no further: the answer, and what failed.
struct Refused {
    reply: Reply,
    error: Option<String>,
}

impl Receiver {
    /// A receiver that admits what `admission` and `secrets` say.
    #[must_use]
    pub fn new(admission: Admission, secrets: Secrets, intake: Intake) -> Self {
        Self {
            admission,
            secrets,
            intake,
        }
    }

    /// Handles one request. Always answers, and in time.
    pub async fn receive(&self, request: Request<'_>, invocation: Invocation<'_>) -> Outcome {
        let body = match (request.method, request.body) {
            (&Method::GET | &Method::HEAD, Body::Bytes([])) => return Outcome::answer(Reply::Test),
            (&Method::POST, Body::Bytes(body)) => body,
            (&Method::POST, Body::TooLarge) => return Outcome::answer(Reply::TooLarge),
            (_, _) => return Outcome::answer(Reply::MethodNotAllowed),
        };
        let deadline = invocation.deadline;
        let deadline = deadline.checked_sub(ANSWER).unwrap_or(deadline);
        let invocation = invocation.until(deadline);
        let now_ms = invocation.began_at_ms();
        let verified = match timeout_at(deadline, self.admit(request.signature, body, now_ms)).await
        {
            Ok(Ok(verified)) => verified,
            Ok(Err(Refused { reply, error })) => {
                return Outcome {
                    error,
                    ..Outcome::answer(reply)
                };
            }
            Err(_) => return too_late(),
        };
        let sorted = self.intake.sort(&verified, now_ms);
        let handled = self.intake.handle(&sorted, verified, invocation);
        let outcome = match timeout_at(deadline, handled).await {
            Ok(outcome) => outcome,
            Err(_) => too_late(),
        };
        // The log line names the callback even where the deadline cut its handling off.
        let callback = match sorted {
            Sorted::Callback(callback) => Some(callback),
            Sorted::Check | Sorted::OtherProduct | Sorted::Rejected { .. } => None,
        };
        Outcome {
            callback,
            ..outcome
        }
    }

    /// Checks who sends. A signature that doesn't hold may be made with a secret that is newer than
    /// ours.
    async fn admit<'a>(
        &self,
        headers: SignatureHeaders<'_>,
        body: &'a [u8],
        now_ms: u64,
    ) -> Result<Verified<'a>, Refused> {
        if headers.is_empty() {
            return Err(self.unsigned(body, now_ms).await);
        }
        let require_v2 = self.admission.require_signature_v2;
        let check = |secrets: &[_]| verify(headers, body, secrets, require_v2);
        let secrets = match self.secrets.current(now_ms).await {
            Ok(secrets) => secrets,
            Err(error) => {
                return Err(Refused::without_secret(&error));
            }
        };
        if let Ok(verified) = check(&secrets) {
            return Ok(verified);
        }
        let newer = self.secrets.refreshed(now_ms).await;
        let verified = newer.map_or(Err(SignatureError::Wrong), |newer| check(&newer));
        verified.map_err(|_| Refused::with(Reply::InvalidSignature))
    }

    /// The answer to a body without any signature header. A deployment that can read no secret
    /// can't take any callback: the console's check must not pass then.
    async fn unsigned(&self, body: &[u8], now_ms: u64) -> Refused {
        if body.len() > MAX_UNSIGNED {
            return Refused::with(Reply::TooLarge);
        }
        let reply = match self.admission.unsigned_check {
            UnsignedCheck::Test | UnsignedCheck::Any if Envelope::unsigned_is_check(body) => {
                Reply::Test
            }
            UnsignedCheck::Never | UnsignedCheck::Test => {
                return Refused::with(Reply::InvalidSignature);
            }
            UnsignedCheck::Any => Reply::Ignored { reason: "unsigned" },
        };
        match self.secrets.ever_read(now_ms).await {
            Ok(()) => Refused::with(reply),
            Err(error) => Refused::without_secret(&error),
        }
    }
}

impl Refused {
    fn with(reply: Reply) -> Self {
        Self { reply, error: None }
    }

    fn without_secret(error: &SecretsError) -> Self {
        Self {
            reply: Reply::NoSecret,
            error: Some(chain(error)),
        }
    }
}

fn too_late() -> Outcome {
    Outcome::not_stored("the deadline is near".to_owned())
}
