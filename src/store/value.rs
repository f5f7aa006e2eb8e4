//! Verbatim JSON as DynamoDB attributes, within DynamoDB's limits.

use super::item::value_size;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Number, Value};

/// DynamoDB nests 32 levels deep; deeper details are kept as JSON text.
const MAX_DEPTH: usize = 30;
/// DynamoDB takes names of up to 64 KB, bytes.
const MAX_NAME: usize = 65_535;
/// From here on a double doesn't hold every integer.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// DynamoDB takes items of 400 KB; this much is left for what stands beside the details and the body.
const MAX_ITEM: usize = 390_000;

/// A JSON value as an attribute.
pub(super) struct Verbatim {
    /// A map, a list, a text …; the JSON text where DynamoDB can't hold the structure; null where it can't hold the size.
    pub(super) attribute: AttributeValue,
    /// False if the attribute doesn't hold all of the value, and the body has to be kept beside it.
    pub(super) exact: bool,
}

/// The details of a callback as an attribute that fits into an item, beside the body if that is needed.
pub(super) fn verbatim(value: &Value, body: &[u8]) -> Verbatim {
    let mut exact = true;
    let attribute = if fits(value, MAX_DEPTH) {
        attribute(value, &mut exact)
    } else {
        AttributeValue::S(value.to_string())
    };
    let beside = if exact { 0 } else { body.len() };
    if value_size(&attribute) + beside > MAX_ITEM {
        return Verbatim {
            attribute: AttributeValue::Null(true),
            exact: false,
        };
    }
    Verbatim { attribute, exact }
}

/// True if DynamoDB can hold the structure: not too deep, no empty names, none too long.
fn fits(value: &Value, depth: usize) -> bool {
    match value {
        Value::Object(map) => {
            depth > 0
                && map.iter().all(|(name, value)| {
                    (1..=MAX_NAME).contains(&name.len()) && fits(value, depth - 1)
                })
        }
        Value::Array(values) => depth > 0 && values.iter().all(|value| fits(value, depth - 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

fn attribute(value: &Value, exact: &mut bool) -> AttributeValue {
    match value {
        Value::Null => AttributeValue::Null(true),
        Value::Bool(flag) => AttributeValue::Bool(*flag),
        Value::Number(number) => number_attribute(number, exact),
        Value::String(text) => AttributeValue::S(text.clone()),
        Value::Array(values) => {
            AttributeValue::L(values.iter().map(|value| attribute(value, exact)).collect())
        }
        Value::Object(map) => AttributeValue::M(
            map.iter()
                .map(|(name, value)| (name.clone(), attribute(value, exact)))
                .collect(),
        ),
    }
}

/// DynamoDB holds 38 digits between 1e-130 and 1e126; what is outside stays a text.
fn number_attribute(number: &Number, exact: &mut bool) -> AttributeValue {
    if number.is_i64() || number.is_u64() {
        return AttributeValue::N(number.to_string());
    }
    let size = number.as_f64().unwrap_or(0.0).abs();
    if size >= EXACT {
        *exact = false;
    }
    if size == 0.0 {
        AttributeValue::N("0".to_owned())
    } else if (1e-129..1e125).contains(&size) {
        AttributeValue::N(number.to_string())
    } else {
        AttributeValue::S(number.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_that_dynamodb_cannot_hold_become_texts() {
        for (value, expected, exact) in [
            (json!(1), AttributeValue::N("1".to_owned()), true),
            (
                json!(u64::MAX),
                AttributeValue::N(u64::MAX.to_string()),
                true,
            ),
            (json!(1.5), AttributeValue::N("1.5".to_owned()), true),
            (json!(-0.0), AttributeValue::N("0".to_owned()), true),
            (json!(1e300), AttributeValue::S("1e+300".to_owned()), false),
            (json!(1e-300), AttributeValue::S("1e-300".to_owned()), true),
            (json!(1e20), AttributeValue::N("1e+20".to_owned()), false),
        ] {
            let kept = verbatim(&value, b"");
            assert_eq!((kept.attribute, kept.exact), (expected, exact), "{value}");
        }
    }

    #[test]
    fn what_is_nested_too_deep_or_named_too_long_or_nameless_becomes_text() {
        let deep = (0..40).fold(json!(1), |inner, _| json!([inner]));
        assert_eq!(
            verbatim(&deep, b"").attribute,
            AttributeValue::S(deep.to_string())
        );
        let long = json!({"x".repeat(MAX_NAME + 1): 1});
        assert_eq!(
            verbatim(&long, b"").attribute,
            AttributeValue::S(long.to_string())
        );
        let nameless = json!({"": 1});
        assert_eq!(
            verbatim(&nameless, b"").attribute,
            AttributeValue::S(nameless.to_string())
        );
    }

    #[test]
    fn what_is_too_large_for_an_item_is_left_to_the_body() {
        let body = vec![b' '; 200_000];
        for (value, is_kept, exact) in [
            (json!(vec![1; 100_000]), true, true),
            (json!(vec![[1]; 65_000]), false, false),
            (json!(vec![json!(1e20); 100_000]), false, false),
            (json!([1e20]), true, false),
        ] {
            let kept = verbatim(&value, &body);
            assert_eq!(
                (kept.attribute != AttributeValue::Null(true), kept.exact),
                (is_kept, exact)
            );
        }
    }
}
