//! Proves what the product claims, and prints one line a claim: `cargo run -p lab --bin prove` in minutes, with `-- --long` in hours.
//!
//! The proofs are tests like all others; this runs them with what they print, and tells how long each took. `SIMULATIONS` says
//! how many random schedules go through the table. See `docs/reliability.md`.

#![allow(clippy::print_stdout, reason = "it is there to print")]

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// What is claimed, the tests that prove it, and in which binary they are.
const PROOFS: [(&str, &str, &[&str]); 10] = [
    (
        "order",
        "promises",
        &["any_schedule_ends_in_the_sorted_fold"],
    ),
    (
        "order, on sockets",
        "promises",
        &["order_repetition_and_loss"],
    ),
    ("the alert protocol", "model", &[]),
    ("crowds", "promises", &["a_crowd_of_writers"]),
    ("kills", "promises", &["a_kill_at_any_point"]),
    ("faults", "promises", &["every_fault_ends"]),
    (
        "bad input",
        "promises",
        &["whatever_is_signed", "hostile_bodies"],
    ),
    ("forgery", "--lib", &["signature::"]),
    ("the words of alerts", "--lib", &["alert::"]),
    ("bounds", "promises", &["a_hostile_session"]),
];

fn main() -> ExitCode {
    let is_long = std::env::args().any(|argument| argument == "--long");
    let mut failed = Vec::new();
    for (claim, binary, tests) in PROOFS {
        println!("== {claim}");
        let started = Instant::now();
        let mut proof = Command::new(env!("CARGO"));
        proof.args([
            "test",
            "--locked",
            "--quiet",
            "--profile",
            if is_long { "prove" } else { "test" },
        ]);
        match binary {
            "--lib" => proof.arg("--lib"),
            _ => proof.args(["--test", binary]),
        };
        proof
            .arg("--")
            .args(tests)
            .arg("--nocapture")
            .env("PROVE", if is_long { "long" } else { "short" })
            .env("PROPTEST_CASES", if is_long { "100000" } else { "256" });
        let proved = run(&mut proof);
        println!(
            "   {} in {} s",
            if proved { "holds" } else { "FAILED" },
            started.elapsed().as_secs()
        );
        if !proved {
            failed.push(claim);
        }
    }
    if failed.is_empty() {
        println!("\nall of it holds");
        return ExitCode::SUCCESS;
    }
    println!("\nfailed: {}", failed.join(", "));
    ExitCode::FAILURE
}

/// Runs a proof and prints what it says of itself; everything if it fails.
fn run(proof: &mut Command) -> bool {
    let Ok(mut child) = proof.stdout(Stdio::piped()).spawn() else {
        return false;
    };
    let mut said = Vec::new();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let Some((_, proved)) = line.split_once("proved: ") {
                println!("   {proved}");
            }
            said.push(line);
        }
    }
    let proved = child.wait().is_ok_and(|status| status.success());
    if !proved {
        println!("{}", said.join("\n"));
    }
    proved
}
