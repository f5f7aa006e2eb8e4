//! Which callbacks of one recorder came: exactly, in bounded space. Pure; knows numbers, not what
//! they mean.
//!
//! The newest numbers are in a window (`received`, all at or above `received_from`), so that a new
//! one is added without reading anything. A window that is full is folded: the holes below its last
//! number become ranges in `missing`, and the window starts again there. Ranges that become too
//! many are archived: they go elsewhere, and `truncated` says so. A number that comes late splits
//! the range it is missing from. What is missing is the archive, the ranges and the holes of the
//! window together; the places of folds and archives make no difference to it.
//!
//! Invariant: `missing` is sorted, disjoint, and lies below `received_from`.

use std::collections::BTreeSet;

/// A window of this many numbers is full. It decides how often the window folds, each time for one
/// more request and unit, or two where ranges are archived, and how large a session item gets, 4
/// bytes a number. At 51 it folds twice in any 100 callbacks.
pub const WINDOW: usize = 51;
/// More ranges than this aren't kept where nobody archives them: the oldest go, and the ledger says
/// so.
pub const MAX_RANGES: usize = 100;

/// The sequences from the first to the second, both included.
pub type Range = (u64, u64);

/// The numbers received from one recorder. An empty ledger is the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// The lowest number ever received.
    pub first: Option<u64>,
    /// The highest number ever received.
    pub last: Option<u64>,
    /// Where the window starts.
    pub received_from: u64,
    /// The numbers received at or above `received_from`.
    pub received: BTreeSet<u64>,
    /// Numbers below `received_from` never received.
    pub missing: Vec<Range>,
    /// True if `missing` isn't all: older ranges are in the archive, or forgotten where there is
    /// none.
    pub truncated: bool,
}

/// What became of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// It is new.
    New,
    /// It was known.
    Known,
    /// Only the archive knows.
    Archived,
}

impl Ledger {
    /// A ledger of nothing but archived ranges, to take a late number out of.
    #[must_use]
    pub fn of_archive(missing: Vec<Range>) -> Self {
        Self {
            first: Some(0),
            last: Some(u64::MAX),
            received_from: u64::MAX,
            missing,
            ..Self::default()
        }
    }

    /// Notes `sequence` as received. `from_zero`: the numbers below the first one received count as
    /// missing too.
    pub fn insert(&mut self, sequence: u64, from_zero: bool) -> Noted {
        let (Some(first), Some(last)) = (self.first, self.last) else {
            *self = Self {
                first: Some(sequence),
                last: Some(sequence),
                received_from: if from_zero { 0 } else { sequence },
                received: BTreeSet::from([sequence]),
                ..Self::default()
            };
            return Noted::New;
        };
        if sequence < self.received_from {
            return self.insert_below_window(sequence, first);
        }
        if self.received.contains(&sequence) {
            return Noted::Known;
        }
        if self.received.len() >= WINDOW {
            self.fold();
            self.cap_ranges();
            if sequence < self.received_from {
                return self.insert_below_window(sequence, first);
            }
        }
        self.received.insert(sequence);
        self.first = Some(first.min(sequence));
        self.last = Some(last.max(sequence));
        Noted::New
    }

    fn insert_below_window(&mut self, sequence: u64, first: u64) -> Noted {
        if let Some(index) = self
            .missing
            .iter()
            .position(|(from, to)| (*from..=*to).contains(&sequence))
        {
            let (from, to) = self.missing.remove(index);
            if sequence < to {
                self.missing.insert(index, (sequence + 1, to));
            }
            if from < sequence {
                self.missing.insert(index, (from, sequence - 1));
            }
            self.first = Some(first.min(sequence));
            self.cap_ranges();
            return Noted::New;
        }
        // Below the first number of a ledger that doesn't start at zero: what lies between is
        // missing from now on.
        if sequence < first && !self.leads_from_zero() {
            if sequence + 1 < first {
                self.missing.insert(0, (sequence + 1, first - 1));
                self.cap_ranges();
            }
            self.first = Some(sequence);
            return Noted::New;
        }
        if self.truncated {
            Noted::Archived
        } else {
            Noted::Known
        }
    }

    /// Makes the numbers below the first one count as missing, or not.
    pub fn lead_from_zero(&mut self, from_zero: bool) {
        let Some(first) = self.first else { return };
        if from_zero && first > 0 && self.received_from >= first && !self.leads_from_zero() {
            self.missing.insert(0, (0, first - 1));
        }
        if !from_zero {
            self.received_from = self.received_from.max(first);
            if self.leads_from_zero() {
                self.missing.remove(0);
            }
        }
    }

    /// True if `missing` begins with the numbers below the first one.
    fn leads_from_zero(&self) -> bool {
        self.missing.first().is_some_and(|(from, _)| *from == 0)
    }

    /// Everything missing between the start and the highest number, but for the archive, as sorted
    /// ranges.
    #[must_use]
    pub fn missing_ranges(&self) -> Vec<Range> {
        let mut ranges = self.missing.clone();
        ranges.extend(self.holes());
        ranges
    }

    /// The holes of the window.
    fn holes(&self) -> Vec<Range> {
        let mut holes = Vec::new();
        let mut next = self.received_from;
        for sequence in &self.received {
            if next < *sequence {
                holes.push((next, sequence - 1));
            }
            next = sequence + 1;
        }
        holes
    }

    /// Turns the window's holes into ranges; the window keeps its last number.
    pub fn fold(&mut self) {
        let Some(last) = self.last else { return };
        let holes = self.holes();
        self.missing.extend(holes);
        self.received = BTreeSet::from([last]);
        self.received_from = last;
    }

