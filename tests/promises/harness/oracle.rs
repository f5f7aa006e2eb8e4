//! What a set of callbacks comes to, by the definition: slowly, and without the code under test.

use agora_recording_callbacks::session::{
    Fact, Fields, Range, Register, RegisterName, Scalar, Session,
};
use std::collections::{BTreeMap, BTreeSet};

/// The parts of a recorder that no order of arrival may change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RecorderView {
    pub(crate) uid: String,
    pub(crate) announced_at: Option<u64>,
    pub(crate) since: Option<u64>,
    pub(crate) last_sendts: u64,
    pub(crate) last: Option<u64>,
    pub(crate) missing: Vec<Range>,
    pub(crate) registers: BTreeMap<RegisterName, Register>,
}

/// What the callbacks that came say, recorder by recorder, in any order and as often as one likes.
pub(crate) fn by_definition(facts: &[Fact]) -> Vec<RecorderView> {
    let announced: BTreeSet<&str> = facts
        .iter()
        .filter_map(|fact| fact.new_uid.as_deref())
        .collect();
    let uids: BTreeSet<&str> = facts
        .iter()
        .map(|fact| fact.uid.as_str())
        .chain(announced)
        .collect();
    let mut recorders: Vec<RecorderView> =
        uids.into_iter().map(|uid| recorder(uid, facts)).collect();
    recorders.sort_by_key(|recorder| {
        (
            recorder.announced_at.or(recorder.since).unwrap_or(u64::MAX),
            recorder.uid.clone(),
        )
    });
    for (index, recorder) in recorders.iter_mut().enumerate() {
        let came: BTreeSet<u64> = facts
            .iter()
            .filter(|fact| fact.uid == recorder.uid)
            .map(|fact| fact.sequence)
            .collect();
        recorder.missing = holes(&came, index == 0);
    }
    recorders
}

fn recorder(uid: &str, facts: &[Fact]) -> RecorderView {
    let own: Vec<&Fact> = facts.iter().filter(|fact| fact.uid == uid).collect();
    let first = own.iter().map(|fact| fact.sequence).min();
    let last = own.iter().map(|fact| fact.sequence).max();
    let sendts_of = |sequence| {
        own.iter()
            .filter(move |fact| Some(fact.sequence) == sequence)
            .map(|fact| fact.sendts)
    };
    let mut registers: BTreeMap<RegisterName, Register> = BTreeMap::new();
    for fact in &own {
        for (name, fields) in &fact.registers {
            let said = Register {
                sequence: fact.sequence,
                at: fact.sendts,
                fields: fields.clone(),
            };
            let newest = registers.get(name).is_none_or(|newest| *newest < said);
            if newest {
                registers.insert(*name, said);
            }
        }
    }
    let announced_at = facts
        .iter()
        .filter(|fact| fact.new_uid.as_deref() == Some(uid))
        .map(|fact| fact.sendts)
        .min();
    if let Some(at) = announced_at {
        let starting = Fields::from([("phase".to_owned(), Scalar::Text("starting".to_owned()))]);
        registers.entry(RegisterName::Phase).or_insert(Register {
            sequence: 0,
            at,
            fields: starting,
        });
    }
    RecorderView {
        uid: uid.to_owned(),
        announced_at,
        since: sendts_of(first).min(),
        last_sendts: sendts_of(last).max().unwrap_or(0),
        last,
        missing: Vec::new(),
        registers,
    }
}

/// The numbers that didn't come, below the last that did. Only the first recorder's count from
/// zero.
fn holes(came: &BTreeSet<u64>, from_zero: bool) -> Vec<Range> {
    let mut next = if from_zero {
        0
    } else {
        came.first().copied().unwrap_or(0)
    };
    let mut holes = Vec::new();
    for sequence in came {
        if next < *sequence {
            holes.push((next, sequence - 1));
        }
        next = sequence + 1;
    }
    holes
}

/// The same view of a session; `missing` has a list for each recorder.
pub(crate) fn view(session: &Session, missing: &[Vec<Range>]) -> Vec<RecorderView> {
    let view =
        |(recorder, missing): (&agora_recording_callbacks::session::Recorder, &Vec<Range>)| {
            RecorderView {
                uid: recorder.uid.clone(),
                announced_at: recorder.announced_at,
                since: recorder.since,
                last_sendts: recorder.last_sendts,
                last: recorder.ledger.last,
                missing: joined(missing),
                registers: recorder.registers.clone(),
            }
        };
    session.recorders.iter().zip(missing).map(view).collect()
}

/// The view of a session that was never stored.
pub(crate) fn view_in_memory(session: &Session) -> Vec<RecorderView> {
    let missing: Vec<_> = session
        .recorders
        .iter()
        .map(|recorder| recorder.ledger.missing_ranges())
        .collect();
    view(session, &missing)
}

/// Ranges that touch, joined: where they were split makes no difference.
fn joined(ranges: &[Range]) -> Vec<Range> {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable();
    let mut joined: Vec<Range> = Vec::new();
    for (from, to) in sorted {
        match joined.last_mut() {
            Some((_, last)) if *last + 1 == from => *last = to,
            Some(_) | None => joined.push((from, to)),
        }
    }
    joined
}
