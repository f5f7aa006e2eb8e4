//! Correctly signed bodies with anything anywhere: every field of every event type missing, null,
//! of another type, huge, doubled or no JSON at all. Each is acknowledged, and then it is in the
//! table: as an event, in its session, or in quarantine.

use crate::harness::{Simulation, TABLE, Weather, callback, config, text};
use agora_recording_callbacks::alert::Alert;
use agora_recording_callbacks::notification::Sid;
use agora_recording_callbacks::reply::{Freshness, Reply};
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What is put in the place of a value. The last one makes the key stand twice.
const VALUES: [&str; 40] = [
    "null",
    "true",
    "false",
    "0",
    "-1",
    "5",
    "20",
    "1.5",
    "5.0",
    "-0.0",
    "1e-300",
    "1e30",
    "\"{\\\"errorLevel\\\": 5, \\\"status\\\": 20, \\\"errorMsg\\\": \\\"\\\\ud83d\\\"}\"",
    "1e2",
    "1e400",
    "-1e400",
    "-0",
    "NaN",
    "Infinity",
    "0x10",
    "01",
    "\"\"",
    "\"7\"",
    "\" 7 \"",
    "\"x\"",
    "\"ä\"",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "\"\\ud83d\\ude00\"",
    "[]",
    "{}",
    "[1]",
    "{\"a\":1}",
    "4294967296",
    "10000000000",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "1e18",
    "1,\"details\":2",
];

/// A callback of every event type, with every field that the specification gives it.
fn callbacks() -> Vec<Value> {
    let file = json!([{"fileName": "a.mp4", "filename": "a.mp4", "trackType": "audio", "uid": "7",
        "mixedAllUser": true,
        "isPlayable": true, "sliceStartTime": 1_772_460_000_000_u64}]);
    let status =
        json!({"msgName": "x", "status": 0, "fileList": file, "uploadingStatus": "uploaded"});
    let stream =
        json!({"msgName": "x", "streamUid": "7", "state": 0, "utcMs": 1_772_460_000_000_u64});
    let details = [
        (
            1,
            json!({"msgName": "x", "module": 0, "errorLevel": 5, "errorCode": 110, "stat": 0,
                "errorMsg": "x"}),
        ),
        (2, json!({"msgName": "x", "module": 0, "warnCode": 31})),
        (
            3,
            json!({"msgName": "x", "status": 5, "recordingMode": 0, "fileList": "a.m3u8"}),
        ),
        (4, json!({"msgName": "x", "fileList": "a.m3u8"})),
        (
            11,
            json!({"msgName": "x", "leaveStatus": 1, "exitStatus": 1}),
        ),
        (12, json!({"msgName": "x", "newUid": 8})),
        (30, status.clone()),
        (31, status.clone()),
        (32, status.clone()),
        (33, json!({"msgName": "x", "progress": 5000})),
        (40, status),
        (41, json!({"msgName": "x", "leaveCode": 2})),
        (
            42,
            json!({"msgName": "x", "startUtcMs": 9, "discontinueUtcMs": 8, "mixedAllUser": true,
                "streamUid": "7", "trackType": "audio"}),
        ),
        (43, stream.clone()),
        (44, stream),
        (45, json!({"msgName": "x", "fileName": "a.jpg"})),
        (60, json!({"msgName": "x", "aliVodInfo": {"videoId": "x"}})),
        (70, json!({"msgName": "x", "recorderStartTime": 9})),
        (
            71,
            json!({"msgName": "x", "code": 4, "message": "x", "details": "x", "fileList": file}),
        ),
        (72, json!({"msgName": "x", "limitType": "resolution"})),
        (73, json!({"msgName": "x", "reason": "audio_silence"})),
        (81, json!({"msgName": "x", "result": "all_success"})),
        (90, json!({"msgName": "x", "fileName": "a.mp4"})),
        (
            100,
            json!({"msgName": "x", "rtmpUrl": "x", "status": "publishing"}),
        ),
        (110, json!({"msgName": "x", "taskId": "x"})),
        (
            1001,
            json!({"msgName": "x", "result": "total_success", "fileList": file}),
        ),
        (999, json!({"of": "nobody"})),
    ];
    let callback = |(event_type, details): &(u32, Value)| {
        serde_json::from_str(&callback(
            &format!("s{event_type}"),
            "5",
            3,
            *event_type,
            details,
        ))
        .unwrap()
    };
    details.iter().map(callback).collect()
}

/// The pointers of everything in a value.
fn places(value: &Value, here: &str, found: &mut Vec<String>) {
    let below: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), value))
            .collect(),
        Value::Array(values) => values
            .iter()
            .enumerate()
            .map(|(n, value)| (n.to_string(), value))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    for (name, value) in below {
        let there = format!("{here}/{name}");
        found.push(there.clone());
        places(value, &there, found);
    }
}

