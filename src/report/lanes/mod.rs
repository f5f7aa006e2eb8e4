//! A session as a picture: lanes of bars and marks on one time axis. Pure; knows times and
//! meanings, not pixels.
//!
//! Every callback that came is one mark in one lane. Bars say what lasted; where an end never came
//! they say so and stop where the recording does.

mod recorder;
mod streams;

use super::{Entry, Report, Tone, What};
use crate::event::{Event, Family, Meaning, Part, TroubleKind};
use crate::named::named;
use crate::record::Record;
use crate::session::Phase;
use crate::text::{clean, clock, duration, offset};

/// Times further than this from the middle of a session don't stretch its picture, in ms.
const MAX_REACH_MS: u64 = 30 * 24 * 60 * 60 * 1000;
/// A stream's own time counts only if it is this close to the callback's, in ms.
const MAX_SKEW_MS: u64 = 10 * 60 * 1000;
/// While a session runs the picture reaches this far beyond its newest callback, at most, in ms.
const AHEAD_MS: u64 = 10 * 60 * 1000;

named! {
    /// What a lane is about.
    pub enum LaneKind {
        /// The phases of the service.
        Service = "service",
        /// One recorder.
        Recorder = "recorder",
        /// One recorder's uploader.
        Uploader = "uploader",
        /// Errors and warnings.
        Errors = "errors",
        /// Alerts.
        Alerts = "alerts",
        /// Callbacks that never came.
        Missing = "missing",
        /// Files and everything else.
        Files = "files",
        /// One stream's audio and video.
        Stream = "stream",
    }
}

/// Something that lasted.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// From when, ms since the epoch.
    pub from: u64,
    /// Until when, ms since the epoch.
    pub to: u64,
    /// What it is, a word for style sheets.
    pub class: &'static str,
    /// What stands in the bar if there is room.
    pub label: String,
    /// The details, in lines.
    pub tip: String,
}

/// How a mark looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One of many.
    Tick,
    /// A step.
    Dot,
    /// A problem.
    Diamond,
    /// An alert.
    Bell,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// When, ms since the epoch.
    pub at: u64,
    /// How it looks.
    pub shape: Shape,
    /// How good it is.
    pub tone: Tone,
    /// What it is, a word for style sheets; of a stream's `audio` or `video`.
    pub class: &'static str,
    /// The details, in lines.
    pub tip: String,
    /// Its place in the report's timeline.
    pub place: usize,
}

/// The upload's progress as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Curve {
    /// Time, ms since the epoch, and 0 to 10,000.
    pub points: Vec<(u64, u64)>,
    /// What it shows.
    pub tip: String,
}

/// A lane.
#[derive(Clone, Debug, PartialEq)]
pub struct Lane {
    /// What it is about.
    pub kind: LaneKind,
    /// What stands before it.
    pub label: String,
    /// Bars; a stream's video bars are of class `video`, below its audio.
    pub spans: Vec<Span>,
    /// Marks.
    pub marks: Vec<Mark>,
    /// An uploader's progress.
    pub curve: Option<Curve>,
}

/// All lanes and the axis they share.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Where the axis begins, ms since the epoch.
    pub from: u64,
    /// Where it ends, later than `from`.
    pub to: u64,
    /// The lanes, from top to bottom.
    pub lanes: Vec<Lane>,
}

/// Draws a session.
#[must_use]
pub fn picture(report: &Report, record: &Record) -> Picture {
    let (from, to) = reach(report);
    let mut drawing = Drawing {
        report,
        record,
        end: report.over.unwrap_or(report.newest.clamp(from, to)),
        edge: to,
    };
    let mut lanes = vec![drawing.service()];
    for index in 0..record.watched.session.recorders.len() {
        lanes.push(drawing.recorder(index));
        lanes.push(drawing.uploader(index));
    }
    lanes.push(drawing.marks_of(LaneKind::Errors, "errors"));
    lanes.push(drawing.alerts());
    lanes.push(drawing.missing());
    lanes.push(drawing.marks_of(LaneKind::Files, "files, others"));
    lanes.extend(drawing.streams());
    let pad = (to - from) / 80 + 250;
    Picture {
        from: from.saturating_sub(pad),
        to: to.saturating_add(pad),
        lanes,
    }
}

