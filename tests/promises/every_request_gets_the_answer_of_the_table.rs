//! Every row of the table of answers, through the real binary.

use crate::harness::{Function, World, callback, event, event_details, recordings, text};
use agora_recording_callbacks::notification::Sid;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lambda_http::aws_lambda_events::alb::AlbTargetGroupResponse;
use lambda_http::aws_lambda_events::apigw::{ApiGatewayProxyResponse, ApiGatewayV2httpResponse};
use lambda_http::request::LambdaRequest;
use serde_json::{Value, json};
use testkit::plain::stable;
use testkit::sign;

fn answer(response: &Value) -> (u64, Value) {
    // A REST API reads the lists, a load balancer either, and the others the headers.
    let once = &response["headers"]["content-type"];
    let each = &response["multiValueHeaders"]["content-type"][0];
    assert!(
        [once, each].contains(&&json!("application/json")),
        "{response}"
    );
    (
        response["statusCode"].as_u64().unwrap(),
        serde_json::from_str(response["body"].as_str().unwrap()).unwrap(),
    )
}

fn started(sid: &str) -> String {
    callback(sid, "5", 1, 40, &event_details(40))
}

fn with_header(mut event: Value, name: &str, value: &str) -> Value {
    event["headers"][name] = json!(value);
    event
}

fn without_signature(body: &str) -> Value {
    let mut event = event(body);
    event["headers"]
        .as_object_mut()
        .unwrap()
        .remove("agora-signature-v2");
    event
}

#[tokio::test]
async fn a_callback_is_stored_then_a_duplicate_and_an_older_one_is_late() {
    let world = World::new().await;
    let function = Function::start(&world, &[]).await;
    let newer = callback("a", "5", 7, 41, &json!({"leaveCode": 24}));
    for (body, result, sequence) in [
        (&newer, "stored", 7),
        (&newer, "duplicate", 7),
        (&started("a"), "late", 1),
        (&started("a"), "duplicate", 1),
    ] {
        let expected = json!({"result": result, "sid": "a", "sequence": sequence});
        assert_eq!(answer(&function.invoke(event(body)).await), (200, expected));
    }
    let heartbeat = callback("a", "5", 3, 33, &event_details(33));
    for result in ["late", "duplicate"] {
        let expected = json!({"result": result, "sid": "a", "sequence": 3});
        assert_eq!(
            answer(&function.invoke(event(&heartbeat)).await),
            (200, expected)
        );
    }
}

#[tokio::test]
async fn an_unknown_event_type_is_kept_verbatim() {
    let world = World::new().await;
    let function = Function::start(&world, &[]).await;
    let details = json!({"msgName": "brand_new", "list": [1, "two", {"three": null}]});
    let body = callback("a", "5", 0, 777, &details);
    let expected = json!({"result": "stored", "sid": "a", "sequence": 0});
    assert_eq!(
        answer(&function.invoke(event(&body)).await),
        (200, expected)
    );
    let items = world.items_with("a", "event#0000000000#777#").await;
    assert_eq!(text(&items[0], "name"), "unknown");
    assert_eq!(
        items[0]["details"].as_m().unwrap()["list"]
            .as_l()
            .unwrap()
            .len(),
        3
    );
}

#[tokio::test]
async fn what_is_not_a_callback_of_ours_is_answered_and_not_stored() {
    let world = World::new().await;
    let function = Function::start(&world, &[]).await;
    let other_product =
        json!({"productId": 1, "eventType": 102, "payload": {"channelName": "x"}}).to_string();
    assert_eq!(
        answer(&function.invoke(event(&other_product)).await).1["result"],
        "ignored"
    );
    let real = "38f8e3cfdc474cd56fc1ceba380d7e1a";
    for check in [
        json!({"cname": "test_webhook", "details": {"errorLevel": 5}}),
        json!({"channelName": "test_webhook"}),
        json!({"uid": "12121212", "sid": real, "sequence": 1}),
        json!({"uid": "12121212", "cname": "test", "sid": real}),
        json!({"cname": "test", "sid": "test_sid"}),
        json!({"cname": "test"}),
    ]
    .into_iter()
    .flat_map(|payload| {
        [1, 3].map(|product| json!({"productId": product, "eventType": 1, "payload": payload}))
    }) {
        let check = check.to_string();
        assert_eq!(
            answer(&function.invoke(event(&check)).await),
            (200, json!({"result": "test"}))
        );
        assert_eq!(
            answer(&function.invoke(without_signature(&check)).await),
            (200, json!({"result": "test"}))
        );
        let wrong = with_header(
            without_signature(&check),
            "agora-signature-v2",
            &"0".repeat(64),
        );
        assert_eq!(
            answer(&function.invoke(wrong).await),
            (401, json!({"error": "invalid signature"}))
        );
    }
    assert_eq!(world.scan().await.len(), 0);
    assert_eq!(world.sns.published().len(), 0);
}

