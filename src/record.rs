//! What the table holds about a session, as plain data: `store` reads and writes it, whoever wants
//! to know about a recording reads it. Pure.
//!
//! Must not know: how it is stored, and what a person sees of it. Times are ms since the epoch.

use crate::alert::{Alert, AlertId, Delivery, Destination, Outgoing, Progress};
use crate::event::{Event, Meaning};
use crate::named::named;
use crate::notification::Sid;
use crate::session::{Fact, Range, Session};
use serde_json::Value;
use std::collections::BTreeSet;

/// Everything the table holds about a session.
#[derive(Clone, Debug)]
pub struct Record {
    /// The session's item.
    pub watched: Watched,
    /// The missing callbacks of each recorder, in the order of `watched.session.recorders`; sorted,
    /// those in the archive included.
    pub missing: Vec<Vec<Range>>,
    /// Every callback that has an item, in any order. Heartbeats have none.
    pub events: Vec<StoredEvent>,
    /// Every alert, in any order.
    pub alerts: Vec<StoredAlert>,
    /// Whether a notice about files was sent.
    pub files_told: bool,
    /// How many items can't be read.
    pub unreadable: usize,
}

impl Record {
    /// The record of a recording that the table holds nothing about.
    #[must_use]
    pub fn new(sid: Sid) -> Self {
        Self {
            watched: Watched::new(sid),
            missing: Vec::new(),
            events: Vec::new(),
            alerts: Vec::new(),
            files_told: false,
            unreadable: 0,
        }
    }

    /// The session as its events tell it, without what came meanwhile. Heartbeats have none: of
    /// those the session's item knows.
    #[must_use]
    pub fn told(&self) -> Session {
        let mut session = Session::default();
        for callback in &self.events {
            let event = callback.event();
            let moment = (callback.sequence, callback.sendts);
            let meaning = callback.meaning(&event);
            let event_type = callback.event_type;
            session.apply(&Fact::said(
                &callback.uid,
                moment,
                event_type,
                &event,
                &meaning,
            ));
        }
        let heard = &self.watched.session.recorders;
        session.add_heartbeats(heard);
        session
    }
}

/// A session as the watchdog sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// The recording.
    pub sid: Sid,
    /// The channel.
    pub cname: String,
    /// What came.
    pub session: Session,
    /// When a callback was last written into it, ms since the epoch.
    pub updated_at: u64,
    /// When the newest heartbeat came, ms since the epoch.
    pub heard_at: Option<u64>,
    /// Alerts and notices that stand.
    pub standing: Standing,
}

impl Watched {
    /// A session that nothing has come of.
    #[must_use]
    pub fn new(sid: Sid) -> Self {
        Self {
            sid,
            cname: String::new(),
            session: Session::default(),
            updated_at: 0,
            heard_at: None,
            standing: Standing::default(),
        }
    }
}

/// What the watchdog found about a session and has noted, so that it is raised once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// `session_silent` stands: the heartbeat, or the later sign of work, after which nothing came,
    /// ms since the epoch.
    pub silent_since: Option<u64>,
    /// A silence that isn't told, because a failure that rang explains it: the same of that.
    pub explained_since: Option<u64>,
    /// `upload_unconfirmed` stands: the end after which no upload was reported, ms since the epoch.
    pub unconfirmed_since: Option<u64>,
    /// The watchdog's `abnormal_exit` stands: when the recorder was killed, ms since the epoch.
    pub killed_since: Option<u64>,
    /// A hash over the keys of the alerts of callbacks that are taken back.
    pub taken_back: Option<u64>,
    /// Whose files another recorder's report confirms.
    pub covered: Option<Covered>,
    /// How many missing callbacks were counted when the session was closed.
    pub missing_counted: Option<u64>,
    /// When the last silence was taken back, ms since the epoch.
    pub spoke_at: Option<u64>,
    /// The end of the newest notice `Recording Ended`.
    pub told_end: Option<ToldEnd>,
}

/// The recorders whose files another recorder's report confirms, by the callbacks that had come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Covered {
    /// [`Watched::updated_at`] when that was found.
    pub at: u64,
    /// Their uids.
    pub uids: BTreeSet<String>,
}