/// From the first to the last thing that happened; while it runs a little beyond.
fn reach(report: &Report) -> (u64, u64) {
    let mut times: Vec<_> = report.timeline.iter().map(|entry| entry.at).collect();
    times.extend([report.began, report.newest].into_iter().chain(report.over));
    times.retain(|at| *at > 0);
    times.sort_unstable();
    let middle = times.get(times.len() / 2).copied().unwrap_or(report.now_ms);
    times.retain(|at| at.abs_diff(middle) < MAX_REACH_MS);
    let from = times.first().copied().unwrap_or(middle);
    let mut to = times.last().copied().unwrap_or(middle);
    if report.over.is_none() && report.now_ms > to {
        let ahead = AHEAD_MS.min((to - from) / 4 + 30_000);
        to = report.now_ms.min(to + ahead);
    }
    (from, to.max(from + 1000))
}

struct Drawing<'a> {
    report: &'a Report,
    record: &'a Record,
    /// Where bars end whose end never came: where the recording did, or where nothing is known any
    /// more.
    end: u64,
    /// The end of the axis.
    edge: u64,
}

/// The lane of a family; for a recorder's or an uploader's lane its uid decides.
fn lane_of(family: Family) -> LaneKind {
    match family {
        Family::Service => LaneKind::Service,
        Family::Errors => LaneKind::Errors,
        Family::Recorder => LaneKind::Recorder,
        Family::Uploader => LaneKind::Uploader,
        Family::Streams => LaneKind::Stream,
        Family::Files => LaneKind::Files,
    }
}

/// A callback, and what it says.
struct Said<'a> {
    /// Its place in the report's timeline.
    place: usize,
    entry: &'a Entry,
    event: &'a Event,
    meaning: Meaning<'a>,
}

