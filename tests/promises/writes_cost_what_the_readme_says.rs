//! Requests and write units per callback, as the engine counts them: flat over a session's whole
//! life.

use crate::harness::{Exchange, Function, TABLE, World, callback, callback_at, event, number};
use agora_recording_callbacks::clock::now_ms;
use agora_recording_callbacks::store::{Item, size};
use aws_sdk_dynamodb::types::AttributeValue::{N, S};
use aws_sdk_dynamodb::types::{
    ConsumedCapacity, Put, ReturnConsumedCapacity, TransactWriteItem, Update,
};
use serde_json::{Value, json};

/// A session as it usually is, with a warning.
async fn open(world: &World, sid: &str) -> u64 {
    let receiver = world.receiver();
    let file = format!("recordings/2026/03/{sid}_math-101.m3u8");
    let events = [
        (30, json!({"status": 0})),
        (40, json!({"status": 0})),
        (
            42,
            json!({"startUtcMs": 1_772_460_001_700_u64, "discontinueUtcMs": 1_772_460_001_700_u64,
                "mixedAllUser": true, "streamUid": "0", "trackType": "audio_and_video"}),
        ),
        (
            43,
            json!({"streamUid": "0", "state": 0, "utcMs": 1_772_460_001_900_u64}),
        ),
        (4, json!({"fileList": file})),
        (2, json!({"module": 1, "warnCode": 31})),
    ];
    let mut sequence = 0;
    for (event_type, details) in events {
        world
            .deliver(
                &receiver,
                callback(sid, "527841", sequence, event_type, &details).as_bytes(),
            )
            .await;
        sequence += 1;
    }
    sequence
}

fn cost(exchanges: &[Exchange]) -> (f64, f64) {
    let requests = f64::from(u32::try_from(exchanges.len()).unwrap());
    (
        requests,
        exchanges.iter().map(|exchange| exchange.units).sum(),
    )
}

/// Sends `count` heartbeats, the numbers chosen by `next`, and checks every hundred in a row.
async fn heartbeats(name: &str, count: usize, next: impl Fn(u64) -> u64) {
    let world = World::new().await;
    let receiver = world.receiver();
    let sid = "38f8e3cfdc474cd56fc1ceba380d7e1a";
    let mut sequence = open(&world, sid).await;
    world.proxy.take();
    let mut each = Vec::with_capacity(count);
    let mut largest = 0;
    for beat in 0..count {
        sequence = next(sequence);
        let progress = json!({"progress": 10_000 * beat / count});
        let handled = world
            .deliver(
                &receiver,
                callback(sid, "527841", sequence, 33, &progress).as_bytes(),
            )
            .await;
        assert_eq!(handled.reply.result(), "stored");
        each.push(cost(&world.proxy.take()));
        sequence += 1;
        if beat + 200 > count {
            largest = largest.max(size(&world.session_item(sid).await));
        }
    }
    let mut worst = (0.0_f64, 0.0_f64);
    for hundred in each.windows(100) {
        let requests: f64 = hundred.iter().map(|(requests, _)| requests).sum();
        let units: f64 = hundred.iter().map(|(_, units)| units).sum();
        worst = (worst.0.max(requests), worst.1.max(units));
    }
    assert!(
        worst.0 <= 104.0 && worst.1 <= 104.0,
        "{name}: {worst:?} for 100 heartbeats"
    );
    assert!(
        worst.0 >= 100.0 && worst.1 >= 100.0,
        "{name}: {worst:?}: the engine didn't count"
    );
    assert!(largest <= 1024, "{name}: {largest} bytes");
    println!(
        "{name}: {largest} bytes; at worst {} requests and {} units for 100 heartbeats",
        worst.0, worst.1
    );
}

#[tokio::test]
async fn a_heartbeat_costs_one_request_and_one_unit_at_any_age() {
    skip_on_another_engine!("is about volume");
    heartbeats("without holes", 10_100, |sequence| sequence).await;
}

