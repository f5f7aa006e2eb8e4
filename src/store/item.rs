//! A session as an item of the table, and back. Pure.
//!
//! The recorder at work is the item itself; recorders it has replaced are in `previous`. Reading is tolerant: an attribute that
//! isn't what it should be counts as absent, because a callback must be stored whatever somebody did to the item by hand.
//! Attributes nobody here knows are carried along.

use crate::session::{Ledger, Range, Recorder, Register, RegisterName, Scalar, Session, WINDOW};
use aws_sdk_dynamodb::types::AttributeValue;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// An item of the table.
pub type Item = HashMap<String, AttributeValue>;

/// DynamoDB bills writes in units of this many bytes of the whole item.
const WRITE_UNIT: usize = 1024;

pub(super) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

/// An attribute as a number from 0 up.
pub(super) fn read_number(item: &Item, name: &str) -> Option<u64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// An attribute as a text.
pub(super) fn read_text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

/// A register as an attribute; `generation` is written when it isn't 0.
pub(super) fn register_attribute(register: &Register, generation: u64) -> AttributeValue {
    let mut map: Item = register
        .fields
        .iter()
        .map(|(name, value)| (name.clone(), scalar_attribute(value)))
        .collect();
    map.insert("sequence".to_owned(), number(register.sequence));
    map.insert("at".to_owned(), number(register.at));
    if generation > 0 {
        map.insert("generation".to_owned(), number(generation));
    }
    AttributeValue::M(map)
}

fn scalar_attribute(value: &Scalar) -> AttributeValue {
    match value {
        Scalar::Int(int) => number(int),
        Scalar::Text(string) => text(string.as_str()),
    }
}

fn read_scalar(value: &AttributeValue) -> Option<Scalar> {
    match value {
        AttributeValue::N(number) => number.parse().ok().map(Scalar::Int),
        AttributeValue::S(string) => Some(Scalar::Text(string.clone())),
        _ => None,
    }
}

/// A register and its generation.
fn read_register(value: &AttributeValue) -> Option<(Register, u64)> {
    let map = value.as_m().ok()?;
    let fields = map
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "sequence" | "at" | "generation"))
        .filter_map(|(name, value)| Some((name.clone(), read_scalar(value)?)))
        .collect();
    let register = Register {
        sequence: read_number(map, "sequence")?,
        at: read_number(map, "at")?,
        fields,
    };
    Some((register, read_number(map, "generation").unwrap_or(0)))
}

/// Makes room for more callbacks in a session as it is stored in `item`: folds a full window, and takes the ranges of missing
/// callbacks out for the archive where the item would cost a second write unit for their sake, or did before. What it does
/// depends on the stored item alone, so that two writers who race from the same version put the same pages. Returns the pages.
pub(super) fn make_room(session: &mut Session, item: &Item) -> Vec<Page> {
    let mut pages = Vec::new();
    for recorder in &mut session.recorders {
        if recorder.ledger.received.len() >= WINDOW {
            let from = recorder.ledger.received_from;
            recorder.ledger.fold();
            if recorder.ledger.truncated {
                pages.push(Page {
                    uid: recorder.uid.clone(),
                    from,
                    ranges: recorder.ledger.archive(),
                });
            }
        }
    }
    if let Some(current) = session.current()
        && !current.ledger.truncated
        && grows_too_large(session, item)
        && let Some(current) = session.recorders.last_mut()
    {
        let ranges = current.ledger.archive();
        current.ledger.truncated = !ranges.is_empty();
        if current.ledger.truncated {
            pages.push(Page {
                uid: current.uid.clone(),
                from: 0,
                ranges,
            });
        }
    }
    pages
}

/// True if the item would need a second write unit before its window is full.
fn grows_too_large(session: &Session, item: &Item) -> bool {
    let mut written = item.clone();
    write_session(session, &mut written);
    size(&written)
        + session
            .current()
            .map_or(0, |current| growth(&current.ledger))
        > WRITE_UNIT
}

/// A page of the archive: ranges of missing callbacks of one recorder that have no room in the session's item.
///
/// It is named after the number that the session's window began with when it was made. A session with `missing_truncated` owns
/// the pages named below its window. One that isn't below was put by a writer who then lost the race or crashed: it doesn't
/// count, and whoever folds that window puts it anew, even if it is empty then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) uid: String,
    pub(super) from: u64,
    pub(super) ranges: Vec<Range>,
}

impl Page {
    /// The sort keys of a recorder's pages begin with this.
    pub(super) fn prefix(uid: &str) -> String {
        format!("missing#{}#", short_hash(uid.as_bytes()))
    }

    pub(super) fn key(&self) -> String {
        page_key(&self.uid, self.from)
    }
}

/// The sort key of the page that begins at `from`.
pub(super) fn page_key(uid: &str, from: u64) -> String {
    format!("{}{from:010}", Page::prefix(uid))
}

