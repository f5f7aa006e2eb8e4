//! The watchdog's rules: what it means when nothing comes. Pure: a session as it is stored and the
//! time go in; what to say, and whether it stays watched, come out.
//!
//! | rule | speaks when | takes it back when |
//! | --- | --- | --- |
//! | `session_silent` | no heartbeat (33) has come for too long, the recording isn't over, and no failure that rang explains it | a newer heartbeat has come, or the recording is over |
//! | `upload_unconfirmed` | the recording has been over for too long, files are expected, and nothing confirmed them | something has |
//! | `abnormal_exit` | a signal killed the recorder at work (41), and none took over within two minutes of that, or of the newest announcement of one; else a callback alerts | a newer recorder works |
//! | the notice `Recording Ended` | the recording is over, and nothing has come for two minutes | never; another end is told again |
//! | `backup_only_upload` | a callback alerts, not the watchdog | the same recorder's 31 confirms its files after its 32 |
//!
//! *Over* is a session whose recorder at work has left (41, 71, 72, status 6 to 8 or 20), exited
//! (11), or uploaded (31, 32, 61) after the last sign of work. A fatal error only may end it.
//! *Confirmed* and *expected* are `session`'s words. Times are `sendts`, capped at `updated_at`,
//! which also stands in where there is no `sendts`: a clock that is ahead must not hide a silence.
//!
//! An alert that stands is noted in the session's item, so that it is raised once.
//! Callbacks that are missing are no alarm: event types that aren't subscribed leave holes, too.

use crate::alert::{Alert, AlertKey, AlertKind, KeyPart, MAX_CODE};
use crate::event::{CodeName, EventType, ServiceStatus, TroubleKind, UploadingStatus};
use crate::files::covered;
use crate::hash::short_hash;
use crate::notice::{News, Notice};
use crate::record::{Covered, Ending, Record, Standing, StoredAlert, ToldEnd, Watched};
use crate::session::{Phase, Recorder, Reported, UploadState, Uploads};
use crate::text::clean;
use std::collections::BTreeSet;

/// How long a session that has gone quiet stays watched, in ms. A callback makes it watched again.
pub const PATIENCE_MS: u64 = 24 * 60 * 60 * 1000;
/// How long Agora has to replace a recorder that was killed, in ms: it takes a minute and a half.
const REPLACED_WITHIN_MS: u64 = 2 * 60 * 1000;

/// Quiet time after which a recording that is over has ended, in ms.
const SETTLED_MS: u64 = 2 * 60 * 1000;

/// Work so much later than a failure, in ms, shows that the recording went on.
const OUTLIVED_MS: u64 = 2 * 60 * 1000;

/// Extra patience for a recording's first heartbeat, in ms.
const FIRST_HEARTBEAT_MS: u64 = 3 * 60 * 1000;

/// Which rules are on, and their thresholds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// `session_silent`: how old the last heartbeat may be, in ms; `None` turns the rule off.
    pub silent_ms: Option<u64>,
    /// `upload_unconfirmed`: how long after the end an upload may take, in ms; `None` turns the
    /// rule off.
    pub unconfirmed_ms: Option<u64>,
    /// Whether `backup_only_upload` is sent, and so taken back.
    pub backup: bool,
    /// Whether `abnormal_exit` is sent, and so taken back.
    pub abnormal_exit: bool,
    /// Whether `fatal_error` is sent.
    pub fatal_error: bool,
    /// Whether a recording that failed rings by itself, so that its files aren't waited for.
    pub does_failure_ring: bool,
    /// Whether heartbeats are subscribed: some recording sent one in the last day. Only then a
    /// recording that never sent one is silent.
    pub expects_heartbeats: bool,
    /// Whether programs are told that a recording has ended.
    pub tells_end: bool,
}

impl Rules {
    /// The rules for the alerts of `kinds`.
    #[must_use]
    pub fn new(kinds: &[AlertKind], silent_ms: Option<u64>, unconfirmed_ms: Option<u64>) -> Self {
        let is_on = |kind| kinds.contains(&kind);
        Self {
            silent_ms: silent_ms.filter(|_| is_on(AlertKind::SessionSilent)),
            unconfirmed_ms: unconfirmed_ms.filter(|_| is_on(AlertKind::UploadUnconfirmed)),
            backup: is_on(AlertKind::BackupOnlyUpload),
            abnormal_exit: is_on(AlertKind::AbnormalExit),
            fatal_error: is_on(AlertKind::FatalError),
            does_failure_ring: is_on(AlertKind::FatalError) || is_on(AlertKind::AbnormalExit),
            expects_heartbeats: false,
            tells_end: false,
        }
    }
}

