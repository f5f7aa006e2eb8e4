//! Many recordings began in the same minute, and many of them fall silent together: each silence is
//! told in time, and an alert that is due meanwhile doesn't wait for them.

use crate::harness::{Simulation, TABLE, Weather, callback_at, event_details, proof, state};
use agora_recording_callbacks::store::Item;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::stream::{self, StreamExt};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

const MIN: u64 = 60_000;
const THRESHOLD: u64 = 5 * MIN;
const TOLD_WITHIN: u64 = 2 * MIN;

#[test]
fn every_silence_is_told_within_two_minutes_of_its_threshold() {
    skip_on_another_engine!("brings its own engine");
    let (sessions, silent) = (proof::scale(4_000, 200_000), proof::scale(100, 1_000));
    let latest_ms = Simulation::run(play(sessions, silent));
    println!(
        "proved: {silent} of {sessions} recordings fall silent, each is told within {latest_ms} ms \
         of its threshold"
    );
}

async fn play(sessions: u64, silent: u64) -> u64 {
    // Of each batch the table hands some keys back unread, as one that is short of units does.
    let weather = Weather {
        handed_back: 0.05,
        ..Weather::default()
    };
    let world = Simulation::new(1, weather).await;
    let receiver = world.receiver();
    let body = callback_at(
        "pattern",
        "5",
        0,
        33,
        &json!({"progress": 1}),
        world.now_ms(),
    );
    world.invoke(&receiver, body.as_bytes()).await.unwrap();
    let pattern = item(&world, "pattern").await;
    // The silent ones are spread among the others, and fall silent within two minutes.
    let (every, began) = (sessions / silent, world.now_ms());
    let mut silent_at = BTreeMap::new();
    let copies = (0..sessions).map(|n| {
        let sid = format!("{n:032x}");
        let heard_at = if n % every == 0 {
            let heard_at = began + n * 7 % (2 * MIN);
            silent_at.insert(sid.clone(), heard_at + THRESHOLD);
            heard_at
        } else {
            began + 60 * MIN
        };
        copy(&pattern, sid, n, heard_at)
    });
    let copies: Vec<_> = copies.collect();
    stream::iter(copies)
        .map(|item| {
            world
                .dynamodb()
                .put_item()
                .table_name(TABLE)
                .set_item(Some(item))
                .send()
        })
        .buffer_unordered(64)
        .for_each(async |put| drop(put.unwrap()))
        .await;

    let sweeper = world.sweeper();
    let (mut latest_ms, mut told) = (0, BTreeMap::new());
    for minute in 0..10 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        if minute == 5 {
            // SNS is down for a moment when another recording fails.
            let down = Weather {
                sns_faults: 1.0,
                ..weather
            };
            world.set_weather(down);
            let body = callback_at("other", "5", 0, 1, &event_details(1), world.now_ms());
            world.invoke(&receiver, body.as_bytes()).await.unwrap();
            world.set_weather(weather);
            tokio::time::sleep(Duration::from_secs(20)).await;
        }
        let sweep = world.sweep(&sweeper).await;
        assert!(sweep.finished && sweep.errors == 0, "{:?}", sweep.remarks);
        assert!(sweep.looked > sessions, "all are looked at in each run");
        let now_ms = world.now_ms();
        for alert in alerts(&world).await {
            let sid = alert["sid"].as_s().unwrap();
            let is_sent = state(&alert) == "sent";
            if !is_sent || sid.starts_with("digest#") {
                continue;
            }
            told.entry(sid.to_owned()).or_insert_with(|| {
                if let Some(silent_at) = silent_at.get(sid) {
                    let late_ms = now_ms.checked_sub(*silent_at).expect("not too early");
                    assert!(late_ms <= TOLD_WITHIN, "{sid}: {late_ms} ms");
                    latest_ms = latest_ms.max(late_ms);
                }
                minute
            });
        }
    }
    assert_eq!(told.remove("other"), Some(5), "due alerts go first");
    told.remove("pattern");
    assert!(told.keys().eq(silent_at.keys()), "{} are told", told.len());
    for alert in alerts(&world).await {
        assert_eq!(state(&alert), "sent", "{alert:?}");
    }
    latest_ms
}

/// The alerts, those for many included.
async fn alerts(world: &Simulation) -> Vec<Item> {
    let scan = world.dynamodb().scan().table_name(TABLE);
    let items = scan.into_paginator().items().send();
    let items: Vec<Item> = items.collect::<Result<_, _>>().await.unwrap();
    items
        .into_iter()
        .filter(|item| item["item"].as_s().unwrap().starts_with("alert#"))
        .collect()
}

/// The item of a session.
async fn item(world: &Simulation, sid: &str) -> Item {
    let get = world.dynamodb().get_item().table_name(TABLE);
    let get = get.key("sid", AttributeValue::S(sid.to_owned()));
    let get = get.key("item", AttributeValue::S("session".to_owned()));
    get.send().await.unwrap().item.unwrap()
}

fn copy(pattern: &Item, sid: String, n: u64, heard_at: u64) -> Item {
    let mut item = pattern.clone();
    item.insert("sid".to_owned(), AttributeValue::S(sid));
    let shard = AttributeValue::S((n % 8).to_string());
    item.insert("watch_shard".to_owned(), shard);
    let heard_at = AttributeValue::N(heard_at.to_string());
    item.insert("heard_at".to_owned(), heard_at);
    item
}
