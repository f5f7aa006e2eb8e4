//! Which callbacks a rehearsal sends, when, and which it loses: a function of its options and a
//! seed. Pure.

use clap::ValueEnum;
use fastrand::Rng;
use serde_json::{Value, json};

/// A heartbeat a minute, as Agora sends them, in ms.
const HEARTBEAT_MS: u64 = 60_000;
/// The time after a recording's end within which all its callbacks have come, in ms.
const AFTER_MS: u64 = 15_000;

/// How a session goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Kind {
    /// One mixed recording that ends as it should
    Normal,
    /// A file for every stream (`--streams`); ends as it should
    Individual,
    /// A fatal error, then an abnormal exit: two alerts
    Failing,
    /// The files only reach Agora's backup: one alert
    BackupOnly,
    /// Heartbeats stop half-way, and nothing says why: the sweeper alerts
    Silent,
    /// A web page never loads; its orderly end heals nothing: one alert
    WebFailing,
    /// Files are stranded at Agora: green nowhere, and the sweeper alerts after its time
    Stranded,
    /// One user's file is missing from the postponed transcoding: one alert
    TranscodingFailed,
    /// A recorder dies and another takes over: one alert, which the sweeper takes back
    Failover,
    /// A recorder is killed and another takes over; nobody confirms the first one's files: the
    /// sweeper alerts after its time
    KilledAndReplaced,
    /// A recorder is killed, and the one that is announced never comes: the sweeper alerts
    AnnouncedAndNeverCame,
    /// An upload is reported, recording goes on, and nothing more is: the sweeper alerts after its
    /// time
    ConfirmedEarly,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Individual => "individual",
            Self::Failing => "failing",
            Self::BackupOnly => "backup-only",
            Self::Silent => "silent",
            Self::WebFailing => "web-failing",
            Self::Stranded => "stranded",
            Self::TranscodingFailed => "transcoding-failed",
            Self::Failover => "failover",
            Self::KilledAndReplaced => "killed-and-replaced",
            Self::AnnouncedAndNeverCame => "announced-and-never-came",
            Self::ConfirmedEarly => "confirmed-early",
        }
    }
}

/// What is rehearsed.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) sessions: usize,
    /// Taken in turn.
    pub(crate) kinds: Vec<Kind>,
    /// Streams of an individual session.
    pub(crate) streams: u32,
    /// How long a recording lasts, in minutes.
    pub(crate) minutes: u64,
    /// How much faster than that it is played.
    pub(crate) speed: f64,
    /// The part of the callbacks that never comes, 0 to 1.
    pub(crate) loss: f64,
    /// Every callback comes twice.
    pub(crate) double: bool,
    /// How late a callback may be, in ms of playing.
    pub(crate) shuffle_ms: u64,
    pub(crate) seed: u64,
    pub(crate) channel: String,
    /// When the playing begins, ms since the epoch.
    pub(crate) started_ms: u64,
}

/// One callback.
#[derive(Clone, Debug)]
pub(crate) struct Callback {
    /// The recorder.
    pub(crate) uid: String,
    /// Each recorder counts from 0.
    pub(crate) sequence: u64,
    /// Ms since the epoch.
    pub(crate) sendts: u64,
    pub(crate) event_type: u32,
    /// `serviceScene`, where it isn't the recording's own.
    pub(crate) scene: Option<&'static str>,
    pub(crate) details: Value,
    /// Whether it comes at all.
    pub(crate) is_lost: bool,
}

/// One recording.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) kind: Kind,
    pub(crate) sid: String,
    pub(crate) cname: String,
    /// The recorder; the first one, if another takes over.
    pub(crate) uid: String,
    /// In the order of time.
    pub(crate) callbacks: Vec<Callback>,
}

/// One copy of a callback.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery {
    /// When it is sent, ms after the start.
    pub(crate) after_ms: u64,
    pub(crate) session: usize,
    pub(crate) callback: usize,
}

/// Everything that is sent, and what isn't.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) sessions: Vec<Session>,
    /// By time.
    pub(crate) deliveries: Vec<Delivery>,
}

