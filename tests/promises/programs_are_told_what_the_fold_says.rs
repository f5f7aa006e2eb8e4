//! With a bus configured programs are told what the sorted callbacks say, whatever came in which
//! order, how often, and who was killed: no notice is lost, and none comes twice without an excuse.

use crate::harness::{
    BUS, Binary, Fault, Function, Plan, Schedule, Simulation, Stop, TABLE, TOPIC, Weather, Which,
    World, callback, event, event_details, lessons, proof, recordings, state, text, tick,
};
use agora_recording_callbacks::files::{FileList, covered};
use agora_recording_callbacks::notice::Notice;
use agora_recording_callbacks::notification::{Notification, Sid};
use agora_recording_callbacks::record::StoredEvent;
use agora_recording_callbacks::send::SendOutcome;
use agora_recording_callbacks::session::{Fact, Session};
use fastrand::Rng;
use futures_util::stream::{self, StreamExt};
use lessons::{Lesson, Recorded};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use testkit::SESSIONS;
use testkit::bus::{Event, Mood};
use testkit::sns::Mood as SnsMood;

const STARTED: &str = "Recording Started";
const READY: &str = "Recording Files Ready";
const ENDED: &str = "Recording Ended";
const ALERT: &str = "Recording Alert";
const INCIDENT: &str = "Recording Incident";

fn of<'a>(events: &'a [Event], detail_type: &str) -> Vec<&'a Value> {
    events
        .iter()
        .filter(|event| event.detail_type == detail_type)
        .map(|event| &event.detail)
        .collect()
}

/// What a program keeps that trusts only `Recording Files Ready`: of each recording the newest, if
/// the files are confirmed.
fn consume(events: &[Event]) -> BTreeMap<String, Value> {
    let mut newest: BTreeMap<String, Value> = BTreeMap::new();
    for detail in of(events, READY) {
        let sid = detail["sid"].as_str().unwrap().to_owned();
        let revision = |detail: &Value| detail["revision"].as_u64().unwrap();
        if newest
            .get(&sid)
            .is_none_or(|known| revision(detail) >= revision(known))
        {
            newest.insert(sid, detail.clone());
        }
    }
    newest.retain(|_, detail| detail["upload"] == "confirmed" || detail["upload"] == "backup");
    newest
}

/// What the callbacks that came say by definition: what became of the files, and which there are.
fn fold(came: &[Notification]) -> (Option<&'static str>, FileList) {
    let mut sorted = came.to_vec();
    sorted.sort_by_key(|one| (one.uid.clone(), one.sequence, one.fact_key()));
    let mut session = Session::default();
    for callback in &sorted {
        session.apply(&Fact::of(callback));
    }
    let stored = sorted
        .iter()
        .filter(|one| !one.is_heartbeat())
        .map(|one| StoredEvent {
            fact: one.fact_key(),
            sequence: one.sequence,
            event_type: one.event_type,
            uid: one.uid.clone(),
            sendts: one.sendts,
            service_scene: one.service_scene.clone(),
            details: one.details.clone(),
        });
    let stored: Vec<_> = stored.collect();
    let state = Some(session.uploads(&covered(&session, &stored), false).state);
    (state.map(|state| state.as_str()), FileList::of(&stored))
}

