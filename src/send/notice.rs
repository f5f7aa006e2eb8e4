//! Sending a notice that is ours: read what has come of its recording, put it on the bus, mark it.

use super::{Limits, Outbox, PUBLISH_RESERVE, SendOutcome, Sent};
use crate::bus::{Bus, PutError};
use crate::error::chain;
use crate::invocation::Invocation;
use crate::notice::Telling;
use crate::record::Record;
use crate::store::{NoticeLease, Store, StoreError};
use tokio::time::{Instant, timeout_at};

impl Outbox {
    /// Tells programs, and marks the notice as done. Ends before the deadline of `invocation`.
    pub async fn tell(
        &self,
        store: &Store,
        lease: &NoticeLease,
        invocation: Invocation<'_>,
    ) -> Sent {
        // Whoever has the bus sends it.
        let Some(bus) = &self.bus else {
            return Sent::deferred("there is no bus".to_owned());
        };
        let Limits {
            send: until,
            note: note_until,
        } = Limits::of(lease.hold(), invocation);
        let telling = match timeout_at(until, self.tell_what(store, lease)).await {
            Ok(Ok(telling)) => telling,
            Ok(Err(error)) => return Sent::deferred(chain(&error)),
            Err(_) => return Sent::deferred("reading the recording took too long".to_owned()),
        };
        let event_id = match telling {
            Telling::Waits => return Sent::of(SendOutcome::Waits),
            Telling::Nothing => None,
            Telling::Says(_) if Instant::now() + PUBLISH_RESERVE > until => {
                return Sent::deferred("there was no time left to tell programs".to_owned());
            }
            Telling::Says(detail) => {
                let detail_type = lease.notice().news.detail_type();
                match put(bus, detail_type, &detail, until).await {
                    Ok(event_id) => Some(event_id),
                    Err(sent) => return sent,
                }
            }
        };
        let outcome = match event_id {
            Some(_) => SendOutcome::Published,
            None => SendOutcome::Empty,
        };
        let mark = store.mark_told(lease, event_id.as_deref(), invocation.now_ms());
        let error = match timeout_at(note_until, mark).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(chain(&error)),
            Err(_) => Some("noting that programs were told took too long".to_owned()),
        };
        Sent {
            error,
            ..Sent::of(outcome)
        }
    }

    async fn tell_what(&self, store: &Store, lease: &NoticeLease) -> Result<Telling, StoreError> {
        let notice = lease.notice();
        let record = store.record(&notice.sid).await?;
        let record = record.unwrap_or_else(|| Record::new(notice.sid.clone()));
        Ok(notice.tell(&record, self.bucket.as_ref()))
    }
}

async fn put(
    bus: &Bus,
    detail_type: &str,
    detail: &serde_json::Value,
    until: Instant,
) -> Result<String, Sent> {
    match timeout_at(until, bus.put(detail_type, detail)).await {
        Ok(Ok(event_id)) => Ok(event_id),
        Ok(Err(error @ PutError::Failed(_))) => Err(Sent::deferred(chain(&error))),
        Ok(Err(error @ PutError::Refused(_))) => Err(Sent {
            error: Some(chain(&error)),
            ..Sent::of(SendOutcome::Refused)
        }),
        Err(_) => Err(Sent::deferred("PutEvents took too long".to_owned())),
    }
}
