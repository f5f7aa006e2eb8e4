//! The envelopes that an HTTP request comes in: function URL and HTTP API v2 (the same one), REST API v1, load balancer.
//!
//! One pass reads the fields that matter, whichever envelope it is, and skips the rest: neither another header nor a field that
//! AWS changes one day can make a callback unreadable. `lambda_http` has a type for each envelope; it copies the event, tries
//! one type after the other, and refuses the whole event for any field that it doesn't like.

use crate::signature::{SIGNATURE_V1, SIGNATURE_V2};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// An HTTP request, as far as it matters here.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Fields")]
pub struct HttpEvent {
    pub(super) sender: Sender,
    pub(super) method: String,
    pub(super) signature: SignatureValues,
    /// As it stands in the event; empty if it isn't there.
    pub(super) body: String,
    pub(super) is_base64: bool,
}

/// Who sent the event, and so reads the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    RestApi,
    HttpApiOrUrl,
    LoadBalancer,
}

/// All values of the signature headers, however the names are spelled.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SignatureValues {
    pub(super) v2: Vec<String>,
    pub(super) v1: Vec<String>,
}

/// The event isn't of an HTTP request.
#[derive(Debug, thiserror::Error)]
#[error("the event has neither `requestContext.http` nor `httpMethod`: it is no HTTP request")]
struct NotHttp;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    http_method: Option<String>,
    request_context: Option<RequestContext>,
    headers: Option<SignatureValues>,
    multi_value_headers: Option<SignatureValues>,
    body: Option<String>,
    is_base64_encoded: Option<bool>,
}

#[derive(Deserialize)]
struct RequestContext {
    http: Option<Http>,
    elb: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Http {
    method: String,
}

impl TryFrom<Fields> for HttpEvent {
    type Error = NotHttp;

    fn try_from(fields: Fields) -> Result<Self, NotHttp> {
        let (http, elb) = fields
            .request_context
            .map_or((None, None), |context| (context.http, context.elb));
        let (sender, method) = match (http, fields.http_method) {
            (Some(http), _) => (Sender::HttpApiOrUrl, http.method),
            (None, Some(method)) if elb.is_some() => (Sender::LoadBalancer, method),
            (None, Some(method)) => (Sender::RestApi, method),
            (None, None) => return Err(NotHttp),
        };
        let once = fields.headers.unwrap_or_default();
        let each = fields.multi_value_headers.unwrap_or_default();
        Ok(Self {
            sender,
            method,
            signature: SignatureValues {
                v2: repeated(once.v2, each.v2),
                v1: repeated(once.v1, each.v1),
            },
            body: fields.body.unwrap_or_default(),
            is_base64: fields.is_base64_encoded.unwrap_or(false),
        })
    }
}

/// The values of a header. REST and load balancer events may tell the same ones twice: the list with repetitions is the truth.
fn repeated(once: Vec<String>, each: Vec<String>) -> Vec<String> {
    if each.is_empty() { once } else { each }
}

impl<'de> Deserialize<'de> for SignatureValues {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Headers;

