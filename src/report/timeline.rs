//! What happened, an entry each, by time and number. Pure.

use super::{Hole, MAX_NAME, Record, RegisterName, Tone, words};
use crate::alert::{Severity, in_words};
use crate::event::{Event, EventType};
use crate::record::{AlertState, StoredAlert, StoredEvent};
use crate::text::{clean, utc};

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
    /// How good it is.
    pub tone: Tone,
    /// What it means, one line.
    pub text: String,
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
        kind: &'static str,
        /// Whether it is sent.
        state: AlertState,
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
    let alerts = record.alerts.iter().map(alert_entry);
    let missing = holes.iter().map(hole_entry);
    let mut entries: Vec<_> = callbacks
        .chain(heartbeats(record))
        .chain(alerts)
        .chain(missing)
        .collect();
    entries.sort_by(|a, b| {
        let key = |entry: &Entry| (entry.at, entry.sequence, rank(&entry.what));
        key(a).cmp(&key(b)).then_with(|| a.text.cmp(&b.text))
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
    let (text, tone) = words::event_words(callback.event_type, &callback.event);
    Entry {
        at: callback.sendts,
        sequence: callback.sequence,
        uid: clean(&callback.uid, MAX_NAME),
        what: What::Callback {
            event_type: callback.event_type,
            name: EventType(callback.event_type).name(),
            event: callback.event.clone(),
        },
        tone,
        text,
        details: clean(&callback.details.to_string(), MAX_DETAILS),
    }
}

fn heartbeats(record: &Record) -> impl Iterator<Item = Entry> {
    let recorders = record.watched.session.recorders.iter();
    recorders.filter_map(|recorder| {
        let register = recorder.registers.get(&RegisterName::Progress)?;
        let progress = super::int_in(register, "progress");
        let (text, tone) = words::event_words(
            EventType::UPLOADING_PROGRESS.0,
            &Event::UploadingProgress { progress },
        );
        Some(Entry {
            at: register.at,
            sequence: register.sequence,
            uid: clean(&recorder.uid, MAX_NAME),
            what: What::Heartbeat { progress },
            tone,
            text: format!("newest {text}"),
            details: String::new(),
        })
    })
}

fn alert_entry(sent: &StoredAlert) -> Entry {
    let words = in_words(&sent.alert);
    let (state, is_sent) = match sent.state {
        AlertState::Sent { at: None } => ("sent".to_owned(), true),
        AlertState::Sent { at: Some(at) } => (format!("sent {}", utc(at)), true),
        AlertState::Pending => (
            format!(
                "NOT SENT YET, tried {} times, next try {}",
                sent.tries,
                utc(sent.due_at)
            ),
            false,
        ),
        AlertState::Failed => (format!("GIVEN UP after {} tries", sent.tries), false),
    };
    let kind = sent.alert.kind;
    let tone = match kind.severity() {
        _ if !is_sent => Tone::Bad,
        Severity::Critical => Tone::Bad,
        Severity::Warning => Tone::Warning,
        Severity::Info => Tone::Good,
    };
    Entry {
        at: sent.alert.at,
        sequence: sent.alert.sequence,
        uid: clean(&sent.alert.uid, MAX_NAME),
        what: What::Alert {
            kind: kind.as_str(),
            state: sent.state,
            steps: words.steps,
        },
        tone,
        text: format!(
            "ALERT {} ({}): {}; {state}",
            kind.as_str(),
            kind.severity().as_str(),
            words.title
        ),
        details: words.what,
    }
}

fn hole_entry(hole: &Hole) -> Entry {
    let count = hole.count();
    let are = if count == 1 {
        "1 callback never came".to_owned()
    } else {
        format!("{count} callbacks never came")
    };
    Entry {
        at: hole.after.or(hole.before).unwrap_or(0),
        sequence: hole.range.0,
        uid: hole.uid.clone(),
        what: What::Missing(hole.clone()),
        tone: Tone::Warning,
        text: format!("MISSING {}: {are}; {}", hole.numbers(), hole.meaning),
        details: String::new(),
    }
}
