//! How fast, small and cheap the callback function is, beside what a user would write instead.
//!
//! Builds the release binary and the references of `lab/reference/`, starts each behind a Lambda
//! Runtime API of its own and a canned DynamoDB, SNS and Secrets Manager on loopback, turn by turn,
//! and prints what they took as Markdown; requests and write units are counted in a round of their
//! own, on an engine. It isn't Lambda: no placement, no download of the code, no limit of memory,
//! one of CPU only if asked for. Ratios carry over to other machines, times don't.

#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a program for a terminal"
)]

mod callbacks;
mod figures;
mod functions;
mod guard;
mod round;

use clap::Parser;
use figures::Measured;
use lab::AnyError;
use lab::backend::Backend;
use lab::machine::machine;
use lab::quota::Quota;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Measure the callback function and its references.
#[derive(Parser)]
struct Options {
    /// Processes started of each function
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// Counted warm callbacks of each kind in a process
    #[arg(long, default_value_t = 300)]
    callbacks: usize,
    /// TLS between the function and AWS
    #[arg(long)]
    tls: bool,
    /// DynamoDB, SNS and Secrets Manager wait that long before they answer
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
    /// Hold each process to the CPU of a Lambda function with so many MB once it has started, and
    /// let 20 ms pass between two callbacks; needs root, and no real-time priority, which a quota
    /// doesn't hold
    #[arg(long)]
    memory_mb: Option<u64>,
    /// Build nothing: measure what was built before
    #[arg(long)]
    no_build: bool,
    /// Measure another build of the callback function, too: NAME=PATH
    #[arg(long, value_parser = named)]
    also: Vec<(String, PathBuf)>,
    /// Look only at what doesn't depend on the machine: size, requests, and instructions, which are
    /// compared with `lab/baseline.json`; of this binary, or size and requests of one that is built
    #[arg(long, num_args = 0..=1, value_name = "BINARY")]
    guard: Option<Option<PathBuf>>,
    /// With --guard: write the baseline instead of comparing with it
    #[arg(long, requires = "guard")]
    record: bool,
    /// With --guard: keep callgrind's files in this folder, for `callgrind_annotate`, instead of
    /// comparing; names want a binary that isn't stripped
    #[arg(long, requires = "guard", value_name = "FOLDER")]
    keep: Option<PathBuf>,
}

fn named(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("NAME=PATH")?;
    Ok((name.to_owned(), path.into()))
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let options = Options::parse();
    if let Some(binary) = options.guard {
        return guard::run(binary, options.record, options.keep).await;
    }
    let mut functions = functions::all(!options.no_build)?;
    for (name, binary) in options.also {
        functions.extend(functions::Function::with_starts(&name, &binary));
    }
    let folder = tempfile::tempdir()?;
    let mut all = Vec::new();
    for (n, function) in functions.into_iter().enumerate() {
        let function = function.copied(folder.path(), n)?;
        let counted = match function.is_start_only {
            true => None,
            false => {
                let engine = Backend::engine().await?;
                Some(round::play(&function, &engine, None, options.callbacks).await?)
            }
        };
        all.push(Measured {
            function,
            rounds: Vec::new(),
            counted,
        });
    }
    let quota = options.memory_mb.map(Quota::of).transpose()?.map(Arc::new);
    let backend = Backend::canned(options.tls, Duration::from_millis(options.latency_ms)).await?;
    let mut order: Vec<_> = (0..all.len()).collect();
    // The first round only brings everything into memory.
    for turn in 0..=options.rounds {
        // Another order each round, the same in every run: no function always comes after the same
        // one.
        fastrand::Rng::with_seed(u64::try_from(turn)?).shuffle(&mut order);
        for n in &order {
            let Measured {
                function, rounds, ..
            } = &mut all[*n];
            let callbacks = match function.is_start_only {
                true => 1,
                false => options.callbacks,
            };
            let round = round::play(function, &backend, quota.clone(), callbacks).await?;
            if turn > 0 {
                rounds.push(round);
            }
        }
    }
    println!("{}", machine());
    let tls = if options.tls { "TLS" } else { "no TLS" };
    let latency = match options.latency_ms {
        0 => "at once".to_owned(),
        latency_ms => format!("after {latency_ms} ms"),
    };
    let cpu = options.memory_mb.map_or_else(String::new, |memory_mb| {
        format!("; the CPU of {memory_mb} MB from the first event on")
    });
    println!(
        "{} rounds, shuffled; {tls}; AWS answers {latency}{cpu}.",
        options.rounds
    );
    figures::print(&all)
}
