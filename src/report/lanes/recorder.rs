//! The lanes of one recorder: its work with the interruptions, and its uploader with the progress.
//! Pure.

use super::{Curve, Drawing, Lane, LaneKind, lane_of};
use crate::event::{Sign, UploadState};
use crate::report::{MAX_NAME, What, progress_words};
use crate::session::Recorder;
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
        for said in self.callbacks() {
            let is_ours = said.entry.uid == uid || (is_last && !is_known(&said.entry.uid));
            if is_ours && lane_of(said.meaning.family) == kind {
                lane.marks.push(self.mark(said.place, said.entry));
            }
        }
        (lane, uid)
    }

    pub(super) fn recorder(&mut self, index: usize) -> Lane {
        let (mut lane, uid) = self.of_recorder(LaneKind::Recorder, index, "recorder");
        let mut began = None;
        let mut left = None;
        let mut gaps = Vec::new();
        for said in self.own_callbacks().filter(|said| said.entry.uid == uid) {
            let (entry, meaning) = (said.entry, &said.meaning);
            match meaning.work {
                Some(work) if work.is_over() => left = Some((entry.at, "")),
                Some(_) => began = began.or(Some(entry.at)),
                None if meaning.sign == Some(Sign::Exited) => {
                    left = left.or(Some((entry.at, "ended with the service's exit")));
                }
                None => {}
            }
            if let Some((stop, start)) = said.event.interruption() {
                let label = "interrupted".to_owned();
                gaps.push(self.span(stop, start, "gap", label, &entry.line.text));
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
        let session = &self.record.watched.session;
        let is_replaced = session.at_work() > Some(index);
        let next = session.recorders.get(index + 1).filter(|_| is_replaced);
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
        let (mut ended, mut exit) = (None, None);
        for said in self.own_callbacks().filter(|said| said.entry.uid == uid) {
            let at = said.entry.at;
            match said.meaning.upload {
                Some(upload) if upload.is_over() => ended = Some(at),
                Some(_) => began = began.or(Some(at)),
                None if said.meaning.sign == Some(Sign::Exited) => exit = Some(at),
                None => {}
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
            let upload = recorder.and_then(Recorder::upload);
            let confirmed = upload.filter(|it| it.value.state() == UploadState::Confirmed);
            points.extend(confirmed.map(|upload| (upload.at, 10_000)));
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
