//! What one destination of an alert does changes nothing at another: each is told, and told the
//! end, of what it was told of and under the name that it knows, whatever fails elsewhere.

use crate::harness::{
    CRITICAL_TOPIC, Fault, Function, Heard, Pager, Plan, Simulation, TOPIC, Trouble, Weather,
    Which, World, callback, callback_at, event, event_details, text,
};
use agora_recording_callbacks::intake::AlertOutcome;
use agora_recording_callbacks::receive::Receiver;
use agora_recording_callbacks::sweep::{Sweep, Sweeper};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use testkit::bus::Mood as BusMood;
use testkit::sns::{Mood, Published};

const T0: u64 = 1_772_460_000_000;
const MIN: u64 = 60_000;
const MINUTE: Duration = Duration::from_secs(60);

fn said<'a>(message: &'a Published, name: &str) -> &'a str {
    let context = &message.default["metadata"]["additionalContext"];
    context[name].as_str().unwrap_or_default()
}

fn kinds_on<'a>(messages: &'a [Published], topic: &str) -> Vec<&'a str> {
    let on = messages.iter().filter(|it| it.topic_arn == topic);
    on.map(|message| said(message, "kind")).collect()
}

/// The most messages on a topic within a second.
fn most_in_a_second(messages: &[Published], topic: &str) -> usize {
    let on = messages.iter().filter(|it| it.topic_arn == topic);
    let at: Vec<_> = on.map(|it| it.at).collect();
    let within = |begin: &tokio::time::Instant| {
        let end = *begin + Duration::from_secs(1);
        at.iter().filter(|at| *at >= begin && **at < end).count()
    };
    at.iter().map(within).max().unwrap_or(0)
}

struct Scene {
    world: World,
    receiver: Receiver,
    sweeper: Sweeper,
    n: u64,
}

impl Scene {
    fn of(world: World) -> Self {
        let (receiver, sweeper) = (world.receiver(), world.sweeper());
        Self {
            world,
            receiver,
            sweeper,
            n: 0,
        }
    }

    /// Delivers a callback `at` seconds after the beginning; its number is its turn.
    async fn say(&mut self, sid: &str, uid: &str, event_type: u32, details: Value, at: u64) {
        self.n += 1;
        let at = T0 + at * 1000;
        let body = callback_at(sid, uid, self.n, event_type, &details, at);
        let id = format!("r{}", self.n);
        let came = self
            .world
            .deliver_as(&self.receiver, body.as_bytes(), &id, at);
        assert_eq!(came.await.reply.status(), 200);
    }

    async fn beat(&mut self, sid: &str, at: u64) {
        self.say(sid, "5", 33, json!({"progress": 5000}), at).await;
    }

    async fn sweep(&mut self, at: u64) -> Sweep {
        let sweep = self.world.sweep_at(&self.sweeper, T0 + at * 1000).await;
        assert_eq!(sweep.errors, 0, "{:?}", sweep.remarks);
        sweep
    }

    /// A recorder fails, another takes over.
    async fn fail(&mut self, sid: &str, at: u64) {
        self.say(sid, "5", 11, json!({"exitStatus": 1}), at).await;
    }

    async fn fail_over(&mut self, sid: &str, at: u64) {
        self.say(sid, "5", 12, json!({"newUid": 6}), at).await;
        self.say(sid, "6", 40, json!({"status": 0}), at + 2).await;
        self.say(sid, "6", 33, json!({"progress": 1}), at + 3).await;
    }

    fn pager(&self, topic: &str) -> Pager {
        Pager::of(&Heard::on_topic(&self.world.sns.published(), topic))
    }
}