/// The result of a look at a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Alerts to raise now. The same finding always gets the same key.
    pub alerts: Vec<Alert>,
    /// The notice `Recording Ended`, if it is to be sent now.
    pub ended: Option<Notice>,
    /// What stands once that is noted.
    pub standing: Standing,
    /// Whether it may have something to say before another callback comes.
    pub stays_watched: bool,
    /// Whether what it found has to be looked at again, with the whole record.
    pub wants_record: bool,
}

/// A session at the moment that it is looked at.
#[derive(Clone, Copy)]
struct Moment<'a> {
    watched: &'a Watched,
    rules: &'a Rules,
    uploads: &'a Uploads,
    /// Everything that the table holds of it, where that was asked for.
    record: Option<&'a Record>,
    is_silent: bool,
    end: Option<Cause>,
    now_ms: u64,
}

/// The verdict of one rule.
#[derive(Default)]
struct Ruling {
    alerts: Vec<Alert>,
    /// Since when its alert stands, ms since the epoch.
    stands: Option<u64>,
    /// Since when what it would say is explained by an alert of another kind, ms since the epoch.
    explained: Option<u64>,
    /// Whether it may find something later though no callback comes.
    waits: bool,
}

/// The verdict of the rule on ends.
#[derive(Default)]
struct EndRuling {
    notice: Option<Notice>,
    told: Option<ToldEnd>,
    /// Whether it may find something later though no callback comes.
    waits: bool,
}

/// The callback that an alert follows from.
#[derive(Clone, Copy)]
struct Cause {
    sequence: u64,
    event_type: EventType,
    at: u64,
}

/// Looks at a session, as far as its own item tells.
#[must_use]
pub fn look(watched: &Watched, rules: &Rules, now_ms: u64) -> Look {
    look_into(watched, None, rules, now_ms)
}

/// Looks at a session and at everything else that the table holds of it.
#[must_use]
pub fn look_into(watched: &Watched, record: Option<&Record>, rules: &Rules, now_ms: u64) -> Look {
    let session = &watched.session;
    let end = end_of_recording(watched);
    let noted = watched.standing.covered.as_ref();
    let alone = noted.map(|noted| noted.uids.clone()).unwrap_or_default();
    let known = session.uploads(&alone, rules.does_failure_ring);
    // Another recorder's report may name the files of one that confirmed none.
    let is_open = end.is_some()
        && known.state == UploadState::Partial
        && noted.is_none_or(|noted| noted.at != watched.updated_at);
    let found = record.map(|record| Covered {
        at: watched.updated_at,
        uids: covered(session, &record.events),
    });
    let found = found.filter(|_| is_open || noted.is_some());
    let uploads = match &found {
        Some(found) => session.uploads(&found.uids, rules.does_failure_ring),
        None => known,
    };
    let moment = Moment {
        watched,
        rules,
        uploads: &uploads,
        record,
        is_silent: false,
        end,
        now_ms,
    };
    let silence = moment.rule_on_silence();
    let moment = Moment {
        is_silent: silence.stands.is_some(),
        ..moment
    };
    let is_newly_silent = silence.stands.is_some() && watched.standing.silent_since.is_none();
    let (upload, killed) = (moment.rule_on_upload(), moment.rule_on_killed_recorder());
    let end = moment.rule_on_end();
    let mut taken_back = moment.alerts_taken_back();
    let signature = signature(&taken_back);
    let is_news = signature.is_some() && signature != watched.standing.taken_back;
    if let Some(record) = record.filter(|_| is_news) {
        taken_back.extend(moment.more_taken_back(record));
        let has = |key: &AlertKey| record.alerts.iter().any(|stored| stored.alert.key == *key);
        taken_back.retain(|alert| {
            alert.key.resolves().is_some_and(|alarm| has(&alarm)) && !has(&alert.key)
        });
    }
    // A recorder that a signal killed may have said that it failed, too.
    let mut keys: BTreeSet<_> = killed
        .alerts
        .iter()
        .map(|alert| alert.key.clone())
        .collect();
    taken_back.retain(|alert| keys.insert(alert.key.clone()));
    let waits = silence.waits || upload.waits || killed.waits || end.waits;
    let is_on = rules.tells_end || rules.silent_ms.or(rules.unconfirmed_ms).is_some();
    let was_heard_of = watched.updated_at.saturating_add(PATIENCE_MS) > now_ms;
    Look {
        alerts: [silence.alerts, upload.alerts, killed.alerts]
            .into_iter()
            .flatten()
            .chain(taken_back.into_iter().filter(|_| is_news))
            .collect(),
        ended: end.notice,
        standing: Standing {
            silent_since: silence.stands,
            explained_since: silence.explained,
            unconfirmed_since: upload.stands,
            killed_since: killed.stands,
            taken_back: signature,
            covered: found.or_else(|| watched.standing.covered.clone()),
            missing_counted: watched.standing.missing_counted,
            spoke_at: match (watched.standing.silent_since, silence.stands) {
                (Some(since), stands) if stands != Some(since) => Some(now_ms),
                (_, _) => watched.standing.spoke_at,
            },
            told_end: end.told,
        },
        stays_watched: waits || (moment.end.is_none() && was_heard_of && is_on),
        wants_record: record.is_none()
            && (is_open || is_news || (is_newly_silent && moment.fatal().is_some())),
    }
}

