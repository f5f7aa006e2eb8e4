//! The files of a recording, a line each. Pure.

use super::Line;
use crate::files::FileList;
use crate::record::Record;
use crate::text::{clean, duration};

/// A key is cut to this many characters; S3 takes no longer ones.
const MAX_KEY: usize = 1024;

/// Each file that the callbacks speak of, the one to play first. Nothing here says where it is.
pub(super) fn keys(record: &Record) -> Vec<Line> {
    let list = FileList::of(&record.events);
    let playback = list.playback();
    let others = list.files.iter().filter(|file| Some(*file) != playback);
    let others = others.map(|file| Line::plain(clean(file.key(), MAX_KEY)));
    let first = playback.map(|file| {
        let lasted = list.span.duration_ms().map(duration);
        let lasted = lasted.map_or_else(String::new, |lasted| format!(", {lasted}"));
        Line::plain(format!("{} (to play{lasted})", clean(file.key(), MAX_KEY)))
    });
    first.into_iter().chain(others).collect()
}
