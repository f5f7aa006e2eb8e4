//! Whatever order, repetition and loss: the items of the table are those of the sorted callbacks.

use crate::harness::{World, callback, number, proof, text};
use agora_recording_callbacks::notification::Envelope;
use agora_recording_callbacks::secrets::Secret;
use agora_recording_callbacks::session::{Fact, Range, Session};
use agora_recording_callbacks::signature::{Header, SignatureHeaders, verify};
use agora_recording_callbacks::store::size;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use std::sync::Arc;
use testkit::plain::stable;
use testkit::{SESSIONS, SampleSession};

/// The parts of a session that no order of arrival may change. `missing` tells what is missing from
/// each recorder.
fn view(session: &Session, missing: &[Vec<Range>]) -> String {
    let recorders: Vec<_> = session
        .recorders
        .iter()
        .zip(missing)
        .map(|(r, missing)| {
            (
                &r.uid,
                r.announced_at,
                r.since,
                r.last_sendts,
                numbers(missing),
                r.ledger.last,
                &r.registers,
            )
        })
        .collect();
    format!("{:?} {recorders:?}", session.generation())
}

fn numbers(ranges: &[Range]) -> Vec<u64> {
    ranges.iter().flat_map(|(from, to)| *from..=*to).collect()
}

/// The view of a session as it is stored, archive included.
async fn stored(world: &World, sid: &str) -> String {
    view(&world.session(sid).await, &world.missing(sid).await)
}

/// The view of a session that was never stored.
fn computed(session: &Session) -> String {
    let missing: Vec<_> = session
        .recorders
        .iter()
        .map(|recorder| recorder.ledger.missing_ranges())
        .collect();
    view(session, &missing)
}

/// What the sorted callbacks come to, by the definition.
fn fold<'a>(bodies: impl IntoIterator<Item = &'a str>) -> Session {
    let mut facts: Vec<Fact> = bodies
        .into_iter()
        .map(|body| {
            let digest = testkit::sign::v2("s", body.as_bytes());
            let headers = SignatureHeaders {
                v2: Header::Once(digest.as_bytes()),
                v1: Header::Absent,
            };
            let verified = verify(headers, body.as_bytes(), &[Secret::new("s")], true).unwrap();
            Fact::of(
                &Envelope::read(&verified)
                    .unwrap()
                    .into_notification()
                    .unwrap(),
            )
        })
        .collect();
    facts.sort_by_key(|fact| (fact.sendts, fact.sequence));
    let mut session = Session::default();
    for fact in &facts {
        session.apply(fact);
    }
    session
}

