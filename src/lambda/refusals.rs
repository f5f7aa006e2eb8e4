//! Which refused requests are logged. Anybody can send requests with wrong signatures, as many as
//! they like, and half of what such a request costs is its log line.

/// Lines that a process writes in a minute.
const LINES_A_MINUTE: u32 = 10;

/// The refusals of a process: the first ones of each minute are written, and what isn't written is
/// counted by the next line.
#[derive(Debug)]
pub(super) struct Refusals {
    minute: u64,
    written: u32,
    uncounted: u64,
}

impl Refusals {
    /// None yet.
    pub(super) const fn new() -> Self {
        Self {
            minute: 0,
            written: 0,
            uncounted: 0,
        }
    }

    /// How many refusals the line of this one counts; `None` if it isn't written.
    pub(super) fn count(&mut self, now_ms: u64) -> Option<u64> {
        let minute = now_ms / 60_000;
        if minute != self.minute {
            self.minute = minute;
            self.written = 0;
        }
        self.uncounted += 1;
        if self.written == LINES_A_MINUTE {
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.uncounted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_whole_by_a_few_lines() {
        let mut refusals = Refusals::new();
        // A thousand within a minute, then one in the next.
        let mut lines: Vec<_> = (0..1_000)
            .filter_map(|n| refusals.count(1_800_000_000_000 + n))
            .collect();
        assert_eq!(lines, [1; 10]);
        lines.extend(refusals.count(1_800_000_060_000));
        assert_eq!(lines.last(), Some(&991));
        assert_eq!(lines.iter().sum::<u64>(), 1_001);
    }
}
