//! A whole world in one thread and in virtual time, from a seed: the real receiver, sweeper and
//! SDK, with a wire that delays, reorders, loses and repeats single requests to a real engine, and
//! functions that die anywhere.
//!
//! A request that its sender has given up may still be carried out later, as on a real network.

use super::world::{BUS, CRITICAL_TOPIC, TABLE, admission, config, config_with_bus};
use agora_recording_callbacks::aws;
use agora_recording_callbacks::config::Config;
use agora_recording_callbacks::intake::{Intake, Outcome};
use agora_recording_callbacks::invocation::Invocation;
use agora_recording_callbacks::receive::{Body, Method, Receiver, Request};
use agora_recording_callbacks::secrets::{Secret, Secrets};
use agora_recording_callbacks::send::Outbox;
use agora_recording_callbacks::signature::{Header, SignatureHeaders};
use agora_recording_callbacks::store::Store;
use agora_recording_callbacks::sweep::{Sweep, Sweeper};
use aws_config::SdkConfig;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use dynoxide::Database;
use fastrand::Rng;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use testkit::bus::{Bus, Event};
use testkit::engine::create_table;
use testkit::in_process::carry_out;
use testkit::sign;
use testkit::sns::{Published, Sns};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

/// When the simulated clock starts, ms since the epoch.
const START_MS: u64 = 1_772_470_000_000;

/// What the bus is asked for.
const PUT_EVENTS: &str = "PutEvents";

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    /// It is carried out and answered.
    Answered,
    /// Refused as too much, without being carried out.
    Throttled,
    /// Refused because a transaction holds the item; a read is throttled instead.
    Conflict,
    /// Answered with an error of the service, without being carried out.
    Failed,
    /// The connection breaks before it is carried out.
    Refused,
    /// It is carried out, and the connection breaks before the answer.
    AnswerLost,
    /// It is carried out when its sender has long given up.
    Late,
    /// Nobody ever hears of it.
    Lost,
}

/// How rough the world is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Weather {
    /// The share of the requests to the table that meet a fault.
    pub(crate) table_faults: f64,
    /// The share of the keys of a batch that are handed back unread.
    pub(crate) handed_back: f64,
    /// The share of the publishes that meet a fault.
    pub(crate) sns_faults: f64,
    /// The share of the invocations that are killed.
    pub(crate) kills: f64,
    /// A request is on its way for less than so many ms, and its answer too.
    pub(crate) latency_ms: u64,
}

impl Default for Weather {
    /// Fair: no faults, and requests far enough apart to overtake each other.
    fn default() -> Self {
        Self {
            table_faults: 0.0,
            handed_back: 0.0,
            sns_faults: 0.0,
            kills: 0.0,
            latency_ms: 20,
        }
    }
}

#[derive(Debug, Default)]
struct Counts {
    fates: BTreeMap<Fate, u64>,
    kills: u64,
    refused_answers: u64,
    /// Faults that may make somebody publish again: of a publish, of noting it, and of writing the
    /// alert down.
    excuses: u64,
    /// The same of notices, and of alerts on the bus.
    bus_excuses: u64,
    longest_expression: usize,
}

/// Everything that the requests of a simulation share.
struct Wire {
    database: Database,
    sns: Sns,
    bus: Bus,
    rng: Mutex<Rng>,
    weather: Mutex<Weather>,
    trouble: Mutex<Trouble>,
    counts: Mutex<Counts>,
}

/// What else goes wrong, all the time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Trouble {
    /// Writes to the counter of the minute fail, and nothing else.
    pub(crate) counter_fails: bool,
    /// Every request to the table takes so long, in ms.
    pub(crate) table_ms: u64,
    /// Every request to the table fails.
    pub(crate) table_down: bool,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wire")
    }
}

/// The world.
pub(crate) struct Simulation {
    wire: Arc<Wire>,
    aws: SdkConfig,
    config: Config,
    started: Instant,
    invocations: AtomicU64,
}

