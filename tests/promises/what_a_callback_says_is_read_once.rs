//! A callback means the same in whatever form it comes: what rings, the phase of its session and
//! what is shown of it are those of the plain form. What had to be mended is kept as it came, too.

use crate::harness::{World, callback, config};
use agora_recording_callbacks::alert::in_words;
use agora_recording_callbacks::notification::Sid;
use agora_recording_callbacks::report::{Report, What};
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

/// Callbacks that ring or tell a phase.
fn callbacks() -> Vec<(u32, Value)> {
    vec![
        (
            1,
            json!({"module": 0, "errorLevel": 5, "errorCode": 110, "errorMsg": "bad"}),
        ),
        (
            1,
            json!({"module": 1, "errorLevel": 3, "errorCode": 47, "errorMsg": "slow"}),
        ),
        (3, json!({"status": 20, "fileList": ""})),
        (11, json!({"exitStatus": 1})),
        (11, json!({"exitStatus": 0})),
        (12, json!({"newUid": 7})),
        (30, json!({"status": 1})),
        (31, json!({"status": 3, "fileList": []})),
        (
            32,
            json!({"status": 0, "fileList": [{"fileName": "a.m3u8"}]}),
        ),
        (34, json!({"msgName": "sts_expired"})),
        (40, json!({"status": 0})),
        (41, json!({"leaveCode": 0})),
        (71, json!({"code": 4, "message": "page_load_timeout"})),
        (72, json!({"limitType": "WebGL"})),
        (81, json!({"result": "fail", "uids": []})),
        (90, json!({"bucket": "b", "fileName": "a.ts;b.ts"})),
        (1001, json!({"result": "failed"})),
    ]
}

