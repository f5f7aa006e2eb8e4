//! The secret in Secrets Manager may be rotated at any time: nothing valid is refused, and a flood
//! of false signatures doesn't become a flood of fetches. Against moto's Secrets Manager; without a
//! `moto_server` these tests are skipped, unless `MOTO_SERVER` says that there is one.

use crate::harness::{Function, Moto, Proxy, World, callback, event, event_details};
use agora_recording_callbacks::aws;
use agora_recording_callbacks::config::SecretSource;
use agora_recording_callbacks::intake::Outcome;
use agora_recording_callbacks::invocation::Invocation;
use agora_recording_callbacks::receive::{Body, Method, Receiver, Request};
use agora_recording_callbacks::signature::{Header, SignatureHeaders};
use axum::Router;
use axum::http::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;
use testkit::sign;
use tokio::net::TcpListener;
use tokio::time::Instant;

const ID: &str = "recordings/agora";
const T0: u64 = 1_772_460_000_000;
const MIN: u64 = 60_000;

/// A receiver whose secret is in moto, and the requests that it makes there.
struct Scene {
    _world: World,
    moto: Moto,
    proxy: Proxy,
    receiver: Receiver,
    sequence: u64,
    /// When a fetch was made, in the simulated time.
    fetches: Vec<u64>,
}

impl Scene {
    async fn new(text: &str) -> Option<Self> {
        let moto = Moto::start().await?;
        moto.create(ID, text).await.unwrap();
        let world = World::new().await;
        let (proxy, url) = Proxy::start(moto.url.clone(), "local").await.unwrap();
        let source = SecretSource::SecretsManager(ID.to_owned());
        let secrets = aws::secrets(&aws::load_local(url).await, &source);
        let receiver = world.receiver_with(secrets);
        Some(Self {
            _world: world,
            moto,
            proxy,
            receiver,
            sequence: 0,
            fetches: Vec::new(),
        })
    }

    /// The status that a new callback signed with `secret` gets at a given moment.
    async fn status(&mut self, secret: &str, now_ms: u64) -> u16 {
        self.handle(secret, now_ms).await.reply.status()
    }

    async fn handle(&mut self, secret: &str, now_ms: u64) -> Outcome {
        self.sequence += 1;
        let body = callback("a", "5", self.sequence, 33, &event_details(33));
        let digest = sign::v2(secret, body.as_bytes());
        let request = Request {
            method: &Method::POST,
            signature: SignatureHeaders {
                v2: Header::Once(digest.as_bytes()),
                v1: Header::Absent,
            },
            body: Body::Bytes(body.as_bytes()),
        };
        self.receive(request, now_ms).await
    }