    /// Takes the ranges out, for the archive. The numbers before the first one received stay:
    /// whether they are missing depends on the other recorders.
    pub fn archive(&mut self) -> Vec<Range> {
        self.truncated = true;
        self.missing.split_off(usize::from(self.leads_from_zero()))
    }

    fn cap_ranges(&mut self) {
        self.forget_all_but(MAX_RANGES);
    }

    /// Forgets the oldest ranges beyond the newest `most`; the numbers before the first one
    /// received stay, they are one range.
    pub fn forget_all_but(&mut self, most: usize) {
        let oldest = usize::from(self.leads_from_zero());
        while self.missing.len() > most.max(1) {
            self.missing.remove(oldest);
            self.truncated = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ledger(sequences: impl IntoIterator<Item = u64>, from_zero: bool) -> Ledger {
        let mut ledger = Ledger::default();
        for sequence in sequences {
            ledger.insert(sequence, from_zero);
        }
        ledger
    }

    /// What is missing, by the definition.
    fn expected(received: &BTreeSet<u64>, from_zero: bool) -> Vec<u64> {
        let Some(last) = received.last() else {
            return Vec::new();
        };
        let start = if from_zero {
            0
        } else {
            *received.first().unwrap()
        };
        (start..=*last)
            .filter(|sequence| !received.contains(sequence))
            .collect()
    }

    fn numbers(ranges: &[Range]) -> Vec<u64> {
        ranges.iter().flat_map(|(from, to)| *from..=*to).collect()
    }

    #[test]
    fn the_leading_gap_counts_from_zero_only_where_it_should() {
        assert_eq!(ledger([3, 5], true).missing_ranges(), [(0, 2), (4, 4)]);
        assert_eq!(ledger([3, 5], false).missing_ranges(), [(4, 4)]);
        assert_eq!(ledger([5, 2], false).missing_ranges(), [(3, 4)]);
    }

    #[test]
    fn a_long_session_with_holes_stays_bounded_and_says_what_it_forgot() {
        let ledger = ledger((0..100_000).filter(|n| n % 3 != 1), true);
        assert!(ledger.received.len() <= WINDOW);
        assert_eq!(ledger.missing.len(), MAX_RANGES);
        assert!(ledger.truncated);
        let newest = ledger.missing_ranges();
        assert_eq!(newest.last(), Some(&(99_997, 99_997)));
    }

    #[test]
    fn a_window_folds_when_it_is_full_and_not_before() {
        let last = u64::try_from(WINDOW).unwrap() - 1;
        let full = ledger(0..=last, true);
        assert_eq!((full.received.len(), full.received_from), (WINDOW, 0));
        let folded = ledger(0..=last + 1, true);
        assert_eq!((folded.received.len(), folded.received_from), (2, last));
    }

    #[test]
    fn a_hostile_jump_costs_one_range() {
        assert_eq!(
            ledger([0, 9_999_999_999], true).missing_ranges(),
            [(1, 9_999_999_998)]
        );
    }

    #[test]
    fn the_archive_takes_all_ranges_but_the_lead() {
        let mut ledger = ledger([3, 5, 7, 9, 11], true);
        ledger.fold();
        assert_eq!(ledger.archive(), [(4, 4), (6, 6), (8, 8), (10, 10)]);
        assert_eq!(
            (ledger.missing.as_slice(), ledger.truncated),
            (&[(0, 2)][..], true)
        );
        assert_eq!(ledger.archive(), []);
        for (sequence, noted) in [
            (6, Noted::Archived),
            (5, Noted::Archived),
            (13, Noted::New),
            (1, Noted::New),
            (1, Noted::Archived),
        ] {
            assert_eq!(ledger.insert(sequence, true), noted, "{sequence}");
        }
        assert_eq!(ledger.missing_ranges(), [(0, 0), (2, 2), (12, 12)]);
    }

    proptest! {
        #[test]
        fn missing_is_the_exact_set_in_any_order_and_repetition(
            deliveries in prop::collection::vec(0_u64..180, 1..400),
            from_zero: bool,
        ) {
            let ledger = ledger(deliveries.iter().copied(), from_zero);
            let received: BTreeSet<u64> = deliveries.iter().copied().collect();
            prop_assert!(!ledger.truncated);
            prop_assert_eq!(numbers(&ledger.missing_ranges()), expected(&received, from_zero));
            prop_assert_eq!(ledger.first, received.first().copied());
            prop_assert_eq!(ledger.last, received.last().copied());
            prop_assert!(ledger.received.len() <= WINDOW);
        }

        #[test]
        fn a_number_is_new_exactly_once(
            deliveries in prop::collection::vec(0_u64..150, 1..300),
            from_zero: bool,
        ) {
            let mut ledger = Ledger::default();
            let mut seen = BTreeSet::new();
            for sequence in deliveries {
                let expected = if seen.insert(sequence) { Noted::New } else { Noted::Known };
                prop_assert_eq!(ledger.insert(sequence, from_zero), expected);
            }
        }

        #[test]
        fn the_lead_can_be_changed_at_any_time(
            deliveries in prop::collection::vec(0_u64..150, 1..300),
            from_zero: bool,
            fold: bool,
        ) {
            let mut changed = ledger(deliveries.iter().copied(), !from_zero);
            if fold {
                changed.fold();
            }
            changed.lead_from_zero(from_zero);
            let expected = ledger(deliveries, from_zero);
            prop_assert_eq!(changed.missing_ranges(), expected.missing_ranges());
        }
    }
}
