//! All alerts go to one topic; the critical ones and what takes them back to another one, too. What
//! one of them doesn't take isn't sent to the other twice, and a pager can close what it opened.

use crate::harness::{
    CRITICAL_TOPIC, Function, TOPIC, World, callback, callback_at, delivery, event, event_details,
    recordings, state, text,
};
use serde_json::json;
use testkit::sns::{Mood, Published, Subscriber};

const T0: u64 = 1_772_460_000_000;
const MIN: u64 = 60_000;

/// What a topic got: the kind of each alert, its incident and what happens to it.
fn got(world: &World, topic: &str) -> Vec<[String; 3]> {
    let published = world.sns.published();
    let of = published.iter().filter(|alert| alert.topic_arn == topic);
    of.map(summary).collect()
}

fn summary(alert: &Published) -> [String; 3] {
    let context = &alert.default["metadata"]["additionalContext"];
    ["kind", "incident", "action"].map(|name| context[name].as_str().unwrap().to_owned())
}

fn kinds(got: &[[String; 3]]) -> Vec<&str> {
    got.iter().map(|[kind, _, _]| kind.as_str()).collect()
}

#[tokio::test]
async fn a_pager_gets_critical_alerts_and_the_other_topic_all() {
    let world = World::new().await;
    let settings = [
        ("CRITICAL_TOPIC_ARN", CRITICAL_TOPIC),
        ("RUNBOOK_URL", "https://wiki.example.com/recordings"),
    ];
    let function = Function::start(&world, &settings).await;
    for (sequence, event_type) in [(1, 1), (2, 32), (3, 11)] {
        let body = callback("a", "5", sequence, event_type, &event_details(event_type));
        assert_eq!(function.invoke(event(&body)).await["statusCode"], 200);
    }
    let (all, critical) = (got(&world, TOPIC), got(&world, CRITICAL_TOPIC));
    assert_eq!(
        kinds(&all),
        ["fatal_error", "backup_only_upload", "abnormal_exit"]
    );
    assert_eq!(kinds(&critical), ["fatal_error", "abnormal_exit"]);
    assert_eq!(critical[0], all[0]);
    for alert in world.items_with("a", "alert#").await {
        assert_eq!(state(&alert), "sent");
        let (kind, hash) = text(&alert, "item")["alert#".len()..]
            .split_once('#')
            .unwrap();
        let incident = format!("a/{kind}/{hash}");
        assert!(all.iter().any(|[_, of, _]| *of == incident), "{incident}");
    }
    let published = world.sns.published();
    let last = published.last().unwrap();
    let context = &last.default["metadata"]["additionalContext"];
    assert_eq!(context["runbookUrl"], "https://wiki.example.com/recordings");
    let ends = "\nrecordings show a\nhttps://wiki.example.com/recordings\n";
    assert!(last.email.ends_with(ends), "{}", last.email);
}

#[tokio::test]
async fn a_topic_that_fails_is_tried_again_without_the_other_one() {
    let world = World::with_critical_topic().await;
    world.sns.set_mood(Mood::WithoutCritical);
    let body = callback("a", "5", 3, 11, &event_details(11));
    let handled = world.deliver(&world.receiver(), body.as_bytes()).await;
    assert_eq!(handled.reply.status(), 200);
    assert!(
        handled.error.unwrap().contains("critical: Publish failed"),
        "the log says which topic"
    );
    let alert = world.items_with("a", "alert#").await.remove(0);
    assert_eq!(state(&alert), "pending");
    assert_eq!(text(delivery(&alert, "critical"), "state"), "pending");
    assert_eq!(text(delivery(&alert, "alerts"), "state"), "sent");

    for _ in 0..2 {
        world.end_leases("a").await;
        world.sweep_at(&world.sweeper(), T0 + MIN).await;
    }
    assert_eq!(got(&world, TOPIC).len(), 1);
    assert_eq!(got(&world, CRITICAL_TOPIC).len(), 0);
    world.sns.set_mood(Mood::Well);
    world.end_leases("a").await;
    world.sweep_at(&world.sweeper(), T0 + MIN).await;
    assert_eq!(got(&world, TOPIC).len(), 1);
    assert_eq!(got(&world, CRITICAL_TOPIC).len(), 1);
    let alert = world.items_with("a", "alert#").await.remove(0);
    assert_eq!(state(&alert), "sent");
}

#[tokio::test]
async fn what_takes_an_alert_back_has_its_incident() {
    let world = World::with_critical_topic().await;
    let (receiver, sweeper) = (world.receiver(), world.sweeper());
    for (sequence, minute) in [(0, 0), (1, 10)] {
        let at = T0 + minute * MIN;
        let body = callback_at("a", "5", sequence, 33, &json!({"progress": 1}), at);
        world
            .deliver_as(&receiver, body.as_bytes(), &format!("r{sequence}"), at)
            .await;
        world.look_now("a").await;
        let swept_at = if minute == 0 { at + 6 * MIN } else { at + 1 };
        world.sweep_at(&sweeper, swept_at).await;
    }
    for topic in [TOPIC, CRITICAL_TOPIC] {
        let got = got(&world, topic);
        assert_eq!(
            kinds(&got),
            ["session_silent", "session_silent_resolved"],
            "{topic}"
        );
        let [[_, opened, trigger], [_, closed, resolve]] = got.try_into().unwrap();
        assert_eq!((trigger.as_str(), resolve.as_str()), ("trigger", "resolve"));
        assert_eq!(opened, closed);
        assert!(opened.starts_with("a/session_silent/"), "{opened}");
    }
}

#[tokio::test]
async fn a_test_alert_is_taken_back_and_says_who_listens() {
    let world = World::new().await;
    for (endpoint, is_confirmed) in [("oncall@example.com", true), ("new@example.com", false)] {
        let protocol = "email".to_owned();
        let endpoint = endpoint.to_owned();
        let subscriber = Subscriber {
            protocol,
            endpoint,
            is_confirmed,
        };
        world.sns.subscribe(TOPIC, subscriber);
    }
    let arguments = [
        "test-alert",
        "--kind",
        "session_silent",
        "--kind",
        "fatal_error",
        "--critical-topic",
        CRITICAL_TOPIC,
    ];
    let (printed, ok) = recordings(&world, &arguments).await;
    assert!(ok, "{printed}");
    let listed = printed.find("oncall@example.com").unwrap();
    assert!(
        listed < printed.find("published").unwrap(),
        "the subscriptions come first: {printed}"
    );
    let line = |address: &str| {
        let mut lines = printed.lines();
        lines.find(|line| line.contains(address)).unwrap()
    };
    assert!(line("oncall@example.com").ends_with("confirmed"));
    assert!(line("new@example.com").contains("NOT CONFIRMED"));
    assert!(
        printed.contains("NOBODY listens to this topic"),
        "{printed}"
    );
    for topic in [TOPIC, CRITICAL_TOPIC] {
        let got = got(&world, topic);
        let expected = ["session_silent", "session_silent_resolved", "fatal_error"];
        assert_eq!(kinds(&got), expected, "{topic}");
        assert_eq!(got[0][1], got[1][1], "one incident");
        assert_eq!(
            [&got[0][2], &got[1][2], &got[2][2]],
            ["trigger", "resolve", "trigger"]
        );
    }
}
