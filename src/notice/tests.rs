//! Which callbacks make notices, and what the notices of the sample sessions say, in any order.

use super::*;
use crate::event::Event;
use crate::files::{Bucket, FileList, covered};
use crate::record::{Record, StoredEvent};
use crate::session::{Fact, Session};
use proptest::prelude::*;
use serde_json::{Value, json};

const AT: u64 = 1_772_460_000_000;

pub(super) fn notification(
    uid: &str,
    sequence: u64,
    event_type: u32,
    details: Value,
) -> Notification {
    Notification {
        sid: Sid::new("lesson").unwrap(),
        cname: "room".to_owned(),
        uid: uid.to_owned(),
        sequence,
        sendts: AT + sequence * 1000,
        service_type: None,
        service_scene: None,
        event_type,
        event: Event::read(event_type, &details),
        details,
        is_mended: false,
        notice_id: None,
        notify_ms: None,
    }
}

fn in_scene(scene: &str, notification: Notification) -> Notification {
    Notification {
        service_scene: Some(scene.to_owned()),
        ..notification
    }
}

/// What the table holds when these have come.
fn record(callbacks: &[Notification]) -> Record {
    let mut session = Session::default();
    let mut record = Record::new(Sid::new("a").unwrap());
    for callback in callbacks {
        session.apply(&Fact::of(callback));
        let stored = StoredEvent {
            fact: callback.fact_key(),
            sequence: callback.sequence,
            event_type: callback.event_type,
            uid: callback.uid.clone(),
            sendts: callback.sendts,
            service_scene: callback.service_scene.clone(),
            details: callback.details.clone(),
        };
        if !callback.is_heartbeat() && !record.events.contains(&stored) {
            record.events.push(stored);
        }
    }
    let recorders = session.recorders.iter();
    record.missing = recorders
        .map(|recorder| recorder.ledger.missing_ranges())
        .collect();
    record.watched.session = session;
    record
}

fn told(callback: &Notification, record: &Record) -> Telling {
    Notice::of(callback).unwrap().tell(record, None)
}

fn detail(telling: Telling) -> Value {
    match telling {
        Telling::Says(detail) => detail,
        Telling::Nothing | Telling::Waits => panic!("{telling:?}"),
    }
}

#[test]
fn what_is_news_for_programs() {
    let name =
        |callback: &Notification| Notice::of(callback).map(|notice| notice.news.detail_type());
    for (event_type, details, news) in [
        (40, json!({"status": 0}), Some("Recording Started")),
        (40, json!({}), Some("Recording Started")),
        (40, json!({"status": 1}), None),
        (70, json!({}), Some("Recording Started")),
        (3, json!({"status": 5}), None),
        (
            3,
            json!({"status": 5, "fileList": "a.m3u8"}),
            Some("Recording Files Ready"),
        ),
        (
            4,
            json!({"fileList": "a.m3u8"}),
            Some("Recording Files Ready"),
        ),
        (31, json!({"status": 0}), Some("Recording Files Ready")),
        (32, json!({"status": 0}), Some("Recording Files Ready")),
        (61, json!({}), Some("Recording Files Ready")),
        (71, json!({"code": 0}), Some("Recording Files Ready")),
        (
            81,
            json!({"result": "all_success"}),
            Some("Recording Files Ready"),
        ),
        (
            1001,
            json!({"result": "failed"}),
            Some("Recording Files Ready"),
        ),
        (45, json!({"fileName": "a.jpg"}), None),
        (33, json!({"progress": 1}), None),
        (42, json!({}), None),
        (11, json!({"exitStatus": 0}), None),
        (777, json!({}), None),
    ] {
        let callback = notification("5", 1, event_type, details.clone());
        assert_eq!(name(&callback), news, "{event_type} {details}");
    }
    let start = notification("5", 1, 40, json!({"status": 0}));
    assert_eq!(name(&in_scene("rtc_snapshot", start)), None);
}

