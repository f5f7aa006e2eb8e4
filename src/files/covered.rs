//! Which recorders' files another recorder's report confirms: after a failover the upload of all
//! may be reported once. Pure.

use super::is_playlist;
use crate::event::{Event, NamedFiles, Part, UploadState};
use crate::record::StoredEvent;
use crate::session::Session;
use std::collections::{BTreeMap, BTreeSet};

/// The recorders whose files a later 31 of another recorder confirms: it names every playlist that
/// they spoke of (4), or, where they spoke of none, one of theirs by its prefix.
#[must_use]
pub fn covered(session: &Session, callbacks: &[StoredEvent]) -> BTreeSet<String> {
    let mut playlists: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut reports = Vec::new();
    for callback in callbacks {
        let event = callback.event();
        let meaning = callback.meaning(&event);
        if meaning.part != Part::Recording {
            continue;
        }
        let files = meaning.files.map(NamedFiles::list).unwrap_or_default();
        let names: BTreeSet<_> = files
            .into_iter()
            .map(|file| file.file_name.clone())
            .collect();
        if matches!(event, Event::CloudRecordingFileInfos { .. }) {
            playlists.entry(&callback.uid).or_default().extend(names);
        } else if meaning
            .upload
            .is_some_and(|upload| upload.state() == UploadState::Confirmed)
        {
            reports.push((callback, names));
        }
    }
    let confirms = |uid: &str| {
        let recorder = session.recorders.iter().find(|one| one.uid == uid);
        recorder.is_some_and(|one| one.upload_state() == UploadState::Confirmed)
    };
    let recorders = session.recorders.iter().enumerate();
    let covered = recorders.filter(|(index, recorder)| {
        let newest = recorder.newest_upload().map_or(0, |upload| upload.at);
        let since = newest.max(recorder.recorded_at());
        let generation = session.generation_of(*index);
        let named = playlists
            .get(recorder.uid.as_str())
            .filter(|named| !named.is_empty());
        let names_them = |names: &BTreeSet<String>| match named {
            Some(named) => named.is_subset(names),
            None => names
                .iter()
                .any(|name| is_playlist(name) && generation_of(name) == generation),
        };
        reports.iter().any(|(callback, names)| {
            callback.uid != recorder.uid
                && callback.sendts > since
                && confirms(&callback.uid)
                && names_them(names)
        })
    });
    covered.map(|(_, recorder)| recorder.uid.clone()).collect()
}

/// Whose file it is, by its name without the folder: that of the first recorder has no prefix,
/// those of its replacements `bak0_`, `bak1_` and so on.
fn generation_of(name: &str) -> u64 {
    let name = name.rsplit('/').next().unwrap_or_default();
    let number = name
        .strip_prefix("bak")
        .and_then(|rest| rest.split_once('_'));
    number
        .and_then(|(number, _)| number.parse::<u64>().ok())
        .map_or(0, |number| number + 1)
}
