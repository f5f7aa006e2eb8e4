//! What happened, an entry each, by time and number. Pure.

use super::{Hole, Line, MAX_NAME, Tone, words};
use crate::alert::{AlertKind, Severity, in_words};
use crate::event::{Event, EventType, without_stream_keys};
use crate::record::{AlertState, Record, StoredAlert, StoredEvent};
use crate::text::{clean, utc};
use std::collections::HashSet;

/// The raw details that an entry quotes are cut to this many characters.
const MAX_DETAILS: usize = 600;

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// When: `sendts`, ms since the epoch.
    pub at: u64,
    /// The callback's number; of a hole, its first.
    pub sequence: u64,
    /// The recorder.
    pub uid: String,
    /// What it is.
    pub what: What,
    /// What it means.
    pub line: Line,
    /// What came, cut; empty where there is nothing.
    pub details: String,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A callback that came.
    Callback {
        /// The event's number.
        event_type: u32,
        /// The specification's name.
        name: &'static str,
        /// Its `serviceScene`, cleaned.
        scene: Option<String>,
        /// The event.
        event: Event,
    },
    /// The newest heartbeat of a recorder; the others leave no trace.
    Heartbeat {
        /// 0 to 10,000.
        progress: Option<i64>,
    },
    /// An alert.
    Alert {
        /// Its kind.
        kind: AlertKind,
        /// Its title.
        title: String,
        /// Whether it has been sent.
        state: AlertState,
        /// Whether it is about a trouble that nothing has taken back.
        is_open: bool,
        /// What to do now, a step each.
        steps: Vec<String>,
    },
    /// Callbacks that never came.
    Missing(Hole),
}

impl What {
    /// A word for programs and style sheets.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Callback { .. } => "callback",
            Self::Heartbeat { .. } => "heartbeat",
            Self::Alert { .. } => "alert",
            Self::Missing(_) => "missing",
        }
    }
}

/// Everything, by time and number.
pub(super) fn timeline(record: &Record, holes: &[Hole]) -> Vec<Entry> {
    let callbacks = record.events.iter().map(callback_entry);
    let taken_back: HashSet<_> = record
        .alerts
        .iter()
        .filter_map(|stored| stored.alert.key.resolves())
        .collect();
    let alerts = record.alerts.iter().map(|stored| {
        let kind = stored.alert.kind;
        let is_open = kind.alarm() == kind && !taken_back.contains(&stored.alert.key);
        alert_entry(stored, is_open)
    });
    let missing = holes.iter().map(hole_entry);
    let mut entries: Vec<_> = callbacks
        .chain(heartbeats(record))
        .chain(alerts)
        .chain(missing)
        .collect();
    entries.sort_by(|a, b| {
        let key = |entry: &Entry| (entry.at, entry.sequence, rank(&entry.what));
        key(a)
            .cmp(&key(b))
            .then_with(|| a.line.text.cmp(&b.line.text))
    });
    entries
}

/// An alert stands after its callback.
fn rank(what: &What) -> u8 {
    match what {
        What::Missing(_) => 0,
        What::Callback { .. } | What::Heartbeat { .. } => 1,
        What::Alert { .. } => 2,
    }
}

fn callback_entry(callback: &StoredEvent) -> Entry {
    let (event_type, event) = (callback.event_type, callback.event());
    let scene = callback.service_scene.as_deref();
    let line = words::event_line(event_type, scene, &event);
    Entry {
        at: callback.sendts,
        sequence: callback.sequence,
        uid: clean(&callback.uid, MAX_NAME),
        what: What::Callback {
            event_type,
            name: EventType(event_type).name(),
            scene: scene.map(|scene| clean(scene, MAX_NAME)),
            event,
        },
        line,
        details: clean(
            &without_stream_keys(&callback.details).to_string(),
            MAX_DETAILS,
        ),
    }
}

fn heartbeats(record: &Record) -> impl Iterator<Item = Entry> {
    let recorders = record.watched.session.recorders.iter();
    recorders.filter_map(|recorder| {
        let heartbeat = recorder.progress()?;
        let progress = heartbeat.value;
        let event = Event::UploadingProgress { progress };
        let mut line = words::event_line(EventType::UPLOADING_PROGRESS.0, None, &event);
        line.text.insert_str(0, "newest ");
        Some(Entry {
            at: heartbeat.at,
            sequence: heartbeat.sequence,
            uid: clean(&recorder.uid, MAX_NAME),
            what: What::Heartbeat { progress },
            line,
            details: String::new(),
        })
    })
}

fn alert_entry(stored: &StoredAlert, is_open: bool) -> Entry {
    let words = in_words(&stored.alert);
    let (kind, state) = (stored.alert.kind, stored.state());
    let sending = match state {
        AlertState::Sent { at: None } => "sent".to_owned(),
        AlertState::Sent { at: Some(at) } => format!("sent {}", utc(at)),
        AlertState::Pending => format!(
            "NOT SENT YET, tried {} times, next try {}",
            stored.tries(),
            utc(stored.next_try())
        ),
        AlertState::Failed => format!("GIVEN UP after {} tries", stored.tries()),
    };
    let tone = match (state, kind.severity()) {
        (AlertState::Pending | AlertState::Failed, _) | (_, Severity::Critical) => Tone::Bad,
        (AlertState::Sent { .. }, Severity::Warning) => Tone::Warning,
        (AlertState::Sent { .. }, Severity::Info) => Tone::Plain,
    };
    let text = format!(
        "{} ({}): {}; {sending}",
        kind.as_str(),
        kind.severity().as_str(),
        words.title
    );
    Entry {
        at: stored.alert.at,
        sequence: stored.alert.sequence,
        uid: clean(&stored.alert.uid, MAX_NAME),
        what: What::Alert {
            kind,
            title: words.title,
            state,
            is_open,
            steps: words.steps,
        },
        line: Line { text, tone },
        details: words.what,
    }
}

fn hole_entry(hole: &Hole) -> Entry {
    let count = hole.count();
    let callbacks = if count == 1 {
        "1 callback never came".to_owned()
    } else {
        format!("{count} callbacks never came")
    };
    Entry {
        at: hole.after.or(hole.before).unwrap_or(0),
        sequence: hole.range.0,
        uid: hole.uid.clone(),
        what: What::Missing(hole.clone()),
        line: Line::warning(format!("{}: {callbacks}; {}", hole.numbers(), hole.meaning)),
        details: String::new(),
    }
}

impl Entry {
    /// How severe it is, if it is an alert.
    pub(super) fn severity(&self) -> Option<Severity> {
        match &self.what {
            What::Alert { kind, .. } => Some(kind.severity()),
            What::Callback { .. } | What::Heartbeat { .. } | What::Missing(_) => None,
        }
    }

    /// The line among those of all kinds: what isn't a callback says so first.
    #[must_use]
    pub fn text(&self) -> String {
        match &self.what {
            What::Callback { .. } | What::Heartbeat { .. } => self.line.text.clone(),
            What::Alert { .. } => format!("ALERT {}", self.line.text),
            What::Missing(_) => format!("MISSING {}", self.line.text),
        }
    }
}
