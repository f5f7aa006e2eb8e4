//! What a set of callbacks comes to, by the definition: slowly, and without the code under test.

use super::Callback;
use agora_recording_callbacks::session::{
    Fact, Fields, Range, Register, RegisterName, Scalar, Session,
};
use agora_recording_callbacks::store::Item;
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
    pub(crate) has_own: bool,
    pub(crate) registers: BTreeMap<RegisterName, Register>,
}

/// What the default kinds ring for a callback, by the table of the design: one text an incident.
pub(crate) fn incident(callback: &Callback) -> Option<String> {
    let number = |name: &str| callback.details[name].as_i64();
    let is = |name, wanted: i64| number(name) == Some(wanted);
    let isnt = |name, wanted: i64| number(name).is_some_and(|number| number != wanted);
    let bucket = |minutes: u64| callback.sendts - callback.sendts % (minutes * 60_000);
    let uid = &callback.uid;
    let stage = match callback.scene {
        Some("rtc_snapshot" | "postpone_transcode::transcode_failover") => "other",
        _ => "recording",
    };
    match callback.event_type {
        1 if number("errorLevel").is_some_and(|level| level >= 5) => Some(format!(
            "fatal_error {uid} {} {} {}",
            number("module").unwrap(),
            number("errorCode").unwrap(),
            bucket(10)
        )),
        72 => Some(format!("abnormal_exit {uid} {}", bucket(60))),
        11 if isnt("exitStatus", 0) => Some(format!("abnormal_exit {uid} {}", bucket(60))),
        3 if is("status", 20) => Some(format!("abnormal_exit {uid} {}", bucket(60))),
        41 if is("leaveCode", 0) => Some(format!("abnormal_exit {uid} {}", bucket(60))),
        40 if isnt("status", 0) => Some(format!("abnormal_exit {uid} {}", bucket(60))),
        71 if isnt("code", 0) && isnt("code", 1) => {
            Some(format!("abnormal_exit {uid} {}", bucket(60)))
        }
        32 => Some(format!("backup_only_upload {uid} {} {stage}", bucket(60))),
        31 if callback.details["uploadingStatus"] == "backuped" => {
            Some(format!("backup_only_upload {uid} {} {stage}", bucket(60)))
        }
        30 | 31 if isnt("status", 0) => Some(format!(
            "component_failure {uid} {stage} {}",
            callback.event_type
        )),
        34 => Some(format!("storage_credentials_expired {uid} {}", bucket(60))),
        _ => None,
    }
}

/// The incident that an alert's item tells of; `None` where the watchdog found it.
pub(crate) fn incident_of_item(item: &Item) -> Option<String> {
    let kind = item["kind"].as_s().unwrap();
    let parts: &[&str] = match kind.as_str() {
        "fatal_error" => &["recorder", "module", "errorCode", "tenMinutes"],
        "abnormal_exit" | "storage_credentials_expired" => &["recorder", "hour"],
        "backup_only_upload" => &["recorder", "hour", "stage"],
        "component_failure" => &["recorder", "stage", "reportedBy"],
        "transcoding_failed" => return None,
        "session_silent" | "upload_unconfirmed" => return None,
        resolution if resolution.ends_with("_resolved") => return None,
        new => panic!("say in {} when {new} rings", file!()),
    };
    let codes = item["codes"].as_m().unwrap();
    let is_killed = codes
        .get("leaveCode")
        .is_some_and(|code| code.as_s().unwrap() != "0");
    if is_killed {
        return None;
    }
    let parts = parts
        .iter()
        .map(|part| codes[*part].as_s().unwrap().as_str());
    Some(
        [kind.as_str()]
            .into_iter()
            .chain(parts)
            .collect::<Vec<_>>()
            .join(" "),
    )
}

/// The failure of the recorder `uid`, by the definition: number, `sendts` and event type.
pub(crate) fn failure(uid: &str, callbacks: &[&Callback]) -> Option<(u64, u64, u32)> {
    let own = callbacks.iter().filter(|callback| {
        callback.uid == uid
            && !matches!(
                callback.scene,
                Some("rtc_snapshot" | "postpone_transcode::transcode_failover")
            )
    });
    let number = |callback: &Callback, name: &str| callback.details[name].as_i64();
    let mut failure = None;
    let mut at_work = None;
    for callback in own {
        let moment = (callback.sequence, callback.sendts);
        let failed = match callback.event_type {
            1 => number(callback, "errorLevel").is_some_and(|level| level >= 5),
            11 => number(callback, "exitStatus").is_some_and(|status| status != 0),
            3 => number(callback, "status") == Some(20),
            40 => number(callback, "status").is_some_and(|status| status != 0),
            41 => number(callback, "leaveCode")
                .is_some_and(|code| code == 0 || (code > 0 && code & (2 | 4 | 16) == 2)),
            71 => number(callback, "code").is_some_and(|code| code != 0 && code != 1),
            72 => true,
            _ => false,
        };
        if failed {
            failure = failure.max(Some((moment.0, moment.1, callback.event_type)));
        } else if matches!(callback.event_type, 40 | 42 | 70) {
            at_work = at_work.max(Some(moment));
        }
    }
    failure.filter(|(sequence, at, _)| at_work.is_none_or(|work| work <= (*sequence, *at)))
}

