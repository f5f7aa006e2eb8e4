//! The watchdog's rules: what it means when nothing comes. Pure: a session as it is stored and the time go in; what to say and
//! when to look again come out.
//!
//! | rule | speaks when | takes it back when |
//! | --- | --- | --- |
//! | `session_silent` | heartbeats (33) were seen and the last one is too old, and the recording isn't over | a newer heartbeat has come, or the recording is over |
//! | `upload_unconfirmed` | the recording has been over for too long, and the recorder at work reported neither 31 nor 32 | it has |
//! | `backup_only_upload` | a callback alerts, not the watchdog | 31 has come after 32 |
//!
//! *Over* is a session whose recorder at work has left (41, 71, 72, status 6 to 8 or 20) or exited (11). A fatal error only may
//! end it. Times are `sendts`, but never later than when we were told, and that where there is none: a clock that is ahead must
//! not hide a silence.
//!
//! What was said and not taken back stands in the session's item, so that it is said once. Callbacks that are missing are no
//! alarm: event types that aren't subscribed leave holes, too.

use crate::alert::{Alert, AlertKey, AlertKind, KeyPart, code};
use crate::event::{EventType, ServiceStatus};
use crate::session::{Phase, Recorder, Register, RegisterName, Scalar, Session};
use std::collections::BTreeMap;

/// How often a recording that sends no heartbeats is looked at, and how soon a new one, in ms.
pub const LOOK_MS: u64 = 5 * 60 * 1000;
/// For how long a session of which nothing comes is looked at, in ms. A callback makes it be looked at again.
pub const PATIENCE_MS: u64 = 24 * 60 * 60 * 1000;
/// An alert that stands is looked at again after a quarter of the time it has stood, within these bounds, in ms.
const STANDING_LOOK_MS: std::ops::RangeInclusive<u64> = 60_000..=60 * 60 * 1000;

/// Which rules are on, and their thresholds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// `session_silent`: how old the last heartbeat may be, in ms; `None` turns the rule off.
    pub silent_ms: Option<u64>,
    /// `upload_unconfirmed`: how long after the end an upload may take, in ms; `None` turns the rule off.
    pub unconfirmed_ms: Option<u64>,
    /// Whether `backup_only_upload` is sent, and so taken back.
    pub backup: bool,
}

impl Rules {
    /// How soon a new session is looked at first, in ms.
    #[must_use]
    pub fn first_look_ms(&self) -> u64 {
        let rules = [self.silent_ms, self.unconfirmed_ms];
        rules.into_iter().flatten().fold(LOOK_MS, u64::min)
    }
}

/// A session as the watchdog sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// The recording.
    pub sid: String,
    /// The channel.
    pub cname: String,
    /// What came.
    pub session: Session,
    /// When a callback was last written into it, ms since the epoch.
    pub updated_at: u64,
    /// What was said and not taken back.
    pub standing: Standing,
}

/// What the watchdog has said about a session and not taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// `session_silent`: the heartbeat after which nothing came, ms since the epoch.
    pub silent_since: Option<u64>,
    /// `upload_unconfirmed`: the end after which no upload was reported, ms since the epoch.
    pub unconfirmed_since: Option<u64>,
}

/// What a look came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// What has to be said now. The items of these alerts have keys that only the same finding has.
    pub alerts: Vec<Alert>,
    /// What stands when that is said.
    pub standing: Standing,
    /// When to look again, ms since the epoch; `None`: not until a callback comes.
    pub next: Option<u64>,
}

/// Something that a callback said.
#[derive(Clone, Copy)]
struct Said {
    sequence: u64,
    event_type: u32,
    at: u64,
}

/// Looks at a session.
#[must_use]
pub fn look(watched: &Watched, rules: &Rules, now_ms: u64) -> Look {
    let over = over(watched);
    let mut alerts = Vec::new();
    let mut due = Vec::new();
    let standing = Standing {
        silent_since: silence(watched, rules, now_ms, over, &mut alerts, &mut due),
        unconfirmed_since: confirmation(watched, rules, now_ms, over, &mut alerts, &mut due),
    };
    alerts.extend(rules.backup.then(|| backup_taken_back(watched)).flatten());

    let is_on = rules.silent_ms.or(rules.unconfirmed_ms).is_some();
    let heard_of = watched.updated_at.saturating_add(PATIENCE_MS) > now_ms;
    if over.is_none() && due.is_empty() && heard_of && is_on {
        due.push(now_ms + LOOK_MS);
    }
    Look {
        alerts,
        standing,
        next: due.into_iter().min(),
    }
}