#[tokio::test]
async fn a_bus_that_is_down_keeps_no_resolve_from_people() {
    let mut s = Scene::of(World::with_bus().await);
    s.world.bus.set_mood(BusMood::Down);
    s.beat("a", 0).await;
    s.sweep(6 * 60).await;
    assert_eq!(s.pager(TOPIC).open.len(), 1);
    s.beat("a", 10 * 60).await;
    let sweep = s.sweep(10 * 60 + 1).await;
    assert_eq!(s.pager(TOPIC), Pager::default());
    // What only the bus waits for is no alert that people weren't told of.
    assert_eq!(
        (sweep.deferred + sweep.held, sweep.oldest_pending_ms),
        (0, 0)
    );
    assert!(sweep.notices_deferred > 0);
    s.world.bus.set_mood(BusMood::Well);
    for minute in [20, 21, 26, 32] {
        s.beat("a", minute * 60).await;
        s.sweep(minute * 60 + 1).await;
    }
    for detail_type in ["Recording Alert", "Recording Incident"] {
        let events = s.world.bus.events();
        let told = events.iter().filter(|it| it.detail_type == detail_type);
        assert_eq!(told.count(), 2, "{detail_type}");
        assert_eq!(
            Pager::of(&Heard::on_bus(&events, detail_type)),
            Pager::default()
        );
    }
}

#[tokio::test]
async fn a_topic_that_is_gone_keeps_no_resolve_from_the_other() {
    let mut s = Scene::of(World::with_critical_topic().await);
    s.world.sns.set_mood(Mood::WithoutCritical);
    s.beat("a", 0).await;
    s.sweep(6 * 60).await;
    s.beat("a", 10 * 60).await;
    s.sweep(10 * 60 + 1).await;
    let messages = s.world.sns.published();
    let expected = ["session_silent", "session_silent_resolved"];
    assert_eq!(kinds_on(&messages, TOPIC), expected);
    assert_eq!(s.pager(TOPIC), Pager::default());
    s.world.sns.set_mood(Mood::Well);
    for minute in [20, 26] {
        s.beat("a", minute * 60).await;
        s.sweep(minute * 60 + 1).await;
    }
    let messages = s.world.sns.published();
    assert_eq!(kinds_on(&messages, CRITICAL_TOPIC), expected);
    assert_eq!(s.pager(CRITICAL_TOPIC), Pager::default());
}

#[tokio::test]
async fn a_digest_is_closed_with_its_last_member_and_not_before() {
    let mut s = Scene::of(World::with_critical_topic().await);
    for n in 0..8 {
        s.beat(&format!("s{n}"), 0).await;
    }
    s.sweep(60).await;
    s.sweep(6 * 60).await;
    let mut members = Vec::new();
    for n in 0..8 {
        let sid = format!("s{n}");
        let alert = s.world.items_with(&sid, "alert#session_silent#").await;
        if crate::harness::delivery(&alert[0], "critical").contains_key("digest") {
            members.push(sid);
        }
    }
    assert_eq!(members.len(), 5);
    let before = s.pager(CRITICAL_TOPIC).open;
    s.world.sns.set_mood(Mood::Down);
    for (minute, member) in (10..).zip(&members[..2]) {
        s.beat(member, minute * 60).await;
        s.sweep(minute * 60 + 1).await;
    }
    s.world.sns.set_mood(Mood::Well);
    for minute in 12..16 {
        s.sweep(minute * 60 + 1).await;
        let speak = usize::try_from(minute - 9).unwrap().min(4);
        for member in &members[..speak] {
            s.beat(member, minute * 60 + 2).await;
        }
    }
    assert_eq!(s.pager(CRITICAL_TOPIC).open, before, "one is still silent");
    s.beat(&members[4], 17 * 60).await;
    s.sweep(17 * 60 + 1).await;
    let pager = s.pager(CRITICAL_TOPIC);
    assert_eq!((pager.open.len(), pager.unheard), (3, Vec::new()));
}

