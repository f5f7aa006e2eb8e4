//! What an event means, in a line for a person. Pure.
//!
//! A line speaks about its own callback only: whether a recording ended as it should, and what
//! became of its files, is for the whole session to say. So no line is green but that of a
//! confirmation.

use super::{Line, MAX_NAME};
use crate::event::{
    ComponentStatus, ErrorLevel, Event, EventType, LeaveCode, LeaveReason, LeaveStatus, Module,
    PushStatus, RecordedFile, RtmpUrl, ServiceStatus, Stat, Stream, StreamState, TrackType,
    TranscodeResult, TranscodedUser, UploadingStatus, WebStopCode, error_meaning, hide_stream_keys,
    warning_meaning, word_meaning,
};
use crate::session::{Upload, UploadState};
use crate::text::{clean, duration};

/// A text of Agora's is cut to this many characters.
const MAX_TEXT: usize = 300;
/// What a confirmation without files says, and no more.
pub(super) const NAMES_NO_FILE: &str = "Agora reports the upload as complete and names no file";
const UNDOCUMENTED: &str = "a code Agora doesn't document";

/// What happened. `scene` is the callback's `serviceScene`.
#[must_use]
pub(super) fn event_line(event_type: u32, scene: Option<&str>, event: &Event) -> Line {
    match event {
        Event::CloudRecordingError {
            module,
            error_level,
            error_code,
            stat,
            error_msg,
        } => error(*module, *error_level, *error_code, *stat, error_msg),
        Event::CloudRecordingWarning { module, warn_code } => warning(*module, *warn_code),
        Event::CloudRecordingStatusUpdate { status, .. } => service_status(*status),
        Event::CloudRecordingFileInfos { file_list } => {
            Line::plain(format!("playlist {}", files(file_list)))
        }
        Event::SessionExit { leave_status } => session_exit(*leave_status),
        Event::SessionFailover { new_uid } => Line::warning(format!(
            "failover: another recorder takes over, uid {}",
            outside(new_uid.as_deref())
        )),
        Event::UploaderStarted { status } => started("uploader", *status),
        Event::Uploaded { file_list, .. } | Event::Backuped { file_list, .. } => {
            files_reported(event.meaning(event_type, scene).upload, file_list)
        }
        Event::UploadingProgress { progress } => Line::quiet(progress.map_or_else(
            || "heartbeat, its progress unreadable".to_owned(),
            |progress| format!("heartbeat: {} uploaded", super::progress_words(progress)),
        )),
        Event::StorageTokenExpired => Line::bad(
            "the storage credentials have EXPIRED: nothing is uploaded until they are updated",
        ),
        Event::RecorderStarted { status } => started("recorder", *status),
        Event::RecorderLeave { leave_code } => recorder_leave(*leave_code),
        Event::RecorderSliceStart { .. } => slice_start(event),
        Event::StreamStateChanged {
            stream,
            stream_uid,
            state,
            ..
        } => stream_state(*stream, stream_uid.as_deref(), *state),
        Event::RecorderSnapshotFile { file_name } => {
            Line::quiet(format!("snapshot {}", outside(file_name.as_deref())))
        }
        Event::VodStarted { video_id } => Line::plain(format!(
            "the upload to video on demand started, {}",
            outside(video_id.as_deref())
        )),
        Event::VodTriggered => Line::good("all files are in video on demand"),
        Event::WebRecorderStarted { .. } => Line::plain("the web page recorder started"),
        Event::WebRecorderStopped { code, reason, .. } => web_stop(*code, reason.as_deref()),
        Event::WebRecorderCapabilityLimit { limit_type } => Line::bad(format!(
            "the web page recorder stopped: the page asks for too much ({})",
            outside(
                limit_type
                    .as_deref()
                    .map(|word| word_meaning(word).unwrap_or(word))
            )
        )),
        Event::WebRecorderReload { reason } => Line::warning(format!(
            "the page was loaded again ({})",
            outside(
                reason
                    .as_deref()
                    .map(|word| word_meaning(word).unwrap_or(word))
            )
        )),
        Event::TranscoderStarted => Line::plain("postponed transcoding started"),
        Event::TranscoderCompleted { result, uids } => {
            transcoded("postponed transcoding", result.as_ref(), uids)
        }
        Event::PostponeTranscodeFinalResult { result, .. } => {
            transcoded("postponed transcoding, finally", result.as_ref(), &[])
        }
        Event::DownloadFailed {
            bucket, file_names, ..
        } => download_failed(bucket.as_deref(), file_names),
        Event::RtmpPublishStatus { rtmp_url, status } => push(rtmp_url.as_ref(), status.as_ref()),
        Event::HighAvailabilityRegistered
        | Event::RecorderAudioInfoChanged
        | Event::RecorderVideoInfoChanged
        | Event::CloudTranscoder { .. } => {
            Line::quiet(EventType(event_type).name().replace('_', " "))
        }
        Event::Other => Line::plain(format!("event {event_type}, which Agora doesn't document")),
    }
}

