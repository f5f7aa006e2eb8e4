//! Runs builds of the sweeper, and prints the table of their figures.

use crate::Options;
use crate::fleet::{Asked, Fleet};
use agora_recording_callbacks::clock::now_ms;
use lab::AnyError;
use lab::backend::Backend;
use lab::machine::median;
use lab::process::own_cpu;
use lab::quota::Quota;
use lab::recording::{SID, Session};
use lab::runtime::{self, Plan};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Callbacks of the recording that stands for all.
const CALLBACKS: u64 = 40;
/// The sweeper may have read so many sessions in a thousand that its line doesn't count: those of
/// its last requests.
const UNCOUNTED: u64 = 5;
/// Work ends that long before the time is up: a second for the answer, and what an item may need.
const REST: Duration = Duration::from_millis(2_500);

/// The figures of one run.
struct Run {
    looked: f64,
    seconds: f64,
    finished: bool,
    /// The processor time of the sweeper, s.
    cpu: f64,
    /// That of the backend, s.
    backend_cpu: f64,
    /// How long a question waited for its answer, ms: the middle one, and of a hundred the longest.
    waited: (f64, f64),
    peak_mib: f64,
    asked: Asked,
}

/// Runs of one build at one size.
struct Measured<'a> {
    memory_mb: u64,
    name: &'a str,
    runs: Vec<Run>,
}

pub(crate) async fn show(
    options: &Options,
    processor: Option<usize>,
    machine: &str,
) -> Result<(), AnyError> {
    let folder = tempfile::tempdir()?;
    let mut all = Vec::new();
    let mut plays = Vec::new();
    for (memory_mb, sessions) in &options.at {
        let quota = Arc::new(Quota::of(*memory_mb)?);
        for (n, (name, path)) in options.binaries.iter().enumerate() {
            // How a file was written decides how fast its pages are mapped.
            let copy = folder.path().join(n.to_string());
            std::fs::copy(path, &copy)?;
            plays.push((copy, *memory_mb, *sessions, Arc::clone(&quota)));
            all.push(Measured {
                memory_mb: *memory_mb,
                name,
                runs: Vec::new(),
            });
        }
    }
    let mut order: Vec<_> = (0..all.len()).collect();
    for turn in 0..options.rounds {
        // Another order each round, the same in every measurement.
        fastrand::Rng::with_seed(u64::try_from(turn)?).shuffle(&mut order);
        for n in &order {
            let (binary, memory_mb, sessions, quota) = &plays[*n];
            let run = play(options, processor, binary, *memory_mb, *sessions, quota).await;
            let run = run.map_err(|error| format!("{}: {error}", all[*n].name))?;
            all[*n].runs.push(run);
        }
    }
    println!("{machine}");
    print(options, processor, &all);
    Ok(())
}

