//! Compares the table after a plan with what the definition says it should hold. Knows nothing of
//! windows, folds or merging: it judges by the callbacks that came, and by nothing else.

use super::plan::{Callback, Kind, Plan, Session};
use crate::deployment::Deployment;
use crate::outcome::AnyError;
use crate::terminal::say;
use agora_recording_callbacks::alert::AlertKind;
use agora_recording_callbacks::files::covered;
use agora_recording_callbacks::notification::Sid;
use agora_recording_callbacks::record::{AlertState, Record};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often the alerts are looked at again.
const LOOK: Duration = Duration::from_secs(1);
/// Differences that are printed.
const MOST: usize = 20;

/// Compares every session; true if the table is right. Prints what differs. Alerts that
/// are still pending are waited for.
pub(super) async fn verify(
    deployment: &Deployment,
    plan: &Plan,
    patience: Duration,
) -> Result<bool, AnyError> {
    let store = deployment.store();
    let deadline = Instant::now() + patience;
    let mut differences = Vec::new();
    for session in &plan.sessions {
        let sid = Sid::new(&session.sid).ok_or("a sid of ours can't be read")?;
        loop {
            let record = store.record(&sid).await?;
            let found = compare(session, record.as_ref(), &deployment.config.alert_kinds);
            let is_waiting = record.is_some_and(|record| {
                let mut alerts = record.alerts.iter();
                alerts.any(|alert| alert.state() == AlertState::Pending)
            });
            if found.is_empty() || !is_waiting || Instant::now() > deadline {
                let named =
                    |difference| format!("{} ({}): {difference}", session.sid, session.cname);
                differences.extend(found.into_iter().map(named));
                break;
            }
            sleep(LOOK).await;
        }
    }
    for (kind, alert) in [
        (Kind::Silent, AlertKind::SessionSilent),
        (Kind::Stranded, AlertKind::UploadUnconfirmed),
        (Kind::KilledAndReplaced, AlertKind::UploadUnconfirmed),
        (Kind::ConfirmedEarly, AlertKind::UploadUnconfirmed),
        (Kind::AnnouncedAndNeverCame, AlertKind::AbnormalExit),
        (Kind::Failover, AlertKind::AbnormalExitResolved),
    ] {
        let sessions = plan.sessions.iter();
        let count = sessions.filter(|session| session.kind == kind).count();
        if count > 0 {
            say!(
                "Not checked: {} for {count} sessions; the sweeper sends it in its time.",
                alert.as_str()
            );
        }
    }
    if differences.is_empty() {
        say!(
            "The table says what was sent: {} sessions, no difference.",
            plan.sessions.len()
        );
        return Ok(true);
    }
    for difference in differences.iter().take(MOST) {
        say!("DIFFERENCE {difference}");
    }
    say!("{} differences.", differences.len());
    Ok(false)
}

/// Compares the sum of a session's callbacks that came with the table.
fn compare(session: &Session, record: Option<&Record>, kinds: &[AlertKind]) -> Vec<String> {
    let Some(record) = record else {
        let nothing = session.came().next().is_none();
        return if nothing {
            Vec::new()
        } else {
            vec!["the table has nothing of it".to_owned()]
        };
    };
    let mut rows = events(session, record);
    rows.extend(numbers(session, record));
    rows.extend(state(session, record));
    rows.push(alerts(session, record, kinds));
    let differs = rows.into_iter().filter(|row| row.sent != row.stored);
    differs.map(|row| row.difference()).collect()
}

/// One thing that is compared.
struct Row {
    what: &'static str,
    sent: String,
    stored: String,
}

impl Row {
    fn new(what: &'static str, sent: impl ToString, stored: impl ToString) -> Self {
        let (sent, stored) = (sent.to_string(), stored.to_string());
        Self { what, sent, stored }
    }

    fn difference(&self) -> String {
        let Self { what, sent, stored } = self;
        format!("{what}: {sent} by what was sent, {stored} in the table")
    }
}

