//! Verbatim JSON as DynamoDB attributes, within DynamoDB's limits.

use crate::signature::Verified;
use crate::store::attribute::body::{MAX_KEPT, keep_body};
use crate::store::attribute::value_size;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Number, Value};

/// DynamoDB nests 32 levels deep; deeper details are kept as JSON text.
const MAX_DEPTH: usize = 30;
/// DynamoDB takes names of up to 64 KB, bytes.
const MAX_NAME: usize = 65_535;
/// From here on a double doesn't hold every integer.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The attributes that hold the details of a callback whole.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptDetails(pub(in crate::store) Vec<(&'static str, AttributeValue)>);

/// The details of `body` as attributes: `details`, as a map, a list, a text …, or as JSON text
/// where DynamoDB can't hold the structure; the body beside it where it can't hold the numbers or
/// had to be mended; the body alone where both are too large. `None` if not even that fits an item.
#[must_use]
pub fn keep_details(details: &Value, is_mended: bool, body: &Verified<'_>) -> Option<KeptDetails> {
    let mut exact = !is_mended;
    let attribute = if fits(details, MAX_DEPTH) {
        attribute(details, &mut exact)
    } else {
        AttributeValue::S(details.to_string())
    };
    let beside = if exact { 0 } else { body.body().len() };
    let mut kept = Vec::new();
    if value_size(&attribute) + beside <= MAX_KEPT {
        kept.push(("details", attribute));
        kept.extend((!exact).then(|| keep_body(body.body())).flatten());
    } else {
        kept.push(("details", AttributeValue::Null(true)));
        kept.push(keep_body(body.body())?);
    }
    Some(KeptDetails(kept))
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
    use crate::store::attribute::text;
    use serde_json::json;

    fn keep(value: &Value, body: &[u8]) -> Option<Vec<(&'static str, AttributeValue)>> {
        keep_details(value, false, &Verified::out_of_quarantine(body)).map(|kept| kept.0)
    }

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
            let kept = keep(&value, b"whole");
            let body = (!exact).then(|| ("body", text("whole")));
            let all = [("details", expected)].into_iter().chain(body);
            assert_eq!(kept, Some(all.collect()), "{value}");
        }
    }

    #[test]
    fn what_is_nested_too_deep_or_named_too_long_or_nameless_becomes_text() {
        let deep = (0..40).fold(json!(1), |inner, _| json!([inner]));
        let long = json!({"x".repeat(MAX_NAME + 1): 1});
        let nameless = json!({"": 1});
        for value in [deep, long, nameless] {
            let as_text = vec![("details", text(value.to_string()))];
            assert_eq!(keep(&value, b""), Some(as_text));
        }
    }

    #[test]
    fn what_is_too_large_for_an_item_is_left_to_the_body() {
        let (small, large) = (vec![b' '; 200_000], vec![b' '; MAX_KEPT + 1]);
        let names = |value: &Value, body: &[u8]| {
            let kept = keep(value, body).unwrap().into_iter();
            kept.map(|(name, value)| (name, value.is_null()))
                .collect::<Vec<_>>()
        };
        for (value, body, kept) in [
            (json!(vec![1; 100_000]), &large, &[("details", false)][..]),
            (
                json!(vec![[1]; 100_000]),
                &small,
                &[("details", true), ("body", false)],
            ),
            (
                json!(vec![[1]; 100_000]),
                &large,
                &[("details", true), ("body_deflate", false)],
            ),
            (
                json!(vec![json!(1e20); 100_000]),
                &small,
                &[("details", true), ("body", false)],
            ),
            (
                json!([1e20]),
                &small,
                &[("details", false), ("body", false)],
            ),
        ] {
            assert_eq!(names(&value, body), kept);
        }
        let mut rng = fastrand::Rng::with_seed(1);
        let noise: Vec<u8> = (0..MAX_KEPT + 1).map(|_| rng.u8(..)).collect();
        assert_eq!(keep(&json!(vec![[1]; 100_000]), &noise), None);
    }
}
