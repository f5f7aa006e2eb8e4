//! Any order, repetition and loss of callbacks, written by several functions at once whose single
//! requests are interleaved, throttled, lost or carried out too late, and which are killed
//! anywhere: the items are those of the set of callbacks, and every alert is published, once where
//! nothing excuses more.
//!
//! Everything comes from a seed, which a failure tells: `SEED=17 cargo test any_schedule --
//! --nocapture` plays it again.

use crate::harness::oracle::{
    by_definition, failure, incident, incident_of_item, upload, view, view_in_memory,
};
use crate::harness::{
    CRITICAL_TOPIC, Callback, Fate, Schedule, Simulation, TABLE, TOPIC, Weather, delivery, proof,
    state, text,
};
use agora_recording_callbacks::alert::{AlertKind, Destination};
use agora_recording_callbacks::notification::Sid;
use agora_recording_callbacks::session::{Fact, Session};
use agora_recording_callbacks::store::{Item, read_session, size};
use aws_sdk_dynamodb::types::AttributeValue;
use fastrand::Rng;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Callbacks of a session in which every kind of state is told, with two alerts.
fn eight() -> Vec<Callback> {
    let events = [
        (3, json!({"status": 1})),
        (40, json!({"status": 0})),
        (43, json!({"state": 0, "streamUid": "7"})),
        (1, json!({"module": 1, "errorLevel": 5, "errorCode": 110})),
        (42, json!({"startUtcMs": 5, "discontinueUtcMs": 5})),
        (33, json!({"progress": 100})),
        (12, json!({"newUid": "200"})),
        (11, json!({"exitStatus": 1})),
    ];
    let callback = |(sequence, (event_type, details)): (u64, (u32, serde_json::Value))| Callback {
        uid: if sequence == 7 { "200" } else { "100" }.to_owned(),
        sequence,
        sendts: 1_772_460_000_000 + 1000 * sequence,
        event_type,
        details,
        scene: None,
    };
    (0..).zip(events).map(callback).collect()
}

/// The permutation of `0..8` with a given number, 0 to 40,319.
fn permutation(mut number: usize) -> Vec<usize> {
    let mut left: Vec<usize> = (0..8).collect();
    let mut permutation = Vec::new();
    for length in (1..=8).rev() {
        permutation.push(left.remove(number % length));
        number /= length;
    }
    permutation
}

fn facts(callbacks: &[Callback]) -> Vec<Fact> {
    callbacks
        .iter()
        .map(|callback| Fact::of(&callback.notification()))
        .collect()
}

#[test]
fn all_permutations_of_eight_callbacks_through_the_core() {
    skip_on_another_engine!("needs no engine");
    let facts = facts(&eight());
    let expected = by_definition(&facts);
    let distinct: BTreeSet<_> = (0..40_320).map(permutation).collect();
    assert_eq!(distinct.len(), 40_320);
    for order in distinct {
        let mut session = Session::default();
        for index in &order {
            session.apply(&facts[*index]);
        }
        assert_eq!(view_in_memory(&session), expected, "{order:?}");
    }
    println!("proved: 40,320 permutations of 8 callbacks through the core");
}

#[test]
fn all_permutations_of_eight_callbacks_through_the_table() {
    skip_on_another_engine!("brings its own engine");
    // In between, so that a short run sees early and late alerts alike.
    let step = proof::scale(251, 1);
    let summary = proof::on_all_cores("permutation", 40_320 / step, |number| {
        Simulation::run(play(
            number,
            permutation(usize::try_from(number * step).unwrap()),
            eight(),
            Weather::default(),
            2,
        ))
    });
    println!(
        "proved: {} permutations of 8 callbacks through the table: {summary}",
        40_320 / step
    );
}

#[test]
fn random_schedules_through_the_core() {
    skip_on_another_engine!("needs no engine");
    let count = proof::scale(60_000, 5_000_000);
    let callbacks = proof::on_all_cores("schedule", count, |seed| {
        let schedule = Schedule::random(&mut Rng::with_seed(seed));
        let facts = facts(&schedule.callbacks);
        let mut session = Session::default();
        for index in &schedule.deliveries {
            session.apply(&facts[*index]);
        }
        let came: BTreeSet<usize> = schedule.deliveries.iter().copied().collect();
        let came: Vec<Fact> = came.into_iter().map(|index| facts[index].clone()).collect();
        assert_eq!(view_in_memory(&session), by_definition(&came));
        Deliveries(u64::try_from(schedule.deliveries.len()).unwrap())
    });
    println!(
        "proved: {count} schedules through the core: {} deliveries",
        callbacks.0
    );
}

