//! SIGKILL before and after any request or answer of a function: every alert that was acknowledged
//! or written down is published at least once, and at most once more than there were kills.

use crate::harness::{
    Binary, Function, Stop, World, callback, event, event_details, proof, state, tick,
};
use serde_json::json;
use testkit::sns::Mood;

/// Where a process is killed.
#[derive(Clone, Copy, Debug)]
enum Kill {
    /// At the request to the table after so many others.
    Table(u32, Stop),
    /// At the publish.
    Sns(Mood),
}

/// Asks `function` for something, and kills it at `kill`. False if it never came to that point.
async fn killed(world: &World, function: Function, kill: Kill, ask: serde_json::Value) -> bool {
    match kill {
        Kill::Table(through, stop) => {
            world.proxy.stop_after(through, stop);
            let id = function.enqueue(ask).await;
            let reached = tokio::select! {
                () = world.proxy.stopped() => true,
                _ = function.answer(&id) => false,
            };
            function.kill().await;
            world.proxy.go_on();
            reached
        }
        Kill::Sns(mood) => {
            world.sns.set_mood(mood);
            function.enqueue(ask).await;
            world.sns.asked().await;
            function.kill().await;
            world.sns.set_mood(Mood::Well);
            true
        }
    }
}

/// Every point of a process that makes `requests` requests to the table.
fn kills(requests: u32) -> Vec<Kill> {
    let table = (0..requests).flat_map(|through| {
        [Stop::BeforeRequest, Stop::BeforeAnswer].map(|stop| Kill::Table(through, stop))
    });
    let sns = [Mood::Hanging, Mood::Mute].map(Kill::Sns);
    table.chain(sns).collect()
}

/// What came of it.
#[derive(Default)]
struct Toll {
    kills: usize,
    alerts: usize,
    again: usize,
}

/// Runs `round` once, or 25 times if it shall be long, and adds up. Each has a runtime of its own,
/// with which its sockets end.
fn rounds<F: Future<Output = Toll>>(round: impl Fn() -> F) -> Toll {
    let mut sum = Toll::default();
    for _ in 0..proof::scale(1, 25) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let toll = runtime.block_on(round());
        sum.kills += toll.kills;
        sum.alerts += toll.alerts;
        sum.again += toll.again;
    }
    sum
}

#[test]
fn the_callback_function_killed_anywhere_with_and_without_a_resend() {
    let Toll {
        kills,
        alerts,
        again,
    } = rounds(callback_function_killed_anywhere);
    println!(
        "proved: the callback function killed {kills} times: {alerts} alerts written down, none \
        lost, {again} published again"
    );
}

#[test]
fn the_sweeper_killed_anywhere() {
    let Toll { kills, again, .. } = rounds(sweeper_killed_anywhere);
    println!("proved: the sweeper killed {kills} times: no alert lost, {again} published again");
}

async fn callback_function_killed_anywhere() -> Toll {
    let mut toll = Toll::default();
    for event_type in [1, 11, 32] {
        for (kill, is_resent) in kills(4)
            .into_iter()
            .flat_map(|kill| [(kill, false), (kill, true)])
        {
            let case = format!("event {event_type}, {kill:?}, resent: {is_resent}");
            let world = World::new().await;
            let body = callback("a", "5", 3, event_type, &event_details(event_type));
            let function = Function::start(&world, &[]).await;
            // It is warm, and the session is there.
            function
                .invoke(event(&callback("a", "5", 0, 40, &event_details(40))))
                .await;
            assert!(killed(&world, function, kill, event(&body)).await, "{case}");

            if is_resent {
                let function = Function::start(&world, &[]).await;
                assert_eq!(
                    function.invoke(event(&body)).await["statusCode"],
                    200,
                    "{case}"
                );
                assert_eq!(world.items("a").await.len(), 4, "{case}");
            }
            let written = world.items_with("a", "alert#").await.len();
            let is_first = matches!(kill, Kill::Table(0, Stop::BeforeRequest));
            assert_eq!(written, usize::from(is_resent || !is_first), "{case}");

            world.end_leases("a").await;
            let sweeper = Function::start_binary(Binary::Sweeper, &world, &[]).await;
            for _ in 0..2 {
                sweeper.invoke(tick()).await;
                let published = world.sns.published().len();
                assert!(
                    (written..=written * 2).contains(&published),
                    "{case}: {published}"
                );
            }
            for alert in world.items_with("a", "alert#").await {
                assert_eq!(state(&alert), "sent", "{case}");
            }
            toll.kills += 1;
            toll.alerts += written;
            toll.again += world.sns.published().len() - written;
        }
    }
    toll
}

async fn sweeper_killed_anywhere() -> Toll {
    let mut toll = Toll::default();
    // What is due is listed, an alert claimed and marked; eight partitions are listed, two sessions
    // read; a silent one is read again and noted, and its alert marked; heartbeats are noted.
    for kill in kills(18) {
        let world = World::new().await;
        world.sns.set_mood(Mood::Down);
        let receiver = world.receiver();
        for (sid, event_type) in [("a", 1), ("b", 33)] {
            let body = callback(sid, "5", 3, event_type, &event_details(event_type));
            world.deliver(&receiver, body.as_bytes()).await;
        }
        world.sns.set_mood(Mood::Well);
        world.end_leases("a").await;
        world.look_now("b").await;

        let sweeper = Function::start_binary(Binary::Sweeper, &world, &[]).await;
        assert!(killed(&world, sweeper, kill, tick()).await, "{kill:?}");
        for sid in ["a", "b"] {
            world.end_leases(sid).await;
        }
        let sweeper = Function::start_binary(Binary::Sweeper, &world, &[]).await;
        for _ in 0..2 {
            sweeper.invoke(tick()).await;
        }
        for (sid, kind) in [("a", "fatal_error"), ("b", "session_silent")] {
            let published = world.sns.published();
            let of = published
                .iter()
                .filter(|message| message.default["metadata"]["threadId"] == sid)
                .map(|message| &message.default["metadata"]["eventType"])
                .collect::<Vec<_>>();
            assert!((1..=2).contains(&of.len()), "{kill:?}: {of:?}");
            assert!(of.iter().all(|of| **of == json!(kind)), "{kill:?}: {of:?}");
            toll.again += of.len() - 1;
        }
        assert!(
            world.session_item("b").await.contains_key("silent_since"),
            "{kill:?}"
        );
        toll.kills += 1;
    }
    toll
}
