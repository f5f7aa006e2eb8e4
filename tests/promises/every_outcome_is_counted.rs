//! One line an invocation, with its metrics in it, and nothing in it that shouldn't be.

use crate::harness::{
    Binary, Fault, Function, Plan, TOPIC, Which, World, callback, event, event_details, tick,
};
use agora_recording_callbacks::clock::now_ms;
use agora_recording_callbacks::log::{Metric, NAMESPACE};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use testkit::bus;
use testkit::sns::{Mood, Subscriber};

/// The metrics of a line, as CloudWatch reads them: what the directive names, under the dimension
/// it names.
fn metrics(line: &str) -> BTreeMap<String, u64> {
    let line: Value = serde_json::from_str(line).unwrap();
    let Some(directive) = line.get("_aws") else {
        return BTreeMap::new();
    };
    assert!(directive["Timestamp"].as_u64().unwrap() > 1_600_000_000_000);
    let [set] = directive["CloudWatchMetrics"]
        .as_array()
        .unwrap()
        .as_slice()
    else {
        panic!("{line}")
    };
    assert_eq!(set["Namespace"], json!(NAMESPACE));
    assert_eq!(set["Dimensions"], json!([["FunctionName"]]));
    assert!(line["FunctionName"].is_string());
    let definitions = set["Metrics"].as_array().unwrap();
    definitions
        .iter()
        .map(|definition| {
            let name = definition["Name"].as_str().unwrap();
            assert!(["Count", "Milliseconds"].contains(&definition["Unit"].as_str().unwrap()));
            (name.to_owned(), line[name].as_u64().unwrap())
        })
        .collect()
}

/// The names of a line's metrics.
fn counted(line: &str) -> Vec<String> {
    metrics(line).into_keys().collect()
}

