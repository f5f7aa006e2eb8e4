//! Sending an alert that is ours: publish it to what it is for, then mark it as sent. Who may is
//! decided before, in the table: only a [`Lease`] can be sent, and only until it is over.
//!
//! Must not know: what the alert is about.

use crate::alert::{Destinations, Links, Message, message};
use crate::error::chain;
use crate::invocation::Invocation;
use crate::store::{Lease, Store};
use crate::topic::{PublishError, Topics};
use futures_util::future::join_all;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Time reserved for marking an alert as sent after a slow publish.
const MARK_SENT_RESERVE: Duration = Duration::from_millis(700);

/// Where alerts leave.
#[derive(Debug)]
pub struct Outbox {
    /// The topics.
    pub topics: Topics,
    /// What every message leads to.
    pub links: Links,
}

/// The outcome of sending an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// It is published to all that it is for.
    Published,
    /// It isn't, or not to all, and stays pending: it can be sent again once the lease is over.
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
    /// What failed, with its causes: a publish, or noting one.
    pub error: Option<String>,
}

/// What came of publishing to some topics.
#[derive(Debug, Default)]
struct Published {
    /// What failed, or has been left out.
    rest: Destinations,
    /// SNS's id of the message, of the last topic that took it.
    message_id: Option<String>,
    is_refused: bool,
    errors: Vec<String>,
}

impl Outbox {
    /// Publishes an alert to all that it still has to be published to, and marks it as sent. What
    /// fails doesn't hold back the others, and isn't sent to them again. Ends before the deadline
    /// of `invocation`.
    pub async fn send(&self, store: &Store, lease: &Lease, invocation: Invocation<'_>) -> Sent {
        let left_ms = lease.ends_at().saturating_sub(invocation.now_ms());
        if left_ms == 0 {
            let error = "the lease was over before the alert could be published";
            return Sent {
                outcome: SendOutcome::Deferred,
                error: Some(error.to_owned()),
            };
        }
        let lease_ends = Instant::now() + Duration::from_millis(left_ms);
        let deadline = invocation.deadline;
        let publish_until = deadline.checked_sub(MARK_SENT_RESERVE).unwrap_or(deadline);
        let message = message(lease.alert(), &self.links);
        let until = publish_until.min(lease_ends);
        let mut published = self.publish(lease.to(), &message, until).await;
        let outcome = match (published.rest.is_empty(), published.is_refused) {
            (true, _) => SendOutcome::Published,
            (false, true) => SendOutcome::Refused,
            (false, false) => SendOutcome::Deferred,
        };
        let note = async {
            if outcome == SendOutcome::Published {
                let message_id = published.message_id.as_deref().unwrap_or_default();
                store
                    .mark_sent(lease, message_id, invocation.now_ms())
                    .await
            } else if published.rest == *lease.to() {
                Ok(())
            } else {
                store.note_rest(lease, &published.rest).await
            }
        };
        match timeout_at(publish_until + MARK_SENT_RESERVE / 2, note).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => published.errors.push(chain(&error)),
            Err(_) => {
                let error = "noting what was published took too long";
                published.errors.push(error.to_owned());
            }
        }
        let errors = published.errors;
        Sent {
            outcome,
            error: (!errors.is_empty()).then(|| errors.join("; ")),
        }
    }

    /// Publishes a message to those of `to` that there are, all at the same time, so that one that
    /// hangs doesn't hold back the others.
    async fn publish(&self, to: &Destinations, message: &Message, until: Instant) -> Published {
        let there = to
            .iter()
            .filter_map(|to| Some((*to, self.topics.arn(*to)?)));
        let publishes = there.map(|(to, arn)| async move {
            (
                to,
                timeout_at(until, self.topics.publish(arn, message)).await,
            )
        });
        let mut published = Published::default();
        for (to, came) in join_all(publishes).await {
            let error = match came {
                Ok(Ok(message_id)) => {
                    published.message_id = Some(message_id);
                    continue;
                }
                Ok(Err(error)) => {
                    published.is_refused |= matches!(error, PublishError::Refused(_));
                    chain(&error)
                }
                Err(_) => "Publish took too long".to_owned(),
            };
            published.rest.insert(to);
            published.errors.push(format!("{}: {error}", to.as_str()));
        }
        published
    }
}
