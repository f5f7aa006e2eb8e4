//! Correctly signed bodies that no sane sender makes: each gets the answer of the table, and the
//! same process goes on.

use crate::harness::{Function, World, callback, event, event_details, text};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use testkit::sign;

/// An event whose body is bytes.
fn binary_event(body: &[u8]) -> Value {
    let mut event = event("");
    event["headers"]["agora-signature-v2"] = json!(sign::v2(sign::LOCAL_SECRET, body));
    event["body"] = json!(STANDARD.encode(body));
    event["isBase64Encoded"] = json!(true);
    event
}

fn with_details(details: &str) -> Vec<u8> {
    callback("a", "5", 1, 40, &json!("DETAILS"))
        .replace("\"DETAILS\"", details)
        .into_bytes()
}

#[tokio::test]
async fn each_gets_its_answer_and_the_process_lives_on() {
    let world = World::new().await;
    let mut function = Function::start(&world, &[]).await;
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let long_name = "x".repeat(70_000);
    let quarantined = [
        nested(5_000).into_bytes(),
        with_details(&nested(5_000)),
        b"\xff\xfe\x00{".to_vec(),
        b"\xef\xbb\xbf{}".to_vec(),
        Vec::new(),
        b"\0".to_vec(),
        with_details("1e400"),
        with_details("NaN"),
        br#"{"eventType":40,"payload":{"sid":"a","sequence":99999999999999999999999}}"#.to_vec(),
        br#"{"eventType":40,"payload":{"sid":"a","sequence":18446744073709551616}}"#.to_vec(),
        br#"{"eventType":40,"payload":{"sid":"a","sequence":1.5}}"#.to_vec(),
        br#"{"eventType":-1,"payload":{"sid":"a","sequence":1}}"#.to_vec(),
        br#"{"eventType":40,"payload":[{"sid":"a","sequence":1}]}"#.to_vec(),
        vec![b'x'; 250 * 1024],
    ];
    for body in &quarantined {
        let answer = function.invoke(binary_event(body)).await;
        assert_eq!(answer["statusCode"], 200, "{answer}");
        assert!(
            answer["body"].as_str().unwrap().contains("quarantined"),
            "{answer}"
        );
    }
    let kept = world.scan().await;
    assert_eq!(kept.len(), quarantined.len());
    for body in &quarantined {
        let is_kept = kept.iter().any(|item| match &item["body"] {
            aws_sdk_dynamodb::types::AttributeValue::S(text) => text.as_bytes() == body,
            aws_sdk_dynamodb::types::AttributeValue::B(bytes) => bytes.as_ref() == body,
            _ => false,
        });
        assert!(
            is_kept,
            "{:?}",
            String::from_utf8_lossy(&body[..body.len().min(80)])
        );
    }

    let stored = [
        with_details("123456789012345678901234567890123456789012345678901234567890"),
        with_details("1e300"),
        with_details("-1e-300"),
        with_details("18446744073709551615"),
        with_details("null"),
        with_details("[]"),
        with_details(&nested(40)),
        with_details(&nested(100)),
        with_details(r#"{"":{"":1}}"#),
        with_details(r#"{"status":0,"status":1}"#),
        with_details(r#"{"status":{"status":[]},"nul":"\u0000"}"#),
        with_details(&format!("{{\"{long_name}\":1}}")),
        with_details(&format!("[{}]", vec!["0"; 110_000].join(","))),
        // As a list of lists or beside the body, these would be larger than an item may be.
        with_details(&format!("[{}]", vec!["[1]"; 64_000].join(","))),
        with_details(&format!("[{}]", vec!["1e20"; 50_000].join(","))),
        with_details(&format!(
            "[{},{}]",
            nested(60),
            vec!["1e9"; 60_000].join(",")
        )),
    ];
    for body in &stored {
        let answer = function.invoke(binary_event(body)).await;
        assert_eq!(answer["statusCode"], 200, "{answer}");
        assert!(
            answer["body"].as_str().unwrap().contains(r#""sid":"a""#),
            "{answer}"
        );
    }
    assert_eq!(world.items_with("a", "event#").await.len(), stored.len());

    let long = json!({
        "noticeId": "n".repeat(20_000), "eventType": 11, "notifyMs": u64::MAX,
        "payload": {"cname": "c".repeat(20_000), "uid": "u".repeat(20_000), "sid": "b",
            "sequence": 9_999_999_999_u64,
            "sendts": u64::MAX / 2, "details": {"exitStatus": i64::MAX}},
    });
    let answer = function
        .invoke(binary_event(long.to_string().as_bytes()))
        .await;
    assert_eq!(answer["statusCode"], 200, "{answer}");
    assert!(
        answer["body"].as_str().unwrap().contains("stored"),
        "{answer}"
    );
    assert!(agora_recording_callbacks::store::size(&world.session_item("b").await) < 16 * 1024);

    assert!(function.lives());
    let ordinary = callback("c", "5", 0, 40, &event_details(40));
    assert_eq!(function.invoke(event(&ordinary)).await["statusCode"], 200);
}

#[tokio::test]
async fn numbers_with_more_digits_than_the_table_holds_are_kept_in_the_body() {
    let world = World::new().await;
    let receiver = world.receiver();
    let number = "123456789012345678901234567890";
    world
        .deliver(&receiver, &with_details(&format!("{{\"huge\":{number}}}")))
        .await;
    let item = world.items_with("a", "event#").await.remove(0);
    assert!(text(&item, "body").contains(number));
}