#[tokio::test]
async fn an_unsigned_request_is_treated_as_configured() {
    let world = World::new().await;
    let check = json!({"payload": {"cname": "test_webhook"}}).to_string();
    for (mode, check_answer, other_answer) in [
        (
            "test",
            (200, json!({"result": "test"})),
            (401, json!({"error": "invalid signature"})),
        ),
        (
            "any",
            (200, json!({"result": "test"})),
            (200, json!({"result": "ignored", "reason": "unsigned"})),
        ),
        (
            "never",
            (401, json!({"error": "invalid signature"})),
            (401, json!({"error": "invalid signature"})),
        ),
    ] {
        let function = Function::start(&world, &[("UNSIGNED_CHECK", mode)]).await;
        assert_eq!(
            answer(&function.invoke(without_signature(&check)).await),
            check_answer,
            "{mode}"
        );
        assert_eq!(
            answer(&function.invoke(without_signature(&started("a"))).await),
            other_answer,
            "{mode}"
        );
    }
    assert_eq!(world.scan().await.len(), 0);
}

#[tokio::test]
async fn an_authentic_body_that_cannot_be_read_goes_to_quarantine_whole() {
    let world = World::new().await;
    let function = Function::start(&world, &[]).await;
    let bodies = [
        ("not JSON", "not a JSON object"),
        ("", "not a JSON object"),
        ("[]", "not a JSON object"),
        (
            r#"{"noticeId":"n1","productId":3,"eventType":40,"payload":{"sequence":1}}"#,
            "no sid",
        ),
        (
            r#"{"eventType":40,"payload":{"sid":"../x","sequence":1}}"#,
            "illegal sid",
        ),
        (
            r#"{"eventType":40,"payload":{"sid":"a"}}"#,
            "no readable sequence",
        ),
        (
            r#"{"payload":{"sid":"a","sequence":1}}"#,
            "no readable eventType",
        ),
    ];
    for (body, reason) in bodies {
        let expected = json!({"result": "quarantined", "reason": reason});
        assert_eq!(
            answer(&function.invoke(event(body)).await),
            (200, expected),
            "{body}"
        );
    }
    let items = world.scan().await;
    assert_eq!(items.len(), bodies.len());
    for (body, reason) in bodies {
        let item = items
            .iter()
            .find(|item| text(item, "body") == body)
            .unwrap();
        assert!(text(item, "sid").starts_with("quarantine#20"), "{item:?}");
        assert_eq!(text(item, "reason"), reason);
        assert_eq!(
            item.get("notice_id").map(|id| id.as_s().unwrap().as_str()),
            (reason == "no sid").then_some("n1")
        );
    }
}