#[tokio::test]
async fn each_outcome_has_its_metrics_and_every_metric_an_outcome() {
    let world = World::new().await;
    let function = Function::start(&world, &[("MAX_CALLBACK_AGE_HOURS", "24")]).await;
    let body = |sequence, event_type| {
        let body = callback("a", "5", sequence, event_type, &event_details(event_type));
        let mut body: Value = serde_json::from_str(&body).unwrap();
        body["notifyMs"] = Value::Null;
        body.to_string()
    };
    let stale = json!({"notifyMs": 1, "payload": {}}).to_string();
    let other_fact = body(5, 43).replace("1772460005123", "1772460005124");
    let mut wrong = event(&body(1, 40));
    wrong["headers"]["agora-signature-v2"] = "00".into();
    let mut ahead: Value = serde_json::from_str(&body(4, 43)).unwrap();
    ahead["notifyMs"] = json!(now_ms() + 6 * 60 * 1000);
    let ahead = ahead.to_string();
    let mut rng = fastrand::Rng::with_seed(1);
    let incompressible: String = (0..1_000_000).map(|_| rng.alphanumeric()).collect();
    let mut large = event(&"x".repeat(32 * 1024 + 1));
    large["headers"] = json!({});
    let mut seen = BTreeSet::new();
    for (request, expected) in [
        (event(&body(1, 40)), &["Stored"][..]),
        (event(&body(1, 40)), &["Duplicate"]),
        (event(&body(5, 43)), &["Stored"]),
        (event(&body(3, 43)), &["Late"]),
        (event(&other_fact), &["SequenceConflicts", "Stored"]),
        (event(&body(6, 999)), &["Stored", "UnknownEventType"]),
        (event("{}"), &["Quarantined"]),
        (event(&stale), &["Quarantined", "Stale"]),
        (event(&ahead), &["ClockAhead", "Late"]),
        (event(&incompressible), &["Cut", "Quarantined"]),
        (large, &["TooLarge"]),
        (wrong, &["SignatureInvalid"]),
        (event(&body(7, 11)), &["AlertsPublished", "Stored"]),
    ] {
        function.invoke(request).await;
        let line = function.log().pop().unwrap();
        let counted = counted(&line);
        assert_eq!(counted, expected, "{line}");
        seen.extend(metrics(&line).into_keys());
    }
    // Log bytes are what a heartbeat costs most after its write.
    function.invoke(event(&body(8, 33))).await;
    let length = function.log().pop().unwrap().len();
    assert!(length < 440, "{length} bytes");
    world.sns.set_mood(Mood::Down);
    function.invoke(event(&body(9, 1))).await;
    assert_eq!(
        counted(&function.log().pop().unwrap()),
        ["AlertsDeferred", "Stored"]
    );
    world.proxy.hang(true);
    function.invoke_within(event(&body(10, 40)), 1_500).await;
    assert_eq!(counted(&function.log().pop().unwrap()), ["NotStored"]);
    world.proxy.hang(false);
    world.proxy.plan(Some(Plan {
        operation: "PutItem",
        key: "alert#",
        fault: Fault::AccessDenied,
        which: Which::Always,
        seen: 0,
    }));
    function.invoke(event(&body(11, 34))).await;
    let line = function.log().pop().unwrap();
    assert_eq!(counted(&line), ["AlertsUnwritten", "NotStored"], "{line}");
    seen.extend(metrics(&line).into_keys());
    world.proxy.plan(None);

    // The sweeper: an alert of yesterday that is given up, a session that is over with a hole, an
    // item that can't be read.
    let receiver = world.receiver();
    // The last one was recorded and left as it should, and nothing was uploaded.
    for (sid, sequence, event_type) in [("b", 3, 1), ("c", 3, 11), ("e", 1, 42), ("e", 2, 41)] {
        let body = callback(sid, "5", sequence, event_type, &event_details(event_type));
        world.deliver(&receiver, body.as_bytes()).await;
    }
    world.spoil("d").await;
    for is_confirmed in [true, false] {
        let subscriber = Subscriber {
            protocol: "email".to_owned(),
            endpoint: "oncall@example.com".to_owned(),
            is_confirmed,
        };
        world.sns.subscribe(TOPIC, subscriber);
    }
    let sweeper = Function::start_binary(Binary::Sweeper, &world, &[]).await;
    world.end_leases("a").await;
    let sweep = sweeper.invoke(tick()).await;
    let line = sweeper.log().pop().unwrap();
    for (metric, value) in metrics(&line) {
        let field = match metric.as_str() {
            "AlertsFailed" => "failed",
            "UnreadableItems" => "unreadable",
            "SessionsLooked" => "looked",
            "SessionsHeard" => "heard",
            "MissingSequences" => "missingSequences",
            "OldestPendingAlert" => "oldestPendingMs",
            "WatchdogFound" => "found",
            "Subscribers" => "subscribers",
            "SubscribersPending" => "subscribersPending",
            _ => continue,
        };
        assert_eq!(sweep[field], value, "{metric}");
        assert!(value > 0);
    }
    seen.extend(metrics(&line).into_keys());
    seen.extend(["NotStored", "AlertsDeferred"].map(str::to_owned));
    seen.extend(notices().await);
    // What only a race or a table that fails brings about.
    seen.extend(["WriteConflicts", "TableErrors"].map(str::to_owned));
    let all: BTreeSet<_> = Metric::ALL
        .iter()
        .map(|metric| {
            serde_json::to_value(metric)
                .unwrap()
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(seen, all);
}

/// What is counted where programs are told.
async fn notices() -> BTreeSet<String> {
    let world = World::with_bus().await;
    let function = Function::start(&world, &[]).await;
    let confirmed = |sequence| callback("a", "5", sequence, 31, &json!({"status": 0}));
    let mut seen = BTreeSet::new();
    for (sequence, mood, expected) in [
        (1, bus::Mood::Well, ["NoticesSent", "Stored"]),
        (2, bus::Mood::FailedEntry, ["NoticesDeferred", "Stored"]),
    ] {
        world.bus.set_mood(mood);
        function.invoke(event(&confirmed(sequence))).await;
        let line = function.log().pop().unwrap();
        assert_eq!(counted(&line), expected, "{line}");
        seen.extend(counted(&line));
    }
    world.age_alerts("a", 1).await;
    let sweeper = Function::start_binary(Binary::Sweeper, &world, &[]).await;
    let sweep = sweeper.invoke(tick()).await;
    assert_eq!(sweep["noticesFailed"], 1, "{sweep}");
    let line = sweeper.log().pop().unwrap();
    assert_eq!(metrics(&line)["NoticesFailed"], 1, "{line}");
    seen.extend(counted(&line));
    seen
}

#[tokio::test]
async fn the_log_tells_of_no_channel_unless_asked_and_obeys_lambdas_settings() {
    let world = World::new().await;
    let hostile = json!({"errorLevel": 5, "module": 0, "errorCode": 1,
        "errorMsg": "secret\u{1b}[2J file.m3u8"});
    let body = callback("a", "527841", 1, 1, &hostile);
    let unreadable = body.replace("\"sid\"", "\"xid\"");
    let text = async |settings: &[(&str, &str)]| {
        let function = Function::start(&world, settings).await;
        for body in [&body, &unreadable] {
            assert_eq!(function.invoke(event(body)).await["statusCode"], 200);
        }
        function.log()
    };
    let lines = text(&[]).await;
    assert_eq!(lines.len(), 2);
    for word in [
        "room-101-b",
        "527841",
        "m3u8",
        "agora-signature",
        "local-secret",
    ] {
        assert!(!lines.join("").contains(word), "{word}");
    }
    for (field, value) in [
        ("outcome", json!("stored")),
        ("sid", json!("a")),
        ("eventType", json!(1)),
        ("sequence", json!(1)),
        // Which recorder is at work isn't an error's to say.
        ("attempts", json!(2)),
        ("level", json!("INFO")),
    ] {
        assert_eq!(
            serde_json::from_str::<Value>(&lines[0]).unwrap()[field],
            value
        );
    }
    let detailed = text(&[("LOG_DETAIL", "true")]).await;
    let first: Value = serde_json::from_str(&detailed[0]).unwrap();
    assert_eq!(first["detail"]["cname"], "room-101-b");
    assert!(
        first["detail"]["details"]
            .as_str()
            .unwrap()
            .contains("m3u8")
    );
    assert!(!detailed.join("").contains('\u{1b}'));
    let pushed =
        json!({"rtmpUrl": "rtmp://live.example/app/the-stream-key", "status": "connected"});
    let function = Function::start(&world, &[("LOG_DETAIL", "true")]).await;
    let body = callback("a", "527841", 2, 100, &pushed);
    function.invoke(event(&body)).await;
    let line = function.log().pop().unwrap();
    assert!(
        line.contains("live.example") && !line.contains("the-stream-key"),
        "{line}"
    );

    let quiet = text(&[("LOG_LEVEL", "WARN")]).await;
    assert!(
        !quiet[0].contains("outcome") && metrics(&quiet[0]).contains_key("Duplicate"),
        "{}",
        quiet[0]
    );
    assert!(
        quiet[1].contains("\"outcome\":\"quarantined\""),
        "{}",
        quiet[1]
    );
    let plain = text(&[("AWS_LAMBDA_LOG_FORMAT", "Text")]).await;
    assert!(
        plain[0].starts_with("INFO callback requestId=")
            && plain[0].contains("outcome=\"duplicate\""),
        "{}",
        plain[0]
    );
    assert!(metrics(&plain[1]).contains_key("Duplicate") && !plain[1].contains("outcome"));
    let (line, ok) = Function::refuse(&world, &[("LOG_DETAIL", "perhaps")]).await;
    assert_eq!(
        line.as_str(),
        "configuration: LOG_DETAIL is \"perhaps\"; expected true or false\n"
    );
    assert!(!ok);
}

#[tokio::test]
async fn heartbeats_have_no_line_where_none_is_wanted_unless_there_is_more_to_tell() {
    let world = World::new().await;
    let function = Function::start(&world, &[("LOG_HEARTBEATS", "false")]).await;
    let body = |sequence, event_type| {
        let body = callback("a", "5", sequence, event_type, &event_details(event_type));
        let mut body: Value = serde_json::from_str(&body).unwrap();
        body["notifyMs"] = Value::Null;
        body
    };
    let lines = async |body: &Value| {
        let before = function.log().len();
        let answer = function.invoke(event(&body.to_string())).await;
        assert_eq!(answer["statusCode"], 200);
        let lines = function.log().split_off(before);
        let counted: Vec<_> = lines.iter().map(|line| counted(line)).collect();
        counted.concat()
    };
    let nothing: &[&str] = &[];
    let mut ahead = body(6, 33);
    ahead["notifyMs"] = json!(now_ms() + 6 * 60 * 1000);
    for (body, expected) in [
        (body(1, 40), &["Stored"][..]),
        (body(2, 33), nothing),
        (body(5, 33), nothing),
        (body(5, 33), &["Duplicate"]),
        (body(4, 33), &["Late"]),
        (ahead, &["ClockAhead", "Stored"]),
        (body(7, 43), &["Stored"]),
    ] {
        assert_eq!(lines(&body).await, expected, "{body}");
    }
    // The sweeper tells that they came.
    let sweeper = Function::start_binary(Binary::Sweeper, &world, &[]).await;
    sweeper.invoke(tick()).await;
    assert_eq!(metrics(&sweeper.log().pop().unwrap())["SessionsHeard"], 1);
    // What isn't stored has a line, a heartbeat or not.
    world.proxy.hang(true);
    let request = event(&body(8, 33).to_string());
    function.invoke_within(request, 1_500).await;
    assert_eq!(counted(&function.log().pop().unwrap()), ["NotStored"]);
    world.proxy.hang(false);
}

#[tokio::test]
async fn a_flood_of_wrong_signatures_is_a_few_lines() {
    let world = World::new().await;
    let function = Function::start(&world, &[]).await;
    let mut wrong = event(&callback("a", "5", 1, 33, &event_details(33)));
    wrong["headers"]["agora-signature-v2"] = "00".into();
    for _ in 0..30 {
        assert_eq!(function.invoke(wrong.clone()).await["statusCode"], 401);
    }
    // Ten a minute, and a new minute may begin meanwhile.
    let lines = function.log().len();
    assert!((10..=20).contains(&lines), "{lines} lines");
}

/// What is left of a log by Lambda's own filter, as AWS documents it: a line below the level is
/// dropped, and a line whose level or timestamp is missing or invalid counts as `INFO`.
fn filtered<'a>(log: &'a [String], lambda_level: &str) -> Vec<&'a String> {
    let levels = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
    let rank = |level: &str| levels.iter().position(|known| *known == level);
    let rank_of = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        line["timestamp"]
            .as_str()?
            .parse::<jiff::Timestamp>()
            .ok()?;
        rank(line["level"].as_str()?)
    };
    log.iter()
        .filter(|line| rank_of(line).or(rank("INFO")) >= rank(lambda_level))
        .collect()
}

