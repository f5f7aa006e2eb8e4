//! When many recordings fall silent together, nobody's mailbox is flooded, and nobody is forgotten:
//! three alerts leave at once, the rest as digests, whatever fails and whoever dies. What takes
//! them back closes what they opened.

use crate::harness::{
    Binary, CRITICAL_TOPIC, Function, Heard, Pager, Simulation, TABLE, TOPIC, Weather, World,
    callback, callback_at, delivery, event, event_details, number, proof, state, text, tick,
};
use agora_recording_callbacks::store::Item;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use testkit::bus::Mood;
use testkit::sns::Published;
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn said<'a>(message: &'a Published, name: &str) -> &'a str {
    let context = &message.default["metadata"]["additionalContext"];
    context[name].as_str().unwrap_or_default()
}

/// The most messages that a topic got within some span that begins with one of them.
fn most_within(messages: &[Published], topic: &str, span: Duration) -> usize {
    let at: Vec<_> = messages
        .iter()
        .filter(|message| message.topic_arn == topic)
        .map(|message| message.at)
        .collect();
    let within = |begin: &Instant| {
        let within = at.iter().filter(|at| *at >= begin && **at < *begin + span);
        within.count()
    };
    at.iter().map(within).max().unwrap_or(0)
}

/// Delivers a heartbeat of each of these recordings.
async fn heartbeats(world: &Simulation, sessions: usize, sequence: u64) {
    let receivers = [world.receiver()];
    for n in 0..sessions {
        let body = callback_at(
            &format!("s{n}"),
            "5",
            sequence,
            33,
            &json!({"progress": 5000}),
            world.now_ms(),
        );
        world.deliver(&receivers, &body).await;
    }
}

/// Every item of the table.
async fn scan(world: &Simulation) -> Vec<Item> {
    let dynamodb = world.dynamodb();
    let items = dynamodb.scan().table_name(TABLE).into_paginator().items();
    items.send().collect::<Result<_, _>>().await.unwrap()
}

/// Checks that every alert of this kind was told to both topics, alone or in a digest that says how
/// many; and to the bus, unless it is dead.
fn nobody_is_forgotten(
    items: &[Item],
    messages: &[Published],
    kind: &str,
    sessions: usize,
    is_bus_dead: bool,
) {
    let alerts: Vec<_> = items
        .iter()
        .filter(|item| text(item, "item").starts_with(&format!("alert#{kind}#")))
        .collect();
    let (digests, single): (Vec<_>, Vec<_>) = alerts
        .into_iter()
        .partition(|item| text(item, "sid").starts_with("digest#"));
    assert_eq!(single.len(), sessions, "{kind}");
    for (to, topic) in [("alerts", TOPIC), ("critical", CRITICAL_TOPIC)] {
        let mut members: BTreeMap<&str, usize> = BTreeMap::new();
        for alert in &single {
            assert!(is_bus_dead || state(alert) == "sent", "{alert:?}");
            assert_ne!(text(delivery(alert, to), "state"), "pending", "{alert:?}");
            let id = format!("{}/{}", text(alert, "sid"), text(alert, "item"));
            let told = delivery(alert, to);
            match told.get("digest") {
                Some(digest) => *members.entry(digest.as_s().unwrap()).or_default() += 1,
                // What closes its digest tells of it, or a message with others.
                None if text(told, "state") == "needless" || kind.ends_with("_resolved") => {}
                None => {
                    let of = |message: &&Published| {
                        message.topic_arn == topic && said(message, "alertId") == id
                    };
                    assert!(messages.iter().any(|message| of(&message)), "{id} {topic}");
                }
            }
        }
        for (digest, count) in members {
            let mut of = messages
                .iter()
                .filter(|message| message.topic_arn == topic && said(message, "alertId") == digest);
            assert!(
                of.any(|message| said(message, "count") == count.to_string()),
                "{digest} tells of {count} on {topic}"
            );
        }
    }
    for digest in &digests {
        let to = digest["to"].as_m().unwrap();
        let is_on_bus = to.contains_key("incidents");
        assert!(
            is_bus_dead && is_on_bus || state(digest) == "sent",
            "{digest:?}"
        );
    }
}

