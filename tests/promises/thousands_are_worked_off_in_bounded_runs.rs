//! However much is due: run after run works it off, nothing twice, nothing forgotten, though each
//! run is too short for all of it and each event is delivered twice.

use crate::harness::{
    Simulation, TABLE, TOPIC, Weather, callback_at, event_details, number, state, text,
};
use agora_recording_callbacks::invocation::Invocation;
use agora_recording_callbacks::store::Item;
use agora_recording_callbacks::sweep::{Sweep, Sweeper};
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::stream::{self, StreamExt};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

const ALERTS: u64 = 5_000;
const SESSIONS: u64 = 20_000;
const MIN: u64 = 60_000;
/// How long a run has; all alerts that are due take longer.
const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn five_thousand_alerts_and_twenty_thousand_sessions() {
    skip_on_another_engine!("brings its own engine");
    Simulation::run(play());
}

async fn play() {
    let world = Simulation::new(1, Weather::default()).await;
    let [pending, healthy, silent, over] = patterns(&world).await;
    let mut items = Vec::new();
    for n in 0..ALERTS {
        let mut alert = copy(&pending, format!("alert-{n}"), n);
        let due = AttributeValue::S(format!("due{}", n % 8));
        alert.insert("watch_shard".to_owned(), due);
        items.push(untried(alert));
    }
    for n in 0..SESSIONS {
        let (pattern, name) = match n % 10 {
            0 => (&silent, "silent"),
            1 => (&over, "over"),
            _ => (&healthy, "healthy"),
        };
        items.push(copy(pattern, format!("{name}-{n}"), n));
    }
    let puts = stream::iter(items).map(|item| {
        let put = world.dynamodb().put_item().table_name(TABLE);
        put.set_item(Some(item)).send()
    });
    puts.buffer_unordered(64)
        .for_each(async |put| drop(put.unwrap()))
        .await;
    tokio::time::sleep(Duration::from_secs(10 * 60)).await;

    let sweepers = [world.sweeper(), world.sweeper()];
    let (mut whole, mut runs) = (Sweep::default(), 0);
    loop {
        let id = format!("run-{runs}");
        let both = sweepers.each_ref().map(|sweeper| run(&world, sweeper, &id));
        let both = futures_util::future::join_all(both).await;
        runs += 1;
        for sweep in &both {
            assert_eq!(sweep.errors, 0, "{:?}", sweep.remarks);
            assert_eq!(sweep.unreadable, 0, "{:?}", sweep.remarks);
            whole.looked += sweep.looked;
            whole.published += sweep.published;
            whole.closed += sweep.closed;
        }
        // What a run's end cut off between claim and publish is due again by the next one.
        tokio::time::sleep(Duration::from_secs(60) - PATIENCE).await;
        if both.iter().all(|sweep| sweep.finished) {
            break;
        }
        assert!(runs < 20, "{whole:?}");
    }
    assert!(runs > 1, "the runs are meant to be too short");
    println!("{runs} runs of two sweepers: {whole:?}");
    let last = run(&world, &sweepers[0], "last").await;

    // The pattern: SNS may have taken it, and not said so.
    let mut published = world.published();
    published.retain(|id, _| !id.starts_with("pending/"));
    let twice: Vec<_> = published.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "nothing twice: {twice:?}");
    let messages = world.messages();
    let contexts = messages
        .iter()
        .filter(|message| message.topic_arn == TOPIC)
        .map(|message| &message.default["metadata"]["additionalContext"]);
    let told: u64 = contexts
        .filter(|context| !context["alertId"].as_str().unwrap().starts_with("pending/"))
        .map(|context| {
            let count = context["count"].as_str();
            count.map_or(1, |count| count.parse().unwrap())
        })
        .sum();
    assert_eq!(told, ALERTS + SESSIONS / 10, "nothing forgotten");
    for item in scan(&world).await {
        if text(&item, "item").starts_with("alert#") {
            assert_eq!(state(&item), "sent", "{item:?}");
            let sid = text(&item, "sid");
            let names = ["alert-", "silent-", "digest#"];
            assert!(names.iter().any(|name| sid.starts_with(name)), "{sid}");
        }
    }
    let mut sessions = 0;
    for item in scan(&world).await {
        if text(&item, "item") != "session" {
            continue;
        }
        sessions += 1;
        let (name, _) = text(&item, "sid").split_once('-').unwrap();
        let expected = match name {
            "healthy" => 1,
            "silent" => 2,
            _ => 3,
        };
        let version = number(&item, "version");
        assert_eq!(version, expected, "{name}: only what was found is written");
    }
    assert_eq!(sessions, SESSIONS);
    // What still has to be watched is looked at again, the rest isn't marked any more.
    assert_eq!(last.looked, SESSIONS - SESSIONS / 10);
    assert_eq!(last.published, 0);
    assert!(last.finished);
}