#[tokio::test]
async fn each_topic_closes_what_it_was_told_though_the_other_was_told_otherwise() {
    let mut s = Scene::of(World::with_critical_topic().await);
    for n in 0..6_u64 {
        let at = if n < 3 { 50 } else { 62 };
        s.say(&format!("w{n}"), "5", 32, json!({"status": 0}), at)
            .await;
    }
    for n in 0..6_u64 {
        let sid = format!("e{n}");
        s.say(&sid, "5", 40, json!({"status": 0}), 1).await;
        s.fail(&sid, if n < 3 { 52 } else { 64 }).await;
    }
    s.sweep(75).await;
    for n in 0..6 {
        s.fail_over(&format!("e{n}"), 80).await;
    }
    for at in [135, 195, 255, 315] {
        s.sweep(at).await;
    }
    let critical = s.pager(CRITICAL_TOPIC);
    assert_eq!(critical, Pager::default());
    let alerts = s.pager(TOPIC);
    assert!(alerts.unheard.is_empty(), "{alerts:#?}");
    assert!(
        alerts
            .open
            .iter()
            .all(|it| it.contains("backup_only_upload"))
    );
}

#[tokio::test]
async fn a_bus_that_hangs_holds_up_no_callback_twice() {
    let world = World::with_bus().await;
    world.bus.set_mood(BusMood::Hanging);
    let function = Function::start(&world, &[("CRITICAL_TOPIC_ARN", CRITICAL_TOPIC)]).await;
    for (sequence, event_type) in [(0, 1), (1, 31), (2, 40)] {
        let body = callback("a", "5", sequence, event_type, &event_details(event_type));
        let answer = function.invoke_within(event(&body), 3_000).await;
        assert_eq!(answer["statusCode"], 200);
    }
    // It was asked for the first one, and is the sweeper's for a minute.
    assert_eq!(world.bus.requests(), 2, "both events of the alert");
    for topic in [TOPIC, CRITICAL_TOPIC] {
        let messages = world.sns.published();
        assert_eq!(kinds_on(&messages, topic), ["fatal_error"], "{topic}");
    }
}

#[test]
fn a_bus_that_hangs_delays_neither_the_topics_nor_the_answer() {
    skip_on_another_engine!("brings its own engine");
    Simulation::run(async {
        let world = Simulation::new(7, Weather::default()).await.with_bus();
        world.bus().set_mood(BusMood::Hanging);
        let begin = tokio::time::Instant::now();
        let body = callback("a", "5", 0, 1, &event_details(1));
        let handled = world.invoke(&world.receiver(), body.as_bytes()).await;
        assert_eq!(handled.unwrap().reply.status(), 200);
        assert!(
            begin.elapsed() <= Duration::from_millis(1300),
            "{:?}",
            begin.elapsed()
        );
        let messages = world.messages();
        for topic in [TOPIC, CRITICAL_TOPIC] {
            let mut told = messages.iter().filter(|it| it.topic_arn == topic);
            let told = told.next().map(|it| it.at - begin);
            assert!(
                told.is_some_and(|at| at <= Duration::from_secs(1)),
                "{topic} {told:?}"
            );
        }
    });
}

/// Alerts that a broken destination waits for, then four critical ones in a minute: the fourth is
/// with people after so many runs.
async fn runs_until_the_fourth(world: &Simulation, backlog: u64, breaks: impl Fn(bool)) -> u64 {
    let (receivers, sweeper) = ([world.receiver()], world.sweeper());
    breaks(true);
    for n in 0..backlog {
        let details = json!({"exitStatus": 1});
        let body = callback_at(&format!("b{n}"), "5", 2, 11, &details, world.now_ms());
        world.deliver(&receivers, &body).await;
        tokio::time::sleep(Duration::from_secs(21)).await;
        if n % 3 == 2 {
            world.sweep(&sweeper).await;
        }
    }
    let now = world.now_ms();
    tokio::time::sleep(Duration::from_millis(MIN - now % MIN + 1000)).await;
    for n in 0..4 {
        let body = callback_at(&format!("n{n}"), "5", 2, 34, &json!({}), world.now_ms());
        world.deliver(&receivers, &body).await;
    }
    for run in 1..9 {
        tokio::time::sleep(Duration::from_secs(40)).await;
        world.sweep(&sweeper).await;
        let messages = world.messages();
        let told = kinds_on(&messages, TOPIC);
        let told = told
            .iter()
            .filter(|kind| **kind == "storage_credentials_expired");
        if told.count() == 4 {
            return run;
        }
    }
    panic!("it isn't told");
}