#[tokio::test]
async fn a_heartbeat_costs_the_same_with_a_hole_before_every_one() {
    skip_on_another_engine!("is about volume");
    heartbeats("a hole each", 10_100, |sequence| sequence + 3).await;
}

#[tokio::test]
async fn a_heartbeat_costs_the_same_with_a_hole_now_and_then() {
    skip_on_another_engine!("is about volume");
    heartbeats("a hole in ten", 2_000, |sequence| {
        if sequence % 10 == 3 {
            sequence + 1
        } else {
            sequence
        }
    })
    .await;
}

#[tokio::test]
async fn another_ordinary_callback_costs_two_requests_and_two_units() {
    let world = World::new().await;
    let receiver = world.receiver();
    let sid = "38f8e3cfdc474cd56fc1ceba380d7e1a";
    let first = open(&world, sid).await;
    world.proxy.take();
    let mut costs = Vec::new();
    for sequence in first..first + 100 {
        let event_type = if sequence % 2 == 0 { 43 } else { 44 };
        let details = json!({"streamUid": "57297", "state": sequence / 2 % 2,
            "utcMs": 1_772_460_009_000_u64});
        world
            .deliver(
                &receiver,
                callback(sid, "527841", sequence, event_type, &details).as_bytes(),
            )
            .await;
        costs.push(cost(&world.proxy.take()));
    }
    let plain = costs.iter().filter(|cost| **cost == (2.0, 2.0)).count();
    let folds = costs.iter().filter(|cost| **cost == (3.0, 3.0)).count();
    assert!(folds == 2 && plain + folds == 100, "{costs:?}");
}

#[tokio::test]
async fn opening_a_session_and_alerting_cost_a_little_more() {
    let world = World::new().await;
    let receiver = world.receiver();
    let sid = "38f8e3cfdc474cd56fc1ceba380d7e1a";
    let body = callback(sid, "527841", 0, 40, &json!({"status": 0}));
    world.deliver(&receiver, body.as_bytes()).await;
    assert_eq!(cost(&world.proxy.take()), (2.0, 4.0), "one for each index");
    let body = callback(sid, "527841", 1, 11, &json!({"exitStatus": 1}));
    world.deliver(&receiver, body.as_bytes()).await;
    assert_eq!(
        cost(&world.proxy.take()),
        (5.0, 8.0),
        "the alert is written, moved to another partition of its index, and counted"
    );
}

/// A recording of a file, and what each of its callbacks costs.
async fn play_a_file(world: &World) -> Vec<(u32, (f64, f64))> {
    let receiver = world.receiver();
    let sid = "38f8e3cfdc474cd56fc1ceba380d7e1a";
    let file = format!("recordings/2026/03/{sid}_math-101.m3u8");
    let mut costs = Vec::new();
    for (sequence, (event_type, details)) in (0..).zip([
        (40, json!({"status": 0})),
        (33, json!({"progress": 100})),
        (43, json!({"streamUid": "0", "state": 0})),
        (4, json!({"fileList": file})),
        (41, json!({"leaveCode": 24})),
        (31, json!({"status": 0, "fileList": file})),
    ]) {
        let body = callback(sid, "527841", sequence, event_type, &details);
        world.deliver(&receiver, body.as_bytes()).await;
        costs.push((event_type, cost(&world.proxy.take())));
    }
    costs
}

/// Requests to the table and their units, those of reading among them.
#[tokio::test]
async fn with_a_bus_news_cost_three_requests_more_and_a_heartbeat_nothing() {
    let world = World::with_bus().await;
    let costs = play_a_file(&world).await;
    assert_eq!(
        costs,
        [
            // The job is written and marked, each time with its index, and all is read.
            (40, (5.0, 9.0)),
            (33, (1.0, 1.0)),
            (43, (2.0, 2.0)),
            (4, (5.0, 7.0)),
            (41, (2.0, 2.0)),
            (31, (5.0, 7.0)),
        ]
    );
    assert_eq!(
        world.bus.requests(),
        2,
        "nothing is told of what nobody confirmed"
    );
}

