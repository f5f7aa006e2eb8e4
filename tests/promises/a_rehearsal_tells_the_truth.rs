//! `recordings simulate --verify` finds no difference where there is none, finds what is planted,
//! and `test-alert` and the errors of the tool say what they should.

use crate::harness::{World, recordings};
use agora_recording_callbacks::alert::AlertKind;
use agora_recording_callbacks::clock::now_ms;
use agora_recording_callbacks::invocation::Invocation;
use agora_recording_callbacks::receive::{Body, Request};
use agora_recording_callbacks::signature::{SIGNATURE_V2, SignatureHeaders};
use aws_sdk_dynamodb::types::AttributeValue;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use tempfile::NamedTempFile;
use testkit::bus;
use testkit::sign;
use testkit::sns::Mood;
use tokio::net::TcpListener;
use tokio::time::Instant;

/// The receiver of `world` behind HTTP; returns its address.
async fn door(world: &World) -> String {
    let receiver = Arc::new(world.receiver());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let router = Router::new().fallback(move |headers: HeaderMap, body: Bytes| {
        let receiver = Arc::clone(&receiver);
        async move {
            let request = Request {
                method: &Method::POST,
                signature: SignatureHeaders::find(&headers),
                body: Body::Bytes(&body),
            };
            let id = format!("request-{}", fastrand::u64(..));
            let deadline = Instant::now() + Duration::from_secs(9);
            let invocation = Invocation::new(&id, now_ms(), deadline);
            let handled = receiver.receive(request, invocation).await;
            StatusCode::from_u16(handled.reply.status()).unwrap()
        }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn secret(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    writeln!(file, "{text}").unwrap();
    file
}

/// Lets the sweeper run along: what is over three alerts a minute leaves with it.
async fn with_a_sweeper<T>(world: &World, work: impl Future<Output = T>) -> T {
    let sweeper = world.sweeper();
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
        world.sweep_at(&sweeper, now_ms()).await;
    }
}

async fn simulate(world: &World, url: &str, more: &[&str]) -> (String, bool) {
    let secret = secret(sign::LOCAL_SECRET);
    let file = secret.path().to_str().unwrap();
    let arguments = [
        "simulate",
        "--url",
        url,
        "--secret-file",
        file,
        "--speed",
        "600",
        "--verify",
    ];
    recordings(world, &[&arguments, more].concat()).await
}

#[tokio::test]
async fn whatever_is_lost_doubled_and_late_the_table_says_what_came() {
    let world = World::new().await;
    let url = door(&world).await;
    // Long ones too, so that windows fold.
    for more in [
        ["--sessions", "15", "--seed", "1", "--minutes", "10"],
        ["--sessions", "5", "--seed", "2", "--minutes", "150"],
    ] {
        let bad = ["--loss", "0.1", "--double", "--shuffle", "1"];
        let arguments = [&more[..], &bad].concat();
        let played = simulate(&world, &url, &arguments);
        let (printed, ok) = with_a_sweeper(&world, played).await;
        assert!(ok && printed.contains("no difference"), "{printed}");
    }
    let kinds = world.sns.published();
    assert!(
        kinds
            .iter()
            .any(|alert| alert.default["metadata"]["eventType"] == "fatal_error")
    );
}

#[tokio::test]
async fn what_programs_were_told_is_what_came_and_a_lie_is_named() {
    let world = World::with_bus().await;
    let url = door(&world).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let queue = testkit::queue::serve(listener, &world.bus).unwrap();
    let bad = [
        "--sessions",
        "18",
        "--seed",
        "3",
        "--loss",
        "0.05",
        "--double",
        "--shuffle",
        "1",
        "--queue",
        &queue,
    ];
    let (printed, ok) = with_a_sweeper(&world, simulate(&world, &url, &bad)).await;
    assert!(
        ok && printed.contains("Programs were told what was sent: 18"),
        "{printed}"
    );

    // A bus that nothing reaches.
    world.bus.set_mood(bus::Mood::Down);
    let silent = ["--kind", "normal", "--queue", &queue, "--patience", "1"];
    let (printed, ok) = simulate(&world, &url, &silent).await;
    assert!(!ok, "{printed}");
    for difference in [
        "files are: confirmed by what was sent, unknown on the bus",
        "by what was sent, none on the bus",
    ] {
        assert!(printed.contains(difference), "{printed}");
    }
}

/// A door that changes every body before the receiver of `world` sees it, and signs it again: what
/// is in the table then isn't what was sent.
async fn forging_door(world: &World, forge: fn(&str) -> Option<String>) -> String {
    let honest = door(world).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let client = reqwest::Client::new();
    let router = Router::new().fallback(move |body: String| {
        let (client, honest) = (client.clone(), honest.clone());
        async move {
            let Some(body) = forge(&body) else {
                return StatusCode::OK;
            };
            let signature = sign::v2(sign::LOCAL_SECRET, body.as_bytes());
            let answer = client
                .post(honest)
                .header(SIGNATURE_V2, signature)
                .body(body);
            StatusCode::from_u16(answer.send().await.unwrap().status().as_u16()).unwrap()
        }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn what_the_table_has_wrong_is_named() {
    type Forge = fn(&str) -> Option<String>;
    let forgeries: [(&str, Forge, &str); 8] = [
        (
            "failing",
            |body| (!body.contains("\"eventType\":42")).then(|| body.to_owned()),
            "events that have no item: none by what was sent, number 2 (event 42)",
        ),
        (
            "failing",
            |body| (!body.contains("\"eventType\":33")).then(|| body.to_owned()),
            "progress: ",
        ),
        (
            "failing",
            |body| Some(body.replace("\"exitStatus\":1", "\"exitStatus\":0")),
            "phase: failed by what was sent, ended in the table",
        ),
        (
            "failing",
            |body| Some(body.replace("\"errorLevel\":5", "\"errorLevel\":4")),
            "alerts: ",
        ),
        (
            "failing",
            |body| Some(body.replace("\"sequence\":7,", "\"sequence\":70,")),
            "missing: none by what was sent, 7, ",
        ),
        (
            "stranded",
            |body| Some(body.replace("\"stranded\"", "\"\"")),
            "files: stranded by what was sent, confirmed in the table",
        ),
        (
            "web-failing",
            |body| Some(body.replace("\"code\":4", "\"code\":0")),
            "failure: event 71 by what was sent, none in the table",
        ),
        (
            "transcoding-failed",
            |body| Some(body.replace("\"partial_success\"", "\"all_success\"")),
            "alerts: transcoding_failed of number ",
        ),
    ];
    for (kind, forge, named) in forgeries {
        let world = World::new().await;
        let url = forging_door(&world, forge).await;
        let (printed, ok) = simulate(&world, &url, &["--kind", kind, "--seed", "5"]).await;
        assert!(!ok && printed.contains(named), "{named}: {printed}");
    }
}

#[tokio::test]
async fn an_alert_that_is_not_sent_is_a_difference() {
    let world = World::new().await;
    let url = door(&world).await;
    world.sns.set_mood(Mood::Down);
    let arguments = ["--kind", "failing", "--patience", "0"];
    let (printed, ok) = simulate(&world, &url, &arguments).await;
    assert!(
        !ok && printed.contains("DIFFERENCE") && printed.contains("pending"),
        "{printed}"
    );
}

#[tokio::test]
async fn another_secret_and_nobody_at_the_door_are_told() {
    let world = World::new().await;
    let url = door(&world).await;
    let other = secret("another");
    let file = other.path().to_str().unwrap();
    let play = async |url: &str| {
        let arguments = [
            "simulate",
            "--url",
            url,
            "--secret-file",
            file,
            "--kind",
            "silent",
            "--speed",
            "6000",
        ];
        recordings(&world, &arguments).await
    };
    let (printed, ok) = play(&url).await;
    assert!(
        !ok && printed.contains("401: the receiver uses a different secret"),
        "{printed}"
    );
    let (printed, ok) = play("http://127.0.0.1:9/").await;
    assert!(!ok && printed.contains("can't be reached"), "{printed}");
    let items: Vec<AttributeValue> = world
        .scan()
        .await
        .into_iter()
        .filter_map(|mut item| item.remove("sid"))
        .collect();
    assert_eq!(items, []);
}

#[tokio::test]
async fn a_test_alert_of_each_kind_comes_marked() {
    let world = World::new().await;
    let (printed, ok) = recordings(&world, &["test-alert", "--all"]).await;
    assert!(
        ok && printed.contains("Look for subjects that begin with [TEST]"),
        "{printed}"
    );
    let published = world.sns.published();
    assert_eq!(published.len(), AlertKind::ALL.len());
    for test in published {
        assert_eq!(
            test.default["metadata"]["additionalContext"]["test"],
            "true"
        );
    }
    world.sns.set_mood(Mood::Down);
    let (printed, ok) = recordings(&world, &["test-alert", "--kind", "failover"]).await;
    assert!(
        !ok && printed.contains("failover") && printed.contains("NOT published"),
        "{printed}"
    );
}

#[tokio::test]
async fn an_error_says_what_to_do() {
    let world = World::new().await;
    let (printed, ok) = recordings(&world, &["--table", "another-table", "list"]).await;
    assert!(
        !ok && printed.contains("No such table here: check --table and AWS_REGION"),
        "{printed}"
    );
}
