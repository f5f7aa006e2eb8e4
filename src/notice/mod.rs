//! Notices: what programs are told on a bus. Which callback is news, and what the news says. Pure.
//!
//! A notice is written down as a job that says little: which recording, and why. What it tells is
//! made when it is sent, from everything that has come by then. So the last one is right, whatever
//! came in which order.
//!
//! Knows how its keys are written in the table. Must not know: requests to the table or the bus,
//! the clock.

mod detail;

pub use detail::{MAX_DETAIL, Telling};

use crate::event::Sign;
use crate::hash::short_hash;
use crate::notification::{Notification, Sid};
use crate::record::Ending;

/// What a notice is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A recorder is at work.
    Started,
    /// A callback spoke of files; it is named by its fact.
    FilesReady {
        /// The name of the fact.
        fact: String,
    },
    /// The recording is over.
    Ended(Ending),
}

/// What programs are to be told about a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What it is about.
    pub news: News,
    /// The recording.
    pub sid: Sid,
    /// The channel; empty if it isn't known.
    pub cname: String,
    /// The recorder; empty if it isn't known.
    pub uid: String,
    /// When it happened, ms since the epoch; 0 if nobody says.
    pub at: u64,
}

/// What names a notice within its session: `<name>#<what tells it from others of that name>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NoticeKey(String);

impl NoticeKey {
    /// Reads a key of the table; `None` if it is none that this version knows.
    #[must_use]
    pub fn read(key: &str) -> Option<Self> {
        let (name, rest) = key.split_once('#')?;
        let is_known = [News::STARTED, News::FILES_READY, News::ENDED].contains(&name);
        (is_known && !rest.is_empty()).then(|| Self(key.to_owned()))
    }

    fn new(name: &str, rest: &str) -> Self {
        Self(format!("{name}#{rest}"))
    }

    /// The key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for one about files.
    #[must_use]
    pub fn is_about_files(&self) -> bool {
        self.0.starts_with(News::FILES_READY)
    }

    /// What it is about. `outcome` is in the item of one about an end.
    #[must_use]
    pub fn news(&self, outcome: Option<Ending>) -> Option<News> {
        let (name, rest) = self.0.split_once('#')?;
        match name {
            News::STARTED => Some(News::Started),
            News::FILES_READY => Some(News::FilesReady {
                fact: rest.to_owned(),
            }),
            News::ENDED => outcome.map(News::Ended),
            _ => None,
        }
    }
}

impl News {
    const STARTED: &str = "started";
    const FILES_READY: &str = "files_ready";
    const ENDED: &str = "ended";

    /// The `detail-type` on the bus.
    #[must_use]
    pub fn detail_type(&self) -> &'static str {
        match self {
            Self::Started => "Recording Started",
            Self::FilesReady { .. } => "Recording Files Ready",
            Self::Ended(_) => "Recording Ended",
        }
    }
}

impl Notice {
    /// What programs are told because this callback came, if anything. A heartbeat never is news.
    #[must_use]
    pub fn of(notification: &Notification) -> Option<Self> {
        let meaning = notification.meaning();
        let news = if meaning.sign == Some(Sign::Started) {
            News::Started
        } else if meaning.files.is_some() {
            News::FilesReady {
                fact: notification.fact_key(),
            }
        } else {
            return None;
        };
        Some(Self {
            news,
            sid: notification.sid.clone(),
            cname: notification.cname.clone(),
            uid: notification.uid.clone(),
            at: notification.sendts,
        })
    }

    /// What names it within its session: a recorder starts once, and ends once with each outcome.
    #[must_use]
    pub fn key(&self) -> NoticeKey {
        let uid = self.uid.as_bytes();
        match &self.news {
            News::Started => NoticeKey::new(News::STARTED, &short_hash(uid, 8)),
            News::FilesReady { fact } => NoticeKey::new(News::FILES_READY, fact),
            News::Ended(outcome) => {
                let mut parts = outcome.as_str().as_bytes().to_vec();
                parts.push(b'#');
                parts.extend(uid);
                NoticeKey::new(News::ENDED, &short_hash(&parts, 8))
            }
        }
    }

    /// Its id, which never changes.
    #[must_use]
    pub fn id(&self) -> String {
        let key = self.key();
        format!("{}/notice#{}", self.sid, key.as_str())
    }
}

#[cfg(test)]
mod tests;
