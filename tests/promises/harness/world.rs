//! An engine with the table in it, an SNS endpoint, and a receiver of this process on both.

use super::Proxy;
use agora_recording_callbacks::aws;
use agora_recording_callbacks::config::{Admission, Config, SecretSource, UnsignedCheck};
use agora_recording_callbacks::intake::{Intake, Outcome};
use agora_recording_callbacks::invocation::Invocation;
use agora_recording_callbacks::notification::Sid;
use agora_recording_callbacks::receive::{Body, Method, Receiver, Request};
use agora_recording_callbacks::secrets::{Secret, Secrets};
use agora_recording_callbacks::send::Outbox;
use agora_recording_callbacks::session::{Range, Session};
use agora_recording_callbacks::signature::{Header, SignatureHeaders, Verified, verify};
use agora_recording_callbacks::store::{Item, Store, read_session};
use agora_recording_callbacks::sweep::{Sweep, Sweeper};
use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use testkit::bus::Bus;
use testkit::engine::{AnyError, client, create_table, serve};
use testkit::sign;
use testkit::sns::Sns;
use tokio::net::TcpListener;
use tokio::time::Instant;

pub(crate) const TABLE: &str = "recordings";
pub(crate) const TOPIC: &str = "arn:aws:sns:eu-central-1:000000000000:alerts";
pub(crate) const CRITICAL_TOPIC: &str = "arn:aws:sns:eu-central-1:000000000000:critical-alerts";

pub(crate) const BUS: &str = "recordings";

