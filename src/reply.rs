//! Every answer, in one table. A status code is an instruction to Agora: 200 means "durably ours, don't send it again";
//! anything else makes it try again, three times at most.

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
    /// The Agora console's check.
    Test,
    /// Authentic, unreadable, and kept whole.
    Quarantined {
        /// Why it can't be read.
        reason: String,
    },
    /// The signature is missing or wrong; the same bytes whatever was wrong.
    InvalidSignature,
    /// Authentic, but too old or from the future.
    Stale,
    /// Not POST.
    MethodNotAllowed,
    /// A body over the limit.
    TooLarge,
    /// Not stored; worth another try.
    NotStored,
}

/// A callback that is durably ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// How it relates to what was there.
    pub how: How,
    /// The recording.
    pub sid: String,
    /// The callback's number.
    pub sequence: u64,
}

/// How a stored callback relates to what was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It is new, and the newest.
    Stored,
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
            Self::InvalidSignature | Self::Stale => 401,
            Self::MethodNotAllowed => 405,
            Self::TooLarge => 413,
            Self::NotStored => 503,
        }
    }

    /// The JSON body.
    #[must_use]
    pub fn body(&self) -> String {
        let body = match self {
            Self::Stored(Stored {
                how: _,
                sid,
                sequence,
            }) => {
                json!({"result": self.result(), "sid": sid, "sequence": sequence})
            }
            Self::Ignored { reason } => json!({"result": self.result(), "reason": reason}),
            Self::Quarantined { reason } => json!({"result": self.result(), "reason": reason}),
            Self::Test => json!({"result": self.result()}),
            Self::InvalidSignature => json!({"error": "invalid signature"}),
            Self::Stale => json!({"error": "stale callback"}),
            Self::MethodNotAllowed => json!({"error": "method not allowed"}),
            Self::TooLarge => json!({"error": "body too large"}),
            Self::NotStored => json!({"error": "not stored, try again"}),
        };
        body.to_string()
    }

    /// Headers beside `Content-Type: application/json`.
    #[must_use]
    pub fn header(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::MethodNotAllowed => Some(("allow", "POST")),
            Self::NotStored => Some(("retry-after", "1")),
            Self::Stored(_)
            | Self::Ignored { .. }
            | Self::Test
            | Self::Quarantined { .. }
            | Self::InvalidSignature
            | Self::Stale
            | Self::TooLarge => None,
        }
    }

    /// The outcome in one word, for the body and the log.
    #[must_use]
    pub fn result(&self) -> &'static str {
        match self {
            Self::Stored(Stored {
                how: How::Stored, ..
            }) => "stored",
            Self::Stored(Stored {
                how: How::Duplicate,
                ..
            }) => "duplicate",
            Self::Stored(Stored { how: How::Late, .. }) => "late",
            Self::Ignored { .. } => "ignored",
            Self::Test => "test",
            Self::Quarantined { .. } => "quarantined",
            Self::InvalidSignature => "invalid_signature",
            Self::Stale => "stale",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::TooLarge => "too_large",
            Self::NotStored => "not_stored",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_answers() {
        let stored = |how| {
            Reply::Stored(Stored {
                how,
                sid: "s".to_owned(),
                sequence: 3,
            })
        };
        for (reply, status, body) in [
            (
                stored(How::Stored),
                200,
                r#"{"result":"stored","sequence":3,"sid":"s"}"#,
            ),
            (
                stored(How::Duplicate),
                200,
                r#"{"result":"duplicate","sequence":3,"sid":"s"}"#,
            ),
            (
                stored(How::Late),
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
                    reason: "r".to_owned(),
                },
                200,
                r#"{"reason":"r","result":"quarantined"}"#,
            ),
            (
                Reply::InvalidSignature,
                401,
                r#"{"error":"invalid signature"}"#,
            ),
            (Reply::Stale, 401, r#"{"error":"stale callback"}"#),
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
        ] {
            assert_eq!(reply.status(), status, "{reply:?}");
            let value: serde_json::Value = serde_json::from_str(&reply.body()).unwrap();
            assert_eq!(
                value,
                serde_json::from_str::<serde_json::Value>(body).unwrap()
            );
        }
        assert_eq!(Reply::MethodNotAllowed.header(), Some(("allow", "POST")));
        assert_eq!(Reply::NotStored.header(), Some(("retry-after", "1")));
    }
}
