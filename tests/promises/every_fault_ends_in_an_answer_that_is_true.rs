//! Whatever goes wrong with a request to the table, wherever and however often: the answer is one
//! of the table's, it comes in time, 200 means that everything is stored, and once it is mended a
//! resend ends in the right items.

use crate::harness::{
    CRITICAL_TOPIC, Fault, Plan, TOPIC, Which, World, callback, delivery, event_details, number,
    text,
};
use agora_recording_callbacks::intake::Outcome;
use agora_recording_callbacks::store::Item;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use serde_json::json;
use std::time::Duration;
use testkit::{bus, sns};

/// A place in the code that asks the table for something, and the callback that gets there.
#[derive(Clone, Copy, Debug)]
struct Place {
    operation: &'static str,
    key: &'static str,
    /// The callback's number and event type; a body without a `sid` for 0.
    callback: (u64, u32),
    /// Whether the callback isn't stored if this fails for good.
    is_needed: bool,
}

const PLACES: [Place; 8] = [
    // An alert is claimed, its event and its session are written on the fast path, it is marked.
    Place {
        operation: "PutItem",
        key: "alert#",
        callback: (9, 11),
        is_needed: true,
    },
    Place {
        operation: "PutItem",
        key: "event#",
        callback: (9, 11),
        is_needed: true,
    },
    Place {
        operation: "UpdateItem",
        key: "session",
        callback: (9, 11),
        is_needed: true,
    },
    Place {
        operation: "UpdateItem",
        key: "alert#",
        callback: (9, 11),
        is_needed: false,
    },
    // A late one is merged on the slow path.
    Place {
        operation: "UpdateItem",
        key: "session",
        callback: (3, 32),
        is_needed: true,
    },
    Place {
        operation: "PutItem",
        key: "session",
        callback: (3, 32),
        is_needed: true,
    },
    // One that announces a recorder reads first.
    Place {
        operation: "GetItem",
        key: "session",
        callback: (9, 12),
        is_needed: true,
    },
    // What can't be read is kept.
    Place {
        operation: "PutItem",
        key: "quarantine#",
        callback: (0, 0),
        is_needed: true,
    },
];

/// The items a callback leaves; the session's is there before.
fn expected(place: Place) -> usize {
    match place.callback.1 {
        0 => 0,
        12 => 1,
        _ => 2,
    }
}

fn body(place: Place) -> String {
    match place.callback {
        (_, 0) => json!({"payload": {"cname": "room"}}).to_string(),
        (sequence, 12) => callback("a", "5", sequence, 12, &json!({"newUid": 6})),
        (sequence, event_type) => {
            callback("a", "5", sequence, event_type, &event_details(event_type))
        }
    }
}

/// What there is of `place`'s callback in the table.
async fn written(world: &World, place: Place) -> Vec<Item> {
    let (sequence, _) = place.callback;
    let mut items = world.items("a").await;
    items.retain(|item| {
        let key = text(item, "item");
        let is_its_own = key.starts_with("event#") || key.starts_with("alert#");
        is_its_own && number(item, "sequence") == sequence
    });
    items
}

async fn quarantined(world: &World) -> usize {
    let all = world.scan().await;
    all.iter()
        .filter(|item| text(item, "sid").starts_with("quarantine#"))
        .count()
}

async fn is_stored(world: &World, place: Place) -> bool {
    if place.callback.1 == 0 {
        return quarantined(world).await > 0;
    }
    let session = world.session("a").await;
    let missing = world.missing("a").await;
    let (sequence, _) = place.callback;
    let ledger = &session.recorders[0].ledger;
    let is_known = ledger.last >= Some(sequence)
        && !missing[0]
            .iter()
            .any(|(from, to)| (*from..=*to).contains(&sequence));
    is_known && written(world, place).await.len() == expected(place)
}

