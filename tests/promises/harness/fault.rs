//! What can go wrong between a client and its table, told one request at a time.

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Throttled,
    Internal,
    /// The connection breaks before the request is read.
    Reset,
    /// No answer comes.
    Hang,
    /// The request is done, and the connection breaks before its answer.
    AnswerLost,
    Validation,
    AccessDenied,
    ExpiredToken,
    /// A transaction of somebody else's holds the item.
    Conflict,
    /// 200, and what isn't JSON.
    Malformed,
}

impl Fault {
    pub(crate) const ALL: [Self; 10] = [
        Self::Throttled,
        Self::Internal,
        Self::Reset,
        Self::Hang,
        Self::AnswerLost,
        Self::Validation,
        Self::AccessDenied,
        Self::ExpiredToken,
        Self::Conflict,
        Self::Malformed,
    ];

    /// The answer instead of the engine's; `None` where there is none.
    pub(crate) fn answer(self) -> Option<Response> {
        let error = |status, code: &str| {
            let body = json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{code}"),
                "message": "as told"});
            let content_type = [("content-type", "application/x-amz-json-1.0")];
            Some((status, content_type, body.to_string()).into_response())
        };
        match self {
            Self::Throttled => error(StatusCode::BAD_REQUEST, "ThrottlingException"),
            Self::Internal => error(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError"),
            Self::Validation => error(StatusCode::BAD_REQUEST, "ValidationException"),
            Self::AccessDenied => error(StatusCode::BAD_REQUEST, "AccessDeniedException"),
            Self::ExpiredToken => error(StatusCode::BAD_REQUEST, "ExpiredTokenException"),
            Self::Conflict => error(StatusCode::BAD_REQUEST, "TransactionConflictException"),
            Self::Malformed => Some((StatusCode::OK, "<html>").into_response()),
            Self::Reset | Self::AnswerLost => Some(broken()),
            Self::Hang => None,
        }
    }
}

/// An answer that breaks off: its body is an error, so that the connection is closed in the middle.
fn broken() -> Response {
    let body =
        futures_util::stream::once(async { Err::<Vec<u8>, _>(std::io::Error::other("told to")) });
    Response::new(Body::from_stream(body))
}

/// Which requests it happens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    First,
    Second,
    Always,
}

/// A fault at one place in the code, known by what it asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// The operation.
    pub(crate) operation: &'static str,
    /// What the key of the item begins with: the sort key's, or the partition key's of quarantine.
    pub(crate) key: &'static str,
    pub(crate) fault: Fault,
    pub(crate) which: Which,
    /// Requests of this place so far.
    pub(crate) seen: u32,
}

impl Plan {
    /// The fault that happens to `request`, if one does.
    pub(crate) fn happens(&mut self, operation: &str, request: &Value) -> Option<Fault> {
        let key = |name: &str| {
            let item = ["Key", "Item"]
                .into_iter()
                .find_map(|part| request.get(part))?;
            item[name]["S"].as_str().map(str::to_owned)
        };
        let is_here = [key("item"), key("sid")]
            .into_iter()
            .flatten()
            .any(|key| key.starts_with(self.key));
        if operation != self.operation || !(is_here || self.key.is_empty()) {
            return None;
        }
        self.seen += 1;
        let happens = match self.which {
            Which::First => self.seen == 1,
            Which::Second => self.seen == 2,
            Which::Always => true,
        };
        happens.then_some(self.fault)
    }
}
