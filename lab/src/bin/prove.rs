//! Proves what the product claims, and prints one line a claim: `cargo run -p lab --bin prove` in
//! minutes, with `-- --long` in hours.
//!
//! The proofs are tests like all others; this runs them, passes on what they print, and tells how
//! long each took. A claim whose test isn't there, or is skipped, is not proved. `SIMULATIONS` says
//! how many random schedules go through the table. See `docs/reliability.md`.

#![allow(clippy::print_stdout, reason = "it is there to print")]

use std::io::{BufRead, BufReader};
use std::process::{ExitCode, Stdio};
use std::time::Instant;

/// A claim and the tests that prove it.
struct Proof {
    claim: &'static str,
    target: Target,
    /// Parts of tests' names. Each has to match a test; none at all stands for all of the target.
    filters: &'static [&'static str],
}

/// Where tests are.
enum Target {
    /// Beside the library's code.
    Library,
    /// In `tests/<name>/`.
    Test(&'static str),
}

const PROOFS: [Proof; 14] = [
    Proof {
        claim: "order",
        target: Target::Test("promises"),
        filters: &["any_schedule_ends_in_the_sorted_fold"],
    },
    Proof {
        claim: "order, on sockets",
        target: Target::Test("promises"),
        filters: &["order_repetition_and_loss"],
    },
    Proof {
        claim: "notices",
        target: Target::Test("promises"),
        filters: &["programs_are_told_what_the_fold_says"],
    },
    Proof {
        claim: "the protocols of alerts and of the watch",
        target: Target::Test("model"),
        filters: &[],
    },
    Proof {
        claim: "crowds",
        target: Target::Test("promises"),
        filters: &["a_crowd_of_writers"],
    },
    Proof {
        claim: "storms",
        target: Target::Test("promises"),
        filters: &["a_storm_is_told"],
    },
    Proof {
        claim: "links",
        target: Target::Test("promises"),
        filters: &["a_link_opens"],
    },
    Proof {
        claim: "kills",
        target: Target::Test("promises"),
        filters: &["a_kill_at_any_point"],
    },
    Proof {
        claim: "faults",
        target: Target::Test("promises"),
        filters: &["every_fault_ends"],
    },
    Proof {
        claim: "silences",
        target: Target::Test("promises"),
        filters: &["a_thousand_silences", "a_day_of_late_callbacks"],
    },
    Proof {
        claim: "bad input",
        target: Target::Test("promises"),
        filters: &["whatever_is_signed", "hostile_bodies"],
    },
    Proof {
        claim: "forgery",
        target: Target::Library,
        filters: &["signature::"],
    },
    Proof {
        claim: "the words of alerts",
        target: Target::Library,
        filters: &["alert::"],
    },
    Proof {
        claim: "bounds",
        target: Target::Test("promises"),
        filters: &["a_hostile_session"],
    },
];

fn main() -> ExitCode {
    let is_long = std::env::args().any(|argument| argument == "--long");
    let mut failed = Vec::new();
    for proof in &PROOFS {
        println!("== {}", proof.claim);
        let started = Instant::now();
        let outcome = prove(proof, is_long);
        let seconds = started.elapsed().as_secs();
        match outcome {
            Ok(()) => println!("   holds in {seconds} s"),
            Err(why) => {
                println!("   FAILED in {seconds} s: {why}");
                failed.push(proof.claim);
            }
        }
    }
    if failed.is_empty() {
        println!("\nall of it holds");
        return ExitCode::SUCCESS;
    }
    println!("\nfailed: {}", failed.join(", "));
    ExitCode::FAILURE
}

/// Runs the tests of a proof and prints what they proved; everything they print if they fail.
fn prove(proof: &Proof, is_long: bool) -> Result<(), String> {
    let mut tests = testkit::cargo();
    tests.args(["test", "--locked", "--profile"]);
    tests.arg(if is_long { "prove" } else { "test" });
    match proof.target {
        Target::Library => tests.args(["-p", "agora-recording-callbacks", "--lib"]),
        Target::Test(name) => tests.args(["--test", name]),
    };
    tests
        .arg("--")
        .args(proof.filters)
        .arg("--nocapture")
        .env("PROVE", if is_long { "long" } else { "short" })
        .env("PROPTEST_CASES", if is_long { "100000" } else { "256" });
    let child = tests.stdout(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| error.to_string())?;
    let mut printed = Vec::new();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let Some((_, proved)) = line.split_once("proved: ") {
                println!("   {proved}");
            }
            printed.push(line);
        }
    }
    let result = match child.wait() {
        Ok(status) if status.success() => judge(proof, &printed),
        Ok(status) => Err(status.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if result.is_err() {
        println!("{}", printed.join("\n"));
    }
    result
}

/// Whether tests that succeeded and printed this prove anything: each filter has to have matched a
/// test that ran, and none may have skipped what it is for.
fn judge(proof: &Proof, printed: &[String]) -> Result<(), String> {
    let ran: Vec<&str> = printed
        .iter()
        .filter_map(|line| test_that_ran(line))
        .collect();
    if ran.is_empty() {
        return Err("no test ran".to_owned());
    }
    for filter in proof.filters {
        if !ran.iter().any(|name| name.contains(filter)) {
            return Err(format!("no test is called {filter}"));
        }
    }
    match printed.iter().find(|line| line.contains("skipped here: ")) {
        Some(line) => Err(line.clone()),
        None => Ok(()),
    }
}

/// The name of the test whose result a line tells, unless it was ignored.
fn test_that_ran(line: &str) -> Option<&str> {
    let (name, result) = line.strip_prefix("test ")?.split_once(" ... ")?;
    (!result.starts_with("ignored")).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::{PROOFS, Proof, Target, judge};

    /// What the tests of a proof print where each filter matches one.
    fn printed(proof: &Proof) -> Vec<String> {
        let mut lines = vec!["running some tests".to_owned()];
        match proof.filters {
            [] => lines.push("test the_only_one ... ok".to_owned()),
            filters => lines.extend(
                filters
                    .iter()
                    .map(|name| format!("test {name}::one ... ok")),
            ),
        }
        lines
    }

    #[test]
    fn each_claim_fails_when_one_of_its_tests_is_renamed_ignored_or_skipped() {
        for proof in &PROOFS {
            let good = printed(proof);
            assert_eq!(judge(proof, &good), Ok(()), "{}", proof.claim);
            for filter in proof.filters {
                let renamed = good.iter().map(|line| line.replace(filter, "another_name"));
                let renamed: Vec<String> = renamed.collect();
                assert!(judge(proof, &renamed).is_err(), "{}: {filter}", proof.claim);
            }
            let ignored = good.iter().map(|line| line.replace(" ok", " ignored, why"));
            let ignored: Vec<String> = ignored.collect();
            assert!(judge(proof, &ignored).is_err(), "{}", proof.claim);

            let skipped = "skipped here: brings its own engine".to_owned();
            let skipped: Vec<String> = good.iter().cloned().chain([skipped]).collect();
            assert!(judge(proof, &skipped).is_err(), "{}", proof.claim);
        }
    }

    #[test]
    fn no_test_at_all_proves_nothing() {
        let printed = ["running 0 tests", "", "test result: ok. 0 passed; 0 failed"];
        let printed = printed.map(str::to_owned);
        for proof in &PROOFS {
            assert!(judge(proof, &printed).is_err(), "{}", proof.claim);
        }
    }

    #[test]
    fn a_test_on_one_thread_is_seen_though_its_result_is_on_a_later_line() {
        let proof = Proof {
            claim: "one",
            target: Target::Test("promises"),
            filters: &["one"],
        };
        let printed = ["test one::is_one ... proved: it is", "ok"].map(str::to_owned);
        assert_eq!(judge(&proof, &printed), Ok(()));
    }
}