fn events(session: &Session, record: &Record) -> Vec<Row> {
    let event = |uid: &str, sequence: u64, event_type: u32| {
        let whose = if uid == session.uid {
            String::new()
        } else {
            format!(" of {uid}")
        };
        format!("number {sequence}{whose} (event {event_type})")
    };
    let sent: BTreeSet<_> = session
        .came()
        .filter(|callback| callback.event_type != 33)
        .map(|callback| event(&callback.uid, callback.sequence, callback.event_type))
        .collect();
    let items = record.events.iter();
    let stored: BTreeSet<_> = items
        .map(|item| event(&item.uid, item.sequence, item.event_type))
        .collect();
    vec![
        Row::new(
            "events that have no item",
            list::<&str>([]),
            list(sent.difference(&stored)),
        ),
        Row::new(
            "events never sent",
            list::<&str>([]),
            list(stored.difference(&sent)),
        ),
        Row::new("events", sent.len(), record.events.len()),
    ]
}

/// The state of each recorder, and which of its callbacks are missing.
fn numbers(session: &Session, record: &Record) -> Vec<Row> {
    let recorders = recorders(session);
    let came = |uid: &str| -> BTreeSet<u64> {
        let came = session.came().filter(|callback| callback.uid == uid);
        came.map(|callback| callback.sequence).collect()
    };
    let missing = recorders.iter().enumerate().flat_map(|(index, uid)| {
        let came = came(uid);
        // Only the first recorder's numbers are known to begin at 0.
        let first = came.first().copied().filter(|_| index > 0).unwrap_or(0);
        let last = came.last().copied().unwrap_or(0);
        (first..last).filter(move |sequence| !came.contains(sequence))
    });
    let stored = record.missing.iter().flatten();
    let stored_uids = record.watched.session.recorders.iter();
    let last = at_work(session).and_then(|uid| came(&uid).last().copied());
    let current = record.watched.session.current();
    let stored_last = current.and_then(|recorder| recorder.ledger.last);
    vec![
        Row::new(
            "recorders",
            list(&recorders),
            list(stored_uids.map(|recorder| &recorder.uid)),
        ),
        Row::new(
            "missing",
            list(missing),
            list(stored.flat_map(|(from, to)| *from..=*to)),
        ),
        Row::new("last number", list(last), list(stored_last)),
    ]
}

/// The recorders that spoke or were announced; the one that took over last.
fn recorders(session: &Session) -> Vec<String> {
    let mut uids = Vec::new();
    for callback in session.came() {
        let announced = callback.details.get("newUid").and_then(Value::as_str);
        for uid in [Some(callback.uid.as_str()), announced]
            .into_iter()
            .flatten()
        {
            if !uids.iter().any(|known| known == uid) {
                uids.push(uid.to_owned());
            }
        }
    }
    uids
}

/// The state of the recording and of its files.
fn state(session: &Session, record: &Record) -> Vec<Row> {
    let stored = &record.watched.session;
    let word = |word: Option<String>| word.unwrap_or_else(|| list::<&str>([]));
    let number = |number: Option<i64>| word(number.map(|number| number.to_string()));
    vec![
        Row::new(
            "phase",
            word(phase_of_session(session)),
            word(stored.phase().map(|phase| phase.value.as_str().to_owned())),
        ),
        Row::new(
            "failure",
            word(failure(session)),
            word(
                stored
                    .failure()
                    .map(|failure| event_type_words(failure.value.0)),
            ),
        ),
        Row::new(
            "progress",
            word(newest_of_any(session, number_of(33, "progress"))),
            number(stored.progress().and_then(|progress| progress.value)),
        ),
        Row::new(
            "files",
            files(session),
            stored
                .uploads(&covered(stored, &record.events), false)
                .state
                .as_str(),
        ),
        Row::new(
            "leaveStatus",
            word(newest_at_work(session, number_of(11, "exitStatus"))),
            number(
                stored
                    .exit()
                    .and_then(|exit| exit.value)
                    .map(|status| status.0),
            ),
        ),
        Row::new(
            "errorCode",
            word(newest_of_any(session, number_of(1, "errorCode"))),
            word(stored.last_error().and_then(|error| error.value)),
        ),
    ]
}

