//! The lanes of one recorder: its work with the interruptions, and its uploader with the progress.
//! Pure.

use super::{Curve, Drawing, Lane, LaneKind, lane_of};
use crate::event::Event;
use crate::report::{Entry, MAX_NAME, What, progress_words, words};
use crate::session::{Upload, UploadState};
use crate::text::{clean, clock};

impl Drawing<'_> {
    /// The callbacks of one recorder that belong to a kind of lane.
    fn of_recorder(&self, kind: LaneKind, index: usize, label: &str) -> (Lane, String) {
        let recorders = &self.record.watched.session.recorders;
        let uid = recorders
            .get(index)
            .map(|recorder| clean(&recorder.uid, MAX_NAME))
            .unwrap_or_default();
        let is_last = index + 1 == recorders.len();
        let is_known = |uid: &str| {
            let mut known = recorders.iter();
            known.any(|recorder| clean(&recorder.uid, MAX_NAME) == uid)
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

    pub(super) fn recorder(&mut self, index: usize) -> Lane {
        let (mut lane, uid) = self.of_recorder(LaneKind::Recorder, index, "recorder");
        let mut began = None;
        let mut left = None;
        let mut gaps = Vec::new();
        for (entry, event) in self.own_entries().filter(|(entry, _)| entry.uid == uid) {
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
                        gaps.push(self.span(stop, start, "gap", label, &entry.line.text));
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

    pub(super) fn open_end(&self) -> &'static str {
        if self.report.over.is_some() {
            "its end was never reported"
        } else {
            "no end was reported so far"
        }
    }

    pub(super) fn uploader(&mut self, index: usize) -> Lane {
        let (mut lane, uid) = self.of_recorder(LaneKind::Uploader, index, "uploader");
        let mut began = None;
        let (mut ended, mut confirmed, mut exit) = (None, None, None);
        for (entry, event) in self.own_entries().filter(|(entry, _)| entry.uid == uid) {
            match event {
                Event::UploaderStarted { .. } => began = began.or(Some(entry.at)),
                Event::SessionExit { .. } => exit = Some(entry.at),
                _ => {
                    let upload = uploads(entry, event);
                    let is_over = upload.as_ref().is_some_and(Upload::is_over);
                    ended = is_over.then_some(entry.at).or(ended);
                    let state = upload.map(|upload| upload.state());
                    confirmed = match state {
                        Some(UploadState::Confirmed) => Some(entry.at),
                        Some(_) => None,
                        None => confirmed,
                    };
                }
            }
        }
        let recorder = self.record.watched.session.recorders.get(index);
        let began = began.or(recorder.and_then(|recorder| recorder.since));
        let newest = recorder
            .and_then(|recorder| recorder.progress())
            .and_then(|heartbeat| {
                let progress = u64::try_from(heartbeat.value?).ok()?;
                Some((heartbeat.at, progress.min(10_000)))
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
            // Only what confirms the files says that all of it is uploaded.
            points.extend(confirmed.map(|at| (at, 10_000)));
            points.sort_unstable();
            let known = newest.map_or_else(
                || "no heartbeat came".to_owned(),
                |(at, progress)| {
                    let percent = progress_words(i64::try_from(progress).unwrap_or(0));
                    format!("newest heartbeat: {percent} at {} UTC", clock(at))
                },
            );
            lane.curve = (points.len() > 1).then(|| Curve {
                points,
                tip: format!(
                    "progress of the upload\n{known}\nThe table keeps the newest \
                              heartbeat only; before it the line is straight."
                ),
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
}

/// What a callback reports about the files.
fn uploads(entry: &Entry, event: &Event) -> Option<Upload> {
    match &entry.what {
        What::Callback {
            event_type, scene, ..
        } => words::upload(*event_type, scene.as_deref(), event),
        What::Heartbeat { .. } | What::Alert { .. } | What::Missing(_) => None,
    }
}
