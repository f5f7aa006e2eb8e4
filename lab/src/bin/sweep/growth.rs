//! How a sweep grows: the sweeper in this process, real items of healthy recordings on an engine.
//!
//! Requests and units are the engine's own counts. Times are those of this machine and this engine,
//! shown as ratios only.

use crate::picture;
use agora_recording_callbacks::aws;
use agora_recording_callbacks::invocation::Invocation;
use agora_recording_callbacks::sweep::Sweeper;
use lab::AnyError;
use lab::recording::{SID, Session};
use lab::wire::{TABLE, Wire, config};
use serde_json::json;
use std::time::{Duration, Instant};

/// When the first callback was sent, ms since the epoch.
const START_MS: u64 = 1_772_460_000_000;
/// Callbacks of each recording.
const CALLBACKS: u64 = 40;
/// The sweep comes when the recordings have sent their last callback.
const NOW_MS: u64 = START_MS + (CALLBACKS + 5) * 1_000;
/// Longer than any sweep takes here: each looks at everything.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// A sweep of so many recordings; figures are of one look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    pub(crate) recordings: u32,
    pub(crate) requests: f64,
    pub(crate) read_units: f64,
    pub(crate) write_units: f64,
    pub(crate) us: f64,
}

/// Measures, prints and draws.
pub(crate) async fn show(up_to: u32) -> Result<(), AnyError> {
    let mut recording = Session::open(START_MS).await?;
    for _ in 0..CALLBACKS {
        recording.heartbeat(false).await?;
    }
    let item = recording.item()?.to_string();
    // What the first sweep of a process costs is no recording's doing.
    sweep(&item, 100).await?;
    let sizes = [1_000, 3_000, 10_000, 30_000, 100_000, 200_000];
    let mut points = Vec::new();
    println!("| recordings | requests a look | read units | write units | time × |");
    println!("|{}", " --- |".repeat(5));
    for recordings in sizes.into_iter().filter(|size| *size <= up_to) {
        let point = sweep(&item, recordings).await?;
        points.push(point);
        println!(
            "| {recordings} | {:.4} | {:.3} | {:.3} | {:.2} |",
            point.requests,
            point.read_units,
            point.write_units,
            point.us / points[0].us,
        );
    }
    picture::draw("docs/sweep.svg", &points)
}

/// Sweeps a table that has so many recordings in it, and nothing else.
async fn sweep(item: &str, recordings: u32) -> Result<Point, AnyError> {
    let (wire, aws) = Wire::open().await?;
    for number in 0..recordings {
        // A sid differs in all its digits from those before and after it.
        let own = format!("{:08x}", number.wrapping_mul(2_654_435_761));
        let item = item.replace(SID, &format!("{own}{}", &SID[own.len()..]));
        let mut item: serde_json::Value = serde_json::from_str(&item)?;
        item["watch_shard"] = json!({"S": (number % 8).to_string()});
        item["watch_at"] = json!({"N": (NOW_MS - u64::from(number % 60_000)).to_string()});
        wire.ask("PutItem", &json!({"TableName": TABLE, "Item": item}))?;
    }
    let config = config()?;
    let (store, outbox) = (aws::store(&aws, &config), aws::outbox(&aws, &config));
    let sweeper = Sweeper::new(config.rules, store, outbox);
    wire.take();
    let started = Instant::now();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let invocation = Invocation::new("sweep", NOW_MS, deadline);
    let sweep = sweeper.sweep(invocation).await;
    let elapsed = started.elapsed();
    if sweep.looked != u64::from(recordings) || !sweep.finished || sweep.found > 0 {
        return Err(format!("{recordings} recordings: {sweep:?}").into());
    }
    let counts = wire.take();
    let looks = f64::from(recordings);
    Ok(Point {
        recordings,
        requests: counts.requests / looks,
        read_units: counts.read_units / looks,
        write_units: counts.units / looks,
        us: elapsed.as_secs_f64() * 1e6 / looks,
    })
}