/// `session_silent`; returns what stands.
fn silence(
    watched: &Watched,
    rules: &Rules,
    now_ms: u64,
    over: Option<Said>,
    alerts: &mut Vec<Alert>,
    due: &mut Vec<u64>,
) -> Option<u64> {
    let (threshold, heartbeat) = (rules.silent_ms?, heartbeat(watched)?);
    let mut stands = watched.standing.silent_since;
    if let Some(since) = stands
        && let Some(said) = over.or((heartbeat.at > since).then_some(heartbeat))
    {
        let kind = AlertKind::SessionSilentResolved;
        alerts.push(alert(
            watched,
            kind,
            said,
            said.at,
            (code::LAST_HEARTBEAT, since),
        ));
        stands = None;
    }
    if over.is_some() {
        return stands;
    }
    let silent_at = heartbeat.at.saturating_add(threshold);
    if stands.is_none() && silent_at <= now_ms {
        let kind = AlertKind::SessionSilent;
        let since = (code::LAST_HEARTBEAT, heartbeat.at);
        alerts.push(alert(watched, kind, heartbeat, silent_at, since));
        stands = Some(heartbeat.at);
    }
    match stands {
        Some(_) => due.extend(look_again(silent_at, now_ms)),
        None => due.push(silent_at),
    }
    stands
}

/// `upload_unconfirmed`; returns what stands.
fn confirmation(
    watched: &Watched,
    rules: &Rules,
    now_ms: u64,
    over: Option<Said>,
    alerts: &mut Vec<Alert>,
    due: &mut Vec<u64>,
) -> Option<u64> {
    let threshold = rules.unconfirmed_ms?;
    let stands = watched.standing.unconfirmed_since;
    match (confirmation_of(watched), stands) {
        (Some(said), Some(since)) => {
            let kind = AlertKind::UploadUnconfirmedResolved;
            alerts.push(alert(
                watched,
                kind,
                said,
                said.at,
                (code::OVER_SINCE, since),
            ));
            None
        }
        (Some(_), None) => None,
        (None, Some(since)) => {
            due.extend(look_again(since.saturating_add(threshold), now_ms));
            stands
        }
        (None, None) => {
            let over = over?;
            let late_at = over.at.saturating_add(threshold);
            if late_at > now_ms {
                due.push(late_at);
                return None;
            }
            let kind = AlertKind::UploadUnconfirmed;
            alerts.push(alert(
                watched,
                kind,
                over,
                late_at,
                (code::OVER_SINCE, over.at),
            ));
            due.extend(look_again(late_at, now_ms));
            Some(over.at)
        }
    }
}

/// When to look again at a session with an alert that stands since `since`: promptly at first, for a day.
fn look_again(since: u64, now_ms: u64) -> Option<u64> {
    let stood = now_ms.saturating_sub(since);
    let pause = (stood / 4).clamp(*STANDING_LOOK_MS.start(), *STANDING_LOOK_MS.end());
    (stood < PATIENCE_MS).then_some(now_ms + pause)
}

/// The newest heartbeat. One of a recorder that has been replaced counts as if it had come when the new one began.
fn heartbeat(watched: &Watched) -> Option<Said> {
    let (index, register) = watched.session.register(RegisterName::Progress)?;
    let mut said = said(watched, register, EventType::UPLOADING_PROGRESS.0);
    let current = watched.session.current()?;
    if index + 1 < watched.session.recorders.len()
        && let Some(began) = current.announced_at.or(current.since)
    {
        said.at = said.at.max(began.min(watched.updated_at));
    }
    Some(said)
}

/// When the recording was over, ms since the epoch; `None` while it isn't.
#[must_use]
pub fn over_since(watched: &Watched) -> Option<u64> {
    over(watched).map(|said| said.at)
}

