//! A session as a picture: lanes of bars and marks on one time axis. Pure; knows times and meanings, not pixels.
//!
//! Every callback that came is one mark in one lane. Bars say what lasted; where an end never came they say so and stop where
//! the recording does.

use super::{Entry, Record, Report, Tone, What, clock, duration, offset, words};
use crate::alert::clean;
use crate::event::{Event, Stream, StreamState};
use crate::session::{Phase, RegisterName};
use std::collections::BTreeMap;

/// Times further than this from the middle of a session don't stretch its picture, in ms.
const MAX_REACH_MS: u64 = 30 * 24 * 60 * 60 * 1000;
/// A stream's own time counts only if it is this close to the callback's, in ms.
const MAX_SKEW_MS: u64 = 10 * 60 * 1000;
/// While a session runs the picture reaches this far beyond its newest callback, at most, in ms.
const AHEAD_MS: u64 = 10 * 60 * 1000;

/// What a lane is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneKind {
    /// The phases of the service.
    Service,
    /// One recorder.
    Recorder,
    /// One recorder's uploader.
    Uploader,
    /// Errors and warnings.
    Errors,
    /// Alerts.
    Alerts,
    /// Callbacks that never came.
    Missing,
    /// Files and everything else.
    Files,
    /// One stream's audio and video.
    Stream,
}

impl LaneKind {
    /// A word for programs and style sheets.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Recorder => "recorder",
            Self::Uploader => "uploader",
            Self::Errors => "errors",
            Self::Alerts => "alerts",
            Self::Missing => "missing",
            Self::Files => "files",
            Self::Stream => "stream",
        }
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
    /// Where bars end whose end never came: where the recording did, or where nothing is known any more.
    end: u64,
    /// The end of the axis.
    edge: u64,
}

/// The lane of an event; for a recorder's or an uploader's lane its uid decides.
fn lane_of(event: &Event) -> LaneKind {
    match event {
        Event::CloudRecordingError { .. } | Event::CloudRecordingWarning { .. } => LaneKind::Errors,
        Event::CloudRecordingStatusUpdate { .. }
        | Event::SessionExit { .. }
        | Event::SessionFailover { .. }
        | Event::HighAvailabilityRegistered => LaneKind::Service,
        Event::UploaderStarted { .. }
        | Event::Uploaded { .. }
        | Event::Backuped { .. }
        | Event::UploadingProgress { .. }
        | Event::StorageTokenExpired => LaneKind::Uploader,
        Event::RecorderStarted { .. }
        | Event::RecorderLeave { .. }
        | Event::RecorderSliceStart { .. }
        | Event::RecorderAudioInfoChanged
        | Event::RecorderVideoInfoChanged
        | Event::WebRecorderStarted { .. }
        | Event::WebRecorderStopped { .. }
        | Event::WebRecorderCapabilityLimit { .. }
        | Event::WebRecorderReload { .. } => LaneKind::Recorder,
        Event::StreamStateChanged { .. } => LaneKind::Stream,
        Event::CloudRecordingFileInfos { .. }
        | Event::RecorderSnapshotFile { .. }
        | Event::VodStarted { .. }
        | Event::VodTriggered
        | Event::TranscoderStarted
        | Event::TranscoderCompleted { .. }
        | Event::DownloadFailed { .. }
        | Event::RtmpPublishStatus { .. }
        | Event::CloudTranscoder { .. }
        | Event::PostponeTranscodeFinalResult { .. }
        | Event::Other { .. } => LaneKind::Files,
    }
}