fn error(
    module: Option<Module>,
    level: Option<ErrorLevel>,
    code: Option<i64>,
    stat: Option<Stat>,
    message: &Option<String>,
) -> Line {
    let is_fatal = level.is_some_and(ErrorLevel::is_fatal);
    let level = level.map_or_else(String::new, |level| match level.meaning() {
        Some(word) => format!(", {word}"),
        None => format!(" of level {}", level.0),
    });
    let message = message.as_deref().filter(|text| !text.is_empty());
    let message = message.map_or_else(String::new, |text| {
        format!("; Agora says: {}", outside(Some(text)))
    });
    let text = format!(
        "error {}{}{level}: {}{message}",
        code_words(code),
        Module::place(module),
        error_meaning(module, code, stat)
    );
    if is_fatal {
        Line::bad(text)
    } else {
        Line::warning(text)
    }
}

fn warning(module: Option<Module>, code: Option<i64>) -> Line {
    let meaning = code.and_then(|code| warning_meaning(module, code));
    Line::warning(format!(
        "warning {}{}: {}",
        code_words(code),
        Module::place(module),
        meaning.unwrap_or(UNDOCUMENTED)
    ))
}

fn service_status(status: Option<ServiceStatus>) -> Line {
    match status {
        Some(ServiceStatus::ABNORMAL_EXIT) => {
            Line::bad(format!("service status {}", ServiceStatus::ABNORMAL_EXIT))
        }
        Some(status) => Line::plain(format!("service status {status}")),
        None => Line::plain("service status, unreadable"),
    }
}

fn session_exit(status: Option<LeaveStatus>) -> Line {
    match status {
        Some(status) if status.is_abnormal() => Line::bad(format!(
            "the service exited ABNORMALLY, exit status {}",
            status.0
        )),
        Some(status) => Line::plain(format!("the service exited, exit status {}", status.0)),
        None => Line::warning("the service exited; its exit status is unreadable"),
    }
}

fn started(what: &str, status: Option<ComponentStatus>) -> Line {
    match status.filter(|status| status.is_abnormal()) {
        Some(status) => Line::bad(format!("the {what} did not start, status {}", status.0)),
        None => Line::plain(format!("the {what} started")),
    }
}

/// A 31 or a 32. It confirms the recording's files only if nothing in it says otherwise.
fn files_reported(upload: Option<Upload>, list: &[RecordedFile]) -> Line {
    let listed = listed(list);
    let Some(upload) = upload else {
        return Line::plain(format!(
            "files of a snapshot or a transcoding are reported, not the recording's{listed}"
        ));
    };
    let backup = if upload.is_backup() {
        ", some of them to Agora's backup"
    } else {
        ""
    };
    match upload.state() {
        UploadState::Confirmed if list.is_empty() => Line::plain(NAMES_NO_FILE),
        UploadState::Confirmed => Line::good(format!("all files are in your storage{listed}")),
        UploadState::Backup => Line::warning(format!(
            "uploaded, but some files only to Agora's backup{listed}"
        )),
        UploadState::Stranded => Line::warning(format!(
            "files are STRANDED at Agora, to be uploaded later{backup}{listed}"
        )),
        UploadState::Partial | UploadState::Unconfirmed | UploadState::None => {
            match upload.status.filter(|status| status.is_abnormal()) {
                Some(status) => Line::bad(format!(
                    "an upload{backup} with the abnormal status {}: files may be missing{listed}",
                    status.0
                )),
                None if upload.goes_on_demand => Line::plain(format!(
                    "files are on their way to video on demand; event 61 tells when they are there\
                     {listed}"
                )),
                None => Line::warning(format!(
                    "an upload is reported with the uploadingStatus {}, which confirms \
                     nothing{listed}",
                    outside(
                        upload
                            .uploading_status
                            .as_ref()
                            .map(UploadingStatus::as_str)
                    )
                )),
            }
        }
    }
}

fn recorder_leave(code: Option<LeaveCode>) -> Line {
    match code {
        Some(code) => Line {
            text: format!("the recorder left the channel, {}", leave_words(code)),
            tone: leave_tone(code),
        },
        None => Line::plain("the recorder left the channel"),
    }
}

/// Every reason in the mask, and what else the specification of 2021 reads in it.
pub(super) fn leave_words(code: LeaveCode) -> String {
    match code.meaning_of_2021() {
        Some(other) => format!("leaveCode {code}; in the specification of 2021: {other}"),
        None => format!("leaveCode {code}"),
    }
}

/// How good it is that a recorder left for this reason.
pub(super) fn leave_tone(code: LeaveCode) -> super::Tone {
    use super::Tone;
    match code.reasons().first() {
        Some(LeaveReason::InitFailed) => Tone::Bad,
        Some(LeaveReason::Signal | LeaveReason::Interrupted) | None => Tone::Warning,
        Some(LeaveReason::Stopped | LeaveReason::NoUsers | LeaveReason::TimerCatch) => Tone::Plain,
    }
}

