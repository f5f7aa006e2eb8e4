//! An alert that is written down is sent: once, unless somebody crashes at the wrong moment.

use crate::harness::{
    Function, World, callback, delivery, event, event_details, number, state, text,
};
use agora_recording_callbacks::intake::AlertOutcome;
use agora_recording_callbacks::send::SendOutcome;
use futures_util::future::join_all;
use testkit::sns::Mood;

const KINDS: [(u32, &str); 3] = [
    (1, "fatal_error"),
    (11, "abnormal_exit"),
    (32, "backup_only_upload"),
];

#[tokio::test]
async fn killed_between_the_item_and_the_publish_the_resend_after_the_lease_publishes_once() {
    for (event_type, kind) in KINDS {
        let world = World::new().await;
        let body = callback("a", "5", 3, event_type, &event_details(event_type));

        world.sns.set_mood(Mood::Hanging);
        let killed = Function::start(&world, &[]).await;
        killed.enqueue(event(&body)).await;
        world.sns.asked().await;
        killed.kill().await;
        let alert = world.items_with("a", "alert#").await.remove(0);
        assert_eq!(state(&alert), "pending");
        assert_eq!(text(&alert, "kind"), kind);
        assert_eq!(world.sns.published().len(), 0);

        world.sns.set_mood(Mood::Well);
        let function = Function::start(&world, &[]).await;
        let within_the_lease = function.invoke(event(&body)).await;
        assert_eq!(within_the_lease["statusCode"], 200);
        assert_eq!(world.sns.published().len(), 0);

        world.end_leases("a").await;
        for _ in 0..2 {
            assert_eq!(function.invoke(event(&body)).await["statusCode"], 200);
            assert_eq!(world.sns.published().len(), 1, "{kind}");
        }
        let alert = world.items_with("a", "alert#").await.remove(0);
        assert_eq!(state(&alert), "sent");
        let told = delivery(&alert, "alerts");
        assert!(told.contains_key("sent_at") && told.contains_key("message_id"));
        assert_eq!(&text(&alert, "watch_shard")[..4], "sent");
    }
}

#[tokio::test]
async fn a_doubled_callback_at_the_same_moment_publishes_once() {
    for (event_type, kind) in KINDS {
        let world = World::new().await;
        let body = callback("a", "5", 3, event_type, &event_details(event_type));
        let one = Function::start(&world, &[]).await;
        let other = Function::start(&world, &[]).await;
        // Both are warm before they are asked at the same moment.
        for function in [&one, &other] {
            function
                .invoke(event(&callback("b", "5", 0, 40, &event_details(40))))
                .await;
        }
        for _ in 0..10 {
            let (first, second) =
                tokio::join!(one.invoke(event(&body)), other.invoke(event(&body)));
            assert_eq!(first["statusCode"], 200);
            assert_eq!(second["statusCode"], 200);
        }
        assert_eq!(world.sns.published().len(), 1, "{kind}");
    }
}

#[tokio::test]
async fn many_copies_in_one_moment_publish_each_alert_once() {
    let world = World::new().await;
    let receivers: Vec<_> = (0..8).map(|_| world.receiver()).collect();
    for n in 0..20 {
        let body = callback(&format!("s{n}"), "5", 3, 1, &event_details(1));
        // Each in a minute of its own, so that none is over what may leave at once.
        let now_ms = 1_772_460_000_000 + n * 60_000;
        let ids: Vec<_> = (0..8).map(|copy| format!("{n}-{copy}")).collect();
        let copies = receivers
            .iter()
            .zip(&ids)
            .map(|(receiver, id)| world.deliver_as(receiver, body.as_bytes(), id, now_ms));
        let outcomes = join_all(copies).await;
        let published = outcomes
            .iter()
            .filter(|handled| handled.alert == Some(AlertOutcome::Sent(SendOutcome::Published)))
            .count();
        assert_eq!(published, 1);
        assert!(outcomes.iter().all(|handled| handled.reply.status() == 200));
    }
    assert_eq!(world.sns.published().len(), 20);
}

