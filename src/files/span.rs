//! When a recording began and ended, as far as its callbacks say. Pure.

use super::File;
use crate::event::{Event, EventType, Part, Sign, Work};
use crate::record::StoredEvent;

/// A callback, by what tells it from others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// When it happened, ms since the epoch.
    pub sendts: u64,
    /// Its number.
    pub sequence: u64,
    /// The event's number.
    pub event_type: u32,
    /// The recorder.
    pub uid: String,
}

impl Source {
    pub(super) fn of(callback: &StoredEvent) -> Self {
        Self {
            sendts: callback.sendts,
            sequence: callback.sequence,
            event_type: callback.event_type,
            uid: callback.uid.clone(),
        }
    }
}

/// A time, and the callback that it was taken from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// The time, ms since the epoch.
    pub at: u64,
    /// Who says so.
    pub source: Source,
}

/// When a recording began and ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The first slice (42), else the start of a web page recording (70), else that of the first
    /// file, else that of the recorder (40).
    pub started: Option<Moment>,
    /// The last time that a recorder left (41, 71), else the exit of the service (11), else the
    /// upload of everything (31, 32); none that is older than the last sign of work.
    pub ended: Option<Moment>,
}

impl Span {
    pub(super) fn of<'a>(
        callbacks: impl Iterator<Item = (&'a StoredEvent, &'a Event)>,
        files: &[File],
    ) -> Self {
        let (mut slices, mut webs, mut recorders) = (Vec::new(), Vec::new(), Vec::new());
        let (mut left, mut exits, mut uploads) = (Vec::new(), Vec::new(), Vec::new());
        for (callback, event) in callbacks {
            let meaning = callback.meaning(event);
            if meaning.part == Part::Beside {
                continue;
            }
            let own = moment(callback.sendts, callback);
            let told = meaning.began_at.and_then(|at| moment(at, callback));
            match meaning.sign {
                Some(Sign::Slice) => slices.extend(told.or(own.clone())),
                Some(Sign::Started) if meaning.work == Some(Work::WebStarted) => {
                    webs.extend(told.or(own.clone()));
                }
                Some(Sign::Started) => recorders.extend(own.clone()),
                Some(Sign::Exited) => exits.extend(own.clone()),
                Some(Sign::Stream) | None => {}
            }
            match meaning.work {
                Some(Work::Left(_) | Work::WebStopped(_)) => left.extend(own.clone()),
                Some(Work::Started(_) | Work::WebStarted | Work::CapabilityLimit) | None => {}
            }
            let of_all = [EventType::UPLOADED, EventType::BACKUPED];
            if meaning
                .upload
                .is_some_and(|upload| of_all.contains(&upload.event_type))
            {
                uploads.extend(own);
            }
        }
        let work = [&slices, &webs, &recorders].into_iter().flatten();
        let last_work = work.map(|moment| moment.source.sendts).max().unwrap_or(0);
        let first_file = files.iter().filter_map(|file| {
            let at = file.recorded.slice_start_time.filter(|at| *at > 0)?;
            let source = file.named_by.first()?.clone();
            Some(Moment { at, source })
        });
        let started = [slices, webs, first_file.collect(), recorders]
            .into_iter()
            .find_map(|moments| moments.into_iter().min());
        let ended = [left, exits, uploads].into_iter().find_map(|moments| {
            let last = moments.into_iter().max()?;
            (last.at >= last_work).then_some(last)
        });
        Self { started, ended }
    }

    /// How long the recording took, in ms, where both ends are known.
    #[must_use]
    pub fn duration_ms(&self) -> Option<u64> {
        let (started, ended) = (self.started.as_ref()?, self.ended.as_ref()?);
        ended.at.checked_sub(started.at)
    }
}

/// A time that a callback tells; 0 is none.
fn moment(at: u64, callback: &StoredEvent) -> Option<Moment> {
    (at > 0).then(|| Moment {
        at,
        source: Source::of(callback),
    })
}