#[test]
fn each_news_is_named_once() {
    let key = |callback: &Notification| Notice::of(callback).unwrap().key().as_str().to_owned();
    let start = notification("5", 1, 40, json!({"status": 0}));
    let again = notification("5", 2, 40, json!({"status": 0}));
    let other = notification("6", 1, 40, json!({"status": 0}));
    assert_eq!(key(&start), key(&again));
    assert_ne!(key(&start), key(&other));
    let files = notification("5", 3, 31, json!({"status": 0}));
    assert_eq!(key(&files), format!("files_ready#{}", files.fact_key()));
    let id = Notice::of(&files).unwrap().id();
    assert_eq!(
        id,
        format!("lesson/notice#files_ready#{}", files.fact_key())
    );
    let ended = |outcome, uid: &str| Notice {
        news: News::Ended(outcome),
        uid: uid.to_owned(),
        ..Notice::of(&start).unwrap()
    };
    let keys: std::collections::BTreeSet<_> = [
        ended(Ending::Normal, "5"),
        ended(Ending::Failed, "5"),
        ended(Ending::Normal, "6"),
    ]
    .iter()
    .map(|notice| notice.key().as_str().to_owned())
    .collect();
    assert_eq!(keys.len(), 3);
    for key in keys {
        assert!(NoticeKey::read(&key).is_some(), "{key}");
    }
    for key in ["", "started", "started#", "else#1", "files_ready"] {
        assert_eq!(NoticeKey::read(key), None, "{key}");
    }
}

#[test]
fn nothing_is_told_of_files_that_nobody_confirmed() {
    let playlist = notification("5", 2, 4, json!({"fileList": "a.m3u8"}));
    let stranded = notification(
        "5",
        3,
        31,
        json!({"status": 0, "uploadingStatus": "stranded"}),
    );
    let broken = notification("5", 4, 31, json!({"status": 7}));
    let snapshot = in_scene(
        "rtc_snapshot",
        notification("5", 5, 31, json!({"status": 0})),
    );
    let demand = in_scene("rtc_vod", notification("5", 6, 31, json!({"status": 0})));
    for callback in [&playlist, &stranded, &broken, &snapshot, &demand] {
        let record = record(std::slice::from_ref(callback));
        assert_eq!(told(callback, &record), Telling::Nothing, "{callback:?}");
    }
    // Until they are.
    let confirmed = notification("5", 9, 31, json!({"status": 0}));
    let record = record(&[stranded, playlist.clone(), confirmed.clone()]);
    for callback in [&playlist, &confirmed] {
        let said = detail(told(callback, &record));
        assert_eq!(
            (&said["upload"], &said["revision"]),
            (&json!("confirmed"), &json!(3))
        );
        assert_eq!(said["playback"]["key"], "a.m3u8");
    }
}

#[test]
fn a_notice_waits_for_its_callback() {
    let start = notification("5", 1, 40, json!({"status": 0}));
    let files = notification("5", 3, 31, json!({"status": 0}));
    for callback in [&start, &files] {
        let none = Record::new(Sid::new("a").unwrap());
        assert_eq!(told(callback, &none), Telling::Waits, "{callback:?}");
    }
    let once = record(std::slice::from_ref(&start));
    assert_eq!(told(&files, &once), Telling::Waits);
    let said = detail(told(&start, &once));
    let expected = json!({
        "schema": 1, "id": Notice::of(&start).unwrap().id(), "sid": "lesson", "cname": "room",
        "uid": "5", "at": AT + 1000, "revision": 1,
    });
    assert_eq!(said, expected);
}

#[test]
fn what_one_recorder_confirmed_waits_until_it_is_true_of_the_recording() {
    let first = [
        notification("5", 1, 42, json!({"startUtcMs": AT})),
        notification("5", 2, 31, json!({"status": 0, "fileList": "a.m3u8"})),
    ];
    // The second one, whose beginning hasn't come yet, seems to be the older one.
    let second = notification("6", 0, 42, json!({"startUtcMs": AT + 9000}));
    let second = Notification {
        sendts: AT + 9000,
        ..second
    };
    let [_, confirmed] = &first;
    let mut callbacks = first.to_vec();
    callbacks.push(second);
    let mut record_ = record(&callbacks);
    assert_eq!(told(confirmed, &record_), Telling::Waits);
    // What was told before is corrected.
    record_.files_told = true;
    assert_eq!(detail(told(confirmed, &record_))["upload"], "partial");
    let end = notification("6", 5, 31, json!({"status": 0, "fileList": "bak0_a.m3u8"}));
    let end = Notification {
        sendts: AT + 10_000,
        ..end
    };
    callbacks.push(end.clone());
    let said = detail(told(&end, &record(&callbacks)));
    assert_eq!(said["upload"], "confirmed");
    assert_eq!(said["files"].as_array().unwrap().len(), 2);
    assert_eq!(said["playback"]["key"], "a.m3u8");
}

