//! A DynamoDB engine in this process, asked in the words of its HTTP API: it counts requests and write units.

use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::{Mutex, PoisonError};

/// The engine and its counts.
pub(crate) struct Counted {
    database: Database,
    counts: Mutex<Counts>,
}

/// What was asked of an engine.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) requests: f64,
    /// Write units, as the engine tells them.
    pub(crate) units: f64,
}

impl Counted {
    /// An empty engine.
    pub(crate) fn new() -> Result<Self, DynoxideError> {
        Ok(Self {
            database: Database::memory()?,
            counts: Mutex::default(),
        })
    }

    /// The counts since the last time.
    pub(crate) fn take(&self) -> Counts {
        std::mem::take(&mut *self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets the engine do it, and counts; status and text of its answer. `target` is the header `x-amz-target`.
    pub(crate) fn carry_out(&self, target: &str, body: &[u8]) -> (u16, String) {
        let operation = target.rsplit('.').next().unwrap_or_default();
        let mut request: Value = serde_json::from_slice(body).expect("the SDK sends JSON");
        let writes = matches!(operation, "PutItem" | "UpdateItem");
        if writes {
            request["ReturnConsumedCapacity"] = "TOTAL".into();
        }
        let database = &self.database;
        let (status, answer) = match operation {
            "PutItem" => on(request, |request| database.put_item(request)),
            "GetItem" => on(request, |request| database.get_item(request)),
            "UpdateItem" => on(request, |request| database.update_item(request)),
            "CreateTable" => on(request, |request| database.create_table(request)),
            "ListTables" => on(request, |request| database.list_tables(request)),
            "UpdateTimeToLive" => on(request, |request| database.update_time_to_live(request)),
            other => panic!("the engine isn't asked for {other} here"),
        };
        let units = answer.pointer("/ConsumedCapacity/CapacityUnits");
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.requests += 1.0;
        // A refused write consumes what the item that is there is long, and doesn't say so.
        counts.units += match units.and_then(Value::as_f64) {
            Some(units) => units,
            None if writes => 1.0,
            None => 0.0,
        };
        (status, answer.to_string())
    }
}

fn on<Q: DeserializeOwned, A: Serialize>(
    request: Value,
    run: impl FnOnce(Q) -> Result<A, DynoxideError>,
) -> (u16, Value) {
    let request = serde_json::from_value(request).expect("the engine knows the request");
    match run(request) {
        Ok(answer) => (
            200,
            serde_json::to_value(answer).expect("an answer is JSON"),
        ),
        Err(error) => {
            let text = serde_json::from_str(&error.to_json()).unwrap_or_default();
            (error.status_code(), text)
        }
    }
}
