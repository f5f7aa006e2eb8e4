//! Whole recordings of every kind that have files, from a seed, and what programs may be told.

use super::schedule::Callback;
use agora_recording_callbacks::event::Event as AgoraEvent;
use agora_recording_callbacks::notification::{Notification, Sid};
use fastrand::Rng;
use serde_json::{Value, json};
use testkit::bus::Event;

/// How it is recorded, and what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recorded {
    Composite,
    /// 40 streams, each with a file.
    Individual,
    /// 1,400 files in one upload.
    Long,
    WebPage,
    Backup,
    /// Files stay at Agora and come later.
    Stranded,
    /// Two recorders, each with files.
    Failover,
    /// MP4s come an hour later.
    Transcoded,
    OnDemand,
    /// Nothing confirms the files.
    Unconfirmed,
}

const ALL: [Recorded; 10] = [
    Recorded::Composite,
    Recorded::Individual,
    Recorded::Long,
    Recorded::WebPage,
    Recorded::Backup,
    Recorded::Stranded,
    Recorded::Failover,
    Recorded::Transcoded,
    Recorded::OnDemand,
    Recorded::Unconfirmed,
];

/// One recording.
pub(crate) struct Lesson {
    pub(crate) recorded: Recorded,
    /// In the order they happened.
    pub(crate) callbacks: Vec<Callback>,
}

struct Script {
    callbacks: Vec<Callback>,
    uid: &'static str,
    sequence: u64,
    at: u64,
}

impl Script {
    fn say(&mut self, after_ms: u64, event_type: u32, details: Value) {
        self.say_in(None, after_ms, event_type, details);
    }

    fn say_in(
        &mut self,
        scene: Option<&'static str>,
        after_ms: u64,
        event_type: u32,
        details: Value,
    ) {
        self.at += after_ms;
        self.callbacks.push(Callback {
            uid: self.uid.to_owned(),
            sequence: self.sequence,
            sendts: self.at,
            event_type,
            details,
            scene,
        });
        self.sequence += 1;
    }

    /// A recorder at work that names `playlists`, with a few heartbeats.
    fn record(&mut self, prefix: &str, playlists: usize) {
        self.say(0, 30, json!({"status": 0}));
        self.say(900, 40, json!({"status": 0}));
        for n in 0..playlists {
            let slice = json!({"startUtcMs": self.at + 700, "discontinueUtcMs": self.at + 700,
                "streamUid": n.to_string(), "mixedAllUser": playlists == 1});
            self.say(700, 42, slice);
            self.say(
                9_000,
                4,
                json!({"fileList": format!("{prefix}lesson_{n}.m3u8")}),
            );
        }
        for beat in 1..4 {
            self.say(60_000, 33, json!({"progress": beat * 2_000}));
        }
    }

    fn leave(&mut self) {
        self.say(5_000, 41, json!({"leaveCode": 16}));
    }

    fn exit(&mut self) {
        self.say(1_000, 11, json!({"exitStatus": 0}));
    }
}

/// Files as an upload lists them.
fn listed(prefix: &str, ending: &str, count: usize) -> Value {
    let file = |n: usize| {
        json!({"fileName": format!("{prefix}lesson_{n}.{ending}"), "trackType": "audio_and_video",
            "uid": n.to_string(), "mixedAllUser": count == 1, "isPlayable": true,
            "sliceStartTime": 1_772_460_001_000_u64 + n as u64})
    };
    (0..count).map(file).collect()
}

fn with_mp4(count: usize) -> Value {
    let mut files = listed("", "m3u8", count);
    let mp4 = listed("", "mp4", count);
    let all = files.as_array_mut().unwrap();
    all.extend(mp4.as_array().unwrap().iter().cloned());
    files
}

impl Lesson {
    pub(crate) fn random(rng: &mut Rng) -> Self {
        Self::of(*rng.choice(&ALL).unwrap())
    }

