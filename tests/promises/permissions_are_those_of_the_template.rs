//! Which permissions the programs really ask for, recorded from their requests: all samples, gaps
//! and latecomers, the sweeper, the operator's tool. The template's policies are compared with it,
//! both ways, by `tests/deploy/check_template.py`.

use crate::harness::{
    Binary, CRITICAL_TOPIC, Function, Moto, Proxy, World, callback, event, event_details,
    recordings, recordings_on_aws, tick, verified,
};
use agora_recording_callbacks::clock::now_ms;
use agora_recording_callbacks::link::Place;
use agora_recording_callbacks::notification::{QuarantineReason, Sid, Unreadable};
use agora_recording_callbacks::secrets::Secret;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use testkit::SESSIONS;
use testkit::bus;
use testkit::sns::Mood;
use testkit::visit;

/// The permissions of what went through `proxy` since the last time.
fn asked(proxy: &Proxy) -> BTreeSet<String> {
    let exchanges = proxy.take().into_iter();
    exchanges
        .flat_map(|exchange| exchange.permissions)
        .collect()
}

/// The same, and those of what SNS and EventBridge were asked for.
fn asked_with_sns(world: &World) -> BTreeSet<String> {
    let actions = world.sns.take_actions().into_iter();
    let actions = actions.map(|(action, topic)| {
        let topic = if topic == CRITICAL_TOPIC {
            "critical topic"
        } else {
            "topic"
        };
        format!("sns:{action} on {topic}")
    });
    let told = world.bus.take_requests() > 0;
    let told = told.then(|| "events:PutEvents on bus".to_owned());
    let asked = asked(&world.proxy).into_iter();
    asked.chain(actions).chain(told).collect()
}

