//! What the table should say after a plan, by the definition, and where it says something else.
//! Knows nothing of windows, folds or merging: it looks at what came, and that's all.

use super::plan::{Kind, Plan, Session};
use crate::deployment::Deployment;
use crate::outcome::AnyError;
use crate::terminal::say;
use agora_recording_callbacks::alert::AlertKind;
use agora_recording_callbacks::notification::Sid;
use agora_recording_callbacks::record::{AlertState, Record};
use agora_recording_callbacks::session::{RegisterName, Scalar};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often the alerts are looked at again.
const LOOK: Duration = Duration::from_secs(1);
/// Differences that are printed.
const MOST: usize = 20;

/// Compares every session; true if the table says what was sent. Prints what differs. Alerts that
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
                alerts.any(|alert| alert.state == AlertState::Pending)
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
    let silent = plan
        .sessions
        .iter()
        .filter(|session| session.kind == Kind::Silent);
    if let silent @ 1.. = silent.count() {
        say!(
            "Not checked: session_silent for {silent} sessions; the sweeper sends it within a few \
            minutes."
        );
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

/// What the callbacks of a session that came add up to, and what the table makes of them.
fn compare(session: &Session, record: Option<&Record>, kinds: &[AlertKind]) -> Vec<String> {
    let Some(record) = record else {
        let nothing = session.came().next().is_none();
        return if nothing {
            Vec::new()
        } else {
            vec!["the table has nothing of it".to_owned()]
        };
    };
    let mut differences = Vec::new();
    let mut differ = |what: &str, sent: String, stored: String| {
        if sent != stored {
            differences.push(format!(
                "{what}: {sent} by what was sent, {stored} in the table"
            ));
        }
    };
    let none = || "none".to_owned();
    let sent_events: BTreeSet<_> = session
        .came()
        .filter(|callback| callback.event_type != 33)
        .map(|callback| event(callback.sequence, callback.event_type))
        .collect();
    let stored: Vec<_> = record
        .events
        .iter()
        .map(|c| event(c.sequence, c.event_type))
        .collect();
    let stored_events: BTreeSet<_> = stored.iter().cloned().collect();
    differ(
        "events that have no item",
        none(),
        list(sent_events.difference(&stored_events)),
    );
    differ(
        "events never sent",
        none(),
        list(stored_events.difference(&sent_events)),
    );
    differ(
        "events",
        sent_events.len().to_string(),
        stored.len().to_string(),
    );

    let came: BTreeSet<u64> = session.came().map(|callback| callback.sequence).collect();
    let last = came.last().copied();
    let missing: BTreeSet<u64> = (0..last.unwrap_or(0))
        .filter(|sequence| !came.contains(sequence))
        .collect();
    let stored_missing: BTreeSet<u64> = record
        .missing
        .iter()
        .flatten()
        .flat_map(|(from, to)| *from..=*to)
        .collect();
    differ("missing", list(&missing), list(&stored_missing));
    let current = record.watched.session.current();
    let stored_last = current.and_then(|recorder| recorder.ledger.last);
    differ(
        "last number",
        list(last.as_ref()),
        list(stored_last.as_ref()),
    );

    for (what, sent, name, field) in [
        (
            "phase",
            newest(session, phase),
            RegisterName::Phase,
            "phase",
        ),
        (
            "progress",
            newest(session, number_of(33, "progress")),
            RegisterName::Progress,
            "progress",
        ),
        (
            "upload",
            newest(session, upload),
            RegisterName::Upload,
            "eventType",
        ),
        (
            "leaveStatus",
            newest(session, number_of(11, "exitStatus")),
            RegisterName::Exit,
            "leaveStatus",
        ),
        (
            "errorCode",
            newest(session, number_of(1, "errorCode")),
            RegisterName::LastError,
            "errorCode",
        ),
    ] {
        let register = record.watched.session.register(name);
        let stored = register.and_then(|(_, register)| register.fields.get(field));
        let stored = stored.map_or_else(none, |value| match value {
            Scalar::Int(number) => number.to_string(),
            Scalar::Text(text) => text.clone(),
        });
        differ(what, sent.unwrap_or_else(none), stored);
    }

    let sent_alerts: BTreeSet<_> = alerts(session)
        .into_iter()
        .filter(|(kind, _)| kinds.contains(kind))
        .map(|(kind, sequence)| format!("{} of number {sequence}, sent", kind.as_str()))
        .collect();
    let stored_alerts: BTreeSet<_> = record
        .alerts
        .iter()
        .filter(|stored| CALLBACK_ALERTS.contains(&stored.alert.kind))
        .map(|stored| {
            let state = match stored.state {
                AlertState::Sent { .. } => "sent",
                AlertState::Pending => "pending",
                AlertState::Failed => "given up",
            };
            let (kind, sequence) = (stored.alert.kind.as_str(), stored.alert.sequence);
            format!("{kind} of number {sequence}, {state}")
        })
        .collect();
    differ("alerts", list(&sent_alerts), list(&stored_alerts));
    differences
}

/// The alerts that a callback causes, in the sessions that are played. The sweeper may add its own.
const CALLBACK_ALERTS: [AlertKind; 3] = [
    AlertKind::FatalError,
    AlertKind::AbnormalExit,
    AlertKind::BackupOnlyUpload,
];

fn alerts(session: &Session) -> Vec<(AlertKind, u64)> {
    let kind = |event_type| match (event_type, session.kind) {
        (1, _) => Some(AlertKind::FatalError),
        (32, _) => Some(AlertKind::BackupOnlyUpload),
        (11, Kind::Failing) => Some(AlertKind::AbnormalExit),
        _ => None,
    };
    session
        .came()
        .filter_map(|callback| Some((kind(callback.event_type)?, callback.sequence)))
        .collect()
}

/// What the newest callback that says something about it says.
fn newest(session: &Session, says: impl Fn(u32, &Value) -> Option<String>) -> Option<String> {
    session
        .came()
        .filter_map(|callback| {
            Some((
                callback.sequence,
                says(callback.event_type, &callback.details)?,
            ))
        })
        .max_by_key(|(sequence, _)| *sequence)
        .map(|(_, said)| said)
}

fn phase(event_type: u32, details: &Value) -> Option<String> {
    let phase = match event_type {
        1 => "failed",
        40 | 42 => "recording",
        41 => "stopping",
        11 if details["exitStatus"] == 0 => "ended",
        11 => "failed",
        _ => return None,
    };
    Some(phase.to_owned())
}

fn upload(event_type: u32, _: &Value) -> Option<String> {
    matches!(event_type, 30..=32).then(|| event_type.to_string())
}

fn number_of(event_type: u32, name: &'static str) -> impl Fn(u32, &Value) -> Option<String> {
    move |of, details| (of == event_type).then(|| details[name].to_string())
}

fn event(sequence: u64, event_type: u32) -> String {
    format!("number {sequence} (event {event_type})")
}

fn list(things: impl IntoIterator<Item = impl ToString>) -> String {
    let things: Vec<_> = things.into_iter().map(|thing| thing.to_string()).collect();
    if things.is_empty() {
        return "none".to_owned();
    }
    things.join(", ")
}