/// Everything around the receiver.
pub(crate) struct World {
    pub(crate) dynamodb: aws_sdk_dynamodb::Client,
    pub(crate) dynamodb_url: String,
    pub(crate) proxy: Proxy,
    pub(crate) sns: Sns,
    pub(crate) sns_url: String,
    dynamodb_aws: SdkConfig,
    sns_aws: SdkConfig,
    pub(crate) bus: Bus,
    pub(crate) bus_url: String,
    bus_aws: SdkConfig,
    /// The bus that the functions are told of, if they are.
    pub(crate) bus_name: Option<String>,
    critical_topic: Option<String>,
    requests: AtomicU64,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::build().await.unwrap()
    }

    /// A world whose critical alerts have a topic of their own.
    pub(crate) async fn with_critical_topic() -> Self {
        Self {
            critical_topic: Some(CRITICAL_TOPIC.to_owned()),
            ..Self::new().await
        }
    }

    /// A world in which programs are told on a bus, too.
    pub(crate) async fn with_bus() -> Self {
        Self {
            bus_name: Some(BUS.to_owned()),
            ..Self::with_critical_topic().await
        }
    }

    fn config(&self) -> Config {
        let config = match &self.bus_name {
            Some(name) => config_with_bus(name),
            None => config(),
        };
        Config {
            critical_topic_arn: self.critical_topic.clone(),
            ..config
        }
    }

    async fn build() -> Result<Self, AnyError> {
        // Another engine keeps the tables of each access key apart, and so the worlds.
        let (engine, access_key) = match super::another_engine() {
            Some(url) => (url, format!("world{}", fastrand::u64(..))),
            None => {
                let listener = TcpListener::bind("127.0.0.1:0").await?;
                let url = serve(listener, dynoxide::Database::memory()?)?;
                (url, "local".to_owned())
            }
        };
        let dynamodb = client(&engine, &access_key);
        create_table(&dynamodb, TABLE).await?;
        let (proxy, dynamodb_url) = Proxy::start(engine, &access_key).await?;
        let (sns, sns_url) = Sns::serve(TcpListener::bind("127.0.0.1:0").await?)?;
        let (bus, bus_url) = Bus::serve(TcpListener::bind("127.0.0.1:0").await?)?;
        Ok(Self {
            dynamodb,
            dynamodb_aws: aws::load_local(dynamodb_url.clone()).await,
            sns_aws: aws::load_local(sns_url.clone()).await,
            dynamodb_url,
            proxy,
            sns,
            sns_url,
            bus,
            bus_aws: aws::load_local(bus_url.clone()).await,
            bus_url,
            bus_name: None,
            critical_topic: None,
            requests: AtomicU64::new(0),
        })
    }

    /// A receiver in this process, which takes what is signed with the samples' secret.
    pub(crate) fn receiver(&self) -> Receiver {
        self.receiver_with(Secrets::fixed(vec![Secret::new(sign::LOCAL_SECRET)]))
    }

    /// A receiver in this process, with secrets from elsewhere.
    pub(crate) fn receiver_with(&self, secrets: Secrets) -> Receiver {
        Receiver::new(admission(), secrets, self.intake())
    }

    /// A receiver whose table refuses connections.
    pub(crate) async fn receiver_without_table(&self) -> Receiver {
        let nobody = aws::load_local("http://127.0.0.1:9".to_owned()).await;
        let store = aws::store(&nobody, &config());
        let intake = Intake::new(store, self.outbox(), config().alert_kinds);
        let secrets = Secrets::fixed(vec![Secret::new(sign::LOCAL_SECRET)]);
        Receiver::new(admission(), secrets, intake)
    }

    /// Where authentic bodies go in.
    pub(crate) fn intake(&self) -> Intake {
        Intake::new(self.store(), self.outbox(), config().alert_kinds)
    }

    /// A sweeper in this process, with the rules of the defaults.
    pub(crate) fn sweeper(&self) -> Sweeper {
        Sweeper::new(self.config().rules, self.store(), self.outbox())
    }

    /// One sweep with plenty of time, at a given moment.
    pub(crate) async fn sweep_at(&self, sweeper: &Sweeper, now_ms: u64) -> Sweep {
        let n = self.requests.fetch_add(1, Ordering::SeqCst);
        let deadline = Instant::now() + Duration::from_secs(600);
        let owner = format!("sweep-{n}");
        sweeper
            .sweep(Invocation::new(&owner, now_ms, deadline))
            .await
    }

    /// Where alerts of this process leave.
    pub(crate) fn outbox(&self) -> Outbox {
        aws::outbox_on(&self.sns_aws, &self.bus_aws, &self.config())
    }

    /// A store of this process, through the proxy.
    pub(crate) fn store(&self) -> Store {
        aws::store(&self.dynamodb_aws, &self.config())
    }

    /// Sends one signed body to `receiver`, under a request id of its own.
    pub(crate) async fn deliver(&self, receiver: &Receiver, body: &[u8]) -> Outcome {
        let n = self.requests.fetch_add(1, Ordering::SeqCst);
        self.deliver_as(
            receiver,
            body,
            &format!("request-{n}"),
            1_772_460_000_000 + n,
        )
        .await
    }

    /// Sends one signed body under a given request id at a given time.
    pub(crate) async fn deliver_as(
        &self,
        receiver: &Receiver,
        body: &[u8],
        request_id: &str,
        now_ms: u64,
    ) -> Outcome {
        let digest = sign::v2(sign::LOCAL_SECRET, body);
        let request = Request {
            method: &Method::POST,
            signature: SignatureHeaders {
                v2: Header::Once(digest.as_bytes()),
                v1: Header::Absent,
            },
            body: Body::Bytes(body),
        };
        let deadline = Instant::now() + Duration::from_secs(9);
        receiver
            .receive(request, Invocation::new(request_id, now_ms, deadline))
            .await
    }

    /// All items of a partition, by sort key.
    pub(crate) async fn items(&self, sid: &str) -> Vec<Item> {
        let mut items = Vec::new();
        let mut start = None;
        loop {
            let page = self
                .dynamodb
                .query()
                .table_name(TABLE)
                .key_condition_expression("sid = :sid")
                .expression_attribute_values(":sid", AttributeValue::S(sid.to_owned()))
                .consistent_read(true)
                .set_exclusive_start_key(start)
                .send()
                .await
                .unwrap();
            items.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key;
            if start.is_none() {
                return items;
            }
        }
    }

    /// The items of a partition whose sort key begins with `prefix`.
    pub(crate) async fn items_with(&self, sid: &str, prefix: &str) -> Vec<Item> {
        self.items(sid)
            .await
            .into_iter()
            .filter(|item| text(item, "item").starts_with(prefix))
            .collect()
    }

    /// Every item of the table.
    pub(crate) async fn scan(&self) -> Vec<Item> {
        let scan = self.dynamodb.scan().table_name(TABLE).into_paginator();
        let items = scan.items().send().collect::<Result<Vec<_>, _>>().await;
        items.unwrap()
    }

    /// The session's item.
    pub(crate) async fn session_item(&self, sid: &str) -> Item {
        self.items_with(sid, "session")
            .await
            .pop()
            .unwrap_or_default()
    }

    /// The session.
    pub(crate) async fn session(&self, sid: &str) -> Session {
        read_session(&self.session_item(sid).await)
    }

    /// What is missing from each recorder of the session, archive included.
    pub(crate) async fn missing(&self, sid: &str) -> Vec<Vec<Range>> {
        let store = self.store();
        let id = Sid::new(sid).unwrap();
        let mut missing = Vec::new();
        for recorder in &self.session(sid).await.recorders {
            missing.push(store.missing(&id, recorder).await.unwrap());
        }
        missing
    }

    /// How many alerts people were told of: a digest tells of many.
    pub(crate) fn told(&self) -> u64 {
        let published = self.sns.published();
        let of = published
            .iter()
            .filter(|message| message.topic_arn == TOPIC);
        of.map(|message| {
            let count = &message.default["metadata"]["additionalContext"]["count"];
            count.as_str().map_or(1, |count| count.parse().unwrap())
        })
        .sum()
    }

    /// Makes the watchdog look at a session in the next sweep.
    pub(crate) async fn look_now(&self, sid: &str) {
        self.dynamodb
            .update_item()
            .table_name(TABLE)
            .key("sid", AttributeValue::S(sid.to_owned()))
            .key("item", AttributeValue::S("session".to_owned()))
            .update_expression(
                "SET watch_at = :past, watch_shard = if_not_exists(watch_shard, :shard)",
            )
            .expression_attribute_values(":past", AttributeValue::N("1".to_owned()))
            .expression_attribute_values(":shard", AttributeValue::S("0".to_owned()))
            .send()
            .await
            .unwrap();
    }

    /// Puts an item that nobody can read where the sweeper finds it.
    pub(crate) async fn spoil(&self, sid: &str) {
        let put = self.dynamodb.put_item().table_name(TABLE);
        put.item("sid", AttributeValue::S(sid.to_owned()))
            .item("item", AttributeValue::S("session".to_owned()))
            .item("watch_shard", AttributeValue::S("0".to_owned()))
            .item("watch_at", AttributeValue::N("1".to_owned()))
            .send()
            .await
            .unwrap();
    }

    /// Makes every pending alert and notice of a session due, as old as if it were from
    /// `created_at`.
    pub(crate) async fn age_alerts(&self, sid: &str, created_at: u64) {
        self.end_leases(sid).await;
        let mut alerts = self.items_with(sid, "alert#").await;
        alerts.extend(self.items_with(sid, "notice#").await);
        for alert in alerts {
            self.dynamodb
                .update_item()
                .table_name(TABLE)
                .key("sid", alert["sid"].clone())
                .key("item", alert["item"].clone())
                .update_expression("SET created_at = :at")
                .expression_attribute_values(":at", AttributeValue::N(created_at.to_string()))
                .send()
                .await
                .unwrap();
        }
    }

    /// Makes the lease of every pending alert and notice of a session run out.
    pub(crate) async fn end_leases(&self, sid: &str) {
        let mut alerts = self.items_with(sid, "alert#").await;
        alerts.extend(self.items_with(sid, "notice#").await);
        for alert in alerts.iter().filter(|alert| state(alert) == "pending") {
            self.dynamodb
                .update_item()
                .table_name(TABLE)
                .key("sid", alert["sid"].clone())
                .key("item", alert["item"].clone())
                .update_expression("SET #to = :to, watch_at = :past")
                .condition_expression("begins_with(watch_shard, :due)")
                .expression_attribute_names("#to", "to")
                .expression_attribute_values(":to", ended(alert))
                .expression_attribute_values(":due", AttributeValue::S("due".to_owned()))
                .expression_attribute_values(":past", AttributeValue::N("1".to_owned()))
                .send()
                .await
                .unwrap();
        }
    }
}

