//! However much is due: run after run works it off, nothing twice, nothing forgotten.

use crate::harness::{TABLE, World, callback_at, event_details, number, text};
use agora_recording_callbacks::invocation::Invocation;
use agora_recording_callbacks::store::{Item, LEASE_MS};
use agora_recording_callbacks::sweep::Sweep;
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use testkit::sns::Mood;
use tokio::time::Instant;

const ALERTS: usize = 5_000;
const SESSIONS: usize = 20_000;
const MIN: u64 = 60_000;
const T0: u64 = 1_772_460_000_000;
const NOW: u64 = T0 + 10 * MIN;

#[tokio::test]
async fn five_thousand_alerts_and_twenty_thousand_sessions() {
    skip_on_another_engine!("is about volume");
    let world = World::new().await;
    let [pending, healthy, silent, over] = patterns(&world).await;
    let mut items = Vec::new();
    for n in 0..ALERTS {
        let mut alert = copy(&pending, format!("alert-{n}"), n);
        if n % 2 == 0 {
            // The others are where earlier versions put them.
            let due = AttributeValue::S("due".to_owned());
            alert.insert("watch_shard".to_owned(), due);
        }
        items.push(alert);
    }
    for n in 0..SESSIONS {
        let (pattern, name) = match n % 10 {
            0 => (&silent, "silent"),
            1 => (&over, "over"),
            _ => (&healthy, "healthy"),
        };
        items.push(copy(pattern, format!("{name}-{n}"), n));
    }
    write(&world, items).await;

    // Two sweepers, as after a slow run: each run has a few seconds, the next one has one more. All
    // sessions are looked at in each, so one that finishes needs the time for it.
    let sweepers = [world.sweeper(), world.sweeper()];
    let mut whole = Sweep::default();
    let mut runs = 0;
    loop {
        let patience = Duration::from_secs(4 + runs);
        let both = sweepers.iter().enumerate().map(|(n, sweeper)| {
            let owner = format!("run-{runs}-{n}");
            async move {
                let deadline = Instant::now() + patience;
                sweeper.sweep(Invocation::new(&owner, NOW, deadline)).await
            }
        });
        let both = futures_util::future::join_all(both).await;
        runs += 1;
        for sweep in &both {
            assert_eq!(sweep.errors, 0, "{:?}", sweep.remarks);
            assert_eq!(sweep.unreadable, 0, "{:?}", sweep.remarks);
            whole.looked += sweep.looked;
            whole.published += sweep.published;
            whole.closed += sweep.closed;
        }
        if both.iter().all(|sweep| sweep.finished) {
            break;
        }
        assert!(runs < 500, "{whole:?}");
    }
    assert!(runs > 1, "the runs are meant to be too short");
    println!("{runs} runs of two sweepers: {whole:?}");
    // Whatever a run's end cut off between claim and publish is due again after its lease.
    world.sweep_at(&sweepers[0], NOW + LEASE_MS + 1).await;

    let mut published = BTreeMap::new();
    for message in world.sns.published() {
        let sid = message.default["metadata"]["threadId"]
            .as_str()
            .unwrap()
            .to_owned();
        *published.entry(sid).or_insert(0) += 1;
    }
    assert!(published.values().all(|times| *times == 1), "nothing twice");
    assert_eq!(published.len(), ALERTS + SESSIONS / 10, "nothing forgotten");
    assert!(
        published
            .keys()
            .all(|sid| sid.starts_with("alert-") || sid.starts_with("silent-"))
    );
    let versions: Vec<_> = world
        .scan()
        .await
        .iter()
        .filter(|item| text(item, "item") == "session")
        .filter(|item| text(item, "sid") != "pending")
        .map(|item| {
            let (name, _) = text(item, "sid").split_once('-').unwrap();
            (name.to_owned(), number(item, "version"))
        })
        .collect();
    assert_eq!(versions.len(), SESSIONS);
    for (name, version) in versions {
        let expected = match name.as_str() {
            "healthy" => 1,
            "silent" => 2,
            _ => 3,
        };
        assert_eq!(version, expected, "{name}: only what was found is written");
    }
    // What still has to be watched is looked at again, the rest isn't marked any more.
    let sweep = world.sweep_at(&sweepers[0], NOW).await;
    assert_eq!(sweep.looked, (SESSIONS - SESSIONS / 10) as u64);
    assert_eq!(sweep.published, 0);
}

/// Real items: a pending alert, and sessions that are healthy, silent, and over, all of them due.
async fn patterns(world: &World) -> [Item; 4] {
    let receiver = world.receiver();
    let deliver = async |sid: &str, sequence, event_type, details, minute: u64| {
        let at = T0 + minute * MIN;
        let body = callback_at(sid, "5", sequence, event_type, &details, at);
        let handled = world
            .deliver_as(&receiver, body.as_bytes(), &format!("{sid}-{sequence}"), at)
            .await;
        assert_eq!(handled.reply.status(), 200);
    };
    world.sns.set_mood(Mood::Down);
    deliver("pending", 0, 1, event_details(1), 0).await;
    world.sns.set_mood(Mood::Well);
    deliver("healthy", 0, 33, json!({"progress": 1}), 9).await;
    deliver("silent", 0, 33, json!({"progress": 1}), 2).await;
    deliver("over", 0, 41, json!({"leaveCode": 24}), 0).await;
    deliver("over", 1, 31, json!({"status": 0}), 1).await;
    let mut alerts = world.items_with("pending", "alert#").await;
    let patterns = [
        alerts.remove(0),
        world.session_item("healthy").await,
        world.session_item("silent").await,
        world.session_item("over").await,
    ];
    for pattern in &patterns {
        world
            .dynamodb
            .delete_item()
            .table_name(TABLE)
            .key("sid", pattern["sid"].clone())
            .key("item", pattern["item"].clone())
            .send()
            .await
            .unwrap();
    }
    world.unwatch("pending").await;
    patterns
}

fn copy(pattern: &Item, sid: String, n: usize) -> Item {
    let mut item = pattern.clone();
    item.insert("sid".to_owned(), AttributeValue::S(sid));
    item.insert(
        "watch_shard".to_owned(),
        AttributeValue::S((n % 8).to_string()),
    );
    let watch_at = AttributeValue::N((T0 + n as u64).to_string());
    item.insert("watch_at".to_owned(), watch_at);
    item
}

async fn write(world: &World, items: Vec<Item>) {
    for some in items.chunks(25) {
        let puts = some.iter().map(|item| {
            let put = PutRequest::builder()
                .set_item(Some(item.clone()))
                .build()
                .unwrap();
            WriteRequest::builder().put_request(put).build()
        });
        let written = world
            .dynamodb
            .batch_write_item()
            .request_items(TABLE, puts.collect())
            .send()
            .await
            .unwrap();
        assert!(written.unprocessed_items.unwrap_or_default().is_empty());
    }
}