/// What tells one set of alerts that are taken back from another.
fn signature(taken_back: &[Alert]) -> Option<u64> {
    let keys: BTreeSet<_> = taken_back.iter().map(|alert| alert.key.as_str()).collect();
    let keys: Vec<_> = keys.into_iter().collect();
    let hash = u64::from_str_radix(&short_hash(keys.join(" ").as_bytes(), 8), 16);
    hash.ok().filter(|_| !keys.is_empty())
}

/// When the recording was over, ms since the epoch; `None` while it isn't.
#[must_use]
pub fn over_since(watched: &Watched) -> Option<u64> {
    end_of_recording(watched).map(|cause| cause.at)
}

impl Moment<'_> {
    /// `session_silent`.
    fn rule_on_silence(&self) -> Ruling {
        let Some(threshold) = self.rules.silent_ms else {
            return Ruling::default();
        };
        let Some((heartbeat, heard_at)) = self.heard() else {
            return Ruling::default();
        };
        // After a resolution the session isn't silent again for one threshold.
        let spoke_at = self.watched.standing.spoke_at.unwrap_or(0);
        let silent_at = heard_at.max(spoke_at).saturating_add(threshold);
        if let Some(since) = self.watched.standing.silent_since {
            let has_spoken = heartbeat.at > since || silent_at > self.now_ms;
            let Some(cause) = self.end.or(has_spoken.then_some(heartbeat)) else {
                return Ruling {
                    stands: Some(since),
                    waits: is_recent(silent_at, self.now_ms),
                    ..Ruling::default()
                };
            };
            let kind = AlertKind::SessionSilentResolved;
            return Ruling {
                alerts: vec![self.silence(kind, since, cause, cause.at)],
                waits: self.end.is_none(),
                ..Ruling::default()
            };
        }
        if self.end.is_some() {
            return Ruling::default();
        }
        if silent_at > self.now_ms {
            return Ruling {
                waits: true,
                ..Ruling::default()
            };
        }
        // A sign of work after the heartbeat makes it another silence than the one before.
        let work = self.current().and_then(Recorder::newest_work);
        let since = work.map_or(heartbeat.at, |work| {
            heartbeat.at.max(work.at.min(self.watched.updated_at))
        });
        let kind = AlertKind::SessionSilent;
        let is_explained = self.watched.standing.explained_since == Some(since)
            || self.record.is_some_and(|record| self.is_explained(record));
        let (alerts, stands, explained) = if is_explained {
            (Vec::new(), None, Some(since))
        } else {
            (
                vec![self.silence(kind, since, heartbeat, silent_at)],
                Some(since),
                None,
            )
        };
        Ruling {
            alerts,
            stands,
            explained,
            waits: is_recent(silent_at, self.now_ms),
        }
    }

    /// The failure of the recorder at work, unless it worked on for a while.
    fn fatal(&self) -> Option<(&Recorder, Reported<EventType>)> {
        let recorder = self.current()?;
        let failure = recorder.failure()?;
        let heard = recorder.progress().map_or(0, |progress| progress.at);
        let worked_at = heard.max(recorder.recorded_at());
        let went_on = worked_at > failure.at.saturating_add(OUTLIVED_MS);
        (!went_on).then_some((recorder, failure))
    }

    /// True where people were told of that failure, or are still to be: they know why nothing
    /// comes.
    fn is_explained(&self, record: &Record) -> bool {
        let Some((recorder, failure)) = self.fatal() else {
            return false;
        };
        let (kind, part, is_on) = match failure.value {
            EventType::CLOUD_RECORDING_ERROR => (
                AlertKind::FatalError,
                KeyPart::ten_minutes(failure.at),
                self.rules.fatal_error,
            ),
            _ => (
                AlertKind::AbnormalExit,
                KeyPart::hour(failure.at),
                self.rules.abnormal_exit,
            ),
        };
        let mut its = record.alerts.iter().filter(|stored| {
            let alert = &stored.alert;
            let value = alert.code(part.name).unwrap_or_default();
            alert.kind == kind && alert.uid == recorder.uid && value == part.value
        });
        let first = its.next();
        // One that isn't there any more was told.
        is_on
            && first.is_none_or(|first| first.tells_people() || its.any(StoredAlert::tells_people))
    }

    /// The newest heartbeat, and since when nothing has come. It counts from its arrival where that
    /// is later than its `sendts`. A recording at work without any, where others send some, counts
    /// as if its first had come late.
    fn heard(&self) -> Option<(Cause, u64)> {
        if let Some(heartbeat) = self.heartbeat() {
            let heard_at = self.watched.heard_at.unwrap_or(0).max(heartbeat.at);
            return Some((heartbeat, heard_at));
        }
        let work = self.current().filter(|_| self.rules.expects_heartbeats);
        let work = self.cause(&work?.sign_of_recording()?, EventType::RECORDER_SLICE_START);
        // A clock that is behind makes no recording silent: the newest callback counts, too.
        let heard_at = work.at.max(self.watched.updated_at);
        Some((work, heard_at.saturating_add(FIRST_HEARTBEAT_MS)))
    }

    fn silence(&self, kind: AlertKind, since: u64, cause: Cause, at: u64) -> Alert {
        let part = KeyPart::new(CodeName::LastHeartbeat, since);
        self.alert(kind, self.current(), &[part], cause, at)
    }

    /// `upload_unconfirmed`.
    fn rule_on_upload(&self) -> Ruling {
        let Some(threshold) = self.rules.unconfirmed_ms else {
            return Ruling::default();
        };
        let uploads = self.uploads;
        let stands = self.watched.standing.unconfirmed_since;
        let confirmation = uploads.reported.as_ref();
        if let Some(upload) = confirmation.filter(|_| uploads.state.is_confirmed()) {
            let kind = AlertKind::UploadUnconfirmedResolved;
            let cause = self.cause(upload, upload.value.event_type);
            let taken_back = stands.map(|since| {
                let mut alert = self.upload(kind, since, cause, cause.at);
                let state = uploads.state.as_str().to_owned();
                alert.codes.insert(CodeName::UploadState, state);
                alert
            });
            return Ruling {
                alerts: taken_back.into_iter().collect(),
                ..Ruling::default()
            };
        }
        if let Some(since) = stands {
            return Ruling {
                stands,
                waits: is_recent(since.saturating_add(threshold), self.now_ms),
                ..Ruling::default()
            };
        }
        let Some(end) = self.end.filter(|_| uploads.are_awaited) else {
            return Ruling::default();
        };
        let late_at = end.at.saturating_add(threshold);
        if late_at > self.now_ms {
            return Ruling {
                waits: true,
                ..Ruling::default()
            };
        }
        let mut alert = self.upload(AlertKind::UploadUnconfirmed, end.at, end, late_at);
        if uploads.state == UploadState::Stranded {
            let state = uploads.state.as_str().to_owned();
            alert.codes.insert(CodeName::UploadState, state);
        }
        if uploads.state == UploadState::Partial {
            let (fine, not) = (uploads.uids(true), uploads.uids(false));
            alert
                .codes
                .insert(CodeName::ConfirmedUids, clean(&fine, MAX_CODE));
            alert
                .codes
                .insert(CodeName::UnconfirmedUids, clean(&not, MAX_CODE));
        }
        let upload = uploads.reported.as_ref().map(|upload| &upload.value);
        if let Some(UploadingStatus::Other(word)) =
            upload.and_then(|upload| upload.uploading_status.as_ref())
        {
            let word = clean(word, MAX_CODE);
            alert.codes.insert(CodeName::UploadingStatus, word);
        }
        let status = upload.and_then(|upload| upload.status);
        if let Some(status) = status.filter(|status| status.is_abnormal()) {
            let status = status.0.to_string();
            alert.codes.insert(CodeName::Status, status);
        }
        Ruling {
            alerts: vec![alert],
            stands: Some(end.at),
            waits: is_recent(late_at, self.now_ms),
            ..Ruling::default()
        }
    }

    fn upload(&self, kind: AlertKind, since: u64, cause: Cause, at: u64) -> Alert {
        let recorder = self.current();
        let parts = [
            KeyPart::recorder(recorder.map_or("", |recorder| &recorder.uid)),
            KeyPart::new(CodeName::OverSince, since),
        ];
        self.alert(kind, recorder, &parts, cause, at)
    }

    /// `abnormal_exit` of a recorder that a signal killed and that no other replaced.
    fn rule_on_killed_recorder(&self) -> Ruling {
        let stands = self.watched.standing.killed_since;
        if !self.rules.abnormal_exit {
            return Ruling::default();
        }
        let recorders = &self.watched.session.recorders;
        let current = self.current().filter(|one| one.failure().is_some());
        let Some((recorder, leave)) = current.and_then(|one| Some((one, one.killed()?))) else {
            let killed = recorders.iter().rev().find(|one| one.killed().is_some());
            let killed = killed.filter(|one| stands.is_some() && self.successor_of(one).is_some());
            let at = killed.and_then(Recorder::killed).map(|leave| leave.at);
            return Ruling {
                stands: stands.filter(|_| killed.is_none()),
                alerts: killed.map_or_else(Vec::new, |one| self.exits_taken_back(one, at)),
                ..Ruling::default()
            };
        };
        let cause = self.cause(&leave, EventType::RECORDER_LEAVE);
        if stands == Some(cause.at) {
            return Ruling {
                stands,
                ..Ruling::default()
            };
        }
        // Who was announced may still come.
        let announced = recorders.iter().filter_map(|one| one.announced_at);
        let announced = announced.max().unwrap_or(0).min(self.watched.updated_at);
        let due_at = cause.at.max(announced).saturating_add(REPLACED_WITHIN_MS);
        if due_at > self.now_ms {
            return Ruling {
                stands,
                waits: true,
                ..Ruling::default()
            };
        }
        let kind = AlertKind::AbnormalExit;
        let parts = [KeyPart::recorder(&recorder.uid), KeyPart::hour(leave.at)];
        let mut alert = self.alert(kind, Some(recorder), &parts, cause, cause.at);
        alert
            .codes
            .insert(CodeName::LeaveCode, leave.value.0.to_string());
        Ruling {
            alerts: vec![alert],
            stands: Some(cause.at),
            waits: is_recent(due_at, self.now_ms),
            ..Ruling::default()
        }
    }

    /// `Recording Ended`: it is over, and nothing has come for a while. Another recorder, or
    /// another outcome, is another end.
    fn rule_on_end(&self) -> EndRuling {
        let told = self.watched.standing.told_end;
        if !self.rules.tells_end {
            return EndRuling {
                told,
                ..EndRuling::default()
            };
        }
        let (Some(end), Some(recorder)) = (self.end, self.current()) else {
            return EndRuling::default();
        };
        let outcome = match recorder.failure() {
            Some(_) => Ending::Failed,
            None => Ending::Normal,
        };
        let this = ToldEnd {
            generation: self.watched.session.generation(),
            outcome,
        };
        if told == Some(this) {
            return EndRuling {
                told,
                ..EndRuling::default()
            };
        }
        let settled_at = self.watched.updated_at.saturating_add(SETTLED_MS);
        if settled_at > self.now_ms {
            return EndRuling {
                told,
                waits: true,
                notice: None,
            };
        }
        let notice = Notice {
            news: News::Ended(outcome),
            sid: self.watched.sid.clone(),
            cname: self.watched.cname.clone(),
            uid: recorder.uid.clone(),
            at: end.at,
        };
        EndRuling {
            notice: Some(notice),
            told: Some(this),
            waits: false,
        }
    }

    /// All resolutions of alerts that callbacks raised.
    fn alerts_taken_back(&self) -> Vec<Alert> {
        let recorders = &self.watched.session.recorders;
        let mut alerts = Vec::new();
        if self.rules.backup {
            alerts.extend(
                recorders
                    .iter()
                    .filter_map(|one| self.backup_taken_back(one, one.backup()?.at)),
            );
        }
        if self.rules.abnormal_exit {
            for recorder in recorders {
                let exits = recorder.abnormal_exits();
                let at = exits.iter().map(|exit| exit.at);
                alerts.extend(self.exits_taken_back(recorder, at));
            }
        }
        alerts
    }

    /// `abnormal_exit` of a recorder whose successor was at work; one for each hour, as they rang.
    fn exits_taken_back(
        &self,
        recorder: &Recorder,
        at: impl IntoIterator<Item = u64>,
    ) -> Vec<Alert> {
        let Some((successor, cause)) = self.successor_of(recorder) else {
            return Vec::new();
        };
        let hours: BTreeSet<KeyPart> = at.into_iter().map(KeyPart::hour).collect();
        let taken_back = hours.into_iter().map(|hour| {
            let parts = [KeyPart::recorder(&recorder.uid), hour];
            let kind = AlertKind::AbnormalExitResolved;
            let mut alert = self.alert(kind, Some(recorder), &parts, cause, cause.at);
            let new_uid = clean(&successor.uid, MAX_CODE);
            alert.codes.insert(CodeName::NewUid, new_uid);
            alert
        });
        taken_back.collect()
    }

    /// The recorder at work where it took over from `recorder` and hasn't failed or gone silent
    /// itself; what says so.
    fn successor_of(&self, recorder: &Recorder) -> Option<(&Recorder, Cause)> {
        let newest_first = self.watched.session.recorders.iter().rev();
        let mut after = newest_first.take_while(|one| one.uid != recorder.uid);
        let current = self.current()?;
        let successor = after.find(|one| one.uid == current.uid && one.has_worked())?;
        if successor.failure().is_some() || self.is_silent {
            return None;
        }
        // An orderly end says that it took over, too.
        let work = successor
            .work()
            .map(|work| self.cause(&work, work.value.event_type()));
        let uploading = successor
            .progress()
            .map(|progress| self.cause(&progress, EventType::UPLOADING_PROGRESS));
        let slice = successor
            .newest_work()
            .map(|work| self.cause(&work, EventType::RECORDER_SLICE_START));
        Some((successor, self.end.or(work).or(uploading).or(slice)?))
    }

    /// Those that only the whole record tells of: exits by a signal, and each of several backups.
    fn more_taken_back(&self, record: &Record) -> Vec<Alert> {
        let recorders = || self.watched.session.recorders.iter();
        let mut more = Vec::new();
        if self.rules.abnormal_exit {
            for recorder in recorders() {
                let at = recorder.killed().map(|leave| leave.at);
                more.extend(self.exits_taken_back(recorder, at));
            }
        }
        for callback in record.events.iter().filter(|_| self.rules.backup) {
            let event = callback.event();
            let trouble = callback.meaning(&event).trouble;
            if trouble.is_some_and(|trouble| trouble.kind == TroubleKind::BackupOnlyUpload)
                && let Some(recorder) = recorders().find(|one| one.uid == callback.uid)
            {
                more.extend(self.backup_taken_back(recorder, callback.sendts));
            }
        }
        more
    }

    /// `backup_only_upload` of `at`, taken back: files of a recorder are confirmed after its 32.
    fn backup_taken_back(&self, recorder: &Recorder, at: u64) -> Option<Alert> {
        let (backup, upload) = (recorder.backup()?, recorder.upload()?);
        let is_newer = upload.moment() > backup.moment();
        let is_confirmed = upload.value.state() == UploadState::Confirmed;
        (is_confirmed && is_newer).then(|| {
            let cause = self.cause(&upload, upload.value.event_type);
            let parts = [
                KeyPart::recorder(&recorder.uid),
                KeyPart::hour(at),
                KeyPart::stage(crate::event::Part::Recording),
            ];
            let kind = AlertKind::BackupOnlyUploadResolved;
            let mut alert = self.alert(kind, Some(recorder), &parts, cause, cause.at);
            alert.codes.insert(CodeName::BackedUpAt, at.to_string());
            alert
        })
    }

    fn current(&self) -> Option<&Recorder> {
        self.watched.session.current()
    }

    /// The newest heartbeat. One of a recorder that has been replaced counts as if it had come when
    /// the new one began.
    fn heartbeat(&self) -> Option<Cause> {
        let current = self.current()?;
        let heartbeat = self.watched.session.progress()?;
        let mut cause = self.cause(&heartbeat, EventType::UPLOADING_PROGRESS);
        if current.progress().is_none()
            && let Some(began) = current.announced_at.or(current.since)
        {
            cause.at = cause.at.max(began.min(self.watched.updated_at));
        }
        Some(cause)
    }

    fn cause<T>(&self, reported: &Reported<T>, event_type: EventType) -> Cause {
        cause(self.watched, reported, event_type)
    }

    fn alert(
        &self,
        kind: AlertKind,
        recorder: Option<&Recorder>,
        parts: &[KeyPart],
        cause: Cause,
        at: u64,
    ) -> Alert {
        let codes = parts.iter().filter(|part| !part.value.is_empty());
        Alert {
            kind,
            key: AlertKey::new(kind, parts),
            sid: self.watched.sid.to_string(),
            cname: self.watched.cname.clone(),
            uid: recorder.map_or_else(String::new, |recorder| recorder.uid.clone()),
            sequence: cause.sequence,
            event_type: cause.event_type.0,
            at,
            codes: codes
                .map(|part| {
                    let value = clean(&part.value, MAX_CODE);
                    (part.name, value)
                })
                .collect(),
        }
    }
}