impl Simulation {
    /// A fresh world; everything in it comes from `seed`.
    pub(crate) async fn new(seed: u64, weather: Weather) -> Self {
        assert!(
            super::another_engine().is_none(),
            "a simulation brings its own engine: the test has to skip_on_another_engine!"
        );
        // The SDK takes its jitter from here.
        fastrand::seed(seed);
        let wire = Arc::new(Wire {
            database: Database::memory().unwrap(),
            sns: Sns::new(),
            bus: Bus::new(),
            rng: Mutex::new(Rng::with_seed(seed)),
            weather: Mutex::new(Weather::default()),
            trouble: Mutex::default(),
            counts: Mutex::default(),
        });
        let aws = aws::load_local("http://simulation".to_owned()).await;
        let aws = aws.into_builder().http_client(client(&wire)).build();
        create_table(&aws_sdk_dynamodb::Client::new(&aws), TABLE)
            .await
            .unwrap();
        *wire.weather.lock().unwrap() = weather;
        *wire.counts.lock().unwrap() = Counts::default();
        Self {
            wire,
            aws,
            config: Config {
                critical_topic_arn: Some(CRITICAL_TOPIC.to_owned()),
                ..config()
            },
            started: Instant::now(),
            invocations: AtomicU64::new(0),
        }
    }

    /// The same world, in which programs are told on a bus, too.
    pub(crate) fn with_bus(mut self) -> Self {
        self.config = Config {
            critical_topic_arn: self.config.critical_topic_arn,
            ..config_with_bus(BUS)
        };
        self
    }

    /// Runs a simulation to its end, in virtual time.
    pub(crate) fn run<T>(simulation: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build();
        runtime.unwrap().block_on(simulation)
    }

    /// Makes the rest of it as rough as that.
    pub(crate) fn set_weather(&self, weather: Weather) {
        *self.wire.weather.lock().unwrap() = weather;
    }

    /// Lets these go wrong from now on.
    pub(crate) fn set_trouble(&self, trouble: Trouble) {
        *self.wire.trouble.lock().unwrap() = trouble;
    }

    /// The bus.
    pub(crate) fn bus(&self) -> &Bus {
        &self.wire.bus
    }

    /// The topics.
    pub(crate) fn sns(&self) -> &Sns {
        &self.wire.sns
    }

    /// The simulated time, ms since the epoch.
    pub(crate) fn now_ms(&self) -> u64 {
        START_MS + u64::try_from(self.started.elapsed().as_millis()).unwrap()
    }

    /// A function, with nothing remembered.
    pub(crate) fn receiver(&self) -> Receiver {
        let kinds = self.config.alert_kinds.clone();
        let intake = Intake::new(self.store(), self.outbox(), kinds);
        Receiver::new(
            admission(),
            Secrets::fixed(vec![Secret::new(sign::LOCAL_SECRET)]),
            intake,
        )
    }

    /// Its sweeper.
    pub(crate) fn sweeper(&self) -> Sweeper {
        Sweeper::new(self.config.rules, self.store(), self.outbox())
    }

    /// The table.
    pub(crate) fn store(&self) -> Store {
        aws::store(&self.aws, &self.config)
    }