#[test]
fn however_many_wait_for_what_is_broken_people_are_told_with_the_next_run() {
    skip_on_another_engine!("brings its own engine");
    for mood in [BusMood::Hanging, BusMood::Down] {
        Simulation::run(async {
            let world = Simulation::new(11, Weather::default()).await.with_bus();
            let runs = runs_until_the_fourth(&world, 30, |_| world.bus().set_mood(mood)).await;
            assert_eq!(runs, 1, "the bus is {mood:?}");
        });
    }
    Simulation::run(async {
        let world = Simulation::new(12, Weather::default()).await;
        let gone = Mood::WithoutCritical;
        let runs = runs_until_the_fourth(&world, 30, |_| world.sns().set_mood(gone)).await;
        assert_eq!(runs, 1, "the critical topic is gone");
    });
}

#[test]
fn without_its_counter_a_storm_is_told_in_digests_all_the_same() {
    skip_on_another_engine!("brings its own engine");
    for trouble in [
        Trouble {
            counter_fails: true,
            ..Trouble::default()
        },
        Trouble {
            table_ms: 1200,
            ..Trouble::default()
        },
    ] {
        Simulation::run(async {
            let world = Simulation::new(13, Weather::default()).await;
            let sweeper = world.sweeper();
            let receivers = [world.receiver()];
            for n in 0..200 {
                let details = json!({"progress": 5000});
                let body = callback_at(&format!("s{n}"), "5", 0, 33, &details, world.now_ms());
                world.deliver(&receivers, &body).await;
            }
            tokio::time::sleep(7 * MINUTE).await;
            world.set_trouble(trouble);
            world.sweep(&sweeper).await;
            // A callback that can't be counted is left to the sweeper.
            let body = callback_at("x", "5", 1, 1, &event_details(1), world.now_ms());
            world.deliver(&receivers, &body).await;
            world.set_trouble(Trouble::default());
            tokio::time::sleep(MINUTE).await;
            world.sweep(&sweeper).await;
            let messages = world.messages();
            let count = kinds_on(&messages, TOPIC).len();
            // Three at once and a digest in each of the two runs, and the callback's own.
            assert!(count <= 9, "{trouble:?}: {count} messages");
            assert!(most_in_a_second(&messages, TOPIC) <= 6);
        });
    }
}

#[test]
fn a_dead_table_makes_none_of_a_thousand_processes_shout() {
    skip_on_another_engine!("brings its own engine");
    Simulation::run(async {
        let world = Simulation::new(5, Weather::default()).await.with_bus();
        world.set_trouble(Trouble {
            table_down: true,
            ..Trouble::default()
        });
        let receivers: Vec<_> = (0..1000).map(|_| world.receiver()).collect();
        let answers = receivers.iter().enumerate().map(async |(n, receiver)| {
            let body = callback(&format!("s{n}"), "5", 1, 1, &event_details(1));
            let handled = world.invoke(receiver, body.as_bytes()).await.unwrap();
            (handled.reply.status(), handled.alert)
        });
        for answer in join_all(answers).await {
            assert_eq!(answer, (503, Some(AlertOutcome::Unwritten)));
        }
        assert_eq!((world.messages().len(), world.events().len()), (0, 0));
    });
}

