//! Lambda's entry points: an invocation's event in, its answer and the log lines out.

pub mod guard;
pub mod http;
mod refusals;
pub mod schedule;
pub mod view;

use lambda_runtime::Context;
use std::time::Duration;

/// How much time an invocation has: what Lambda leaves, and no more than `patience`. A deadline
/// that was over before the invocation came isn't one: cargo-lambda sends a constant.
fn time_left(context: &Context, now_ms: u64, patience: Duration) -> Duration {
    match context.deadline.checked_sub(now_ms) {
        Some(left_ms) => Duration::from_millis(left_ms).min(patience),
        None => patience,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invocation_takes_no_longer_than_lambda_and_the_sender_leave() {
        let patience = Duration::from_secs(9);
        for (deadline, expected) in [
            (1_005_000, Duration::from_secs(5)),
            (1_900_000, patience),
            (1_000_000, Duration::ZERO),
            (600_000, patience),
        ] {
            let mut context = Context::default();
            context.deadline = deadline;
            assert_eq!(
                time_left(&context, 1_000_000, patience),
                expected,
                "{deadline}"
            );
        }
    }
}
