//! The world that the promises are tested in.

mod function;
mod proxy;
mod world;

pub(crate) use function::{Function, event};
pub(crate) use proxy::{Exchange, Proxy};
pub(crate) use world::{World, callback, event_details};
