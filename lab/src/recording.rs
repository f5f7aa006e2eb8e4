//! A real recording: the real receiver and store, on an engine of its own.

use crate::wire::{TABLE, Wire, config};
use agora_recording_callbacks::aws;
use agora_recording_callbacks::config::{Admission, SecretSource, UnsignedCheck};
use agora_recording_callbacks::intake::Intake;
use agora_recording_callbacks::invocation::Invocation;
use agora_recording_callbacks::receive::{Body, Method, Receiver, Request};
use agora_recording_callbacks::secrets::{Secret, Secrets};
use agora_recording_callbacks::signature::{Header, SignatureHeaders};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::engine::AnyError;
use testkit::sign;
use tokio::time::Instant;

/// Its id.
pub const SID: &str = "38f8e3cfdc474cd56fc1ceba380d7e1a";
/// How far apart its callbacks are sent, ms.
const PACE_MS: u64 = 1_000;

/// The session.
pub struct Session {
    receiver: Receiver,
    wire: Wire,
    start_ms: u64,
    sequence: u64,
}

impl Session {
    /// A session after the usual first callbacks, sent from `start_ms` on.
    pub async fn open(start_ms: u64) -> Result<Self, AnyError> {
        let (wire, aws) = Wire::open().await?;
        let config = config()?;
        let intake = Intake::new(
            aws::store(&aws, &config),
            aws::outbox(&aws, &config),
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
            wire,
            start_ms,
            sequence: 0,
        };
        let file = format!("recordings/2026/03/{SID}_math-101.m3u8");
        for (event_type, details) in [
            (30, json!({"status": 0})),
            (40, json!({"status": 0})),
            (
                42,
                json!({
                    "startUtcMs": start_ms, "discontinueUtcMs": start_ms, "mixedAllUser": true,
                    "streamUid": "0", "trackType": "audio_and_video",
                }),
            ),
            (4, json!({"fileList": file})),
            (33, json!({"progress": 100})),
        ] {
            session.send(event_type, &details).await?;
        }
        Ok(session)
    }

    /// A heartbeat.
    pub async fn heartbeat(&mut self) -> Result<(), AnyError> {
        self.send(33, &json!({"progress": self.sequence % 10_000}))
            .await
    }

    /// Its item, in the words of DynamoDB's API.
    pub fn item(&self) -> Result<Value, AnyError> {
        let key = json!({"sid": {"S": SID}, "item": {"S": "session"}});
        let mut answer = self
            .wire
            .ask("GetItem", &json!({"TableName": TABLE, "Key": key}))?;
        Ok(answer["Item"].take())
    }

    async fn send(&mut self, event_type: u32, details: &Value) -> Result<(), AnyError> {
        let sendts = self.start_ms + self.sequence * PACE_MS;
        let body = json!({
            "noticeId": format!("{SID}-{}", self.sequence),
            "productId": 3,
            "eventType": event_type,
            "notifyMs": sendts + 40,
            "payload": {
                "cname": "math-101", "uid": "527841", "sid": SID, "sequence": self.sequence,
                "sendts": sendts,
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
        let deadline = Instant::now() + Duration::from_secs(9);
        let id = format!("request-{}", self.sequence);
        let invocation = Invocation::new(&id, sendts + 80, deadline);
        let handled = self.receiver.receive(request, invocation).await;
        if handled.reply.result() != "stored" {
            return Err(format!("{}: {:?}", handled.reply.result(), handled.error).into());
        }
        self.sequence += 1;
        Ok(())
    }
}