/// One cell: fails with what isn't as it should be.
async fn cell(place: Place, fault: Fault, which: Which) -> Result<&'static str, String> {
    let world = World::new().await;
    let receiver = world.receiver();
    for sequence in [0, 1, 5] {
        let before = callback("a", "5", sequence, 40, &event_details(40));
        world.deliver(&receiver, before.as_bytes()).await;
    }
    world.proxy.plan(Some(Plan {
        operation: place.operation,
        key: place.key,
        fault,
        which,
        seen: 0,
    }));
    let body = body(place);
    let answer = world.deliver(&receiver, body.as_bytes());
    // The deadline is in nine seconds; this is only so that a test ends that would hang.
    let Ok(handled) = tokio::time::timeout(Duration::from_secs(30), answer).await else {
        return Err("no answer in time".to_owned());
    };
    let status = handled.reply.status();
    let stored = is_stored(&world, place).await;
    if status == 200 && !stored {
        return Err(format!("200, and not stored: {handled:?}"));
    }
    if status != 200 && status != 503 {
        return Err(format!("{status}"));
    }
    if status == 503 && handled.error.is_none() {
        return Err("503 without a reason for the log".to_owned());
    }
    let is_for_good = which == Which::Always && fault != Fault::AnswerLost;
    // A validation error on the fast path means an item that somebody spoiled: it is read around.
    let is_read_around =
        fault == Fault::Validation && place.operation == "UpdateItem" && place.key == "session";
    if is_for_good && place.is_needed && !is_read_around && status != 503 {
        return Err(format!("{status} though it failed for good"));
    }
    // A transaction is over in a moment; only a write meets it.
    let is_over = fault == Fault::Conflict && which != Which::Always;
    if is_over && place.operation != "GetItem" && status != 200 {
        return Err(format!("{status} for a write that met a transaction"));
    }
    if !place.is_needed && status != 200 {
        return Err(format!("{status} for what doesn't matter to the sender"));
    }
    world.proxy.plan(None);
    world.end_leases("a").await;
    let again = world.deliver(&receiver, body.as_bytes()).await;
    if again.reply.status() != 200 || !is_stored(&world, place).await {
        return Err(format!("not mended: {again:?}"));
    }
    published(&world, place, &handled)?;
    Ok(handled.reply.result())
}

/// An alert that was written down is published: once, or twice where its mark or claim was lost.
fn published(world: &World, place: Place, first: &Outcome) -> Result<(), String> {
    let published = world.sns.published().len();
    let alerts = usize::from(matches!(place.callback.1, 11 | 32));
    let most = alerts * if place.key == "alert#" { 2 } else { 1 };
    if (alerts..=most).contains(&published) {
        Ok(())
    } else {
        Err(format!("published {published} times: {first:?}"))
    }
}

#[tokio::test]
async fn every_fault_at_every_place_first_second_and_always() {
    let cells: Vec<_> = PLACES
        .into_iter()
        .flat_map(|place| Fault::ALL.map(|fault| (place, fault)))
        .flat_map(|(place, fault)| {
            [Which::First, Which::Second, Which::Always].map(|which| (place, fault, which))
        })
        .collect();
    assert_eq!(cells.len(), 8 * 10 * 3);
    let outcomes: Vec<_> = stream::iter(cells)
        .map(|(place, fault, which)| async move {
            let outcome = cell(place, fault, which).await;
            (
                format!("{} {} {fault:?} {which:?}", place.operation, place.key),
                outcome,
            )
        })
        .buffer_unordered(24)
        .collect()
        .await;
    let wrong: Vec<_> = outcomes
        .iter()
        .filter_map(|(cell, outcome)| Some(format!("{cell}: {}", outcome.as_ref().err()?)))
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        outcomes.len(),
        wrong.join("\n")
    );
    let not_stored = outcomes
        .iter()
        .filter(|(_, outcome)| *outcome == Ok("not_stored"))
        .count();
    println!(
        "proved: {} faults at every place and time, {not_stored} of them answered 503, none \
        falsely 200, none too late",
        outcomes.len()
    );
    assert!(not_stored > 40);
}

