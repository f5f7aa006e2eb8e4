//! The files of the sample sessions, and of whatever callbacks may say.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

const AT: u64 = 1_772_460_000_000;

/// A callback as the table gives it back; its fact is named by what it says.
fn stored(uid: &str, sequence: u64, event_type: u32, details: Value) -> StoredEvent {
    StoredEvent {
        fact: format!("{sequence}#{event_type}#{uid}#{details}"),
        sequence,
        event_type,
        uid: uid.to_owned(),
        sendts: AT + sequence * 1000,
        service_scene: None,
        details,
    }
}

fn sample(lines: &str) -> Vec<StoredEvent> {
    let callbacks = lines.lines().map(|line| {
        let callback: Value = serde_json::from_str(line).unwrap();
        let (payload, text) = (&callback["payload"], |value: &Value| {
            value.as_str().unwrap_or_default().to_owned()
        });
        let event_type = u32::try_from(callback["eventType"].as_u64().unwrap()).unwrap();
        StoredEvent {
            sendts: payload["sendts"].as_u64().unwrap(),
            service_scene: Some(text(&payload["serviceScene"])),
            ..stored(
                &text(&payload["uid"]),
                payload["sequence"].as_u64().unwrap(),
                event_type,
                payload["details"].clone(),
            )
        }
    });
    callbacks
        .filter(|callback| callback.event_type != 33)
        .collect()
}

fn keys(list: &FileList) -> Vec<&str> {
    list.files.iter().map(File::key).collect()
}

fn played(list: &FileList) -> Option<&str> {
    list.playback().map(File::key)
}

#[test]
fn the_files_of_the_samples() {
    for (lines, count, playback, duration_ms) in [
        (
            include_str!("../../events/sessions/composite.ndjson"),
            2,
            Some("0080e242d1d87a6e39b4609287edcaad_math-101_0.mp4"),
            681_520,
        ),
        (
            include_str!("../../events/sessions/individual.ndjson"),
            5,
            Some(
                "ea4abf69b7c77ab6bbe7c69dfc06800d_hearing-2026-0415__uid_s_57297__uid_e_video.m3u8",
            ),
            494_910,
        ),
        (
            include_str!("../../events/sessions/fatal.ndjson"),
            1,
            Some("80dd83da71d3d86771a6a676a4061e46_consult-7781.m3u8"),
            299_510,
        ),
        (
            include_str!("../../events/sessions/backup.ndjson"),
            1,
            Some("c53a0a51961d28a1808486ec95fa71c0_seminar-öffentlich.m3u8"),
            350_610,
        ),
        (
            include_str!("../../events/sessions/failover.ndjson"),
            0,
            None,
            300_350,
        ),
    ] {
        let list = FileList::of(&sample(lines));
        let found = (list.files.len(), played(&list), list.span.duration_ms());
        assert_eq!(found, (count, playback, Some(duration_ms)));
    }
}

#[test]
fn the_same_callbacks_make_the_same_list_in_any_order() {
    proptest!(|(order in Just((0..60).collect::<Vec<usize>>()).prop_shuffle())| {
        for lines in [
            include_str!("../../events/sessions/composite.ndjson"),
            include_str!("../../events/sessions/individual.ndjson"),
            include_str!("../../events/sessions/fatal.ndjson"),
            include_str!("../../events/sessions/backup.ndjson"),
            include_str!("../../events/sessions/failover.ndjson"),
        ] {
            let session = sample(lines);
            // Twice each, so that some come doubled and others not at all.
            let mixed: Vec<_> = order
                .iter()
                .filter_map(|place| session.get(place / 2).cloned())
                .collect();
            let mut sorted = mixed.clone();
            sorted.sort_by(|one, other| one.fact.cmp(&other.fact));
            sorted.dedup();
            prop_assert_eq!(FileList::of(&mixed), FileList::of(&sorted));
        }
    });
}

