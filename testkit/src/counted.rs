//! A DynamoDB engine in this process that tells the write units of each request.

use crate::in_process;
use dynoxide::{Database, DynoxideError};
use serde_json::Value;

/// The engine.
pub struct Counted(Database);

/// Requests, and their write units.
#[derive(Clone, Copy, Default)]
pub struct Counts {
    pub requests: f64,
    pub units: f64,
}

impl Counts {
    /// One request more.
    pub fn add(&mut self, units: f64) {
        self.requests += 1.0;
        self.units += units;
    }
}

impl Counted {
    /// An empty engine.
    pub fn new() -> Result<Self, DynoxideError> {
        Ok(Self(Database::memory()?))
    }

    /// Lets the engine do it; status and text of its answer, and the write units. `target` is the
    /// header `x-amz-target`.
    pub fn carry_out(&self, target: &str, body: &[u8]) -> (u16, String, f64) {
        let operation = target.rsplit('.').next().unwrap_or_default();
        if !matches!(operation, "PutItem" | "UpdateItem") {
            let (status, text) = in_process::carry_out(&self.0, operation, body);
            return (status, text, 0.0);
        }
        let mut request: Value = serde_json::from_slice(body).expect("the SDK sends JSON");
        request["ReturnConsumedCapacity"] = "TOTAL".into();
        let request = request.to_string();
        let (status, text) = in_process::carry_out(&self.0, operation, request.as_bytes());
        let answer: Value = serde_json::from_str(&text).expect("an answer is JSON");
        let units = answer.pointer("/ConsumedCapacity/CapacityUnits");
        // A refused write consumes a unit a KB of the item that is there, and doesn't say so; items
        // are smaller here.
        let units = units.and_then(Value::as_f64).unwrap_or(1.0);
        (status, text, units)
    }
}