/// One process, one run.
async fn play(
    options: &Options,
    processor: Option<usize>,
    binary: &Path,
    memory_mb: u64,
    sessions: u32,
    quota: &Arc<Quota>,
) -> Result<Run, AnyError> {
    // Healthy when the run ends, too: nothing is found.
    let now = now_ms();
    let mut recording = Session::open(now - (CALLBACKS + 5) * 1_000).await?;
    for _ in 0..CALLBACKS {
        recording.heartbeat().await?;
    }
    let fleet = Arc::new(Fleet::new(sessions, recording.item()?, SID, now - 60_000));
    let table = Arc::clone(&fleet);
    let latency = Duration::from_millis(options.latency_ms);
    let answer = move |target: &str, body: &[u8]| table.answer(target, body);
    let backend = Backend::answering(!options.plain, latency, answer).await?;
    let tick = json!({"version": "0", "source": "aws.scheduler", "detail": {}});
    let plan = Plan {
        events: vec![tick.to_string()],
        marks: vec![0, 1],
        counts: backend.counts(),
        quota: Some(Arc::clone(quota)),
        time: Duration::from_secs(options.seconds),
        environment: vec![
            ("AWS_LAMBDA_FUNCTION_NAME", "sweeper".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory_mb.to_string()),
            ("AWS_LAMBDA_LOG_FORMAT", "JSON".to_owned()),
            ("AWS_LAMBDA_LOG_LEVEL", "INFO".to_owned()),
        ],
        processor,
        is_right: |answer| answer.is_object(),
    };
    let patience = plan.time + Duration::from_secs(30);
    let before = own_cpu()?;
    let carried_out = runtime::carry_out(plan, &[binary], &backend, patience).await;
    if let Some(refused) = fleet.asked().refused {
        return Err(refused.into());
    }
    let (_, seen) = carried_out?;
    let backend_cpu = own_cpu()? - before;
    let line: Value = serde_json::from_str(&seen.last_line)?;
    let looked = agreed(&line, fleet.served())?;
    let mut waits = backend.waits();
    waits.sort();
    let wait = |percent: usize| waits[(waits.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    let cpu_ns = seen.marks[1].cpu_ns - seen.marks[0].cpu_ns;
    Ok(Run {
        looked,
        seconds: seen.latencies[0] / 1e6,
        finished: line["finished"] == true,
        cpu: Duration::from_nanos(cpu_ns).as_secs_f64(),
        backend_cpu,
        waited: (wait(50), wait(99)),
        peak_mib: f64::from(u32::try_from(seen.marks[1].peak_kib)?) / 1024.0,
        asked: fleet.asked(),
    })
}

/// The looks of a run: the sweeper's line and the table have to agree about them.
fn agreed(line: &Value, served: u32) -> Result<f64, AnyError> {
    let looked = line["looked"]
        .as_u64()
        .ok_or("its line tells of no looks")?;
    let looked = u32::try_from(looked)?;
    let uncounted = served.checked_sub(looked).map(u64::from);
    let allowed = match line["finished"] == true {
        true => 0,
        false => u64::from(served) * UNCOUNTED / 1_000,
    };
    match uncounted {
        Some(uncounted) if uncounted <= allowed => {}
        Some(_) | None => {
            let error = format!("it looked at {looked} sessions, and {served} were served: {line}");
            return Err(error.into());
        }
    }
    for wrong in ["found", "errors", "unreadable"] {
        if line[wrong].as_u64().unwrap_or_default() > 0 {
            return Err(format!("something was wrong with healthy recordings: {line}").into());
        }
    }
    Ok(f64::from(looked))
}

fn print(options: &Options, processor: Option<usize>, all: &[Measured<'_>]) {
    println!(
        "{} rounds, shuffled; {}; DynamoDB answers after {} ms; the sweeper has {}; \
         a run ends {:.1} s after its begin.\n",
        options.rounds,
        if options.plain { "no TLS" } else { "TLS" },
        options.latency_ms,
        match processor {
            Some(_) => "a processor of its own, of which it gets its share",
            None => "its share of the only processor",
        },
        (Duration::from_secs(options.seconds) - REST).as_secs_f64(),
    );
    println!("A run, the middle one of its rounds; × is to the first build at the same size.\n");
    println!(
        "| MB | build | recordings | looks a run | looks/s | × | CPU µs a look | × \
         | of its share | peak MiB |"
    );
    println!("|{}", " --- |".repeat(10));
    for measured in all {
        let Measured {
            memory_mb,
            name,
            runs,
        } = measured;
        let first = all.iter().find(|first| first.memory_mb == *memory_mb);
        let first = &first.unwrap_or(measured).runs;
        let share = Quota::share(*memory_mb);
        let middle = |figure: fn(&Run) -> f64| median(runs.iter().map(figure).collect());
        let ratio = |figure: fn(&Run) -> f64| {
            let pairs = runs.iter().zip(first);
            median(
                pairs
                    .map(|(own, first)| figure(own) / figure(first))
                    .collect(),
            )
        };
        let of_share = |run: &Run| run.cpu / run.seconds / share * 100.0;
        let sessions = options.at.iter().find(|(mb, _)| mb == memory_mb);
        let all_looked = if runs.iter().all(|run| run.finished) {
            ", all"
        } else {
            ""
        };
        println!(
            "| {memory_mb} | {name} | {} | {:.0}{all_looked} | {:.0} | {:.1} | {:.1} | {:.2} \
             | {:.0} % | {:.1} |",
            sessions.map_or(0, |(_, sessions)| *sessions),
            middle(|run| run.looked),
            middle(|run| run.looked / run.seconds),
            ratio(|run| run.looked / run.seconds),
            middle(|run| run.cpu / run.looked * 1e6),
            ratio(|run| run.cpu / run.looked),
            median(runs.iter().map(of_share).collect()),
            middle(|run| run.peak_mib),
        );
    }
    println!("\nWhat the table was asked, in the last round, and whether it was in the way.\n");
    println!(
        "| MB | build | requests for 1,000 looks | MB answered | handed back | waited ms, p50 \
         | p99 | its CPU |"
    );
    println!("|{}", " --- |".repeat(8));
    for Measured {
        memory_mb,
        name,
        runs,
    } in all
    {
        let Some(run) = runs.last() else { continue };
        let requests = run.asked.requests.iter();
        let requests: Vec<_> = requests
            .map(|(operation, count)| {
                let count = u32::try_from(*count).map_or(f64::INFINITY, f64::from);
                format!("{operation} {:.1}", count / run.looked * 1_000.0)
            })
            .collect();
        println!(
            "| {memory_mb} | {name} | {} | {} | {} | {:.2} | {:.2} | {:.0} % |",
            requests.join(", "),
            run.asked.bytes / 1_000_000,
            run.asked.handed_back,
            run.waited.0,
            run.waited.1,
            run.backend_cpu / run.seconds * 100.0,
        );
    }
    // A question that waits longer than it should waits for us.
    let latest = f64::from(u32::try_from(options.latency_ms).unwrap_or(u32::MAX)) * 1.2 + 0.2;
    let mut runs = all.iter().flat_map(|measured| &measured.runs);
    if runs.any(|run| run.waited.0 > latest) {
        println!(
            "\nThe table answered late: looks are fewer than they would be on a quiet machine."
        );
    }
}
