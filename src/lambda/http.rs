//! The callback function's entry point: a request in, its answer and its log line out. What comes
//! as an event passes [`super::guard`] first.

use super::invocation;
use super::refusals::Refusals;
use crate::event::{Event, without_stream_keys};
use crate::intake::{AlertOutcome, Outcome};
use crate::invocation::Invocation;
use crate::log::{Entry, Level, Log, Metric};
use crate::notification::{Notification, QuarantineReason};
use crate::receive::{self, Receiver};
use crate::reply::{Freshness, Reply, Stored};
use crate::send::SendOutcome;
use crate::signature::SignatureHeaders;
use crate::store::{Merge, QuarantineWrite};
use crate::text::clean;
use lambda_http::{Body, Request, RequestExt, Response};
use lambda_runtime::Context;
use serde::Serialize;
use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Agora waits 10 s for an answer.
const PATIENCE: Duration = Duration::from_secs(9);

/// Handles one request.
///
/// # Errors
/// None: every request is answered.
pub async fn invoke(
    receiver: &Receiver,
    log: &Log,
    request: Request,
) -> Result<Response<Body>, Infallible> {
    let default = Context::default();
    let context = request.lambda_context_ref().unwrap_or(&default);
    let invocation = invocation(context, PATIENCE);
    let request = receive::Request {
        method: request.method(),
        signature: SignatureHeaders::find(request.headers()),
        body: receive::Body::Bytes(request.body()),
    };
    let outcome = receiver.receive(request, invocation).await;
    write_line(log, &outcome, invocation);
    Ok(outcome.reply.to_response())
}

/// The log line of a request. No channel, file name, body, header or signature is in it, unless
/// `LOG_DETAIL` asks for some.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    outcome: &'static str,
    status: u16,
    milliseconds: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_type: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<u64>,
    /// Tries that the session's item took.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<Detail>,
}

/// What `LOG_DETAIL` adds, escaped, cut, and without the keys of streams.
#[derive(Serialize)]
struct Detail {
    cname: String,
    uid: String,
    details: String,
}

impl Detail {
    fn of(notification: &Notification) -> Self {
        let details = without_stream_keys(&notification.details);
        Self {
            cname: clean(&notification.cname, 128),
            uid: clean(&notification.uid, 64),
            details: clean(&details.to_string(), 1000),
        }
    }
}

fn write_line(log: &Log, outcome: &Outcome, invocation: Invocation<'_>) {
    static REFUSALS: Mutex<Refusals> = Mutex::new(Refusals::new());
    let metrics = match outcome.reply {
        Reply::InvalidSignature => {
            let mut refusals = REFUSALS.lock().unwrap_or_else(PoisonError::into_inner);
            match refusals.count(invocation.began_at_ms()) {
                Some(count) => vec![(Metric::SignatureInvalid, count)],
                None => return,
            }
        }
        _ => metrics(outcome, invocation.began_at_ms()),
    };
    if !log.heartbeats && is_plain_heartbeat(outcome, &metrics) {
        return;
    }
    let callback = outcome.callback.as_deref();
    let reason = match outcome.reply {
        Reply::Quarantined { reason } => Some(reason.to_string()),
        _ => None,
    };
    let fields = Fields {
        outcome: outcome.reply.result(),
        status: outcome.reply.status(),
        milliseconds: invocation.elapsed_ms(),
        sid: callback.map(|callback| callback.sid.as_str()),
        event_type: callback.map(|callback| callback.event_type),
        sequence: callback.map(|callback| callback.sequence),
        attempts: outcome.session.map(|session| session.attempts),
        alert: outcome.alert.map(AlertOutcome::as_str),
        notice: outcome.notice.map(SendOutcome::as_str),
        reason: reason.as_deref(),
        error: outcome.error.as_deref(),
        detail: callback.filter(|_| log.detail).map(Detail::of),
    };
    let (level, message) = message(outcome);
    log.write(Entry {
        level,
        message: &message,
        request_id: invocation.id,
        now_ms: invocation.began_at_ms(),
        fields: &fields,
        metrics: &metrics,
    });
}

