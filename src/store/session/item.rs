//! A session as an item of the table, and back. Pure.
//!
//! The recorder at work is the item itself; the others are in `previous`. Reading is
//! tolerant: an attribute that isn't what it should be counts as absent, because a callback must be
//! stored whatever somebody did to the item by hand. Attributes nobody here knows are carried
//! along.

use crate::session::{Ledger, Range, Recorder, Register, RegisterName, Scalar, Session};
use crate::store::attribute::{Item, number, read_int, read_number, read_text, text};
use aws_sdk_dynamodb::types::AttributeValue;
use std::collections::{BTreeMap, BTreeSet};

/// A register as an attribute; `generation` is written when it isn't 0.
pub(in crate::store) fn register_attribute(register: &Register, generation: u64) -> AttributeValue {
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

/// Writes what `session` says over `item`; the rest of `item` stays.
pub(in crate::store) fn write_session(session: &Session, item: &mut Item) {
    let beside = session.beside.iter().map(beside_attribute).collect();
    put(
        item,
        "beside",
        (!session.beside.is_empty()).then_some(AttributeValue::L(beside)),
    );
    let Some(current) = session.current() else {
        return;
    };
    let others = session
        .recorders
        .iter()
        .filter(|one| one.uid != current.uid);
    let others: Vec<_> = others.map(previous_attribute).collect();
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
    let has_others = !others.is_empty();
    put(
        item,
        "previous",
        has_others.then_some(AttributeValue::L(others)),
    );
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

/// The callbacks of a stage beside the recording, counted.
fn beside_attribute(one: &Recorder) -> AttributeValue {
    let mut map = Item::new();
    write_recorder(one, &mut map);
    put(&mut map, "first_sequence", one.ledger.first.map(number));
    AttributeValue::M(map)
}

/// A recorder that isn't at work.
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

/// Writes a recorder, but for its registers.
fn write_recorder(recorder: &Recorder, item: &mut Item) {
    let Recorder {
        uid,
        announced_at,
        since,
        since_sequence,
        last_sendts,
        has_own,
        ledger,
        registers: _,
    } = recorder;
    item.insert("uid".to_owned(), text(uid.as_str()));
    // The fast path asks for `since`: it mustn't make a recorder the one at work.
    put(item, "since", since.filter(|_| *has_own).map(number));
    put(item, "heard_since", since.filter(|_| !has_own).map(number));
    // Usually that of its first callback.
    let opened_later = since_sequence.filter(|sequence| Some(*sequence) != ledger.first);
    put(item, "since_sequence", opened_later.map(number));
    put(item, "announced_at", announced_at.map(number));
    // A recorder that was only announced has said nothing since.
    let spoke_at = ledger.last.map(|_| *last_sendts).or(*announced_at);
    item.insert("last_sendts".to_owned(), number(spoke_at.unwrap_or(0)));
    write_ledger(ledger, item);
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
    let beside = match item.get("beside") {
        Some(AttributeValue::L(beside)) => beside.iter().filter_map(read_previous).collect(),
        Some(_) | None => Vec::new(),
    };
    let Some(mut current) = read_recorder(item) else {
        return Session::assembled(recorders, beside, "", 0);
    };
    let generation = read_number(item, "generation").unwrap_or(0);
    current.registers = RegisterName::ALL
        .into_iter()
        .filter_map(|name| Some((name, read_register(item.get(name.as_str())?)?)))
        .filter(|(_, (_, register_generation))| *register_generation == generation)
        .map(|(name, (register, _))| (name, register))
        .collect();
    let uid = current.uid.clone();
    recorders.push(current);
    Session::assembled(recorders, beside, &uid, generation)
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
    let first = read_number(item, "first_sequence").or(first_from_zero);
    let own_since = read_number(item, "since");
    let since = own_since.or(read_number(item, "heard_since"));
    Some(Recorder {
        uid: read_text(item, "uid")?.to_owned(),
        announced_at: read_number(item, "announced_at"),
        since,
        since_sequence: since.and(read_number(item, "since_sequence").or(first)),
        has_own: own_since.is_some(),
        last_sendts: last.and(read_number(item, "last_sendts")).unwrap_or(0),
        ledger: Ledger {
            first,
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