#[tokio::test]
async fn a_wrong_or_missing_signature_is_refused_with_the_same_bytes() {
    let world = World::new().await;
    let function = Function::start(&world, &[]).await;
    let body = started("a");
    let v1 = sign::v1(sign::LOCAL_SECRET, body.as_bytes());
    let mut tampered = event(&body);
    tampered["body"] = json!(body.replace("room-101", "moor-101"));
    let mut not_base64 = event(&body);
    not_base64["isBase64Encoded"] = json!(true);
    let mut answers = Vec::new();
    for refused in [
        without_signature(&body),
        with_header(
            event(&body),
            "agora-signature-v2",
            &sign::v2("another secret", body.as_bytes()),
        ),
        with_header(event(&body), "agora-signature-v2", &v1),
        with_header(
            with_header(event(&body), "agora-signature-v2", "00"),
            "agora-signature",
            &v1,
        ),
        tampered,
        not_base64,
    ] {
        let response = function.invoke(refused).await;
        assert_eq!(response["statusCode"], 401);
        answers.push(response["body"].as_str().unwrap().to_owned());
    }
    assert!(
        answers
            .iter()
            .all(|answer| answer == r#"{"error":"invalid signature"}"#),
        "{answers:?}"
    );
    assert_eq!(world.scan().await.len(), 0);
}

#[tokio::test]
async fn sha1_signatures_count_until_they_are_turned_off_and_secrets_can_be_several() {
    let world = World::new().await;
    let body = started("a");
    let sha1_only = with_header(
        without_signature(&body),
        "agora-signature",
        &sign::v1(sign::LOCAL_SECRET, body.as_bytes()),
    );
    let strict = Function::start(&world, &[("REQUIRE_SIGNATURE_V2", "true")]).await;
    assert_eq!(strict.invoke(sha1_only.clone()).await["statusCode"], 401);
    let several = Function::start(&world, &[("AGORA_SECRET", "new-secret, local-secret")]).await;
    assert_eq!(several.invoke(sha1_only).await["statusCode"], 200);
    let new = with_header(
        event(&body),
        "agora-signature-v2",
        &sign::v2("new-secret", body.as_bytes()),
    );
    assert_eq!(several.invoke(new).await["statusCode"], 200);
}

#[tokio::test]
async fn a_recording_that_looks_a_little_like_the_consoles_check_is_stored() {
    let world = World::new().await;
    let function = Function::start(&world, &[]).await;
    for (sid, cname, uid) in [
        ("38f8e3cfdc474cd56fc1ceba380d7e1a", "test", "5"),
        ("38f8e3cfdc474cd56fc1ceba380d7e1b", "room", "12121212"),
    ] {
        let mut body: Value = serde_json::from_str(&started(sid)).unwrap();
        body["payload"]["cname"] = json!(cname);
        body["payload"]["uid"] = json!(uid);
        let (status, answered) = answer(&function.invoke(event(&body.to_string())).await);
        assert_eq!(status, 200);
        assert_eq!(answered["result"], "stored");
        assert_eq!(world.items_with(sid, "event#").await.len(), 1);
    }
}

#[tokio::test]
async fn what_is_too_old_goes_to_quarantine_and_a_clock_ahead_is_stored() {
    let world = World::new().await;
    let function = Function::start(&world, &[("MAX_CALLBACK_AGE_HOURS", "24")]).await;
    let at = |notify_ms: u64, sequence: u64| {
        let mut body: Value = serde_json::from_str(&started("a")).unwrap();
        body["notifyMs"] = json!(notify_ms);
        body["payload"]["sequence"] = json!(sequence);
        body.to_string()
    };
    let now = agora_recording_callbacks::clock::now_ms();
    let minute = 60_000;
    let too_old = json!({"result": "quarantined", "reason": "too old"});
    let stored = |sequence: u64| json!({"result": "stored", "sid": "a", "sequence": sequence});
    let old = at(now - 25 * 60 * minute, 1);
    for (body, expected) in [
        (&old, too_old),
        (&at(now - 23 * 60 * minute, 2), stored(2)),
        (&at(now + 3 * minute, 3), stored(3)),
        (&at(now + 6 * minute, 4), stored(4)),
        (&at(now + 25 * 60 * minute, 5), stored(5)),
    ] {
        let answered = answer(&function.invoke(event(body)).await);
        assert_eq!(answered, (200, expected));
    }
    // It stays there until somebody asks for it.
    let stays = recordings(&world, &["quarantine", "redrive"]).await;
    assert!(
        stays.0.contains("stays: too old; --stale takes it"),
        "{stays:?}"
    );
    assert_eq!(world.items_with("a", "event#0000000001#").await.len(), 0);
    let taken = recordings(&world, &["quarantine", "redrive", "--stale"]).await;
    assert!(taken.0.contains("1 left quarantine, 0 stay."), "{taken:?}");
    assert_eq!(world.items_with("a", "event#0000000001#").await.len(), 1);
}

#[tokio::test]
async fn a_probe_is_answered_and_other_methods_and_large_unsigned_bodies_are_refused() {
    let world = World::new().await;
    let function = Function::start(&world, &[]).await;
    let with_method = |body: &str, method: &str| {
        let mut event = event(body);
        event["requestContext"]["http"]["method"] = json!(method);
        event
    };
    for method in ["GET", "HEAD"] {
        let mut probe = with_method("", method);
        probe.as_object_mut().unwrap().remove("body");
        for probe in [probe, with_method("", method)] {
            let expected = (200, json!({"result": "test"}));
            assert_eq!(answer(&function.invoke(probe).await), expected);
        }
    }
    for (body, method) in [
        (&*started("a"), "GET"),
        ("", "PUT"),
        ("", "DELETE"),
        ("", "BREW"),
    ] {
        let response = function.invoke(with_method(body, method)).await;
        assert_eq!(answer(&response).0, 405);
        assert_eq!(response["headers"]["allow"], "POST");
    }
    let too_large = "x".repeat(32 * 1024 + 1);
    let response = function.invoke(without_signature(&too_large)).await;
    assert_eq!(answer(&response), (413, json!({"error": "body too large"})));
    let mut encoded = without_signature(&STANDARD.encode(&too_large));
    encoded["isBase64Encoded"] = json!(true);
    assert_eq!(answer(&function.invoke(encoded).await).0, 413);
    let fits = without_signature(&too_large[1..]);
    assert_eq!(answer(&function.invoke(fits).await).0, 401);
    assert_eq!(world.scan().await.len(), 0);
}

/// A 31 with so many files of so long names.
fn uploaded(sid: &str, files: usize, name: impl Fn(usize) -> String) -> (String, Value) {
    let files: Vec<_> = (0..files)
        .map(|n| json!({"fileName": name(n), "trackType": "audio_and_video", "uid": "0"}))
        .collect();
    let details = json!({"msgName": "uploaded", "status": 0, "fileList": files});
    (callback(sid, "5", 2, 31, &details), details)
}

#[tokio::test]
async fn a_large_callback_is_stored_like_any_other_and_comes_back_whole() {
    let world = World::new().await;
    let function = Function::start(&world, &[]).await;
    let long = |n: usize| format!("{n:06}_{}.m3u8", "x".repeat(200));
    // Over 256 KiB as it is; over an item's 400 KB compressed.
    for (sid, files, attribute) in [("a", 1_000, "details"), ("b", 14_000, "body_deflate")] {
        let (body, details) = uploaded(sid, files, long);
        assert!(body.len() > 256 * 1024 && body.len() < 6 * 1024 * 1024);
        let expected = json!({"result": "stored", "sid": sid, "sequence": 2});
        assert_eq!(
            answer(&function.invoke(event(&body)).await),
            (200, expected)
        );
        let items = world.items_with(sid, "event#").await;
        assert!(!items[0][attribute].is_null(), "{sid}");
        assert_eq!(world.items_with(sid, "session").await.len(), 1);
        let record = world.store().record(&Sid::new(sid).unwrap()).await;
        let record = record.unwrap().unwrap();
        assert!(record.events[0].details == details, "{sid}");
    }
}

#[tokio::test]
async fn of_what_does_not_fit_even_compressed_quarantine_keeps_the_beginning() {
    let world = World::new().await;
    let function = Function::start(&world, &[]).await;
    let mut rng = fastrand::Rng::with_seed(1);
    let noise: Vec<String> = (0..2_000)
        .map(|_| (0..600).map(|_| rng.alphanumeric()).collect())
        .collect();
    let (body, _) = uploaded("a", noise.len(), |n| noise[n].clone());
    let expected = json!({"result": "quarantined", "reason": "too large"});
    assert_eq!(
        answer(&function.invoke(event(&body)).await),
        (200, expected)
    );
    assert!(function.log().last().unwrap().contains("\"Cut\":1"));
    let items = world.scan().await;
    let [item] = items.as_slice() else {
        panic!("{} items", items.len())
    };
    let beginning = item["body"].as_b().unwrap().as_ref();
    assert!(beginning.len() > 300_000 && body.as_bytes().starts_with(beginning));
    assert_eq!(item["body_length"].as_n().unwrap(), &body.len().to_string());
    assert_eq!(item["body_sha256"].as_s().unwrap().len(), 64);
    let (printed, _) = recordings(&world, &["quarantine", "redrive"]).await;
    let stays = "stays: too large; only its beginning was kept";
    assert!(printed.contains(stays), "{printed}");
}

#[tokio::test]
async fn what_cannot_be_stored_in_time_is_asked_for_again() {
    let world = World::new().await;
    let function = Function::start(&world, &[]).await;
    assert_eq!(
        function.invoke(event(&started("a"))).await["statusCode"],
        200
    );
    world.proxy.hang(true);
    let response = function.invoke_within(event(&started("b")), 1_500).await;
    assert_eq!(
        answer(&response),
        (503, json!({"error": "not stored, try again"}))
    );
    assert_eq!(response["headers"]["retry-after"], "1");
    assert!(function.log().last().unwrap().contains("\"sid\":\"b\""));
    world.proxy.hang(false);
    assert_eq!(
        function.invoke(event(&started("b"))).await["statusCode"],
        200
    );
}

#[tokio::test]
async fn four_kinds_of_envelope_give_the_same_answer_and_the_same_items() {
    let body = callback("a", "5", 1, 1, &event_details(1));
    let digest = sign::v2(sign::LOCAL_SECRET, body.as_bytes());
    let encoded = STANDARD.encode(&body);
    let headers = json!({"content-type": "application/json", "Agora-Signature-V2": digest});
    let multi = json!({"content-type": ["application/json"], "Agora-Signature-V2": [digest]});
    let identity = json!({"sourceIp": "203.0.113.24", "userAgent": "Go-http-client/1.1"});
    let http_v2 = {
        let mut event = event(&body);
        event["rawPath"] = json!("/prod/agora");
        event["requestContext"]["stage"] = json!("prod");
        event["isBase64Encoded"] = json!(true);
        event["body"] = json!(encoded);
        event
    };
    let rest_v1 = json!({
        "resource": "/agora", "path": "/agora", "httpMethod": "POST",
        "headers": headers, "multiValueHeaders": multi,
        "queryStringParameters": null, "multiValueQueryStringParameters": null,
        "pathParameters": null, "stageVariables": null,
        "requestContext": {
            "resourcePath": "/agora", "httpMethod": "POST", "stage": "prod", "identity": identity,
            "requestId": "r",
        },
        "body": body, "isBase64Encoded": false,
    });
    let group = "arn:aws:elasticloadbalancing:eu-central-1:1:targetgroup/t/1";
    let alb = json!({
        "requestContext": {"elb": {"targetGroupArn": group}}, "httpMethod": "POST", "path": "/",
        "queryStringParameters": {}, "headers": headers, "body": body, "isBase64Encoded": false,
    });
    let alb_multi = json!({
        "requestContext": {"elb": {"targetGroupArn": group}}, "httpMethod": "POST", "path": "/",
        "multiValueHeaders": multi, "body": encoded, "isBase64Encoded": true,
    });

    let mut seen = Vec::new();
    for (name, envelope) in [
        ("function URL", event(&body)),
        ("HTTP v2", http_v2),
        ("REST v1", rest_v1),
        ("ALB", alb),
        ("ALB, multi-value", alb_multi),
    ] {
        // `lambda_http` takes the envelopes above for the same ones as we do.
        let read: LambdaRequest = serde_json::from_str(&envelope.to_string()).unwrap();
        assert!(
            matches!(
                (name, read),
                ("function URL" | "HTTP v2", LambdaRequest::ApiGatewayV2(_))
                    | ("REST v1", LambdaRequest::ApiGatewayV1(_))
                    | ("ALB" | "ALB, multi-value", LambdaRequest::Alb(_))
            ),
            "{name}"
        );
        let world = World::new().await;
        let function = Function::start(&world, &[]).await;
        let response = function.invoke(envelope).await;
        // AWS's own types read the answer, as runtimes on a laptop do.
        match name {
            "REST v1" => {
                drop(serde_json::from_value::<ApiGatewayProxyResponse>(response.clone()).unwrap())
            }
            "ALB" | "ALB, multi-value" => {
                drop(serde_json::from_value::<AlbTargetGroupResponse>(response.clone()).unwrap())
            }
            _ => {
                drop(serde_json::from_value::<ApiGatewayV2httpResponse>(response.clone()).unwrap())
            }
        }
        if name.starts_with("ALB") {
            assert_eq!(
                response["multiValueHeaders"]["content-type"],
                json!(["application/json"])
            );
            assert_eq!(response["statusDescription"], "200 OK");
        }
        let items: Vec<Value> = world.items("a").await.iter().map(stable).collect();
        assert_eq!(items.len(), 3, "{items:?}");
        seen.push((name, answer(&response), items, world.sns.published().len()));
    }
    for other in &seen[1..] {
        assert_eq!(other.1, seen[0].1, "{}", other.0);
        assert_eq!(other.2, seen[0].2, "{}", other.0);
        assert_eq!(other.3, 1, "{}", other.0);
    }
    assert_eq!(
        seen[0].1,
        (200, json!({"result": "stored", "sid": "a", "sequence": 1}))
    );
}

#[tokio::test]
async fn a_bad_configuration_stops_the_function_at_init_with_one_line() {
    let world = World::new().await;
    for (variable, value, line) in [
        (
            "AGORA_SECRET",
            "",
            "configuration: neither AGORA_SECRET_ID nor AGORA_SECRET is set\n",
        ),
        ("TABLE_NAME", "", "configuration: TABLE_NAME is not set\n"),
        (
            "RETENTION_DAYS",
            "soon",
            "configuration: RETENTION_DAYS is \"soon\"; expected a number of days from 3 up\n",
        ),
    ] {
        assert_eq!(
            Function::refuse(&world, &[(variable, value)]).await,
            (line.to_owned(), false)
        );
    }
}
