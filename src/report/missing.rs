//! Callbacks that never came, and what that may mean. Pure.

use super::{Files, Line, MAX_NAME};
use crate::event::EventType;
use crate::record::{Record, StoredEvent};
use crate::session::Range;
use crate::text::{clean, clock};

/// More holes than this are more likely event types that aren't subscribed than losses.
const MANY: usize = 5;

/// Callbacks of a recorder that never came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hole {
    /// The recorder.
    pub uid: String,
    /// The numbers, both included.
    pub range: Range,
    /// The callbacks around it, ms since the epoch, where they are known: heartbeats aren't.
    pub after: Option<u64>,
    /// The same.
    pub before: Option<u64>,
    /// What it may mean.
    pub meaning: String,
}

impl Hole {
    /// How many are missing.
    #[must_use]
    pub fn count(&self) -> u64 {
        (self.range.1 - self.range.0).saturating_add(1)
    }

    /// `number 7`, `numbers 15 to 16`.
    #[must_use]
    pub fn numbers(&self) -> String {
        match self.range {
            (from, to) if from == to => format!("number {from}"),
            (from, to) => format!("numbers {from} to {to}"),
        }
    }

    /// When, as far as it is known.
    #[must_use]
    pub fn when(&self) -> String {
        match (self.after, self.before) {
            (Some(after), Some(before)) => {
                format!("between {} and {}", clock(after), clock(before))
            }
            (Some(after), None) => format!("after {}", clock(after)),
            (None, Some(before)) => format!("before {}", clock(before)),
            (None, None) => "at an unknown time".to_owned(),
        }
    }
}

/// All that is missing, recorder by recorder, in the order of the numbers.
pub(super) fn holes(record: &Record, files: &Files) -> Vec<Hole> {
    let recorders = &record.watched.session.recorders;
    let is_unconfirmed = files.is_over && !files.is_accounted_for();
    let mut holes = Vec::new();
    for (recorder, ranges) in recorders.iter().zip(&record.missing) {
        let mut known: Vec<(u64, u64)> = record
            .events
            .iter()
            .filter(|callback| callback.uid == recorder.uid)
            .map(|callback| (callback.sequence, callback.sendts))
            .chain(
                recorder
                    .registers
                    .values()
                    .map(|register| (register.sequence, register.at)),
            )
            .collect();
        known.sort_unstable();
        known.dedup_by_key(|(sequence, _)| *sequence);
        let has_begun = |callback: &StoredEvent| {
            let started = [EventType::RECORDER_STARTED, EventType::WEB_RECORDER_STARTED];
            callback.uid == recorder.uid && started.contains(&EventType(callback.event_type))
        };
        let has_begun = record.events.iter().any(has_begun);
        for range in ranges {
            let below = known.partition_point(|(sequence, _)| *sequence < range.0);
            let above = known.partition_point(|(sequence, _)| *sequence <= range.1);
            let time = |index: Option<usize>| {
                let (_, at) = known.get(index?)?;
                (*at > 0).then_some(*at)
            };
            let (after, before) = (time(below.checked_sub(1)), time(Some(above)));
            let is_last = above + 2 >= known.len();
            let meaning = if after.is_none() && !has_begun {
                "the start of the recorder may be among them"
            } else if is_unconfirmed && is_last {
                "the report of the upload may be among them"
            } else {
                "lost in transit, or of event types you aren't subscribed to"
            };
            holes.push(Hole {
                uid: clean(&recorder.uid, MAX_NAME),
                range: *range,
                after,
                before,
                meaning: meaning.to_owned(),
            });
        }
    }
    holes
}

/// The holes in a line.
pub(super) fn line(holes: &[Hole]) -> Line {
    let all = holes
        .iter()
        .fold(0_u64, |all, hole| all.saturating_add(hole.count()));
    match holes {
        [] => Line::plain("none"),
        [hole] => Line::warning(format!(
            "{} ({all}), {}: {}",
            hole.numbers(),
            hole.when(),
            hole.meaning
        )),
        many if many.len() > MANY => Line::plain(format!(
            "{all} in {} places; so many are usually event types you aren't subscribed to, rather \
             than losses",
            many.len()
        )),
        few => Line::warning(format!("{all} in {} places, see below", few.len())),
    }
}
