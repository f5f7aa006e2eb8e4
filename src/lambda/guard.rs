//! Makes an event harmless before `lambda_http` turns it into a request.
//!
//! That conversion panics on a path, query, stage, domain name, `Host` or `X-Forwarded-Proto` that
//! makes no URI, and on a body that isn't the base64 it claims to be; a panic here is a dead
//! process. Nothing of the URI but path and query means anything to us, so the rest is taken out;
//! path and query stay if they are of characters that can't go wrong. Where the path doesn't, the
//! query goes with it: it was for that path.
//!
//! One trap is out of reach: some 30,000 different headers panic while the event is read. No front
//! end of Lambda passes on so many. Written against version 1.3.2 of `lambda_http`, which is
//! pinned.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use lambda_http::aws_lambda_events::query_map::QueryMap;
use lambda_http::http::HeaderMap;
use lambda_http::http::header::HOST;
use lambda_http::request::LambdaRequest;
use serde::de::{Deserialize, Deserializer, Error};
use serde_json::value::RawValue;

/// A longer path or query makes no URI; front ends take 10 KB.
const MAX_LENGTH: usize = 8 * 1024;

/// An event that can be converted.
#[derive(Debug)]
pub struct Guarded(LambdaRequest);

impl Guarded {
    /// The event, for the conversion.
    #[must_use]
    pub fn into_inner(self) -> LambdaRequest {
        self.0
    }
}

impl<'de> Deserialize<'de> for Guarded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let event = <&RawValue>::deserialize(deserializer)?.get();
        // A function URL's event says what it is. `lambda_http` would try the REST API's shape
        // first, and read every event twice.
        match serde_json::from_str::<ApiGatewayV2httpRequest>(event) {
            Ok(event) if event.version.as_deref() == Some("2.0") => {
                Ok(Self(guard(LambdaRequest::ApiGatewayV2(event))))
            }
            Ok(_) | Err(_) => {
                let event = serde_json::from_str(event).map_err(D::Error::custom)?;
                Ok(Self(guard(event)))
            }
        }
    }
}

/// The event without what can't be converted.
fn guard(mut event: LambdaRequest) -> LambdaRequest {
    match &mut event {
        LambdaRequest::ApiGatewayV2(event) => {
            let is_kept = guard_path(&mut event.raw_path);
            event.raw_query_string = event
                .raw_query_string
                .take()
                .filter(|query| is_kept && is_query(query));
            guard_query(&mut event.query_string_parameters, is_kept);
            event.request_context.stage = None;
            event.request_context.domain_name = None;
            guard_headers(&mut event.headers);
            guard_body(&mut event.body, &mut event.is_base64_encoded);
        }
        LambdaRequest::ApiGatewayV1(event) => {
            let is_kept = guard_path(&mut event.path);
            guard_query(&mut event.query_string_parameters, is_kept);
            guard_query(&mut event.multi_value_query_string_parameters, is_kept);
            event.request_context.stage = None;
            event.request_context.domain_name = None;
            guard_header_lists(&mut event.headers, &mut event.multi_value_headers);
            guard_body(&mut event.body, &mut event.is_base64_encoded);
        }
        LambdaRequest::Alb(event) => {
            let is_kept = guard_path(&mut event.path);
            guard_query(&mut event.query_string_parameters, is_kept);
            guard_query(&mut event.multi_value_query_string_parameters, is_kept);
            guard_header_lists(&mut event.headers, &mut event.multi_value_headers);
            guard_body(&mut event.body, &mut event.is_base64_encoded);
        }
        // Not compiled in; the enum is open.
        _ => {}
    }
    event
}

/// True if the path is kept.
fn guard_path(path: &mut Option<String>) -> bool {
    let is_path = |path: &str| {
        path.len() <= MAX_LENGTH
            && path.starts_with('/')
            && path.bytes().all(|byte| is_unreserved(byte) || byte == b'/')
    };
    let is_kept = path.as_deref().is_some_and(is_path);
    if !is_kept {
        *path = Some("/".to_owned());
    }
    is_kept
}

