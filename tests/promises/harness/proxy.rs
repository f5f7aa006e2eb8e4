//! Stands between a client and the engine: counts requests and consumed units, and can stop
//! answering, at once or at one request.

use super::fault::{Fault, Plan};
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use testkit::engine::AnyError;
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// One request and its answer.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    /// `PutItem`, `UpdateItem` …
    pub(crate) operation: String,
    /// What it needs a permission for: actions, each on a table or on one of its indexes.
    pub(crate) permissions: Vec<String>,
    /// What the request consumed; a refused conditional write doesn't say and costs the units of
    /// the item that is there.
    pub(crate) units: f64,
}

/// Where in an exchange the proxy stops: for who asked, the world ends there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The request is asked for and never reaches the engine.
    BeforeRequest,
    /// The engine has done it, and its answer never arrives.
    BeforeAnswer,
}

/// The proxy.
#[derive(Clone)]
pub(crate) struct Proxy {
    exchanges: Arc<Mutex<Vec<Exchange>>>,
    hangs: Arc<AtomicBool>,
    /// How many requests go through before the one that stops, and where in it.
    stop: Arc<Mutex<Option<(u32, Stop)>>>,
    stopped: Arc<Notify>,
    /// The operation whose next request has to wait.
    held: Arc<Mutex<Option<&'static str>>>,
    released: Arc<Notify>,
    /// What goes wrong.
    plan: Arc<Mutex<Option<Plan>>>,
    access_key: Arc<str>,
}