impl Plan {
    /// Sessions begin spread over a tenth of their length, so that they are at different points.
    /// Their `sendts` are those of recordings that end when the playing ends, whatever its speed:
    /// nothing lies in the future, and the last is news.
    pub(crate) fn of(shape: &Shape) -> Self {
        // A seed plays the same again, in other sessions.
        let (mut rng, mut sids) = (
            Rng::with_seed(shape.seed),
            Rng::with_seed(shape.seed ^ shape.started_ms),
        );
        let length_ms = shape.minutes * HEARTBEAT_MS;
        let all_ms = length_ms + length_ms / 10 + AFTER_MS;
        let ago = all_ms.saturating_sub(after(all_ms, shape.speed));
        let mut plan = Self {
            sessions: Vec::with_capacity(shape.sessions),
            deliveries: Vec::new(),
        };
        for index in 0..shape.sessions {
            let kind = shape
                .kinds
                .get(index % shape.kinds.len().max(1))
                .copied()
                .unwrap_or(Kind::Normal);
            let delay_ms = rng.u64(..=length_ms / 10);
            let began = shape.started_ms.saturating_sub(ago) + delay_ms;
            let mut session = Session {
                kind,
                sid: format!("{:032x}", sids.u128(..)),
                cname: format!("{}-{index}", shape.channel),
                uid: rng.u32(100_000..999_999).to_string(),
                callbacks: Vec::new(),
            };
            session.callbacks = callbacks(&session, shape, began, &mut rng);
            for (number, callback) in session.callbacks.iter_mut().enumerate() {
                callback.is_lost = rng.f64() < shape.loss;
                if callback.is_lost {
                    continue;
                }
                let at = callback.sendts - began + delay_ms;
                let played = after(at, shape.speed);
                for _ in 0..1 + u8::from(shape.double) {
                    plan.deliveries.push(Delivery {
                        after_ms: played + rng.u64(..=shape.shuffle_ms),
                        session: index,
                        callback: number,
                    });
                }
            }
            plan.sessions.push(session);
        }
        plan.deliveries.sort_by_key(|delivery| delivery.after_ms);
        plan
    }
}

impl Plan {
    pub(crate) fn callbacks(&self) -> impl Iterator<Item = &Callback> {
        self.sessions.iter().flat_map(|session| &session.callbacks)
    }

    /// What a person should receive, in words.
    pub(crate) fn alerts_to_look_for(&self) -> Vec<String> {
        let alerts = self.alerts().into_iter();
        alerts
            .map(|(count, what)| format!("{count} × {what}"))
            .collect()
    }

    /// How many alerts of each kind should arrive.
    pub(crate) fn alerts(&self) -> Vec<(usize, &'static str)> {
        let came = |event_type| {
            self.sessions.iter().filter(move |session| {
                session
                    .came()
                    .any(|callback| callback.event_type == event_type)
            })
        };
        let of = |kinds: &'static [Kind]| {
            let sessions = self.sessions.iter();
            sessions.filter(move |session| kinds.contains(&session.kind))
        };
        let exits = of(&[Kind::Failing, Kind::Failover])
            .filter(|session| session.came().any(Callback::is_abnormal_exit))
            .count();
        let pages = of(&[Kind::WebFailing])
            .filter(|session| session.came().any(|callback| callback.event_type == 71))
            .count();
        [
            (came(1).count(), "fatal_error, at once"),
            (exits + pages, "abnormal_exit, at once"),
            (came(32).count(), "backup_only_upload, at once"),
            (came(81).count(), "transcoding_failed, at once"),
            (
                of(&[Kind::Silent]).count(),
                "session_silent, once the sweeper has looked: within a few minutes",
            ),
            (
                of(&[
                    Kind::Stranded,
                    Kind::KilledAndReplaced,
                    Kind::ConfirmedEarly,
                ])
                .count(),
                "upload_unconfirmed, once the sweeper has waited for the files",
            ),
            (
                of(&[Kind::AnnouncedAndNeverCame]).count(),
                "abnormal_exit, once the sweeper has waited two minutes",
            ),
            (
                of(&[Kind::Failover]).count(),
                "abnormal_exit_resolved, once the sweeper has looked: within a few minutes",
            ),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .collect()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "ms of a few days, and a speed above 0"
)]
fn after(ms: u64, speed: f64) -> u64 {
    (ms as f64 / speed) as u64
}

impl Callback {
    /// An 11 that says so.
    pub(crate) fn is_abnormal_exit(&self) -> bool {
        let status = self.details.get("exitStatus");
        self.event_type == 11 && status.is_some_and(|status| *status != 0)
    }
}