/// What ended the recording, the earliest if several did; `None` while it isn't over.
fn over(watched: &Watched) -> Option<Said> {
    let recorder = watched.session.current()?;
    let exit = register(recorder, RegisterName::Exit).map(|exit| (exit, EventType::SESSION_EXIT.0));
    let left = register(recorder, RegisterName::Recorder).and_then(|register| {
        let event_type = u32::try_from(int(register, "eventType")?).ok()?;
        matches!(event_type, 41 | 71 | 72).then_some((register, event_type))
    });
    let stopped = register(recorder, RegisterName::Status)
        .filter(|register| {
            matches!(
                int(register, "status").map(ServiceStatus),
                Some(
                    ServiceStatus::STOPPED
                        | ServiceStatus::SERVICE_STOPPED
                        | ServiceStatus::READY_TO_EXIT
                        | ServiceStatus::ABNORMAL_EXIT
                )
            )
        })
        .map(|register| (register, EventType::CLOUD_RECORDING_STATUS_UPDATE.0));
    // A recorder that was seen at work later hasn't left, whatever an earlier callback said.
    let works = recorder
        .registers
        .get(&RegisterName::Phase)
        .is_some_and(|phase| {
            [Phase::Starting, Phase::Recording].iter().any(|at_work| {
                phase.fields.get("phase") == Some(&Scalar::Text(at_work.as_str().to_owned()))
            })
        });
    if exit.is_none() && works {
        return None;
    }
    [exit, left, stopped]
        .into_iter()
        .flatten()
        .map(|(register, event_type)| said(watched, register, event_type))
        .min_by_key(|said| said.at)
}

/// What said that the files of the recorder at work are uploaded or backed up.
fn confirmation_of(watched: &Watched) -> Option<Said> {
    let upload = register(watched.session.current()?, RegisterName::Upload)?;
    let event_type = u32::try_from(int(upload, "eventType")?).ok()?;
    [EventType::UPLOADED.0, EventType::BACKUPED.0]
        .contains(&event_type)
        .then(|| said(watched, upload, event_type))
}

/// `backup_only_upload`, taken back: a recorder's 31 is newer than its 32.
fn backup_taken_back(watched: &Watched) -> Option<Alert> {
    watched.session.recorders.iter().find_map(|recorder| {
        let backup = register(recorder, RegisterName::Backup)?;
        let upload = register(recorder, RegisterName::Upload)?;
        let is_uploaded = int(upload, "eventType") == Some(i64::from(EventType::UPLOADED.0));
        let is_newer = (upload.sequence, upload.at) > (backup.sequence, backup.at);
        (is_uploaded && is_newer).then(|| {
            let said = said(watched, upload, EventType::UPLOADED.0);
            let since = (code::BACKED_UP_AT, backup.at);
            alert(
                watched,
                AlertKind::BackupOnlyUploadResolved,
                said,
                said.at,
                since,
            )
        })
    })
}

fn register(recorder: &Recorder, name: RegisterName) -> Option<&Register> {
    recorder.registers.get(&name)
}

fn int(register: &Register, field: &str) -> Option<i64> {
    match register.fields.get(field)? {
        Scalar::Int(int) => Some(*int),
        Scalar::Text(_) => None,
    }
}

fn said(watched: &Watched, register: &Register, event_type: u32) -> Said {
    let at = match register.at {
        0 => watched.updated_at,
        at => at.min(watched.updated_at),
    };
    Said {
        sequence: register.sequence,
        event_type,
        at,
    }
}

fn alert(
    watched: &Watched,
    kind: AlertKind,
    said: Said,
    at: u64,
    (name, time): (&str, u64),
) -> Alert {
    let uid = watched
        .session
        .current()
        .map(|recorder| recorder.uid.clone());
    Alert {
        kind,
        key: AlertKey::new(kind, &[KeyPart::new("at", at)]),
        sid: watched.sid.clone(),
        cname: watched.cname.clone(),
        uid: uid.unwrap_or_default(),
        sequence: said.sequence,
        event_type: said.event_type,
        at,
        codes: BTreeMap::from([(name.to_owned(), time.to_string())]),
    }
}

#[cfg(test)]
mod tests;
