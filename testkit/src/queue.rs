//! An SQS endpoint with one queue, which a rule on the bus fills with every event.

use crate::bus::{Bus, Event};
use crate::engine::AnyError;
use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;

/// Messages that nobody has deleted, by receipt handle, and how many there were.
#[derive(Default)]
struct State {
    messages: BTreeMap<usize, Value>,
    count: usize,
}

/// Serves the queue of everything that is put on `bus` from now on; returns its address.
pub fn serve(listener: TcpListener, bus: &Bus) -> Result<String, AnyError> {
    let url = format!("http://{}", listener.local_addr()?);
    let state: Arc<Mutex<State>> = Arc::default();
    let (mut events, filled) = (bus.listen(), Arc::clone(&state));
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            let mut state = filled.lock().unwrap_or_else(PoisonError::into_inner);
            let count = state.count;
            state.messages.insert(count, message(&event));
            state.count += 1;
        }
    });
    let router = Router::new().fallback(move |headers: HeaderMap, body: Bytes| {
        let state = Arc::clone(&state);
        async move {
            let target = headers.get("x-amz-target");
            let target = target.and_then(|target| target.to_str().ok());
            let answer = answer(&state, target.unwrap_or_default(), &body);
            (
                [("content-type", "application/x-amz-json-1.0")],
                answer.to_string(),
            )
        }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(format!("{url}/000000000000/notices"))
}

fn answer(state: &Mutex<State>, target: &str, body: &[u8]) -> Value {
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    match target {
        "AmazonSQS.ReceiveMessage" => {
            let messages = state.messages.iter().take(10).map(|(handle, body)| {
                json!({"MessageId": handle.to_string(), "ReceiptHandle": handle.to_string(),
                    "Body": body.to_string()})
            });
            json!({"Messages": messages.collect::<Vec<_>>()})
        }
        "AmazonSQS.DeleteMessage" => {
            let handle = request["ReceiptHandle"].as_str();
            if let Some(handle) = handle.and_then(|handle| handle.parse().ok()) {
                state.messages.remove(&handle);
            }
            json!({})
        }
        _ => json!({"__type": "InvalidAction"}),
    }
}

/// An event as a rule sends it to its targets.
fn message(event: &Event) -> Value {
    json!({
        "version": "0", "id": "7bf73129-1428-4cd3-a780-95db273d1602",
        "detail-type": event.detail_type, "source": event.source, "account": "000000000000",
        "time": "2026-03-02T14:05:00Z", "region": "eu-central-1", "resources": [],
        "detail": event.detail,
    })
}