/// Ranges as a flat list of numbers: from, to, from, to.
pub(super) fn flat_ranges(ranges: &[Range]) -> AttributeValue {
    AttributeValue::L(
        ranges
            .iter()
            .flat_map(|(from, to)| [number(from), number(to)])
            .collect(),
    )
}

/// The ranges of a page's item.
pub(super) fn read_page(item: &Item) -> Vec<Range> {
    let Some(AttributeValue::L(flat)) = item.get("ranges") else {
        return Vec::new();
    };
    flat.as_chunks::<2>()
        .0
        .iter()
        .filter_map(|[from, to]| Some((read_int(from)?, read_int(to)?)))
        .collect()
}

/// Writes what `session` says over `item`; the rest of `item` stays.
pub(super) fn write_session(session: &Session, item: &mut Item) {
    let Some((current, previous)) = session.recorders.split_last() else {
        return;
    };
    item.insert("generation".to_owned(), number(session.generation()));
    for name in RegisterName::ALL {
        match session.register(name) {
            Some((index, register)) => {
                item.insert(
                    name.as_str().to_owned(),
                    register_attribute(register, session.generation_of(index)),
                );
            }
            None => {
                item.remove(name.as_str());
            }
        }
    }
    if previous.is_empty() {
        item.remove("previous");
    } else {
        item.insert(
            "previous".to_owned(),
            AttributeValue::L(previous.iter().map(previous_attribute).collect()),
        );
    }
    write_recorder(current, item);
    // The first number of the very first recorder follows from what is missing before it.
    put(
        item,
        "first_sequence",
        current
            .ledger
            .first
            .filter(|_| session.generation() > 0)
            .map(number),
    );
}

/// A replaced recorder.
fn previous_attribute(recorder: &Recorder) -> AttributeValue {
    let mut map = Item::new();
    write_recorder(recorder, &mut map);
    put(
        &mut map,
        "first_sequence",
        recorder.ledger.first.map(number),
    );
    let registers = recorder
        .registers
        .iter()
        .map(|(name, register)| (name.as_str().to_owned(), register_attribute(register, 0)))
        .collect();
    map.insert("registers".to_owned(), AttributeValue::M(registers));
    AttributeValue::M(map)
}

fn write_recorder(recorder: &Recorder, item: &mut Item) {
    item.insert("uid".to_owned(), text(recorder.uid.as_str()));
    put(item, "since", recorder.since.map(number));
    put(item, "announced_at", recorder.announced_at.map(number));
    // A recorder that was only announced has said nothing since.
    let last_sendts = recorder
        .ledger
        .last
        .map_or(recorder.announced_at.unwrap_or(0), |_| recorder.last_sendts);
    item.insert("last_sendts".to_owned(), number(last_sendts));
    write_ledger(&recorder.ledger, item);
}

fn write_ledger(ledger: &Ledger, item: &mut Item) {
    put(item, "last_sequence", ledger.last.map(number));
    put(
        item,
        "received_from",
        ledger.last.map(|_| number(ledger.received_from)),
    );
    let received = ledger
        .received
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>();
    put(
        item,
        "received",
        (!received.is_empty()).then_some(AttributeValue::Ns(received)),
    );
    let ranges = |(from, to): &(u64, u64)| AttributeValue::L(vec![number(from), number(to)]);
    let missing = AttributeValue::L(ledger.missing.iter().map(ranges).collect());
    put(
        item,
        "missing",
        (!ledger.missing.is_empty()).then_some(missing),
    );
    put(
        item,
        "missing_truncated",
        ledger.truncated.then_some(AttributeValue::Bool(true)),
    );
}

fn put(item: &mut Item, name: &str, value: Option<AttributeValue>) {
    match value {
        Some(value) => item.insert(name.to_owned(), value),
        None => item.remove(name),
    };
}

/// Reads a session from its item.
#[must_use]
pub fn read_session(item: &Item) -> Session {
    let mut recorders: Vec<Recorder> = match item.get("previous") {
        Some(AttributeValue::L(previous)) => previous.iter().filter_map(read_previous).collect(),
        Some(_) | None => Vec::new(),
    };
    let Some(mut current) = read_recorder(item) else {
        return Session {
            recorders,
            forgotten: 0,
        };
    };
    let generation = read_number(item, "generation").unwrap_or(0);
    current.registers = RegisterName::ALL
        .into_iter()
        .filter_map(|name| Some((name, read_register(item.get(name.as_str())?)?)))
        .filter(|(_, (_, register_generation))| *register_generation == generation)
        .map(|(name, (register, _))| (name, register))
        .collect();
    let forgotten = generation.saturating_sub(u64::try_from(recorders.len()).unwrap_or(u64::MAX));
    recorders.push(current);
    Session {
        recorders,
        forgotten,
    }
}

