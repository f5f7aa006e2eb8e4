//! A lane a stream: when its audio and its video were received. Pure.

use super::{Drawing, Lane, LaneKind, MAX_SKEW_MS, Said, Span};
use crate::event::{Event, Stream, StreamState};
use crate::report::words;
use std::collections::BTreeMap;

impl Drawing<'_> {
    /// A lane a stream, in the order in which they came.
    pub(super) fn streams(&self) -> Vec<Lane> {
        let mut order: Vec<&str> = Vec::new();
        let mut lanes: BTreeMap<&str, Lane> = BTreeMap::new();
        let mut open: BTreeMap<(&str, bool), u64> = BTreeMap::new();
        for said in self.callbacks() {
            let Said {
                place,
                entry,
                event,
                ..
            } = said;
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
        for Said { entry, event, .. } in self.callbacks() {
            if let (Some((stop, start)), Event::RecorderSliceStart { stream_uid, .. }) =
                (event.interruption(), event)
                && let Some(lane) = lanes.get_mut(stream_uid.as_deref().unwrap_or_default())
            {
                let label = "interrupted".to_owned();
                lane.spans
                    .push(self.span(stop, start, "gap", label, &entry.line.text));
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