#[test]
fn an_end_says_how_it_went() {
    let record = record(&[
        notification("5", 0, 40, json!({"status": 0})),
        notification("5", 1, 1, json!({"errorLevel": 5, "errorCode": 110})),
        notification("5", 2, 11, json!({"exitStatus": 0})),
    ]);
    let ended = |outcome| Notice {
        news: News::Ended(outcome),
        sid: Sid::new("lesson").unwrap(),
        cname: String::new(),
        uid: "5".to_owned(),
        at: 0,
    };
    let said = detail(ended(Ending::Failed).tell(&record, None));
    assert_eq!((&said["cname"], &said["at"]), (&Value::Null, &Value::Null));
    assert_eq!(said["outcome"], "failed");
    let failure = json!({
        "eventType": 1, "name": "cloud_recording_error", "sequence": 1, "at": AT + 1000,
    });
    assert_eq!(said["failure"], failure);
    let said = detail(ended(Ending::Normal).tell(&record, None));
    assert_eq!(
        (&said["outcome"], &said["failure"]),
        (&json!("normal"), &Value::Null)
    );
}

#[test]
fn more_files_than_have_room_are_left_out_and_it_is_said() {
    let names: Vec<_> = (0..5000).map(|n| format!("dir/{n:05}.m3u8")).collect();
    let callback = notification("5", 1, 31, json!({"status": 0, "fileList": names}));
    let record = record(std::slice::from_ref(&callback));
    let bucket = Bucket::read("s3://lessons").unwrap();
    let said = detail(Notice::of(&callback).unwrap().tell(&record, Some(&bucket)));
    let length = said.to_string().len();
    assert!(
        (MAX_DETAIL - 400..=MAX_DETAIL).contains(&length),
        "{length}"
    );
    assert_eq!(said["filesTruncated"], true);
    assert_eq!(said["files"][0]["uri"], "s3://lessons/dir/00000.m3u8");
    assert_eq!(said["playback"]["key"], "dir/00000.m3u8");
}

fn sample(lines: &str) -> Vec<Notification> {
    let callbacks = lines.lines().map(|line| {
        let callback: Value = serde_json::from_str(line).unwrap();
        let payload = &callback["payload"];
        let text = |name: &str| payload[name].as_str().unwrap().to_owned();
        Notification {
            sid: Sid::new(&text("sid")).unwrap(),
            sendts: payload["sendts"].as_u64().unwrap(),
            service_scene: Some(text("serviceScene")),
            ..notification(
                &text("uid"),
                payload["sequence"].as_u64().unwrap(),
                u32::try_from(callback["eventType"].as_u64().unwrap()).unwrap(),
                payload["details"].clone(),
            )
        }
    });
    callbacks.collect()
}

/// Whatever came in which order, once or twice: the notice that was told last says what the sorted
/// callbacks say; and nothing is told where they confirm nothing.
#[test]
fn the_last_notice_of_files_says_what_the_sorted_callbacks_say() {
    proptest!(|(seed in any::<u64>(), loss in 0..3_u64)| {
        for lines in [
            include_str!("../../events/sessions/composite.ndjson"),
            include_str!("../../events/sessions/individual.ndjson"),
            include_str!("../../events/sessions/fatal.ndjson"),
            include_str!("../../events/sessions/backup.ndjson"),
            include_str!("../../events/sessions/failover.ndjson"),
        ] {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut came = sample(lines);
            came.retain(|_| random.u64(0..20) >= loss);
            let sorted = came.clone();
            came.extend(sorted.clone());
            random.shuffle(&mut came);
            let state = |record: &Record| {
                let session = &record.watched.session;
                session.uploads(&covered(session, &record.events), false).state
            };
            let (mut files_told, mut waiting, mut last) = (false, Vec::new(), None);
            for n in 0..came.len() {
                let mut record = record(&came[..=n]);
                record.files_told = files_told;
                if Notice::of(&came[n]).is_some_and(|it| it.key().is_about_files()) {
                    waiting.push(came[n].clone());
                }
                // The sweeper comes by after each callback.
                waiting.retain(|callback| match told(callback, &record) {
                    Telling::Waits => true,
                    Telling::Nothing => false,
                    Telling::Says(said) => {
                        // What it says is what the callbacks say that it counts.
                        assert_eq!(said["upload"], state(&record).as_str());
                        (files_told, last) = (true, Some((said, callback.clone())));
                        false
                    }
                });
            }
            let all = record(&sorted);
            if let Some((said, callback)) = &last {
                let again = told(callback, &Record { files_told: true, ..all.clone() });
                let list = FileList::of(&all.events).json(None);
                prop_assert_eq!(said["files"].as_array().unwrap().len(),
                    list["files"].as_array().unwrap().len());
                prop_assert_eq!(&said["playback"], &list["playback"]);
                prop_assert_eq!(&detail(again)["upload"], state(&all).as_str());
            } else {
                prop_assert!(!state(&all).is_confirmed());
            }
        }
    });
}
