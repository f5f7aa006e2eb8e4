//! The tables: medians over rounds, and the median of the ratios round by round.

use crate::AnyError;
use crate::functions::Function;
use crate::round::Round;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use std::fs;
use std::io::{Write, sink};
use std::path::Path;

const MIB: f64 = 1024.0 * 1024.0;

/// Prints everything; ratios are to the first function.
pub(crate) fn print(
    functions: &[Function],
    rounds: &[Vec<Round>],
    counted: &[Round],
    tls: bool,
    latency_ms: u64,
) -> Result<(), AnyError> {
    println!("{}", machine());
    println!(
        "{} rounds, interleaved; {}DynamoDB and SNS answer {}. × is to `{}`, the median of the ratios round by round.\n",
        rounds[0].len(),
        if tls { "TLS; " } else { "no TLS; " },
        if latency_ms == 0 {
            "at once".to_owned()
        } else {
            format!("after {latency_ms} ms")
        },
        functions[0].name
    );
    println!(
        "| function | first `next` ms | × | first answer ms | × | peak MiB | × | binary MiB | zip MiB |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for (function, own) in functions.iter().zip(rounds) {
        let against = |figure: fn(&Round) -> f64, digits| cell(own, &rounds[0], figure, digits);
        let (size, zipped) = sizes(&function.binary)?;
        println!(
            "| {} | {} | {} | {} | {size:.2} | {zipped:.2} |",
            function.name,
            against(|round| round.first_next_ms, 1),
            against(|round| round.first_answer_ms, 1),
            against(|round| round.kinds[0].peak_mib, 1),
        );
    }
    println!("\n| function | callback | requests | units | p50 µs | × | p99 µs | × | CPU µs | × |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for ((function, own), counted) in functions.iter().zip(rounds).zip(counted) {
        for kind in 0..own[0].kinds.len() {
            let against = |figure: fn(&crate::round::Warm) -> f64| {
                cell(
                    own,
                    &rounds[0],
                    |round| figure(&round.kinds[kind.min(round.kinds.len() - 1)]),
                    0,
                )
            };
            println!(
                "| {} | {} | {:.2} | {:.2} | {} | {} | {} |",
                function.name,
                ["heartbeat", "ordinary", "alerting"][kind],
                counted.kinds[kind].counts.requests,
                counted.kinds[kind].counts.units,
                against(|warm| warm.p50_us),
                against(|warm| warm.p99_us),
                against(|warm| warm.cpu_us),
            );
        }
    }
    for (function, own) in functions.iter().zip(rounds) {
        if own[0].kinds.len() > 1 {
            let peak = median(
                own.iter()
                    .filter_map(|round| Some(round.kinds.last()?.peak_mib))
                    .collect(),
            );
            println!(
                "\n`{}` after its alerts: {peak:.1} MiB at its peak.",
                function.name
            );
        }
    }
    Ok(())
}

/// A figure's median, and that of its ratios.
fn cell(own: &[Round], first: &[Round], figure: impl Fn(&Round) -> f64, digits: usize) -> String {
    let ratios = own
        .iter()
        .zip(first)
        .map(|(own, first)| figure(own) / figure(first));
    format!(
        "{:.digits$} | {:.2}",
        median(own.iter().map(&figure).collect()),
        median(ratios.collect())
    )
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The size of a file in MiB, and what is left of it in a zip.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn sizes(file: &Path) -> Result<(f64, f64), AnyError> {
    let bytes = fs::read(file)?;
    let mut encoder = DeflateEncoder::new(Counted(0), Compression::best());
    encoder.write_all(&bytes)?;
    Ok((bytes.len() as f64 / MIB, encoder.finish()?.0 as f64 / MIB))
}

struct Counted(u64);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += u64::try_from(bytes.len()).unwrap_or(0);
        sink().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The machine, in a line.
fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find(|line| line.starts_with("model name"));
    let model = model
        .and_then(|line| line.split(": ").nth(1))
        .unwrap_or("an unknown CPU");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!(
        "{model}, {cores} cores, Linux {}, {}; load {} when it ended.",
        kernel.trim(),
        std::env::consts::ARCH,
        load.split(' ').next().unwrap_or_default()
    )
}
