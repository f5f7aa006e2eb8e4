//! Files as JSON, for programs: the same in reports and in notices. Pure.
//!
//! Every field is always there; what isn't known is `null`.

use super::{Bucket, File, FileList, Moment, Source};
use crate::event::TrackType;
use serde_json::{Value, json};

impl File {
    /// The file; with its address where the bucket is known.
    #[must_use]
    pub fn json(&self, bucket: Option<&Bucket>) -> Value {
        let file = &self.recorded;
        json!({
            "key": self.key(),
            "uri": bucket.map(|bucket| bucket.uri(self.key())),
            "format": file.format().as_str(),
            "trackType": file.track_type.as_ref().map(TrackType::as_str),
            "uid": file.uid,
            "mixedAllUser": file.mixed_all_user,
            "isPlayable": file.is_playable,
            "sliceStartTime": file.slice_start_time,
        })
    }
}

impl FileList {
    /// Everything about the files, and the callbacks that it was taken from.
    #[must_use]
    pub fn json(&self, bucket: Option<&Bucket>) -> Value {
        let files = self.files.iter().map(|file| {
            let mut json = file.json(bucket);
            if let Some(json) = json.as_object_mut() {
                let named_by = file.named_by.iter().map(source_json).collect();
                json.insert("namedBy".to_owned(), named_by);
            }
            json
        });
        let says = |moment: &Option<Moment>| moment.as_ref().map(|it| source_json(&it.source));
        let at = |moment: &Option<Moment>| moment.as_ref().map(|it| it.at);
        json!({
            "files": files.collect::<Vec<_>>(),
            "playback": self.playback().map(|file| file.json(bucket)),
            "snapshots": self.snapshots,
            "startedAt": at(&self.span.started),
            "startedBy": says(&self.span.started),
            "endedAt": at(&self.span.ended),
            "endedBy": says(&self.span.ended),
            "durationMs": self.span.duration_ms(),
        })
    }
}

fn source_json(source: &Source) -> Value {
    json!({
        "eventType": source.event_type,
        "sequence": source.sequence,
        "uid": source.uid,
        "at": source.sendts,
    })
}