/// The callbacks of a session as Agora sends them, numbered.
fn callbacks(session: &Session, shape: &Shape, began: u64, rng: &mut Rng) -> Vec<Callback> {
    let end = shape.minutes * HEARTBEAT_MS;
    let second_uid = rng.u32(1_000_000..9_999_999).to_string();
    let mut scheduled = match session.kind {
        Kind::WebFailing => web_page(end),
        Kind::Failover | Kind::KilledAndReplaced | Kind::AnnouncedAndNeverCame => {
            failover(session, shape, began, &second_uid)
        }
        _ => opening(session, shape, began, 0),
    };
    scheduled.extend(heartbeats(session.kind, shape, rng));
    if rng.u8(..4) == 0 {
        scheduled.push(at(end / 3, 2, json!({"module": 1, "warnCode": 31})));
    }
    scheduled.extend(ending(session, end));
    scheduled.sort_by_key(|scheduled| scheduled.at);
    let mut numbers = [0, 0];
    let number = |scheduled: Scheduled| {
        let (uid, number) = match (scheduled.is_second, &mut numbers) {
            (false, [first, _]) => (&session.uid, first),
            (true, [_, second]) => (&second_uid, second),
        };
        *number += 1;
        Callback {
            uid: uid.clone(),
            sequence: *number - 1,
            sendts: began + scheduled.at + rng.u64(..500),
            event_type: scheduled.event_type,
            scene: scheduled.scene,
            details: scheduled.details,
            is_lost: false,
        }
    };
    scheduled.into_iter().map(number).collect()
}

/// A callback to be.
struct Scheduled {
    /// In ms after the beginning.
    at: u64,
    /// Whether the recorder that took over sends it.
    is_second: bool,
    event_type: u32,
    scene: Option<&'static str>,
    details: Value,
}

impl Scheduled {
    fn by_second(self) -> Self {
        Self {
            is_second: true,
            ..self
        }
    }

    fn in_scene(self, scene: &'static str) -> Self {
        Self {
            scene: Some(scene),
            ..self
        }
    }
}

fn at(at: u64, event_type: u32, details: Value) -> Scheduled {
    Scheduled {
        at,
        is_second: false,
        event_type,
        scene: None,
        details,
    }
}

/// When the first recorder of a failover dies, in ms.
fn dies_at(shape: &Shape) -> u64 {
    shape.minutes * HEARTBEAT_MS / 2
}

fn heartbeats(kind: Kind, shape: &Shape, rng: &mut Rng) -> Vec<Scheduled> {
    let end = shape.minutes * HEARTBEAT_MS;
    let ends = match kind {
        Kind::Silent | Kind::AnnouncedAndNeverCame => end / 2 + 1,
        // A page that never loads is never recorded.
        Kind::WebFailing => 0,
        _ => end,
    };
    let mut progress = 2_000;
    let beats = (1..=shape.minutes).map(|beat| beat * HEARTBEAT_MS);
    beats
        .take_while(|beat| *beat < ends)
        .map(|beat| {
            progress += rng.u64(..(9_500 - progress).max(2) / 2);
            let heartbeat = at(beat, 33, json!({"progress": progress}));
            match kind {
                Kind::Failover | Kind::KilledAndReplaced if beat > dies_at(shape) => {
                    heartbeat.by_second()
                }
                _ => heartbeat,
            }
        })
        .collect()
}

/// A playlist; `prefix` is that of a recorder that took over.
fn file(session: &Session, prefix: &str, stream: Option<u32>) -> String {
    let stream = stream.map_or_else(String::new, |uid| format!("__uid_s_{uid}__uid_e_audio"));
    format!("{prefix}{}_{}{stream}.m3u8", session.sid, session.cname)
}

fn streams(session: &Session, shape: &Shape) -> Vec<Option<u32>> {
    match session.kind {
        Kind::Individual => (1..=shape.streams).map(|n| Some(10_000 + n)).collect(),
        _ => vec![None],
    }
}

/// How a recorder begins, `from` ms after the beginning.
fn opening(session: &Session, shape: &Shape, began: u64, from: u64) -> Vec<Scheduled> {
    let prefix = if from > 0 { "bak0_" } else { "" };
    let mut scheduled = vec![
        at(from, 30, json!({"status": 0})),
        at(from + 1_000, 40, json!({"status": 0})),
    ];
    let window = (shape.minutes * HEARTBEAT_MS / 2).max(10_000);
    for (n, stream) in (0_u64..).zip(streams(session, shape)) {
        let begins = from + 2_000 + (n * 3_000) % window;
        let uid = stream.unwrap_or(0).to_string();
        let track = if stream.is_none() {
            "audio_and_video"
        } else {
            "audio"
        };
        let slice = json!({
            "startUtcMs": began + begins, "discontinueUtcMs": began + begins,
            "mixedAllUser": stream.is_none(), "streamUid": uid, "trackType": track,
        });
        let state = json!({"streamUid": uid, "state": 0, "utcMs": began + begins});
        scheduled.extend([
            at(begins, 42, slice),
            at(begins + 600, 43, state.clone()),
            at(begins + 1_200, 44, state),
            at(
                begins + 9_000,
                4,
                json!({"fileList": file(session, prefix, stream)}),
            ),
        ]);
    }
    scheduled
}