    /// The status that the console's check gets without a signature.
    async fn unsigned(&mut self, now_ms: u64) -> u16 {
        let request = Request {
            method: &Method::POST,
            signature: SignatureHeaders {
                v2: Header::Absent,
                v1: Header::Absent,
            },
            body: Body::Bytes(br#"{"payload": {"cname": "test_webhook"}}"#),
        };
        self.receive(request, now_ms).await.reply.status()
    }

    async fn receive(&mut self, request: Request<'_>, now_ms: u64) -> Outcome {
        let invocation = Invocation::new("r", now_ms, Instant::now() + Duration::from_secs(9));
        let handled = self.receiver.receive(request, invocation).await;
        // The current and the previous version make one fetch.
        let calls = self.proxy.take().len();
        self.fetches.extend((0..calls.div_ceil(2)).map(|_| now_ms));
        handled
    }
}

#[tokio::test]
async fn ten_thousand_requests_while_the_secret_is_swapped_twice() {
    skip_on_another_engine!("is about volume");
    let Some(mut scene) = Scene::new("one").await else {
        return;
    };
    // Half an hour. After a swap Agora signs with the new secret at once; what is under way is
    // signed with the old one.
    let names = ["one", "two", "three"];
    let mut current = 0;
    for n in 0..10_000_u64 {
        if n == 3_333 || n == 3_400 {
            current += 1;
            scene.moto.rotate(ID, names[current]).await.unwrap();
        }
        let is_under_way = current > 0 && n % 2 == 1 && n < 4_500;
        let secret = names[if is_under_way { current - 1 } else { current }];
        assert_eq!(
            scene.status(secret, T0 + n * 180).await,
            200,
            "request {n}, signed with {secret}"
        );
    }
    let minutes = 10_000 * 180 / MIN;
    let by_age = usize::try_from(minutes / 5).unwrap();
    assert!(scene.fetches.len() <= by_age + 1 + 2, "{:?}", scene.fetches);
    assert_eq!(
        scene.status("one", T0 + minutes * MIN).await,
        401,
        "neither current nor previous"
    );
}

#[tokio::test]
async fn a_flood_of_false_signatures_fetches_once_a_minute_and_hides_no_rotation() {
    let Some(mut scene) = Scene::new(r#"{"secret": "one"}"#).await else {
        return;
    };
    assert_eq!(scene.status("one", T0).await, 200);
    scene.fetches.clear();
    let mut current = "one";
    for n in 0..6_000_u64 {
        // Half an hour, 200 a minute, one of a hundred genuine. Agora signs with the new secret a
        // minute after it was put.
        let now_ms = T0 + 1 + n * 300;
        match n {
            2_000 => scene
                .moto
                .rotate(ID, r#"{"secrets": ["two"]}"#)
                .await
                .unwrap(),
            2_200 => current = "two",
            _ => {}
        }
        let (secret, expected) = if n % 100 == 99 {
            (current, 200)
        } else {
            ("false", 401)
        };
        assert_eq!(scene.status(secret, now_ms).await, expected, "request {n}");
    }
    let rotated_at = T0 + 1 + 2_000 * 300;
    for pair in scene.fetches.windows(2) {
        let is_rotation = pair[1].abs_diff(rotated_at) < MIN;
        assert!(
            pair[1] - pair[0] >= MIN || is_rotation,
            "{:?}",
            scene.fetches
        );
    }
    assert!(
        scene.fetches.len() <= 30 + 1,
        "one a minute, and one for the rotation: {:?}",
        scene.fetches
    );
}

#[tokio::test]
async fn the_last_good_secret_is_kept_when_the_service_fails() {
    let Some(mut scene) = Scene::new("one").await else {
        return;
    };
    assert_eq!(scene.status("one", T0).await, 200);
    scene.proxy.hang(true);
    assert_eq!(
        scene.status("one", T0 + 6 * MIN).await,
        200,
        "too old, and no other to be had"
    );
    assert_eq!(scene.status("false", T0 + 6 * MIN + 1).await, 401);
    scene.proxy.hang(false);
    scene.moto.rotate(ID, "two").await.unwrap();
    assert_eq!(scene.status("two", T0 + 7 * MIN).await, 200);
    // And when it is gone altogether, and a day later.
    scene.moto.stop().await;
    assert_eq!(scene.status("two", T0 + 13 * MIN).await, 200);
    assert_eq!(scene.status("two", T0 + 24 * 60 * MIN).await, 200);
}

#[tokio::test]
async fn nothing_cached_and_nothing_reachable_answers_503_and_recovers() {
    let Some(mut scene) = Scene::new(r#"{"other": "shape"}"#).await else {
        return;
    };
    let handled = scene.handle("one", T0).await;
    assert_eq!(handled.reply.status(), 503);
    assert_eq!(
        handled.error.unwrap(),
        "the secret is neither a text nor {\"secret\": …} nor {\"secrets\": […]}: store it in one \
         of these forms"
    );
    scene.moto.rotate(ID, "one").await.unwrap();
    assert_eq!(
        scene.status("one", T0 + 10).await,
        503,
        "a fetch has just failed"
    );
    assert_eq!(scene.status("one", T0 + 1_000).await, 200);

    // One that hangs isn't waited for.
    let Some(mut scene) = Scene::new("one").await else {
        return;
    };
    scene.proxy.hang(true);
    let unknown = scene.handle("one", T0).await;
    assert_eq!(
        unknown.error.as_deref(),
        Some("GetSecretValue took too long")
    );
}

#[tokio::test]
async fn while_no_secret_was_ever_read_the_consoles_check_fails_and_hinders_nobody() {
    let Some(mut scene) = Scene::new(r#"{"agora": "one"}"#).await else {
        return;
    };
    assert_eq!(scene.unsigned(T0).await, 503, "the first one asks");
    for second in 1..60 {
        assert_eq!(scene.unsigned(T0 + second * 1_000 - 1).await, 503);
    }
    assert_eq!(scene.fetches, [T0], "a flood of them asks once a minute");
    // Whoever signs asks at once, and again a second after a failure.
    assert_eq!(scene.status("one", T0 + 59_100).await, 503);
    assert_eq!(scene.unsigned(T0 + MIN).await, 503);
    scene.moto.rotate(ID, r#"{"secret": "one"}"#).await.unwrap();
    assert_eq!(scene.status("one", T0 + MIN + 100).await, 200);
    assert_eq!(scene.fetches, [T0, T0 + 59_100, T0 + MIN, T0 + MIN + 100]);
    // Once there was one the check passes, whatever becomes of the service.
    scene.moto.stop().await;
    assert_eq!(scene.unsigned(T0 + 24 * 60 * MIN).await, 200);

    // And the check itself may be the first to read it.
    let Some(mut scene) = Scene::new("one").await else {
        return;
    };
    assert_eq!(scene.unsigned(T0).await, 200);
    assert_eq!(scene.status("one", T0 + 1).await, 200);
    assert_eq!(scene.fetches, [T0]);
}

#[tokio::test]
async fn the_function_fetches_its_secret_at_init_and_prints_it_nowhere() {
    let Some(mut moto) = Moto::start().await else {
        return;
    };
    moto.create(ID, r#"{"secrets": ["local-secret", "another"]}"#)
        .await
        .unwrap();
    let world = World::new().await;
    let settings = [
        ("AGORA_SECRET_ID", ID),
        ("AGORA_SECRET", ""),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &moto.url.clone()),
    ];
    let function = Function::start(&world, &settings).await;
    let body = callback("a", "5", 0, 40, &event_details(40));
    assert_eq!(function.invoke(event(&body)).await["statusCode"], 200);
    moto.stop().await;
    let body = callback("a", "5", 1, 33, &event_details(33));
    assert_eq!(
        function.invoke(event(&body)).await["statusCode"],
        200,
        "it is cached"
    );

    let without = Function::start(&world, &settings).await;
    let answer = without.invoke(event(&body)).await;
    assert_eq!(answer["statusCode"], 503);
    assert_eq!(answer["headers"]["retry-after"], "1");
}

/// A Secrets Manager that answers a request as `answer` says, or never.
async fn secrets_manager<A>(answer: A) -> String
where
    A: Fn(&str) -> Option<(StatusCode, Value)> + Clone + Send + Sync + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(move |body: String| async move {
        match answer(&body) {
            Some((status, json)) => (status, json.to_string()),
            None => std::future::pending().await,
        }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// One that gives the current version and does something else with the previous one.
async fn without_previous(hangs: bool) -> String {
    secrets_manager(move |body| {
        let version = json!({"Name": ID, "VersionId": "v", "SecretString": sign::LOCAL_SECRET});
        let refusal = json!({"__type": "AccessDeniedException", "Message": "KMS says no"});
        match body.contains("AWSPREVIOUS") {
            false => Some((StatusCode::OK, version)),
            true if hangs => None,
            true => Some((StatusCode::BAD_REQUEST, refusal)),
        }
    })
    .await
}

#[tokio::test]
async fn a_secret_that_cannot_be_used_is_refused_loudly_and_says_what_to_change() {
    for (answer, why) in [
        (
            json!({"Name": ID, "VersionId": "v", "SecretString": r#"{"agora": "one"}"#}),
            "store it in one of these forms",
        ),
        (
            json!({"__type": "AccessDeniedException", "Message": "Access to KMS is not allowed"}),
            "kms:Decrypt on that key",
        ),
        (
            json!({"__type": "DecryptionFailure", "Message": "the key is disabled"}),
            "kms:Decrypt on that key",
        ),
        (
            json!({"__type": "ResourceNotFoundException", "Message": "no such secret"}),
            "check the secret's ARN",
        ),
    ] {
        let is_refusal = answer.get("__type").is_some();
        let status = [StatusCode::OK, StatusCode::BAD_REQUEST][usize::from(is_refusal)];
        let url = secrets_manager(move |_| Some((status, answer.clone()))).await;
        let world = World::new().await;
        let settings = [
            ("AGORA_SECRET_ID", ID),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &url),
        ];
        let function = Function::start(&world, &settings).await;
        let mut check = event(r#"{"payload": {"cname": "test_webhook"}}"#);
        check["headers"].as_object_mut().unwrap().clear();
        let body = callback("a", "5", 1, 40, &event_details(40));
        for (event, from) in [(check, "the console"), (event(&body), "Agora")] {
            let answer = function.invoke(event).await;
            assert_eq!(answer["statusCode"], 503, "{from}");
            assert!(
                answer["body"].as_str().unwrap().contains("can't be read"),
                "{answer}"
            );
        }
        let log = function.log();
        let told = log.iter().filter(|line| line.contains(why)).count();
        assert!(told >= 2, "at init and of the check: {log:?}");
    }
}

#[tokio::test]
async fn a_previous_version_that_cannot_be_read_is_logged_and_left_out() {
    for (hangs, why) in [
        (false, "AWSPREVIOUS is left out: GetSecretValue failed: "),
        (
            true,
            "AWSPREVIOUS is left out: GetSecretValue took too long",
        ),
    ] {
        let world = World::new().await;
        let url = without_previous(hangs).await;
        let settings = [
            ("AGORA_SECRET_ID", ID),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &url),
        ];
        let function = Function::start(&world, &settings).await;
        let body = callback("a", "5", 1, 40, &event_details(40));
        assert_eq!(function.invoke(event(&body)).await["statusCode"], 200);
        let log = function.log();
        assert!(log.iter().any(|line| line.contains(why)), "{log:?}");
    }
}