#[derive(Default)]
struct Deliveries(u64);

impl proof::Sum for Deliveries {
    fn add(&mut self, other: Self) {
        self.0 += other.0;
    }
}

#[test]
fn random_schedules_through_the_table() {
    skip_on_another_engine!("brings its own engine");
    let count = proof::scale_or("SIMULATIONS", 120, 200_000);
    let summary = proof::on_all_cores("schedule", count, |seed| {
        let mut rng = Rng::with_seed(seed);
        let schedule = Schedule::random(&mut rng);
        // A quarter each: fair, a rough table, a rough table and topic, and functions that are
        // killed as well.
        let rough = rng.f64() * 0.1;
        let weather = match seed % 4 {
            0 => Weather::default(),
            1 => Weather {
                table_faults: rough,
                handed_back: rough,
                ..Weather::default()
            },
            2 => Weather {
                table_faults: rough,
                handed_back: rough,
                sns_faults: 0.2,
                kills: 0.0,
                ..Weather::default()
            },
            _ => Weather {
                table_faults: rough,
                handed_back: rough,
                sns_faults: 0.2,
                kills: 0.1,
                ..Weather::default()
            },
        };
        Simulation::run(play(
            seed,
            schedule.deliveries,
            schedule.callbacks,
            weather,
            rng.usize(1..=6),
        ))
    });
    println!("proved: {count} schedules through the table: {summary}");
}

/// Plays deliveries by several functions at once, then the sweeper, and looks at everything that is
/// left.
async fn play(
    seed: u64,
    deliveries: Vec<usize>,
    callbacks: Vec<Callback>,
    weather: Weather,
    functions: usize,
) -> Summary {
    let world = Simulation::new(seed, weather).await;
    let receivers: Vec<_> = (0..functions).map(|_| world.receiver()).collect();
    let next = std::sync::Mutex::new(deliveries.iter());
    let lane = async || {
        loop {
            let index = next.lock().unwrap().next();
            let Some(index) = index else { return };
            world.deliver(&receivers, &callbacks[*index].body()).await;
        }
    };
    futures_util::future::join_all((0..functions).map(|_| lane())).await;

    // Leases run out; two sweepers at once, in the same weather, then in fair weather. A notice
    // waits for its alert, which the other one may be about to send: so once more.
    let sweepers = [world.sweeper(), world.sweeper()];
    let rough_rounds = if weather == Weather::default() { 0 } else { 2 };
    for round in 0..=rough_rounds + 1 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        if round == rough_rounds {
            world.set_weather(Weather::default());
        }
        let [one, other] = &sweepers;
        tokio::join!(world.sweep(one), world.sweep(other));
    }

    let came: BTreeSet<usize> = deliveries.iter().copied().collect();
    let came: Vec<&Callback> = came.into_iter().map(|index| &callbacks[index]).collect();
    look(&world, &came).await
}

