//! An item as plain JSON, without what depends on when and through which copy it came: what two
//! tables are compared by.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// What the order and the time of arrival may change.
const VOLATILE: [&str; 11] = [
    "created_at",
    "expires_at",
    "first_sendts",
    "heard_at",
    "notice_id",
    "notify_ms",
    "quiet_until",
    "received_at",
    "updated_at",
    "version",
    "watch_at",
];
/// The same of what each destination was told of an alert.
const NESTED_VOLATILE: [&str; 4] = ["due_at", "message_id", "owner", "sent_at"];
/// Where the window was last folded: what is missing, read from all three, is the same.
const WINDOW: [&str; 3] = ["missing", "received", "received_from"];

/// The item without anything volatile; of a session's item, without its window.
pub fn stable(item: &HashMap<String, AttributeValue>) -> Value {
    let kept = item
        .iter()
        .filter(|(name, _)| !VOLATILE.contains(&name.as_str()) && !WINDOW.contains(&name.as_str()));
    // Collected by name, whatever order the map keeps.
    let sorted: std::collections::BTreeMap<_, _> = kept
        .map(|(name, value)| (name.clone(), plain(value)))
        .collect();
    Value::Object(Map::from_iter(sorted))
}

fn plain(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => text.as_str().into(),
        AttributeValue::N(number) => {
            serde_json::from_str(number).unwrap_or_else(|_| number.as_str().into())
        }
        AttributeValue::Bool(flag) => (*flag).into(),
        AttributeValue::Ns(numbers) => {
            let sorted: std::collections::BTreeSet<_> = numbers.iter().cloned().collect();
            sorted.into_iter().collect()
        }
        AttributeValue::L(values) => values.iter().map(plain).collect(),
        AttributeValue::M(map) => {
            let sorted: std::collections::BTreeMap<_, _> = map
                .iter()
                .filter(|(name, _)| !NESTED_VOLATILE.contains(&name.as_str()))
                .map(|(name, value)| (name.clone(), plain(value)))
                .collect();
            Value::Object(Map::from_iter(sorted))
        }
        other => format!("{other:?}").into(),
    }
}
