//! Events that `lambda_http` alone would panic on, and events that it refuses: the real binary
//! survives each, and answers the next request.

use crate::harness::{Function, World, callback, event, event_details};
use serde_json::{Value, json};

/// A load balancer's and a REST API's event with the body and headers of `event`.
fn in_other_envelopes(event: &Value) -> [Value; 2] {
    let (body, headers) = (&event["body"], &event["headers"]);
    let rest = json!({
        "resource": "/", "path": "/", "httpMethod": "POST", "headers": headers, "body": body,
        "requestContext": {"resourcePath": "/", "httpMethod": "POST", "stage": "prod"},
    });
    let alb = json!({
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:x"}},
        "httpMethod": "POST", "path": "/", "headers": headers, "body": body,
    });
    [rest, alb]
}

#[tokio::test]
async fn each_trap_of_the_conversion_is_answered_and_so_is_the_next_request() {
    let world = World::new().await;
    let mut function = Function::start(&world, &[]).await;
    let body = callback("a", "5", 1, 40, &event_details(40));
    let [rest, alb] = in_other_envelopes(&event(&body));
    let with = |base: &Value, pointer: &str, value: Value| {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let mut event = base.clone();
        if event.pointer(parent).is_none() {
            event[parent.trim_start_matches('/')] = json!({});
        }
        event.pointer_mut(parent).unwrap()[name] = value;
        event
    };
    let v2 = event(&body);
    let long = format!("/{}", "x".repeat(70_000));
    for (name, trap) in [
        (
            "a path that is none",
            with(&v2, "/rawPath", json!("no slash [::")),
        ),
        (
            "a path that is too long",
            with(&v2, "/rawPath", json!(long)),
        ),
        (
            "a query that is none",
            with(&v2, "/rawQueryString", json!("a b\u{0}#")),
        ),
        (
            "a stage that is none",
            with(&v2, "/requestContext/stage", json!("a b?#")),
        ),
        (
            "a domain that is none",
            with(&v2, "/requestContext/domainName", json!("ex ample:x")),
        ),
        (
            "a host that is none",
            with(&v2, "/headers/host", json!("exa mple[:::99999")),
        ),
        (
            "a scheme that is none",
            with(&v2, "/headers/x-forwarded-proto", json!("1 http")),
        ),
        (
            "REST: a path that is none",
            with(&rest, "/path", json!("no slash [::")),
        ),
        (
            "REST: a query that is none",
            with(&rest, "/queryStringParameters/a b", json!("\u{0}")),
        ),
        (
            "REST: a stage that is none",
            with(&rest, "/requestContext/stage", json!("a b?#")),
        ),
        (
            "REST: a domain that is none",
            with(&rest, "/requestContext/domainName", json!("a b")),
        ),
        (
            "REST: a host that is none",
            with(&rest, "/headers/host", json!("exa mple[:::99999")),
        ),
        (
            "ALB: a path that is none",
            with(&alb, "/path", json!("no slash [::")),
        ),
        (
            "ALB: a query that is none",
            with(&alb, "/queryStringParameters/a", json!("%zz\u{0}")),
        ),
        (
            "ALB: a host that is none",
            with(&alb, "/headers/host", json!("exa mple[:::99999")),
        ),
        (
            "ALB: a scheme that is none",
            with(&alb, "/headers/x-forwarded-proto", json!("1 http")),
        ),
    ] {
        let answer = function.invoke(trap).await;
        assert_eq!(answer["statusCode"], 200, "{name}: {answer}");
        assert!(function.lives(), "{name}");
    }
    for base in [&v2, &rest, &alb] {
        let trap = with(base, "/isBase64Encoded", json!(true));
        assert_eq!(function.invoke(trap).await["statusCode"], 401);
        assert!(function.lives());
    }
    assert_eq!(function.invoke(event(&body)).await["statusCode"], 200);
    assert_eq!(world.items_with("a", "event#").await.len(), 1);
}

#[tokio::test]
async fn two_signatures_are_refused_in_every_envelope_that_can_hold_two() {
    let world = World::new().await;
    let function = Function::start(&world, &[]).await;
    let body = callback("a", "5", 1, 40, &event_details(40));
    for mut twice in in_other_envelopes(&event(&body)) {
        let right = twice["headers"]["agora-signature-v2"].clone();
        twice["multiValueHeaders"] = json!({"agora-signature-v2": ["00", right]});
        assert_eq!(function.invoke(twice).await["statusCode"], 401);
    }
}

#[tokio::test]
async fn an_event_that_is_no_request_fails_its_invocation_and_no_other() {
    let world = World::new().await;
    let mut function = Function::start(&world, &[]).await;
    let body = callback("a", "5", 1, 40, &event_details(40));
    let mut odd_method = event(&body);
    odd_method["requestContext"]["http"]["method"] = json!("NO METHOD");
    let mut newline = event(&body);
    newline["headers"]["x"] = json!("a\nb");
    for refused in [json!({"source": "aws.events"}), odd_method, newline] {
        function.fail(refused).await;
        assert!(function.lives());
        assert_eq!(function.invoke(event(&body)).await["statusCode"], 200);
    }
}
