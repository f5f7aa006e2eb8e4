//! What tells one trouble from another: the parts of an alert's key. Pure.
//!
//! An alert is the news of an incident. However many callbacks report one, they make the same key
//! and ring once; a second trouble makes another one. A span of time is a function of the callback
//! alone, so that neither the order of arrival nor a replay makes a difference; a trouble that
//! crosses the edge of a span rings once in each. *Recorder* is the uid.

use super::AlertKind;
use crate::event::{CodeName, Part};
use crate::hash::short_hash;
use std::fmt;

const MINUTE_MS: u64 = 60 * 1000;

/// What names an alert within its session: `<kind>#<16 hex digits over the parts>`. Alerts of
/// earlier versions have other names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlertKey(String);

impl AlertKey {
    /// The key of an incident, by what tells it from others of its kind.
    #[must_use]
    pub(crate) fn new(kind: AlertKind, parts: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut prefixed = Vec::new();
        for part in parts {
            let part = part.as_ref();
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            prefixed.extend(length.to_be_bytes());
            prefixed.extend(part.as_bytes());
        }
        Self(format!("{}#{}", kind.as_str(), short_hash(&prefixed, 8)))
    }

    /// A key as it was stored, of whatever version.
    #[must_use]
    pub fn from_stored(key: &str) -> Self {
        Self(key.to_owned())
    }

    /// The key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The kind that stands in it; `None` in one of an earlier version.
    #[must_use]
    pub fn kind(&self) -> Option<AlertKind> {
        AlertKind::read(self.0.split('#').next()?)
    }

    /// The key of the alert that a resolution with this key takes back.
    #[must_use]
    pub fn resolves(&self) -> Option<Self> {
        let kind = self.kind().filter(|kind| kind.alarm() != *kind)?;
        Some(Self(format!("{}#{}", kind.alarm().as_str(), self.hash())))
    }

    /// The key of the `kind` that takes an alert with this key back.
    #[must_use]
    pub(crate) fn resolved_by(&self, kind: AlertKind) -> Self {
        Self(format!("{}#{}", kind.as_str(), self.hash()))
    }

    /// What tells it from others of its kind; an alert and what takes it back have the same.
    #[must_use]
    pub fn hash(&self) -> &str {
        self.0.rsplit('#').next().unwrap_or_default()
    }
}

impl fmt::Display for AlertKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What names an alert: the recording, or the day of a digest, and its key there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlertId {
    /// Whose alert it is.
    pub sid: String,
    /// Which of them.
    pub key: AlertKey,
}

impl AlertId {
    /// The incident that an alert of this id opened.
    #[must_use]
    pub fn incident(&self) -> String {
        let kind = self.key.kind().map_or("", |kind| kind.alarm().as_str());
        format!("{}/{kind}/{}", self.sid, self.key.hash())
    }

    const BETWEEN: &str = "/alert#";

    /// Reads an id as it is written.
    #[must_use]
    pub fn parse(id: &str) -> Option<Self> {
        let (sid, key) = id.split_once(Self::BETWEEN)?;
        Some(Self {
            sid: sid.to_owned(),
            key: AlertKey::from_stored(key),
        })
    }
}

impl fmt::Display for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.sid, Self::BETWEEN, self.key)
    }
}

/// A part of a key, under the name it has among an alert's codes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyPart {
    pub(crate) name: CodeName,
    pub(crate) value: String,
}

impl AsRef<str> for KeyPart {
    fn as_ref(&self) -> &str {
        &self.value
    }
}

impl KeyPart {
    pub(crate) fn new(name: CodeName, value: impl ToString) -> Self {
        let value = value.to_string();
        Self { name, value }
    }

    pub(crate) fn recorder(uid: &str) -> Self {
        Self::new(CodeName::Recorder, uid)
    }

    pub(crate) fn minute(at: u64) -> Self {
        Self::span(CodeName::Minute, at, MINUTE_MS)
    }

    pub(crate) fn ten_minutes(at: u64) -> Self {
        Self::span(CodeName::TenMinutes, at, 10 * MINUTE_MS)
    }

    pub(crate) fn hour(at: u64) -> Self {
        Self::span(CodeName::Hour, at, 60 * MINUTE_MS)
    }

    /// Whether it is about the recording itself or about a stage beside it.
    pub(crate) fn stage(part: Part) -> Self {
        let stage = match part {
            Part::Recording | Part::OnDemand => "recording",
            Part::Beside => "other",
        };
        Self::new(CodeName::Stage, stage)
    }

    /// The beginning of the span that `at` is in; empty, once a session, for a callback without a
    /// time.
    fn span(name: CodeName, at: u64, length_ms: u64) -> Self {
        match at {
            0 => Self::new(name, ""),
            at => Self::new(name, at - at % length_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_depends_on_every_part_and_on_where_one_ends() {
        let key = |values: &[&str]| AlertKey::new(AlertKind::FatalError, values).to_string();
        assert_eq!(key(&["5", "0"]), key(&["5", "0"]));
        for other in [&["50"][..], &["5", "0", ""], &["", "50"], &["5", "1"]] {
            assert_ne!(key(&["5", "0"]), key(other), "{other:?}");
        }
        let (kind, hash) = {
            let key = key(&["5"]);
            let (kind, hash) = key.split_once('#').unwrap();
            (kind.to_owned(), hash.to_owned())
        };
        assert_eq!((kind.as_str(), hash.len()), ("fatal_error", 16));
    }

    #[test]
    fn a_span_begins_on_the_clock_and_nothing_has_none() {
        assert_eq!(KeyPart::hour(3_600_000).value, "3600000");
        assert_eq!(KeyPart::hour(7_199_999).value, "3600000");
        assert_eq!(KeyPart::ten_minutes(7_199_999).value, "6600000");
        assert_eq!(KeyPart::minute(0).value, "");
    }
}
