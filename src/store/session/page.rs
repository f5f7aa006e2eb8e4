//! Pages of the archive: ranges of missing callbacks that have no room in their session's item.
//! Pure; the requests are in `archive`.

use crate::hash::short_hash;
use crate::session::{Ledger, Range, Recorder, Session, WINDOW};
use crate::store::attribute::{Item, number, number_size, read_int, size};
use crate::store::session::item::write_session;
use aws_sdk_dynamodb::types::AttributeValue;
use std::ops::RangeInclusive;

/// DynamoDB bills writes in units of this many bytes of the whole item.
const WRITE_UNIT: usize = 1024;
/// Where an item is larger than this many bytes, replaced recorders give their ranges to the
/// archive, too.
const MANY_RECORDERS: usize = 4 * WRITE_UNIT;
/// Ranges of a replaced recorder that stay in such an item, at most. More of them can't be archived
/// once its window was, because there is no new name for their page, and are forgotten: only
/// numbers that come in descending order make them.
const MANY_RANGES: usize = 16;

/// Makes room for more callbacks in a session as it is stored in `item`: folds a full window, and
/// takes the ranges of missing callbacks out for the archive where the item would cost a second
/// write unit for their sake, or did before, and those of replaced recorders where there are many.
/// What it does depends on the stored item alone, so that two writers who race from the same
/// version put the same pages. Returns the pages.
pub(in crate::store) fn make_room(session: &mut Session, item: &Item) -> Vec<Page> {
    let mut pages = Vec::new();
    for recorder in &mut session.recorders {
        if recorder.ledger.received.len() >= WINDOW {
            pages.extend(next_page(recorder));
        }
    }
    let size = written_size(session, item);
    if let Some((current, replaced)) = session.recorders.split_last_mut() {
        if size + growth(&current.ledger) > WRITE_UNIT {
            pages.extend(first_page(current));
        }
        if size > MANY_RECORDERS {
            pages.extend(replaced.iter_mut().filter_map(first_page));
            for recorder in replaced {
                if recorder.ledger.truncated && recorder.ledger.missing.len() > MANY_RANGES {
                    match recorder.ledger.received.len() {
                        0 | 1 => recorder.ledger.forget_all_but(MANY_RANGES),
                        _ => pages.extend(next_page(recorder)),
                    }
                }
            }
        }
    }
    pages
}

/// Folds a recorder's window; its ranges go where the earlier ones are.
fn next_page(recorder: &mut Recorder) -> Option<Page> {
    let from = recorder.ledger.received_from;
    recorder.ledger.fold();
    recorder.ledger.truncated.then(|| Page {
        uid: recorder.uid.clone(),
        from,
        ranges: recorder.ledger.archive(),
    })
}

/// The first time that a recorder's ranges go into the archive; later ones go there whenever its
/// window is folded.
fn first_page(recorder: &mut Recorder) -> Option<Page> {
    if recorder.ledger.truncated {
        return None;
    }
    let ranges = recorder.ledger.archive();
    recorder.ledger.truncated = !ranges.is_empty();
    recorder.ledger.truncated.then(|| Page {
        uid: recorder.uid.clone(),
        from: 0,
        ranges,
    })
}

/// The size of `item` with `session` written into it.
fn written_size(session: &Session, item: &Item) -> usize {
    let mut written = item.clone();
    write_session(session, &mut written);
    size(&written)
}

/// A page of the archive: ranges of missing callbacks of one recorder that have no room in the
/// session's item.
///
/// It is named after the number that the session's window began with when it was made. A session
/// with `missing_truncated` owns the pages named below its window. One that isn't below was put by
/// a writer who then lost the race or crashed: it doesn't count, and whoever folds that window puts
/// it anew, even if it is empty then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Page {
    pub(in crate::store) uid: String,
    pub(in crate::store) from: u64,
    pub(in crate::store) ranges: Vec<Range>,
}

