//! An EventBridge endpoint that answers `PutEvents`, shows what was put, and can be told to
//! misbehave.

use crate::engine::AnyError;
use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What EventBridge takes in one entry, in bytes.
const MAX_ENTRY: usize = 256 * 1024;

/// One event on a bus.
#[derive(Clone, Debug)]
pub struct Event {
    pub bus: String,
    pub source: String,
    pub detail_type: String,
    pub detail: Value,
}

/// How the endpoint answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// As it should.
    Well,
    /// 500, and nothing is put.
    Down,
    /// Never, and nothing is put.
    Hanging,
    /// Never, though it has put.
    Mute,
    /// 500, though it has put.
    Lost,
    /// 200, and the entry failed.
    FailedEntry,
    /// The same, for events of recordings whose `sid` begins with `bad`, which it doesn't like.
    Choosy,
}

/// The endpoint.
#[derive(Clone)]
pub struct Bus {
    state: Arc<State>,
}

struct State {
    events: Mutex<Vec<Event>>,
    mood: Mutex<Mood>,
    listeners: Mutex<Vec<UnboundedSender<Event>>>,
    requests: Mutex<usize>,
    asked: Notify,
}

impl Default for Bus {
    fn default() -> Self {
        Self::new()
    }
}

impl Bus {
    /// An endpoint that nobody can reach yet.
    pub fn new() -> Self {
        let state = State {
            events: Mutex::default(),
            mood: Mutex::new(Mood::Well),
            listeners: Mutex::default(),
            requests: Mutex::default(),
            asked: Notify::new(),
        };
        Self {
            state: Arc::new(state),
        }
    }

    /// Serves on `listener` and returns the endpoint and its URL.
    pub fn serve(listener: TcpListener) -> Result<(Self, String), AnyError> {
        let url = format!("http://{}", listener.local_addr()?);
        let bus = Self::new();
        let endpoint = bus.clone();
        let router = Router::new().fallback(move |body: Bytes| {
            let endpoint = endpoint.clone();
            async move {
                let (status, text) = endpoint.answer(&body).await;
                (
                    status,
                    [("content-type", "application/x-amz-json-1.1")],
                    text,
                )
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok((bus, url))
    }

    /// Everything put so far.
    pub fn events(&self) -> Vec<Event> {
        let events = self.state.events.lock();
        events.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many requests came.
    pub fn requests(&self) -> usize {
        let requests = self.state.requests.lock();
        *requests.unwrap_or_else(PoisonError::into_inner)
    }

    /// How many requests came since the last time.
    pub fn take_requests(&self) -> usize {
        let requests = self.state.requests.lock();
        std::mem::take(&mut *requests.unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells the endpoint how to answer from now on.
    pub fn set_mood(&self, mood: Mood) {
        let mut current = self
            .state
            .mood
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *current = mood;
    }

    /// Waits until somebody asks to put an event.
    pub async fn asked(&self) {
        self.state.asked.notified().await;
    }

    /// Every event from now on, as it is put.
    pub fn listen(&self) -> UnboundedReceiver<Event> {
        let (sender, receiver) = unbounded_channel();
        self.state
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(sender);
        receiver
    }

    /// Status and text of the answer to a request's body.
    pub async fn answer(&self, body: &[u8]) -> (StatusCode, String) {
        let mood = {
            let mut requests = self
                .state
                .requests
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *requests += 1;
            *self
                .state
                .mood
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        let failure = || {
            let error = json!({"__type": "InternalException", "message": "as told"});
            (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
        };
        match mood {
            Mood::Well | Mood::Mute | Mood::Lost | Mood::Choosy => {}
            Mood::Down => {
                self.state.asked.notify_one();
                return failure();
            }
            Mood::Hanging => {
                self.state.asked.notify_one();
                std::future::pending().await
            }
            Mood::FailedEntry => {
                self.state.asked.notify_one();
                return failed("InternalFailure");
            }
        }
        let Some(event) = parse(body) else {
            return failed("MalformedDetail");
        };
        let sid = event.detail["sid"].as_str().unwrap_or_default();
        if mood == Mood::Choosy && sid.starts_with("bad") {
            return failed("MalformedDetail");
        }
        let id = self.put(event);
        self.state.asked.notify_one();
        match mood {
            Mood::Mute => std::future::pending().await,
            Mood::Lost => failure(),
            Mood::Well | Mood::Choosy | Mood::Down | Mood::Hanging | Mood::FailedEntry => {
                let answer = json!({"FailedEntryCount": 0, "Entries": [{"EventId": id}]});
                (StatusCode::OK, answer.to_string())
            }
        }
    }

    /// Puts an event and gives it an id.
    fn put(&self, event: Event) -> String {
        let State {
            events, listeners, ..
        } = &*self.state;
        for listener in listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            let _ = listener.send(event.clone());
        }
        let mut events = events.lock().unwrap_or_else(PoisonError::into_inner);
        events.push(event);
        format!("00000000-0000-4000-9000-{:012}", events.len())
    }
}

fn failed(code: &str) -> (StatusCode, String) {
    let entry = json!({"ErrorCode": code, "ErrorMessage": "as told"});
    let answer = json!({"FailedEntryCount": 1, "Entries": [entry]});
    (StatusCode::OK, answer.to_string())
}

/// Reads a `PutEvents` request and checks what EventBridge would check.
fn parse(body: &[u8]) -> Option<Event> {
    let request: Value = serde_json::from_slice(body).ok()?;
    let [entry] = request["Entries"].as_array()?.as_slice() else {
        return None;
    };
    let text = |name: &str| entry[name].as_str().map(str::to_owned);
    let (source, detail_type) = (text("Source")?, text("DetailType")?);
    let detail = text("Detail")?;
    // The time of an entry counts as 14 bytes.
    let is_small = 14 + source.len() + detail_type.len() + detail.len() <= MAX_ENTRY;
    let detail: Value = serde_json::from_str(&detail).ok()?;
    (is_small && detail.is_object()).then_some(Event {
        bus: text("EventBusName")?,
        source,
        detail_type,
        detail,
    })
}
