//! What the functions log while each trouble really happens. `tests/deploy/check_alarms.py` makes
//! metrics of it and looks whether the template's alarms ring, and only those that should.

use crate::harness::{
    BUS, Binary, Fault, Function, Plan, TOPIC, Which, World, callback, event, event_details, tick,
};
use agora_recording_callbacks::clock::now_ms;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use testkit::bus;
use testkit::sns::{Mood, Subscriber};

/// One invocation, as CloudWatch gets to know of it.
#[derive(Serialize)]
struct Invocation {
    function: &'static str,
    lines: Vec<String>,
    failed: bool,
}

/// A function of the stack that the alarms are evaluated for.
struct Watched {
    function: Function,
    name: &'static str,
}

impl Watched {
    async fn start(binary: Binary, world: &World, more: &[(&str, &str)]) -> Self {
        let name = match binary {
            Binary::Callback => "stack-callback",
            Binary::Sweeper => "stack-sweeper",
            Binary::Viewer => "stack-viewer",
        };
        let settings = [
            ("AWS_LAMBDA_FUNCTION_NAME", name),
            ("MAX_CALLBACK_AGE_HOURS", "24"),
        ];
        let settings = [&settings, more].concat();
        let function = Function::start_binary(binary, world, &settings).await;
        Self { function, name }
    }

    /// Invokes it within `timeout_ms`; whether it fails is part of what is recorded.
    async fn record(&self, event: Value, timeout_ms: u64) -> Invocation {
        let before = self.function.log().len();
        let failed = !self.function.try_invoke(event, timeout_ms).await;
        let lines = self.function.log().split_off(before);
        Invocation {
            function: self.name,
            lines,
            failed,
        }
    }
}

