//! The tables: medians over rounds, and the median of the ratios round by round.

use crate::functions::Function;
use crate::round::{Round, Warm};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use lab::AnyError;
use lab::machine::median;
use std::fs;
use std::io::Write;
use std::path::Path;

const MIB: f64 = 1024.0 * 1024.0;

/// A function, and what it took.
pub(crate) struct Measured {
    pub(crate) function: Function,
    pub(crate) rounds: Vec<Round>,
    /// Requests and units, where they were counted; none for a function whose start alone
    /// is of interest.
    pub(crate) counted: Option<Round>,
}

/// Prints everything; ratios are to the first function, and to its one kind of callbacks.
pub(crate) fn print(all: &[Measured]) -> Result<(), AnyError> {
    let first = &all[0];
    println!(
        "× is to `{}` and its heartbeats, the median of the ratios round by round.\n",
        first.function.name
    );
    println!(
        "| function | first `next` ms | × | first event ms | × | first answer ms | × | peak MiB | \
        × | binary MiB | × | zip MiB | × |"
    );
    println!("|{}", " --- |".repeat(13));
    let (first_size, first_zipped) = sizes(&first.function.binary)?;
    for Measured {
        function, rounds, ..
    } in all
    {
        let against = |figure: fn(&Round) -> f64| cell(rounds, figure, &first.rounds, figure, 1);
        let (size, zipped) = sizes(&function.binary)?;
        println!(
            "| {} | {} | {} | {} | {} | {size:.2} | {:.2} | {zipped:.2} | {:.2} |",
            function.name,
            against(|round| round.first_next_ms),
            against(|round| round.first_event_ms),
            against(Round::first_answer_ms),
            against(|round| round.kinds[0].peak_mib),
            size / first_size,
            zipped / first_zipped,
        );
    }
    println!(
        "\n| function | callback | requests | × | units | × | p50 µs | × | p99 µs | × | CPU µs | \
        × |"
    );
    println!("|{}", " --- |".repeat(12));
    for Measured {
        function,
        rounds,
        counted,
    } in all
    {
        for (n, kind) in function.kinds.iter().enumerate() {
            let (Some(counted), Some(first_counted)) = (counted, &first.counted) else {
                continue;
            };
            let count = |figure: fn(&Warm) -> f64| {
                let (own, first) = (figure(&counted.kinds[n]), figure(&first_counted.kinds[0]));
                format!("{own:.2} | {:.2}", own / first)
            };
            let against = |figure: fn(&Warm) -> f64| {
                let own = |round: &Round| figure(&round.kinds[n]);
                cell(
                    rounds,
                    own,
                    &first.rounds,
                    |round| figure(&round.kinds[0]),
                    0,
                )
            };
            println!(
                "| {} | {} | {} | {} | {} | {} | {} |",
                function.name,
                kind.name(),
                count(|warm| warm.counts.requests),
                count(|warm| warm.counts.units),
                against(|warm| warm.p50_us),
                against(|warm| warm.p99_us),
                against(|warm| warm.cpu_us),
            );
        }
    }
    for Measured {
        function, rounds, ..
    } in all.iter().filter(|one| one.function.kinds.len() > 1)
    {
        let peaks = rounds.iter().filter_map(|round| round.kinds.last());
        let peak = median(peaks.map(|warm| warm.peak_mib).collect());
        println!(
            "\n`{}` after its alerts: {peak:.1} MiB at its peak.",
            function.name
        );
    }
    Ok(())
}

/// A figure's median, and that of its ratios.
fn cell(
    own: &[Round],
    figure: impl Fn(&Round) -> f64,
    first: &[Round],
    first_figure: impl Fn(&Round) -> f64,
    digits: usize,
) -> String {
    let ratios = own
        .iter()
        .zip(first)
        .map(|(own, first)| figure(own) / first_figure(first));
    format!(
        "{:.digits$} | {:.2}",
        median(own.iter().map(&figure).collect()),
        median(ratios.collect())
    )
}

/// The size of a file in MiB, and what is left of it in a zip.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn sizes(file: &Path) -> Result<(f64, f64), AnyError> {
    let bytes = fs::read(file)?;
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&bytes)?;
    let zipped = encoder.finish()?.len();
    Ok((bytes.len() as f64 / MIB, zipped as f64 / MIB))
}