/// The recorder of a web page that never loads.
fn web_page(end: u64) -> Vec<Scheduled> {
    let reload = || json!({"reason": "page_load_timeout"});
    vec![
        at(0, 70, json!({"recorderStartTime": 0})).in_scene("web_record"),
        at(end / 3, 73, reload()).in_scene("web_record"),
        at(end * 2 / 3, 73, reload()).in_scene("web_record"),
    ]
}

/// A recorder that dies, and the one that takes over.
fn failover(session: &Session, shape: &Shape, began: u64, second_uid: &str) -> Vec<Scheduled> {
    let died = dies_at(shape);
    let mut scheduled = opening(session, shape, began, 0);
    scheduled.push(match session.kind {
        Kind::Failover => at(died + 1_000, 11, json!({"exitStatus": 1})),
        _ => at(died + 1_000, 41, json!({"leaveCode": 2})),
    });
    scheduled.push(at(died + 2_000, 12, json!({"newUid": second_uid})));
    if session.kind == Kind::AnnouncedAndNeverCame {
        return scheduled;
    }
    let second = opening(session, shape, began, died + 3_000);
    scheduled.extend(second.into_iter().map(Scheduled::by_second));
    scheduled
}

fn ending(session: &Session, end: u64) -> Vec<Scheduled> {
    let prefix = match session.kind {
        Kind::Failover | Kind::KilledAndReplaced => "bak0_",
        _ => "",
    };
    let uploaded = json!([{
        "fileName": file(session, prefix, None), "trackType": "audio_and_video", "uid": "0",
        "mixedAllUser": true, "isPlayable": true, "sliceStartTime": 1,
    }]);
    let properly = |event_type, upload| {
        vec![
            at(end, 41, json!({"leaveCode": 24})),
            at(end + 9_000, 33, json!({"progress": 10_000})),
            at(end + 10_000, event_type, upload),
            at(end + 11_000, 11, json!({"exitStatus": 0})),
        ]
    };
    let all = json!({"status": 0, "fileList": &uploaded});
    match session.kind {
        Kind::Normal | Kind::Individual => properly(31, all),
        Kind::BackupOnly => properly(32, all),
        Kind::Stranded => properly(
            31,
            json!({"status": 0, "fileList": uploaded, "uploadingStatus": "stranded"}),
        ),
        Kind::Failover | Kind::KilledAndReplaced => {
            let ending = properly(31, all);
            ending.into_iter().map(Scheduled::by_second).collect()
        }
        Kind::Failing => {
            let error =
                json!({"module": 0, "errorLevel": 5, "errorCode": 112, "stat": 0, "errorMsg": ""});
            vec![
                at(end, 1, error),
                at(end + 1_000, 41, json!({"leaveCode": 2})),
                at(end + 3_000, 11, json!({"exitStatus": 1})),
            ]
        }
        Kind::TranscodingFailed => {
            let result = json!({"result": "partial_success", "uids": [
                {"uid": "2001", "result": "success", "fileList": [{"fileName": "2001_0.mp4"}]},
                {"uid": "2002", "result": "fail", "fileList": []},
            ]});
            let scene = "postpone_transcode::transcode";
            let mut scheduled = properly(31, all);
            scheduled.extend([
                at(end + 12_000, 80, json!({})).in_scene(scene),
                at(end + 13_000, 81, result).in_scene(scene),
            ]);
            scheduled
        }
        Kind::WebFailing => {
            let stop = json!({
                "code": 4, "message": "page_load_timeout",
                "details": "the page was not ready in time", "fileList": [],
            });
            [
                at(end, 71, stop),
                at(end + 2_000, 31, json!({"status": 0})),
                at(end + 5_000, 11, json!({"exitStatus": 0})),
            ]
            .map(|scheduled| scheduled.in_scene("web_record"))
            .into()
        }
        Kind::ConfirmedEarly => {
            let again = json!({"startUtcMs": 0, "streamUid": "0"});
            let mut scheduled = properly(33, json!({"progress": 10_000}));
            scheduled.extend([at(end / 3, 31, all), at(end / 3 + 5_000, 42, again)]);
            scheduled
        }
        Kind::Silent | Kind::AnnouncedAndNeverCame => Vec::new(),
    }
}