#[test]
fn what_is_newer_is_laid_over_what_is_older() {
    let file = |fields: Value| json!({"fileList": [fields]});
    let first = stored(
        "5",
        1,
        4,
        file(json!({"fileName": "a.mp4", "isPlayable": false, "sliceStartTime": 7000})),
    );
    let second = stored(
        "5",
        2,
        31,
        file(json!({"fileName": "a.mp4", "isPlayable": true, "trackType": "audio"})),
    );
    for callbacks in [[&first, &second], [&second, &first]] {
        let callbacks: Vec<_> = callbacks.into_iter().cloned().collect();
        let list = FileList::of(&callbacks);
        let [file] = list.files.as_slice() else {
            panic!("{list:?}")
        };
        assert_eq!(file.recorded.is_playable, Some(true));
        assert_eq!(file.recorded.track_type, Some(TrackType::Audio));
        assert_eq!(file.recorded.slice_start_time, Some(7000));
        let named_by: Vec<_> = file.named_by.iter().map(|by| by.event_type).collect();
        assert_eq!(named_by, [4, 31]);
    }
}

#[test]
fn every_callback_that_speaks_of_files_counts() {
    let one = |name: &str| json!({"fileList": [{"fileName": name}]});
    let callbacks = [
        stored("5", 0, 3, json!({"status": 5, "fileList": "3.m3u8"})),
        stored("5", 1, 4, one("4.m3u8")),
        stored("5", 2, 31, one("31.m3u8")),
        stored("5", 3, 32, one("32.m3u8")),
        stored(
            "5",
            4,
            71,
            json!({"code": 0, "fileList": [{"filename": "71.m3u8"}]}),
        ),
        stored(
            "5",
            5,
            81,
            json!({"result": "partial_success", "uids": [
                {"uid": "1", "result": "success", "fileList": [{"fileName": "81.mp4"}]},
                {"uid": "2", "result": "fail", "fileList": [{"fileName": "lost.mp4"}]},
            ]}),
        ),
        stored(
            "5",
            6,
            1001,
            json!({"result": "total_success", "fileList": ["1001.mp4"]}),
        ),
        stored(
            "5",
            7,
            1001,
            json!({"result": "failed", "fileList": ["lost.mp4"]}),
        ),
        stored("5", 8, 45, json!({"fileName": "a.jpg"})),
        stored("5", 9, 45, json!({"fileName": "b.jpg"})),
        stored("5", 10, 61, json!({})),
        stored("5", 11, 90, json!({"fileName": "lost.ts"})),
    ];
    let list = FileList::of(&callbacks);
    assert_eq!(
        keys(&list),
        [
            "1001.mp4", "3.m3u8", "31.m3u8", "32.m3u8", "4.m3u8", "71.m3u8", "81.mp4"
        ]
    );
    assert_eq!(list.snapshots, 2);
    let speak: Vec<_> = callbacks
        .iter()
        .filter(|callback| {
            let event = callback.event();
            callback.meaning(&event).files.is_some()
        })
        .map(|callback| callback.event_type)
        .collect();
    assert_eq!(speak, [3, 4, 31, 32, 71, 81, 1001, 1001, 61]);
}

#[test]
fn what_to_play_is_the_mp4_of_the_whole_recording() {
    let choice = |files: Value| {
        let list = FileList::of(&[stored("5", 1, 31, json!({ "fileList": files }))]);
        played(&list).map(str::to_owned)
    };
    for (files, playback) in [
        (json!([]), None),
        (json!(["a.ts", "a.jpg"]), None),
        (json!(["b.m3u8", "a.m3u8"]), Some("a.m3u8")),
        (json!(["a.m3u8", "b.MP4"]), Some("b.MP4")),
        (
            json!(["a.m3u8", {"fileName": "b.mp4", "isPlayable": false}]),
            Some("a.m3u8"),
        ),
        (
            json!([
                {"fileName": "1.mp4", "trackType": "audio", "uid": "7"},
                {"fileName": "2.mp4", "trackType": "video", "uid": "7"},
                {"fileName": "3.mp4", "trackType": "audio_and_video", "uid": "0"},
            ]),
            Some("3.mp4"),
        ),
        (json!(["bak0_c1.m3u8", "c1.m3u8"]), Some("c1.m3u8")),
        (
            json!(["x/bak0_c1.m3u8", "x/bake_c1.m3u8"]),
            Some("x/bake_c1.m3u8"),
        ),
        (
            json!([
                {"fileName": "a_1.mp4", "sliceStartTime": 2000},
                {"fileName": "b_0.mp4", "sliceStartTime": 1000},
            ]),
            Some("b_0.mp4"),
        ),
    ] {
        assert_eq!(choice(files.clone()).as_deref(), playback, "{files}");
    }
}

