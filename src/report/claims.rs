//! Whatever is combined, nothing claims more than it may: every upload with every exit and every
//! failure, as text, page, JSON and row. The expectations are data, and know nothing of registers.

use super::tests::{callback, record, rules};
use super::*;
use crate::record::StoredSession;
use serde_json::{Value, json};

/// Callbacks: event, scene, details.
type Told = Vec<(u32, &'static str, Value)>;

/// Nothing is reported of the files: they are not confirmed, and none are expected of a recording
/// whose failure rings.
const AWAITED: &str = "awaited";

/// What is reported of the files, and what may be claimed of them then.
fn uploads() -> Vec<(&'static str, Told, &'static str)> {
    let upload = |event_type, details| (event_type, "", details);
    let uploaded = || upload(31, json!({"status": 0, "fileList": "a.m3u8"}));
    let stranded = || upload(31, json!({"status": 0, "uploadingStatus": "stranded"}));
    let backup = || upload(32, json!({"status": 0}));
    let on_demand = || (31, "rtc_vod", json!({"status": 0}));
    vec![
        ("nothing", vec![], AWAITED),
        ("31", vec![uploaded()], "confirmed"),
        (
            "31 without a status",
            vec![upload(31, json!({"fileList": "a.m3u8"}))],
            "confirmed",
        ),
        (
            "31, another word",
            vec![upload(31, json!({"status": 0, "uploadingStatus": "done"}))],
            "unconfirmed",
        ),
        (
            "32, another word",
            vec![upload(32, json!({"status": 0, "uploadingStatus": "done"}))],
            "unconfirmed",
        ),
        (
            "31, its own word",
            vec![upload(
                31,
                json!({"uploadingStatus": "uploaded", "fileList": "a.m3u8"}),
            )],
            "confirmed",
        ),
        (
            "31, an empty word",
            vec![upload(
                31,
                json!({"uploadingStatus": "", "fileList": "a.m3u8"}),
            )],
            "confirmed",
        ),
        (
            "31 that says what a 32 says",
            vec![upload(
                31,
                json!({"status": 0, "uploadingStatus": "backuped"}),
            )],
            "backup",
        ),
        (
            "31, abnormal",
            vec![upload(31, json!({"status": 1}))],
            "unconfirmed",
        ),
        ("31, stranded", vec![stranded()], "stranded"),
        (
            "31, stranded and abnormal",
            vec![upload(
                31,
                json!({"status": 3, "uploadingStatus": "stranded"}),
            )],
            "unconfirmed",
        ),
        (
            "31 of a snapshot",
            vec![(31, "rtc_snapshot", json!({"status": 0}))],
            AWAITED,
        ),
        (
            "31 of a transcoding",
            vec![(31, "postpone_transcode::transcode", json!({"status": 0}))],
            AWAITED,
        ),
        (
            "31 of the recording before a transcoding",
            vec![(
                31,
                "postpone_transcode::rtc_record",
                json!({"status": 0, "fileList": "a.m3u8"}),
            )],
            "confirmed",
        ),
        (
            "31 on its way to video on demand",
            vec![on_demand()],
            "unconfirmed",
        ),
        (
            "61 after it",
            vec![on_demand(), (61, "rtc_vod", json!({}))],
            "confirmed",
        ),
        (
            "81, successful",
            vec![(
                81,
                "postpone_transcode::transcode",
                json!({"result": "all_success"}),
            )],
            AWAITED,
        ),
        ("32", vec![backup()], "backup"),
        (
            "32, abnormal",
            vec![upload(32, json!({"status": 1}))],
            "unconfirmed",
        ),
        (
            "32, stranded",
            vec![upload(
                32,
                json!({"status": 0, "uploadingStatus": "stranded"}),
            )],
            "stranded",
        ),
        ("32, then 31", vec![backup(), uploaded()], "confirmed"),
        (
            "32, then 31 stranded",
            vec![backup(), stranded()],
            "stranded",
        ),
        (
            "31 stranded, then 31",
            vec![stranded(), uploaded()],
            "confirmed",
        ),
        (
            "31, then 31 stranded",
            vec![uploaded(), stranded()],
            "stranded",
        ),
    ]
}

/// How the service exits, and whether that is orderly; `None` where it doesn't.
fn exits() -> Vec<(&'static str, Told, Option<bool>)> {
    let left = || (41, "", json!({"leaveCode": 24}));
    vec![
        ("no end", vec![], None),
        ("41", vec![left()], None),
        ("11", vec![(11, "", json!({"exitStatus": 0}))], Some(true)),
        (
            "41 and 11",
            vec![left(), (11, "", json!({"leaveStatus": 0}))],
            Some(true),
        ),
        (
            "11, abnormal",
            vec![(11, "", json!({"exitStatus": 1}))],
            Some(false),
        ),
    ]
}

/// How the recorder fails, if it does.
fn failures() -> Vec<(&'static str, Told, bool)> {
    let fatal = || {
        (
            1,
            "",
            json!({"module": 0, "errorLevel": 5, "errorCode": 112}),
        )
    };
    vec![
        ("no failure", vec![], false),
        (
            "an error",
            vec![(1, "", json!({"module": 1, "errorLevel": 4}))],
            false,
        ),
        ("a fatal error", vec![fatal()], true),
        (
            "3 with status 20",
            vec![(3, "", json!({"status": 20}))],
            true,
        ),
        (
            "41 with leaveCode 0",
            vec![(41, "", json!({"leaveCode": 0}))],
            true,
        ),
        (
            "41 with leaveCode 2",
            vec![(41, "", json!({"leaveCode": 2}))],
            true,
        ),
        (
            "41 with leaveCode 6",
            vec![(41, "", json!({"leaveCode": 6}))],
            false,
        ),
        (
            "40 with a status",
            vec![(40, "", json!({"status": 1}))],
            true,
        ),
        (
            "71 with code 4",
            vec![(71, "web_record", json!({"code": 4}))],
            true,
        ),
        (
            "71 with code 1",
            vec![(71, "web_record", json!({"code": 1}))],
            false,
        ),
        (
            "72",
            vec![(72, "web_record", json!({"limitType": "WebGL"}))],
            true,
        ),
        (
            "a fatal error, then 42",
            vec![fatal(), (42, "", json!({}))],
            false,
        ),
        (
            "a fatal error, then 40",
            vec![fatal(), (40, "", json!({"status": 0}))],
            false,
        ),
        (
            "a fatal error of a transcoding",
            vec![(1, "postpone_transcode::transcode", json!({"errorLevel": 5}))],
            false,
        ),
    ]
}

/// Something was recorded, and nothing has ended it.
fn beginning() -> Told {
    vec![
        (40, "", json!({"status": 0})),
        (42, "", json!({"startUtcMs": 9, "discontinueUtcMs": 9})),
        (33, "", json!({"progress": 9000})),
    ]
}

fn callbacks(parts: [Told; 4]) -> Vec<Value> {
    let told = parts.into_iter().flatten();
    (0..)
        .zip(told)
        .map(|(sequence, (event_type, scene, details))| {
            let mut callback = callback(sequence, event_type, &details);
            if let (false, Some(payload)) = (scene.is_empty(), callback["payload"].as_object_mut())
            {
                payload.insert("serviceScene".to_owned(), scene.into());
            }
            callback
        })
        .collect()
}

/// What a green line of a terminal looks like.
const GREEN: &str = "\u{1b}[32m";

#[test]
fn nothing_claims_more_than_it_may() {
    for (upload, files, expected) in uploads() {
        for (exit, end, is_orderly) in exits() {
            for (failure, trouble, is_failure) in failures() {
                let case = format!("{upload} / {exit} / {failure}");
                let is_failed = is_failure || is_orderly == Some(false);
                let (files, end) = (files.clone(), end.clone());
                // What is recorded after a confirmation isn't in it.
                let goes_on = trouble.iter().any(|(event_type, ..)| *event_type == 42);
                let stale = match expected {
                    "confirmed" | "backup" if goes_on => "unconfirmed",
                    expected => expected,
                };
                for (parts, expected) in [
                    (
                        [beginning(), trouble.clone(), files.clone(), end.clone()],
                        expected,
                    ),
                    ([beginning(), files, trouble, end], stale),
                ] {
                    let record = record(&callbacks(parts));
                    for does_failure_ring in [true, false] {
                        let expected = match (expected, is_failed && does_failure_ring) {
                            (AWAITED, true) => "none",
                            (AWAITED, false) => "unconfirmed",
                            (expected, _) => expected,
                        };
                        let rules = Rules {
                            does_failure_ring,
                            ..rules()
                        };
                        check(&case, &record, &rules, expected, is_orderly, is_failed);
                    }
                }
            }
        }
    }
}

fn check(
    case: &str,
    record: &Record,
    rules: &Rules,
    expected: &str,
    is_orderly: Option<bool>,
    is_failed: bool,
) {
    let report = Report::of(record, rules, record.watched.updated_at + 1000);
    let is_confirmed = expected == "confirmed";
    let ended = is_orderly == Some(true);

    let json = json(&report, record);
    assert_eq!(json["upload"]["state"], expected, "{case}");
    assert_eq!(json["failure"].is_null(), !is_failed, "{case}");
    let state = json["state"].as_str().unwrap_or_default();
    assert_eq!(state == "ended", ended && !is_failed, "{case}: {state}");
    assert_eq!(
        state == "ended, after a failure",
        ended && is_failed,
        "{case}: {state}"
    );

    let shown = text(&report);
    let page = page(&report, record, Page::File);
    let page = page
        .split("<body>")
        .nth(1)
        .and_then(|body| body.split("<script>").next());
    let page = page.unwrap_or_default().to_owned();
    for (medium, said) in [
        ("show", &shown),
        ("page", &page),
        ("json", &json.to_string()),
    ] {
        let says = |words: &str| said.contains(words);
        let is_claimed = says("all in your storage since") || says("all in video on demand since");
        assert_eq!(is_claimed, is_confirmed, "{case}: {medium}");
        assert_eq!(
            says("as it should"),
            ended && !is_failed,
            "{case}: {medium}"
        );
        if is_failed {
            let normal = said
                .to_lowercase()
                .replace("abnormal", "")
                .contains("normal");
            assert!(!normal, "{case}: {medium}");
        }
    }

    // What is green in the terminal: that it records or ended, where the files are, and the
    // callbacks that say so.
    for line in shown.lines().filter(|line| line.contains(GREEN)) {
        let is_state = line.starts_with("state") && !is_failed;
        let is_files = line.starts_with("files") && is_confirmed;
        let is_callback = line.contains("all files are in ");
        assert!(is_state || is_files || is_callback, "{case}: {line}");
    }
    let overall = format!("badge {}", Tone::Good.as_str());
    let is_good = !is_failed && (report.over.is_none() || is_confirmed);
    assert!(
        is_good || !page.contains(&overall),
        "{case}: the page's badge"
    );

    let stored = StoredSession {
        watched: record.watched.clone(),
        first_sendts: 0,
    };
    let row = Row::of(stored, rules);
    assert!(is_good || row.tone != Tone::Good, "{case}: {row:?}");
    assert_eq!(
        row.files.starts_with("in your") || row.files.contains("demand"),
        is_confirmed
    );
    assert_eq!(row.state == "ended", ended && !is_failed, "{case}: {row:?}");
    let is_lost = report.over.is_some() && !is_confirmed;
    assert!(
        !(is_failed || is_lost) || row.is_failed,
        "{case}: `list --failed` misses it"
    );

    let picture = picture(&report, record);
    for curve in picture.lanes.iter().filter_map(|lane| lane.curve.as_ref()) {
        let is_full = curve.points.iter().any(|(_, progress)| *progress == 10_000);
        assert_eq!(is_full, is_confirmed, "{case}: the curve");
    }
}

#[test]
fn a_recorder_that_was_replaced_makes_neither_green_nor_red() {
    let told = |uid: &str, sequence, event_type, details| {
        let mut callback = callback(sequence, event_type, &details);
        callback["payload"]["uid"] = uid.into();
        callback
    };
    let failover = vec![
        told("5", 0, 40, json!({"status": 0})),
        told("5", 1, 33, json!({"progress": 5000})),
        told("5", 2, 11, json!({"exitStatus": 1})),
        told("5", 3, 12, json!({"newUid": "7"})),
        told("7", 10, 40, json!({"status": 0})),
        told("7", 11, 42, json!({})),
        told("7", 12, 41, json!({"leaveCode": 24})),
        told("7", 13, 11, json!({"exitStatus": 0})),
    ];
    let report = |callbacks: &[Value]| {
        let record = record(callbacks);
        let report = Report::of(&record, &rules(), record.watched.updated_at);
        (json(&report, &record), text(&report))
    };
    let (json, text) = report(&failover);
    assert_eq!(json["state"], "ended");
    assert!(json["failure"].is_null());
    assert_eq!(json["recorders"][0]["failure"]["eventType"], 11);
    assert_eq!(json["upload"]["state"], "unconfirmed");
    assert!(
        text.contains("ended as it should, after one failover"),
        "{text}"
    );

    // Files of the first one in the backup, those of the second in the storage.
    let mut backed_up = failover.clone();
    backed_up.insert(2, told("5", 4, 32, json!({"status": 0})));
    backed_up.push(told("7", 14, 31, json!({"status": 0})));
    let (json, text) = report(&backed_up);
    assert_eq!(json["upload"]["state"], "backup");
    assert!(!text.contains("all in your storage"), "{text}");

    // Those of the first one say nothing about those of the second.
    let mut old = failover;
    old.insert(2, told("5", 4, 31, json!({"status": 0})));
    let (json, _) = report(&old);
    assert_eq!(json["upload"]["state"], "unconfirmed");
}

#[test]
fn a_confirmation_without_files_is_told_as_that() {
    for (details, says) in [
        (json!({"status": 0, "fileList": []}), "names no file"),
        (
            json!({"status": 0, "fileList": "a.m3u8"}),
            "all in your storage since",
        ),
    ] {
        let told = [beginning(), vec![(31, "", details)], vec![], vec![]];
        let record = record(&callbacks(told));
        let report = Report::of(&record, &rules(), record.watched.updated_at);
        assert_eq!(json(&report, &record)["upload"]["state"], "confirmed");
        let files = report.answer(Question::Files).unwrap();
        assert!(files.text.contains(says), "{}", files.text);
        assert_eq!(files.tone == Tone::Good, !says.contains("no file"));
    }
}

#[test]
fn where_nothing_was_recorded_nothing_is_expected() {
    let started = callback(0, 40, &json!({"status": 0}));
    let exited = callback(1, 11, &json!({"exitStatus": 0}));
    let record = record(&[started, exited]);
    let report = Report::of(&record, &rules(), record.watched.updated_at);
    assert_eq!(json(&report, &record)["upload"]["state"], "none");
    let files = report.answer(Question::Files).unwrap();
    assert_eq!(files.text, "none expected: nothing was recorded");
    assert_ne!(files.tone, Tone::Good);
}
