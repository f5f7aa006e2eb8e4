//! What the tests, the local receiver and the laboratory share: DynamoDB engines, endpoints of SNS,
//! EventBridge and SQS, signatures, and the sample sessions.
//!
//! Must not use the receiver, so whatever is here could test another one. What the sample sessions
//! should come to is written in its words.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "for tests and programs of this repository"
)]

pub mod bus;
mod cargo;
pub mod counted;
mod endpoint;
pub mod engine;
pub mod in_process;
pub mod lambda;
pub mod local;
pub mod plain;
pub mod queue;
pub mod sign;
pub mod sns;
mod visit;

pub use cargo::cargo;
pub use visit::visit;

/// A whole session from `events/sessions/`: a callback a line.
pub struct SampleSession {
    /// The file's name without its ending.
    pub name: &'static str,
    /// In the order of `sequence`, once each.
    pub ordered: &'static str,
    /// The same, doubled and out of order.
    pub shuffled: &'static str,
    /// How it ends.
    pub phase: &'static str,
    /// The kinds of its alerts, sorted.
    pub alerts: &'static [&'static str],
    /// The numbers of its callbacks that never came, as ranges.
    pub missing: &'static [(u64, u64)],
}

macro_rules! sample {
    ($name:literal, $phase:literal, $alerts:expr, $missing:expr) => {
        SampleSession {
            name: $name,
            ordered: include_str!(concat!("../../events/sessions/", $name, ".ndjson")),
            shuffled: include_str!(concat!("../../events/sessions/", $name, ".shuffled.ndjson")),
            phase: $phase,
            alerts: $alerts,
            missing: $missing,
        }
    };
}

/// The sample sessions and what they should come to.
pub const SESSIONS: [SampleSession; 5] = [
    sample!("composite", "ended", &[], &[]),
    sample!("individual", "ended", &[], &[(15, 16)]),
    sample!("fatal", "failed", &["abnormal_exit", "fatal_error"], &[]),
    sample!("backup", "ended", &["backup_only_upload"], &[]),
    sample!("failover", "ended", &["abnormal_exit"], &[]),
];