impl Page {
    /// The sort keys of a recorder's pages begin with this.
    pub(in crate::store) fn prefix(uid: &str) -> String {
        format!("missing#{}#", short_hash(uid.as_bytes(), 4))
    }

    pub(in crate::store) fn key(&self) -> String {
        page_key(&self.uid, self.from)
    }
}

/// The sort key of the page that begins at `from`.
pub(in crate::store) fn page_key(uid: &str, from: u64) -> String {
    format!("{}{from:010}", Page::prefix(uid))
}

/// Ranges as a flat list of numbers: from, to, from, to.
pub(in crate::store) fn flat_ranges(ranges: &[Range]) -> AttributeValue {
    AttributeValue::L(
        ranges
            .iter()
            .flat_map(|(from, to)| [number(from), number(to)])
            .collect(),
    )
}

/// The ranges of a page's item.
pub(in crate::store) fn read_page(item: &Item) -> Vec<Range> {
    let Some(AttributeValue::L(flat)) = item.get("ranges") else {
        return Vec::new();
    };
    flat.as_chunks::<2>()
        .0
        .iter()
        .filter_map(|[from, to]| Some((read_int(from)?, read_int(to)?)))
        .collect()
}

/// The sort keys of the pages that a recorder's ledger owns, if it is truncated: those that begin
/// below its window.
pub(in crate::store) fn owned_keys(recorder: &Recorder) -> RangeInclusive<String> {
    let last = recorder.ledger.received_from.saturating_sub(1);
    page_key(&recorder.uid, 0)..=page_key(&recorder.uid, last)
}

/// All callbacks of a recorder that are missing, as sorted ranges: what its ledger knows, and what
/// the pages it owns hold.
pub(in crate::store) fn missing<'a>(
    recorder: &Recorder,
    owned: impl Iterator<Item = &'a Item>,
) -> Vec<Range> {
    let mut ranges = recorder.ledger.missing_ranges();
    ranges.extend(owned.flat_map(read_page));
    ranges.sort_unstable();
    ranges
}

