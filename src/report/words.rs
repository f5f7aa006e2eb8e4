//! What an event means, in a line for a person, and times as people say them. Pure.

use super::{MAX_NAME, Tone};
use crate::event::{
    Event, EventType, LeaveCode, LeaveReason, Module, PushStatus, RecordedFile, ServiceStatus,
    Stream, StreamState, TrackType, TranscodeResult, UploadingStatus, WebStopCode, error_meaning,
    warning_meaning,
};
use crate::text::clean;

/// A text of Agora's is cut to this many characters.
const MAX_TEXT: usize = 300;

/// What happened, and how good it is.
#[must_use]
pub(super) fn event_words(event_type: u32, event: &Event) -> (String, Tone) {
    match event {
        Event::CloudRecordingError {
            module,
            error_level,
            error_code,
            error_msg,
            ..
        } => {
            let is_fatal = error_level.is_some_and(|level| level.is_fatal());
            let level = error_level.map_or_else(String::new, |level| {
                let word = level.meaning();
                word.map_or_else(
                    || format!(" of level {}", level.0),
                    |word| format!(", {word}"),
                )
            });
            let meaning = error_code.and_then(|code| error_meaning(*module, None, code));
            let said = error_msg.as_deref().filter(|text| !text.is_empty());
            let said = said.map_or_else(String::new, |text| {
                format!("; Agora says: {}", clean(text, MAX_TEXT))
            });
            (
                format!(
                    "error {}{}{level}: {}{said}",
                    code_words(*error_code),
                    place(*module),
                    meaning.unwrap_or("a code Agora doesn't document")
                ),
                if is_fatal { Tone::Bad } else { Tone::Warning },
            )
        }
        Event::CloudRecordingWarning { module, warn_code } => {
            let meaning = warn_code.and_then(|code| warning_meaning(*module, code));
            (
                format!(
                    "warning {}{}: {}",
                    code_words(*warn_code),
                    place(*module),
                    meaning.unwrap_or("a code Agora doesn't document")
                ),
                Tone::Warning,
            )
        }
        Event::CloudRecordingStatusUpdate { status, .. } => match status {
            Some(status) => (
                format!("service status {status}"),
                if *status == ServiceStatus::ABNORMAL_EXIT {
                    Tone::Bad
                } else {
                    Tone::Plain
                },
            ),
            None => ("service status, unreadable".to_owned(), Tone::Plain),
        },
        Event::CloudRecordingFileInfos { file_list } => {
            (format!("playlist {}", files(file_list)), Tone::Plain)
        }
        Event::SessionExit { leave_status } => match leave_status {
            Some(status) if status.is_abnormal() => (
                format!("the service exited ABNORMALLY, leaveStatus {}", status.0),
                Tone::Bad,
            ),
            Some(_) => ("the service exited as it should".to_owned(), Tone::Good),
            None => (
                "the service exited; its leaveStatus is unreadable".to_owned(),
                Tone::Warning,
            ),
        },
        Event::SessionFailover { new_uid } => (
            format!(
                "failover: another recorder takes over, uid {}",
                outside(new_uid.as_deref())
            ),
            Tone::Warning,
        ),
        Event::UploaderStarted { status } => match status.filter(|status| status.is_abnormal()) {
            Some(status) => (
                format!("the uploader did not start, status {}", status.0),
                Tone::Bad,
            ),
            None => ("the uploader started".to_owned(), Tone::Plain),
        },
        Event::Uploaded {
            file_list,
            uploading_status,
            ..
        } => (
            format!(
                "all files are in your storage{}{}",
                listed(file_list),
                stranded(uploading_status.as_ref().map(UploadingStatus::as_str))
            ),
            Tone::Good,
        ),
        Event::Backuped {
            file_list,
            uploading_status,
            ..
        } => (
            format!(
                "uploaded, but some files only to Agora's backup{}{}",
                listed(file_list),
                stranded(uploading_status.as_ref().map(UploadingStatus::as_str))
            ),
            Tone::Warning,
        ),
        Event::UploadingProgress { progress } => (
            progress.map_or_else(
                || "heartbeat, its progress unreadable".to_owned(),
                |progress| format!("heartbeat: {} uploaded", super::progress_words(progress)),
            ),
            Tone::Quiet,
        ),
        Event::RecorderStarted { status } => match status.filter(|status| status.is_abnormal()) {
            Some(status) => (
                format!("the recorder did not start, status {}", status.0),
                Tone::Bad,
            ),
            None => ("the recorder started".to_owned(), Tone::Good),
        },
        Event::RecorderLeave { leave_code } => match leave_code {
            Some(code) => (
                format!("the recorder left the channel, leaveCode {code}"),
                leave_tone(*code),
            ),
            None => ("the recorder left the channel".to_owned(), Tone::Plain),
        },
        Event::RecorderSliceStart {
            start_utc_ms,
            discontinue_utc_ms,
            stream_uid,
            track_type,
            ..
        } => {
            let what = format!(
                "{} of {}",
                track_type
                    .as_ref()
                    .map_or_else(|| "file".to_owned(), track_words),
                stream_words(stream_uid.as_deref())
            );
            match interruption(event) {
                Some((stop, start)) => (
                    format!(
                        "INTERRUPTED: {what} resumed; {} were lost",
                        seconds(start - stop)
                    ),
                    Tone::Warning,
                ),
                None if start_utc_ms.is_some() || discontinue_utc_ms.is_some() => {
                    (format!("first slice: {what}"), Tone::Quiet)
                }
                None => (format!("slice: {what}"), Tone::Quiet),
            }
        }
        Event::StreamStateChanged {
            stream,
            stream_uid,
            state,
            ..
        } => {
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
            (
                format!("{which} of {} {what}", stream_words(stream_uid.as_deref())),
                Tone::Quiet,
            )
        }
        Event::RecorderSnapshotFile { file_name } => (
            format!("snapshot {}", outside(file_name.as_deref())),
            Tone::Quiet,
        ),
        Event::VodStarted { video_id } => (
            format!(
                "the upload to video on demand started, {}",
                outside(video_id.as_deref())
            ),
            Tone::Plain,
        ),
        Event::VodTriggered => ("all files are in video on demand".to_owned(), Tone::Good),
        Event::WebRecorderStarted { .. } => {
            ("the web page recorder started".to_owned(), Tone::Good)
        }
        Event::WebRecorderStopped { code, reason, .. } => web_stop(*code, reason.as_deref()),
        Event::WebRecorderCapabilityLimit { limit_type } => (
            format!(
                "the web page recorder stopped: the page asks for too much ({})",
                outside(limit_type.as_deref())
            ),
            Tone::Bad,
        ),
        Event::WebRecorderReload { reason } => (
            format!("the page was loaded again ({})", outside(reason.as_deref())),
            Tone::Warning,
        ),
        Event::StorageTokenExpired => ("the storage token has expired".to_owned(), Tone::Warning),
        Event::TranscoderStarted => ("postponed transcoding started".to_owned(), Tone::Plain),
        Event::TranscoderCompleted { result, .. } => result_words("postponed transcoding", result),
        Event::PostponeTranscodeFinalResult { result, .. } => {
            result_words("postponed transcoding, finally", result)
        }
        Event::DownloadFailed { file_names, .. } => (
            format!(
                "files could not be downloaded for transcoding: {}",
                outside(Some(&file_names.join(", ")))
            ),
            Tone::Warning,
        ),
        Event::RtmpPublishStatus { rtmp_url, status } => (
            format!(
                "pushing to {}: {}",
                outside(rtmp_url.as_ref().map(ToString::to_string).as_deref()),
                outside(status.as_ref().map(PushStatus::as_str))
            ),
            Tone::Plain,
        ),
        Event::HighAvailabilityRegistered
        | Event::RecorderAudioInfoChanged
        | Event::RecorderVideoInfoChanged
        | Event::CloudTranscoder { .. } => {
            (EventType(event_type).name().replace('_', " "), Tone::Quiet)
        }
        Event::Other => (
            format!("event {event_type}, which Agora doesn't document"),
            Tone::Plain,
        ),
    }
}