fn keys(detail: &Value) -> Vec<&str> {
    let files = detail["files"].as_array().unwrap().iter();
    files.map(|file| file["key"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn every_sample_shuffled_and_doubled_tells_what_it_should() {
    for session in &SESSIONS {
        let world = World::with_bus().await;
        let receiver = world.receiver();
        let came: Vec<Notification> = session.ordered.lines().map(lessons::read).collect();
        for (n, line) in session.shuffled.lines().enumerate() {
            let id = format!("{}-{n}", session.name);
            let now_ms = 1_772_500_000_000;
            world
                .deliver_as(&receiver, line.as_bytes(), &id, now_ms)
                .await;
        }
        let sweeper = world.sweeper();
        world.sweep_at(&sweeper, 1_772_500_030_000).await;
        let events = world.bus.events();
        assert!(events.iter().all(|event| event.bus == BUS
            && event.source == "agora-recording-callbacks"
            && event.detail["schema"] == 1));
        lessons::hold_against_schemas(&events);

        let (state, list) = fold(&came);
        let ready = consume(&events);
        let is_ready = matches!(state, Some("confirmed" | "backup"));
        assert_eq!(ready.len(), usize::from(is_ready), "{}", session.name);
        for detail in ready.values() {
            assert_eq!(detail["upload"].as_str(), state, "{}", session.name);
            let listed: Vec<_> = list.files.iter().map(|file| file.key()).collect();
            assert_eq!(keys(detail), listed);
            let playback = list.playback().map(|file| file.key());
            assert_eq!(detail["playback"]["key"].as_str(), playback);
            let uri = playback.map(|key| format!("s3://lessons/{key}"));
            assert_eq!(detail["playback"]["uri"].as_str(), uri.as_deref());
        }
        let started = came
            .iter()
            .filter_map(Notice::of)
            .filter(|notice| notice.news.detail_type() == STARTED)
            .map(|notice| notice.uid);
        let started: std::collections::BTreeSet<_> = started.collect();
        assert_eq!(
            of(&events, STARTED).len(),
            started.len(),
            "{}",
            session.name
        );

        // Nobody is told that it has ended until nothing has come for two minutes.
        assert_eq!(of(&events, ENDED).len(), 0);
        world.sweep_at(&sweeper, 1_772_500_180_000).await;
        world.sweep_at(&sweeper, 1_772_500_240_000).await;
        let events = world.bus.events();
        let [ended] = of(&events, ENDED)[..] else {
            panic!("{}: {events:?}", session.name)
        };
        let outcome = if session.phase == "failed" {
            "failed"
        } else {
            "normal"
        };
        assert_eq!(ended["outcome"], outcome, "{}", session.name);
        assert_eq!(ended["failure"].is_object(), outcome == "failed");
        lessons::hold_against_schemas(&events);

        // Every alert is one there, too.
        let alerts = of(&events, ALERT);
        let mut told: Vec<_> = alerts.iter().map(|it| it["incident"].clone()).collect();
        let published = world.sns.published();
        let all = published.iter().filter(|it| it.topic_arn == TOPIC);
        let context = |it: &testkit::sns::Published| {
            it.default["metadata"]["additionalContext"]["incident"].clone()
        };
        let mut by_sns: Vec<_> = all.map(context).collect();
        told.sort_by_key(Value::to_string);
        by_sns.sort_by_key(Value::to_string);
        assert_eq!(told, by_sns, "{}", session.name);

        // Nothing is left, and a resend of everything tells nothing again.
        for line in session.shuffled.lines() {
            world.deliver(&receiver, line.as_bytes()).await;
        }
        assert_eq!(world.bus.events().len(), events.len(), "{}", session.name);
        for item in world.scan().await {
            let key = text(&item, "item");
            // Files of which only some are confirmed wait for the rest.
            let waits = session.name == "failover" && key.starts_with("notice#files_ready#");
            if key.starts_with("notice#") || key.starts_with("alert#") {
                let state = if waits { "pending" } else { "sent" };
                assert_eq!(crate::harness::state(&item), state, "{key}");
            }
        }
    }
}

/// Sessions of every kind, 5 % of their callbacks lost, doubled, in any order, by several functions
/// at once: a program that polls nothing has exactly those whose confirmation arrived, each with
/// the right files.
#[test]
fn a_program_that_trusts_only_the_notice_has_exactly_what_was_confirmed() {
    skip_on_another_engine!("brings its own engine");
    let count = proof::scale_or("LESSONS", 300, 10_000);
    let sum = proof::on_all_cores("lesson", count, |seed| {
        let mut rng = Rng::with_seed(seed);
        let lesson = Lesson::random(&mut rng);
        Simulation::run(play_lesson(seed, lesson, Weather::default(), &mut rng))
    });
    println!("proved: {count} sessions with a bus: {sum:?}");
    assert!(sum.ready > count / 3, "{sum:?}");
}

/// The same in a rough world with functions that die anywhere: nothing is lost, and what is told
/// twice has an excuse.
#[test]
fn whatever_dies_or_fails_no_notice_is_lost() {
    skip_on_another_engine!("brings its own engine");
    let count = proof::scale_or("LESSONS", 200, 10_000);
    let sum = proof::on_all_cores("lesson", count, |seed| {
        let mut rng = Rng::with_seed(seed);
        let lesson = Lesson::random(&mut rng);
        let weather = Weather {
            table_faults: rng.f64() * 0.1,
            sns_faults: 0.2,
            kills: 0.1,
            ..Weather::default()
        };
        Simulation::run(play_lesson(seed, lesson, weather, &mut rng))
    });
    println!("proved: {count} sessions with a bus in a rough world: {sum:?}");
}

#[derive(Debug, Default)]
struct Told {
    ready: u64,
    notices: u64,
    twice: u64,
}

impl proof::Sum for Told {
    fn add(&mut self, other: Self) {
        self.ready += other.ready;
        self.notices += other.notices;
        self.twice += other.twice;
    }
}

async fn play_lesson(seed: u64, lesson: Lesson, weather: Weather, rng: &mut Rng) -> Told {
    let world = Simulation::new(seed, weather).await.with_bus();
    let functions = rng.usize(1..=4);
    let receivers: Vec<_> = (0..functions).map(|_| world.receiver()).collect();
    let arrivals = lesson.arrivals(rng);
    let next = std::sync::Mutex::new(arrivals.iter());
    let lane = async || {
        loop {
            let Some(index) = next.lock().unwrap().next() else {
                return;
            };
            let body = lesson.callbacks[*index].body_of("lesson");
            world.deliver(&receivers, &body).await;
        }
    };
    futures_util::future::join_all((0..functions).map(|_| lane())).await;
    let sweeper = world.sweeper();
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        world.sweep_or_die(&sweeper).await;
    }
    world.set_weather(Weather::default());
    for _ in 0..9 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        world.sweep(&sweeper).await;
    }

    let came: std::collections::BTreeSet<_> = arrivals.iter().copied().collect();
    let came: Vec<_> = came
        .into_iter()
        .map(|index| lessons::read(&lesson.callbacks[index].body_of("lesson")))
        .collect();
    let (state, list) = fold(&came);
    let events = world.events();
    lessons::hold_against_schemas(&events);
    let ready = consume(&events);
    let is_ready = matches!(state, Some("confirmed" | "backup"));
    // Of a recorder that another replaced, files may have been confirmed before that was known.
    let may_be_early = lesson.recorded == Recorded::Failover && !is_ready;
    assert!(
        ready.len() == usize::from(is_ready) || may_be_early,
        "{:?} {state:?} {events:?}",
        lesson.recorded
    );
    for detail in ready.values().filter(|_| is_ready) {
        assert_eq!(detail["upload"].as_str(), state);
        let listed: Vec<_> = list.files.iter().map(|file| file.key()).collect();
        let told = keys(detail);
        let is_truncated = detail["filesTruncated"] == true;
        assert!(told == listed || (is_truncated && listed.starts_with(&told)));
        let playback = list.playback().map(|file| file.key());
        assert_eq!(detail["playback"]["key"].as_str(), playback);
    }
    let mut times: BTreeMap<&str, u64> = BTreeMap::new();
    for event in &events {
        *times
            .entry(event.detail["id"].as_str().unwrap())
            .or_default() += 1;
    }
    let twice: u64 = times.values().map(|times| times - 1).sum();
    assert!(twice <= world.bus_excuses(), "{twice}: {times:?}");
    // Every job is done; one that waits waits for a recorder whose confirmation never came.
    let items = world.dynamodb().scan().table_name(TABLE).send().await;
    for item in items.unwrap().items() {
        let key = text(item, "item");
        if key.starts_with("notice#") && !may_be_early {
            assert_eq!(crate::harness::state(item), "sent", "{item:?}");
        }
    }
    Told {
        ready: u64::try_from(ready.len()).unwrap(),
        notices: u64::try_from(events.len()).unwrap(),
        twice,
    }
}

/// Random callbacks that fit nothing: the alerts and notices of a bus do no harm to what is stored.
#[test]
fn whatever_comes_is_stored_with_a_bus_as_without() {
    skip_on_another_engine!("brings its own engine");
    let count = proof::scale(60, 5_000);
    proof::on_all_cores("schedule", count, |seed| {
        let schedule = Schedule::random(&mut Rng::with_seed(seed));
        let sessions = [false, true].map(|has_bus| {
            let schedule = &schedule;
            Simulation::run(async move {
                let world = Simulation::new(seed, Weather::default()).await;
                let world = if has_bus { world.with_bus() } else { world };
                let receivers = [world.receiver()];
                for index in &schedule.deliveries {
                    let body = schedule.callbacks[*index].body();
                    world.deliver(&receivers, &body).await;
                }
                let sid = Sid::new("a").unwrap();
                let record = world.store().record(&sid).await.unwrap().unwrap();
                let mut events = record.events;
                events.sort_by(|one, other| one.fact.cmp(&other.fact));
                (record.watched.session, events)
            })
        });
        assert_eq!(sessions[0], sessions[1]);
        Told::default()
    });
}

#[tokio::test]
async fn without_a_bus_nothing_changes() {
    let world = World::new().await;
    let receiver = world.receiver();
    for line in SESSIONS[0].ordered.lines() {
        world.deliver(&receiver, line.as_bytes()).await;
    }
    world.sweep_at(&world.sweeper(), 1_772_500_180_000).await;
    assert_eq!(world.bus.requests(), 0);
    for item in world.scan().await {
        assert!(!text(&item, "item").starts_with("notice#"), "{item:?}");
        assert!(!item.contains_key("told_end"));
    }
}

#[tokio::test]
async fn a_bus_that_fails_holds_up_neither_callbacks_nor_alerts_and_is_told_later() {
    for mood in [Mood::Down, Mood::FailedEntry, Mood::Lost, Mood::Hanging] {
        let world = World::with_bus().await;
        let receiver = world.receiver();
        world.bus.set_mood(mood);
        let files = callback("a", "5", 1, 31, &json!({"status": 0, "fileList": "a.m3u8"}));
        let told = world.deliver(&receiver, files.as_bytes()).await;
        assert_eq!(told.reply.status(), 200, "{mood:?}");
        let is_told = told.notice == Some(SendOutcome::Published);
        assert!(!is_told, "{mood:?}");
        let failed = callback("a", "5", 2, 1, &event_details(1));
        let alert = world.deliver(&receiver, failed.as_bytes()).await;
        assert_eq!(alert.reply.status(), 200, "{mood:?}");
        assert_eq!(world.sns.published().len(), 2, "{mood:?}");
        world.end_leases("a").await;
        let now_ms = 1_772_460_100_000;
        let sweep = world.sweep_at(&world.sweeper(), now_ms).await;
        // Programs wait for the files, and for the alert in each of its two kinds of event.
        assert_eq!((sweep.notices_deferred, sweep.deferred), (3, 0), "{mood:?}");

        world.bus.set_mood(Mood::Well);
        world.end_leases("a").await;
        let sweep = world.sweep_at(&world.sweeper(), now_ms).await;
        assert_eq!((sweep.notices_sent, sweep.published), (3, 0), "{mood:?}");
        let events = world.bus.events();
        assert!(!of(&events, READY).is_empty() && !of(&events, ALERT).is_empty());
        assert_eq!(
            world.sns.published().len(),
            2,
            "the topics were served before"
        );
    }
}

#[tokio::test]
async fn topics_that_fail_do_not_hold_back_the_bus_and_a_storm_names_everybody_there() {
    let world = World::with_bus().await;
    let receiver = world.receiver();
    world.sns.set_mood(SnsMood::Down);
    let failed = callback("a", "5", 2, 1, &event_details(1));
    world.deliver(&receiver, failed.as_bytes()).await;
    assert_eq!(of(&world.bus.events(), ALERT).len(), 1);
    world.sns.set_mood(SnsMood::Well);
    world.end_leases("a").await;
    let now_ms = 1_772_460_100_000;
    world.sweep_at(&world.sweeper(), now_ms).await;
    assert_eq!(
        of(&world.bus.events(), ALERT).len(),
        1,
        "it was served before"
    );

    for n in 0..20 {
        let body = callback(&format!("s{n}"), "5", 2, 1, &event_details(1));
        let id = format!("storm-{n}");
        world
            .deliver_as(&receiver, body.as_bytes(), &id, 1_772_470_000_000)
            .await;
    }
    let events = world.bus.events();
    assert_eq!(of(&events, ALERT).len(), 1 + 20, "each by itself, at once");
    assert_eq!(of(&events, INCIDENT).len(), 1 + 3);
    world.sweep_at(&world.sweeper(), 1_772_470_060_000).await;
    let events = world.bus.events();
    assert_eq!(of(&events, ALERT).len(), 1 + 20, "nothing twice");
    let digest = *of(&events, INCIDENT).last().unwrap();
    assert_eq!(of(&events, INCIDENT).len(), 5, "{digest}");
    assert_eq!(
        (&digest["count"], &digest["sid"]),
        (&json!(17), &Value::Null)
    );
    assert_eq!(digest["members"].as_array().unwrap().len(), 17);
    lessons::hold_against_schemas(&events);
}

#[tokio::test]
async fn an_event_that_the_bus_refuses_stops_no_other_and_is_given_up_after_a_day() {
    let world = World::with_bus().await;
    let receiver = world.receiver();
    world.bus.set_mood(Mood::Choosy);
    for sid in ["bad0", "bad1", "bad2", "bad3", "good"] {
        let body = callback(sid, "5", 1, 31, &json!({"status": 0}));
        world.deliver(&receiver, body.as_bytes()).await;
        world.end_leases(sid).await;
    }
    let now_ms = 1_772_460_100_000;
    world.sweep_at(&world.sweeper(), now_ms).await;
    assert_eq!(world.bus.events().len(), 1);
    for n in 0..4 {
        world.end_leases(&format!("bad{n}")).await;
    }
    let day_ms = 24 * 60 * 60 * 1000;
    let sweep = world.sweep_at(&world.sweeper(), now_ms + day_ms).await;
    assert_eq!(sweep.notices_failed, 4);
    let failed = world
        .items_with("bad0", "notice#files_ready")
        .await
        .remove(0);
    assert_eq!(state(&failed), "failed");
    assert_eq!(text(&failed, "watch_shard"), "failed");
}

/// A place in the code that asks the table for something on behalf of a notice.
const PLACES: [(&str, &str, bool); 3] = [
    ("PutItem", "notice#", true),
    ("Query", "", false),
    ("UpdateItem", "notice#", false),
];

#[tokio::test]
async fn every_fault_of_a_notice_is_mended() {
    let cells: Vec<_> = PLACES
        .into_iter()
        .flat_map(|place| Fault::ALL.map(|fault| (place, fault)))
        .flat_map(|(place, fault)| {
            [Which::First, Which::Second, Which::Always].map(|which| (place, fault, which))
        })
        .collect();
    let outcomes: Vec<Result<(), String>> = stream::iter(cells)
        .map(|(place, fault, which)| async move {
            let (operation, key, is_needed) = place;
            let case = format!("{operation} {key} {fault:?} {which:?}");
            let world = World::with_bus().await;
            let receiver = world.receiver();
            let plan = Plan {
                operation,
                key,
                fault,
                which,
                seen: 0,
            };
            world.proxy.plan(Some(plan));
            let body = callback("a", "5", 1, 31, &json!({"status": 0, "fileList": "a.m3u8"}));
            let first = world.deliver(&receiver, body.as_bytes()).await;
            let status = first.reply.status();
            if status != 200 && !(is_needed && status == 503) {
                return Err(format!("{case}: {first:?}"));
            }
            world.proxy.plan(None);
            world.end_leases("a").await;
            if status == 503 {
                let again = world.deliver(&receiver, body.as_bytes()).await;
                if again.reply.status() != 200 {
                    return Err(format!("{case}: {again:?}"));
                }
            }
            world.sweep_at(&world.sweeper(), 1_772_460_100_000).await;
            let told = of(&world.bus.events(), READY).len();
            let most = if key == "notice#" { 2 } else { 1 };
            match (1..=most).contains(&told) {
                true => Ok(()),
                false => Err(format!("{case}: told {told} times, {first:?}")),
            }
        })
        .buffer_unordered(24)
        .collect()
        .await;
    let wrong: Vec<_> = outcomes.iter().filter_map(|it| it.as_ref().err()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    println!("proved: {} faults of a notice, all mended", outcomes.len());
}

/// Where the callback function is killed.
#[derive(Clone, Copy, Debug)]
enum Kill {
    /// At the request to the table after so many others.
    Table(u32, Stop),
    /// At the bus.
    Bus(Mood),
}

#[tokio::test]
async fn the_callback_function_killed_anywhere_loses_no_notice() {
    // The notice is claimed, event and session are written, all is read, the notice is marked.
    let table = (0..5).flat_map(|through| {
        [Stop::BeforeRequest, Stop::BeforeAnswer].map(|stop| Kill::Table(through, stop))
    });
    let kills = table.chain([Mood::Hanging, Mood::Mute].map(Kill::Bus));
    let mut killed = 0;
    for kill in kills {
        for is_resent in [false, true] {
            let world = World::with_bus().await;
            let function = Function::start(&world, &[]).await;
            let before = callback("a", "5", 0, 43, &event_details(43));
            function.invoke(event(&before)).await;
            let body = callback("a", "5", 1, 31, &json!({"status": 0, "fileList": "a.m3u8"}));
            match kill {
                Kill::Table(through, stop) => {
                    world.proxy.stop_after(through, stop);
                    function.enqueue(event(&body)).await;
                    world.proxy.stopped().await;
                }
                Kill::Bus(mood) => {
                    world.bus.set_mood(mood);
                    function.enqueue(event(&body)).await;
                    world.bus.asked().await;
                }
            }
            function.kill().await;
            world.proxy.go_on();
            world.bus.set_mood(Mood::Well);
            world.end_leases("a").await;
            // The sweeper may come by before the callback is sent again.
            let sweeper = Function::start_binary(Binary::Sweeper, &world, &[]).await;
            sweeper.invoke(tick()).await;
            if is_resent {
                let function = Function::start(&world, &[]).await;
                let answer = function.invoke(event(&body)).await;
                assert_eq!(answer["statusCode"], 200, "{kill:?}");
            }
            world.end_leases("a").await;
            sweeper.invoke(tick()).await;
            let last = world.session("a").await.recorders[0].ledger.last;
            // What is told follows from the events: the session may come with the next try.
            let is_stored = !world.items_with("a", "event#0000000001").await.is_empty();
            let events = world.bus.events();
            let told = of(&events, READY);
            let expected = if is_stored { 1..=2 } else { 0..=0 };
            assert!(
                expected.contains(&told.len()) && (is_stored && last == Some(1) || !is_resent),
                "{kill:?}, resent: {is_resent}: {told:?}"
            );
            for detail in told {
                assert_eq!(keys(detail), ["a.m3u8"]);
                assert_eq!(detail["upload"], "confirmed");
            }
            killed += 1;
        }
    }
    println!("proved: the callback function with a bus killed {killed} times, no notice lost");
}

#[tokio::test]
async fn the_sweeper_killed_anywhere_loses_no_notice() {
    let mut killed = 0;
    for through in 0.. {
        for stop in [Stop::BeforeRequest, Stop::BeforeAnswer] {
            let world = World::with_bus().await;
            world.bus.set_mood(Mood::Down);
            let receiver = world.receiver();
            for (sequence, event_type) in [(0, 40), (1, 31), (2, 11)] {
                let details = match event_type {
                    11 => json!({"exitStatus": 0}),
                    _ => json!({"status": 0}),
                };
                let body = callback("a", "5", sequence, event_type, &details);
                world.deliver(&receiver, body.as_bytes()).await;
            }
            world.bus.set_mood(Mood::Well);
            world.end_leases("a").await;
            let sweeper = Function::start_binary(Binary::Sweeper, &world, &[]).await;
            world.proxy.stop_after(through, stop);
            let id = sweeper.enqueue(tick()).await;
            let is_reached = tokio::select! {
                () = world.proxy.stopped() => true,
                _ = sweeper.answer(&id) => false,
            };
            sweeper.kill().await;
            world.proxy.go_on();
            world.end_leases("a").await;
            let sweeper = Function::start_binary(Binary::Sweeper, &world, &[]).await;
            for _ in 0..2 {
                sweeper.invoke(tick()).await;
            }
            let events = world.bus.events();
            for detail_type in [STARTED, READY, ENDED] {
                let told = of(&events, detail_type).len();
                let most = 1 + usize::from(is_reached);
                assert!(
                    (1..=most).contains(&told),
                    "{through} {stop:?}: {detail_type} {told}"
                );
            }
            if !is_reached {
                println!("proved: the sweeper with a bus killed {killed} times, no notice lost");
                assert!(killed > 20, "{killed}");
                return;
            }
            killed += 1;
        }
    }
}

#[tokio::test]
async fn a_test_alert_reaches_programs_and_says_what_it_is() {
    let world = World::with_bus().await;
    let (printed, ok) = recordings(&world, &["test-alert", "--kind", "session_silent"]).await;
    assert!(ok && printed.contains("facts    published"), "{printed}");
    let events = world.bus.events();
    lessons::hold_against_schemas(&events);
    let alerts = of(&events, ALERT);
    let actions: Vec<_> = alerts
        .iter()
        .map(|it| it["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["trigger", "resolve"]);
    assert_eq!(alerts[0]["incident"], alerts[1]["incident"]);
    assert!(alerts.iter().all(|alert| alert["test"] == true));
}