fn read_previous(value: &AttributeValue) -> Option<Recorder> {
    let map = value.as_m().ok()?;
    let mut recorder = read_recorder(map)?;
    if let Some(AttributeValue::M(registers)) = map.get("registers") {
        recorder.registers = RegisterName::ALL
            .into_iter()
            .filter_map(|name| Some((name, read_register(registers.get(name.as_str())?)?.0)))
            .collect::<BTreeMap<_, _>>();
    }
    Some(recorder)
}

fn read_recorder(item: &Item) -> Option<Recorder> {
    let last = read_number(item, "last_sequence");
    let received: BTreeSet<u64> = match item.get("received") {
        Some(AttributeValue::Ns(numbers)) => numbers
            .iter()
            .filter_map(|number| number.parse().ok())
            .collect(),
        Some(_) | None => BTreeSet::new(),
    };
    let received_from = read_number(item, "received_from").unwrap_or(0);
    let missing: Vec<Range> = match item.get("missing") {
        Some(AttributeValue::L(ranges)) => ranges.iter().filter_map(read_range).collect(),
        Some(_) | None => Vec::new(),
    };
    let first_from_zero = match missing.first() {
        Some((0, to)) => Some(to + 1),
        Some(_) | None if received_from > 0 => Some(0),
        Some(_) | None => received.first().copied(),
    };
    Some(Recorder {
        uid: read_text(item, "uid")?.to_owned(),
        announced_at: read_number(item, "announced_at"),
        since: read_number(item, "since"),
        last_sendts: last.and(read_number(item, "last_sendts")).unwrap_or(0),
        ledger: Ledger {
            first: read_number(item, "first_sequence").or(first_from_zero),
            last: last.or_else(|| received.last().copied()),
            received_from,
            received,
            missing,
            truncated: item.contains_key("missing_truncated"),
        },
        registers: BTreeMap::new(),
    })
}

fn read_range(value: &AttributeValue) -> Option<(u64, u64)> {
    match value.as_l().ok()?.as_slice() {
        [from, to] => Some((read_int(from)?, read_int(to)?)),
        _ => None,
    }
}

fn read_int(value: &AttributeValue) -> Option<u64> {
    value.as_n().ok()?.parse().ok()
}

/// The first 8 hex digits of the SHA-256.
fn short_hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// How many bytes the item can grow before its window folds: the window's numbers, and some for registers that grow.
fn growth(ledger: &Ledger) -> usize {
    const REGISTERS: usize = 40;
    let widest = number_size(&ledger.last.unwrap_or(0).to_string()) + 1;
    WINDOW.saturating_sub(ledger.received.len()) * widest + REGISTERS
}

/// The size of an item as DynamoDB counts it, in bytes.
#[must_use]
pub fn size(item: &Item) -> usize {
    item.iter()
        .map(|(name, value)| name.len() + value_size(value))
        .sum()
}

pub(super) fn value_size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(number) => number_size(number),
        AttributeValue::Ns(numbers) => numbers.iter().map(|number| number_size(number)).sum(),
        AttributeValue::Ss(texts) => texts.iter().map(String::len).sum(),
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::Bs(all) => all.iter().map(|bytes| bytes.as_ref().len()).sum(),
        AttributeValue::L(values) => {
            3 + values
                .iter()
                .map(|value| 1 + value_size(value))
                .sum::<usize>()
        }
        AttributeValue::M(map) => {
            3 + map
                .iter()
                .map(|(name, value)| 1 + name.len() + value_size(value))
                .sum::<usize>()
        }
        _ => 1,
    }
}

/// One byte for two digits, one more, one more if negative; leading and trailing zeros are free.
fn number_size(number: &str) -> usize {
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    let zeros = number.len() - number.trim_end_matches('0').len();
    digits.saturating_sub(zeros).div_ceil(2) + 1 + usize::from(number.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Fact, Noted};
    use proptest::prelude::*;

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
            self.pages
                .extend(pages.into_iter().map(|page| (page.key(), page.ranges)));
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
            let pages = self
                .pages
                .iter()
                .filter(|(key, _)| key.starts_with(&Page::prefix(&recorder.uid)));
            numbers(
                pages
                    .flat_map(|(_, ranges)| ranges.clone())
                    .chain(recorder.ledger.missing_ranges()),
            )
        }
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
                registers: RegisterName::ALL
                    .into_iter()
                    .map(|name| (name, BTreeMap::from([("fileList".to_owned(), Scalar::Text("x".repeat(20)))])))
                    .collect(),
                new_uid: None,
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
                prop_assert_eq!((stored.ledger.first, stored.ledger.last), (whole.ledger.first, whole.ledger.last));
                prop_assert_eq!(table.missing(stored), numbers(whole.ledger.missing_ranges()));
            }
        }
    }
}
