//! What the local example and the tests share: an engine, an SNS endpoint, signatures, and the sample sessions.

pub(crate) mod engine;
pub(crate) mod plain;
pub(crate) mod sign;
pub(crate) mod sns;

/// A whole session from `events/sessions/`: a callback a line.
pub(crate) struct SampleSession {
    /// The file's name without its ending.
    pub(crate) name: &'static str,
    /// In the order of `sequence`, once each.
    pub(crate) ordered: &'static str,
    /// The same, doubled and out of order.
    pub(crate) shuffled: &'static str,
    /// How it ends.
    pub(crate) phase: &'static str,
    /// The kinds of its alerts, sorted.
    pub(crate) alerts: &'static [&'static str],
    /// The numbers of its callbacks that never came, as ranges.
    pub(crate) missing: &'static [(u64, u64)],
}

macro_rules! sample {
    ($name:literal, $phase:literal, $alerts:expr, $missing:expr) => {
        SampleSession {
            name: $name,
            ordered: include_str!(concat!("../events/sessions/", $name, ".ndjson")),
            shuffled: include_str!(concat!("../events/sessions/", $name, ".shuffled.ndjson")),
            phase: $phase,
            alerts: $alerts,
            missing: $missing,
        }
    };
}

/// The sample sessions and what they should come to.
pub(crate) const SESSIONS: [SampleSession; 5] = [
    sample!("composite", "ended", &[], &[]),
    sample!("individual", "ended", &[], &[(15, 16)]),
    sample!("fatal", "failed", &["abnormal_exit", "fatal_error"], &[]),
    sample!("backup", "ended", &["backup_only_upload"], &[]),
    sample!("failover", "ended", &["abnormal_exit"], &[]),
];