    pub(crate) fn of(recorded: Recorded) -> Self {
        let mut script = Script {
            callbacks: Vec::new(),
            uid: "100",
            sequence: 0,
            at: 1_772_460_000_000,
        };
        let uploaded = |files: Value| json!({"status": 0, "fileList": files});
        match recorded {
            Recorded::Composite => {
                script.record("", 1);
                script.leave();
                script.say(20_000, 31, uploaded(with_mp4(1)));
                script.exit();
            }
            Recorded::Individual => {
                script.record("", 40);
                script.leave();
                script.say(20_000, 31, uploaded(listed("", "m3u8", 40)));
                script.exit();
            }
            Recorded::Long => {
                script.record("dir/", 2);
                script.leave();
                script.say(20_000, 31, uploaded(listed("dir/", "m3u8", 1400)));
                script.exit();
            }
            Recorded::WebPage => {
                script.say(0, 70, json!({"recorderStartTime": script.at}));
                for beat in 1..4 {
                    script.say(60_000, 33, json!({"progress": beat * 2_000}));
                }
                let files = json!([{"filename": "page.m3u8"}, {"filename": "page_0.mp4"}]);
                script.say(900, 71, json!({"code": 0, "fileList": files}));
                script.say(9_000, 31, json!({"status": 0}));
                script.exit();
            }
            Recorded::Backup => {
                script.record("", 1);
                script.leave();
                script.say(20_000, 32, uploaded(listed("", "m3u8", 1)));
                script.exit();
            }
            Recorded::Stranded => {
                script.record("", 2);
                script.leave();
                let mut stranded = uploaded(listed("", "m3u8", 2));
                stranded["uploadingStatus"] = "stranded".into();
                script.say(20_000, 31, stranded);
                script.exit();
                script.say(3_600_000, 31, uploaded(with_mp4(2)));
            }
            Recorded::Failover => {
                script.record("", 1);
                script.say(100, 31, uploaded(listed("", "m3u8", 1)));
                script.say(100, 12, json!({"newUid": "200"}));
                script.uid = "200";
                script.sequence = 0;
                script.record("bak0_", 1);
                script.leave();
                script.say(20_000, 31, uploaded(listed("bak0_", "m3u8", 1)));
                script.exit();
            }
            Recorded::Transcoded => {
                script.record("", 2);
                script.leave();
                script.say(20_000, 31, uploaded(listed("", "m3u8", 2)));
                script.exit();
                let scene = Some("postpone_transcode::transcode");
                script.say_in(scene, 1_000, 80, json!({}));
                let user = |n: &str| {
                    json!({"uid": n, "result": "success",
                        "fileList": [{"fileName": format!("lesson_{n}.mp4")}]})
                };
                let result = json!({"result": "all_success", "uids": [user("0"), user("1")]});
                script.say_in(scene, 3_600_000, 81, result);
                let last = json!({"result": "total_success", "fileList": ["lesson_0.mp4"]});
                script.say_in(scene, 1_000, 1001, last);
            }
            Recorded::OnDemand => {
                let vod = Some("rtc_vod");
                script.record("", 1);
                script.leave();
                script.say_in(vod, 20_000, 31, uploaded(listed("", "m3u8", 1)));
                script.say_in(vod, 1_000, 61, json!({}));
                script.exit();
            }
            Recorded::Unconfirmed => {
                script.record("", 1);
                let status = json!({"status": 5, "fileList": "lesson_0.m3u8"});
                script.say(100, 3, status);
                script.leave();
                script.say(
                    20_000,
                    31,
                    json!({"status": 7, "fileList": listed("", "m3u8", 1)}),
                );
                script.exit();
            }
        }
        Self {
            recorded,
            callbacks: script.callbacks,
        }
    }

    /// Indexes of callbacks in the order of arrival: 5 % are lost, some come twice, all in any
    /// order or nearly in theirs.
    pub(crate) fn arrivals(&self, rng: &mut Rng) -> Vec<usize> {
        let distance = *rng.choice(&[1.0, 6.0, 1e6]).unwrap();
        let mut arrivals = Vec::new();
        for index in 0..self.callbacks.len() {
            if rng.f64() < 0.05 {
                continue;
            }
            for _ in 0..rng.usize(1..=2) {
                #[expect(clippy::cast_precision_loss, reason = "at most some hundreds")]
                arrivals.push((index as f64 + rng.f64() * distance, index));
            }
        }
        arrivals.sort_by(|one, other| one.0.total_cmp(&other.0));
        arrivals.into_iter().map(|(_, index)| index).collect()
    }
}

/// A body as the receiver reads it.
pub(crate) fn read(body: &str) -> Notification {
    let callback: Value = serde_json::from_str(body).unwrap();
    let payload = &callback["payload"];
    let text = |name: &str| payload[name].as_str().unwrap().to_owned();
    let event_type = u32::try_from(callback["eventType"].as_u64().unwrap()).unwrap();
    Notification {
        sid: Sid::new(&text("sid")).unwrap(),
        cname: text("cname"),
        uid: text("uid"),
        sequence: payload["sequence"].as_u64().unwrap(),
        sendts: payload["sendts"].as_u64().unwrap(),
        service_type: None,
        service_scene: payload["serviceScene"].as_str().map(str::to_owned),
        event_type,
        event: AgoraEvent::read(event_type, &payload["details"]),
        details: payload["details"].clone(),
        is_mended: false,
        notice_id: None,
        notify_ms: None,
    }
}

/// Every event says what its schema in `docs/` allows, and no more than EventBridge takes.
pub(crate) fn hold_against_schemas(events: &[Event]) {
    for event in events {
        let schema = match event.detail_type.as_str() {
            "Recording Started" => include_str!("../../../docs/recording-started.schema.json"),
            "Recording Files Ready" => {
                include_str!("../../../docs/recording-files-ready.schema.json")
            }
            "Recording Ended" => include_str!("../../../docs/recording-ended.schema.json"),
            "Recording Alert" => include_str!("../../../docs/recording-alert.schema.json"),
            "Recording Incident" => {
                include_str!("../../../docs/recording-incident.schema.json")
            }
            other => panic!("{other}"),
        };
        let schema = serde_json::from_str(schema).unwrap();
        let schema = jsonschema::validator_for(&schema).unwrap();
        let errors: Vec<_> = schema.iter_errors(&event.detail).collect();
        assert!(errors.is_empty(), "{errors:?} {event:?}");
        assert!(event.detail.to_string().len() <= 256 * 1024);
    }
}