#[tokio::test]
async fn a_table_that_cannot_be_reached_is_said_in_time() {
    let world = World::new().await;
    let receiver = world.receiver_without_table().await;
    let bodies = [(9, 11), (0, 0)].map(|callback| {
        body(Place {
            callback,
            ..PLACES[0]
        })
    });
    let answers = bodies
        .iter()
        .map(|body| world.deliver(&receiver, body.as_bytes()));
    for handled in join_all(answers).await {
        assert_eq!(handled.reply.status(), 503);
        assert!(handled.error.is_some());
    }
    // Nobody is told of what isn't written down: the callback comes again, and an alarm rings.
    assert_eq!(world.sns.published().len(), 0);
}

/// An endpoint that doesn't answer, and which destinations are behind it.
#[derive(Clone, Copy, Debug)]
enum Silent {
    Topics(sns::Mood, &'static [&'static str]),
    Bus(bus::Mood),
}

/// A critical alert of a callback, while somebody doesn't answer: the callback is stored, everybody
/// else is told at once, and those who weren't with the first run once they answer.
async fn told_beside(silent: Silent) {
    let world = World::with_bus().await;
    let receiver = world.receiver();
    let behind = match silent {
        Silent::Topics(mood, behind) => {
            world.sns.set_mood(mood);
            behind
        }
        Silent::Bus(mood) => {
            world.bus.set_mood(mood);
            &["incidents", "facts"]
        }
    };
    let body = callback("a", "5", 1, 11, &event_details(11));
    let handled = world.deliver(&receiver, body.as_bytes()).await;
    assert_eq!(handled.reply.status(), 200, "{silent:?}");
    let states = async || {
        let alert = world.items_with("a", "alert#").await.remove(0);
        ["critical", "alerts", "incidents", "facts"]
            .map(|at| (at, text(delivery(&alert, at), "state").to_owned()))
    };
    for (at, state) in states().await {
        let expected = if behind.contains(&at) {
            "pending"
        } else {
            "sent"
        };
        assert_eq!(state, expected, "{at} beside {silent:?}");
    }
    world.sns.set_mood(sns::Mood::Well);
    world.bus.set_mood(bus::Mood::Well);
    world.end_leases("a").await;
    world.sweep_at(&world.sweeper(), 1_772_460_060_000).await;
    for (at, state) in states().await {
        assert_eq!(state, "sent", "{at} after {silent:?}");
    }
    let count = |topic: &str| {
        let messages = world.sns.published();
        messages.iter().filter(|it| it.topic_arn == topic).count()
    };
    let is_mute = matches!(
        silent,
        Silent::Topics(sns::Mood::Mute, _) | Silent::Bus(bus::Mood::Mute)
    );
    for (at, topic) in [("critical", CRITICAL_TOPIC), ("alerts", TOPIC)] {
        // What hears and doesn't answer is asked again, by the SDK and by the sweeper.
        let may = if is_mute && behind.contains(&at) {
            2..=9
        } else {
            1..=1
        };
        assert!(may.contains(&count(topic)), "{at} after {silent:?}");
    }
}

#[tokio::test]
async fn a_destination_that_hangs_holds_up_no_other_and_is_told_later() {
    let silent = [
        Silent::Topics(sns::Mood::CriticalHangs, &["critical"]),
        Silent::Topics(sns::Mood::AllHangs, &["alerts"]),
        Silent::Topics(sns::Mood::Hanging, &["critical", "alerts"]),
        Silent::Topics(sns::Mood::Mute, &["critical", "alerts"]),
        Silent::Bus(bus::Mood::Hanging),
        Silent::Bus(bus::Mood::Mute),
    ];
    join_all(silent.map(told_beside)).await;
}