/// What became of the files of the recorder `uid`, by the definition: a confirmation that is older
/// than what it recorded last confirms nothing.
pub(crate) fn upload(uid: &str, callbacks: &[&Callback]) -> &'static str {
    let own = callbacks.iter().filter(|callback| {
        callback.uid == uid
            && !matches!(
                callback.scene,
                Some("rtc_snapshot" | "postpone_transcode::transcode_failover")
            )
    });
    let own: Vec<_> = own.collect();
    let of = |types: &[u32]| {
        let those = own
            .iter()
            .filter(|callback| types.contains(&callback.event_type));
        those
            .copied()
            .max_by_key(|callback| (callback.sequence, callback.sendts))
    };
    let receives = |callback: &&&&Callback| {
        matches!(callback.event_type, 43 | 44) && callback.details["state"] == 0
    };
    let streams = own.iter().filter(receives);
    let stream = streams.max_by_key(|callback| (callback.sequence, callback.sendts));
    // The newest start, if it is that of a web page.
    let starts = own.iter().filter(|callback| match callback.event_type {
        40 => callback.details["status"]
            .as_i64()
            .is_none_or(|status| status == 0),
        event_type => event_type == 70,
    });
    let started = starts
        .copied()
        .max_by_key(|callback| (callback.sequence, callback.sendts));
    let started = started.filter(|start| start.event_type == 70);
    let work = [of(&[42]), of(&[4]), stream.copied(), started];
    let work = work
        .into_iter()
        .flatten()
        .map(|callback| callback.sendts)
        .max();
    let is_fresh = |report: &&&Callback| work.is_none_or(|work| report.sendts >= work);
    if of(&[61]).as_ref().is_some_and(is_fresh) {
        return "confirmed";
    }
    let Some(newest) = of(&[31, 32]) else {
        return "unconfirmed";
    };
    let status = newest.details["status"].as_i64().unwrap_or(0);
    let word = newest.details["uploadingStatus"].as_str().unwrap_or("");
    if status != 0 || newest.scene == Some("rtc_vod") {
        return "unconfirmed";
    }
    match (word, newest.event_type) {
        ("stranded", _) => "stranded",
        ("" | "uploaded" | "backuped", _) if !is_fresh(&newest) => "unconfirmed",
        ("backuped", _) | ("" | "uploaded", 32) => "backup",
        ("" | "uploaded", _) => "confirmed",
        _ => "unconfirmed",
    }
}

/// What the callbacks that came say, recorder by recorder, in any order and as often as one likes.
pub(crate) fn by_definition(facts: &[Fact]) -> Vec<RecorderView> {
    let announced: BTreeSet<&str> = facts
        .iter()
        .filter_map(|fact| fact.new_uid.as_deref())
        .collect();
    let uids: BTreeSet<&str> = facts
        .iter()
        .filter(|fact| !fact.is_beside)
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
    let of_the_recording = own.iter().filter(|fact| !fact.is_beside);
    let first = of_the_recording.map(|fact| fact.sequence).min();
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
            // What an upload came to counts more than that it started.
            let is_report = |said: &Register| {
                *name != RegisterName::Upload
                    || said.fields.get("eventType") != Some(&Scalar::Int(30))
            };
            let counts = registers
                .get(name)
                .is_none_or(|newest| (is_report(newest), newest) < (is_report(&said), &said));
            if counts {
                registers.insert(*name, said);
            }
        }
    }
    // Seen at work after its failure: it is healed.
    let moment = |name| {
        let register: Option<&Register> = registers.get(&name);
        register.map(|register| (register.sequence, register.at))
    };
    let at_work = moment(RegisterName::Started).max(moment(RegisterName::Slice));
    if at_work > moment(RegisterName::Failure) {
        registers.remove(&RegisterName::Failure);
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
        since: own
            .iter()
            .filter(|fact| !fact.is_beside && Some(fact.sequence) == first)
            .map(|fact| fact.sendts)
            .min(),
        last_sendts: sendts_of(last).max().unwrap_or(0),
        last,
        missing: Vec::new(),
        has_own: own.iter().any(|fact| !fact.is_beside && fact.is_own),
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
                has_own: recorder.has_own,
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
