//! Reads a JSON value as the type the specification promises, where traffic deviates: numbers as
//! strings, strings as numbers, booleans as strings. Reads only; what can't be read is `None` and
//! stays in the verbatim details.

use serde_json::{Map, Value};

/// An integer: a number without a fraction, or a string of one.
pub(crate) fn int(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => text.trim().parse().ok(),
        Value::Bool(_) | Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// An integer from 0 up.
pub(crate) fn uint(value: &Value) -> Option<u64> {
    int(value).and_then(|number| u64::try_from(number).ok())
}

/// A text: a string, or a number as it is printed.
pub(crate) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(_) | Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A boolean: itself, `"true"` or `"false"` in any case, 0 or 1.
pub(crate) fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        Value::String(_) | Value::Number(_) => match int(value) {
            Some(0) => Some(false),
            Some(1) => Some(true),
            Some(_) | None => None,
        },
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A time in ms since the epoch. Sister products send seconds; a number that can only be seconds is
/// read as such.
pub(crate) fn time_ms(value: &Value) -> Option<u64> {
    const SECONDS: std::ops::Range<u64> = 1_000_000_000..100_000_000_000;
    uint(value).map(|time| {
        if SECONDS.contains(&time) {
            time * 1000
        } else {
            time
        }
    })
}

/// Fields of an object by name, read tolerantly. Of several names the first one present and
/// readable counts, so that two editions of a field have one accessor.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a>(pub(crate) Option<&'a Map<String, Value>>);

impl<'a> Fields<'a> {
    pub(crate) fn of(value: &'a Value) -> Self {
        Self(value.as_object())
    }

    pub(crate) fn get<T>(self, names: &[&str], read: fn(&Value) -> Option<T>) -> Option<T> {
        let map = self.0?;
        names.iter().find_map(|name| map.get(*name).and_then(read))
    }

    pub(crate) fn int(self, name: &str) -> Option<i64> {
        self.get(&[name], int)
    }

    pub(crate) fn text(self, name: &str) -> Option<String> {
        self.get(&[name], text)
    }
}

/// `float` as an integer if it is one and small enough to be exact.
fn whole(float: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if float.fract() != 0.0 || float.abs() >= EXACT {
        return None;
    }
    // Printed without a fraction or an exponent below 2^53: parsing it back can't round.
    format!("{float:.0}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn integers_are_read_from_numbers_and_from_strings() {
        for (value, expected) in [
            (json!(7), Some(7)),
            (json!("7"), Some(7)),
            (json!(" 7 "), Some(7)),
            (json!(7.0), Some(7)),
            (json!(-0.0), Some(0)),
            (json!(7.5), None),
            (json!(1e30), None),
            (json!("seven"), None),
            (json!(""), None),
            (json!(true), None),
            (json!(null), None),
            (json!(u64::MAX), None),
        ] {
            assert_eq!(int(&value), expected, "{value}");
        }
        assert_eq!(uint(&json!(-1)), None);
    }

    #[test]
    fn booleans_are_read_from_strings_and_numbers() {
        for (value, expected) in [
            (json!(true), Some(true)),
            (json!("True"), Some(true)),
            (json!("false"), Some(false)),
            (json!(1), Some(true)),
            (json!("0"), Some(false)),
            (json!("yes"), None),
            (json!([]), None),
        ] {
            assert_eq!(boolean(&value), expected, "{value}");
        }
    }

    #[test]
    fn seconds_become_milliseconds_and_milliseconds_stay() {
        assert_eq!(time_ms(&json!(1_715_331_647)), Some(1_715_331_647_000));
        assert_eq!(
            time_ms(&json!(1_715_331_647_844_u64)),
            Some(1_715_331_647_844)
        );
        assert_eq!(time_ms(&json!(0)), Some(0));
    }

    #[test]
    fn of_two_editions_the_first_readable_one_counts() {
        let value = json!({"UtcMs": "5", "utcMs": null});
        assert_eq!(Fields::of(&value).get(&["utcMs", "UtcMs"], uint), Some(5));
    }
}
