//! Sending an alert that is ours: publish, then note that it is sent. Who may is decided before, in the table.

use crate::alert::{Alert, message};
use crate::error::chain;
use crate::store::Store;
use crate::topic::{PublishError, Topic};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// What is left of the deadline to mark an alert as sent after a slow publish.
const MARK: Duration = Duration::from_millis(700);

/// What became of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertOutcome {
    /// Published.
    Published,
    /// Somebody else's job, or done already.
    Others,
    /// Written down and not published; whoever comes after the lease does it.
    Deferred,
    /// The same, and SNS didn't like this very message.
    Refused,
}

impl AlertOutcome {
    /// The outcome in a word, for the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Others => "others",
            Self::Deferred => "deferred",
            Self::Refused => "refused",
        }
    }
}

/// What became of sending, and what failed with its causes.
#[derive(Debug)]
pub struct Sent {
    /// What became of the alert.
    pub outcome: AlertOutcome,
    /// What failed: the publish, or noting it.
    pub error: Option<String>,
}

/// Publishes an alert whose item says that it is `owner`'s to send, and marks it as sent. Ends before `deadline`.
pub async fn send(
    store: &Store,
    topic: &Topic,
    alert: &Alert,
    owner: &str,
    deadline: Instant,
) -> Sent {
    let publish_until = deadline.checked_sub(MARK).unwrap_or(deadline);
    let message = message(alert);
    let failed = |outcome, error: String| Sent {
        outcome,
        error: Some(error),
    };
    let message_id = match timeout_at(publish_until, topic.publish(&message)).await {
        Ok(Ok(message_id)) => message_id,
        Ok(Err(error @ PublishError::Refused(_))) => {
            return failed(AlertOutcome::Refused, chain(&error));
        }
        Ok(Err(error @ PublishError::Failed(_))) => {
            return failed(AlertOutcome::Deferred, chain(&error));
        }
        Err(_) => return failed(AlertOutcome::Deferred, "Publish took too long".to_owned()),
    };
    let now_ms = crate::clock::now_ms();
    let mark = store.mark_sent(alert, owner, &message_id, now_ms);
    let error = match timeout_at(publish_until + MARK / 2, mark).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(chain(&error)),
        Err(_) => Some("marking the alert as sent took too long".to_owned()),
    };
    Sent {
        outcome: AlertOutcome::Published,
        error,
    }
}