/// How many bytes the item can grow before its window folds: the window's numbers, and some for
/// registers that grow.
fn growth(ledger: &Ledger) -> usize {
    const REGISTERS: usize = 40;
    let widest = number_size(&ledger.last.unwrap_or(0).to_string()) + 1;
    WINDOW.saturating_sub(ledger.received.len()) * widest + REGISTERS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Fact, Fields, Noted, RegisterName, Scalar};
    use crate::store::session::item::read_session;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn numbers(ranges: impl IntoIterator<Item = Range>) -> BTreeSet<u64> {
        ranges
            .into_iter()
            .flat_map(|(from, to)| from..=to)
            .collect()
    }

    /// The table's part in this: the session's item and the pages.
    #[derive(Default)]
    struct Table {
        item: Item,
        pages: BTreeMap<String, Vec<Range>>,
    }

    impl Table {
        /// What the slow path does, alone.
        fn write(&mut self, fact: &Fact) {
            let mut session = read_session(&self.item);
            let pages = make_room(&mut session, &self.item);
            write_session(&session, &mut self.item);
            for page in pages {
                let key = page.key();
                let before = self.pages.insert(key.clone(), page.ranges);
                assert_eq!(before, None, "{key} is put twice");
            }
            if session.apply(fact).noted == Noted::Archived {
                for (_, ranges) in self
                    .pages
                    .iter_mut()
                    .filter(|(key, _)| key.starts_with(&Page::prefix(&fact.uid)))
                {
                    let mut ledger = Ledger::of_archive(ranges.clone());
                    ledger.insert(fact.sequence, false);
                    *ranges = ledger.missing;
                }
            }
            write_session(&session, &mut self.item);
        }

        fn missing(&self, recorder: &Recorder) -> BTreeSet<u64> {
            let below = recorder.ledger.received_from;
            let owned = page_key(&recorder.uid, 0)..page_key(&recorder.uid, below);
            let pages = self
                .pages
                .iter()
                .filter(|(key, _)| recorder.ledger.truncated && owned.contains(*key));
            numbers(
                pages
                    .flat_map(|(_, ranges)| ranges.clone())
                    .chain(recorder.ledger.missing_ranges()),
            )
        }
    }

    /// Registers with a text of a given length, where they have fields of length at all.
    fn registers(length: usize) -> Vec<(RegisterName, Fields)> {
        let of = |name| match name {
            RegisterName::Started
            | RegisterName::OnDemand
            | RegisterName::Stream
            | RegisterName::Snapshot => Fields::new(),
            RegisterName::Failure => Fields::from([("eventType".to_owned(), Scalar::Int(11))]),
            _ => Fields::from([("fileList".to_owned(), Scalar::Text("x".repeat(length)))]),
        };
        RegisterName::ALL
            .into_iter()
            .map(|name| (name, of(name)))
            .collect()
    }

    #[test]
    fn numbers_in_descending_order_for_eight_recorders_stay_small() {
        let mut table = Table::default();
        let mut largest = 0;
        for n in 0..8 * 300 {
            let (uid, n) = (n % 8, n / 8);
            table.write(&Fact {
                uid: format!("recorder-{uid}"),
                sequence: 9_999_999_999 - 2 * n,
                sendts: u64::MAX / 4 + 1000 * uid - n,
                registers: registers(50),
                ..Fact::default()
            });
            largest = largest.max(size(&table.item));
        }
        assert!(largest < 16 * WRITE_UNIT, "{largest}");
    }

    proptest! {
        #[test]
        fn what_is_missing_survives_the_item_and_its_archive(
            split in 0_u64..150,
            deliveries in prop::collection::vec((0_u64..150, 0_u64..40), 1..400),
        ) {
            let fact = |sequence: u64| Fact {
                uid: if sequence < split { "100" } else { "200" }.to_owned(),
                sequence,
                sendts: 1_772_460_000_000 + sequence,
                // Enough to leave little room in the item.
                registers: registers(20),
                ..Fact::default()
            };
            let mut deliveries = deliveries;
            deliveries.sort_by_key(|(sequence, delay)| sequence + delay);
            let mut table = Table::default();
            let mut whole = Session::default();
            for (sequence, _) in &deliveries {
                table.write(&fact(*sequence));
                whole.apply(&fact(*sequence));
            }
            let stored = read_session(&table.item);
            prop_assert_eq!(stored.recorders.len(), whole.recorders.len());
            for (stored, whole) in stored.recorders.iter().zip(&whole.recorders) {
                prop_assert_eq!(&stored.registers, &whole.registers);
                prop_assert_eq!(stored.ledger.first, whole.ledger.first);
                prop_assert_eq!(stored.ledger.last, whole.ledger.last);
                prop_assert_eq!(table.missing(stored), numbers(whole.ledger.missing_ranges()));
            }
        }
    }

    proptest! {
        // Each is long.
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn what_is_missing_of_eight_recorders_survives_too(
            deliveries in prop::collection::vec((0_u64..480, 0_u64..90), 100..900),
        ) {
            let fact = |sequence: u64| Fact {
                uid: format!("recorder-{}", sequence / 60),
                sequence,
                sendts: 1_772_460_000_000 + sequence,
                registers: registers(50),
                ..Fact::default()
            };
            let mut deliveries = deliveries;
            deliveries.sort_by_key(|(sequence, delay)| sequence + delay);
            let (mut table, mut whole) = (Table::default(), Session::default());
            for (sequence, _) in &deliveries {
                table.write(&fact(*sequence));
                whole.apply(&fact(*sequence));
            }
            let stored = read_session(&table.item);
            prop_assert_eq!(stored.recorders.len(), whole.recorders.len());
            for (stored, whole) in stored.recorders.iter().zip(&whole.recorders) {
                prop_assert_eq!(table.missing(stored), numbers(whole.ledger.missing_ranges()));
            }
        }
    }
}