    /// A client of the table.
    pub(crate) fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.aws)
    }

    fn outbox(&self) -> Outbox {
        aws::outbox(&self.aws, &self.config)
    }

    /// What programs were told.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.wire.bus.events()
    }

    /// How often telling programs a second time is excused.
    pub(crate) fn bus_excuses(&self) -> u64 {
        let counts = self.wire.counts.lock().unwrap();
        counts.kills + counts.bus_excuses
    }

    /// Invokes `receiver` with a signed body, once; `None` if it was killed before it answered.
    pub(crate) async fn invoke(&self, receiver: &Receiver, body: &[u8]) -> Option<Outcome> {
        let n = self.invocations.fetch_add(1, Ordering::SeqCst);
        let lives = {
            let weather = *self.wire.weather.lock().unwrap();
            let mut rng = self.wire.rng.lock().unwrap();
            (rng.f64() < weather.kills).then(|| Duration::from_millis(rng.u64(..80)))
        };
        let digest = sign::v2(sign::LOCAL_SECRET, body);
        let request = Request {
            method: &Method::POST,
            signature: SignatureHeaders {
                v2: Header::Once(digest.as_bytes()),
                v1: Header::Absent,
            },
            body: Body::Bytes(body),
        };
        let request_id = format!("request-{n}");
        let deadline = Instant::now() + Duration::from_secs(9);
        let invocation = Invocation::new(&request_id, self.now_ms(), deadline);
        let handled = receiver.receive(request, invocation);
        let handled = match lives {
            None => handled.await,
            Some(lives) => match timeout(lives, handled).await {
                Ok(handled) => handled,
                Err(_) => {
                    self.wire.counts.lock().unwrap().kills += 1;
                    return None;
                }
            },
        };
        assert!(Instant::now() <= deadline, "it answered after the deadline");
        let status = handled.reply.status();
        assert!(matches!(status, 200 | 503), "{status}");
        self.wire.counts.lock().unwrap().refused_answers += u64::from(status == 503);
        Some(handled)
    }

    /// Delivers a body until it is acknowledged, as a patient sender would, each time to another
    /// function or the same.
    pub(crate) async fn deliver(&self, receivers: &[Receiver], body: &str) {
        loop {
            let receiver = {
                let mut rng = self.wire.rng.lock().unwrap();
                rng.choice(receivers).unwrap()
            };
            let handled = self.invoke(receiver, body.as_bytes()).await;
            if handled.is_some_and(|handled| handled.reply.status() == 200) {
                return;
            }
            let pause = self.wire.rng.lock().unwrap().u64(..3000);
            sleep(Duration::from_millis(pause)).await;
        }
    }

    /// One run of a sweeper that is killed at some moment, perhaps.
    pub(crate) async fn sweep_or_die(&self, sweeper: &Sweeper) {
        let lives = {
            let weather = *self.wire.weather.lock().unwrap();
            let mut rng = self.wire.rng.lock().unwrap();
            (rng.f64() < weather.kills).then(|| Duration::from_millis(rng.u64(..4000)))
        };
        let sweep = self.sweep(sweeper);
        match lives {
            None => drop(sweep.await),
            Some(lives) => {
                if timeout(lives, sweep).await.is_err() {
                    self.wire.counts.lock().unwrap().kills += 1;
                }
            }
        }
    }

    /// One run of a sweeper.
    pub(crate) async fn sweep(&self, sweeper: &Sweeper) -> Sweep {
        let n = self.invocations.fetch_add(1, Ordering::SeqCst);
        let owner = format!("sweep-{n}");
        let deadline = Instant::now() + Duration::from_secs(30);
        sweeper
            .sweep(Invocation::new(&owner, self.now_ms(), deadline))
            .await
    }

    /// How often each alert was published to each topic.
    pub(crate) fn published_by_topic(&self) -> BTreeMap<(String, String), u64> {
        let mut published = BTreeMap::new();
        for message in self.messages() {
            let context = &message.default["metadata"]["additionalContext"];
            let id = context["alertId"].as_str().unwrap().to_owned();
            *published.entry((id, message.topic_arn)).or_default() += 1;
        }
        published
    }

    /// How often each alert was published to the topic that got it most often.
    pub(crate) fn published(&self) -> BTreeMap<String, u64> {
        let mut published = BTreeMap::new();
        for ((id, _), times) in self.published_by_topic() {
            let most = published.entry(id).or_insert(times);
            *most = times.max(*most);
        }
        published
    }

    /// Everything that was published.
    pub(crate) fn messages(&self) -> Vec<Published> {
        self.wire.sns.published()
    }

    /// What happened, for a summary: how many requests met which fate, kills, answers 503.
    pub(crate) fn fates(&self) -> (BTreeMap<Fate, u64>, u64, u64) {
        let counts = self.wire.counts.lock().unwrap();
        (counts.fates.clone(), counts.kills, counts.refused_answers)
    }

    /// The longest expression that any request had, in bytes.
    pub(crate) fn longest_expression(&self) -> usize {
        self.wire.counts.lock().unwrap().longest_expression
    }

    /// How often a second publish is excused: kills, and faults of publishing, of noting it, or of
    /// writing the alert down.
    pub(crate) fn excuses(&self) -> u64 {
        let counts = self.wire.counts.lock().unwrap();
        counts.kills + counts.excuses
    }
}

