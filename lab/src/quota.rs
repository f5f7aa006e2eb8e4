//! The CPU that Lambda gives a function of some size, by a Linux control group; making one needs
//! root.
//!
//! Its group weighs as much as one can, so that it gets its share whatever else runs.
//!
//! Lambda doesn't hold back the start, so a process is put under its quota when it asks for the
//! first event.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use testkit::engine::AnyError;

/// CPU is handed out anew that often, µs.
const PERIOD_US: u64 = 20_000;
/// The same, as the pause between two callbacks: each finds what the one before it left.
pub const PERIOD: Duration = Duration::from_micros(PERIOD_US);
/// The memory with which Lambda gives a whole processor, MB.
const WHOLE_MB: u64 = 1_769;
/// The kernel takes no smaller quota, µs.
const SMALLEST_US: u64 = 1_000;

/// A control group; gone when this is.
pub struct Quota {
    group: PathBuf,
}

impl Quota {
    /// The share of a processor of a function with `memory_mb` MB.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub fn share(memory_mb: u64) -> f64 {
        quota_us(memory_mb) as f64 / PERIOD_US as f64
    }

    /// The quota of a function with `memory_mb` MB.
    pub fn of(memory_mb: u64) -> Result<Self, AnyError> {
        let quota_us = quota_us(memory_mb);
        // One hierarchy for all controllers, or one for each.
        let (root, settings) = match Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
            true => (
                "/sys/fs/cgroup",
                vec![
                    ("cpu.max", format!("{quota_us} {PERIOD_US}")),
                    ("cpu.weight", "10000".to_owned()),
                ],
            ),
            false => (
                "/sys/fs/cgroup/cpu",
                vec![
                    ("cpu.cfs_period_us", PERIOD_US.to_string()),
                    ("cpu.cfs_quota_us", quota_us.to_string()),
                    ("cpu.shares", "262144".to_owned()),
                ],
            ),
        };
        let group = Path::new(root).join(format!("lab-{}-{memory_mb}", std::process::id()));
        let why = |error| format!("no control group {}: {error}", group.display());
        fs::create_dir(&group).map_err(why)?;
        let quota = Self {
            group: group.clone(),
        };
        for (file, value) in settings {
            fs::write(group.join(file), value).map_err(why)?;
        }
        Ok(quota)
    }

    /// Puts a process under the quota, until it ends.
    pub fn hold(&self, pid: u32) -> io::Result<()> {
        fs::write(self.group.join("cgroup.procs"), pid.to_string())
    }
}

fn quota_us(memory_mb: u64) -> u64 {
    (PERIOD_US * memory_mb / WHOLE_MB).max(SMALLEST_US)
}

impl Drop for Quota {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.group) {
            eprintln!("{} is left over: {error}", self.group.display());
        }
    }
}
