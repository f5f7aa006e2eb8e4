//! Push addresses, which carry the key of a stream: whoever knows it can push in its place.

use crate::tolerant::out_of_text;
use serde_json::Value;
use std::fmt;

/// What stands in the place of a key.
const HIDDEN: &str = "…";

/// `rtmpUrl` of event 100. It never prints whole: only the scheme, the host and the application.
#[derive(Clone, PartialEq, Eq)]
pub struct RtmpUrl(String);

impl RtmpUrl {
    /// Keeps an address.
    #[must_use]
    pub fn new(url: String) -> Self {
        Self(url)
    }
}

impl fmt::Display for RtmpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, rest)) = self.0.split_once("://") else {
            return f.write_str(HIDDEN);
        };
        let path = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = path.split_once('/').unwrap_or((path, ""));
        // A user and a password stand before the host.
        let host = authority.rsplit('@').next().unwrap_or_default();
        // The key is the last part of the path, and may have slashes in it.
        match path.split_once('/') {
            Some((application, _)) => write!(f, "{scheme}://{host}/{application}/{HIDDEN}"),
            None => write!(f, "{scheme}://{host}/{HIDDEN}"),
        }
    }
}

impl fmt::Debug for RtmpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RtmpUrl({self})")
    }
}

/// `details` with every push address in them as it may be shown.
#[must_use]
pub fn without_stream_keys(details: &Value) -> Value {
    match details {
        Value::Object(map) => map
            .iter()
            .map(|(name, value)| match value {
                Value::String(url) if name.eq_ignore_ascii_case("rtmpUrl") => {
                    (name.clone(), RtmpUrl::new(url.clone()).to_string().into())
                }
                value => (name.clone(), without_stream_keys(value)),
            })
            .collect(),
        Value::Array(values) => values.iter().map(without_stream_keys).collect(),
        Value::String(text) => match &*out_of_text(details) {
            Value::String(_) => hide_stream_keys(text).into(),
            held => without_stream_keys(held),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => details.clone(),
    }
}

/// A text with every push address in it as it may be shown.
#[must_use]
pub fn hide_stream_keys(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(begin) = push_address(rest) {
        let (before, address) = rest.split_at(begin);
        let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | ',' | ')');
        let (address, after) = address.split_at(address.find(ends).unwrap_or(address.len()));
        shown.push_str(before);
        shown.push_str(&RtmpUrl::new(address.to_owned()).to_string());
        rest = after;
    }
    shown.push_str(rest);
    shown
}

/// Where the first push address begins: at a scheme like `rtmp` or `rtmps`.
fn push_address(text: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(colon) = text.get(from..)?.find("://").map(|at| from + at) {
        let before = text.get(..colon)?;
        let scheme = before.trim_end_matches(|c: char| c.is_ascii_alphanumeric());
        let scheme = before.get(scheme.len()..)?;
        if scheme.to_ascii_lowercase().starts_with("rtmp") {
            return Some(colon - scheme.len());
        }
        from = colon + 3;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_address_shows_host_and_application_and_never_its_key() {
        for (url, shown) in [
            (
                "rtmp://push.example.com/live/KEY",
                "rtmp://push.example.com/live/…",
            ),
            (
                "rtmps://u:KEY@h:443/live/KEY?KEY#KEY",
                "rtmps://h:443/live/…",
            ),
            ("rtmp://h/live/KEY/", "rtmp://h/live/…"),
            ("rtmp://h/live/a/KEY", "rtmp://h/live/…"),
            ("rtmp://h/KEY", "rtmp://h/…"),
            ("rtmp://h?KEY", "rtmp://h/…"),
            ("KEY", "…"),
            ("", "…"),
        ] {
            let url = RtmpUrl::new(url.to_owned());
            assert_eq!(url.to_string(), shown);
            assert!(!format!("{url:?}").contains("KEY"));
        }
    }

    #[test]
    fn details_are_shown_without_keys_however_deep_they_stand() {
        let details = json!({"status": "disconnected", "rtmpUrl": "KEY",
            "more": [{"RtmpURL": "rtmp://h/live/KEY"}, "rtmp://h/live/KEY", 1]});
        let shown = without_stream_keys(&details).to_string();
        assert!(!shown.contains("KEY"), "{shown}");
        assert!(
            shown.contains("disconnected") && shown.contains("rtmp://h/live/"),
            "{shown}"
        );
    }
    #[test]
    fn a_key_inside_a_text_is_hidden_and_all_else_stays() {
        for (text, shown) in [
            (
                "push to rtmp://h/live/KEY failed",
                "push to rtmp://h/live/… failed",
            ),
            (
                "\"RTMPS://h/live/KEY\", then https://h/KEPT",
                "\"RTMPS://h/live/…\", then https://h/KEPT",
            ),
            (
                "https://h/KEPT and rtmp://a/b/KEY rtmp://c/d/KEY",
                "https://h/KEPT and rtmp://a/b/… rtmp://c/d/…",
            ),
            ("rtmp://", "rtmp:///…"),
            ("://é://", "://é://"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(hide_stream_keys(text), shown, "{text}");
        }
    }
}