impl Proxy {
    /// Forwards everything to `engine`, as a user with `access_key`; returns the proxy and its URL.
    pub(crate) async fn start(
        engine: String,
        access_key: &str,
    ) -> Result<(Self, String), AnyError> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let proxy = Self {
            exchanges: Arc::default(),
            hangs: Arc::default(),
            stop: Arc::default(),
            stopped: Arc::default(),
            held: Arc::default(),
            released: Arc::default(),
            plan: Arc::default(),
            access_key: access_key.into(),
        };
        let state = proxy.clone();
        let client = reqwest::Client::new();
        let router = Router::new().fallback(move |headers: HeaderMap, body: Bytes| {
            let (state, client, engine) = (state.clone(), client.clone(), engine.clone());
            async move {
                state
                    .forward(&client, &engine, &headers, &body)
                    .await
                    .unwrap()
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok((proxy, url))
    }

    /// Takes the exchanges since the last time.
    pub(crate) fn take(&self) -> Vec<Exchange> {
        std::mem::take(&mut *self.exchanges.lock().unwrap())
    }

    /// Stops answering, or answers again.
    pub(crate) fn hang(&self, hangs: bool) {
        self.hangs.store(hangs, Ordering::SeqCst);
    }

    /// Stops at the request after the next `through` ones: it and all later ones are never
    /// answered.
    pub(crate) fn stop_after(&self, through: u32, stop: Stop) {
        *self.stop.lock().unwrap() = Some((through, stop));
    }

    /// Answers again.
    pub(crate) fn go_on(&self) {
        *self.stop.lock().unwrap() = None;
    }

    /// Lets something go wrong from now on, or nothing.
    pub(crate) fn plan(&self, plan: Option<Plan>) {
        *self.plan.lock().unwrap() = plan;
    }

    /// Lets the next request of an operation wait until [`Self::release`]; it has come when
    /// [`Self::stopped`] returns.
    pub(crate) fn hold(&self, operation: &'static str) {
        *self.held.lock().unwrap() = Some(operation);
    }

    /// Lets the request that waits go on.
    pub(crate) fn release(&self) {
        self.released.notify_one();
    }

    /// Waits until it has stopped.
    pub(crate) async fn stopped(&self) {
        self.stopped.notified().await;
    }

    /// What happens to the next request.
    fn next_stop(&self) -> Option<Stop> {
        let mut stop = self.stop.lock().unwrap();
        match stop.as_mut()? {
            (0, at) => {
                let at = *at;
                // Later requests don't even reach the engine.
                *stop = Some((0, Stop::BeforeRequest));
                Some(at)
            }
            (through, _) => {
                *through -= 1;
                None
            }
        }
    }

    /// The header under our access key; engines on this machine don't check signatures.
    fn authorization(&self, header: &str) -> String {
        let (before, credential) = header.split_once("Credential=").unwrap();
        let (_, after) = credential.split_once('/').unwrap();
        format!("{before}Credential={}/{after}", self.access_key)
    }

    async fn stop_here(&self) {
        self.stopped.notify_one();
        std::future::pending::<()>().await;
    }

    async fn forward(
        &self,
        client: &reqwest::Client,
        engine: &str,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<Response, AnyError> {
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let stop = self.next_stop();
        if stop == Some(Stop::BeforeRequest) {
            self.stop_here().await;
        }
        let target = headers
            .get("x-amz-target")
            .map_or("", |value| value.to_str().unwrap())
            .to_owned();
        let operation = target.split('.').next_back().unwrap_or_default().to_owned();
        let is_held = self
            .held
            .lock()
            .unwrap()
            .take_if(|held| *held == operation)
            .is_some();
        if is_held {
            self.stopped.notify_one();
            self.released.notified().await;
        }
        let mut request: Value = serde_json::from_slice(body)?;
        let planned = self
            .plan
            .lock()
            .unwrap()
            .as_mut()
            .and_then(|plan| plan.happens(&operation, &request));
        match planned {
            None | Some(Fault::AnswerLost) => {}
            Some(fault) => match fault.answer() {
                Some(answer) => return Ok(answer),
                None => std::future::pending::<()>().await,
            },
        }
        if target.starts_with("DynamoDB") {
            request["ReturnConsumedCapacity"] = "TOTAL".into();
        }
        let mut forward = client.post(engine).body(request.to_string());
        for (name, value) in headers
            .iter()
            .filter(|(name, _)| name.as_str() != "content-length" && name.as_str() != "host")
        {
            forward = match name.as_str() {
                "authorization" => forward.header(name, self.authorization(value.to_str()?)),
                _ => forward.header(name, value),
            };
        }
        let answer = forward.send().await?;
        let status = answer.status().as_u16();
        let text = answer.text().await?;
        let value: Value = serde_json::from_str(&text)?;
        let refused = value.get("Item").map_or(0.0, |item| {
            f64::from(u32::try_from(size(item).div_ceil(1024)).unwrap())
        });
        // A batch has one for each table.
        let units = value
            .pointer("/ConsumedCapacity/CapacityUnits")
            .or_else(|| value.pointer("/ConsumedCapacity/0/CapacityUnits"))
            .and_then(Value::as_f64);
        let is_refusal = status == 400;
        let units = units.unwrap_or(if is_refusal { refused } else { 0.0 });
        self.exchanges.lock().unwrap().push(Exchange {
            permissions: permissions(&target, &operation, &request),
            operation,
            units,
        });
        if stop == Some(Stop::BeforeAnswer) {
            self.stop_here().await;
        }
        if let Some(answer) = planned.and_then(Fault::answer) {
            return Ok(answer);
        }
        let content_type = [("content-type", "application/x-amz-json-1.0")];
        Ok((StatusCode::from_u16(status)?, content_type, text).into_response())
    }
}

/// `dynamodb:PutItem on table`, `dynamodb:Query on index/watch`, `secretsmanager:GetSecretValue on
/// secret` …
fn permissions(target: &str, operation: &str, request: &Value) -> Vec<String> {
    if target.starts_with("secretsmanager") {
        let id = request["SecretId"].as_str().unwrap_or_default();
        let secret = if id.contains("link") {
            "link secret"
        } else {
            "secret"
        };
        return vec![format!("secretsmanager:{operation} on {secret}")];
    }
    // A transaction needs what its writes need one by one.
    if let Some(writes) = request["TransactItems"].as_array() {
        let kinds = writes
            .iter()
            .flat_map(|write| write.as_object().unwrap().keys());
        return kinds
            .map(|kind| format!("dynamodb:{kind}Item on table"))
            .collect();
    }
    let resource = match request["IndexName"].as_str() {
        Some(index) => format!("index/{index}"),
        None => "table".to_owned(),
    };
    vec![format!("dynamodb:{operation} on {resource}")]
}

/// The size of an item in DynamoDB's JSON, counted independently of the code under test.
fn size(item: &Value) -> usize {
    item.as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| name.len() + attribute_size(value))
        .sum()
}

fn attribute_size(value: &Value) -> usize {
    let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
    let number = |text: &str| {
        text.trim_start_matches('-')
            .trim_end_matches('0')
            .len()
            .div_ceil(2)
            + 1
    };
    match kind.as_str() {
        "S" => value.as_str().unwrap().len(),
        "N" => number(value.as_str().unwrap()),
        "SS" => value
            .as_array()
            .unwrap()
            .iter()
            .map(|text| text.as_str().unwrap().len())
            .sum(),
        "NS" => value
            .as_array()
            .unwrap()
            .iter()
            .map(|n| number(n.as_str().unwrap()))
            .sum(),
        "L" => {
            3 + value
                .as_array()
                .unwrap()
                .iter()
                .map(|v| 1 + attribute_size(v))
                .sum::<usize>()
        }
        "M" => {
            3 + value
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, v)| 1 + name.len() + attribute_size(v))
                .sum::<usize>()
        }
        "BOOL" | "NULL" => 1,
        other => panic!("{other}"),
    }
}