fn guard_query(query: &mut QueryMap, is_path_kept: bool) {
    let pairs = || query.iter().map(|(name, value)| [name, value]);
    let length: usize = pairs().flatten().map(|part| part.len() + 1).sum();
    if !is_path_kept || length > MAX_LENGTH || !pairs().flatten().all(is_query) {
        *query = QueryMap::default();
    }
}

fn is_query(query: &str) -> bool {
    query.len() <= MAX_LENGTH
        && query
            .bytes()
            .all(|byte| is_unreserved(byte) || matches!(byte, b'=' | b'&'))
}

/// The characters that stand for themselves in a URI (RFC 3986, section 2.3).
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn guard_headers(headers: &mut HeaderMap) {
    headers.remove(HOST);
    headers.remove("x-forwarded-proto");
}

/// Where the list with repetitions is there it is the truth; joined with the other one, a header
/// that was sent twice would look as if it had been sent once.
fn guard_header_lists(headers: &mut HeaderMap, multi_value_headers: &mut HeaderMap) {
    if !multi_value_headers.is_empty() {
        headers.clear();
    }
    guard_headers(headers);
    guard_headers(multi_value_headers);
}

/// A body that isn't the base64 it claims to be is no body at all; no signature holds for that.
fn guard_body(body: &mut Option<String>, is_base64: &mut bool) {
    let is_decodable = |body: &String| STANDARD.decode(body).is_ok();
    if *is_base64 && !body.as_ref().is_none_or(is_decodable) {
        *body = None;
        *is_base64 = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lambda_http::{Adapter, Body, Context, LambdaEvent, Request, Service, service_fn};
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use std::convert::Infallible;

    /// The request that an event becomes, through guard and adapter; `None` if the event can't be
    /// read, which is a failed invocation. A panic fails the test.
    fn convert(event: &Value) -> Option<Request> {
        let event: Guarded = serde_json::from_str(&event.to_string()).ok()?;
        let seen = std::sync::Mutex::new(None);
        let service = service_fn(|request: Request| {
            *seen.lock().unwrap() = Some(request);
            std::future::ready(Ok::<_, Infallible>(""))
        });
        let event = LambdaEvent::new(event.into_inner(), Context::default());
        drop(Adapter::from(service).call(event));
        seen.into_inner().unwrap()
    }

    fn http_v2() -> Value {
        json!({
            "version": "2.0", "routeKey": "$default", "rawPath": "/agora",
            "rawQueryString": "a=1&b=2",
            "headers": {"host": "x.lambda-url.eu-central-1.on.aws", "agora-signature-v2": "s"},
            "requestContext": {
                "http": {
                    "method": "POST", "path": "/agora", "protocol": "HTTP/1.1",
                    "sourceIp": "203.0.113.24", "userAgent": "a",
                },
                "stage": "$default", "domainName": "x.lambda-url.eu-central-1.on.aws",
                "timeEpoch": 1,
            },
            "body": "YQ==", "isBase64Encoded": true,
        })
    }

    fn rest() -> Value {
        json!({
            "resource": "/agora", "path": "/agora", "httpMethod": "POST",
            "headers": {"Host": "x", "agora-signature-v2": "s"},
            "multiValueHeaders": {"Host": ["x"], "agora-signature-v2": ["s"]},
            "queryStringParameters": {"a": "1"}, "multiValueQueryStringParameters": {"a": ["1"]},
            "requestContext": {"httpMethod": "POST", "stage": "prod", "domainName": "x",
                "identity": {}},
            "body": "YQ==", "isBase64Encoded": true,
        })
    }

    fn alb() -> Value {
        json!({
            "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:x"}},
            "httpMethod": "POST", "path": "/agora", "queryStringParameters": {"a": "1"},
            "multiValueQueryStringParameters": {},
            "headers": {"host": "x", "agora-signature-v2": "s"},
            "multiValueHeaders": {}, "body": "YQ==", "isBase64Encoded": true,
        })
    }

    type Sample = fn() -> Value;

    /// Every field that takes part in the conversion, of each kind of event.
    const FIELDS: [(Sample, &[&str]); 3] = [
        (
            http_v2,
            &[
                "/rawPath",
                "/rawQueryString",
                "/queryStringParameters/a",
                "/requestContext/stage",
                "/requestContext/domainName",
                "/headers/host",
                "/headers/x-forwarded-proto",
                "/headers/cookie",
                "/cookies",
                "/pathParameters/p",
                "/stageVariables/s",
                "/body",
            ],
        ),
        (
            rest,
            &[
                "/path",
                "/queryStringParameters/a",
                "/multiValueQueryStringParameters/a",
                "/requestContext/stage",
                "/requestContext/domainName",
                "/headers/host",
                "/headers/x-forwarded-proto",
                "/multiValueHeaders/host",
                "/multiValueHeaders/x-forwarded-proto",
                "/pathParameters/p",
                "/stageVariables/s",
                "/body",
            ],
        ),
        (
            alb,
            &[
                "/path",
                "/queryStringParameters/a",
                "/multiValueQueryStringParameters/a",
                "/headers/host",
                "/headers/x-forwarded-proto",
                "/multiValueHeaders/host",
                "/multiValueHeaders/x-forwarded-proto",
                "/body",
            ],
        ),
    ];

    /// Puts a text where `pointer` says, as a list where the field has lists.
    fn put(event: &mut Value, pointer: &str, text: &str) {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let is_list = parent.contains("multiValue") || name == "cookies";
        let value = if is_list { json!([text]) } else { json!(text) };
        if event.pointer(parent).is_none() {
            event[parent.trim_start_matches('/')] = json!({});
        }
        event.pointer_mut(parent).unwrap()[name] = value;
    }

    #[test]
    fn each_trap_by_name_is_harmless() {
        let long = format!("/{}", "x".repeat(70_000));
        for (event, fields) in FIELDS {
            for field in fields {
                for trap in [
                    "",
                    " ",
                    "/ ",
                    "no slash",
                    "//",
                    "//x",
                    "/\\",
                    "/[",
                    "/%zz",
                    "/\u{e9}",
                    "/a?b#c",
                    "?",
                    "#",
                    "a b",
                    "\u{0}",
                    "[::1",
                    "exa mple",
                    "x:99999",
                    "@",
                    "ht tp",
                    "1http",
                    "javascript",
                    "data:text",
                    ":",
                    "*",
                    "!!!",
                    "YQ",
                    "=",
                    "%",
                    &long,
                ] {
                    let mut event = event();
                    put(&mut event, field, trap);
                    // What can't be a header makes the event unreadable; anything else is a
                    // request.
                    let is_header = field.contains("eaders/");
                    let request = convert(&event);
                    assert!(request.is_some() || is_header, "{field} {trap:?}");
                }
            }
        }
    }

    /// What this version of `lambda_http` makes the guard necessary for; with another one, whatever
    /// fails here needs no guard any more.
    #[test]
    fn without_the_guard_these_are_fatal() {
        let long = format!("/{}", "x".repeat(70_000));
        for (event, field, trap) in [
            (http_v2 as Sample, "/rawPath", ":no path"),
            (http_v2, "/rawPath", &*long),
            (http_v2, "/rawQueryString", "a b"),
            (http_v2, "/headers/host", "exa mple"),
            (http_v2, "/headers/x-forwarded-proto", "1 http"),
            (http_v2, "/body", "!"),
            (rest, "/path", &*long),
            (rest, "/headers/host", "exa mple"),
            (rest, "/headers/x-forwarded-proto", "1 http"),
            (rest, "/body", "!"),
            (alb, "/path", ":no path"),
            (alb, "/headers/host", "exa mple"),
            (alb, "/headers/x-forwarded-proto", "1 http"),
            (alb, "/body", "!"),
        ] {
            let mut event = event();
            put(&mut event, field, trap);
            let event: LambdaRequest = serde_json::from_str(&event.to_string()).unwrap();
            let converted = std::panic::catch_unwind(|| Request::from(event));
            assert!(converted.is_err(), "{field} {trap}");
        }
    }

    #[test]
    fn what_is_harmless_is_kept() {
        for event in [http_v2(), rest(), alb()] {
            let request = convert(&event).unwrap();
            assert_eq!(request.method(), "POST");
            assert_eq!(request.uri().path(), "/agora");
            assert!(request.uri().query().unwrap().starts_with("a=1"));
            assert_eq!(request.headers()["agora-signature-v2"], "s");
            assert_eq!(request.body().as_ref(), b"a");
        }
    }

    #[test]
    fn a_query_goes_with_the_path_it_was_for() {
        for (mut event, path) in [(http_v2(), "rawPath"), (rest(), "path"), (alb(), "path")] {
            event[path] = json!("/%61gora");
            let request = convert(&event).unwrap();
            assert_eq!(request.uri().path(), "/");
            assert_eq!(request.uri().query().unwrap_or_default(), "");
        }
    }

    #[test]
    fn a_body_that_is_not_the_base64_it_claims_to_be_is_none() {
        for mut event in [http_v2(), rest(), alb()] {
            event["body"] = json!("{\"a\":1}");
            let request = convert(&event).unwrap();
            assert!(matches!(request.body(), Body::Empty));
        }
    }

    #[test]
    fn a_header_that_is_sent_twice_arrives_twice() {
        for (mut event, is_doubled) in [(rest(), true), (alb(), true), (alb(), false)] {
            if is_doubled {
                event["multiValueHeaders"] = json!({"Agora-Signature-V2": ["a", "b"]});
            }
            let request = convert(&event).unwrap();
            let values = request.headers().get_all("agora-signature-v2");
            assert_eq!(values.iter().count(), 1 + usize::from(is_doubled));
        }
    }

    #[test]
    fn what_is_no_request_is_no_event() {
        for event in [
            json!({}),
            json!({"source": "aws.events", "detail": {}}),
            json!({"requestContext": {"connectionId": "x"}, "body": "a"}),
        ] {
            assert!(serde_json::from_str::<Guarded>(&event.to_string()).is_err());
        }
    }

    /// Texts that are near to what a URI or a header takes, and texts that aren't.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[/a-zA-Z0-9._~=&%?#:@\\[\\] -]{0,40}",
            "/[/a-z0-9._~-]{0,40}",
            ".{0,40}",
            "[A-Za-z0-9+/]{0,20}={0,3}",
        ]
    }

    proptest! {
        #[test]
        fn no_text_in_any_field_panics(
            kind in 0..FIELDS.len(),
            texts in prop::collection::vec(text(), 12),
            chosen in prop::collection::vec(any::<bool>(), 12),
            is_base64 in any::<bool>(),
        ) {
            let (event, fields) = FIELDS[kind];
            let mut event = event();
            event["isBase64Encoded"] = json!(is_base64);
            for ((field, text), is_chosen) in fields.iter().zip(&texts).zip(&chosen) {
                if *is_chosen {
                    put(&mut event, field, text);
                }
            }
            convert(&event);
        }

        #[test]
        fn no_other_names_and_numbers_of_fields_panic(
            kind in 0..FIELDS.len(),
            names in prop::collection::vec((text(), text()), 0..8),
            method in text(),
        ) {
            let (event, _) = FIELDS[kind];
            let mut event = event();
            for (name, value) in names {
                let maps = ["headers", "queryStringParameters", "pathParameters", "stageVariables"];
                for map in maps {
                    event[map][&*name] = json!(value);
                }
                for list in ["multiValueHeaders", "multiValueQueryStringParameters"] {
                    event[list][&*name] = json!([value, name]);
                }
            }
            convert(&event);
            match event.pointer_mut("/requestContext/http/method") {
                Some(there) => *there = json!(method),
                None => event["httpMethod"] = json!(method),
            }
            convert(&event);
        }
    }
}
