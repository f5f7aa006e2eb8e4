//! Any item that somebody may have put into the table: read without a panic, and callbacks can
//! still be merged in.

#![no_main]

use agora_recording_callbacks::session::{Fact, MAX_RECORDERS};
use agora_recording_callbacks::store::{Item, read_alert, read_session, size};
use aws_sdk_dynamodb::types::AttributeValue;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// An attribute as it stands in DynamoDB's JSON; anything else is what it looks like.
fn attribute(value: &Value) -> AttributeValue {
    match value {
        Value::Null => AttributeValue::Null(true),
        Value::Bool(flag) => AttributeValue::Bool(*flag),
        Value::Number(number) => AttributeValue::N(number.to_string()),
        Value::String(text) => AttributeValue::S(text.clone()),
        Value::Array(values) => AttributeValue::L(values.iter().map(attribute).collect()),
        Value::Object(fields) => {
            let mut all = fields.iter();
            match (all.next(), all.next()) {
                (Some((kind, Value::String(text))), None) if kind == "N" => {
                    AttributeValue::N(text.clone())
                }
                (Some((kind, Value::String(text))), None) if kind == "S" => {
                    AttributeValue::S(text.clone())
                }
                (Some((kind, Value::Array(values))), None) if kind == "NS" => AttributeValue::Ns(
                    values
                        .iter()
                        .filter_map(Value::as_str)
                        .map(str::to_owned)
                        .collect(),
                ),
                (Some((kind, Value::Array(values))), None) if kind == "L" => {
                    AttributeValue::L(values.iter().map(attribute).collect())
                }
                (Some((kind, Value::Object(fields))), None) if kind == "M" => {
                    AttributeValue::M(item(fields))
                }
                _ => AttributeValue::M(item(fields)),
            }
        }
    }
}

fn item(fields: &serde_json::Map<String, Value>) -> Item {
    fields
        .iter()
        .map(|(name, value)| (name.clone(), attribute(value)))
        .collect()
}

fuzz_target!(|data: &[u8]| {
    let Ok(Value::Object(fields)) = serde_json::from_slice(data) else {
        return;
    };
    let item = item(&fields);
    let _ = (size(&item), read_alert(&item));
    let mut session = read_session(&item);
    let uid = session
        .current()
        .map(|recorder| recorder.uid.clone())
        .unwrap_or_default();
    for sequence in [0, 1, 7, 60, 9_999_999_999] {
        let fact = Fact {
            uid: uid.clone(),
            sequence,
            sendts: 1,
            ..Fact::default()
        };
        session.apply(&fact);
        if let Some(recorder) = session.current() {
            let _ = recorder.ledger.missing_ranges();
        }
    }
    let other = Fact {
        uid: "other".to_owned(),
        sequence: 0,
        sendts: 2,
        new_uid: Some("next".to_owned()),
        ..Fact::default()
    };
    session.apply(&other);
    assert!(session.recorders.len() <= MAX_RECORDERS.max(read_session(&item).recorders.len()));
});
