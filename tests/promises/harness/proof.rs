//! How much is proved: a little in every test run, all of it on demand.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How many: `long` if `PROVE=long`, else `short`.
#[expect(clippy::disallowed_methods, reason = "the tests' own setting")]
pub(crate) fn scale(short: u64, long: u64) -> u64 {
    if std::env::var("PROVE").is_ok_and(|prove| prove == "long") {
        long
    } else {
        short
    }
}

/// The same, unless the variable `name` has a number of its own.
#[expect(clippy::disallowed_methods, reason = "the tests' own setting")]
pub(crate) fn scale_or(name: &str, short: u64, long: u64) -> u64 {
    std::env::var(name).map_or_else(|_| scale(short, long), |count| count.parse().unwrap())
}

/// What can be added up over many cases.
pub(crate) trait Sum: Default + Send {
    /// Adds another one.
    fn add(&mut self, other: Self);
}

/// Runs the cases `0..count` on all cores and adds up what they give; or only the case `SEED`. A
/// case that fails tells its number.
pub(crate) fn on_all_cores<S: Sum>(name: &str, count: u64, case: impl Fn(u64) -> S + Sync) -> S {
    #[expect(clippy::disallowed_methods, reason = "the tests' own setting")]
    if let Ok(seed) = std::env::var("SEED") {
        return case(seed.parse().unwrap());
    }
    let (next, is_over, sum) = (
        AtomicU64::new(0),
        AtomicBool::new(false),
        Mutex::new(S::default()),
    );
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= count {
                        return;
                    }
                    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case(seed))) {
                        Ok(part) => sum.lock().unwrap().add(part),
                        Err(failure) => {
                            is_over.store(true, Ordering::Relaxed);
                            println!("failed: {name} {seed}; SEED={seed} plays it again");
                            std::panic::resume_unwind(failure);
                        }
                    }
                }
            });
        }
    });
    sum.into_inner().unwrap()
}
