//! The world that the promises are tested in.

mod fault;
mod function;
mod moto;
mod proxy;
mod world;

pub(crate) use fault::{Fault, Plan, Which};
pub(crate) use function::{Binary, Function, event, recordings, tick};
pub(crate) use moto::Moto;
pub(crate) use proxy::{Exchange, Proxy, Stop};
pub(crate) use world::{TABLE, World, callback, callback_at, event_details};