/// Each incident rings once, because one callback of a recorder reports each in these plans.
fn alerts(session: &Session, record: &Record, kinds: &[AlertKind]) -> Row {
    let kind = |callback: &Callback| match callback.event_type {
        1 => Some(AlertKind::FatalError),
        11 => callback
            .is_abnormal_exit()
            .then_some(AlertKind::AbnormalExit),
        12 => Some(AlertKind::Failover),
        32 => Some(AlertKind::BackupOnlyUpload),
        71 => Some(AlertKind::AbnormalExit),
        81 => Some(AlertKind::TranscodingFailed),
        _ => None,
    };
    let named = |kind: AlertKind, sequence: u64, state: &str| {
        format!("{} of number {sequence}, {state}", kind.as_str())
    };
    let sent: BTreeSet<_> = session
        .came()
        .filter_map(|callback| Some((kind(callback)?, callback.sequence)))
        .filter(|(kind, _)| kinds.contains(kind))
        .map(|(kind, sequence)| named(kind, sequence, "sent"))
        .collect();
    let stored = record.alerts.iter().filter(|stored| {
        // The sweeper raises the alert of a recorder that a signal killed.
        stored.alert.kind.is_of_callback() && stored.alert.event_type != 41
    });
    let stored: BTreeSet<_> = stored
        .map(|stored| {
            let state = match stored.state() {
                AlertState::Sent { .. } => "sent",
                AlertState::Pending => "pending",
                AlertState::Failed => "given up",
            };
            named(stored.alert.kind, stored.alert.sequence, state)
        })
        .collect();
    Row::new("alerts", list(&sent), list(&stored))
}

/// One recorder's callbacks that came and are about the recording itself, by number.
fn own_of<'a>(session: &'a Session, uid: &str) -> Vec<&'a Callback> {
    let is_own = |callback: &&Callback| callback.scene.is_none_or(|scene| scene == "web_record");
    let came = session.came().filter(is_own);
    let mut own: Vec<_> = came.filter(|callback| callback.uid == uid).collect();
    own.sort_by_key(|callback| callback.sequence);
    own
}

/// The newest report of a recorder about something.
fn newest<T>(callbacks: &[&Callback], says: impl Fn(&Callback) -> Option<T>) -> Option<T> {
    callbacks.iter().rev().find_map(|callback| says(callback))
}

/// The recorder at work: the newest that said something of its own, more than an error, a warning
/// or a status.
fn at_work(session: &Session) -> Option<String> {
    let recorders = recorders(session);
    let says =
        |uid: &&String, wanted: fn(&Callback) -> bool| own_of(session, uid).into_iter().any(wanted);
    let newest_first = || recorders.iter().rev();
    let own = newest_first().find(|uid| says(uid, |one| !matches!(one.event_type, 1..=3)));
    let any = own.or_else(|| newest_first().find(|uid| says(uid, |_| true)));
    any.or_else(|| recorders.last()).cloned()
}

/// The recorders, the one at work first, then the newest.
fn by_weight(session: &Session) -> Vec<String> {
    let at_work = at_work(session);
    let others = recorders(session).into_iter().rev();
    let others = others.filter(|uid| Some(uid) != at_work.as_ref());
    at_work.iter().cloned().chain(others).collect()
}

/// The newest report of the recorder at work, else of the newest that has one.
fn newest_of_any<T>(session: &Session, says: impl Fn(&Callback) -> Option<T>) -> Option<T> {
    let recorders = by_weight(session);
    recorders
        .iter()
        .find_map(|uid| newest(&own_of(session, uid), &says))
}

/// The newest report of the recorder at work.
fn newest_at_work<T>(session: &Session, says: impl Fn(&Callback) -> Option<T>) -> Option<T> {
    newest(&own_of(session, &at_work(session)?), says)
}

/// The phase of the newest recorder that has one. A recorder that was only announced is starting.
fn phase_of_session(session: &Session) -> Option<String> {
    let announced = |uid: &str| {
        let mut came = session.came();
        came.any(|callback| callback.details.get("newUid").is_some_and(|new| new == uid))
    };
    by_weight(session).iter().find_map(|uid| {
        let starting = announced(uid).then(|| "starting".to_owned());
        newest(&own_of(session, uid), phase).or(starting)
    })
}

fn phase(callback: &Callback) -> Option<String> {
    let phase = match callback.event_type {
        1 | 71 => "failed",
        40 | 42 | 70 => "recording",
        41 if was_killed(callback) => "failed",
        41 => "stopping",
        11 if callback.is_abnormal_exit() => "failed",
        11 => "ended",
        _ => return None,
    };
    Some(phase.to_owned())
}