        impl<'de> Visitor<'de> for Headers {
            type Value = SignatureValues;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("headers")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<SignatureValues, M::Error> {
                let mut found = SignatureValues::default();
                while let Some(Name(name)) = map.next_key()? {
                    if name.eq_ignore_ascii_case(SIGNATURE_V2) {
                        map.next_value::<Values>()?.push_to(&mut found.v2);
                    } else if name.eq_ignore_ascii_case(SIGNATURE_V1) {
                        map.next_value::<Values>()?.push_to(&mut found.v1);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(found)
            }
        }

        deserializer.deserialize_map(Headers)
    }
}

/// A header's name, not copied unless it is escaped.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// One value, or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    One(String),
    Each(Vec<String>),
}

impl Values {
    fn push_to(self, values: &mut Vec<String>) {
        match self {
            Self::One(value) => values.push(value),
            Self::Each(each) => values.extend(each),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lambda_http::http::HeaderMap;
    use lambda_http::request::LambdaRequest;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn read(event: &Value) -> HttpEvent {
        serde_json::from_str(&event.to_string()).unwrap()
    }

    #[test]
    fn every_envelope_is_known_by_what_only_it_has() {
        let url =
            json!({"version": "2.0", "requestContext": {"http": {"method": "POST", "path": "/"}}});
        let http_api_1 =
            json!({"version": "1.0", "httpMethod": "PUT", "requestContext": {"httpMethod": "PUT"}});
        let rest = json!({"httpMethod": "POST", "requestContext": {"stage": "prod"}});
        let balancer =
            json!({"httpMethod": "GET", "requestContext": {"elb": {"targetGroupArn": "arn:aws"}}});
        for (event, sender, method) in [
            (url, Sender::HttpApiOrUrl, "POST"),
            (http_api_1, Sender::RestApi, "PUT"),
            (rest, Sender::RestApi, "POST"),
            (balancer, Sender::LoadBalancer, "GET"),
        ] {
            let read = read(&event);
            assert_eq!((read.sender, &*read.method), (sender, method), "{event}");
            assert_eq!((&*read.body, read.is_base64), ("", false));
        }
    }

    #[test]
    fn an_event_that_is_no_request_is_told_from_one() {
        for event in [
            json!({}),
            json!({"source": "aws.events", "detail": {}}),
            json!({"requestContext": {"connectionId": "x"}, "body": "a"}),
        ] {
            let error = serde_json::from_str::<HttpEvent>(&event.to_string()).unwrap_err();
            assert!(error.to_string().contains("no HTTP request"), "{error}");
        }
    }

    #[test]
    fn signatures_are_found_however_their_headers_are_spelled_and_repeated() {
        let event = |once: Value, each: Value| json!({"httpMethod": "POST", "headers": once, "multiValueHeaders": each});
        let values = |v2: &[&str], v1: &[&str]| SignatureValues {
            v2: v2.iter().map(ToString::to_string).collect(),
            v1: v1.iter().map(ToString::to_string).collect(),
        };
        for (once, each, expected) in [
            (json!(null), json!(null), values(&[], &[])),
            (
                json!({"AGORA-Signature-V2": "a", "agora-signature": "b"}),
                json!(null),
                values(&["a"], &["b"]),
            ),
            (
                json!({"agora-signature-v2": "b"}),
                json!({"Agora-Signature-V2": ["a", "b"]}),
                values(&["a", "b"], &[]),
            ),
            (
                json!({"Agora-Signature-V2": "a", "agora-signature-v2": "b"}),
                json!({}),
                values(&["a", "b"], &[]),
            ),
        ] {
            assert_eq!(read(&event(once, each)).signature, expected);
        }
        let escaped = r#"{"httpMethod": "POST", "headers": {"agora-\u0073ignature": "a"}}"#;
        let read: HttpEvent = serde_json::from_str(escaped).unwrap();
        assert_eq!(read.signature, values(&[], &["a"]));
    }

    /// What `lambda_http` reads of the fields that matter.
    fn as_lambda_http_reads(event: &Value) -> HttpEvent {
        let of = |sender, method: &str, headers: &HeaderMap, body, is_base64| {
            let values = |name| {
                let values = headers.get_all(name).iter();
                values
                    .map(|value| value.to_str().unwrap().to_owned())
                    .collect()
            };
            HttpEvent {
                sender,
                method: method.to_owned(),
                signature: SignatureValues {
                    v2: values(SIGNATURE_V2),
                    v1: values(SIGNATURE_V1),
                },
                body,
                is_base64,
            }
        };
        let either = |once: HeaderMap, each: HeaderMap| if each.is_empty() { once } else { each };
        match serde_json::from_str(&event.to_string()).unwrap() {
            LambdaRequest::ApiGatewayV2(event) => of(
                Sender::HttpApiOrUrl,
                event.request_context.http.method.as_str(),
                &event.headers,
                event.body.unwrap_or_default(),
                event.is_base64_encoded,
            ),
            LambdaRequest::ApiGatewayV1(event) => of(
                Sender::RestApi,
                event.http_method.as_str(),
                &either(event.headers, event.multi_value_headers),
                event.body.unwrap_or_default(),
                event.is_base64_encoded,
            ),
            LambdaRequest::Alb(event) => of(
                Sender::LoadBalancer,
                event.http_method.as_str(),
                &either(event.headers, event.multi_value_headers),
                event.body.unwrap_or_default(),
                event.is_base64_encoded,
            ),
            other => panic!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn lambda_http_reads_the_same_of_every_envelope(
            sender in 0..4,
            method in prop::sample::select(vec!["POST", "GET", "PUT", "DELETE", "PATCH"]),
            headers in prop::collection::hash_map(
                prop::sample::select(vec![
                    "agora-signature-v2", "agora-signature", "content-type", "x-forwarded-for", "x-agora-signature-v2",
                ]),
                (any::<bool>(), prop::collection::vec("[ -~]{0,70}", 1..3)),
                0..6,
            ),
            body in prop::option::of(".{0,200}"),
            is_base64 in any::<bool>(),
        ) {
            let named = |name: &str, shouts: bool| if shouts { name.to_ascii_uppercase() } else { name.to_owned() };
            let once: serde_json::Map<_, _> = headers.iter()
                .map(|(name, (shouts, values))| (named(name, *shouts), json!(values[0])))
                .collect();
            let each: serde_json::Map<_, _> = headers.iter()
                .map(|(name, (shouts, values))| (named(name, *shouts), json!(values)))
                .collect();
            let elb = json!({"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:eu-central-1:1:targetgroup/t/1"}});
            let event = match sender {
                0 => json!({
                    "version": "2.0", "routeKey": "$default", "rawPath": "/", "rawQueryString": "", "headers": once,
                    "requestContext": {
                        "accountId": "anonymous", "apiId": "a", "http": {
                            "method": method, "path": "/", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "a"
                        }, "requestId": "r", "routeKey": "$default", "stage": "$default", "timeEpoch": 1
                    },
                    "body": body, "isBase64Encoded": is_base64,
                }),
                1 => json!({
                    "resource": "/", "path": "/", "httpMethod": method, "headers": once, "multiValueHeaders": each,
                    "requestContext": {"resourcePath": "/", "httpMethod": method, "stage": "prod", "requestId": "r", "identity": {}},
                    "body": body, "isBase64Encoded": is_base64,
                }),
                2 => json!({
                    "requestContext": elb, "httpMethod": method, "path": "/", "headers": once, "body": body,
                    "isBase64Encoded": is_base64,
                }),
                _ => json!({
                    "requestContext": elb, "httpMethod": method, "path": "/", "multiValueHeaders": each, "body": body,
                    "isBase64Encoded": is_base64,
                }),
            };
            prop_assert_eq!(read(&event), as_lambda_http_reads(&event));
        }
    }

    #[test]
    fn nothing_but_what_matters_can_make_an_event_unreadable() {
        let event = json!({
            "version": 3, "rawPath": null, "cookies": "none", "queryStringParameters": [1], "isBase64Encoded": null,
            "requestContext": {"http": {"method": "POST", "sourceIp": 4}, "authentication": 1, "timeEpoch": "now"},
            "headers": {"x-odd": {"nested": [null]}, "ünïcode": "\u{0}", "agora-signature-v2": "a"}, "body": "{}"
        });
        let read = read(&event);
        assert_eq!(
            (read.signature.v2, &*read.body),
            (vec!["a".to_owned()], "{}")
        );
    }
}
