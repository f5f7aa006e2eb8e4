//! The files of a recording, from its callbacks: which there are, which one to play, when the
//! recording began and ended. Pure.
//!
//! Several callbacks speak of one file, each with some of what is known about it; for each field
//! the newest that says something counts. So the same callbacks make the same list, in any order
//! and however often they came. Snapshots (45) are only counted: there may be one a second.
//!
//! Must not know: the table, who reads the list, whether the files are confirmed.

mod bucket;
mod covered;
mod json;
mod span;

pub use bucket::{Bucket, IllegalBucket};
pub use covered::covered;
pub use span::{Moment, Source, Span};

use crate::event::{Event, FileFormat, NamedFiles, RecordedFile, TrackType};
use crate::record::StoredEvent;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// The files of a recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileList {
    /// Each file once, by key.
    pub files: Vec<File>,
    /// How many snapshots were taken.
    pub snapshots: usize,
    /// When the recording began and ended.
    pub span: Span,
}

/// True for a list of slices by its name.
fn is_playlist(name: &str) -> bool {
    name.ends_with(".m3u8") || name.ends_with(".mpd")
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// What the callbacks say about it; its name is its key in the storage.
    pub recorded: RecordedFile,
    /// The callbacks that named it, oldest first.
    pub named_by: BTreeSet<Source>,
}

impl File {
    /// Its key in the storage: Agora tells it with its folders.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.recorded.file_name
    }

    /// What to prefer for playing: what can be played already, an MP4, what the first recorder
    /// made, all streams in one, sound and picture, the earliest.
    fn rank(&self) -> impl Ord {
        let file = &self.recorded;
        let tracks = match file.track_type {
            Some(TrackType::AudioAndVideo) => 0,
            None | Some(TrackType::Other(_)) => 1,
            Some(TrackType::Video) => 2,
            Some(TrackType::Audio) => 3,
        };
        (
            file.is_playable == Some(false),
            file.format(),
            file.is_of_replacement(),
            Reverse(file.is_of_all_users()),
            tracks,
            file.slice_start_time.unwrap_or(u64::MAX),
            self.key().to_owned(),
        )
    }
}

impl FileList {
    /// The files that `callbacks` speak of.
    #[must_use]
    pub fn of(callbacks: &[StoredEvent]) -> Self {
        // One that came twice counts once.
        let read: BTreeMap<_, _> = callbacks
            .iter()
            .map(|callback| (callback.fact.as_str(), (callback, callback.event())))
            .collect();
        let mut named = Vec::new();
        let mut snapshots = 0;
        for (callback, event) in read.values() {
            snapshots += usize::from(matches!(event, Event::RecorderSnapshotFile { .. }));
            let source = Source::of(callback);
            let files = callback.meaning(event).files.map(NamedFiles::list);
            let files = files.into_iter().flatten();
            named.extend(files.map(|file| (file.clone(), source.clone())));
        }
        // By name, then by age: what is newer is laid over what is older.
        named.sort_by(|(one, by), (other, other_by)| {
            (&one.file_name, by, one).cmp(&(&other.file_name, other_by, other))
        });
        let mut files: Vec<File> = Vec::new();
        for (recorded, by) in named {
            match files
                .last_mut()
                .filter(|file| file.key() == recorded.file_name)
            {
                Some(file) => {
                    lay_over(&mut file.recorded, recorded);
                    file.named_by.insert(by);
                }
                None => files.push(File {
                    recorded,
                    named_by: [by].into(),
                }),
            }
        }
        let span = Span::of(
            read.values().map(|(callback, event)| (*callback, event)),
            &files,
        );
        Self {
            files,
            snapshots,
            span,
        }
    }

    /// The file to play: the MP4 where there is one, else the M3U8.
    #[must_use]
    pub fn playback(&self) -> Option<&File> {
        let playable = self
            .files
            .iter()
            .filter(|file| match file.recorded.format() {
                FileFormat::Mp4 | FileFormat::M3u8 => true,
                FileFormat::Other => false,
            });
        playable.min_by_key(|file| file.rank())
    }
}

/// Takes over what a newer callback says about a file.
fn lay_over(older: &mut RecordedFile, newer: RecordedFile) {
    let RecordedFile {
        file_name: _,
        track_type,
        uid,
        mixed_all_user,
        is_playable,
        slice_start_time,
    } = newer;
    older.track_type = track_type.or(older.track_type.take());
    older.uid = uid.or(older.uid.take());
    older.mixed_all_user = mixed_all_user.or(older.mixed_all_user);
    older.is_playable = is_playable.or(older.is_playable);
    older.slice_start_time = slice_start_time.or(older.slice_start_time);
}

#[cfg(test)]
mod tests;
