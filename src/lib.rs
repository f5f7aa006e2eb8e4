//! wip
#![forbid(unsafe_code)]
pub mod alert;
pub mod aws;
pub mod clock;
pub mod config;
pub mod event;
pub mod lambda;
pub mod notification;
pub mod receive;
pub mod reply;
pub mod secret;
pub mod session;
pub mod signature;
pub mod store;
mod tolerant;
pub mod topic;