/// When recording stopped and when it went on, if the event reports an interruption; ms since the epoch.
#[must_use]
pub(super) fn interruption(event: &Event) -> Option<(u64, u64)> {
    match event {
        Event::RecorderSliceStart {
            start_utc_ms: Some(start),
            discontinue_utc_ms: Some(stop),
            ..
        } if stop < start => Some((*stop, *start)),
        _ => None,
    }
}

/// How good it is that a recorder left for this reason.
#[must_use]
pub(super) fn leave_tone(code: LeaveCode) -> Tone {
    match code.reasons().first() {
        Some(LeaveReason::InitFailed) => Tone::Bad,
        Some(LeaveReason::Stopped) => Tone::Good,
        Some(LeaveReason::Signal | LeaveReason::Interrupted) | None => Tone::Warning,
        Some(LeaveReason::NoUsers | LeaveReason::TimerCatch) => Tone::Plain,
    }
}

fn web_stop(code: Option<WebStopCode>, reason: Option<&str>) -> (String, Tone) {
    let reason = reason.map_or_else(String::new, |reason| {
        format!(" ({})", outside(Some(reason)))
    });
    match code {
        Some(code) if code.is_abnormal() => (
            format!("the web page recorder stopped, code {code}{reason}"),
            Tone::Bad,
        ),
        Some(code) => (
            format!("the web page recorder stopped, code {code}{reason}"),
            Tone::Good,
        ),
        None => (
            format!("the web page recorder stopped{reason}"),
            Tone::Plain,
        ),
    }
}

