//! Every answer, in one table. A status code is an instruction to Agora: 200 means "durably ours,
//! don't send it again"; anything else makes it try again, three times at most.

use crate::notification::QuarantineReason;
use lambda_http::http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;

/// What a request came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Stored.
    Stored(Stored),
    /// A product other than Cloud Recording, or an unsigned request while setting up.
    Ignored {
        /// Why.
        reason: &'static str,
    },
    /// The Agora console's check, or a probe.
    Test,
    /// Authentic, and kept in quarantine.
    Quarantined {
        /// Why it isn't stored as a callback.
        reason: QuarantineReason,
    },
    /// The signature is missing or wrong; the same bytes whatever was wrong.
    InvalidSignature,
    /// Neither POST nor a probe.
    MethodNotAllowed,
    /// A body that is too large to be looked at.
    TooLarge,
    /// Not stored; worth another try.
    NotStored,
    /// There is no secret to check signatures with; worth another try.
    NoSecret,
}

/// A callback that is durably ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// How it relates to what was there.
    pub freshness: Freshness,
    /// The recording.
    pub sid: String,
    /// The callback's number.
    pub sequence: u64,
}

/// How a stored callback relates to what was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// It is new, and the newest.
    Newest,
    /// It was there already.
    Duplicate,
    /// It is new, but newer callbacks came before it.
    Late,
}

impl Reply {
    /// The HTTP status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Stored(_) | Self::Ignored { .. } | Self::Test | Self::Quarantined { .. } => 200,
            Self::InvalidSignature => 401,
            Self::MethodNotAllowed => 405,
            Self::TooLarge => 413,
            Self::NotStored | Self::NoSecret => 503,
        }
    }

    /// The JSON body.
    #[must_use]
    pub fn body(&self) -> String {
        let body = match self {
            Self::Stored(Stored {
                freshness: _,
                sid,
                sequence,
            }) => {
                json!({"result": self.result(), "sid": sid, "sequence": sequence})
            }
            Self::Ignored { reason } => json!({"result": self.result(), "reason": reason}),
            Self::Quarantined { reason } => {
                json!({"result": self.result(), "reason": reason.to_string()})
            }
            Self::Test => json!({"result": self.result()}),
            Self::InvalidSignature => json!({"error": "invalid signature"}),
            Self::MethodNotAllowed => json!({"error": "method not allowed"}),
            Self::TooLarge => json!({"error": "body too large"}),
            Self::NotStored => json!({"error": "not stored, try again"}),
            Self::NoSecret => {
                json!({"error": "the secret can't be read; the function's log says why"})
            }
        };
        body.to_string()
    }

    /// The answer as HTTP has it, with the body of whichever library sends it.
    #[must_use]
    pub fn to_response<B: From<String>>(&self) -> Response<B> {
        let mut response = Response::new(B::from(self.body()));
        *response.status_mut() =
            StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        let more = match self {
            Self::MethodNotAllowed => Some((header::ALLOW, "POST")),
            Self::NotStored | Self::NoSecret => Some((header::RETRY_AFTER, "1")),
            Self::Stored(_)
            | Self::Ignored { .. }
            | Self::Test
            | Self::Quarantined { .. }
            | Self::InvalidSignature
            | Self::TooLarge => None,
        };
        if let Some((name, value)) = more {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }

    /// The outcome in one word, for the body and the log.
    #[must_use]
    pub fn result(&self) -> &'static str {
        match self {
            Self::Stored(Stored {
                freshness: Freshness::Newest,
                ..
            }) => "stored",
            Self::Stored(Stored {
                freshness: Freshness::Duplicate,
                ..
            }) => "duplicate",
            Self::Stored(Stored {
                freshness: Freshness::Late,
                ..
            }) => "late",
            Self::Ignored { .. } => "ignored",
            Self::Test => "test",
            Self::Quarantined { .. } => "quarantined",
            Self::InvalidSignature => "invalid_signature",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::TooLarge => "too_large",
            Self::NotStored | Self::NoSecret => "not_stored",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_answers() {
        let stored = |freshness| {
            Reply::Stored(Stored {
                freshness,
                sid: "s".to_owned(),
                sequence: 3,
            })
        };
        for (reply, status, body) in [
            (
                stored(Freshness::Newest),
                200,
                r#"{"result":"stored","sequence":3,"sid":"s"}"#,
            ),
            (
                stored(Freshness::Duplicate),
                200,
                r#"{"result":"duplicate","sequence":3,"sid":"s"}"#,
            ),
            (
                stored(Freshness::Late),
                200,
                r#"{"result":"late","sequence":3,"sid":"s"}"#,
            ),
            (
                Reply::Ignored { reason: "r" },
                200,
                r#"{"reason":"r","result":"ignored"}"#,
            ),
            (Reply::Test, 200, r#"{"result":"test"}"#),
            (
                Reply::Quarantined {
                    reason: QuarantineReason::TooOld,
                },
                200,
                r#"{"reason":"too old","result":"quarantined"}"#,
            ),
            (
                Reply::InvalidSignature,
                401,
                r#"{"error":"invalid signature"}"#,
            ),
            (
                Reply::MethodNotAllowed,
                405,
                r#"{"error":"method not allowed"}"#,
            ),
            (Reply::TooLarge, 413, r#"{"error":"body too large"}"#),
            (
                Reply::NotStored,
                503,
                r#"{"error":"not stored, try again"}"#,
            ),
            (
                Reply::NoSecret,
                503,
                r#"{"error":"the secret can't be read; the function's log says why"}"#,
            ),
        ] {
            assert_eq!(reply.status(), status, "{reply:?}");
            let value: serde_json::Value = serde_json::from_str(&reply.body()).unwrap();
            assert_eq!(
                value,
                serde_json::from_str::<serde_json::Value>(body).unwrap()
            );
        }
        for (reply, name, value) in [
            (Reply::MethodNotAllowed, "allow", "POST"),
            (Reply::NotStored, "retry-after", "1"),
            (Reply::NoSecret, "retry-after", "1"),
        ] {
            let response: Response<String> = reply.to_response();
            assert_eq!(response.headers()[name], value);
            assert_eq!(response.headers()["content-type"], "application/json");
        }
    }
}
