//! Reads JSON where traffic deviates from the specification: numbers as strings, strings as
//! numbers, booleans as strings, objects as JSON in a string, texts that were cut within a
//! character. Reads only; what can't be read is `None` and stays in the verbatim details.

use serde_json::{Map, Value};
use std::borrow::Cow;

/// True for what may stand around JSON: blanks, and a byte order mark or NULs, which shouldn't.
fn is_around(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{feff}' | '\0')
}

/// JSON, and whether it had to be mended first.
pub(crate) fn json(body: &[u8]) -> Option<(Value, bool)> {
    match serde_json::from_slice(body) {
        Ok(value) => Some((value, false)),
        Err(_) => serde_json::from_str(&mended(body))
            .ok()
            .map(|value| (value, true)),
    }
}

/// The text of a body with U+FFFD for what is no whole character, be it bytes or half a surrogate
/// pair, and without a byte order mark and NULs around it.
fn mended(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let mut rest = text.trim_matches(is_around);
    let mut mended = String::with_capacity(rest.len());
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        mended.push_str(before);
        let next = || escape.get(6..).and_then(utf16_unit);
        let length = match utf16_unit(escape) {
            Some(0xd800..=0xdbff) if matches!(next(), Some(0xdc00..=0xdfff)) => 12,
            Some(_) => 6,
            None => escape
                .char_indices()
                .nth(2)
                .map_or(escape.len(), |(end, _)| end),
        };
        let (escape, after) = escape.split_at(length);
        let is_half = length == 6 && matches!(utf16_unit(escape), Some(0xd800..=0xdfff));
        mended.push_str(if is_half { "\\ufffd" } else { escape });
        rest = after;
    }
    mended.push_str(rest);
    mended
}

/// The unit that an escape like `\ud83d` at the beginning of a text stands for.
fn utf16_unit(escape: &str) -> Option<u16> {
    u16::from_str_radix(escape.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

/// The object or array that a string holds as JSON, however often it was encoded; else the value
/// itself.
pub(crate) fn out_of_text(value: &Value) -> Cow<'_, Value> {
    let mut inner = Cow::Borrowed(value);
    while let Value::String(text) = &*inner {
        let may_hold = text
            .trim_start_matches(is_around)
            .starts_with(['{', '[', '"']);
        match may_hold.then(|| json(text.as_bytes())).flatten() {
            Some((held, _)) => inner = Cow::Owned(held),
            None => return Cow::Borrowed(value),
        }
    }
    inner
}

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
        // DynamoDB keeps 5.0 as 5.
        Value::Number(number) => Some(int(value).map_or(number.to_string(), |int| int.to_string())),
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
    fn a_text_that_was_cut_within_a_character_is_mended_and_nothing_else_changes() {
        for (body, read, is_mended) in [
            (
                &br#"{"a": "\ud83d\ude00 \\ud83d"}"#[..],
                json!({"a": "😀 \\ud83d"}),
                false,
            ),
            (br#"{"a": "\ud83d"}"#, json!({"a": "\u{fffd}"}), true),
            (
                br#"{"a": "\ude00 \ud83d\ude00 \ud83d\n"}"#,
                json!({"a": "\u{fffd} 😀 \u{fffd}\n"}),
                true,
            ),
            (
                br#"{"a": "\ud83d\ud83d\ude00"}"#,
                json!({"a": "\u{fffd}😀"}),
                true,
            ),
            (
                br#"{"a": "\\\ud83d\\"}"#,
                json!({"a": "\\\u{fffd}\\"}),
                true,
            ),
            (br#"{"\uD83D": 1}"#, json!({"\u{fffd}": 1}), true),
            (b"{\"a\": \"\xf0\x9f\"}", json!({"a": "\u{fffd}"}), true),
            (b"\xef\xbb\xbf{}\0", json!({}), true),
        ] {
            assert_eq!(super::json(body), Some((read, is_mended)), "{body:?}");
        }
        for body in [
            &b""[..],
            b"\\",
            b"\"\\ud8",
            b"\"\\u+123\"",
            b"{\"a\": 1e400}",
            b"\xff\xfe",
        ] {
            assert_eq!(super::json(body), None, "{body:?}");
        }
    }

    #[test]
    fn an_object_is_read_out_of_a_text_however_often_it_was_encoded() {
        let object = json!({"a": {"b": "c"}});
        let once = json!(object.to_string());
        let twice = json!(once.to_string());
        let marked = json!(format!("\u{feff} {object}\n"));
        for value in [&object, &once, &twice, &marked] {
            assert_eq!(*out_of_text(value), object, "{value}");
        }
        let cut = json!(r#"{"a": "\ud83d"}"#);
        assert_eq!(*out_of_text(&cut), json!({"a": "\u{fffd}"}));
        for value in [
            json!("a.m3u8"),
            json!("5"),
            json!("\"a\""),
            json!("{"),
            json!(null),
        ] {
            assert_eq!(*out_of_text(&value), value);
        }
    }

    #[test]
    fn a_text_is_the_same_before_the_table_and_after() {
        for (value, read) in [(json!(5.0), "5"), (json!(-0.0), "0"), (json!(1.5), "1.5")] {
            assert_eq!(text(&value).as_deref(), Some(read));
        }
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