#[tokio::test]
async fn a_table_that_takes_no_alert_makes_nobody_shout() {
    let world = World::new().await;
    let mut functions = Vec::new();
    for n in 0..8 {
        let function = Function::start(&world, &[]).await;
        let body = callback(&format!("s{n}"), "5", 0, 40, &event_details(40));
        function.invoke(event(&body)).await;
        functions.push(function);
    }
    world.proxy.plan(Some(Plan {
        operation: "PutItem",
        key: "alert#",
        fault: Fault::Internal,
        which: Which::Always,
        seen: 0,
    }));
    let alerts = functions.iter().enumerate().map(|(n, function)| {
        let body = callback(&format!("s{n}"), "5", 1, 1, &event_details(1));
        async move { function.invoke(event(&body)).await["statusCode"].clone() }
    });
    for answer in join_all(alerts).await {
        assert_eq!(answer, 503, "it comes again");
    }
    assert_eq!(world.sns.published().len(), 0);
    for function in &functions {
        let log = function.log();
        assert!(
            log.iter()
                .any(|line| line.contains("\"AlertsUnwritten\":1"))
        );
    }
}

#[test]
fn three_hundred_that_were_told_alone_are_taken_back_in_one_message() {
    skip_on_another_engine!("brings its own engine");
    Simulation::run(async {
        let world = Simulation::new(14, Weather::default()).await;
        let (receivers, sweeper) = ([world.receiver()], world.sweeper());
        for n in 0..300 {
            let sid = format!("s{n}");
            for (sequence, event_type) in [(0, 40), (1, 42), (2, 32)] {
                let details = json!({"status": 0});
                let body = callback_at(&sid, "5", sequence, event_type, &details, world.now_ms());
                world.deliver(&receivers, &body).await;
            }
            tokio::time::sleep(Duration::from_secs(21)).await;
        }
        world.sweep(&sweeper).await;
        let before = world.messages().len();
        for n in 0..300 {
            let details = json!({"status": 0});
            let body = callback_at(&format!("s{n}"), "5", 3, 31, &details, world.now_ms());
            world.deliver(&receivers, &body).await;
        }
        for _ in 0..2 {
            tokio::time::sleep(MINUTE).await;
            world.sweep(&sweeper).await;
        }
        let messages = world.messages().split_off(before);
        let resolves = kinds_on(&messages, TOPIC);
        let resolves = resolves
            .iter()
            .filter(|it| **it == "backup_only_upload_resolved");
        assert_eq!(resolves.count(), 1);
        assert_eq!(
            Pager::of(&Heard::on_topic(&world.messages(), TOPIC)).open,
            BTreeSet::new()
        );
    });
}

#[tokio::test]
async fn good_news_uses_up_nothing_of_what_may_leave_at_once() {
    let mut s = Scene::of(World::with_critical_topic().await);
    for n in 0..3 {
        s.beat(&format!("s{n}"), 0).await;
    }
    s.sweep(6 * 60).await;
    for n in 0..3 {
        s.beat(&format!("s{n}"), 10 * 60).await;
    }
    s.sweep(10 * 60 + 5).await;
    s.say("x", "5", 1, event_details(1), 10 * 60 + 10).await;
    let messages = s.world.sns.published();
    for topic in [TOPIC, CRITICAL_TOPIC] {
        assert_eq!(kinds_on(&messages, topic).last(), Some(&"fatal_error"));
    }
}

#[tokio::test]
async fn a_pager_behind_the_bus_closes_what_it_opened_though_the_topics_were_down() {
    let mut s = Scene::of(World::with_bus().await);
    s.world.sns.set_mood(Mood::Down);
    for n in 0..6_u64 {
        let sid = format!("e{n}");
        s.say(&sid, "5", 40, json!({"status": 0}), 1).await;
        s.fail(&sid, if n < 3 { 10 } else { 70 }).await;
    }
    s.world.sns.set_mood(Mood::Well);
    s.sweep(150).await;
    for n in 0..6 {
        s.fail_over(&format!("e{n}"), 160).await;
    }
    for at in [215, 275, 335] {
        s.sweep(at).await;
    }
    let events = s.world.bus.events();
    for detail_type in ["Recording Alert", "Recording Incident"] {
        assert_eq!(
            Pager::of(&Heard::on_bus(&events, detail_type)),
            Pager::default(),
            "{detail_type}"
        );
    }
    assert_eq!(s.pager(TOPIC), Pager::default());
    let facts = events
        .iter()
        .filter(|it| it.detail_type == "Recording Alert");
    assert_eq!(facts.count(), 12, "every alert, and what takes it back");
}