impl Drawing<'_> {
    fn entries(&self) -> impl Iterator<Item = (usize, &Entry, &Event)> {
        let entries = self.report.timeline.iter().enumerate();
        entries.filter_map(|(place, entry)| match &entry.what {
            What::Callback { event, .. } => Some((place, entry, event)),
            What::Heartbeat { .. } | What::Alert { .. } | What::Missing(_) => None,
        })
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
        let marks = self
            .entries()
            .filter(|(_, _, event)| lane_of(event) == kind);
        Lane {
            marks: marks
                .map(|(place, entry, _)| self.mark(place, entry))
                .collect(),
            ..self.lane(kind, label)
        }
    }

    fn mark(&self, place: usize, entry: &Entry) -> Mark {
        let shape = match (&entry.what, entry.tone) {
            (What::Alert { .. }, _) => Shape::Bell,
            (_, Tone::Quiet) => Shape::Tick,
            (_, Tone::Plain | Tone::Good) => Shape::Dot,
            (_, Tone::Warning | Tone::Bad) => Shape::Diamond,
        };
        Mark {
            at: entry.at,
            shape,
            tone: entry.tone,
            class: entry.what.as_str(),
            tip: self.tip(entry),
            place,
        }
    }

    fn tip(&self, entry: &Entry) -> String {
        let mut tip = format!(
            "{}\n{} UTC, {}",
            entry.text,
            clock(entry.at),
            offset(entry.at, self.report.began)
        );
        match &entry.what {
            What::Callback {
                event_type, name, ..
            } => {
                tip.push_str(&format!(
                    "\nnumber {}, event {event_type} {name}, uid {}\n{}",
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
        for (_, entry, event) in self.entries() {
            let index = index_of(&entry.uid).unwrap_or(newest);
            if index < newest {
                continue;
            }
            newest = index;
            let announced = matches!(event, Event::SessionFailover { .. });
            let told = if announced {
                newest += 1;
                Some(Phase::Starting)
            } else {
                crate::session::phase(event)
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
                    let note = "still so, as far as it is known";
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

    /// The callbacks of one recorder that belong to a kind of lane.
    fn of_recorder(&self, kind: LaneKind, index: usize, label: &str) -> (Lane, String) {
        let recorders = &self.record.watched.session.recorders;
        let uid = recorders
            .get(index)
            .map(|recorder| clean(&recorder.uid, super::MAX_NAME))
            .unwrap_or_default();
        let is_last = index + 1 == recorders.len();
        let is_known = |uid: &str| {
            let mut known = recorders.iter();
            known.any(|recorder| clean(&recorder.uid, super::MAX_NAME) == uid)
        };
        let label = if recorders.len() > 1 {
            format!("{label} {uid}")
        } else {
            label.to_owned()
        };
        let mut lane = self.lane(kind, &label);
        for (place, entry, event) in self.entries() {
            let is_ours = entry.uid == uid || (is_last && !is_known(&entry.uid));
            if is_ours && lane_of(event) == kind {
                lane.marks.push(self.mark(place, entry));
            }
        }
        (lane, uid)
    }

    fn recorder(&mut self, index: usize) -> Lane {
        let (mut lane, uid) = self.of_recorder(LaneKind::Recorder, index, "recorder");
        let mut began = None;
        let mut left = None;
        let mut gaps = Vec::new();
        for (_, entry, event) in self.entries().filter(|(_, entry, _)| entry.uid == uid) {
            match event {
                Event::RecorderStarted { .. } | Event::WebRecorderStarted { .. } => {
                    began = began.or(Some(entry.at));
                }
                Event::RecorderLeave { .. }
                | Event::WebRecorderStopped { .. }
                | Event::WebRecorderCapabilityLimit { .. } => left = Some((entry.at, "")),
                Event::SessionExit { .. } => {
                    left = left.or(Some((entry.at, "ended with the service's exit")));
                }
                _ => {
                    if let Some((stop, start)) = words::interruption(event) {
                        let label = "interrupted".to_owned();
                        gaps.push(self.span(stop, start, "gap", label, &entry.text));
                    }
                }
            }
        }
        let recorder = self.record.watched.session.recorders.get(index);
        let began = began.or(recorder.and_then(|recorder| recorder.since));
        if let Some(began) = began {
            let (to, note) = left.unwrap_or((self.end_of(index), self.open_end()));
            let label = format!("recorder {uid}");
            lane.spans.push(self.span(began, to, "work", label, note));
        }
        lane.spans.extend(gaps);
        lane
    }

    /// When a recorder whose end never came was replaced, or else when everything ended.
    fn end_of(&self, index: usize) -> u64 {
        let next = self.record.watched.session.recorders.get(index + 1);
        next.and_then(|next| next.announced_at.or(next.since))
            .map_or(self.end, |at| at.min(self.end))
    }

    fn open_end(&self) -> &'static str {
        if self.report.over.is_some() {
            "its end was never reported"
        } else {
            "no end was reported so far"
        }
    }

    fn uploader(&mut self, index: usize) -> Lane {
        let (mut lane, uid) = self.of_recorder(LaneKind::Uploader, index, "uploader");
        let mut began = None;
        let (mut ended, mut exit) = (None, None);
        for (_, entry, event) in self.entries().filter(|(_, entry, _)| entry.uid == uid) {
            match event {
                Event::UploaderStarted { .. } => began = began.or(Some(entry.at)),
                Event::Uploaded { .. } | Event::Backuped { .. } => ended = Some(entry.at),
                Event::SessionExit { .. } => exit = Some(entry.at),
                _ => {}
            }
        }
        let recorder = self.record.watched.session.recorders.get(index);
        let began = began.or(recorder.and_then(|recorder| recorder.since));
        let newest = recorder
            .and_then(|recorder| recorder.registers.get(&RegisterName::Progress))
            .and_then(|register| {
                let progress = super::int_in(register, "progress")?;
                Some((register.at, u64::try_from(progress).ok()?.min(10_000)))
            });
        if let Some(began) = began {
            let note = if ended.is_some() { "" } else { self.open_end() };
            let end = self.end_of(index);
            // After the exit of the last one the upload goes on.
            let replaced = exit.filter(|_| end < self.end);
            let to = ended.or(replaced).unwrap_or(end);
            let label = "uploader".to_owned();
            lane.spans.push(self.span(began, to, "upload", label, note));
            let mut points = vec![(began, 0)];
            points.extend(newest);
            points.extend(ended.map(|at| (at, 10_000)));
            points.sort_unstable();
            let known = newest.map_or_else(
                || "no heartbeat came".to_owned(),
                |(at, progress)| {
                    let percent = super::progress_words(i64::try_from(progress).unwrap_or(0));
                    format!("newest heartbeat: {percent} at {} UTC", clock(at))
                },
            );
            lane.curve = (points.len() > 1).then(|| Curve {
                points,
                tip: format!("progress of the upload\n{known}\nThe table keeps the newest heartbeat only; before it the line is straight."),
            });
        }
        // The newest heartbeat is a mark like any other.
        for (place, entry) in self.report.timeline.iter().enumerate() {
            if entry.uid == uid && matches!(entry.what, What::Heartbeat { .. }) {
                lane.marks.push(self.mark(place, entry));
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

    /// A lane a stream, in the order in which they came.
    fn streams(&self) -> Vec<Lane> {
        let mut order: Vec<&str> = Vec::new();
        let mut lanes: BTreeMap<&str, Lane> = BTreeMap::new();
        let mut open: BTreeMap<(&str, bool), u64> = BTreeMap::new();
        for (place, entry, event) in self.entries() {
            let Event::StreamStateChanged {
                stream,
                stream_uid,
                state,
                utc_ms,
            } = event
            else {
                continue;
            };
            let uid = stream_uid.as_deref().unwrap_or_default();
            let lane = lanes.entry(uid).or_insert_with(|| {
                order.push(uid);
                self.lane(
                    LaneKind::Stream,
                    &words::stream_words(stream_uid.as_deref()),
                )
            });
            let at = utc_ms
                .filter(|at| at.abs_diff(entry.at) < MAX_SKEW_MS)
                .unwrap_or(entry.at);
            let is_video = *stream == Stream::Video;
            match *state {
                Some(StreamState::RECEIVING) => {
                    open.entry((uid, is_video)).or_insert(at);
                }
                Some(StreamState::NOT_RECEIVING) => {
                    let from = open.remove(&(uid, is_video));
                    let note = if from.is_some() {
                        ""
                    } else {
                        "its beginning never came"
                    };
                    let from = from.unwrap_or(self.report.began.min(at));
                    lane.spans.push(self.stream_span(from, at, is_video, note));
                }
                Some(StreamState(_)) | None => {}
            }
            let mut mark = self.mark(place, entry);
            mark.at = at;
            mark.class = if is_video { "video" } else { "audio" };
            lane.marks.push(mark);
        }
        for ((uid, is_video), from) in open {
            if let Some(lane) = lanes.get_mut(uid) {
                lane.spans
                    .push(self.stream_span(from, self.end, is_video, self.open_end()));
            }
        }
        for (_, entry, event) in self.entries() {
            if let (Some((stop, start)), Event::RecorderSliceStart { stream_uid, .. }) =
                (words::interruption(event), event)
                && let Some(lane) = lanes.get_mut(stream_uid.as_deref().unwrap_or_default())
            {
                let label = "interrupted".to_owned();
                lane.spans
                    .push(self.span(stop, start, "gap", label, &entry.text));
            }
        }
        order
            .into_iter()
            .filter_map(|uid| lanes.remove(uid))
            .collect()
    }

    fn stream_span(&self, from: u64, to: u64, is_video: bool, note: &str) -> Span {
        let class = if is_video { "video" } else { "audio" };
        self.span(from, to, class, class.to_owned(), note)
    }
}
