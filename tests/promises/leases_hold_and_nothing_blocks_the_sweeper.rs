//! An alert is sent under a lease that is unique to a run and looked at before each publish, and an
//! item that can't be handled blocks no others.

use crate::harness::{
    Fault, Plan, Simulation, TABLE, Weather, Which, World, callback, event_details,
};
use agora_recording_callbacks::alert::Destination;
use agora_recording_callbacks::invocation::Invocation;
use agora_recording_callbacks::send::SendOutcome;
use agora_recording_callbacks::store::{Claim, LEASE_MS};
use agora_recording_callbacks::sweep::PUT_OFF_MS;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;
use std::time::Duration;
use testkit::sns::Mood;
use tokio::time::Instant;

const MIN: u64 = 60_000;
const T0: u64 = 1_772_460_000_000;

/// An alert of session `sid` that was written down at `T0` and not sent.
async fn leave_an_alert(world: &World, sid: &str) {
    world.sns.set_mood(Mood::Down);
    let body = callback(sid, "5", 3, 11, &event_details(11));
    let receiver = world.receiver();
    world.deliver_as(&receiver, body.as_bytes(), sid, T0).await;
    world.sns.set_mood(Mood::Well);
}

/// Changes an attribute of the alert of a session.
async fn set(world: &World, sid: &str, name: &str, value: AttributeValue) {
    let alert = world.items_with(sid, "alert#").await.remove(0);
    world
        .dynamodb
        .update_item()
        .table_name(TABLE)
        .key("sid", alert["sid"].clone())
        .key("item", alert["item"].clone())
        .update_expression("SET #name = :value")
        .expression_attribute_names("#name", name)
        .expression_attribute_values(":value", value)
        .send()
        .await
        .unwrap();
}

#[tokio::test]
async fn one_event_delivered_twice_is_two_owners() {
    for round in 0..20 {
        let world = World::new().await;
        leave_an_alert(&world, "a").await;
        let (one, other) = (world.sweeper(), world.sweeper());
        let deadline = Instant::now() + Duration::from_secs(60);
        // Lambda hands out the same request id again.
        let run = || Invocation::new("the-same", T0 + MIN, deadline);
        tokio::join!(one.sweep(run()), other.sweep(run()));
        assert_eq!(world.sns.published().len(), 1, "round {round}");
    }
}

#[tokio::test]
async fn nothing_is_published_under_a_lease_that_is_over() {
    let world = World::new().await;
    leave_an_alert(&world, "a").await;
    let stored = world.store().unsent_alerts().await.unwrap().remove(0);
    let (store, outbox) = (world.store(), world.outbox());
    let deadline = Instant::now() + Duration::from_secs(60);
    let claimed_at = T0 + MIN;
    let run = Invocation::new("slow", claimed_at, deadline);
    let leased = store.lease(stored, &[Destination::Alerts], run);
    let Claim::Ours(mut leased) = leased.await.unwrap() else {
        panic!("nobody else holds it");
    };
    let ends_at = leased.lease().ends_at();
    assert!((claimed_at + LEASE_MS..claimed_at + LEASE_MS + 5_000).contains(&ends_at));
    let late = Invocation::new("slow", ends_at, deadline);
    let sent = outbox.send(&store, &mut leased, late).await;
    assert_eq!(sent.outcome, SendOutcome::Deferred);
    assert_eq!(world.sns.published().len(), 0);
    // Whoever takes it over sends it.
    world.sweep_at(&world.sweeper(), claimed_at + MIN).await;
    assert_eq!(world.sns.published().len(), 1);
}

#[test]
fn a_lease_begins_with_its_write() {
    skip_on_another_engine!("brings its own engine");
    Simulation::run(async {
        let weather = Weather {
            sns_faults: 1.0,
            ..Weather::default()
        };
        let world = Simulation::new(1, weather).await;
        let body = callback("a", "5", 3, 11, &event_details(11));
        world
            .invoke(&world.receiver(), body.as_bytes())
            .await
            .unwrap();
        let mut alert = world.store().unsent_alerts().await.unwrap().remove(0).alert;
        alert.sid = "b".to_owned();
        let began_ms = world.now_ms();
        let deadline = Instant::now() + Duration::from_secs(60);
        let run = Invocation::new("slow", began_ms, deadline);
        // The run has taken some time, of the simulation, before it writes.
        tokio::time::sleep(Duration::from_secs(9)).await;
        let (store, to) = (world.store(), [Destination::Alerts].into());
        let Claim::Ours(leased) = store.claim_alert(alert, &to, run).await.unwrap() else {
            panic!("it is new");
        };
        assert_eq!(leased.lease().ends_at(), began_ms + 9_000 + LEASE_MS);
    });
}

#[tokio::test]
async fn alerts_that_cannot_be_written_are_put_off_and_block_no_others() {
    let world = World::new().await;
    // Three of one partition, older than a good one in it.
    for sid in ["bad1", "bad2", "bad3", "good"] {
        leave_an_alert(&world, sid).await;
        let shard = AttributeValue::S("due0".to_owned());
        set(&world, sid, "watch_shard", shard).await;
    }
    for sid in ["bad1", "bad2", "bad3"] {
        set(&world, sid, "version", AttributeValue::S("many".to_owned())).await;
        set(&world, sid, "watch_at", AttributeValue::N("1".to_owned())).await;
    }
    let sweeper = world.sweeper();
    let sweep = world.sweep_at(&sweeper, T0 + MIN).await;
    assert_eq!(sweep.unreadable, 3, "{:?}", sweep.remarks);
    assert_eq!(sweep.errors, 0, "{:?}", sweep.remarks);
    assert_eq!(sweep.published, 1, "{:?}", sweep.remarks);
    assert!(sweep.finished);
    let again = world.sweep_at(&sweeper, T0 + 2 * MIN).await;
    assert_eq!(again.unreadable, 0, "they are put off");
    let later = world.sweep_at(&sweeper, T0 + 2 * MIN + PUT_OFF_MS).await;
    assert_eq!(later.unreadable, 3, "and not forgotten");
    // A callback that reports the same trouble is stored all the same.
    let body = callback("bad1", "5", 3, 11, &event_details(11));
    let answer = world.deliver(&world.receiver(), body.as_bytes()).await;
    assert_eq!(answer.reply.status(), 200);
}

#[tokio::test]
async fn a_session_that_cannot_be_written_is_put_off() {
    let world = World::new().await;
    let receiver = world.receiver();
    let body = callback("a", "5", 0, 33, &json!({"progress": 1}));
    world.deliver_as(&receiver, body.as_bytes(), "r", T0).await;
    let sweeper = world.sweeper();
    world.proxy.plan(Some(Plan {
        operation: "TransactWriteItems",
        key: "",
        fault: Fault::Validation,
        which: Which::First,
        seen: 0,
    }));
    let sweep = world.sweep_at(&sweeper, T0 + 6 * MIN).await;
    world.proxy.plan(None);
    assert_eq!(sweep.unreadable, 1, "{:?}", sweep.remarks);
    assert_eq!(sweep.errors, 0, "{:?}", sweep.remarks);
}