fn result_words(what: &str, result: &Option<TranscodeResult>) -> (String, Tone) {
    let tone = match result {
        Some(TranscodeResult::Success) => Tone::Good,
        Some(TranscodeResult::Failed) => Tone::Bad,
        Some(TranscodeResult::Partial | TranscodeResult::Other(_)) | None => Tone::Warning,
    };
    let result = result.as_ref().map(TranscodeResult::as_str);
    (format!("{what}: {}", outside(result)), tone)
}

fn place(module: Option<Module>) -> String {
    match module {
        Some(module) => match module.meaning() {
            Some(name) => format!(" in the {name}"),
            None => format!(" in module {}", module.0),
        },
        None => String::new(),
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
    text.filter(|text| !text.is_empty())
        .map_or_else(|| "not said".to_owned(), |text| clean(text, MAX_TEXT))
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

fn stranded(status: Option<&str>) -> String {
    status
        .filter(|status| !status.is_empty())
        .map_or_else(String::new, |status| {
            format!(" (uploadingStatus {})", clean(status, MAX_NAME))
        })
}

fn seconds(ms: u64) -> String {
    if ms < 60_000 {
        format!("{}.{} s", ms / 1000, ms % 1000 / 100)
    } else {
        duration(ms)
    }
}

/// A time span: `12 s`, `5 min 4 s`, `2 h 3 min`, `4 days`.
#[must_use]
pub fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |first: u64, unit: &str, second: u64, small: &str| {
        if second == 0 {
            format!("{first} {unit}")
        } else {
            format!("{first} {unit} {second} {small}")
        }
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => two(minutes, "min", seconds % 60, "s"),
        3600..172_800 => two(hours, "h", minutes % 60, "min"),
        _ => two(days, "days", hours % 24, "h"),
    }
}

/// How long ago a time is: `5 min 4 s ago`.
#[must_use]
pub fn ago(ms: u64, now_ms: u64) -> String {
    if ms > now_ms.saturating_add(1000) {
        format!("in {}", duration(ms - now_ms))
    } else {
        format!("{} ago", duration(now_ms.saturating_sub(ms)))
    }
}

/// The time of day in UTC, with ms: `14:05:33.123`.
#[must_use]
pub fn clock(ms: u64) -> String {
    let time = i64::try_from(ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.map_or_else(
        || format!("{ms} ms"),
        |time| format!("{}.{:03}", time.strftime("%H:%M:%S"), ms % 1000),
    )
}

/// The time since the beginning: `+12:34` in minutes and seconds, `+1:02:03` from an hour on.
#[must_use]
pub fn offset(ms: u64, began: u64) -> String {
    let (sign, ms) = if ms < began {
        ('-', began - ms)
    } else {
        ('+', ms - began)
    };
    let seconds = ms / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{sign}{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{sign}{minutes}:{seconds:02}")
    }
}