/// Compares what is in the table and what was published with the callbacks that came.
async fn look(world: &Simulation, came: &[&Callback]) -> Summary {
    let items = items(world).await;
    let session_item = &items["session"];
    let session = read_session(session_item);
    let store = world.store();
    let mut missing = Vec::new();
    for recorder in &session.recorders {
        missing.push(
            store
                .missing(&Sid::new("a").unwrap(), recorder)
                .await
                .unwrap(),
        );
    }
    let facts: Vec<Fact> = came
        .iter()
        .map(|callback| Fact::of(&callback.notification()))
        .collect();
    assert_eq!(view(&session, &missing), by_definition(&facts));
    assert!(size(session_item) < 4096, "{}", size(session_item));

    let keys = |prefix: &str, filter: &dyn Fn(&Callback) -> bool| -> BTreeSet<String> {
        let came = came.iter().filter(|callback| filter(callback));
        came.map(|callback| format!("{prefix}{}", callback.notification().fact_key()))
            .collect()
    };
    let stored = |prefix: &str| -> BTreeSet<String> {
        items
            .keys()
            .filter(|key| key.starts_with(prefix))
            .cloned()
            .collect()
    };
    assert_eq!(
        stored("event#"),
        keys("event#", &|callback| callback.event_type != 33)
    );
    let alerts = stored("alert#");
    let rang: Vec<String> = alerts
        .iter()
        .filter_map(|key| incident_of_item(&items[key]))
        .collect();
    let incidents: BTreeSet<String> = came
        .iter()
        .filter_map(|callback| incident(callback))
        .collect();
    assert_eq!(
        rang.len(),
        incidents.len(),
        "once each: {rang:?} of {incidents:?}; {:?}",
        alerts.iter().map(|key| &items[key]).collect::<Vec<_>>()
    );
    assert_eq!(rang.into_iter().collect::<BTreeSet<_>>(), incidents);
    if let Some(current) = session.current() {
        let known = session
            .failure()
            .map(|failure| (failure.sequence, failure.at, failure.value.0));
        assert_eq!(known, failure(&current.uid, came));
    }
    for recorder in &session.recorders {
        let known = recorder.upload_state().as_str();
        assert_eq!(known, upload(&recorder.uid, came));
    }

    let published = world.published();
    for key in &alerts {
        assert_eq!(state(&items[key]), "sent", "{:?}", items[key]);
    }
    // Each is told to every topic that it is for, by itself or in a digest.
    let by_topic = world.published_by_topic();
    let mut twice: u64 = published.values().map(|times| times - 1).sum();
    for key in &alerts {
        let item = &items[key];
        let own = format!("a/{key}");
        let kind = AlertKind::read(text(item, "kind")).unwrap();
        let topics = [
            (Destination::Critical, CRITICAL_TOPIC),
            (Destination::Alerts, TOPIC),
        ];
        let topics = topics.into_iter().filter(|(to, _)| to.is_for(kind));
        let told = topics.map(|(to, topic)| {
            let digest = delivery(item, to.as_str()).get("digest");
            let digest = digest.map(|digest| digest.as_s().unwrap());
            let is_told = |id: &String| by_topic.contains_key(&(id.clone(), topic.to_owned()));
            u64::from(is_told(&own)) + u64::from(digest.is_some_and(is_told))
        });
        let told: Vec<_> = told.collect();
        assert!(told.iter().all(|times| *times > 0), "{own} {told:?}");
        twice += told.iter().max().unwrap() - 1;
    }
    assert!(
        twice <= world.excuses(),
        "{twice} published again, {} excuses: {by_topic:?}",
        world.excuses()
    );
    let (fates, kills, unavailable) = world.fates();
    Summary {
        alerts: u64::try_from(alerts.len()).unwrap(),
        twice,
        kills,
        unavailable,
        fates,
    }
}

async fn items(world: &Simulation) -> BTreeMap<String, Item> {
    let query = world
        .dynamodb()
        .query()
        .table_name(TABLE)
        .key_condition_expression("sid = :sid")
        .expression_attribute_values(":sid", AttributeValue::S("a".to_owned()))
        .into_paginator()
        .items()
        .send();
    let items: Vec<Item> = query.collect::<Result<_, _>>().await.unwrap();
    items
        .into_iter()
        .map(|item| (text(&item, "item").to_owned(), item))
        .collect()
}

/// What happened in simulations.
#[derive(Default)]
struct Summary {
    alerts: u64,
    twice: u64,
    kills: u64,
    unavailable: u64,
    fates: BTreeMap<Fate, u64>,
}

impl proof::Sum for Summary {
    fn add(&mut self, other: Self) {
        self.alerts += other.alerts;
        self.twice += other.twice;
        self.kills += other.kills;
        self.unavailable += other.unavailable;
        for (fate, times) in other.fates {
            *self.fates.entry(fate).or_default() += times;
        }
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            alerts,
            twice,
            kills,
            unavailable,
            fates,
        } = self;
        write!(
            f,
            "{alerts} alerts, none lost, {twice} published again; {kills} kills, {unavailable} \
            answers 503, requests {fates:?}"
        )
    }
}
