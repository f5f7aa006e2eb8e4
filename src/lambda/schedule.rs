//! The sweeper's door: a tick of an EventBridge rule or of EventBridge Scheduler. What the event says doesn't matter, so any is
//! taken; Scheduler lets its users write it themselves.

use super::{log_line, time_left};
use crate::clock::now_ms;
use crate::sweep::{Remark, Run, Sweep, Sweeper};
use lambda_runtime::{Error, LambdaEvent};
use serde::Serialize;
use serde::de::IgnoredAny;
use std::time::Duration;
use tokio::time::Instant;

/// A run that takes longer than this is in the way of the next one.
const PATIENCE: Duration = Duration::from_secs(50);
/// What is left of the deadline for the log and the answer.
const ANSWER: Duration = Duration::from_secs(1);

/// Handles one invocation, and answers with what the sweep came to.
///
/// # Errors
/// Nothing could be worked off because the table can't be reached: the schedule's own retries and alarms are for that.
pub async fn invoke(sweeper: &Sweeper, event: LambdaEvent<IgnoredAny>) -> Result<Sweep, Error> {
    let started = Instant::now();
    let now_ms = now_ms();
    let time = time_left(&event.context, now_ms, PATIENCE);
    let run = Run {
        owner: &event.context.request_id,
        now_ms,
        deadline: started + time.saturating_sub(ANSWER),
    };
    let sweep = sweeper.sweep(run).await;
    log(&sweep, run.owner, started);
    if sweep.errors > 0 && sweep.looked + sweep.published == 0 {
        return Err("nothing could be worked off: the table can't be reached".into());
    }
    Ok(sweep)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RemarkLine<'a> {
    level: &'static str,
    message: &'static str,
    request_id: &'a str,
    #[serde(flatten)]
    remark: &'a Remark,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SweepLine<'a> {
    level: &'static str,
    message: &'static str,
    request_id: &'a str,
    milliseconds: u128,
    #[serde(flatten)]
    sweep: &'a Sweep,
}

/// One line a run, and one for everything that somebody should read.
fn log(sweep: &Sweep, request_id: &str, started: Instant) {
    for remark in &sweep.remarks {
        log_line(&RemarkLine {
            level: "ERROR",
            message: "sweep remark",
            request_id,
            remark,
        });
    }
    log_line(&SweepLine {
        level: if sweep.errors > 0 { "ERROR" } else { "INFO" },
        message: "sweep",
        request_id,
        milliseconds: started.elapsed().as_millis(),
        sweep,
    });
}