fn client(wire: &Arc<Wire>) -> SharedHttpClient {
    let wire = Arc::clone(wire);
    http_client_fn(move |_, _| SharedHttpConnector::new(Connection(Arc::clone(&wire))))
}

#[derive(Debug)]
struct Connection(Arc<Wire>);

impl HttpConnector for Connection {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (sender, receiver) = oneshot::channel();
        let wire = Arc::clone(&self.0);
        // In a task of its own: a sender that dies doesn't take back what it sent.
        tokio::spawn(async move {
            if let Some(answer) = wire.carry(&request).await {
                let _ = sender.send(answer);
            }
        });
        HttpConnectorFuture::new(async move {
            match receiver.await {
                Ok(answer) => answer,
                Err(_) => std::future::pending().await,
            }
        })
    }
}

impl Wire {
    /// Carries a request there and its answer back. `None`: nobody will ever answer.
    async fn carry(&self, request: &HttpRequest) -> Option<Result<HttpResponse, ConnectorError>> {
        let operation = request
            .headers()
            .get("x-amz-target")
            .and_then(|target| target.rsplit('.').next())
            .map(str::to_owned);
        let body = request.body().bytes().unwrap_or_default();
        let (fate, way, way_back) = self.fate(operation.as_deref(), body);
        let trouble = *self.trouble.lock().unwrap();
        if operation.as_deref().is_some_and(|it| it != PUT_EVENTS) {
            sleep(Duration::from_millis(trouble.table_ms)).await;
            let is_counter = body.windows(8).any(|it| it == b"\"minute#");
            if trouble.table_down || (trouble.counter_fails && is_counter) {
                let text = r#"{"__type":"InternalServerError","message":"sorry"}"#;
                let mut response =
                    HttpResponse::new(500.try_into().unwrap(), SdkBody::from(text.to_owned()));
                response
                    .headers_mut()
                    .insert("content-type", "application/x-amz-json-1.0");
                return Some(Ok(response));
            }
        }
        let broken = || Some(Err(ConnectorError::io("the connection broke".into())));
        match fate {
            Fate::Lost => return None,
            Fate::Late => sleep(Duration::from_millis(2000 + 50 * way)).await,
            Fate::Answered
            | Fate::Throttled
            | Fate::Conflict
            | Fate::Failed
            | Fate::Refused
            | Fate::AnswerLost => {
                sleep(Duration::from_millis(way)).await;
            }
        }
        let answer = match fate {
            Fate::Refused => return broken(),
            Fate::Throttled => (
                400,
                r#"{"__type":"ThrottlingException","message":"slow down"}"#.to_owned(),
            ),
            Fate::Conflict => (
                400,
                match operation.as_deref() {
                    Some("PutItem" | "UpdateItem" | "DeleteItem") => {
                        r#"{"__type":"TransactionConflictException","message":"later"}"#
                    }
                    Some(_) | None => r#"{"__type":"ThrottlingException","message":"slow down"}"#,
                }
                .to_owned(),
            ),
            Fate::Failed => (
                500,
                r#"{"__type":"InternalServerError","message":"sorry"}"#.to_owned(),
            ),
            Fate::Answered | Fate::AnswerLost | Fate::Late | Fate::Lost => match &operation {
                Some(operation) if operation == "BatchGetItem" => self.read_a_part(body),
                Some(operation) if operation == PUT_EVENTS => {
                    let (status, text) = self.bus.answer(body).await;
                    (status.as_u16(), text)
                }
                Some(operation) => carry_out(&self.database, operation, body),
                None => {
                    let (status, text) = self.sns.answer(body).await;
                    (status.as_u16(), text)
                }
            },
        };
        sleep(Duration::from_millis(way_back)).await;
        if fate == Fate::AnswerLost {
            return broken();
        }
        let (status, text) = answer;
        let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(text));
        response
            .headers_mut()
            .insert("content-type", "application/x-amz-json-1.0");
        Some(Ok(response))
    }

    /// Reads a batch, but for the keys that are handed back.
    fn read_a_part(&self, body: &[u8]) -> (u16, String) {
        let share = self.weather.lock().unwrap().handed_back;
        let mut request: Value = serde_json::from_slice(body).unwrap();
        let mut unread = request["RequestItems"].clone();
        for (table, wanted) in request["RequestItems"].as_object_mut().unwrap() {
            let keys = wanted["Keys"].as_array_mut().unwrap();
            let all = std::mem::take(keys);
            let mut rng = self.rng.lock().unwrap();
            let (back, read): (Vec<_>, Vec<_>) = all
                .into_iter()
                .partition(|_| share > 0.0 && rng.f64() < share);
            *keys = read;
            unread[table]["Keys"] = back.into();
        }
        let has_keys = |tables: &mut Value| {
            let tables = tables.as_object_mut().unwrap();
            tables.retain(|_, wanted| wanted["Keys"] != json!([]));
            !tables.is_empty()
        };
        has_keys(&mut unread);
        if !has_keys(&mut request["RequestItems"]) {
            return (200, json!({"UnprocessedKeys": unread}).to_string());
        }
        let body = request.to_string();
        let (status, text) = carry_out(&self.database, "BatchGetItem", body.as_bytes());
        if status != 200 {
            return (status, text);
        }
        let mut answer: Value = serde_json::from_str(&text).unwrap();
        answer["UnprocessedKeys"] = unread;
        (status, answer.to_string())
    }

    fn fate(&self, operation: Option<&str>, body: &[u8]) -> (Fate, u64, u64) {
        let weather = *self.weather.lock().unwrap();
        let mut rng = self.rng.lock().unwrap();
        let is_publish = operation.is_none();
        let is_told = operation == Some(PUT_EVENTS);
        let faults = if is_publish || is_told {
            weather.sns_faults
        } else {
            weather.table_faults
        };
        let fate = if rng.f64() < faults {
            let faults = [
                Fate::Throttled,
                Fate::Conflict,
                Fate::Failed,
                Fate::Refused,
                Fate::AnswerLost,
                Fate::Late,
                Fate::Lost,
            ];
            *rng.choice(&faults).unwrap()
        } else {
            Fate::Answered
        };
        let mut counts = self.counts.lock().unwrap();
        counts.longest_expression = counts.longest_expression.max(longest_expression(body));
        *counts.fates.entry(fate).or_default() += 1;
        let is_write = matches!(operation, Some("UpdateItem" | "PutItem"));
        let is_about_alert =
            is_publish || (is_write && body.windows(6).any(|bytes| bytes == b"alert#"));
        counts.excuses += u64::from(fate != Fate::Answered && is_about_alert);
        let is_about_notice =
            is_about_alert || is_told || (is_write && body.windows(7).any(|it| it == b"notice#"));
        counts.bus_excuses += u64::from(fate != Fate::Answered && is_about_notice);
        let latency_ms = weather.latency_ms;
        (fate, rng.u64(..latency_ms), rng.u64(..latency_ms))
    }
}

fn longest_expression(body: &[u8]) -> usize {
    let Ok(Value::Object(request)) = serde_json::from_slice(body) else {
        return 0;
    };
    let expressions = request
        .iter()
        .filter(|(name, _)| name.ends_with("Expression"));
    expressions
        .filter_map(|(_, text)| text.as_str())
        .map(str::len)
        .max()
        .unwrap_or(0)
}
