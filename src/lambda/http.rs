//! The callback's door: an HTTP event's envelope in, the envelope of its answer out.
//!
//! Function URL, HTTP API v2, REST v1 and ALB events are read by `lambda_http`. Its further step, into a `http::Request`, is
//! left out: it panics on a body that claims to be base64 and isn't, and on a path that makes no URL; both come from anybody.

use super::{log_line, time_left};
use crate::clock::now_ms;
use crate::intake::{Call, Handled};
use crate::receive::{MAX_BODY, Receiver, Request};
use crate::reply::Reply;
use crate::send::AlertOutcome;
use crate::signature::{SIGNATURE_V1, SIGNATURE_V2, SignatureHeaders};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lambda_http::http::{HeaderMap, Method};
use lambda_http::request::LambdaRequest;
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

/// Who sent the event, and so reads the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    RestApi,
    HttpApiOrUrl,
    LoadBalancer,
}

/// Handles one invocation.
///
/// # Errors
/// None: every event that is one of the four envelopes is answered.
pub async fn invoke(
    receiver: &Receiver,
    event: LambdaEvent<LambdaRequest>,
) -> Result<Response, lambda_runtime::Error> {
    let started = Instant::now();
    let now_ms = now_ms();
    let LambdaEvent { payload, context } = event;
    let call = Call {
        request_id: &context.request_id,
        now_ms,
        deadline: started + time_left(&context, now_ms, PATIENCE),
    };
    let Http {
        sender,
        method,
        headers,
        more_headers,
        body,
        is_base64,
    } = Http::of(payload);

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
    let v2 = values(&headers, &more_headers, SIGNATURE_V2);
    let v1 = values(&headers, &more_headers, SIGNATURE_V1);
    let request = Request {
        is_post: method == Method::POST,
        signature: SignatureHeaders { v2: &v2, v1: &v1 },
        body,
    };
    let handled = receiver.receive(request, call).await;
    log(&handled, call.request_id, started);
    Ok(Response::of(&handled.reply, sender))
}

/// The parts of an HTTP event that matter here.
struct Http {
    sender: Sender,
    method: Method,
    headers: HeaderMap,
    more_headers: HeaderMap,
    body: String,
    is_base64: bool,
}

impl Http {
    fn of(event: LambdaRequest) -> Self {
        match event {
            LambdaRequest::ApiGatewayV1(event) => Self {
                sender: Sender::RestApi,
                method: event.http_method,
                headers: event.headers,
                more_headers: event.multi_value_headers,
                body: event.body.unwrap_or_default(),
                is_base64: event.is_base64_encoded,
            },
            LambdaRequest::ApiGatewayV2(event) => Self {
                sender: Sender::HttpApiOrUrl,
                method: event.request_context.http.method,
                headers: event.headers,
                more_headers: HeaderMap::new(),
                body: event.body.unwrap_or_default(),
                is_base64: event.is_base64_encoded,
            },
            LambdaRequest::Alb(event) => Self {
                sender: Sender::LoadBalancer,
                method: event.http_method,
                headers: event.headers,
                more_headers: event.multi_value_headers,
                body: event.body.unwrap_or_default(),
                is_base64: event.is_base64_encoded,
            },
            // An envelope of a feature that isn't compiled in: answered as a method that isn't POST.
            _ => Self {
                sender: Sender::HttpApiOrUrl,
                method: Method::GET,
                headers: HeaderMap::new(),
                more_headers: HeaderMap::new(),
                body: String::new(),
                is_base64: false,
            },
        }
    }
}

/// All values of a header. REST and ALB events may tell the same ones twice: the list with repetitions is the truth.
fn values<'a>(headers: &'a HeaderMap, more_headers: &'a HeaderMap, name: &str) -> Vec<&'a [u8]> {
    let from = if more_headers.contains_key(name) {
        more_headers
    } else {
        headers
    };
    from.get_all(name)
        .iter()
        .map(|value| value.as_bytes())
        .collect()
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

/// One JSON line a request. No channel, file name, body, header or signature is in it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogLine<'a> {
    level: &'static str,
    message: &'static str,
    request_id: &'a str,
    outcome: &'static str,
    status: u16,
    milliseconds: u128,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_type: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<u64>,
    /// Tries that the session's item took.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    /// The number was known, and yet it said something new.
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence_conflict: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

fn log(handled: &Handled, request_id: &str, started: Instant) {
    let callback = handled.callback.as_ref();
    let line = LogLine {
        level: if handled.error.is_some() {
            "ERROR"
        } else {
            "INFO"
        },
        message: "callback",
        request_id,
        outcome: handled.reply.result(),
        status: handled.reply.status(),
        milliseconds: started.elapsed().as_millis(),
        sid: callback.map(|callback| callback.sid.as_str()),
        event_type: callback.map(|callback| callback.event_type),
        sequence: callback.map(|callback| callback.sequence),
        attempts: handled.session.map(|session| session.attempts),
        sequence_conflict: handled
            .session
            .map(|session| session.known && session.changed)
            .filter(|conflict| *conflict),
        alert: handled.alert.map(AlertOutcome::as_str),
        reason: if let Reply::Quarantined { reason } = &handled.reply {
            Some(reason)
        } else {
            None
        },
        error: handled.error.as_deref(),
    };
    log_line(&line);
}