#[tokio::test]
async fn what_the_programs_ask_for_is_recorded() {
    let Some(moto) = Moto::start().await else {
        return;
    };
    moto.create("agora", "local-secret").await.unwrap();
    moto.create("links", "key of the links").await.unwrap();
    let (secrets, secrets_url) = Proxy::start(moto.url.clone(), "local").await.unwrap();
    let world = World::with_bus().await;
    let links = [
        ("VIEWER_URL", "https://viewer.example.com"),
        ("LINK_SECRET_ID", "links"),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", secrets_url.as_str()),
        ("CRITICAL_TOPIC_ARN", CRITICAL_TOPIC),
    ];
    let settings = [
        &links[..],
        &[("AGORA_SECRET_ID", "agora"), ("ALERT_KINDS", "all")],
    ]
    .concat();
    let function = Function::start(&world, &settings).await;
    for file in std::fs::read_dir("events").unwrap() {
        let path = file.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            let sample: Value =
                serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
            function.invoke(sample).await;
        }
    }
    for session in &SESSIONS {
        for line in session.shuffled.lines() {
            assert_eq!(function.invoke(event(line)).await["statusCode"], 200);
        }
    }
    function.invoke(event("{}")).await;
    // Gaps that have no room in the session's item, and a callback that comes out of one of them.
    for sequence in (0..500).step_by(2).chain([7, 9]) {
        let body = callback("gaps", "5", sequence, 33, &event_details(33));
        assert_eq!(function.invoke(event(&body)).await["statusCode"], 200);
    }
    let mut callback_asks = asked_with_sns(&world);
    callback_asks.extend(asked(&secrets));

    // A silent session, an alert and a notice that are left over, a session that is over with gaps.
    world.sns.set_mood(Mood::Down);
    world.bus.set_mood(bus::Mood::Down);
    for (sequence, event_type) in [(3, 1), (4, 31)] {
        let body = callback(
            "left",
            "5",
            sequence,
            event_type,
            &event_details(event_type),
        );
        function.invoke(event(&body)).await;
    }
    world.sns.set_mood(Mood::Well);
    world.bus.set_mood(bus::Mood::Well);
    world.end_leases("left").await;
    let body = callback("gaps", "5", 501, 11, &json!({"exitStatus": 0}));
    function.invoke(event(&body)).await;
    let body = callback("gaps", "5", 503, 31, &json!({"status": 0}));
    function.invoke(event(&body)).await;
    let body = callback("silent", "5", 1, 33, &event_details(33));
    function.invoke(event(&body)).await;
    for sid in ["gaps", "silent"] {
        world.look_now(sid).await;
    }
    asked_with_sns(&world);
    let sweeper = Function::start_binary(Binary::Sweeper, &world, &links).await;
    let sweep = sweeper.invoke(tick()).await;
    assert_eq!(sweep["errors"], 0);
    assert_eq!(sweep["finished"], true, "{sweep}");
    let mut sweeper_asks = asked_with_sns(&world);
    sweeper_asks.extend(asked(&secrets));

    let viewer = Function::start_binary(Binary::Viewer, &world, &links).await;
    let key = Secret::new("key of the links");
    let gaps = || Sid::new("gaps").unwrap();
    for place in [
        Place::Recording(gaps()),
        Place::Json(gaps()),
        Place::Watched,
        Place::Channel("room-101-b".to_owned()),
    ] {
        let link = place.link(now_ms() / 1000 + 60, &key);
        let (path, query) = link.split_once('?').unwrap();
        let answer = viewer.invoke(visit("GET", path, query)).await;
        assert_eq!(answer["statusCode"], 200, "{place:?}");
    }
    let mut viewer_asks = asked_with_sns(&world);
    viewer_asks.extend(asked(&secrets));

    let store = world.store();
    for (n, event_type) in [(0, 40), (1, 11), (2, 31)] {
        let body = callback("redriven", "5", n, event_type, &event_details(event_type));
        let reason = QuarantineReason::Unreadable(Unreadable::NoSid);
        store
            .quarantine(&verified(body.as_bytes()), reason, None, now_ms() + n)
            .await
            .unwrap();
    }
    world.sns.set_mood(Mood::Down);
    function
        .invoke(event(&callback("resent", "5", 3, 1, &event_details(1))))
        .await;
    world.sns.set_mood(Mood::Well);
    asked_with_sns(&world);
    for arguments in [
        &["quarantine", "redrive"][..],
        &["alerts", "resend", "--all", "--now"],
        &["test-alert", "--kind", "session_silent"],
    ] {
        let arguments = [arguments, &["--critical-topic", CRITICAL_TOPIC]].concat();
        let (printed, _) = recordings(&world, &arguments).await;
        let is_left = printed.contains("left_to_sweep");
        assert!(is_left || printed.contains("published"), "{printed}");
    }
    for arguments in [
        &["show", "gaps"][..],
        &["list"],
        &["list", "--active"],
        &["list", "--channel", "room-101-b"],
    ] {
        let (printed, ok) = recordings(&world, arguments).await;
        assert!(ok, "{printed}");
    }
    let (printed, ok) = recordings_on_aws(&["link", "gaps"], &links).await;
    assert!(ok, "{printed}");
    let mut operator_asks = asked_with_sns(&world);
    operator_asks.extend(asked(&secrets));

    let all = BTreeMap::from([
        ("CallbackRole", callback_asks),
        ("SweeperRole", sweeper_asks),
        ("ViewerRole", viewer_asks),
        ("OperatorPolicy", operator_asks),
    ]);
    let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/permissions.json");
    std::fs::write(path, serde_json::to_string_pretty(&all).unwrap()).unwrap();
    for (who, asks) in all.iter().filter(|(who, _)| **who != "ViewerRole") {
        assert!(
            asks.contains("dynamodb:UpdateItem on table"),
            "{who}: {asks:?}"
        );
        for topic in ["topic", "critical topic"] {
            let publish = format!("sns:Publish on {topic}");
            assert!(asks.contains(&publish), "{who}: {asks:?}");
        }
        assert!(asks.contains("events:PutEvents on bus"), "{who}: {asks:?}");
    }
}