/// True for a heartbeat that was stored, and did nothing else.
fn is_plain_heartbeat(outcome: &Outcome, metrics: &[(Metric, u64)]) -> bool {
    let callback = outcome.callback.as_deref();
    let counted = metrics.iter().filter(|(_, count)| *count > 0);
    callback.is_some_and(Notification::is_heartbeat)
        && outcome.error.is_none()
        && outcome.alert.is_none()
        && counted.eq([&(Metric::Stored, 1)])
}

/// The line's message. Routine lines say one word, because log bytes are a heartbeat's second cost;
/// a line that needs attention is a sentence.
fn message(outcome: &Outcome) -> (Level, Cow<'static, str>) {
    match (&outcome.reply, &outcome.error) {
        (Reply::NotStored | Reply::NoSecret, Some(error)) => {
            (Level::Error, format!("not stored: {error}").into())
        }
        (_, Some(error)) => {
            let left = match outcome.alert {
                Some(_) => "its alert is not settled",
                None => "programs are not told yet",
            };
            (Level::Error, format!("stored, but {left}: {error}").into())
        }
        (Reply::Quarantined { reason }, None) => {
            (Level::Warn, format!("quarantined: {reason}").into())
        }
        (_, None) => (Level::Info, "callback".into()),
    }
}

/// What a request counts as; refused signatures are counted elsewhere.
fn metrics(outcome: &Outcome, now_ms: u64) -> Vec<(Metric, u64)> {
    let is = |metric, is: bool| (metric, u64::from(is));
    let session = outcome.session;
    let callback = outcome.callback.as_deref();
    let reply = match &outcome.reply {
        Reply::Stored(Stored { freshness, .. }) => Some(match freshness {
            Freshness::Newest => Metric::Stored,
            Freshness::Duplicate => Metric::Duplicate,
            Freshness::Late => Metric::Late,
        }),
        Reply::Quarantined { .. } => Some(Metric::Quarantined),
        Reply::TooLarge => Some(Metric::TooLarge),
        Reply::NotStored | Reply::NoSecret => Some(Metric::NotStored),
        Reply::Ignored { .. } | Reply::InvalidSignature | Reply::Test | Reply::MethodNotAllowed => {
            None
        }
    };
    let mut metrics = vec![
        is(
            Metric::Stale,
            matches!(
                outcome.reply,
                Reply::Quarantined {
                    reason: QuarantineReason::TooOld
                }
            ),
        ),
        is(
            Metric::Cut,
            outcome.quarantined == Some(QuarantineWrite::Cut),
        ),
        is(
            Metric::ClockAhead,
            callback.is_some_and(|callback| callback.is_ahead_of(now_ms)),
        ),
        is(
            Metric::UnknownEventType,
            callback.is_some_and(|callback| matches!(callback.event, Event::Other)),
        ),
        is(
            Metric::SequenceConflicts,
            session.is_some_and(|session| session.merge == Merge::Conflict),
        ),
        // The first try is the fast path, the second one the slow path; from there on it was
        // contention.
        (
            Metric::WriteConflicts,
            session.map_or(0, |session| u64::from(session.attempts.saturating_sub(2))),
        ),
        is(
            Metric::AlertsPublished,
            outcome.alert == Some(AlertOutcome::Sent(SendOutcome::Published)),
        ),
        is(
            Metric::AlertsUnwritten,
            outcome.alert == Some(AlertOutcome::Unwritten),
        ),
        is(
            Metric::AlertsDeferred,
            matches!(
                outcome.alert,
                Some(AlertOutcome::Sent(
                    SendOutcome::Left | SendOutcome::Deferred | SendOutcome::Refused
                ))
            ),
        ),
    ];
    metrics.extend([
        is(
            Metric::NoticesSent,
            outcome.notice == Some(SendOutcome::Published),
        ),
        is(
            Metric::NoticesDeferred,
            matches!(
                outcome.notice,
                Some(SendOutcome::Left | SendOutcome::Deferred | SendOutcome::Refused)
            ) || outcome.is_bus_deferred,
        ),
    ]);
    metrics.extend(reply.map(|metric| (metric, 1)));
    metrics
}