#[tokio::test]
async fn every_trouble_of_the_runbook_is_recorded() {
    let world = World::new().await;
    let receiver = Watched::start(Binary::Callback, &world, &[]).await;
    let unlogged = [("LOG_HEARTBEATS", "false")];
    let quiet = Watched::start(Binary::Callback, &world, &unlogged).await;
    let sweeper = Watched::start(Binary::Sweeper, &world, &[]).await;
    let body = |sid: &str, sequence, event_type| {
        let details = event_details(event_type);
        let body = callback(sid, "5", sequence, event_type, &details);
        let mut body: Value = serde_json::from_str(&body).unwrap();
        body["notifyMs"] = now_ms().into();
        body
    };
    let heartbeat = |sequence| event(&body("a", sequence, 33).to_string());
    let mut troubles = BTreeMap::new();

    let nobody = Watched::start(Binary::Sweeper, &world, &[]).await;
    troubles.insert("nobody_listens", nobody.record(tick(), 9_000).await);
    let subscriber = Subscriber {
        protocol: "email".to_owned(),
        endpoint: "oncall@example.com".to_owned(),
        is_confirmed: true,
    };
    world.sns.subscribe(TOPIC, subscriber);
    troubles.insert("sweep", sweeper.record(tick(), 9_000).await);
    troubles.insert("callback", receiver.record(heartbeat(0), 9_000).await);
    let unlogged = quiet.record(heartbeat(1), 9_000).await;
    troubles.insert("heartbeat_without_a_line", unlogged);
    let hears = sweeper.record(tick(), 9_000).await;
    troubles.insert("sweep_that_hears", hears);

    let mut forged = heartbeat(2);
    forged["headers"]["agora-signature-v2"] = "00".into();
    troubles.insert("wrong_signature", receiver.record(forged, 9_000).await);
    let unreadable = receiver.record(event("{}"), 9_000).await;
    troubles.insert("unreadable_callback", unreadable);
    let mut stale = body("a", 3, 33);
    stale["notifyMs"] = (now_ms() - 25 * 60 * 60 * 1000).into();
    let stale = receiver.record(event(&stale.to_string()), 9_000).await;
    troubles.insert("stale_callback", stale);
    let mut ahead = body("a", 3, 33);
    ahead["notifyMs"] = (now_ms() + 6 * 60 * 1000).into();
    let ahead = receiver.record(event(&ahead.to_string()), 9_000).await;
    troubles.insert("callback_of_a_clock_ahead", ahead);
    let mut rng = fastrand::Rng::with_seed(1);
    let incompressible: String = (0..1_000_000).map(|_| rng.alphanumeric()).collect();
    let cut = receiver.record(event(&incompressible), 9_000).await;
    troubles.insert("callback_that_is_cut", cut);
    world.proxy.hang(true);
    let not_stored = receiver.record(heartbeat(4), 1_500).await;
    world.proxy.hang(false);
    troubles.insert("callback_not_stored", not_stored);

    world.proxy.plan(Some(Plan {
        operation: "PutItem",
        key: "alert#",
        fault: Fault::AccessDenied,
        which: Which::Always,
        seen: 0,
    }));
    let fatal = event(&body("unwritten", 1, 1).to_string());
    let unwritten = receiver.record(fatal, 9_000).await;
    world.proxy.plan(None);
    troubles.insert("callback_unwritten", unwritten);

    // An alert that SNS doesn't take, of a minute ago, of five, then of yesterday.
    world.sns.set_mood(Mood::Down);
    let alert = event(&body("alerts", 1, 1).to_string());
    receiver.record(alert, 9_000).await;
    for (trouble, age_ms) in [
        ("alert_waits_a_minute", 60 * 1000),
        ("alert_waits", 5 * 60 * 1000),
        ("alert_given_up", 25 * 60 * 60 * 1000),
    ] {
        world.age_alerts("alerts", now_ms() - age_ms).await;
        troubles.insert(trouble, sweeper.record(tick(), 9_000).await);
    }
    world.sns.set_mood(Mood::Well);

    // A notice that the bus doesn't take, then one of yesterday.
    let told = World::with_bus().await;
    let bus = [("EVENT_BUS_NAME", BUS)];
    let teller = Watched::start(Binary::Sweeper, &told, &bus).await;
    told.bus.set_mood(bus::Mood::Down);
    let starts = event(&body("notices", 1, 40).to_string());
    let receiver_on_bus = Watched::start(Binary::Callback, &told, &bus).await;
    receiver_on_bus.record(starts, 9_000).await;
    for (trouble, age_ms) in [
        ("notice_waits", 5 * 60 * 1000),
        ("notice_given_up", 25 * 60 * 60 * 1000),
    ] {
        told.age_alerts("notices", now_ms() - age_ms).await;
        troubles.insert(trouble, teller.record(tick(), 9_000).await);
    }

    world.spoil("spoiled").await;
    troubles.insert("unreadable_item", sweeper.record(tick(), 9_000).await);

    // One batch of sessions of two, then nothing at all can be read.
    for (trouble, operation, which) in [
        ("sweep_of_a_part", "BatchGetItem", Which::First),
        ("sweep_failed", "Query", Which::Always),
    ] {
        receiver
            .record(event(&body("b", 1, 33).to_string()), 9_000)
            .await;
        world.proxy.plan(Some(Plan {
            operation,
            key: "",
            fault: Fault::AccessDenied,
            which,
            seen: 0,
        }));
        troubles.insert(trouble, sweeper.record(tick(), 9_000).await);
        world.proxy.plan(None);
    }

    let failed: Vec<_> = troubles
        .iter()
        .filter(|(_, invocation)| invocation.failed)
        .map(|(trouble, _)| *trouble)
        .collect();
    assert_eq!(failed, ["sweep_failed"]);
    let unlogged: Vec<_> = troubles
        .iter()
        .filter(|(_, invocation)| invocation.lines.is_empty())
        .map(|(trouble, _)| *trouble)
        .collect();
    assert_eq!(unlogged, ["heartbeat_without_a_line"]);
    let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/troubles.json");
    std::fs::write(path, json!(troubles).to_string()).unwrap();
}