#[test]
fn a_recording_ends_when_the_last_recorder_left_and_not_before_the_last_work() {
    let start = stored("5", 0, 40, json!({"status": 0}));
    let slice = stored("5", 1, 42, json!({"startUtcMs": AT + 900}));
    let left = stored("5", 5, 41, json!({"leaveCode": 16}));
    let exit = stored("5", 7, 11, json!({"exitStatus": 0}));
    let uploaded = stored("5", 9, 31, json!({"status": 0}));
    let again = stored("6", 6, 40, json!({"status": 0}));
    let span = |callbacks: &[&StoredEvent]| {
        let callbacks: Vec<_> = callbacks.iter().map(|it| (*it).clone()).collect();
        let span = FileList::of(&callbacks).span;
        let at = |moment: Option<Moment>| moment.map(|it| (it.at - AT, it.source.event_type));
        (at(span.started), at(span.ended))
    };
    assert_eq!(span(&[]), (None, None));
    assert_eq!(span(&[&start]), (Some((0, 40)), None));
    assert_eq!(
        span(&[&left, &slice, &start, &exit]),
        (Some((900, 42)), Some((5000, 41)))
    );
    assert_eq!(span(&[&start, &exit]), (Some((0, 40)), Some((7000, 11))));
    // Another recorder began after the first one had left.
    assert_eq!(span(&[&start, &left, &again]), (Some((0, 40)), None));
    assert_eq!(
        span(&[&start, &left, &again, &uploaded]),
        (Some((0, 40)), Some((9000, 31)))
    );
    let mut snapshot = uploaded.clone();
    snapshot.service_scene = Some("rtc_snapshot".to_owned());
    assert_eq!(span(&[&start, &snapshot]), (Some((0, 40)), None));
}

#[test]
fn thousands_of_files_are_listed() {
    let name = |n: usize| json!({"fileName": format!("{n:05}.m3u8"), "uid": n.to_string()});
    let all: Vec<_> = (0..5000).map(name).collect();
    let mut callbacks = vec![stored("5", 9_999, 31, json!({"fileList": all}))];
    callbacks.extend((0..5000).rev().map(|n| {
        let sequence = u64::try_from(n).unwrap();
        stored("5", sequence, 4, json!({"fileList": [name(n)]}))
    }));
    let list = FileList::of(&callbacks);
    assert_eq!(list.files.len(), 5000);
    assert!(list.files.iter().all(|file| file.named_by.len() == 2));
    assert!(keys(&list).is_sorted());
}

#[test]
fn a_program_finds_every_field() {
    let callbacks = [
        stored("5", 1, 42, json!({"startUtcMs": AT})),
        stored("5", 2, 31, json!({"fileList": "ö/a.m3u8"})),
    ];
    let bucket = Bucket::read("s3://lessons").unwrap();
    let json = FileList::of(&callbacks).json(Some(&bucket));
    let file = json!({
        "key": "ö/a.m3u8", "uri": "s3://lessons/ö/a.m3u8", "format": "m3u8", "trackType": null,
        "uid": null, "mixedAllUser": null, "isPlayable": null, "sliceStartTime": null,
    });
    assert_eq!(json["playback"], file);
    let by = json!({"eventType": 31, "sequence": 2, "uid": "5", "at": AT + 2000});
    let mut named = file;
    named["namedBy"] = json!([by]);
    assert_eq!(json["files"], json!([named]));
    assert_eq!(json["startedAt"], AT);
    assert_eq!(json["startedBy"]["eventType"], 42);
    assert_eq!(
        (&json["endedAt"], &json["endedBy"]),
        (&json!(AT + 2000), &by)
    );
    assert_eq!(json["durationMs"], 2000);
    let empty = FileList::of(&[]).json(None);
    assert_eq!(
        (&empty["playback"], &empty["durationMs"]),
        (&Value::Null, &Value::Null)
    );
}