fn sid(lines: &str) -> String {
    serde_json::from_str::<Value>(lines.lines().next().unwrap()).unwrap()["payload"]["sid"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn the_sample_sessions_give_the_same_items_in_order_and_shuffled_and_doubled() {
    for SampleSession {
        name,
        ordered,
        shuffled,
        alerts,
        ..
    } in &SESSIONS
    {
        let mut seen = Vec::new();
        for delivery in [ordered, shuffled] {
            let world = World::new().await;
            let receiver = world.receiver();
            let sid = sid(delivery);
            for line in delivery.lines() {
                assert_eq!(
                    world
                        .deliver(&receiver, line.as_bytes())
                        .await
                        .reply
                        .status(),
                    200
                );
            }
            assert_eq!(
                stored(&world, &sid).await,
                computed(&fold(ordered.lines())),
                "{name}"
            );
            let items: Vec<_> = world.items(&sid).await.iter().map(stable).collect();
            seen.push((items, world.sns.published().len()));
            assert_eq!(world.sns.published().len(), alerts.len(), "{name}");
        }
        assert_eq!(seen[0], seen[1], "{name}");
    }
}

/// Callbacks of a session with one or two recorders, most of them heartbeats, and the schedule of
/// their delivery.
fn schedule() -> impl Strategy<Value = (Vec<String>, Vec<usize>)> {
    let session =
        prop::collection::vec((0_u8..12, 0_i64..10_000), 5..160).prop_flat_map(|choices| {
            let len = choices.len();
            (
                Just(choices),
                prop::option::weighted(0.3, 1..len),
                prop::collection::vec((0_usize..len, 0_u8..9), len..len * 3),
            )
        });
    session.prop_map(|(choices, failover, picks)| {
        let mut bodies = Vec::new();
        for (index, (choice, value)) in choices.iter().enumerate() {
            let (event_type, details) = match choice {
                0 => (1, json!({"errorLevel": value % 6, "errorCode": value})),
                1 => (3, json!({"status": value % 9})),
                2 => (41, json!({"leaveCode": value % 25})),
                3 => (43, json!({"state": value % 2, "streamUid": "7"})),
                4 => (31, json!({"status": value % 2})),
                5 => (11, json!({"exitStatus": value % 2})),
                6 => (40, json!({"status": 0})),
                _ => (33, json!({"progress": value})),
            };
            let (uid, details, event_type) = match failover {
                Some(at) if index == at => ("100", json!({"newUid": 200}), 12),
                Some(at) if index > at => ("200", details, event_type),
                Some(_) | None => ("100", details, event_type),
            };
            bodies.push(callback(
                "a",
                uid,
                u64::try_from(index).unwrap(),
                event_type,
                &details,
            ));
        }
        // Some are never delivered, some several times; neighbours are swapped more than far ones.
        let len = bodies.len();
        let mut order: Vec<(usize, usize)> = picks
            .iter()
            .map(|(index, shift)| (index + usize::from(*shift) * 3 % len, *index))
            .collect();
        order.sort();
        (bodies, order.into_iter().map(|(_, index)| index).collect())
    })
}

#[test]
fn random_schedules_through_the_table_end_in_the_fold_of_the_sorted_callbacks() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    // More of the same on demand: SCHEDULES=1000 cargo test random_schedules
    let cases = u32::try_from(proof::scale_or("SCHEDULES", 30, 30)).unwrap();
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(&(schedule(), 1_usize..6), |((bodies, order), writers)| {
            runtime.block_on(async {
                let world = Arc::new(World::new().await);
                let lanes: Vec<Vec<String>> = (0..writers)
                    .map(|writer| {
                        order
                            .iter()
                            .skip(writer)
                            .step_by(writers)
                            .map(|index| bodies[*index].clone())
                            .collect()
                    })
                    .collect();
                let tasks: Vec<_> = lanes
                    .into_iter()
                    .map(|lane| {
                        let world = Arc::clone(&world);
                        tokio::spawn(async move {
                            let receiver = world.receiver();
                            for body in lane {
                                // A table that is too busy is asked again, as Agora would.
                                let mut status = 503;
                                for _ in 0..4 {
                                    if status == 503 {
                                        let handled = world.deliver(&receiver, body.as_bytes());
                                        status = handled.await.reply.status();
                                    }
                                }
                                assert_eq!(status, 200);
                            }
                        })
                    })
                    .collect();
                for task in tasks {
                    task.await.unwrap();
                }
                let delivered: std::collections::BTreeSet<usize> = order.iter().copied().collect();
                let expected = fold(delivered.iter().map(|index| bodies[*index].as_str()));
                prop_assert_eq!(stored(&world, "a").await, computed(&expected));
                let events = delivered
                    .iter()
                    .filter(|index| !bodies[**index].contains("\"eventType\":33,"))
                    .count();
                prop_assert_eq!(world.items_with("a", "event#").await.len(), events);
                let alerts = world.items_with("a", "alert#").await.len();
                // All in one minute: what is over three leaves with the next sweep.
                prop_assert_eq!(world.sns.published().len(), alerts.min(3));
                Ok(())
            })
        })
        .unwrap();
}

#[tokio::test]
async fn the_fast_path_and_the_slow_path_write_the_same_item() {
    // In order, all but the first fold take the fast path; in reverse, all but the first callback
    // take the slow one.
    let bodies: Vec<String> = (0..70)
        .map(|sequence| match sequence % 10 {
            0 => callback(
                "a",
                "5",
                sequence,
                42,
                &json!({"startUtcMs": sequence, "discontinueUtcMs": sequence}),
            ),
            4 => callback("a", "5", sequence, 2, &json!({"module": 1, "warnCode": 31})),
            _ => callback("a", "5", sequence, 33, &json!({"progress": sequence})),
        })
        .collect();
    let mut items = Vec::new();
    for delivery in [
        bodies.iter().collect::<Vec<_>>(),
        bodies.iter().rev().collect(),
    ] {
        let world = World::new().await;
        let receiver = world.receiver();
        for body in delivery {
            world.deliver(&receiver, body.as_bytes()).await;
        }
        assert_eq!(
            stored(&world, "a").await,
            computed(&fold(bodies.iter().map(String::as_str)))
        );
        items.push(stable(&world.session_item("a").await));
    }
    assert_eq!(items[0], items[1]);
}

#[tokio::test]
async fn what_is_missing_from_a_long_session_with_many_holes_is_known_exactly() {
    let world = World::new().await;
    let receiver = world.receiver();
    let beat = |sequence: u64| callback("a", "5", sequence, 33, &json!({"progress": 1}));
    let came: Vec<u64> = (0..1500).filter(|n| n % 3 != 1 && n % 50 > 3).collect();
    for sequence in &came {
        assert_eq!(
            world
                .deliver(&receiver, beat(*sequence).as_bytes())
                .await
                .reply
                .result(),
            "stored"
        );
    }
    let item = world.session_item("a").await;
    assert!(
        item.contains_key("missing_truncated") && size(&item) <= 1024,
        "{}",
        size(&item)
    );
    let mut missing: Vec<u64> = (0..1499).filter(|n| !came.contains(n)).collect();
    assert_eq!(numbers(&world.missing("a").await[0]), missing);

    // Callbacks that come hours late are found in the archive, once.
    for sequence in [0, 1, 700, 701, 1402, 1450] {
        let expected = if missing.contains(&sequence) {
            "late"
        } else {
            "duplicate"
        };
        assert_eq!(
            world
                .deliver(&receiver, beat(sequence).as_bytes())
                .await
                .reply
                .result(),
            expected,
            "{sequence}"
        );
        assert_eq!(
            world
                .deliver(&receiver, beat(sequence).as_bytes())
                .await
                .reply
                .result(),
            "duplicate",
            "{sequence}"
        );
        missing.retain(|n| *n != sequence);
        assert_eq!(numbers(&world.missing("a").await[0]), missing, "{sequence}");
    }
}

#[tokio::test]
async fn a_session_after_a_failover_takes_the_fast_path_again() {
    let world = World::new().await;
    let receiver = world.receiver();
    world
        .deliver(
            &receiver,
            callback("a", "5", 0, 40, &json!({"status": 0})).as_bytes(),
        )
        .await;
    world
        .deliver(
            &receiver,
            callback("a", "5", 1, 12, &json!({"newUid": "6"})).as_bytes(),
        )
        .await;
    for sequence in 0..2 {
        world
            .deliver(
                &receiver,
                callback("a", "6", sequence, 33, &json!({"progress": 1})).as_bytes(),
            )
            .await;
    }
    world.proxy.take();
    world
        .deliver(
            &receiver,
            callback("a", "6", 2, 33, &json!({"progress": 2})).as_bytes(),
        )
        .await;
    assert_eq!(world.proxy.take().len(), 1);
    let item = world.session_item("a").await;
    assert_eq!(number(&item, "generation"), 1);
    assert_eq!(
        item["progress"].as_m().unwrap()["generation"]
            .as_n()
            .unwrap(),
        "1"
    );
    // A receiver that never heard of the session finds its way, too.
    world
        .deliver(
            &world.receiver(),
            callback("a", "6", 3, 33, &json!({"progress": 3})).as_bytes(),
        )
        .await;
    assert_eq!(
        world.session("a").await.current().unwrap().ledger.last,
        Some(3)
    );
}

#[tokio::test]
async fn a_session_that_starts_over_takes_the_fast_path_again() {
    use aws_sdk_dynamodb::types::AttributeValue;
    let world = World::new().await;
    let receiver = world.receiver();
    let beat = |sequence| callback("a", "6", sequence, 33, &json!({"progress": 1}));
    let failover = callback("a", "5", 1, 12, &json!({"newUid": "6"}));
    for body in [&failover, &beat(0), &beat(1)] {
        world.deliver(&receiver, body.as_bytes()).await;
    }
    let key = |text: &str| AttributeValue::S(text.to_owned());
    let delete = world.dynamodb.delete_item().table_name("recordings");
    delete
        .key("sid", key("a"))
        .key("item", key("session"))
        .send()
        .await
        .unwrap();
    for sequence in 2..5 {
        world.deliver(&receiver, beat(sequence).as_bytes()).await;
    }
    world.proxy.take();
    world.deliver(&receiver, beat(5).as_bytes()).await;
    assert_eq!(world.proxy.take().len(), 1);
    assert_eq!(world.session("a").await.generation(), 0);
}

#[tokio::test]
async fn a_fact_under_a_known_number_is_stored_too() {
    let world = World::new().await;
    let receiver = world.receiver();
    for status in 0..3 {
        let body = callback("a", "5", 0, 3, &json!({ "status": status }));
        let handled = world.deliver(&receiver, body.as_bytes()).await;
        assert_eq!(handled.reply.result(), "stored");
    }
    assert_eq!(world.items_with("a", "event#").await.len(), 3);
}

#[tokio::test]
async fn a_session_item_spoiled_by_hand_does_not_stop_callbacks() {
    use aws_sdk_dynamodb::types::AttributeValue;
    let world = World::new().await;
    let receiver = world.receiver();
    world
        .deliver(
            &receiver,
            callback("a", "5", 0, 40, &json!({"status": 0})).as_bytes(),
        )
        .await;
    for spoiled in [
        "received",
        "last_sequence",
        "version",
        "uid",
        "missing",
        "phase",
        "since",
        "previous",
    ] {
        world
            .dynamodb
            .update_item()
            .table_name("recordings")
            .key("sid", AttributeValue::S("a".to_owned()))
            .key("item", AttributeValue::S("session".to_owned()))
            .update_expression("SET #a = :x, note = :x")
            .expression_attribute_names("#a", spoiled)
            .expression_attribute_values(":x", AttributeValue::S("spoiled".to_owned()))
            .send()
            .await
            .unwrap();
        let body = callback("a", "5", 5, 33, &json!({"progress": 1}));
        let handled = world.deliver(&receiver, body.as_bytes()).await;
        assert_eq!(handled.reply.status(), 200, "{spoiled} {:?}", handled.error);
        assert_eq!(text(&world.session_item("a").await, "note"), "spoiled");
    }
    assert!(size(&world.session_item("a").await) < 2048);
}
