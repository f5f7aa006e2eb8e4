//! One session on an engine of its own, and what its callbacks cost.

use crate::Point;
use agora_recording_callbacks::aws;
use agora_recording_callbacks::config::{Admission, Config, SecretSource, UnsignedCheck};
use agora_recording_callbacks::intake::Intake;
use agora_recording_callbacks::invocation::Invocation;
use agora_recording_callbacks::notification::Sid;
use agora_recording_callbacks::receive::{Body, Method, Receiver, Request};
use agora_recording_callbacks::secrets::{Secret, Secrets};
use agora_recording_callbacks::signature::{Header, SignatureHeaders};
use agora_recording_callbacks::store::{Store, size};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use testkit::counted::{Counted, Counts};
use testkit::engine::{AnyError, create_table};
use testkit::sign;
use tokio::time::Instant;

const TABLE: &str = "recordings";
const SID: &str = "38f8e3cfdc474cd56fc1ceba380d7e1a";
const START_MS: u64 = 1_772_460_000_000;

/// The session, and what its callbacks have cost since the last [`Session::forget`].
pub(crate) struct Session {
    receiver: Receiver,
    store: Store,
    wire: Wire,
    sequence: u64,
    sent: u32,
    times: Vec<Duration>,
}

/// The way to the engine, without a socket, and what was asked.
#[derive(Clone)]
struct Wire(Arc<(Counted, Mutex<Counts>)>);

impl Session {
    /// A session as it usually is at its begin.
    pub(crate) async fn open() -> Result<Self, AnyError> {
        let wire = Wire(Arc::new((Counted::new()?, Mutex::default())));
        let connector = SharedHttpConnector::new(wire.clone());
        let aws = aws::load_local("http://engine".to_owned()).await;
        let client = http_client_fn(move |_, _| connector.clone());
        let aws = aws.into_builder().http_client(client).build();
        create_table(&aws_sdk_dynamodb::Client::new(&aws), TABLE).await?;
        let config = Config::read(|name| match name {
            "TABLE_NAME" => Some(TABLE.to_owned()),
            "ALERT_TOPIC_ARN" => Some("arn:aws:sns:eu-central-1:000000000000:alerts".to_owned()),
            _ => None,
        })?;
        let intake = Intake::new(
            aws::store(&aws, &config),
            aws::topic(&aws, &config),
            config.alert_kinds.clone(),
        );
        let admission = Admission {
            secret: SecretSource::Environment(Vec::new()),
            require_signature_v2: true,
            unsigned_check: UnsignedCheck::Never,
            max_callback_age_ms: None,
        };
        let secrets = Secrets::fixed(vec![Secret::new(sign::LOCAL_SECRET)]);
        let mut session = Self {
            receiver: Receiver::new(admission, secrets, intake),
            store: aws::store(&aws, &config),
            wire,
            sequence: 0,
            sent: 0,
            times: Vec::new(),
        };
        let file = format!("recordings/2026/03/{SID}_math-101.m3u8");
        for (event_type, details) in [
            (30, json!({"status": 0})),
            (40, json!({"status": 0})),
            (
                42,
                json!({"startUtcMs": START_MS, "discontinueUtcMs": START_MS, "mixedAllUser": true, "streamUid": "0", "trackType": "audio_and_video"}),
            ),
            (4, json!({"fileList": file})),
            (33, json!({"progress": 100})),
        ] {
            session.send(event_type, &details).await?;
        }
        Ok(session)
    }

    /// A heartbeat; if it is lost, only its number is gone.
    pub(crate) async fn heartbeat(&mut self, is_lost: bool) -> Result<(), AnyError> {
        if is_lost {
            self.sequence += 1;
        }
        self.send(33, &json!({"progress": self.sequence % 10_000}))
            .await
    }

    /// A participant's picture comes or goes.
    pub(crate) async fn stream(&mut self, stream: u64, state: u64) -> Result<(), AnyError> {
        let details = json!({"streamUid": (57_000 + stream).to_string(), "state": state, "utcMs": START_MS + self.sequence});
        self.send(44, &details).await
    }

    /// Counts from here.
    pub(crate) fn forget(&mut self) {
        self.wire.take();
        self.sent = 0;
        self.times.clear();
    }

    /// What it cost since then.
    pub(crate) async fn point(&mut self, at: f64) -> Result<Point, AnyError> {
        let Counts { requests, units } = self.wire.take();
        let sid = Sid::new(SID).ok_or("an illegal sid")?;
        let item = self.store.session(&sid).await?.ok_or("no session")?;
        self.times.sort();
        Ok(Point {
            at,
            units: units / f64::from(self.sent),
            requests: requests / f64::from(self.sent),
            bytes: f64::from(u32::try_from(size(&item))?),
            ms: self.times[self.times.len() / 2].as_secs_f64() * 1e3,
        })
    }

    async fn send(&mut self, event_type: u32, details: &Value) -> Result<(), AnyError> {
        let sendts = START_MS + self.sequence * 1000;
        let body = json!({
            "noticeId": format!("{SID}-{}", self.sequence),
            "productId": 3,
            "eventType": event_type,
            "notifyMs": sendts + 40,
            "payload": {
                "cname": "math-101", "uid": "527841", "sid": SID, "sequence": self.sequence, "sendts": sendts,
                "serviceType": 1, "details": details,
            },
        })
        .to_string();
        let digest = sign::v2(sign::LOCAL_SECRET, body.as_bytes());
        let request = Request {
            method: &Method::POST,
            signature: SignatureHeaders {
                v2: Header::Once(digest.as_bytes()),
                v1: Header::Absent,
            },
            body: Body::Bytes(body.as_bytes()),
        };
        let started = Instant::now();
        let id = format!("request-{}", self.sequence);
        let invocation = Invocation::new(&id, sendts + 80, started + Duration::from_secs(9));
        let handled = self.receiver.receive(request, invocation).await;
        self.times.push(started.elapsed());
        if handled.reply.result() != "stored" {
            return Err(format!("{}: {:?}", handled.reply.result(), handled.error).into());
        }
        self.sequence += 1;
        self.sent += 1;
        Ok(())
    }
}

impl Wire {
    /// The counts since the last time.
    fn take(&self) -> Counts {
        std::mem::take(&mut *self.0.1.lock().unwrap())
    }
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wire")
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let body = request.body().bytes().unwrap_or_default();
        let (engine, counts) = &*self.0;
        let (status, text, units) = engine.carry_out(target, body);
        counts.lock().unwrap().add(units);
        let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(text));
        response
            .headers_mut()
            .insert("content-type", "application/x-amz-json-1.0");
        HttpConnectorFuture::ready(Ok(response))
    }
}