#[tokio::test]
async fn with_a_bus_the_end_of_a_recording_costs_six_units_more() {
    skip_on_another_engine!("a transaction's units are counted once there");
    let world = World::with_bus().await;
    play_a_file(&world).await;
    let sweeper = world.sweeper();
    let at = 1_772_460_000_000 + 180_000;
    world.sweep_at(&sweeper, at).await;
    let end = beside_lists(world.proxy.take());
    assert_eq!(world.bus.requests(), 3);
    // The look is noted with the job in one transaction, and the job is marked.
    let writes: Vec<_> = end
        .into_iter()
        .filter(|(operation, _)| operation.contains("Write") || operation == "UpdateItem")
        .collect();
    let expected = asks([("TransactWriteItems", 6.0), ("UpdateItem", 2.0)]);
    assert_eq!(
        writes, expected,
        "without a bus the last look is one of 2 units"
    );
    world.sweep_at(&sweeper, at + 60_000).await;
    assert_eq!(world.bus.requests(), 3);
}

/// What others do with the same items: the figures that `docs/cost.md` compares with.
#[tokio::test]
async fn the_alternatives_cost_two_to_four_units_a_heartbeat() {
    skip_on_another_engine!("a transaction's units are counted once there");
    let world = World::new().await;
    let sid = "38f8e3cfdc474cd56fc1ceba380d7e1a";
    open(&world, sid).await;
    let (client, total) = (&world.dynamodb, ReturnConsumedCapacity::Total);
    let units = |all: &[ConsumedCapacity]| -> f64 {
        all.iter()
            .filter_map(ConsumedCapacity::capacity_units)
            .sum()
    };
    let key =
        |item: &str| [("sid", sid), ("item", item)].map(|(k, v)| (k.to_owned(), S(v.to_owned())));
    let log = |n: u64| {
        let mut item = Item::from(key(&format!("event#{n:010}#33#00000000")));
        item.insert("sendts".to_owned(), N("1772460000123".to_owned()));
        item
    };
    let state = "SET last_sequence = :n ADD version :one";
    let one = || N("1".to_owned());

    let put = Put::builder().table_name(TABLE).set_item(Some(log(1)));
    let put = put.condition_expression("attribute_not_exists(sid)");
    let update = Update::builder()
        .table_name(TABLE)
        .set_key(Some(key("session").into()))
        .update_expression(state)
        .expression_attribute_values(":n", N("100".to_owned()))
        .expression_attribute_values(":one", one());
    let transaction = client
        .transact_write_items()
        .transact_items(
            TransactWriteItem::builder()
                .put(put.build().unwrap())
                .build(),
        )
        .transact_items(
            TransactWriteItem::builder()
                .update(update.build().unwrap())
                .build(),
        )
        .return_consumed_capacity(total.clone());
    let transaction = transaction.send().await.unwrap();
    assert_eq!(
        units(transaction.consumed_capacity()),
        4.0,
        "a transaction: twice two"
    );

    let written = client.put_item().table_name(TABLE).set_item(Some(log(2)));
    let written = written.return_consumed_capacity(total.clone()).send();
    let written = written.await.unwrap().consumed_capacity.unwrap();
    let projected = client
        .update_item()
        .table_name(TABLE)
        .set_key(Some(key("session").into()))
        .update_expression(state)
        .expression_attribute_values(":n", N("101".to_owned()))
        .expression_attribute_values(":one", one())
        .return_consumed_capacity(total.clone());
    let projected = projected.send().await.unwrap().consumed_capacity.unwrap();
    assert_eq!(
        units(&[written, projected.clone()]),
        2.0,
        "a log and its projection"
    );

    let mut record = Item::from(key("idempotency#101"));
    record.insert("status".to_owned(), S("INPROGRESS".to_owned()));
    let begun = client.put_item().table_name(TABLE).set_item(Some(record));
    let begun = begun.condition_expression("attribute_not_exists(sid)");
    let begun = begun.return_consumed_capacity(total.clone()).send();
    let begun = begun.await.unwrap().consumed_capacity.unwrap();
    let done = client
        .update_item()
        .table_name(TABLE)
        .set_key(Some(key("idempotency#101").into()))
        .update_expression("SET #status = :done")
        .expression_attribute_names("#status", "status")
        .expression_attribute_values(":done", S("COMPLETED".to_owned()))
        .return_consumed_capacity(total);
    let done = done.send().await.unwrap().consumed_capacity.unwrap();
    assert_eq!(
        units(&[begun, projected, done]),
        3.0,
        "a record, the state, the record again"
    );
}

