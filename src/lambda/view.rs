//! The viewer's entry point: a request in, a page and a log line out. What comes as an event passes
//! [`super::guard`] first.
//!
//! The log has neither path nor query: a link in it could be opened by whoever reads it.

use super::invocation;
use super::refusals::Refusals;
use crate::invocation::Invocation;
use crate::log::{Entry, Level, Log};
use crate::viewer::{Answer, Refusal, Request, Viewed, Viewer};
use lambda_http::{Body, RequestExt, Response};
use lambda_runtime::Context;
use serde::Serialize;
use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long a person waits for a page.
const PATIENCE: Duration = Duration::from_secs(9);

/// Handles one request.
///
/// # Errors
/// None: every request is answered.
pub async fn invoke(
    viewer: &Viewer,
    log: &Log,
    request: lambda_http::Request,
) -> Result<Response<Body>, Infallible> {
    let default = Context::default();
    let context = request.lambda_context_ref().unwrap_or(&default);
    let invocation = invocation(context, PATIENCE);
    let wanted = Request {
        method: request.method(),
        // As it came: that of the URI is another one where it has dots.
        path: request.raw_http_path(),
        query: request.uri().query().unwrap_or_default(),
    };
    let viewed = viewer.view(wanted, invocation).await;
    write_line(log, &viewed, invocation);
    Ok(viewed.answer.into_response(request.method()))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    outcome: &'static str,
    status: u16,
    milliseconds: u64,
    /// How many forged links this line counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

fn write_line(log: &Log, viewed: &Viewed, invocation: Invocation<'_>) {
    static REFUSALS: Mutex<Refusals> = Mutex::new(Refusals::new());
    let mut count = None;
    if let Answer::Refused {
        refusal: Refusal::Forged,
        ..
    } = viewed.answer
    {
        let mut refusals = REFUSALS.lock().unwrap_or_else(PoisonError::into_inner);
        count = refusals.count(invocation.began_at_ms());
        if count.is_none() {
            return;
        }
    }
    let status = viewed.answer.status();
    let fields = Fields {
        outcome: viewed.answer.as_str(),
        status,
        milliseconds: invocation.elapsed_ms(),
        count,
        error: viewed.error.as_deref(),
    };
    log.write(Entry {
        level: if status == 503 {
            Level::Error
        } else {
            Level::Info
        },
        message: "view",
        request_id: invocation.id,
        now_ms: invocation.began_at_ms(),
        fields: &fields,
        metrics: &[],
    });
}