/// The incidents that were closed at a destination while a recording in them was still silent.
fn closed_early(
    items: &[Item],
    heard: &[Heard],
    to: &str,
    spoke_at: &BTreeMap<String, Instant>,
) -> Vec<String> {
    let mut members: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for item in items {
        let (sid, key) = (text(item, "sid"), text(item, "item"));
        let Some(hash) = key.strip_prefix("alert#session_silent#") else {
            continue;
        };
        if !sid.starts_with("digest#") {
            let incident = match delivery(item, to).get("digest") {
                None => format!("{sid}/session_silent/{hash}"),
                Some(digest) => digest
                    .as_s()
                    .unwrap()
                    .replace("/alert#", "/")
                    .replace('#', "/"),
            };
            // The day of a digest has a hash of its own.
            let incident = incident.replacen("digest/", "digest#", 1);
            members.entry(incident).or_default().push(sid.to_owned());
        }
    }
    let mut early = Vec::new();
    for resolve in heard.iter().filter(|heard| heard.action == "resolve") {
        for incident in &resolve.incidents {
            let of = members.get(incident).into_iter().flatten();
            let silent = of.filter(|sid| spoke_at.get(*sid).is_none_or(|at| *at > resolve.at));
            early.extend(silent.map(|sid| format!("{incident}: {sid} is silent")));
        }
    }
    early
}

#[test]
fn two_hundred_fall_silent_and_speak_again() {
    skip_on_another_engine!("brings its own engine");
    const SESSIONS: usize = 200;
    Simulation::run(async {
        let world = Simulation::new(7, Weather::default()).await;
        let sweeper = world.sweeper();
        heartbeats(&world, SESSIONS, 0).await;
        tokio::time::sleep(MINUTE).await;
        world.sweep(&sweeper).await;
        tokio::time::sleep(6 * MINUTE).await;
        let sweep = world.sweep(&sweeper).await;
        assert_eq!(sweep.errors, 0, "{:?}", sweep.remarks);
        assert_eq!(sweep.looked, 200);
        assert_eq!(sweep.found, 200);
        let silent = world.messages();
        for topic in [TOPIC, CRITICAL_TOPIC] {
            assert_eq!(
                silent.iter().filter(|it| it.topic_arn == topic).count(),
                4,
                "three at once and a digest"
            );
            assert!(most_within(&silent, topic, SECOND) <= 6);
            assert!(most_within(&silent, topic, MINUTE) <= 6);
        }
        nobody_is_forgotten(
            &scan(&world).await,
            &silent,
            "session_silent",
            SESSIONS,
            false,
        );
        let digest = silent.last().unwrap();
        assert_eq!(digest.subject, "[CRITICAL] 197 recordings have gone silent");
        assert_eq!(said(digest, "count"), "197");
        assert_eq!(said(digest, "members").split(", ").count(), 20);
        assert!(digest.email.contains("and 177 more."), "{}", digest.email);
        let likelier = "the likelier cause is this receiver";
        assert!(digest.email.contains(likelier), "{}", digest.email);
        assert_eq!(
            digest.default["metadata"]["threadId"],
            said(digest, "incident")
        );

        heartbeats(&world, SESSIONS, 1).await;
        for _ in 0..3 {
            tokio::time::sleep(MINUTE).await;
            world.sweep(&sweeper).await;
        }
        let all = world.messages();
        let spoken = &all[silent.len()..];
        for topic in [TOPIC, CRITICAL_TOPIC] {
            assert!(most_within(spoken, topic, SECOND) <= 6);
            assert!(most_within(spoken, topic, MINUTE) <= 6, "{}", {
                let subjects: Vec<_> = spoken.iter().map(|it| it.subject.clone()).collect();
                subjects.join("\n")
            });
            let pager = Pager::of(&Heard::on_topic(&all, topic));
            assert_eq!(pager, Pager::default());
        }
        let items = scan(&world).await;
        nobody_is_forgotten(&items, &all, "session_silent_resolved", SESSIONS, false);
        let published = world.published();
        assert!(published.values().all(|times| *times == 1), "nothing twice");
    });
}

