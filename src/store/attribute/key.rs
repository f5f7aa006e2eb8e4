//! The keys of the table, and the names of the attributes that more than one file reads or writes.
//! Pure.

use crate::alert::AlertKey;
use crate::notice::NoticeKey;
use crate::store::attribute::{Item, text};
use jiff::Timestamp;
use std::fmt;

/// The partition key: the recording, or what else an item belongs to.
pub(in crate::store) const SID: &str = "sid";
/// The sort key: what an item is, an [`ItemKey`].
pub(in crate::store) const ITEM: &str = "item";
/// When DynamoDB may delete the item, s since the epoch.
pub(in crate::store) const EXPIRES_AT: &str = "expires_at";
/// Counts the writes of a session's item; a page has that of the session that put it.
pub(in crate::store) const VERSION: &str = "version";
/// The index `watch`: its partition, a [`Shard`](crate::store::Shard).
pub(in crate::store) const WATCH_SHARD: &str = "watch_shard";
/// The index `watch`: since when an item is due, ms since the epoch.
pub(in crate::store) const WATCH_AT: &str = "watch_at";
/// The index `channel`: its partition.
pub(in crate::store) const CNAME: &str = "cname";
/// The index `channel`: `sendts` of the callback that opened the session, ms since the epoch.
pub(in crate::store) const FIRST_SENDTS: &str = "first_sendts";

/// Until when a session is left alone, ms since the epoch: it is being redriven, or can't be read
/// or written.
pub(in crate::store) const QUIET_UNTIL: &str = "quiet_until";
/// When the newest heartbeat came, ms since the epoch.
pub(in crate::store) const HEARD_AT: &str = "heard_at";

/// No such item yet.
pub(in crate::store) const IS_NEW: &str = "attribute_not_exists(sid)";
/// Nobody wrote the session since it was read.
pub(in crate::store) const IS_UNCHANGED: &str = "version = :version";

/// How a UTC day is written in a key.
pub(in crate::store) const DAY: &str = "%Y-%m-%d";
/// How a minute of UTC is written in a key.
pub(in crate::store) const MINUTE: &str = "%Y-%m-%dT%H:%M";

/// A time's part of a key. Not for display: it must survive a change of date formats.
pub(in crate::store) fn utc_name(ms: u64, pattern: &str) -> String {
    let time = i64::try_from(ms)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .unwrap_or_default();
    time.strftime(pattern).to_string()
}

/// What an item is, by its sort key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ItemKey {
    /// A session.
    Session,
    /// A callback that came, by the name of its fact.
    Event(String),
    /// An alert.
    Alert(AlertKey),
    /// A notice for programs.
    Notice(NoticeKey),
    /// A page of the archive of missing callbacks.
    Missing(String),
    /// Something that this version doesn't know.
    Other(String),
}

impl ItemKey {
    const SESSION: &str = "session";
    const EVENT: &str = "event#";
    const ALERT: &str = "alert#";
    const NOTICE: &str = "notice#";
    const MISSING: &str = "missing#";

    /// Reads a sort key.
    #[must_use]
    pub fn parse(key: &str) -> Self {
        let after = |prefix| key.strip_prefix(prefix).map(str::to_owned);
        if key == Self::SESSION {
            Self::Session
        } else if let Some(fact) = after(Self::EVENT) {
            Self::Event(fact)
        } else if let Some(alert) = after(Self::ALERT) {
            Self::Alert(AlertKey::from_stored(&alert))
        } else if let Some(notice) = key.strip_prefix(Self::NOTICE).and_then(NoticeKey::read) {
            Self::Notice(notice)
        } else if let Some(page) = after(Self::MISSING) {
            Self::Missing(page)
        } else {
            Self::Other(key.to_owned())
        }
    }

    /// The primary key of this item of `sid`.
    pub(in crate::store) fn of(&self, sid: &str) -> Item {
        Item::from([
            (SID.to_owned(), text(sid)),
            (ITEM.to_owned(), text(self.to_string())),
        ])
    }
}

impl fmt::Display for ItemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session => f.write_str(Self::SESSION),
            Self::Event(fact) => write!(f, "{}{fact}", Self::EVENT),
            Self::Alert(alert) => write!(f, "{}{alert}", Self::ALERT),
            Self::Notice(notice) => write!(f, "{}{}", Self::NOTICE, notice.as_str()),
            Self::Missing(page) => write!(f, "{}{page}", Self::MISSING),
            Self::Other(key) => f.write_str(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sort_key_is_read_as_it_is_written() {
        for (key, item) in [
            ("session", ItemKey::Session),
            (
                "event#0000000003#1#0a1b",
                ItemKey::Event("0000000003#1#0a1b".to_owned()),
            ),
            (
                "alert#failover#0a1b",
                ItemKey::Alert(AlertKey::from_stored("failover#0a1b")),
            ),
            (
                "missing#0a1b#0000000051",
                ItemKey::Missing("0a1b#0000000051".to_owned()),
            ),
            (
                "notice#files_ready#0000000003#4#0a1b",
                ItemKey::Notice(NoticeKey::read("files_ready#0000000003#4#0a1b").unwrap()),
            ),
            ("notice#x#y", ItemKey::Other("notice#x#y".to_owned())),
            ("sessions", ItemKey::Other("sessions".to_owned())),
        ] {
            assert_eq!(ItemKey::parse(key), item);
            assert_eq!(item.to_string(), key);
        }
    }
}
