//! An EventBridge endpoint that answers `PutEvents`, shows what was put, and can be told to
//! misbehave.

use crate::endpoint::{self, Kept, locked};
use crate::engine::AnyError;
use axum::http::StatusCode;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

/// What EventBridge takes in one entry, in bytes.
const MAX_ENTRY: usize = 256 * 1024;

/// One event on a bus.
#[derive(Clone, Debug)]
pub struct Event {
    /// When it was put, by the clock that simulations set.
    pub at: Instant,
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
    events: Kept<Event, Mood>,
    requests: Mutex<usize>,
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
            events: Kept::new(Mood::Well),
            requests: Mutex::default(),
        };
        Self {
            state: Arc::new(state),
        }
    }

    /// Serves on `listener` and returns the endpoint and its URL.
    pub fn serve(listener: TcpListener) -> Result<(Self, String), AnyError> {
        let bus = Self::new();
        let endpoint = bus.clone();
        let url = endpoint::serve(listener, "application/x-amz-json-1.1", move |body| {
            let endpoint = endpoint.clone();
            async move { endpoint.answer(&body).await }
        })?;
        Ok((bus, url))
    }

    /// Everything put so far.
    pub fn events(&self) -> Vec<Event> {
        self.state.events.all()
    }

    /// How many requests came.
    pub fn requests(&self) -> usize {
        *locked(&self.state.requests)
    }

    /// How many requests came since the last time.
    pub fn take_requests(&self) -> usize {
        std::mem::take(&mut *locked(&self.state.requests))
    }

    /// Tells the endpoint how to answer from now on.
    pub fn set_mood(&self, mood: Mood) {
        self.state.events.set_mood(mood);
    }

    /// Waits until somebody asks to put an event.
    pub async fn asked(&self) {
        self.state.events.asked().await;
    }

    /// Every event from now on, as it is put.
    pub fn listen(&self) -> UnboundedReceiver<Event> {
        self.state.events.listen()
    }

    /// Status and text of the answer to a request's body.
    pub async fn answer(&self, body: &[u8]) -> (StatusCode, String) {
        let State { events, requests } = &*self.state;
        *locked(requests) += 1;
        let mood = events.mood();
        let failure = || {
            let error = json!({"__type": "InternalException", "message": "as told"});
            (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
        };
        match mood {
            Mood::Well | Mood::Mute | Mood::Lost | Mood::Choosy => {}
            Mood::Down => {
                events.note_asked();
                return failure();
            }
            Mood::Hanging => {
                events.note_asked();
                std::future::pending().await
            }
            Mood::FailedEntry => {
                events.note_asked();
                return failed("InternalFailure");
            }
        }
        let Some(entries) = parse(body) else {
            return failed("MalformedDetail");
        };
        let mut failures = 0;
        let mut results = Vec::new();
        for event in entries {
            let event = event.filter(|event| {
                let sid = event.detail["sid"].as_str().unwrap_or_default();
                mood != Mood::Choosy || !sid.starts_with("bad")
            });
            results.push(match event {
                Some(event) => {
                    let id = format!("00000000-0000-4000-9000-{:012}", events.take(event));
                    json!({"EventId": id})
                }
                None => {
                    failures += 1;
                    json!({"ErrorCode": "MalformedDetail", "ErrorMessage": "as told"})
                }
            });
        }
        events.note_asked();
        match mood {
            Mood::Mute => std::future::pending().await,
            Mood::Lost => failure(),
            Mood::Well | Mood::Choosy | Mood::Down | Mood::Hanging | Mood::FailedEntry => {
                let answer = json!({"FailedEntryCount": failures, "Entries": results});
                (StatusCode::OK, answer.to_string())
            }
        }
    }
}

fn failed(code: &str) -> (StatusCode, String) {
    let entry = json!({"ErrorCode": code, "ErrorMessage": "as told"});
    let answer = json!({"FailedEntryCount": 1, "Entries": [entry]});
    (StatusCode::OK, answer.to_string())
}

/// Reads a `PutEvents` request of ten entries at most, and checks of each what EventBridge would
/// check.
fn parse(body: &[u8]) -> Option<Vec<Option<Event>>> {
    let request: Value = serde_json::from_slice(body).ok()?;
    let entries = request["Entries"].as_array()?;
    (1..=10)
        .contains(&entries.len())
        .then(|| entries.iter().map(parse_entry).collect())
}

fn parse_entry(entry: &Value) -> Option<Event> {
    let text = |name: &str| entry[name].as_str().map(str::to_owned);
    let (bus, source) = (text("EventBusName")?, text("Source")?);
    let detail_type = text("DetailType")?;
    let detail = text("Detail")?;
    // The time of an entry counts as 14 bytes.
    let is_small = 14 + source.len() + detail_type.len() + detail.len() <= MAX_ENTRY;
    let detail: Value = serde_json::from_str(&detail).ok()?;
    (is_small && detail.is_object()).then(|| Event {
        at: Instant::now(),
        bus,
        source,
        detail_type,
        detail,
    })
}