#[tokio::test]
async fn no_level_of_ours_or_lambdas_costs_a_metric() {
    let mut counts = Vec::new();
    for (ours, lambdas) in [
        ("INFO", "INFO"),
        ("WARN", "INFO"),
        ("FATAL", "INFO"),
        ("INFO", "FATAL"),
        ("ERROR", "WARN"),
    ] {
        let world = World::new().await;
        let settings = [("LOG_LEVEL", ours), ("AWS_LAMBDA_LOG_LEVEL", lambdas)];
        let function = Function::start(&world, &settings).await;
        for body in [
            callback("a", "5", 1, 1, &event_details(1)),
            "{}".to_owned(),
            callback("a", "5", 2, 33, &event_details(33)),
        ] {
            function.invoke(event(&body)).await;
        }
        world.proxy.hang(true);
        let body = callback("a", "5", 3, 40, &event_details(40));
        function.invoke_within(event(&body), 1_500).await;
        world.proxy.hang(false);
        world.look_now("a").await;
        let sweeper = Function::start_binary(Binary::Sweeper, &world, &settings).await;
        sweeper.invoke(tick()).await;

        let log = [function.log(), sweeper.log()].concat();
        let left = filtered(&log, lambdas);
        assert_eq!(left.len(), log.len(), "{settings:?}");
        let mut count = BTreeMap::new();
        for (name, value) in left.iter().flat_map(|line| metrics(line)) {
            // How old something is differs from run to run.
            let is_time = name == "OldestPendingAlert";
            *count.entry(name).or_insert(0) += if is_time { 1 } else { value };
        }
        assert!(count["NotStored"] == 1 && count["Sweeps"] == 1, "{count:?}");
        let fields = left
            .iter()
            .filter(|line| line.contains("\"message\""))
            .count();
        counts.push((settings, fields, count));
    }
    for (settings, _, count) in &counts {
        assert_eq!(count, &counts[0].2, "{settings:?}");
    }
    // The fields do go: all lines have some, then those of the warning and the error, then none.
    let fields: Vec<_> = counts.iter().map(|(_, fields, _)| *fields).collect();
    assert_eq!(fields, [5, 2, 0, 0, 1]);
}
