//! One process of one function: its start, then callbacks of every kind it knows.

use crate::functions::Function;
use lab::AnyError;
use lab::backend::Backend;
use lab::quota::Quota;
use lab::runtime::{self, Plan};
use std::sync::Arc;
use std::time::Duration;
use testkit::counted::Counts;

/// Callbacks of a kind before they are counted.
const WARM_UP: usize = 30;
/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a process took.
#[derive(Clone)]
pub(crate) struct Round {
    /// From its start until it asked for the first event, ms.
    pub(crate) first_next_ms: f64,
    /// From its first event until the answer, ms.
    pub(crate) first_event_ms: f64,
    /// By kind of callback.
    pub(crate) kinds: Vec<Warm>,
}

/// What a warm callback took.
#[derive(Clone)]
pub(crate) struct Warm {
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) cpu_us: f64,
    /// Requests and write units.
    pub(crate) counts: Counts,
    /// The most memory until then, MiB.
    pub(crate) peak_mib: f64,
}

/// Starts `function`, and sends it `callbacks` callbacks that count of each kind that it knows.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) async fn play(
    function: &Function,
    backend: &Backend,
    quota: Option<Arc<Quota>>,
    callbacks: usize,
) -> Result<Round, AnyError> {
    let failed = |error: AnyError| format!("{}: {error}", function.name);
    let mut events = Vec::new();
    let mut marks = Vec::new();
    for kind in function.kinds {
        let first = u64::try_from(events.len())?;
        events.extend(kind.events(first, WARM_UP + callbacks));
        marks.extend([events.len() - callbacks, events.len()]);
    }
    // The end of a kind is before the first event of the next, whatever that is.
    let ranges: Vec<_> = marks.chunks(2).map(|pair| pair[0]..pair[1]).collect();
    let plan = Plan {
        marks,
        quota,
        ..function.plan(events, backend)
    };
    let program = [&*function.binary];
    let (started, seen) = runtime::carry_out(plan, &program, backend, PATIENCE)
        .await
        .map_err(failed)?;
    let first_next = seen.first_next.ok_or("it asked for nothing")?;
    let first_event_us = seen.latencies.first().ok_or("it answered nothing")?;
    let count = callbacks as f64;
    let mut kinds = Vec::new();
    for ((kind, range), marks) in function.kinds.iter().zip(ranges).zip(seen.marks.chunks(2)) {
        let mut latencies = seen.latencies[range].to_vec();
        latencies.sort_by(f64::total_cmp);
        let requests = (marks[1].counts.requests - marks[0].counts.requests) / count;
        if function.is_ours && backend.is_canned && requests != kind.requests() {
            let (name, right) = (kind.name(), kind.requests());
            let error = format!("{requests} requests for a callback that is {name}, not {right}");
            return Err(failed(error.into()).into());
        }
        kinds.push(Warm {
            p50_us: latencies[latencies.len() / 2],
            p99_us: latencies[latencies.len() * 99 / 100],
            cpu_us: (marks[1].cpu_ns - marks[0].cpu_ns) as f64 / 1e3 / count,
            counts: Counts {
                requests,
                units: (marks[1].counts.units - marks[0].counts.units) / count,
                ..Counts::default()
            },
            peak_mib: marks[1].peak_kib as f64 / 1024.0,
        });
    }
    Ok(Round {
        kinds,
        first_next_ms: (first_next - started).as_secs_f64() * 1e3,
        first_event_ms: first_event_us / 1e3,
    })
}

impl Round {
    /// From its start until its first answer, ms, without what it took to hand out the event.
    pub(crate) fn first_answer_ms(&self) -> f64 {
        self.first_next_ms + self.first_event_ms
    }
}
