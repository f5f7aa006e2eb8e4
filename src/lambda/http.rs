//! The callback's door: an HTTP event's envelope in, the envelope of its answer out.
//!
//! What the envelopes look like is told in [`super::envelope`].

use super::envelope::{HttpEvent, Sender};
use super::{is_first, time_left};
use crate::clock::now_ms;
use crate::event::Event;
use crate::intake::{Call, Handled};
use crate::log::{Level, Log, Metric};
use crate::notification::Notification;
use crate::receive::{MAX_BODY, Receiver, Request};
use crate::reply::{How, Reply, Stored};
use crate::send::AlertOutcome;
use crate::signature::SignatureHeaders;
use crate::text::clean;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lambda_runtime::LambdaEvent;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Agora waits 10 s for an answer.
const PATIENCE: Duration = Duration::from_secs(9);
/// The longest base64 of a body within the limit.
const MAX_ENCODED: usize = MAX_BODY.div_ceil(3) * 4;

/// The answer in the shape that the sender of the event reads.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    status_code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_description: Option<String>,
    headers: BTreeMap<&'static str, &'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    multi_value_headers: Option<BTreeMap<&'static str, [&'static str; 1]>>,
    /// Function URLs and HTTP APIs may leave it out; readers that follow AWS's own types may not.
    #[serde(skip_serializing_if = "Option::is_none")]
    cookies: Option<[&'static str; 0]>,
    body: String,
    is_base64_encoded: bool,
}

/// Handles one invocation.
///
/// # Errors
/// None: every event that is an HTTP request is answered.
pub async fn invoke(
    receiver: &Receiver,
    log: &Log,
    event: LambdaEvent<HttpEvent>,
) -> Result<Response, lambda_runtime::Error> {
    let started = Instant::now();
    let now_ms = now_ms();
    let LambdaEvent { payload, context } = event;
    let call = Call {
        request_id: &context.request_id,
        now_ms,
        deadline: started + time_left(&context, now_ms, PATIENCE),
    };
    let HttpEvent {
        sender,
        method,
        signature,
        body,
        is_base64,
    } = payload;

    let decoded;
    let too_large = is_base64 && body.len() > MAX_ENCODED;
    let body = match is_base64 {
        false => Some(body.as_bytes()),
        true if too_large => Some(body.as_bytes()),
        true => {
            decoded = STANDARD.decode(&body).ok();
            decoded.as_deref()
        }
    };
    let v2: Vec<_> = signature.v2.iter().map(String::as_bytes).collect();
    let v1: Vec<_> = signature.v1.iter().map(String::as_bytes).collect();
    let request = Request {
        is_post: method == "POST",
        signature: SignatureHeaders { v2: &v2, v1: &v1 },
        body,
    };
    let handled = receiver.receive(request, call).await;
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    write_line(log, &handled, call, milliseconds, is_first());
    Ok(Response::of(&handled.reply, sender))
}

impl Response {
    fn of(reply: &Reply, sender: Sender) -> Self {
        let headers: BTreeMap<_, _> = [("content-type", "application/json")]
            .into_iter()
            .chain(reply.header())
            .collect();
        let status_code = reply.status();
        // A load balancer reads either list of headers, as it is set up, and wants the status in words.
        let balanced = sender == Sender::LoadBalancer;
        Self {
            status_code,
            status_description: balanced.then(|| format!("{status_code} {}", reply.result())),
            multi_value_headers: balanced.then(|| {
                headers
                    .iter()
                    .map(|(name, value)| (*name, [*value]))
                    .collect()
            }),
            cookies: (sender == Sender::HttpApiOrUrl).then_some([]),
            headers,
            body: reply.body(),
            is_base64_encoded: false,
        }
    }
}

/// What is told of a request. No channel, file name, body, header or signature is in it, unless `LOG_DETAIL` asks for some.
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
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<Detail>,
}

/// What `LOG_DETAIL` adds, escaped and cut.
#[derive(Serialize)]
struct Detail {
    cname: String,
    uid: String,
    details: String,
}

impl Detail {
    fn of(notification: &Notification) -> Self {
        Self {
            cname: clean(&notification.cname, 128),
            uid: clean(&notification.uid, 64),
            details: clean(&notification.details.to_string(), 1000),
        }
    }
}

fn write_line(log: &Log, handled: &Handled, call: Call<'_>, milliseconds: u64, is_cold: bool) {
    let callback = handled.callback.as_deref();
    let fields = Fields {
        outcome: handled.reply.result(),
        status: handled.reply.status(),
        milliseconds,
        sid: callback.map(|callback| callback.sid.as_str()),
        event_type: callback.map(|callback| callback.event_type),
        sequence: callback.map(|callback| callback.sequence),
        attempts: handled.session.map(|session| session.attempts),
        alert: handled.alert.map(AlertOutcome::as_str),
        reason: if let Reply::Quarantined { reason } = &handled.reply {
            Some(reason)
        } else {
            None
        },
        error: handled.error.as_deref(),
        detail: callback.filter(|_| log.detail).map(Detail::of),
    };
    let level = match (&handled.error, &handled.reply) {
        (Some(_), _) => Level::Error,
        (None, Reply::Quarantined { .. }) => Level::Warn,
        (None, _) => Level::Info,
    };
    let own = metrics(handled);
    let common = [
        (Metric::HandlerTime, milliseconds.max(1)),
        (Metric::ColdStarts, u64::from(is_cold)),
    ];
    let all: Vec<_> = own.into_iter().chain(common).collect();
    let (request_id, now_ms) = (call.request_id, call.now_ms);
    log.line((level, "callback"), request_id, now_ms, &fields, &all);
}

/// What a request counts as.
fn metrics(handled: &Handled) -> Vec<(Metric, u64)> {
    let is = |metric, is: bool| (metric, u64::from(is));
    let session = handled.session;
    let reply = match &handled.reply {
        Reply::Stored(Stored { how, .. }) => Some(match how {
            How::Stored => Metric::Stored,
            How::Duplicate => Metric::Duplicate,
            How::Late => Metric::Late,
        }),
        Reply::Quarantined { .. } => Some(Metric::Quarantined),
        Reply::InvalidSignature => Some(Metric::SignatureInvalid),
        Reply::Stale => Some(Metric::Stale),
        Reply::NotStored => Some(Metric::NotStored),
        Reply::Ignored { .. } | Reply::Test | Reply::MethodNotAllowed | Reply::TooLarge => None,
    };
    let mut metrics = vec![
        (Metric::Received, 1),
        is(
            Metric::UnknownEventType,
            handled
                .callback
                .as_ref()
                .is_some_and(|callback| matches!(callback.event, Event::Other)),
        ),
        is(
            Metric::SequenceConflicts,
            session.is_some_and(|session| session.known && session.changed),
        ),
        // The first try is the fast path, the second one the slow path; from there on it was somebody else.
        (
            Metric::WriteConflicts,
            session.map_or(0, |session| u64::from(session.attempts.saturating_sub(2))),
        ),
        is(
            Metric::AlertsPublished,
            handled.alert == Some(AlertOutcome::Published),
        ),
        is(
            Metric::AlertsDeferred,
            matches!(
                handled.alert,
                Some(AlertOutcome::Deferred | AlertOutcome::Refused)
            ),
        ),
    ];
    metrics.extend(reply.map(|metric| (metric, 1)));
    metrics
}
