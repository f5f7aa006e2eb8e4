//! One request, top to bottom: who may speak, then the intake, then the answer. The only place with the deadline.
//!
//! Invariant: nothing is parsed for its meaning before its signature holds, but to see whether an unsigned one is the console's
//! check.

use crate::config::{Admission, UnsignedCheck};
use crate::error::chain;
use crate::intake::{Call, Handled, Intake};
use crate::notification::Envelope;
use crate::reply::Reply;
use crate::secrets::Secrets;
use crate::signature::{SignatureError, SignatureHeaders, Verified, verify};
use std::time::Duration;
use tokio::time::timeout_at;

/// The largest body that is read, in bytes.
pub const MAX_BODY: usize = 256 * 1024;
/// What is left of the deadline for the answer's own way.
const ANSWER: Duration = Duration::from_millis(300);

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

/// The receiver: made once.
#[derive(Debug)]
pub struct Receiver {
    admission: Admission,
    secrets: Secrets,
    intake: Intake,
}

impl Receiver {
    /// Puts the parts together.
    #[must_use]
    pub fn new(admission: Admission, secrets: Secrets, intake: Intake) -> Self {
        Self {
            admission,
            secrets,
            intake,
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
        let deadline = call.deadline.checked_sub(ANSWER).unwrap_or(call.deadline);
        let call = Call { deadline, ..call };
        let handle = async {
            match self.admit(request.signature, body, call.now_ms).await {
                Ok(verified) => self.intake.handle(verified, call).await,
                Err(refused) => *refused,
            }
        };
        match timeout_at(deadline, handle).await {
            Ok(handled) => handled,
            Err(_) => Handled {
                error: Some("the deadline is near".to_owned()),
                ..Handled::answer(Reply::NotStored)
            },
        }
    }

    /// Checks who speaks. A signature that doesn't hold may be made with a secret that is newer than ours.
    async fn admit<'a>(
        &self,
        headers: SignatureHeaders<'_>,
        body: &'a [u8],
        now_ms: u64,
    ) -> Result<Verified<'a>, Box<Handled>> {
        let check = |secrets| verify(headers, body, secrets, self.admission.require_signature_v2);
        let refused = |refusal| Box::new(Handled::answer(self.unverified(refusal, body)));
        if check(&[]) == Err(SignatureError::Missing) {
            return Err(refused(SignatureError::Missing));
        }
        let secrets = match self.secrets.current(now_ms).await {
            Ok(secrets) => secrets,
            Err(error) => {
                return Err(Box::new(Handled {
                    error: Some(chain(&error)),
                    ..Handled::answer(Reply::NotStored)
                }));
            }
        };
        let refusal = match check(&secrets) {
            Ok(verified) => return Ok(verified),
            Err(refusal) => refusal,
        };
        match self.secrets.newer(now_ms).await {
            Some(newer) => check(&newer).map_err(refused),
            None => Err(refused(refusal)),
        }
    }

    /// The answer to a body nobody vouches for.
    fn unverified(&self, refusal: SignatureError, body: &[u8]) -> Reply {
        match (refusal, self.admission.unsigned_check) {
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
}
