//! How many recordings builds of the sweeper keep up with.
//!
//! Each build runs behind a Lambda Runtime API of its
//! own, held to the processor time of a Lambda function, and asks a DynamoDB that takes its time
//! and has more healthy recordings than one run can look at. Builds and sizes take turns, so that
//! what else the machine does meets all of them. A look counts if the table has served that
//! session's attributes in this run, and the sweeper's own log line has to agree.

#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a program for a terminal"
)]

mod fleet;
mod speed;

use clap::Parser;
use lab::AnyError;
use lab::machine::machine;
use lab::process::{bind, processors};
use std::path::PathBuf;

/// Measure the sweeper.
#[derive(Parser)]
struct Options {
    /// A build of the sweeper to measure: NAME=PATH; the others are compared with the first one.
    /// Needs root
    #[arg(long = "binary", value_parser = binary, required = true)]
    binaries: Vec<(String, PathBuf)>,
    /// The memory of the function, which decides its processor time, and how many recordings there
    /// are: MB:RECORDINGS
    #[arg(long = "at", value_parser = at, default_values = ["256:500000", "1024:2000000"])]
    at: Vec<(u64, u32)>,
    /// Runs of each build at each size
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long a run may take; the template allows 50
    #[arg(long, default_value_t = 50)]
    seconds: u64,
    /// DynamoDB answers that long after the question
    #[arg(long, default_value_t = 5)]
    latency_ms: u64,
    /// No TLS between the sweeper and DynamoDB
    #[arg(long)]
    plain: bool,
}

fn binary(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("NAME=PATH")?;
    Ok((name.to_owned(), path.into()))
}

fn at(text: &str) -> Result<(u64, u32), String> {
    let (memory_mb, sessions) = text.split_once(':').ok_or("MB:RECORDINGS")?;
    let number = |error: std::num::ParseIntError| error.to_string();
    Ok((
        memory_mb.parse().map_err(number)?,
        sessions.parse().map_err(number)?,
    ))
}

fn main() -> Result<(), AnyError> {
    let options = Options::parse();
    // The last processor is the sweeper's, the others are ours: what we do doesn't slow it down.
    let mut ours = processors()?;
    let its_own = if ours.len() > 1 { ours.pop() } else { None };
    let machine = machine();
    bind(None, &ours)?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(speed::show(&options, its_own, &machine))
}
