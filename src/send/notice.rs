//! Sending a notice that is ours: read what has come of its recording, put it on the bus, note it.

use super::{BUS, BUS_RESTS_MS, Limits, Outbox, SendError, SendOutcome, Sent};
use crate::alert::{Attempt, Destination};
use crate::error::chain;
use crate::invocation::Invocation;
use crate::notice::Telling;
use crate::record::Record;
use crate::store::{LeasedNotice, Store, StoreError};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

impl Outbox {
    /// Tells programs what a callback brought. That waits for the bus for a second at most; a bus
    /// that hung a moment ago is left to the sweeper.
    pub async fn tell_at_once(
        &self,
        store: &Store,
        leased: &mut LeasedNotice,
        invocation: Invocation<'_>,
    ) -> Sent {
        if self.bus_rests(invocation.now_ms()) {
            return Sent::of(SendOutcome::Left);
        }
        self.tell(store, leased, BUS, invocation).await
    }

    /// Tells programs within a time, and marks the notice as done. Ends before the deadline of
    /// `invocation`.
    pub async fn tell(
        &self,
        store: &Store,
        leased: &mut LeasedNotice,
        bus_time: Duration,
        invocation: Invocation<'_>,
    ) -> Sent {
        // Whoever has the bus sends it.
        let Some(bus) = &self.bus else {
            return Sent::deferred("there is no bus".to_owned());
        };
        let limits = Limits::of(leased.lease(), invocation);
        let telling = match timeout_at(limits.send, self.read_telling(store, leased)).await {
            Ok(Ok(telling)) => telling,
            Ok(Err(error)) => return Sent::deferred(chain(&error)),
            Err(_) => return Sent::deferred("reading the recording took too long".to_owned()),
        };
        let (outcome, attempt) = match telling {
            Telling::Waits => return Sent::of(SendOutcome::Waits),
            Telling::Nothing => (SendOutcome::Empty, Attempt::Needless),
            Telling::Says(_) if !limits.has_time() => {
                return Sent::deferred("there was no time left to tell programs".to_owned());
            }
            Telling::Says(detail) => {
                let detail_type = leased.notice().news.detail_type();
                let until = limits.send.min(Instant::now() + bus_time);
                let error = match timeout_at(until, bus.put(detail_type, &detail)).await {
                    Ok(Ok(event_id)) => Ok(event_id),
                    Ok(Err(error)) => Err(SendError::from(error)),
                    Err(_) => Err(SendError::Timeout),
                };
                match error {
                    Ok(event_id) => (SendOutcome::Published, Attempt::Told(event_id)),
                    Err(error) => {
                        if matches!(error, SendError::Timeout) {
                            let until_ms = invocation.now_ms() + BUS_RESTS_MS;
                            self.bus_rests_until.store(until_ms, Ordering::Relaxed);
                        }
                        let outcome = if error.is_refusal() {
                            SendOutcome::Refused
                        } else {
                            SendOutcome::Deferred
                        };
                        return Sent {
                            outcome,
                            ..Sent::deferred(chain(&error))
                        };
                    }
                }
            }
        };
        let attempts = [(Destination::Facts, attempt)].into();
        let note = store.note(leased, &attempts, invocation.now_ms());
        let error = match timeout_at(limits.note, note).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(chain(&error)),
            Err(_) => Some("noting that programs were told took too long".to_owned()),
        };
        Sent {
            error,
            ..Sent::of(outcome)
        }
    }

    async fn read_telling(
        &self,
        store: &Store,
        leased: &LeasedNotice,
    ) -> Result<Telling, StoreError> {
        let notice = leased.notice();
        let record = store.record(&notice.sid).await?;
        let record = record.unwrap_or_else(|| Record::new(notice.sid.clone()));
        Ok(notice.tell(&record, self.bucket.as_ref()))
    }
}
