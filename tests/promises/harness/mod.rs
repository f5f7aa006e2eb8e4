//! The world that the promises are tested in.

/// Ends a test of one engine early, and says why, where the tests run on another one
/// (`DYNAMODB_ENGINE`).
macro_rules! skip_on_another_engine {
    ($why:literal) => {
        if $crate::harness::another_engine().is_some() {
            println!("skipped here: {}", $why);
            return;
        }
    };
}

mod fault;
mod function;
pub(crate) mod lessons;
mod moto;
pub(crate) mod oracle;
mod pager;
pub(crate) mod proof;
mod proxy;
mod schedule;
mod simulation;
mod world;

pub(crate) use fault::{Fault, Plan, Which};
pub(crate) use function::{
    Binary, Function, event, recordings, recordings_on_aws, start_recordings, tick,
};
pub(crate) use moto::Moto;
pub(crate) use pager::{Heard, Pager};
pub(crate) use proxy::{Exchange, Proxy, Stop};
pub(crate) use schedule::{Callback, Schedule};
pub(crate) use simulation::{Fate, Simulation, Trouble, Weather};
pub(crate) use world::{
    BUS, CRITICAL_TOPIC, TABLE, TOPIC, World, callback, callback_at, config, delivery,
    event_details, number, state, text, verified,
};

/// The DynamoDB engine that the tests are to use instead of their own.
#[expect(clippy::disallowed_methods, reason = "the tests' own setting")]
pub(crate) fn another_engine() -> Option<String> {
    std::env::var("DYNAMODB_ENGINE").ok()
}
