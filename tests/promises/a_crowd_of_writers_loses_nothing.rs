//! Many functions at once: one session written by all of them, and many sessions at the same time.
//! No update is lost, and nobody is sent away. In virtual time, where a request takes up to 14 ms:
//! on real sockets this would measure the machine.

use crate::harness::oracle::{by_definition, view};
use crate::harness::{Callback, Schedule, Simulation, TABLE, Weather, proof};
use agora_recording_callbacks::notification::Sid;
use agora_recording_callbacks::receive::Receiver;
use agora_recording_callbacks::session::Fact;
use agora_recording_callbacks::store::{Item, read_session};
use aws_sdk_dynamodb::types::AttributeValue;
use fastrand::Rng;
use futures_util::future::join_all;
use serde_json::json;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// As near as DynamoDB is.
const NEAR: Weather = Weather {
    table_faults: 0.0,
    handed_back: 0.0,
    sns_faults: 0.0,
    kills: 0.0,
    latency_ms: 8,
};

/// How many tries the session's write took, and how often.
type Tries = RefCell<BTreeMap<u32, u64>>;

async fn deliver(world: &Simulation, receiver: &Receiver, body: &str, tries: &Tries) {
    let handled = world.invoke(receiver, body.as_bytes()).await.unwrap();
    assert_eq!(handled.reply.status(), 200, "{:?}", handled.error);
    let attempts = handled.session.unwrap().attempts;
    *tries.borrow_mut().entry(attempts).or_default() += 1;
}

/// Compares a session with the callbacks that came.
async fn look(world: &Simulation, sid: &str, came: impl Iterator<Item = &Callback>) {
    let key = |text: &str| AttributeValue::S(text.to_owned());
    let get = world.dynamodb().get_item().table_name(TABLE);
    let got = get
        .key("sid", key(sid))
        .key("item", key("session"))
        .send()
        .await
        .unwrap();
    let item: Item = got.item.unwrap();
    let (session, store) = (read_session(&item), world.store());
    let mut missing = Vec::new();
    for recorder in &session.recorders {
        missing.push(
            store
                .missing(&Sid::new(sid).unwrap(), recorder)
                .await
                .unwrap(),
        );
    }
    let facts: Vec<Fact> = came
        .map(|callback| Fact::of(&callback.notification()))
        .collect();
    assert_eq!(view(&session, &missing), by_definition(&facts), "{sid}");
}

#[test]
fn sixty_four_writers_of_one_session() {
    skip_on_another_engine!("brings its own engine");
    let length = proof::scale(400, 2_000);
    let callbacks: Vec<Callback> = (0..length)
        .map(|sequence| Callback {
            uid: "5".to_owned(),
            sequence,
            sendts: 1_772_460_000_000 + 1000 * sequence,
            event_type: if sequence % 10 == 0 { 42 } else { 33 },
            details: json!({"progress": sequence, "startUtcMs": sequence,
                "discontinueUtcMs": sequence}),
            scene: None,
        })
        .collect();
    let bodies: Vec<String> = callbacks
        .iter()
        .map(|callback| callback.body_of("a"))
        .collect();
    // Each one twice, in order, by whoever is free.
    let deliveries = RefCell::new(bodies.iter().flat_map(|body| [body, body]));
    Simulation::run(async {
        let world = Simulation::new(0, NEAR).await;
        let tries = Tries::default();
        let writer = async || {
            let receiver = world.receiver();
            loop {
                let body = deliveries.borrow_mut().next();
                let Some(body) = body else { return };
                deliver(&world, &receiver, body, &tries).await;
            }
        };
        join_all((0..64).map(|_| writer())).await;
        look(&world, "a", callbacks.iter()).await;
        println!(
            "proved: 64 writers, one session of {length} callbacks doubled: tries {:?}",
            tries.borrow()
        );
    });
}

#[test]
fn five_hundred_sessions_at_once() {
    skip_on_another_engine!("brings its own engine");
    let most = usize::try_from(proof::scale(8, 60)).unwrap();
    Simulation::run(async {
        let world = Simulation::new(0, NEAR).await;
        let tries = Tries::default();
        let session = async |number: u64| {
            let schedule = Schedule::random(&mut Rng::with_seed(number));
            let deliveries: Vec<&Callback> = schedule
                .deliveries
                .iter()
                .take(most)
                .map(|index| &schedule.callbacks[*index])
                .collect();
            let sid = format!("s{number}");
            let receivers = [world.receiver(), world.receiver()];
            let lane = async |number: usize| {
                for callback in deliveries.iter().skip(number).step_by(2) {
                    deliver(&world, &receivers[number], &callback.body_of(&sid), &tries).await;
                }
            };
            tokio::join!(lane(0), lane(1));
            look(&world, &sid, deliveries.iter().copied()).await;
            deliveries.len()
        };
        let delivered: usize = join_all((0..500).map(session)).await.into_iter().sum();
        println!(
            "proved: 500 sessions at once, {delivered} deliveries: tries {:?}",
            tries.borrow()
        );
    });
}