#[derive(Default)]
struct Storms {
    messages: usize,
    twice: u64,
}

impl proof::Sum for Storms {
    fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.twice += other.twice;
    }
}

#[test]
fn a_storm_in_any_weather_forgets_nobody_and_closes_what_it_opened() {
    skip_on_another_engine!("brings its own engine");
    const SESSIONS: usize = 30;
    let count = proof::scale(18, 400);
    let storms = proof::on_all_cores("storm", count, |seed| {
        Simulation::run(async move {
            let world = Simulation::new(seed, Weather::default()).await.with_bus();
            heartbeats(&world, SESSIONS, 0).await;
            tokio::time::sleep(6 * MINUTE).await;
            let n = usize::try_from(seed).unwrap();
            let weather = Weather {
                table_faults: [0.0, 0.05, 0.1][n % 3],
                sns_faults: [0.0, 0.3, 0.9][n / 3 % 3],
                kills: [0.0, 0.5][n / 9 % 2],
                ..Weather::default()
            };
            // One of the destinations never works: the others know nothing of it.
            let is_bus_dead = n % 5 == 4;
            if is_bus_dead {
                world.bus().set_mood(Mood::Down);
            }
            let mut spoke_at = BTreeMap::new();
            for phase in 0..2 {
                for round in 0..9 {
                    if phase == 1 {
                        world.set_weather(Weather::default());
                        // Some speak later than others.
                        let speak = SESSIONS.min(usize::try_from(6 * (round + 1)).unwrap());
                        heartbeats(&world, speak, round + 1).await;
                        for n in 0..speak {
                            let sid = format!("s{n}");
                            spoke_at.entry(sid).or_insert_with(Instant::now);
                        }
                    }
                    world.set_weather(weather);
                    // The rest of it in fair weather.
                    if round >= 4 {
                        world.set_weather(Weather::default());
                    }
                    // Two at the same moment, with nothing remembered.
                    let (one, other) = (world.sweeper(), world.sweeper());
                    tokio::join!(world.sweep_or_die(&one), world.sweep_or_die(&other));
                    tokio::time::sleep(MINUTE).await;
                }
            }
            let messages = world.messages();
            let items = scan(&world).await;
            nobody_is_forgotten(&items, &messages, "session_silent", SESSIONS, is_bus_dead);
            nobody_is_forgotten(
                &items,
                &messages,
                "session_silent_resolved",
                SESSIONS,
                is_bus_dead,
            );
            let events = world.events();
            for (to, heard) in [
                ("alerts", Heard::on_topic(&messages, TOPIC)),
                ("critical", Heard::on_topic(&messages, CRITICAL_TOPIC)),
                ("incidents", Heard::on_bus(&events, "Recording Incident")),
                ("facts", Heard::on_bus(&events, "Recording Alert")),
            ] {
                let is_dead = is_bus_dead && matches!(to, "incidents" | "facts");
                assert_eq!(heard.is_empty(), is_dead, "{seed}: {to}");
                let Pager { open, unheard, .. } = Pager::of(&heard);
                assert!(open.is_empty(), "{seed}: {to} has open: {open:#?}");
                assert!(unheard.is_empty(), "{seed}: {to} hears: {unheard:#?}");
                let early = closed_early(&items, &heard, to, &spoke_at);
                assert!(early.is_empty(), "{seed}: {to} closes early: {early:#?}");
            }
            for topic in [TOPIC, CRITICAL_TOPIC] {
                assert!(most_within(&messages, topic, SECOND) <= 10);
            }
            let twice = world.published().values().map(|times| times - 1).sum();
            assert!(
                twice <= world.excuses(),
                "{twice}, {} excuses",
                world.excuses()
            );
            Storms {
                messages: messages.len(),
                twice,
            }
        })
    });
    println!(
        "proved: {count} storms of {SESSIONS} recordings, {} messages: nobody forgotten, every \
         incident closed with its last recording, {} published again with an excuse",
        storms.messages, storms.twice
    );
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

#[test]
fn ten_thousand_pending_alerts_leave_within_ten_minutes_and_checks_go_on() {
    skip_on_another_engine!("brings its own engine");
    let alerts = usize::try_from(proof::scale(2_000, 10_000)).unwrap();
    Simulation::run(async {
        let world = Simulation::new(3, Weather::default()).await.with_bus();
        let fair = Weather {
            sns_faults: 1.0,
            ..Weather::default()
        };
        world.set_weather(fair);
        let receiver = [world.receiver()];
        let mut patterns = Vec::new();
        for event_type in [1, 11, 32] {
            let body = callback(
                "p",
                "5",
                event_type.into(),
                event_type,
                &event_details(event_type),
            );
            world.deliver(&receiver, &body).await;
        }
        world.set_weather(Weather::default());
        let dynamodb = world.dynamodb();
        for item in scan(&world).await {
            let delete = dynamodb.delete_item().table_name(TABLE);
            let key = delete.key("sid", item["sid"].clone());
            key.key("item", item["item"].clone()).send().await.unwrap();
            if text(&item, "item").starts_with("alert#") {
                patterns.push(item);
            }
        }
        assert_eq!(patterns.len(), 3);
        for n in 0..alerts {
            let mut item = untried(patterns[n % 3].clone());
            item.insert("sid".to_owned(), AttributeValue::S(format!("a{n}")));
            let put = dynamodb.put_item().table_name(TABLE);
            put.set_item(Some(item)).send().await.unwrap();
        }
        let sweeper = world.sweeper();
        tokio::time::sleep(10 * MINUTE).await;
        // What a topic takes late has come by now.
        let before = (world.messages().len(), world.events().len());
        let mut runs = 0;
        loop {
            heartbeats(&world, 3, runs).await;
            tokio::time::sleep(MINUTE).await;
            let sweep = world.sweep(&sweeper).await;
            assert_eq!(sweep.errors, 0, "{:?}", sweep.remarks);
            assert_eq!(sweep.looked, 3, "checks go on");
            runs += 1;
            let items = scan(&world).await;
            let pending = items
                .iter()
                .filter(|item| item.contains_key("to") && state(item) == "pending");
            let pending = pending.count();
            println!(
                "run {runs}: {pending} pending, {} published",
                sweep.published
            );
            if pending == 0 {
                break;
            }
            assert!(runs < 10, "{pending} are still pending");
        }
        let messages = world.messages().split_off(before.0);
        for topic in [TOPIC, CRITICAL_TOPIC] {
            assert!(most_within(&messages, topic, SECOND) <= 6);
        }
        let told: Vec<(&str, usize)> = messages
            .iter()
            .filter(|message| message.topic_arn == TOPIC)
            .map(|message| {
                let count = said(message, "count").parse().unwrap_or(1);
                (message.subject.as_str(), count)
            })
            .collect();
        assert_eq!(
            told.iter().map(|(_, count)| count).sum::<usize>(),
            alerts,
            "{told:?}"
        );
        let events = world.events().split_off(before.1);
        let facts: Vec<_> = events
            .iter()
            .filter(|event| event.detail_type == "Recording Alert")
            .map(|event| event.at)
            .collect();
        assert_eq!(facts.len(), alerts);
        let second = |begin: &Instant| {
            let until = *begin + SECOND;
            facts
                .iter()
                .filter(|at| (begin..&until).contains(at))
                .count()
        };
        let most = facts.iter().step_by(7).map(second).max();
        assert!(most.is_some_and(|most| most <= 400), "{most:?} in a second");
        println!("proved: {alerts} alerts told in {runs} runs; {most:?} facts in a second");
    });
}

#[test]
fn thousands_fall_silent_in_a_minute_and_are_told_in_time() {
    skip_on_another_engine!("brings its own engine");
    let sessions = usize::try_from(proof::scale(1_000, 10_000)).unwrap();
    Simulation::run(async {
        let world = Simulation::new(8, Weather::default()).await.with_bus();
        let (heard, receivers) = (Instant::now(), [world.receiver()]);
        let (to, of) = (&receivers, &world);
        let all = stream::iter(0..sessions).for_each_concurrent(16, async |n| {
            let details = json!({"progress": 5000});
            let body = callback_at(&format!("s{n}"), "5", 0, 33, &details, of.now_ms());
            of.deliver(to, &body).await;
        });
        all.await;
        let took = heard.elapsed();
        assert!(took < MINUTE, "{took:?}");
        let sweeper = world.sweeper();
        tokio::time::sleep(5 * MINUTE).await;
        let (begun, mut told, mut runs) = (Instant::now(), 0, 0);
        while told < sessions {
            tokio::time::sleep(MINUTE).await;
            let sweep = world.sweep(&sweeper).await;
            assert_eq!(sweep.errors, 0, "{:?}", sweep.remarks);
            assert!(
                sweep.lag_ms <= 60_000,
                "looks are late by {} ms",
                sweep.lag_ms
            );
            let messages = world.messages();
            let on_topic = messages.iter().filter(|it| it.topic_arn == TOPIC);
            told = on_topic
                .map(|it| said(it, "count").parse().unwrap_or(1))
                .sum();
            runs += 1;
            assert!(runs < 10, "{told} of {sessions} are told");
        }
        println!(
            "proved: {sessions} silences are told in {runs} runs, {:?}, heard within {took:?}",
            begun.elapsed()
        );
        assert_eq!(told, sessions);
        for _ in 0..3 {
            tokio::time::sleep(MINUTE).await;
            world.sweep(&sweeper).await;
        }
        let events = world.events();
        let facts = events
            .iter()
            .filter(|it| it.detail_type == "Recording Alert");
        let facts: Vec<_> = facts.map(|event| event.at).collect();
        assert_eq!(facts.len(), sessions);
        let within = |begin: &Instant| {
            let until = *begin + SECOND;
            facts
                .iter()
                .filter(|at| (begin..&until).contains(at))
                .count()
        };
        assert!(facts.iter().step_by(7).map(within).max() <= Some(400));
        for topic in [TOPIC, CRITICAL_TOPIC] {
            assert!(most_within(&world.messages(), topic, SECOND) <= 6);
        }
    });
}

#[tokio::test]
async fn forty_processes_alert_at_the_same_moment() {
    let world = World::new().await;
    let mut functions = Vec::new();
    for n in 0..40 {
        let function = Function::start(&world, &[]).await;
        let body = callback(&format!("s{n}"), "5", 0, 40, &event_details(40));
        function.invoke(event(&body)).await;
        functions.push(function);
    }
    world.proxy.take();
    let alerts = functions.iter().enumerate().map(|(n, function)| {
        let body = callback(&format!("s{n}"), "5", 1, 1, &event_details(1));
        async move { function.invoke(event(&body)).await }
    });
    for answer in join_all(alerts).await {
        assert_eq!(answer["statusCode"], 200);
    }
    // If the minute has changed meanwhile there are two counters.
    let counters: Vec<_> = world
        .scan()
        .await
        .into_iter()
        .filter(|item| text(item, "sid").starts_with("minute#"))
        .collect();
    let counted: Vec<_> = counters.iter().map(|it| number(it, "alerts")).collect();
    assert_eq!(counted.iter().sum::<u64>(), 40);
    let at_once = world.sns.published().len();
    let may: u64 = counted.iter().map(|count| *count.min(&3)).sum();
    assert_eq!(u64::try_from(at_once).unwrap(), may);

    let sweeper = Function::start_binary(Binary::Sweeper, &world, &[]).await;
    let sweep = sweeper.invoke(tick()).await;
    assert_eq!(sweep["published"], 1, "the rest is told at once: {sweep}");
    let published = world.sns.published();
    let digest = published.last().unwrap();
    assert_eq!(said(digest, "count"), (40 - at_once).to_string());
    assert_eq!(said(digest, "kind"), "fatal_error");
}