/// What each destination was told, with every lease over.
fn ended(item: &Item) -> AttributeValue {
    let mut to = item["to"].as_m().unwrap().clone();
    for delivery in to.values_mut() {
        if let AttributeValue::M(delivery) = delivery
            && delivery.contains_key("due_at")
        {
            delivery.insert("due_at".to_owned(), AttributeValue::N("1".to_owned()));
        }
    }
    AttributeValue::M(to)
}

/// What a destination was told of an alert or a notice.
pub(crate) fn delivery<'a>(item: &'a Item, to: &str) -> &'a Item {
    item["to"].as_m().unwrap()[to].as_m().unwrap()
}

/// How it stands with an alert or a notice, all destinations together.
pub(crate) fn state(item: &Item) -> &'static str {
    let to = item["to"].as_m().unwrap().values();
    let states: Vec<_> = to.map(|it| text(it.as_m().unwrap(), "state")).collect();
    if states.contains(&"pending") {
        "pending"
    } else if states.contains(&"failed") {
        "failed"
    } else {
        "sent"
    }
}

/// The text in an attribute of an item.
pub(crate) fn text<'a>(item: &'a Item, name: &str) -> &'a str {
    match item.get(name) {
        Some(AttributeValue::S(text)) => text,
        other => panic!("{name} is {other:?}"),
    }
}

