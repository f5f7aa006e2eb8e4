//! The sweeper's entry point: a tick of an EventBridge rule or of EventBridge Scheduler. What the
//! event says doesn't matter, so any is taken; Scheduler lets its users write it themselves.

use super::time_left;
use crate::clock::now_ms;
use crate::invocation::Invocation;
use crate::log::{Entry, Level, Log, Metric};
use crate::sweep::{Sweep, Sweeper};
use lambda_runtime::{Error, LambdaEvent};
use serde::Serialize;
use serde::de::IgnoredAny;
use std::time::Duration;
use tokio::time::Instant;

/// A run that takes longer than this overlaps the next one.
const PATIENCE: Duration = Duration::from_secs(50);
/// What is left of the deadline for the log and the answer.
const ANSWER: Duration = Duration::from_secs(1);

/// Handles one invocation, and answers with the sweep's counts.
///
/// # Errors
/// Nothing could be processed because the table or its index can't be read: the schedule's own
/// retries and alarms are for that.
pub async fn invoke(
    sweeper: &Sweeper,
    log: &Log,
    event: LambdaEvent<IgnoredAny>,
) -> Result<Sweep, Error> {
    let started = Instant::now();
    let now_ms = now_ms();
    let time = time_left(&event.context, now_ms, PATIENCE);
    let deadline = started + time.saturating_sub(ANSWER);
    let invocation = Invocation::new(&event.context.request_id, now_ms, deadline);
    let sweep = sweeper.sweep(invocation).await;
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    write_lines(log, &sweep, invocation, milliseconds);
    if sweep.errors > 0 && sweep.looked + sweep.published == 0 {
        return Err("nothing could be processed: the log's errors say why".into());
    }
    Ok(sweep)
}

#[derive(Serialize)]
struct Fields<'a> {
    milliseconds: u64,
    #[serde(flatten)]
    sweep: &'a Sweep,
}

/// One line a run, and one for everything that an operator should read.
fn write_lines(log: &Log, sweep: &Sweep, invocation: Invocation<'_>, milliseconds: u64) {
    let (request_id, now_ms) = (invocation.id, invocation.began_at_ms());
    for remark in &sweep.remarks {
        log.write(Entry {
            level: Level::Error,
            message: "sweep remark",
            request_id,
            now_ms,
            fields: remark,
            metrics: &[],
        });
    }
    let mut metrics = vec![
        (Metric::Sweeps, 1),
        (Metric::SessionsLooked, sweep.looked),
        (Metric::SessionsHeard, sweep.heard),
        (Metric::WatchdogFound, sweep.found),
        (Metric::AlertsPublished, sweep.published),
        (Metric::AlertsDeferred, sweep.deferred + sweep.held),
        (Metric::AlertsFailed, sweep.failed),
        (Metric::OldestPendingAlert, sweep.oldest_pending_ms),
        (Metric::NoticesSent, sweep.notices_sent),
        (Metric::NoticesDeferred, sweep.notices_deferred),
        (Metric::NoticesFailed, sweep.notices_failed),
        (Metric::SweepLag, sweep.lag_ms),
        (Metric::MissingSequences, sweep.missing_sequences),
        (Metric::UnreadableItems, sweep.unreadable),
        (Metric::TableErrors, sweep.errors),
    ];
    let subscribers = sweep.subscribers.map(|count| (Metric::Subscribers, count));
    let pending = sweep
        .subscribers_pending
        .map(|count| (Metric::SubscribersPending, count));
    metrics.extend(subscribers.into_iter().chain(pending));
    let level = if sweep.errors > 0 {
        Level::Error
    } else {
        Level::Info
    };
    let fields = Fields {
        milliseconds,
        sweep,
    };
    log.write(Entry {
        level,
        message: "sweep",
        request_id,
        now_ms,
        fields: &fields,
        metrics: &metrics,
    });
}
