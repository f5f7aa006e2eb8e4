//! How fast, small and cheap the callback function is, beside what a user would write instead.
//!
//! Builds the release binary and the references of `benches/reference/`, starts each behind a Lambda Runtime API and a canned
//! DynamoDB and SNS of its own on loopback, turn by turn, and prints what they took as Markdown; requests and write units are
//! counted in a round of their own, on an engine. It isn't Lambda: no placement, no download of the code, no limit of memory or
//! CPU. Ratios carry over to other machines, times don't.

#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a program for a terminal"
)]

#[path = "../../support/counted.rs"]
mod counted;
#[path = "../../support/engine.rs"]
#[allow(dead_code, reason = "the engine is in this process")]
mod engine;
#[path = "../../support/sign.rs"]
mod sign;

mod backend;
mod callbacks;
mod figures;
mod functions;
mod guard;
mod process;
mod round;
mod runtime;

use backend::Backend;
use clap::Parser;
use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

type AnyError = Box<dyn Error + Send + Sync>;

/// Measure the callback function and its references.
#[derive(Parser)]
struct Options {
    /// Processes started of each function
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// Counted warm callbacks of each kind in a process
    #[arg(long, default_value_t = 300)]
    callbacks: usize,
    /// TLS between the function and DynamoDB
    #[arg(long)]
    tls: bool,
    /// DynamoDB and SNS wait that long before they answer
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
    /// Build nothing: measure what was built before
    #[arg(long)]
    no_build: bool,
    /// Measure another build of the callback function, too: NAME=PATH
    #[arg(long, value_parser = named)]
    also: Vec<(String, PathBuf)>,
    /// Print nothing but a comparison of instructions and size with `benches/baseline.json`; of this binary, or of one that is built
    #[arg(long, num_args = 0..=1, value_name = "BINARY")]
    guard: Option<Option<PathBuf>>,
    /// With --guard: write the baseline instead of comparing with it
    #[arg(long, requires = "guard")]
    record: bool,
    /// With --guard: keep callgrind's files in this folder, for `callgrind_annotate`; names want a binary that isn't stripped
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
        functions.push(functions::Function::ours(name, binary));
    }
    let mut counted = Vec::new();
    for function in &functions {
        let engine = Backend::engine().await?;
        counted.push(round::play(function, &engine, options.callbacks).await?);
    }
    let backend = Backend::canned(options.tls, Duration::from_millis(options.latency_ms)).await?;
    let mut rounds = vec![Vec::new(); functions.len()];
    // The first round only brings everything into memory; after it the order turns by one each round.
    for turn in 0..=options.rounds {
        for place in 0..functions.len() {
            let n = (place + turn) % functions.len();
            let round = round::play(&functions[n], &backend, options.callbacks).await?;
            if turn > 0 {
                rounds[n].push(round);
            }
        }
    }
    figures::print(
        &functions,
        &rounds,
        &counted,
        options.tls,
        options.latency_ms,
    )
}