#[test]
fn random_storms_close_every_incident_with_its_last_recording() {
    skip_on_another_engine!("brings its own engine");
    const SESSIONS: usize = 30;
    for seed in 0..10_u64 {
        Simulation::run(async move {
            let world = Simulation::new(seed, Weather::default()).await.with_bus();
            let receivers = [world.receiver()];
            let sweeper = world.sweeper();
            let mut rng = fastrand::Rng::with_seed(seed);
            let bad = Weather {
                sns_faults: 0.9,
                ..Weather::default()
            };
            let speaks: Vec<u64> = (0..SESSIONS).map(|_| rng.u64(0..8)).collect();
            for round in 0..28_u64 {
                // They speak, fall silent for six minutes, and come back one by one.
                for (n, back) in speaks.iter().enumerate() {
                    if round == 0 || round >= 10 + back {
                        let (details, at) = (json!({"progress": 5000}), world.now_ms());
                        let body = callback_at(&format!("s{n}"), "5", round, 33, &details, at);
                        world.set_weather(Weather::default());
                        world.deliver(&receivers, &body).await;
                    }
                }
                let is_bad = (4..9).contains(&round) || (10..16).contains(&round);
                world.set_weather(if is_bad { bad } else { Weather::default() });
                world.sweep(&sweeper).await;
                tokio::time::sleep(MINUTE).await;
            }
            let messages = world.messages();
            for topic in [TOPIC, CRITICAL_TOPIC] {
                let pager = Pager::of(&Heard::on_topic(&messages, topic));
                assert!(pager.open.is_empty(), "{seed}, {topic}: {pager:#?}");
                assert!(most_in_a_second(&messages, topic) <= 6);
            }
            let events = world.events();
            for detail_type in ["Recording Alert", "Recording Incident"] {
                let pager = Pager::of(&Heard::on_bus(&events, detail_type));
                assert!(pager.open.is_empty(), "{seed}, {detail_type}: {pager:#?}");
            }
        });
    }
}

#[tokio::test]
async fn what_was_given_up_is_sent_again_with_what_took_it_back() {
    let mut s = Scene::of(World::with_critical_topic().await);
    s.world.sns.set_mood(Mood::WithoutCritical);
    s.beat("a", 0).await;
    s.sweep(6 * 60).await;
    s.beat("a", 10 * 60).await;
    for hour in [1, 25, 26] {
        s.beat("a", hour * 3600).await;
        s.sweep(hour * 3600 + 1).await;
    }
    let arguments = ["alerts", "list", "--critical-topic", CRITICAL_TOPIC];
    let (listed, _) = crate::harness::recordings(&s.world, &arguments).await;
    assert_eq!(listed.matches("failed").count(), 2, "{listed}");
    s.world.sns.set_mood(Mood::Well);
    let alert = s
        .world
        .items_with("a", "alert#session_silent#")
        .await
        .remove(0);
    let id = format!("a/{}", text(&alert, "item"));
    let arguments = ["alerts", "resend", &id, "--critical-topic", CRITICAL_TOPIC];
    let (sent, ok) = crate::harness::recordings(&s.world, &arguments).await;
    assert!(ok, "{sent}");
    assert_eq!(s.pager(CRITICAL_TOPIC), Pager::default());
    let messages = s.world.sns.published();
    let expected = ["session_silent", "session_silent_resolved"];
    assert_eq!(kinds_on(&messages, CRITICAL_TOPIC), expected);
    let (listed, _) = crate::harness::recordings(&s.world, &["alerts", "list", "--sent"]).await;
    assert!(
        listed.contains("critical") && listed.contains(&id),
        "{listed}"
    );
}