/// Whether an alert that stands since `since` keeps its session watched.
fn is_recent(since: u64, now_ms: u64) -> bool {
    now_ms.saturating_sub(since) < PATIENCE_MS
}

/// What ended the recording, the earliest if several did; `None` while it isn't over.
fn end_of_recording(watched: &Watched) -> Option<Cause> {
    let recorder = watched.session.current()?;
    let exit = recorder
        .exit()
        .map(|exit| cause(watched, &exit, EventType::SESSION_EXIT));
    let left = recorder
        .work()
        .filter(|work| work.value.is_over())
        .map(|work| cause(watched, &work, work.value.event_type()));
    let stopped = recorder
        .status()
        .filter(|status| is_stopped(status.value))
        .map(|status| cause(watched, &status, EventType::CLOUD_RECORDING_STATUS_UPDATE));
    let work = recorder.newest_work();
    let uploaded = recorder
        .upload()
        .filter(|upload| upload.value.is_over())
        .filter(|upload| work.is_none_or(|work| upload.moment() > work.moment()))
        .map(|upload| cause(watched, &upload, upload.value.event_type));
    // A recorder that was seen at work later hasn't left, whatever an earlier callback said.
    let is_at_work = recorder
        .phase()
        .is_some_and(|phase| matches!(phase.value, Phase::Starting | Phase::Recording));
    let ends = if exit.is_none() && is_at_work {
        [None, None, None, uploaded]
    } else {
        [exit, left, stopped, uploaded]
    };
    ends.into_iter().flatten().min_by_key(|cause| cause.at)
}

fn is_stopped(status: ServiceStatus) -> bool {
    matches!(
        status,
        ServiceStatus::STOPPED
            | ServiceStatus::SERVICE_STOPPED
            | ServiceStatus::READY_TO_EXIT
            | ServiceStatus::ABNORMAL_EXIT
    )
}

fn cause<T>(watched: &Watched, reported: &Reported<T>, event_type: EventType) -> Cause {
    let at = match reported.at {
        0 => watched.updated_at,
        at => at.min(watched.updated_at),
    };
    Cause {
        sequence: reported.sequence,
        event_type,
        at,
    }
}

#[cfg(test)]
mod tests;