/// The failure of the recorder at work, unless it was seen at work since.
fn failure(session: &Session) -> Option<String> {
    newest_at_work(session, |callback| match callback.event_type {
        1 | 71 => Some(Some(callback.event_type)),
        11 if callback.is_abnormal_exit() => Some(Some(11)),
        41 if was_killed(callback) => Some(Some(41)),
        40 | 42 | 70 => Some(None),
        _ => None,
    })
    .flatten()
    .map(event_type_words)
}

/// A recorder that leaves by a signal. No other failure of a 41 is played.
fn was_killed(callback: &Callback) -> bool {
    let code = callback.details.get("leaveCode");
    code.is_some_and(|code| *code == 2)
}

fn event_type_words(event_type: u32) -> String {
    format!("event {event_type}")
}

/// The state of the files, by the definition: that of each recorder that recorded something.
pub(super) fn files(session: &Session) -> &'static str {
    let is = |types: &'static [u32]| move |one: &&Callback| types.contains(&one.event_type);
    let uids = recorders(session);
    let has = |uid: &&String, types| own_of(session, uid).iter().any(is(types));
    let long = || {
        let times = || session.came().map(|one| one.sendts);
        times().max().unwrap_or(0) - times().min().unwrap_or(0) >= 600_000
    };
    let any = |types| uids.iter().any(|uid| has(&uid, types));
    // Streams alone promise no file in a short recording.
    let signs: &[u32] = match any(&[4, 30, 31, 32, 33, 42]) || long() {
        true => &[4, 42, 43, 44, 70],
        false => &[4, 42, 70],
    };
    let mut recorded: Vec<_> = uids.iter().filter(|uid| has(uid, signs)).collect();
    if recorded.is_empty() {
        recorded = uids.iter().filter(|uid| has(uid, &[31, 32, 33])).collect();
    }
    let confirmation = |own: &[&Callback]| {
        let report = newest(own, |one| {
            matches!(one.event_type, 31 | 32).then(|| one.clone())
        })?;
        let work = own
            .iter()
            .filter(|one| matches!(one.event_type, 4 | 42 | 43 | 44 | 70));
        let is_newest = work.map(|one| one.sendts).max() <= Some(report.sendts);
        Some((report, is_newest))
    };
    // What another recorder's later upload names counts, too.
    let is_covered = |uid: &str| {
        let own = own_of(session, uid);
        let lists = own.iter().filter(|one| one.event_type == 4);
        let names: Vec<_> = lists
            .filter_map(|one| one.details.get("fileList"))
            .collect();
        uids.iter().filter(|other| *other != uid).any(|other| {
            let Some((report, true)) = confirmation(&own_of(session, other)) else {
                return false;
            };
            let listed = report.details.get("fileList").and_then(Value::as_array);
            let listed: Vec<_> = listed.into_iter().flatten().collect();
            let named = |name: &&Value| {
                listed
                    .iter()
                    .any(|file| file.get("fileName") == Some(*name))
            };
            !names.is_empty() && report.event_type == 31 && names.iter().all(named)
        })
    };
    let states: BTreeSet<_> = recorded
        .iter()
        .map(|uid| match confirmation(&own_of(session, uid)) {
            _ if is_covered(uid) => "confirmed",
            Some((report, _)) if report.details.get("uploadingStatus").is_some() => "stranded",
            Some((report, true)) if report.event_type == 32 => "backup",
            Some((_, true)) => "confirmed",
            Some((_, false)) | None => "unconfirmed",
        })
        .collect();
    let has = |state| states.contains(state);
    match (
        has("confirmed") || has("backup"),
        has("stranded") || has("unconfirmed"),
    ) {
        (true, true) => "partial",
        (true, false) if has("backup") => "backup",
        (true, false) => "confirmed",
        (false, true) if has("stranded") => "stranded",
        (false, true) => "unconfirmed",
        (false, false) => "none",
    }
}

fn number_of(event_type: u32, name: &'static str) -> impl Fn(&Callback) -> Option<String> {
    move |callback| {
        let value = callback.details.get(name)?;
        (callback.event_type == event_type).then(|| value.to_string())
    }
}

pub(super) fn list<T: ToString>(things: impl IntoIterator<Item = T>) -> String {
    let things: Vec<_> = things.into_iter().map(|thing| thing.to_string()).collect();
    if things.is_empty() {
        return "none".to_owned();
    }
    things.join(", ")
}
