//! Sending an alert that is ours: publish it, then mark it as sent. Who may is decided before, in
//! the table: only a [`Lease`] can be sent, and only until it is over.
//!
//! Must not know: what the alert is about.

use crate::alert::message;
use crate::error::chain;
use crate::invocation::Invocation;
use crate::store::{Lease, Store};
use crate::topic::{PublishError, Topic};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Time reserved for marking an alert as sent after a slow publish.
const MARK_SENT_RESERVE: Duration = Duration::from_millis(700);

/// The outcome of sending an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// It is published.
    Published,
    /// It isn't, and stays pending: it can be sent again once the lease is over.
    Deferred,
    /// The same; SNS rejects its content.
    Refused,
}

impl SendOutcome {
    /// The outcome in a word, for the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Deferred => "deferred",
            Self::Refused => "refused",
        }
    }
}

/// The outcome of sending an alert, and what failed.
#[derive(Debug)]
pub struct Sent {
    /// The outcome.
    pub outcome: SendOutcome,
    /// What failed, with its causes: the publish, or marking it as sent.
    pub error: Option<String>,
}

/// Publishes an alert and marks it as sent. Ends before the deadline of `invocation`.
pub async fn send(store: &Store, topic: &Topic, lease: &Lease, invocation: Invocation<'_>) -> Sent {
    let not_sent = |outcome, error: String| Sent {
        outcome,
        error: Some(error),
    };
    let left_ms = lease.ends_at().saturating_sub(invocation.now_ms());
    if left_ms == 0 {
        let error = "the lease was over before the alert could be published";
        return not_sent(SendOutcome::Deferred, error.to_owned());
    }
    let lease_ends = Instant::now() + Duration::from_millis(left_ms);
    let deadline = invocation.deadline;
    let publish_until = deadline.checked_sub(MARK_SENT_RESERVE).unwrap_or(deadline);
    let message = message(lease.alert());
    let publish = topic.publish(&message);
    let message_id = match timeout_at(publish_until.min(lease_ends), publish).await {
        Ok(Ok(message_id)) => message_id,
        Ok(Err(error @ PublishError::Refused(_))) => {
            return not_sent(SendOutcome::Refused, chain(&error));
        }
        Ok(Err(error @ PublishError::Failed(_))) => {
            return not_sent(SendOutcome::Deferred, chain(&error));
        }
        Err(_) => return not_sent(SendOutcome::Deferred, "Publish took too long".to_owned()),
    };
    let mark = store.mark_sent(lease, &message_id, invocation.now_ms());
    let error = match timeout_at(publish_until + MARK_SENT_RESERVE / 2, mark).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(chain(&error)),
        Err(_) => Some("marking the alert as sent took too long".to_owned()),
    };
    Sent {
        outcome: SendOutcome::Published,
        error,
    }
}