/// Every number as `form` prints it.
fn numbers(value: &Value, form: fn(i64) -> Value) -> Value {
    match value {
        Value::Number(number) => form(number.as_i64().unwrap()),
        Value::Array(values) => values.iter().map(|value| numbers(value, form)).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(name, value)| (name.clone(), numbers(value, form)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
    }
}

/// The forms of a callback, by name: bodies that say the same.
fn forms(sid: &str, event_type: u32, details: &Value) -> Vec<(&'static str, Vec<u8>)> {
    let body = |details: &Value| callback(sid, "5", 3, event_type, details);
    let more = |name: &str, value: Value| {
        let mut details = details.clone();
        details[name] = value;
        details
    };
    let plain = body(details);
    let text = json!(details.to_string());
    let deep = || (0..40).fold(json!(1), |inner, _| json!([inner]));
    let marked = body(&more("more", json!("cut @")));
    let mut payload: Value = serde_json::from_str(&plain).unwrap();
    payload["payload"] = json!(payload["payload"].to_string());
    let cut_inside = more("more", json!("cut @")).to_string();
    let cut_inside = json!(cut_inside.replace('@', "\\ud83d"));
    let broken = marked
        .bytes()
        .map(|byte| if byte == b'@' { 0xf0 } else { byte });
    let texts = numbers(details, |n| json!(n.to_string()));
    let fractions = body(&numbers(details, |n| json!(format!("@{n}@"))));
    let fractions = fractions.replace("\"@", "").replace("@\"", ".0");
    let huge = body(&more("more", json!("@"))).replace("\"@\"", "1e30");
    let named = body(&more("@", json!(1))).replace('@', "\\ud83d");
    let strings = vec![
        ("as text", body(&text)),
        ("as text of a text", body(&json!(text.to_string()))),
        (
            "as text with a mark",
            body(&json!(format!("\u{feff}{details}\0"))),
        ),
        ("as text that was cut", body(&cut_inside)),
        (
            "as deep text",
            body(&json!(more("more", deep()).to_string())),
        ),
        ("the payload as text", payload.to_string()),
        ("numbers as texts", body(&texts)),
        ("numbers with a fraction", fractions),
        ("half a pair in a text", marked.replace('@', "\\ud83d")),
        ("its other half", marked.replace('@', "\\ude00")),
        ("half a pair in a name", named),
        (
            "half a pair in the channel",
            plain.replace("room-101", "room-\\ud83d"),
        ),
        ("a byte order mark", format!("\u{feff}{plain}")),
        ("a NUL in a text", body(&more("more", json!("\0")))),
        ("a nameless field", body(&more("", json!(1)))),
        ("too deep for the table", body(&more("more", deep()))),
        ("a number that is too large for the table", huge),
    ];
    let strings = strings.into_iter();
    strings
        .map(|(name, body)| (name, body.into_bytes()))
        .chain([("half a character", broken.collect())])
        .collect()
}

/// What rings, the phase, and what is shown of a session.
async fn told(world: &World, sid: &str) -> String {
    let record = world.store().record(&Sid::new(sid).unwrap()).await;
    let record = record.unwrap().unwrap();
    let report = Report::of(&record, &config().rules, 1_772_470_000_000);
    let alerts = record.alerts.iter().map(|it| {
        let words = in_words(&it.alert);
        (it.alert.kind, words.title, words.what)
    });
    let lines = report
        .timeline
        .into_iter()
        .filter_map(|entry| match entry.what {
            What::Callback { .. } => Some(entry.line),
            _ => None,
        });
    let (alerts, lines): (Vec<_>, Vec<_>) = (alerts.collect(), lines.collect());
    format!("{alerts:?} {:?} {:?} {lines:?}", report.phase, report.state)
}

#[tokio::test]
async fn a_callback_means_the_same_in_whatever_form_it_comes() {
    let world = World::new().await;
    let receiver = world.receiver();
    let mut rang = 0;
    for (n, (event_type, details)) in callbacks().into_iter().enumerate() {
        let plain = format!("plain-{n}");
        let body = callback(&plain, "5", 3, event_type, &details);
        let result = world.deliver(&receiver, body.as_bytes()).await;
        let result = result.reply.result();
        let meant = told(&world, &plain).await;
        rang += world.items_with(&plain, "alert#").await.len();
        for (m, (form, _)) in forms("", event_type, &details).into_iter().enumerate() {
            let sid = format!("form-{n}-{m}");
            let (_, body) = forms(&sid, event_type, &details).swap_remove(m);
            let outcome = world.deliver(&receiver, &body).await;
            // A 12 announces a newer recorder than its own, so it is late in any form.
            assert_eq!(outcome.reply.result(), result, "{form} of {event_type}");
            assert_eq!(
                told(&world, &sid).await,
                meant,
                "{form} of {event_type}: {details}"
            );
            let kept = world.items_with(&sid, "event#").await;
            let kept = kept[0].get("body").map(|kept| match kept {
                AttributeValue::S(body) => body.as_bytes().to_vec(),
                AttributeValue::B(body) => body.as_ref().to_vec(),
                other => panic!("{other:?}"),
            });
            let is_mended = form.starts_with("half") || form == "its other half";
            let is_mended = is_mended || form == "a byte order mark";
            if is_mended || form.contains("too large") {
                assert_eq!(kept.as_ref(), Some(&body), "{form} of {event_type}");
            } else {
                assert_eq!(kept, None, "{form} of {event_type}");
            }
        }
    }
    assert!(rang >= 13, "{rang}");
}

#[tokio::test]
async fn no_key_of_a_stream_is_shown_out_of_a_text() {
    let world = World::new().await;
    let receiver = world.receiver();
    let details = r#"{"rtmpUrl": "rtmp:\/\/push.example.com\/live\/KEY", "status": "onhold"}"#;
    let body = callback("a", "5", 3, 100, &json!(details));
    world.deliver(&receiver, body.as_bytes()).await;
    let record = world.store().record(&Sid::new("a").unwrap()).await;
    let report = Report::of(
        &record.unwrap().unwrap(),
        &config().rules,
        1_772_470_000_000,
    );
    let shown = format!("{report:?}");
    assert!(shown.contains("push.example.com/live"), "{shown}");
    assert!(!shown.contains("KEY"), "{shown}");
}