#[tokio::test]
async fn many_copies_after_the_lease_publish_once() {
    let world = World::new().await;
    let receivers: Vec<_> = (0..8).map(|_| world.receiver()).collect();
    for n in 0..4 {
        let sid = format!("s{n}");
        let body = callback(&sid, "5", 3, 11, &event_details(11));
        world.sns.set_mood(Mood::Down);
        let now_ms = 1_772_460_000_000 + n * 60_000;
        let first = format!("{n}-first");
        let handled = world
            .deliver_as(&receivers[0], body.as_bytes(), &first, now_ms)
            .await;
        assert_eq!(handled.reply.status(), 200);
        assert_eq!(
            handled.alert,
            Some(AlertOutcome::Sent(SendOutcome::Deferred))
        );
        world.sns.set_mood(Mood::Well);
        let published = world.sns.published().len();
        world.end_leases(&sid).await;
        let ids: Vec<_> = (0..8).map(|copy| format!("{n}-{copy}")).collect();
        let copies = receivers
            .iter()
            .zip(&ids)
            .map(|(receiver, id)| world.deliver_as(receiver, body.as_bytes(), id, now_ms));
        let outcomes = join_all(copies).await;
        assert!(
            outcomes
                .iter()
                .all(|handled| handled.reply.result() == "duplicate")
        );
        assert_eq!(world.sns.published().len(), published + 1);
    }
}

#[tokio::test]
async fn with_sns_down_or_hanging_the_callback_is_stored_and_the_alert_stays_pending() {
    for mood in [Mood::Down, Mood::Hanging] {
        let world = World::new().await;
        let function = Function::start(&world, &[]).await;
        let body = callback("a", "5", 3, 11, &event_details(11));
        world.sns.set_mood(mood);
        let answer = function.invoke_within(event(&body), 3_000).await;
        assert_eq!(answer["statusCode"], 200, "{mood:?}");
        let alert = world.items_with("a", "alert#").await.remove(0);
        assert_eq!(state(&alert), "pending");
        // Whoever looks for due alerts finds it in the index.
        assert_eq!(alert["watch_at"], delivery(&alert, "alerts")["due_at"]);
        assert!(text(&alert, "watch_shard").starts_with("due"));
        assert_eq!(world.items("a").await.len(), 3);
    }
}

#[tokio::test]
async fn an_alert_is_written_down_before_anything_else() {
    let world = World::new().await;
    let receiver = world.receiver();
    world
        .deliver(
            &receiver,
            callback("a", "5", 0, 40, &event_details(40)).as_bytes(),
        )
        .await;
    world.proxy.take();
    let handled = world
        .deliver(
            &receiver,
            callback("a", "5", 1, 11, &event_details(11)).as_bytes(),
        )
        .await;
    assert_eq!(
        handled.alert,
        Some(AlertOutcome::Sent(SendOutcome::Published))
    );
    let operations: Vec<_> = world
        .proxy
        .take()
        .into_iter()
        .map(|exchange| exchange.operation)
        .collect();
    assert_eq!(operations.first().map(String::as_str), Some("PutItem"));
    assert_eq!(
        operations.len(),
        5,
        "the counter is one more: {operations:?}"
    );
    let alert = world.items_with("a", "alert#").await.remove(0);
    assert_eq!(number(&alert, "version"), 2, "it is written down, and told");
}

#[tokio::test]
async fn what_is_published_is_what_the_contract_says() {
    let world = World::new().await;
    let receiver = world.receiver();
    world
        .deliver(
            &receiver,
            callback("a", "5", 3, 1, &event_details(1)).as_bytes(),
        )
        .await;
    let published = world.sns.published().remove(0);
    let context = &published.default["metadata"]["additionalContext"];
    assert_eq!(published.default["version"], "1.0");
    assert_eq!(published.default["source"], "custom");
    assert_eq!(published.default["metadata"]["threadId"], "a");
    assert_eq!(context["kind"], "fatal_error");
    assert_eq!(context["severity"], "critical");
    assert_eq!(context["sid"], "a");
    assert_eq!(context["errorCode"], "110");
    assert_eq!(context["sequence"], "3");
    assert_eq!(published.attributes["kind"], "fatal_error");
    assert_eq!(published.attributes["errorCode"], "110");
    assert!(published.sms.len() <= 140 && published.subject.starts_with("[CRITICAL]"));
    let alert = world.items_with("a", "alert#").await.remove(0);
    let key = text(&alert, "item")
        .strip_prefix("alert#fatal_error#")
        .unwrap();
    assert_eq!(key.len(), 16);
    assert!(key.bytes().all(|digit| digit.is_ascii_hexdigit()), "{key}");
    assert_eq!(context["alertId"], format!("a/{}", text(&alert, "item")));
}
