//! A DynamoDB engine in this process that tells the units of each request.

use crate::in_process;
use dynoxide::{Database, DynoxideError};
use serde_json::Value;

/// The engine.
pub struct Counted(Database);

/// Requests, and what they consumed.
#[derive(Clone, Copy, Default)]
pub struct Counts {
    pub requests: f64,
    /// Units of writing.
    pub units: f64,
    /// Units of reading.
    pub read_units: f64,
}

/// What the engine said.
pub struct Answer {
    pub status: u16,
    pub text: String,
    pub counts: Counts,
}

impl Counts {
    /// These requests more.
    pub fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.units += other.units;
        self.read_units += other.read_units;
    }
}

impl Counted {
    /// An empty engine.
    pub fn new() -> Result<Self, DynoxideError> {
        Ok(Self(Database::memory()?))
    }

    /// Lets the engine do it. `target` is the header `x-amz-target`.
    pub fn carry_out(&self, target: &str, body: &[u8]) -> Answer {
        let operation = target.rsplit('.').next().unwrap_or_default();
        let mut counts = Counts {
            requests: 1.0,
            ..Counts::default()
        };
        let consumed = match operation {
            "PutItem" | "UpdateItem" | "TransactWriteItems" => &mut counts.units,
            "GetItem" | "BatchGetItem" | "Query" => &mut counts.read_units,
            _ => {
                let (status, text) = in_process::carry_out(&self.0, operation, body);
                return Answer {
                    status,
                    text,
                    counts,
                };
            }
        };
        let mut request: Value = serde_json::from_slice(body).expect("the SDK sends JSON");
        request["ReturnConsumedCapacity"] = "TOTAL".into();
        let request = request.to_string();
        let (status, text) = in_process::carry_out(&self.0, operation, request.as_bytes());
        let answer: Value = serde_json::from_str(&text).expect("an answer is JSON");
        let of = |table: &Value| table["CapacityUnits"].as_f64();
        *consumed = match &answer["ConsumedCapacity"] {
            // One for each table.
            Value::Array(tables) => tables.iter().filter_map(of).sum(),
            // A refused write consumes a unit a KB of the item that is there, and doesn't say so;
            // items are smaller here.
            table => of(table).unwrap_or(1.0),
        };
        Answer {
            status,
            text,
            counts,
        }
    }
}
