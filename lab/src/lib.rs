//! What the laboratory's programs share: AWS and the Lambda Runtime API on loopback, processes and
//! their CPU, a real recording on an engine in this process.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "for programs for a terminal"
)]

pub mod backend;
pub mod machine;
pub mod process;
pub mod quota;
pub mod recording;
pub mod runtime;
pub mod wire;

pub use testkit::engine::AnyError;
