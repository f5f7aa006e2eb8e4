//! One process of one function: its start, then callbacks of every kind it knows.

use crate::AnyError;
use crate::backend::Backend;
use crate::callbacks::Kind;
use crate::counted::Counts;
use crate::functions::Function;
use crate::process;
use crate::runtime::Api;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Callbacks of a kind before they are counted.
const WARM_UP: usize = 30;
/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a process took.
#[derive(Clone)]
pub(crate) struct Round {
    /// From its start until it asked for the first event, ms.
    pub(crate) first_next_ms: f64,
    /// From its start until its first answer, ms.
    pub(crate) first_answer_ms: f64,
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

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) async fn play(
    function: &Function,
    backend: &Backend,
    callbacks: usize,
) -> Result<Round, AnyError> {
    let kinds = if function.is_ours {
        &Kind::ALL[..]
    } else {
        &Kind::ALL[..1]
    };
    let mut events = Vec::new();
    let mut marks = Vec::new();
    for kind in kinds {
        let first = u64::try_from(events.len())?;
        events.extend(kind.events(first, WARM_UP + callbacks));
        marks.extend([events.len() - callbacks, events.len()]);
    }
    // The end of a kind is before the first event of the next, whatever that is.
    let ranges: Vec<_> = marks.chunks(2).map(|pair| pair[0]..pair[1]).collect();
    let api = Api::start(events, marks, backend.counts()).await?;
    let started = Instant::now();
    let mut child = process::start(&[&function.binary], &api.address, backend)?;
    api.set_pid(child.id().ok_or("it has ended")?);
    tokio::select! {
        waited = timeout(PATIENCE, api.over()) => waited?,
        ended = child.wait() => return Err(format!("{} has ended: {}", function.name, ended?).into()),
    }
    let seen = api.end();
    process::end(child).await?;
    if let Some(failure) = seen.failure {
        return Err(format!("{} answered {failure}", function.name).into());
    }
    let since = |at: Option<Instant>| at.map(|at| (at - started).as_secs_f64() * 1e3);
    let count = callbacks as f64;
    let kinds = ranges
        .into_iter()
        .zip(seen.marks.chunks(2))
        .map(|(range, marks)| {
            let mut latencies = seen.latencies[range].to_vec();
            latencies.sort_by(f64::total_cmp);
            Warm {
                p50_us: latencies[latencies.len() / 2],
                p99_us: latencies[latencies.len() * 99 / 100],
                cpu_us: (marks[1].cpu_ns - marks[0].cpu_ns) as f64 / 1e3 / count,
                counts: Counts {
                    requests: (marks[1].counts.requests - marks[0].counts.requests) / count,
                    units: (marks[1].counts.units - marks[0].counts.units) / count,
                },
                peak_mib: marks[1].peak_kib as f64 / 1024.0,
            }
        });
    Ok(Round {
        kinds: kinds.collect(),
        first_next_ms: since(seen.first_next).ok_or("it asked for nothing")?,
        first_answer_ms: since(seen.first_answer).ok_or("it answered nothing")?,
    })
}
