//! The world that the promises are tested in.

mod fault;
mod function;
mod moto;
pub(crate) mod oracle;
pub(crate) mod proof;
mod proxy;
mod schedule;
mod simulation;
mod world;

pub(crate) use fault::{Fault, Plan, Which};
pub(crate) use function::{Binary, Function, event, recordings, start_recordings, tick};
pub(crate) use moto::Moto;
pub(crate) use proxy::{Exchange, Proxy, Stop};
pub(crate) use schedule::{Callback, Schedule};
pub(crate) use simulation::{Fate, Simulation, Weather};
pub(crate) use world::{TABLE, World, callback, callback_at, event_details};