fn slice_start(event: &Event) -> Line {
    let Event::RecorderSliceStart {
        start_utc_ms,
        discontinue_utc_ms,
        stream_uid,
        track_type,
        ..
    } = event
    else {
        return Line::quiet("slice");
    };
    let track = track_type
        .as_ref()
        .map_or_else(|| "file".to_owned(), track_words);
    let what = format!("{track} of {}", stream_words(stream_uid.as_deref()));
    match event.interruption() {
        Some((stop, start)) => Line::warning(format!(
            "INTERRUPTED: {what} resumed; {} were lost",
            seconds(start - stop)
        )),
        None if start_utc_ms.is_some() || discontinue_utc_ms.is_some() => {
            Line::quiet(format!("first slice: {what}"))
        }
        None => Line::quiet(format!("slice: {what}")),
    }
}

fn stream_state(stream: Stream, uid: Option<&str>, state: Option<StreamState>) -> Line {
    let which = match stream {
        Stream::Audio => "audio",
        Stream::Video => "video",
    };
    let what = match state {
        Some(StreamState::RECEIVING) => "is received".to_owned(),
        Some(StreamState::NOT_RECEIVING) => "is no longer received".to_owned(),
        Some(state) => format!("has state {}", state.0),
        None => "changed, to a state that can't be read".to_owned(),
    };
    Line::quiet(format!("{which} of {} {what}", stream_words(uid)))
}

fn web_stop(code: Option<WebStopCode>, reason: Option<&str>) -> Line {
    let reason = reason
        .filter(|reason| !reason.is_empty())
        .map_or_else(String::new, |reason| {
            format!(" ({})", outside(Some(reason)))
        });
    match code {
        Some(code) if code.is_abnormal() => Line::bad(format!(
            "the web page recorder stopped, code {code}{reason}"
        )),
        Some(code) => Line::plain(format!(
            "the web page recorder stopped, code {code}{reason}"
        )),
        None => Line::plain(format!("the web page recorder stopped{reason}")),
    }
}

fn transcoded(what: &str, result: Option<&TranscodeResult>, users: &[TranscodedUser]) -> Line {
    let without: Vec<_> = users
        .iter()
        .filter(|user| user.has_no_file())
        .map(|user| outside(Some(&user.uid)))
        .collect();
    let mut text = format!("{what}: {}", outside(result.map(TranscodeResult::as_str)));
    if !without.is_empty() {
        text.push_str(&format!("; without a file: uid {}", without.join(", ")));
    }
    match result {
        Some(TranscodeResult::Success) if without.is_empty() => Line::plain(text),
        Some(TranscodeResult::Failed) => Line::bad(text),
        Some(_) | None => Line::warning(text),
    }
}

fn download_failed(bucket: Option<&str>, names: &[String]) -> Line {
    let bucket = bucket.map_or_else(String::new, |bucket| {
        format!(" from the bucket {}", outside(Some(bucket)))
    });
    let names = match names {
        [] => "not named".to_owned(),
        names => outside(Some(&names.join(", "))),
    };
    Line::bad(format!(
        "files could not be downloaded{bucket} for transcoding: {names}"
    ))
}

fn push(url: Option<&RtmpUrl>, status: Option<&PushStatus>) -> Line {
    let text = format!(
        "pushing to {}: {}",
        outside(url.map(ToString::to_string).as_deref()),
        outside(status.map(PushStatus::as_str))
    );
    match status {
        Some(PushStatus::Disconnected) => Line::warning(text),
        Some(_) | None => Line::plain(text),
    }
}

fn code_words(code: Option<i64>) -> String {
    code.map_or_else(|| "without a code".to_owned(), |code| code.to_string())
}

fn track_words(track: &TrackType) -> String {
    match track {
        TrackType::Audio => "audio".to_owned(),
        TrackType::Video => "video".to_owned(),
        TrackType::AudioAndVideo => "audio and video".to_owned(),
        TrackType::Other(word) => clean(word, MAX_NAME),
    }
}

/// Whose stream it is.
#[must_use]
pub(super) fn stream_words(uid: Option<&str>) -> String {
    match uid {
        Some("0") => "the mixed stream".to_owned(),
        Some(uid) => format!("stream {}", clean(uid, MAX_NAME)),
        None => "a stream without uid".to_owned(),
    }
}

fn outside(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).map_or_else(
        || "not said".to_owned(),
        |text| clean(&hide_stream_keys(text), MAX_TEXT),
    )
}

fn files(list: &[RecordedFile]) -> String {
    match list {
        [] => "without a name".to_owned(),
        [file] => clean(&file.file_name, MAX_TEXT),
        [file, rest @ ..] => format!(
            "{} and {} more",
            clean(&file.file_name, MAX_TEXT),
            rest.len()
        ),
    }
}

fn listed(list: &[RecordedFile]) -> String {
    if list.is_empty() {
        String::new()
    } else {
        format!(": {}", files(list))
    }
}

fn seconds(ms: u64) -> String {
    if ms < 60_000 {
        format!("{}.{} s", ms / 1000, ms % 1000 / 100)
    } else {
        duration(ms)
    }
}