/// The number in an attribute of an item.
pub(crate) fn number(item: &Item, name: &str) -> u64 {
    match item.get(name) {
        Some(AttributeValue::N(number)) => number.parse().unwrap(),
        other => panic!("{name} is {other:?}"),
    }
}

pub(crate) fn admission() -> Admission {
    Admission {
        secret: SecretSource::Environment(Vec::new()),
        require_signature_v2: false,
        unsigned_check: UnsignedCheck::Test,
        max_callback_age_ms: None,
    }
}

/// The defaults, but for the retention.
pub(crate) fn config() -> Config {
    config_with(None)
}

/// The same, with a bus for programs.
pub(crate) fn config_with_bus(name: &str) -> Config {
    config_with(Some(name))
}

fn config_with(bus: Option<&str>) -> Config {
    Config::read(|name| match name {
        "EVENT_BUS_NAME" => bus.map(str::to_owned),
        "RECORDING_BUCKET" => bus.map(|_| "s3://lessons".to_owned()),
        "TABLE_NAME" => Some(TABLE.to_owned()),
        "ALERT_TOPIC_ARN" => Some(TOPIC.to_owned()),
        // The tests' clock is long past, and an engine may delete what has expired.
        "RETENTION_DAYS" => Some("36500".to_owned()),
        _ => None,
    })
    .unwrap()
}

/// The body of a callback.
pub(crate) fn callback(
    sid: &str,
    uid: &str,
    sequence: u64,
    event_type: u32,
    details: &Value,
) -> String {
    let sendts = 1_772_460_000_123 + sequence * 1000;
    callback_at(sid, uid, sequence, event_type, details, sendts)
}

/// The body of a callback that happened at a given time.
pub(crate) fn callback_at(
    sid: &str,
    uid: &str,
    sequence: u64,
    event_type: u32,
    details: &Value,
    sendts: u64,
) -> String {
    json!({
        "noticeId": format!("{sid}-{sequence}-{event_type}"),
        "productId": 3,
        "eventType": event_type,
        "notifyMs": sendts + 40,
        "payload": {
            "cname": "room-101-b", "uid": uid, "sid": sid, "sequence": sequence, "sendts": sendts,
            "serviceType": 1, "details": details,
        },
    })
    .to_string()
}

/// Ordinary details of an event type.
pub(crate) fn event_details(event_type: u32) -> Value {
    match event_type {
        1 => json!({"module": 0, "errorLevel": 5, "errorCode": 110, "stat": 0, "errorMsg": ""}),
        11 => json!({"exitStatus": 1}),
        32 => json!({"status": 0}),
        33 => json!({"progress": 5000}),
        43 | 44 => json!({"streamUid": "57297", "state": 0, "utcMs": 1_772_460_000_000_u64}),
        _ => json!({"status": 0}),
    }
}

/// A body that was signed.
pub(crate) fn verified(body: &[u8]) -> Verified<'_> {
    let digest = sign::v2(sign::LOCAL_SECRET, body);
    let headers = SignatureHeaders {
        v2: Header::Once(digest.as_bytes()),
        v1: Header::Absent,
    };
    let secrets = [Secret::new(sign::LOCAL_SECRET)];
    verify(headers, body, &secrets, true).unwrap()
}