fn bodies() -> BTreeSet<Vec<u8>> {
    let mut bodies = BTreeSet::new();
    let long = format!("\"{}\"", "ß".repeat(5000));
    for callback in callbacks() {
        let mut found = Vec::new();
        places(&callback, "", &mut found);
        for place in found {
            for value in VALUES.iter().copied().chain([long.as_str()]) {
                let mut wrong = callback.clone();
                *wrong.pointer_mut(&place).unwrap() = json!("@@@");
                bodies.insert(wrong.to_string().replacen("\"@@@\"", value, 1).into_bytes());
            }
            let (parent, name) = place.rsplit_once('/').unwrap();
            let mut without = callback.clone();
            if let Value::Object(fields) = without.pointer_mut(parent).unwrap() {
                fields.remove(name);
            }
            bodies.insert(without.to_string().into_bytes());
        }
        // The whole text, spoiled.
        let text = callback.to_string().into_bytes();
        let utf16 = String::from_utf8(text.clone())
            .unwrap()
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        bodies.extend([
            [b"\xef\xbb\xbf", &text[..]].concat(),
            [&text[..], b"x"].concat(),
            [&text[..], &text[..]].concat(),
            [b" \n", &text[..], b"\t\r\n"].concat(),
            [b"[", &text[..], b"]"].concat(),
            [&text[..], b"\0"].concat(),
            text[..text.len() - 1].to_vec(),
            text.iter()
                .map(|byte| if *byte == b'x' { 0xff } else { *byte })
                .collect(),
            utf16,
        ]);
    }
    bodies
}

#[test]
fn every_field_of_every_event_may_be_anything() {
    skip_on_another_engine!("brings its own engine");
    Simulation::run(async {
        let world = Simulation::new(0, Weather::default()).await;
        let receiver = world.receiver();
        let (mut stored, mut heartbeats, mut quarantined) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut set_aside: BTreeMap<&str, u32> = BTreeMap::new();
        let (mut read, mut alerted) = (BTreeMap::new(), BTreeSet::new());
        let bodies = bodies();
        for body in &bodies {
            let text = String::from_utf8_lossy(body);
            let handled = world.invoke(&receiver, body).await.unwrap();
            match handled.reply {
                Reply::Stored(told) => {
                    let callback = handled.callback.unwrap();
                    assert_eq!(told.sid.as_str(), callback.sid.as_str());
                    assert_eq!(told.sequence, callback.sequence);
                    assert!(matches!(
                        told.freshness,
                        Freshness::Newest | Freshness::Late | Freshness::Duplicate
                    ));
                    let alert = Alert::of(&callback, &config().alert_kinds);
                    alerted.extend(alert.map(|alert| alert.id()));
                    if callback.is_heartbeat() {
                        heartbeats.insert(told.sid);
                    } else {
                        let fact = (told.sid.clone(), callback.fact_key());
                        read.insert(fact, callback.event.clone());
                        stored.insert((told.sid, format!("event#{}", callback.fact_key())));
                    }
                }
                Reply::Quarantined { .. } => {
                    quarantined.insert(body.clone());
                }
                Reply::Ignored { .. } => *set_aside.entry("another product's").or_default() += 1,
                Reply::Test => *set_aside.entry("the console's check").or_default() += 1,
                other => panic!("{other:?}: {text}"),
            }
        }

        let scan = world
            .dynamodb()
            .scan()
            .table_name(TABLE)
            .into_paginator()
            .items()
            .send();
        let (mut kept, mut events, mut sessions) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for item in scan.collect::<Result<Vec<_>, _>>().await.unwrap() {
            let (sid, name) = (
                text(&item, "sid").to_owned(),
                text(&item, "item").to_owned(),
            );
            if sid.starts_with("quarantine#") {
                kept.insert(match &item["body"] {
                    AttributeValue::S(text) => text.as_bytes().to_vec(),
                    AttributeValue::B(bytes) => bytes.as_ref().to_vec(),
                    other => panic!("{other:?}"),
                });
            } else if name == "session" {
                sessions.insert(sid);
            } else if name.starts_with("event#") {
                events.insert((sid, name));
            }
        }
        assert_eq!(kept, quarantined);
        assert_eq!(events, stored);
        // What was read out of a callback is what whoever looks at it later reads.
        let (mut read_later, mut rang) = (BTreeMap::new(), BTreeSet::new());
        for sid in &sessions {
            let sid = Sid::new(sid).unwrap();
            let record = world.store().record(&sid).await.unwrap().unwrap();
            for event in record.events {
                let (fact, event) = (event.fact.clone(), event.event());
                read_later.insert((sid.to_string(), fact), event);
            }
            rang.extend(record.alerts.iter().map(|it| it.alert.id()));
        }
        for (fact, event) in &read {
            assert_eq!(Some(event), read_later.get(fact), "{fact:?}");
        }
        assert_eq!(read.len(), read_later.len());
        assert_eq!(alerted, rang);
        assert!(heartbeats.is_subset(&sessions));
        assert!(stored.iter().all(|(sid, _)| sessions.contains(sid)));
        assert!(
            stored.len() > 5000 && quarantined.len() > 1000,
            "{} {}",
            stored.len(),
            quarantined.len()
        );
        println!(
            "proved: {} signed bodies with anything anywhere: {} events, {} in quarantine, \
            {set_aside:?}, no 5xx",
            bodies.len(),
            events.len(),
            kept.len()
        );
    });
}