impl Drawing<'_> {
    fn callbacks(&self) -> impl Iterator<Item = Said<'_>> {
        let entries = self.report.timeline.iter().enumerate();
        entries.filter_map(|(place, entry)| match &entry.what {
            What::Callback {
                event_type,
                scene,
                event,
                ..
            } => Some(Said {
                place,
                entry,
                event,
                meaning: event.meaning(*event_type, scene.as_deref()),
            }),
            What::Heartbeat { .. } | What::Alert { .. } | What::Missing(_) => None,
        })
    }

    /// Without those of a stage beside the recording, which say nothing about it.
    fn own_callbacks(&self) -> impl Iterator<Item = Said<'_>> {
        self.callbacks()
            .filter(|said| said.meaning.part != Part::Beside)
    }

    fn lane(&self, kind: LaneKind, label: &str) -> Lane {
        Lane {
            kind,
            label: label.to_owned(),
            spans: Vec::new(),
            marks: Vec::new(),
            curve: None,
        }
    }

    fn marks_of(&self, kind: LaneKind, label: &str) -> Lane {
        let said = self.callbacks();
        let said = said.filter(|said| lane_of(said.meaning.family) == kind);
        Lane {
            marks: said.map(|said| self.mark(said.place, said.entry)).collect(),
            ..self.lane(kind, label)
        }
    }

    fn mark(&self, place: usize, entry: &Entry) -> Mark {
        let shape = match (&entry.what, entry.line.tone) {
            (What::Alert { .. }, _) => Shape::Bell,
            (_, Tone::Quiet) => Shape::Tick,
            (_, Tone::Plain | Tone::Good) => Shape::Dot,
            (_, Tone::Warning | Tone::Bad) => Shape::Diamond,
        };
        Mark {
            at: entry.at,
            shape,
            tone: entry.line.tone,
            class: entry.what.as_str(),
            tip: self.tip(entry),
            place,
        }
    }

    fn tip(&self, entry: &Entry) -> String {
        let mut tip = format!(
            "{}\n{} UTC, {}",
            entry.text(),
            clock(entry.at),
            offset(entry.at, self.report.began)
        );
        match &entry.what {
            What::Callback {
                event_type,
                name,
                scene,
                ..
            } => {
                let scene = scene.as_ref();
                let scene = scene.map_or_else(String::new, |scene| format!(", scene {scene}"));
                tip.push_str(&format!(
                    "\nnumber {}, event {event_type} {name}, uid {}{scene}\n{}",
                    entry.sequence, entry.uid, entry.details
                ));
            }
            What::Heartbeat { .. } | What::Alert { .. } | What::Missing(_) => {
                if !entry.details.is_empty() {
                    tip.push_str(&format!("\n{}", entry.details));
                }
            }
        }
        tip
    }

    fn span(&self, from: u64, to: u64, class: &'static str, label: String, note: &str) -> Span {
        let to = to.max(from);
        let mut tip = format!(
            "{label}\n{} to {} UTC, {}",
            clock(from),
            clock(to),
            duration(to - from)
        );
        if !note.is_empty() {
            tip.push_str(&format!("\n{note}"));
        }
        Span {
            from,
            to,
            class,
            label,
            tip,
        }
    }

    /// What came while a newer recorder was at work changes nothing here, as in the session itself.
    fn service(&mut self) -> Lane {
        let recorders = &self.record.watched.session.recorders;
        let index_of = |uid: &str| {
            let mut uids = recorders
                .iter()
                .map(|recorder| clean(&recorder.uid, super::MAX_NAME));
            uids.position(|known| known == uid)
        };
        let mut newest = 0;
        let mut phases: Vec<(u64, Phase)> = Vec::new();
        for Said { entry, meaning, .. } in self.own_callbacks() {
            let index = index_of(&entry.uid).unwrap_or(newest);
            if index < newest {
                continue;
            }
            newest = index;
            let trouble = meaning.trouble.map(|trouble| trouble.kind);
            let told = if trouble == Some(TroubleKind::Failover) {
                newest += 1;
                Some(Phase::Starting)
            } else {
                meaning.phase
            };
            if let Some(phase) = told
                && phases.last().is_none_or(|(_, last)| *last != phase)
            {
                phases.push((entry.at, phase));
            }
        }
        let mut lane = self.marks_of(LaneKind::Service, "service");
        let ends = phases.iter().skip(1).map(|(at, _)| Some(*at)).chain([None]);
        for ((from, phase), next) in phases.iter().zip(ends) {
            let class = phase.as_str();
            let is_end = matches!(phase, Phase::Ended);
            match next {
                // The end lasts for ever; its mark says it.
                None if is_end => {}
                None if self.report.over.is_none() => {
                    let newest = self.end.max(*from);
                    let note = "ongoing, as far as we know";
                    let span = self.span(*from, newest, class, class.to_owned(), note);
                    lane.spans.push(span);
                    let silence = self.report.now_ms.saturating_sub(newest);
                    let label = format!("nothing came since, for {}", duration(silence));
                    lane.spans
                        .push(self.span(newest, self.edge, "unheard", label, ""));
                }
                next => {
                    let to = next.unwrap_or(self.end.max(self.report.newest));
                    lane.spans
                        .push(self.span(*from, to, class, class.to_owned(), ""));
                }
            }
        }
        lane
    }

    fn alerts(&self) -> Lane {
        let mut lane = self.lane(LaneKind::Alerts, "alerts");
        for place in &self.report.alerts {
            if let Some(entry) = self.report.timeline.get(*place) {
                lane.marks.push(self.mark(*place, entry));
            }
        }
        lane
    }

    fn missing(&self) -> Lane {
        let mut lane = self.lane(LaneKind::Missing, "missing");
        for (place, entry) in self.report.timeline.iter().enumerate() {
            if let What::Missing(hole) = &entry.what {
                if let (Some(after), Some(before)) = (hole.after, hole.before) {
                    let label = hole.numbers();
                    let span = self.span(after, before, "hole", label, &hole.meaning);
                    lane.spans.push(span);
                }
                lane.marks.push(self.mark(place, entry));
            }
        }
        lane
    }
}