/// What a sweep asks for, beside listing the partitions.
fn beside_lists(exchanges: Vec<Exchange>) -> Vec<(String, f64)> {
    exchanges
        .into_iter()
        .filter(|exchange| exchange.operation != "Query")
        .map(|exchange| (exchange.operation, exchange.units))
        .collect()
}

fn asks<const N: usize>(asks: [(&str, f64); N]) -> Vec<(String, f64)> {
    asks.map(|(operation, units)| (operation.to_owned(), units))
        .into()
}

#[tokio::test]
async fn watching_reads_half_a_unit_a_minute_and_writes_nothing() {
    let world = World::new().await;
    let receiver = world.receiver();
    let sweeper = world.sweeper();
    let mut at = 1_772_460_000_000;
    let mut notes = 0;
    for minute in 0..60 {
        let body = callback_at("a", "5", minute, 33, &json!({"progress": minute}), at);
        world
            .deliver_as(&receiver, body.as_bytes(), &format!("r{minute}"), at)
            .await;
        world.proxy.take();
        at += 60_000;
        world.sweep_at(&sweeper, at).await;
        let exchanges = world.proxy.take();
        let requests = exchanges.len();
        let mut rest = beside_lists(exchanges);
        let lists = requests - rest.len();
        assert_eq!(lists, 16, "the partitions of sessions and of what is due");
        // Once an hour, whatever the number of sessions: heartbeats come.
        notes += usize::from(
            rest.pop_if(|(operation, _)| operation == "PutItem")
                .is_some(),
        );
        assert_eq!(rest, asks([("GetItem", 1.0), ("BatchGetItem", 0.5)]));
    }
    assert_eq!(notes, 1);

    for (sequence, event_type) in [(60, 41), (61, 31), (62, 11)] {
        let details = json!({"status": 0, "leaveCode": 24, "exitStatus": 0});
        let body = callback_at("a", "5", sequence, event_type, &details, at);
        world
            .deliver_as(&receiver, body.as_bytes(), &format!("r{sequence}"), at)
            .await;
    }
    world.proxy.take();
    world.sweep_at(&sweeper, at + 60_000).await;
    assert_eq!(
        beside_lists(world.proxy.take()),
        asks([
            ("GetItem", 1.0),
            ("BatchGetItem", 0.5),
            ("GetItem", 1.0),
            ("UpdateItem", 2.0)
        ]),
        "a session that is over is looked at closely, and taken out of the index"
    );
    world.sweep_at(&sweeper, at + 120_000).await;
    assert_eq!(
        beside_lists(world.proxy.take()),
        asks([("GetItem", 1.0)]),
        "that was its last look"
    );
}

#[tokio::test]
async fn a_healthy_recording_costs_at_most_0_55_read_units_a_minute_all_in_all() {
    let each = read_units_of_a_minute().await;
    assert!(each <= 0.55, "{each}");
    println!("a healthy recording: {each} read units a minute, no write units");
}

