//! Bodies in quarantine can be redriven, unsent alerts resent, with the operator's tool.

use crate::harness::{
    Fault, Plan, TABLE, TOPIC, Which, World, callback, event_details, number, recordings,
    recordings_on_aws, state, text, verified,
};
use agora_recording_callbacks::clock::now_ms;
use agora_recording_callbacks::notification::{QuarantineReason, Unreadable};
use agora_recording_callbacks::store::Item;
use serde_json::json;
use testkit::plain::stable;
use testkit::sns::Mood;

/// The callbacks of a session, two of them alarming.
fn session(sid: &str) -> Vec<String> {
    [
        (0, 40),
        (1, 33),
        (2, 43),
        (3, 1),
        (4, 33),
        (5, 41),
        (6, 32),
        (7, 11),
    ]
    .map(|(sequence, event_type)| {
        callback(sid, "5", sequence, event_type, &event_details(event_type))
    })
    .into()
}

/// What a parser that could read none of it would have left.
async fn quarantine(world: &World, bodies: &[String], received_at: u64) {
    let store = world.store();
    for (n, body) in bodies.iter().enumerate() {
        store
            .quarantine(
                &verified(body.as_bytes()),
                QuarantineReason::Unreadable(Unreadable::NoSequence),
                None,
                received_at + n as u64,
            )
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn redriven_bodies_end_in_the_same_items_as_if_they_had_been_read_at_once() {
    let bodies = session("a");
    let at_once = World::new().await;
    let receiver = at_once.receiver();
    for body in &bodies {
        at_once.deliver(&receiver, body.as_bytes()).await;
    }

    let world = World::new().await;
    let received_at = now_ms() - 3 * 24 * 60 * 60 * 1000;
    quarantine(&world, &bodies, received_at).await;
    let (listed, _) = recordings(&world, &["quarantine", "list"]).await;
    assert_eq!(
        listed.matches("no readable sequence").count(),
        8,
        "{listed}"
    );

    let before: Vec<_> = world.scan().await.iter().map(stable).collect();
    let (rehearsed, ok) = recordings(&world, &["quarantine", "redrive", "--dry-run"]).await;
    assert!(
        ok && rehearsed.contains("can be read: a, number 3, event 1, alert fatal_error"),
        "{rehearsed}"
    );
    assert!(
        rehearsed.contains("8 would leave quarantine, 0 stay."),
        "{rehearsed}"
    );
    let after: Vec<_> = world.scan().await.iter().map(stable).collect();
    assert_eq!(before, after, "a rehearsal writes nothing");
    assert_eq!(world.sns.published().len(), 0, "a rehearsal writes nothing");

    let (redriven, ok) = recordings(&world, &["quarantine", "redrive"]).await;
    assert!(
        ok && redriven.contains("stored: a, number 3, event 1, alert published"),
        "{redriven}"
    );
    assert!(
        redriven.contains("8 left quarantine, 0 stay."),
        "{redriven}"
    );
    let items = async |world: &World| {
        world
            .items("a")
            .await
            .iter()
            .map(stable)
            .collect::<Vec<_>>()
    };
    assert_eq!(items(&world).await, items(&at_once).await);
    let quarantined = world.scan().await;
    let quarantined = quarantined
        .iter()
        .filter(|item| text(item, "sid").starts_with("quarantine#"));
    assert_eq!(quarantined.count(), 0, "quarantine is empty");
    assert_eq!(world.sns.published().len(), at_once.sns.published().len());
    // They came when they came.
    for (n, event) in world.items_with("a", "event#").await.iter().enumerate() {
        let at: u64 = number(event, "received_at");
        assert!((received_at..received_at + 8).contains(&at), "{n}");
    }
    let (listed, _) = recordings(&world, &["quarantine", "list"]).await;
    assert_eq!(listed, "Nothing was quarantined in the last 14 days.\n");
}

#[tokio::test]
async fn what_still_cannot_be_read_stays_and_is_shown_without_steering_the_terminal() {
    let world = World::new().await;
    let now_ms = now_ms();
    let hostile = "\u{1b}[2J{\"payload\": \u{202e}".to_owned();
    let foreign = json!({"productId": 1, "payload": {}}).to_string();
    let check = json!({"payload": {"cname": "test"}}).to_string();
    quarantine(&world, &[hostile.clone(), foreign, check], now_ms).await;
    world
        .store()
        .quarantine(
            &verified(&[0xff, 0xfe]),
            QuarantineReason::Unreadable(Unreadable::NotJson),
            None,
            now_ms + 9,
        )
        .await
        .unwrap();
    let (redriven, ok) = recordings(&world, &["quarantine", "redrive"]).await;
    assert!(
        !ok && redriven.contains("0 left quarantine, 4 stay."),
        "{redriven}"
    );
    assert_eq!(
        redriven.matches("stays: not a JSON object").count(),
        2,
        "{redriven}"
    );
    assert_eq!(redriven.matches("is never stored").count(), 2, "{redriven}");

    let key = redriven.split_whitespace().next().unwrap();
    let (shown, ok) = recordings(&world, &["quarantine", "show", key]).await;
    assert!(
        ok && shown.contains("reason    no readable sequence"),
        "{shown}"
    );
    assert!(
        !shown.contains('\u{1b}') && !shown.contains('\u{202e}'),
        "{shown:?}"
    );
    let (raw, _) = recordings(&world, &["quarantine", "show", key, "--raw"]).await;
    assert_eq!(raw, hostile);
    let (unknown, ok) = recordings(&world, &["quarantine", "show", "123#abc"]).await;
    assert_eq!(unknown.as_str(), "123#abc isn't in quarantine\n");
    assert!(!ok);
    let (nonsense, ok) = recordings(&world, &["quarantine", "redrive", "nonsense"]).await;
    assert_eq!(
        nonsense.as_str(),
        "\"nonsense\" isn't a key printed by `list`\n"
    );
    assert!(!ok);
}

#[tokio::test]
async fn a_redrive_that_fails_halfway_can_be_done_again() {
    let world = World::new().await;
    let bodies = session("a");
    quarantine(&world, &bodies, now_ms()).await;
    // Somebody had redriven some of them already, and died before taking them out.
    let receiver = world.receiver();
    for body in &bodies[..4] {
        world.deliver(&receiver, body.as_bytes()).await;
    }
    let published = world.sns.published().len();
    let (redriven, ok) = recordings(&world, &["quarantine", "redrive"]).await;
    assert!(
        ok && redriven.matches("duplicate: a").count() == 4,
        "{redriven}"
    );
    assert_eq!(world.sns.published().len(), published + 2);
    let key = "quarantine";
    assert!(
        !world
            .scan()
            .await
            .iter()
            .any(|item| text(item, "sid").starts_with(key))
    );
}

#[tokio::test]
async fn what_cannot_be_stored_stays_in_quarantine() {
    let world = World::new().await;
    quarantine(&world, &session("a")[..2], now_ms()).await;
    world.proxy.plan(Some(Plan {
        operation: "UpdateItem",
        key: "session",
        fault: Fault::Internal,
        which: Which::Always,
        seen: 0,
    }));
    let (failed, ok) = recordings(&world, &["quarantine", "redrive"]).await;
    assert!(
        !ok && failed.contains("0 left quarantine, 2 stay."),
        "{failed}"
    );
    assert!(
        failed.contains("not_stored: a, number 0, event 40 (UpdateItem session failed"),
        "{failed}"
    );
    world.proxy.plan(None);
    let (redriven, ok) = recordings(&world, &["quarantine", "redrive"]).await;
    assert!(
        ok && redriven.contains("2 left quarantine, 0 stay."),
        "{redriven}"
    );
}

#[tokio::test]
async fn one_body_that_cannot_be_taken_out_does_not_keep_the_others_in() {
    let world = World::new().await;
    quarantine(&world, &session("a")[..3], now_ms()).await;
    world.proxy.plan(Some(Plan {
        operation: "DeleteItem",
        key: "quarantine",
        fault: Fault::Validation,
        which: Which::First,
        seen: 0,
    }));
    let (redriven, ok) = recordings(&world, &["quarantine", "redrive"]).await;
    assert!(!ok, "{redriven}");
    assert!(
        redriven.contains("2 left quarantine, 1 stay."),
        "{redriven}"
    );
    let last = redriven.lines().last().unwrap_or_default();
    assert!(last.starts_with("Still there: "), "{redriven}");
    let (again, ok) = recordings(&world, &["quarantine", "redrive"]).await;
    assert!(ok && again.contains("duplicate: a"), "{again}");
}

#[tokio::test]
async fn against_aws_nothing_is_redriven_without_the_settings_of_the_functions() {
    let world = World::new().await;
    quarantine(&world, &session("a"), now_ms()).await;
    // Kinds and retention that nobody would guess.
    let settings = [("ALERT_KINDS", "abnormal_exit"), ("RETENTION_DAYS", "7")];

    let redrive = ["quarantine", "redrive", "123#abc"];
    let (refused, ok) = recordings_on_aws(&redrive, &[]).await;
    assert!(!ok && refused.contains("Give --stack"), "{refused}");

    let mut deployed = vec![("TABLE_NAME", TABLE), ("ALERT_TOPIC_ARN", TOPIC)];
    deployed.extend(settings);
    let lambda = testkit::lambda::Lambda::start("recs-callback", &deployed)
        .await
        .unwrap();
    let arguments = ["--stack", "recs", "quarantine", "redrive"];
    let (redriven, ok) = recordings_on_aws(
        &arguments,
        &[
            ("AWS_ENDPOINT_URL_DYNAMODB", world.dynamodb_url.as_str()),
            ("AWS_ENDPOINT_URL_SNS", &world.sns_url),
            ("AWS_ENDPOINT_URL_LAMBDA", lambda.url()),
            ("ALERT_KINDS", "all"),
            ("RETENTION_DAYS", "90"),
        ],
    )
    .await;
    assert!(
        ok && redriven.contains("8 left quarantine, 0 stay."),
        "{redriven}"
    );
    let alerts = world.items_with("a", "alert#").await;
    let kinds: Vec<_> = alerts.iter().map(|alert| text(alert, "kind")).collect();
    assert_eq!(kinds, ["abnormal_exit"], "the one that the stack asks for");
    let day_s = 24 * 60 * 60;
    let expires_in = |item: &Item| number(item, "expires_at") - now_ms() / 1000;
    let session = world.session_item("a").await;
    assert!(
        expires_in(&session) <= 7 * day_s,
        "kept as long as the stack says"
    );
    // What a recording of a week reported first lives as long as its session.
    for event in world.items_with("a", "event#").await {
        assert!(expires_in(&event) <= (7 + 7) * day_s, "and no longer");
    }

    let arguments = ["--stack", "other", "list"];
    let endpoint = [("AWS_ENDPOINT_URL_LAMBDA", lambda.url())];
    let (unknown, ok) = recordings_on_aws(&arguments, &endpoint).await;
    assert!(
        !ok && unknown.contains("no function other-callback here"),
        "{unknown}"
    );
}

#[tokio::test]
async fn alerts_that_were_not_sent_are_listed_and_resent() {
    let world = World::new().await;
    let (listed, ok) = recordings(&world, &["alerts", "list"]).await;
    assert_eq!(listed.as_str(), "Every alert has been sent.\n");
    assert!(ok);
    world.sns.set_mood(Mood::Down);
    let receiver = world.receiver();
    let long_ago = now_ms() - 48 * 60 * 60 * 1000;
    for (sid, event_type, at) in [("old", 1, long_ago), ("new", 11, now_ms())] {
        let body = callback(sid, "5", 3, event_type, &event_details(event_type));
        world.deliver_as(&receiver, body.as_bytes(), sid, at).await;
    }
    // The old one is given up by a sweep.
    world.sweep_at(&world.sweeper(), now_ms()).await;
    let id = |sid: &'static str| {
        let world = &world;
        async move { text(&world.items_with(sid, "alert#").await[0], "item").to_owned() }
    };
    let (old, new) = (
        format!("old/{}", id("old").await),
        format!("new/{}", id("new").await),
    );
    let (listed, _) = recordings(&world, &["alerts", "list"]).await;
    let lines: Vec<_> = listed.lines().collect();
    assert!(
        lines[1].contains(&old) && lines[1].contains("failed") && lines[1].contains("fatal_error"),
        "{listed}"
    );
    assert!(
        lines[2].contains(&new) && lines[2].contains("pending"),
        "{listed}"
    );

    let (failed, ok) = recordings(&world, &["alerts", "resend", &old]).await;
    assert!(!ok && failed.contains("deferred"), "{failed}");
    world.sns.set_mood(Mood::Well);
    let (waits, ok) = recordings(&world, &["alerts", "resend", &new]).await;
    assert!(
        !ok && waits.contains("left alone: it is tried again at"),
        "{waits}"
    );
    assert_eq!(world.sns.published().len(), 0);
    let (sent, ok) = recordings(&world, &["alerts", "resend", "--all", "--now"]).await;
    assert!(ok && sent.matches("published").count() == 2, "{sent}");
    assert_eq!(world.sns.published().len(), 2);
    for sid in ["old", "new"] {
        let alert = world.items_with(sid, "alert#").await.remove(0);
        assert_eq!(state(&alert), "sent");
    }
    let (unknown, ok) = recordings(&world, &["alerts", "resend", &old]).await;
    assert!(
        !ok && unknown.contains("is neither pending nor given up"),
        "{unknown}"
    );
}