async fn run(world: &Simulation, sweeper: &Sweeper, id: &str) -> Sweep {
    let deadline = Instant::now() + PATIENCE;
    sweeper
        .sweep(Invocation::new(id, world.now_ms(), deadline))
        .await
}

/// Real items: a pending alert, and sessions that will be healthy, silent, and over.
async fn patterns(world: &Simulation) -> [Item; 4] {
    let receiver = world.receiver();
    let deliver = async |sid: &str, sequence, event_type, details| {
        let body = callback_at(sid, "5", sequence, event_type, &details, world.now_ms());
        let handled = world.invoke(&receiver, body.as_bytes()).await.unwrap();
        assert_eq!(handled.reply.status(), 200);
    };
    let down = Weather {
        sns_faults: 1.0,
        ..Weather::default()
    };
    world.set_weather(down);
    deliver("pending", 0, 1, event_details(1)).await;
    world.set_weather(Weather::default());
    deliver("healthy", 0, 33, json!({"progress": 1})).await;
    deliver("silent", 0, 33, json!({"progress": 1})).await;
    deliver("over", 0, 41, json!({"leaveCode": 24})).await;
    deliver("over", 1, 31, json!({"status": 0})).await;
    let (mut patterns, mut alert) = (BTreeMap::new(), None);
    for item in scan(world).await {
        let delete = world.dynamodb().delete_item().table_name(TABLE);
        let delete = delete.key("sid", item["sid"].clone());
        let delete = delete.key("item", item["item"].clone());
        delete.send().await.unwrap();
        if text(&item, "item") == "session" {
            patterns.insert(text(&item, "sid").to_owned(), item);
        } else if text(&item, "item").starts_with("alert#") {
            alert = Some(item);
        }
    }
    let mut healthy = patterns.remove("healthy").unwrap();
    let heard_at = AttributeValue::N((world.now_ms() + 60 * MIN).to_string());
    healthy.insert("heard_at".to_owned(), heard_at);
    let [silent, over] = ["silent", "over"].map(|name| patterns.remove(name).unwrap());
    [alert.unwrap(), healthy, silent, over]
}

/// An alert as one is left that enough went before of in its minute.
fn untried(mut alert: Item) -> Item {
    let mut to = alert["to"].as_m().unwrap().clone();
    for delivery in to.values_mut() {
        if let AttributeValue::M(delivery) = delivery {
            delivery.insert("tried".to_owned(), AttributeValue::Bool(false));
        }
    }
    alert.insert("to".to_owned(), AttributeValue::M(to));
    alert
}

fn copy(pattern: &Item, sid: String, n: u64) -> Item {
    let mut item = pattern.clone();
    item.insert("sid".to_owned(), AttributeValue::S(sid));
    let shard = AttributeValue::S((n % 8).to_string());
    item.insert("watch_shard".to_owned(), shard);
    item
}

async fn scan(world: &Simulation) -> Vec<Item> {
    let scan = world.dynamodb().scan().table_name(TABLE);
    let items = scan.into_paginator().items().send();
    items.collect::<Result<_, _>>().await.unwrap()
}