/// The read units of a sweep of many healthy recordings, for each; it writes nothing.
async fn read_units_of_a_minute() -> f64 {
    const SESSIONS: u32 = 400;
    let world = World::new().await;
    let receiver = world.receiver();
    let at = 1_772_460_000_000;
    for n in 0..SESSIONS {
        let sid = format!("{n:032x}");
        for (sequence, event_type) in [(0, 40), (1, 42), (2, 33)] {
            let details = json!({"status": 0, "startUtcMs": at, "progress": 1});
            let body = callback_at(&sid, "527841", sequence, event_type, &details, at);
            world
                .deliver_as(&receiver, body.as_bytes(), &format!("{n}-{sequence}"), at)
                .await;
        }
    }
    let sweeper = world.sweeper();
    world.sweep_at(&sweeper, at + 60_000).await;
    world.proxy.take();
    let sweep = world.sweep_at(&sweeper, at + 120_000).await;
    assert_eq!(sweep.looked, u64::from(SESSIONS));
    let exchanges = world.proxy.take();
    for exchange in &exchanges {
        let operation = exchange.operation.as_str();
        assert!(["Query", "GetItem", "BatchGetItem"].contains(&operation));
    }
    cost(&exchanges).1 / f64::from(SESSIONS)
}

/// List prices of us-east-1, in $.
mod price {
    pub(super) const WRITE_UNIT: f64 = 0.625e-6;
    pub(super) const READ_UNIT: f64 = 0.125e-6;
    pub(super) const REQUEST: f64 = 0.2e-6;
    /// A second of 256 MB on arm64.
    pub(super) const SECOND: f64 = 0.25 * 0.000_013_333_4;
    pub(super) const LOG_BYTE: f64 = 0.5e-9;
    /// With point-in-time recovery.
    pub(super) const BYTE_MONTH: f64 = 0.25e-9 + 0.2e-9;
    pub(super) const EGRESS_BYTE: f64 = 0.09e-9;
}

/// What CloudWatch adds to a line, and DynamoDB to an item and to its entry in an index.
const LINE_OVERHEAD: usize = 26;
const ITEM_OVERHEAD: usize = 100;
/// What a function URL's headers add to an answer.
const HEADERS: usize = 360;
/// The callback's time on Lambda, in s: more than twice what `lab --bin bench` measures.
const SECONDS: f64 = 0.01;
const MONTH_SECS: f64 = 30.4 * 86_400.0;
/// A recording of an hour is looked at each minute, and until its upload is confirmed.
const LOOKS: f64 = 62.0;

fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