/// An end that programs were told: whose, and how it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToldEnd {
    /// The recorder's place in the order.
    pub generation: u64,
    /// How it ended.
    pub outcome: Ending,
}

named! {
    /// How a recording ended.
    pub enum Ending {
        /// As it should.
        Normal = "normal",
        /// The recorder at work had failed.
        Failed = "failed",
    }
}

/// A session's item, and the key under which the index of channels lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSession {
    /// The session's item.
    pub watched: Watched,
    /// `sendts` of the callback that opened it; 0 if it isn't in the item.
    pub first_sendts: u64,
}

/// A callback as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEvent {
    /// The name of its fact, which no other callback of the session has.
    pub fact: String,
    /// Its number.
    pub sequence: u64,
    /// The event's number.
    pub event_type: u32,
    /// The recorder.
    pub uid: String,
    /// When it happened; 0 if it didn't say.
    pub sendts: u64,
    /// `serviceScene`: which stage of the recording it comes from.
    pub service_scene: Option<String>,
    /// `details` as they came; an array too deep for the table as its text.
    pub details: Value,
}

impl StoredEvent {
    /// What `details` say.
    #[must_use]
    pub fn event(&self) -> Event {
        Event::read(self.event_type, &self.details)
    }

    /// What it says; `event` is what [`StoredEvent::event`] has read.
    #[must_use]
    pub fn meaning<'a>(&self, event: &'a Event) -> Meaning<'a> {
        event.meaning(self.event_type, self.service_scene.as_deref())
    }
}

/// An alert as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAlert {
    /// The alert.
    pub alert: Alert,
    /// What each destination was told of it.
    pub outgoing: Outgoing,
    /// If it is a digest: whom it is about.
    pub members: Option<DigestMembers>,
}

impl StoredAlert {
    /// Whether people were told, on every topic that is for it.
    #[must_use]
    pub fn state(&self) -> AlertState {
        match self.for_people() {
            Progress::Due(_) => AlertState::Pending,
            Progress::Failed => AlertState::Failed,
            Progress::Told(at) => AlertState::Sent { at: Some(at) },
            Progress::Needless => AlertState::Sent { at: None },
        }
    }

    /// When the next try is due of telling people, ms since the epoch; 0 if there is none.
    #[must_use]
    pub fn next_try(&self) -> u64 {
        match self.for_people() {
            Progress::Due(at) => at,
            Progress::Failed | Progress::Told(_) | Progress::Needless => 0,
        }
    }

    /// True where people were told of it, or are still to be.
    #[must_use]
    pub fn tells_people(&self) -> bool {
        !matches!(
            self.outgoing.to.get(&Destination::Alerts),
            Some(Delivery::Failed { .. })
        )
    }

    fn for_people(&self) -> Progress {
        let people = self.outgoing.to.iter().filter(|(at, _)| !at.is_on_bus());
        let people = Outgoing {
            to: people.map(|(at, it)| (*at, it.clone())).collect(),
            ..self.outgoing
        };
        people.progress()
    }

    /// How often a destination that wasn't told was tried.
    #[must_use]
    pub fn tries(&self) -> u64 {
        let to = self.outgoing.to.values();
        let tries = to.filter_map(|delivery| match delivery {
            Delivery::Pending { tries, .. } | Delivery::Failed { tries } => Some(*tries),
            Delivery::Told { .. } | Delivery::Needless => None,
        });
        tries.max().unwrap_or(0)
    }
}

/// The members of a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestMembers {
    /// The alerts that it may stand for. Which of them it does is in their items.
    pub ids: Vec<AlertId>,
    /// Whether at least half of all recordings that were watched when it was made are in it.
    pub is_widespread: bool,
}

/// Whether people were told of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertState {
    /// Not yet.
    Pending,
    /// It has.
    Sent {
        /// When; `None` if the item doesn't say.
        at: Option<u64>,
    },
    /// It was tried for a day and given up.
    Failed,
}

impl AlertState {
    /// The word in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sent { .. } => "sent",
            Self::Failed => "failed",
        }
    }
}