impl Session {
    /// The callbacks that aren't lost.
    pub(crate) fn came(&self) -> impl Iterator<Item = &Callback> {
        self.callbacks.iter().filter(|callback| !callback.is_lost)
    }

    /// The body of a callback, as Agora would send it at `notify_ms` (ms since the epoch).
    pub(crate) fn body(&self, callback: &Callback, notify_ms: u64) -> String {
        let service = match callback.event_type {
            1..=4 | 11 | 12 => 0,
            30..=34 => 2,
            70..=73 => 6,
            80 | 81 => 7,
            _ => 1,
        };
        let mut payload = json!({
            "cname": self.cname,
            "uid": callback.uid,
            "sid": self.sid,
            "sequence": callback.sequence,
            "sendts": callback.sendts,
            "serviceType": service,
            "details": callback.details,
        });
        if let (Some(scene), Some(payload)) = (callback.scene, payload.as_object_mut()) {
            payload.insert("serviceScene".to_owned(), scene.into());
        }
        json!({
            "noticeId": format!("{}-{}-{}", self.sid, callback.uid, callback.sequence),
            "productId": 3,
            "eventType": callback.event_type,
            "notifyMs": notify_ms,
            "sid": self.sid,
            "payload": payload,
        })
        .to_string()
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn shape() -> Shape {
        Shape {
            sessions: 50,
            kinds: Kind::value_variants().to_vec(),
            streams: 3,
            minutes: 10,
            speed: 60.0,
            loss: 0.1,
            double: true,
            shuffle_ms: 5_000,
            seed: 7,
            channel: "rehearsal".to_owned(),
            started_ms: 1_772_460_000_000,
        }
    }

    #[test]
    fn a_seed_plays_the_same_again_under_other_sids() {
        let one = Plan::of(&shape());
        let later = Plan::of(&Shape {
            started_ms: shape().started_ms + 77_777,
            ..shape()
        });
        let played = |plan: &Plan| {
            let lost: Vec<_> = plan.callbacks().map(|callback| callback.is_lost).collect();
            format!("{lost:?} {:?}", plan.deliveries)
        };
        assert_eq!(played(&one), played(&later));
        let sids = |plan: &Plan| -> BTreeSet<String> {
            plan.sessions.iter().map(|s| s.sid.clone()).collect()
        };
        assert!(sids(&one).is_disjoint(&sids(&later)));
    }

    #[test]
    fn nothing_lies_in_the_future_when_it_is_sent_at_any_speed() {
        for speed in [0.5, 1.0, 60.0, 1e6] {
            let shape = Shape {
                speed,
                shuffle_ms: 0,
                ..shape()
            };
            let plan = Plan::of(&shape);
            for delivery in &plan.deliveries {
                let callback = &plan.sessions[delivery.session].callbacks[delivery.callback];
                let sent = shape.started_ms + delivery.after_ms;
                assert!(callback.sendts <= sent + 1, "{speed}");
            }
        }
    }

    #[test]
    fn what_is_lost_never_comes_and_everything_else_comes_twice() {
        let plan = Plan::of(&shape());
        let (mut lost, mut all) = (0, 0);
        for (index, session) in plan.sessions.iter().enumerate() {
            for (number, callback) in session.callbacks.iter().enumerate() {
                let copies = plan
                    .deliveries
                    .iter()
                    .filter(|delivery| (delivery.session, delivery.callback) == (index, number));
                assert_eq!(copies.count(), if callback.is_lost { 0 } else { 2 });
                let before = session.callbacks[..number].iter();
                let before = before.filter(|before| before.uid == callback.uid);
                assert_eq!(callback.sequence, before.count() as u64);
                lost += usize::from(callback.is_lost);
                all += 1;
            }
        }
        assert!((5..=15).contains(&(lost * 100 / all)), "{lost} of {all}");
    }

    #[test]
    fn what_is_sent_is_out_of_order_only_if_it_shall_be() {
        let disorder = |shape: &Shape| {
            let deliveries = Plan::of(shape).deliveries;
            let of_first = deliveries.iter().filter(|delivery| delivery.session == 0);
            !of_first.map(|delivery| delivery.callback).is_sorted()
        };
        assert!(disorder(&shape()));
        assert!(!disorder(&Shape {
            shuffle_ms: 0,
            ..shape()
        }));
    }
}