#[tokio::test]
async fn a_million_callbacks_cost_what_the_readme_says() {
    skip_on_another_engine!("is about units");
    let world = World::new().await;
    let name = (
        "AWS_LAMBDA_FUNCTION_NAME",
        "agora-recording-callbacks-callback",
    );
    let function = Function::start(&world, &[name]).await;
    let sid = "38f8e3cfdc474cd56fc1ceba380d7e1a";
    let (mut answers, mut sequence) = (0, 0);
    let mut send = async |event_type: u32, details: Value| {
        let body = callback(sid, "527841", sequence, event_type, &details);
        let answer = function.invoke(event(&body)).await;
        assert_eq!(answer["statusCode"], 200);
        answers += answer["body"].as_str().unwrap().len() + HEADERS;
        sequence += 1;
    };
    let at = 1_772_460_001_700_u64;
    let stream = |state: u64| json!({"streamUid": "57297", "state": state, "utcMs": at});
    let file = format!("recordings/2026/03/{sid}_math-101.m3u8");
    let before = [
        (30, json!({"status": 0})),
        (40, json!({"status": 0})),
        (
            42,
            json!({"startUtcMs": at, "discontinueUtcMs": at, "mixedAllUser": true,
                "streamUid": "0", "trackType": "audio_and_video"}),
        ),
        (4, json!({"fileList": file})),
        (43, stream(0)),
        (44, stream(0)),
        (2, json!({"module": 1, "warnCode": 31})),
    ];
    let after = [
        (43, stream(1)),
        (44, stream(1)),
        (41, json!({"leaveCode": 24})),
        (45, json!({"streamUid": "0", "state": 1})),
        (3, json!({"status": 6})),
        (
            31,
            json!({"status": 0, "fileList": [{"fileName": file, "trackType": "audio_and_video",
            "uid": "0", "mixedAllUser": true, "isPlayable": true, "sliceStartTime": at}]}),
        ),
        (11, json!({"exitStatus": 0})),
    ];
    let others = before.len() + after.len();
    for (event_type, details) in before {
        send(event_type, details).await;
    }
    for beat in 0..60 {
        send(33, json!({"progress": 160 * beat})).await;
    }
    for (event_type, details) in after {
        send(event_type, details).await;
    }
    let callbacks = float(others + 60);
    assert_eq!(callbacks, 74.0);
    let written = cost(&world.proxy.take()).1;
    let now = now_ms();
    world.sweep_at(&world.sweeper(), now).await;
    let last_look: Vec<_> = beside_lists(world.proxy.take());
    assert_eq!(
        last_look[2..4],
        asks([("GetItem", 1.0), ("UpdateItem", 2.0)])
    );

    let lines = function.log();
    assert_eq!(lines.len(), others + 60);
    let bytes = |of: &dyn Fn(&str) -> bool| -> f64 {
        let lines = lines.iter().filter(|line| of(line));
        float(lines.map(|line| line.len() + 1 + LINE_OVERHEAD).sum())
    };
    let is_heartbeat = |line: &str| line.contains(r#""eventType":33,"#);
    let (logged, heartbeats) = (bytes(&|_| true), bytes(&is_heartbeat));
    let mut byte_months = 0.0;
    for item in world.items(sid).await {
        let months = |secs: u64| float(usize::try_from(secs).unwrap()) / MONTH_SECS;
        let lives = months(number(&item, "expires_at") - now / 1000);
        // The keys of a session stand in the index `channel`, too.
        let keys = ["sid", "item", "cname", "first_sendts"];
        let keys = keys
            .iter()
            .filter_map(|key| Some(((*key).to_owned(), item.get(*key)?.clone())));
        let entry = size(&keys.collect()) + ITEM_OVERHEAD;
        let entry = if item.contains_key("cname") { entry } else { 0 };
        byte_months += lives * float(size(&item) + ITEM_OVERHEAD + entry);
    }
    let read = LOOKS * read_units_of_a_minute().await + 1.0;
    let million = |dollars: f64| dollars / callbacks * 1e6;
    let writes = million(written * price::WRITE_UNIT);
    let watching = million(2.0 * price::WRITE_UNIT + read * price::READ_UNIT);
    let lambda = million(callbacks * (price::REQUEST + SECONDS * price::SECOND));
    let log = million(logged * price::LOG_BYTE);
    let unlogged = million((logged - heartbeats) * price::LOG_BYTE);
    let storage = million(byte_months * price::BYTE_MONTH);
    let egress = million(float(answers) * price::EGRESS_BYTE);
    let total = writes + watching + lambda + log + storage + egress;
    let without = total - log + unlogged;
    println!(
        "$ a million callbacks: writes {writes:.3} ({:.3} units each), watching {watching:.3} \
         ({read:.1} read units a session), Lambda {lambda:.3}, log {log:.3} ({:.0} bytes each; \
         {unlogged:.3} without heartbeats), storage {storage:.3} ({:.0} bytes each, for a month), \
         egress {egress:.3} ({:.0} bytes each): together {total:.3}, {without:.3} with heartbeats \
         unlogged",
        written / callbacks,
        logged / callbacks,
        byte_months / callbacks,
        float(answers) / callbacks,
    );
    assert!(total <= 1.55, "{total}");
    assert!(without <= 1.35, "{without}");
}
