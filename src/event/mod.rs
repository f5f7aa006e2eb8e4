//! Every event type of the specification, and the newer ones the field has seen, as typed variants.
//!
//! This is the only place that knows Agora's event numbers and the fields of `details`. Every field is optional: a field that
//! is missing or can't be read is `None`, an event type nobody has documented is [`Event::Other`]; nothing is refused here,
//! and the verbatim `details` are kept beside the reading. Times are ms since the epoch.

mod codes;

pub use codes::{
    ComponentStatus, ErrorLevel, LeaveCode, LeaveStatus, Module, PlatformErrorCode,
    RecorderErrorCode, RecorderWarnCode, RecordingMode, ServiceStatus, ServiceType, Stat,
    StreamState, TrackType, UploadErrorCode, UploadWarnCode, WebStopCode, error_meaning,
    warning_meaning,
};

use crate::tolerant::{Fields, boolean, int, text, time_ms, uint};
use serde_json::Value;

/// One callback event with the fields of its `details` (section "Callback events").
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// 1: an error occurs during the recording.
    CloudRecordingError {
        /// Where it occurred.
        module: Option<Module>,
        /// How bad it is; 5 is fatal.
        error_level: Option<ErrorLevel>,
        /// What went wrong; see [`error_meaning`].
        error_code: Option<i64>,
        /// The event status; no severity.
        stat: Option<Stat>,
        /// Agora's description, often empty.
        error_msg: Option<String>,
    },
    /// 2: a warning occurs during the recording.
    CloudRecordingWarning {
        /// Where it occurred.
        module: Option<Module>,
        /// What it is; see [`warning_meaning`].
        warn_code: Option<i64>,
    },
    /// 3: the status of the service, told when a method call doesn't match it.
    CloudRecordingStatusUpdate {
        /// The status.
        status: Option<ServiceStatus>,
        /// Individual or composite.
        recording_mode: Option<RecordingMode>,
        /// The M3U8 file.
        file_list: Vec<RecordedFile>,
    },
    /// 4: an M3U8 playlist file is generated and uploaded.
    CloudRecordingFileInfos {
        /// The M3U8 file.
        file_list: Vec<RecordedFile>,
    },
    /// 11: the service has ended its tasks and exited.
    SessionExit {
        /// `leaveStatus`, in newer editions `exitStatus`.
        leave_status: Option<LeaveStatus>,
    },
    /// 12: a new recorder with another uid takes over.
    SessionFailover {
        /// The new recorder's uid.
        new_uid: Option<String>,
    },
    /// 13: registered for high availability.
    HighAvailabilityRegistered,
    /// 30: the upload service starts.
    UploaderStarted {
        /// 0 is normal.
        status: Option<ComponentStatus>,
    },
    /// 31: all files are in the specified cloud storage.
    Uploaded {
        /// 0 is normal.
        status: Option<ComponentStatus>,
        /// The uploaded files.
        file_list: Vec<RecordedFile>,
        /// `stranded`: a file stalled on the recording server, to be uploaded later.
        uploading_status: Option<String>,
    },
    /// 32: all files are uploaded, at least one of them to Agora Cloud Backup.
    Backuped {
        /// 0 is normal.
        status: Option<ComponentStatus>,
        /// The uploaded files.
        file_list: Vec<RecordedFile>,
        /// `stranded`: a file stalled on the recording server, to be uploaded later.
        uploading_status: Option<String>,
    },
    /// 33: the upload progress, once a minute.
    UploadingProgress {
        /// 0 to 10,000.
        progress: Option<i64>,
    },
    /// 34: the storage token expired.
    StorageTokenExpired,
    /// 40: the recorder starts.
    RecorderStarted {
        /// 0 is normal.
        status: Option<ComponentStatus>,
    },
    /// 41: the recorder leaves the channel.
    RecorderLeave {
        /// Why.
        leave_code: Option<LeaveCode>,
    },
    /// 42: the first slice file starts, or the first one after an interruption.
    RecorderSliceStart {
        /// When the slice starts.
        start_utc_ms: Option<u64>,
        /// The same, or when the last slice before an interruption stopped.
        discontinue_utc_ms: Option<u64>,
        /// Whether all users are in one file.
        mixed_all_user: Option<bool>,
        /// Whose file it is; `0` in composite mode.
        stream_uid: Option<String>,
        /// Audio, video or both.
        track_type: Option<TrackType>,
    },
    /// 43 and 44: a stream is received, or no longer.
    StreamStateChanged {
        /// The kind of stream.
        stream: Stream,
        /// Whose stream it is; `0` for the combined one.
        stream_uid: Option<String>,
        /// Receiving or not.
        state: Option<StreamState>,
        /// When it changed (`UtcMs`, in traffic `utcMs`).
        utc_ms: Option<u64>,
    },
    /// 45: a screenshot was taken and uploaded.
    RecorderSnapshotFile {
        /// Its name.
        file_name: Option<String>,
    },
    /// 46: undocumented, `recorder_audio_info_changed`.
    RecorderAudioInfoChanged,
    /// 47: undocumented, `recorder_video_info_changed`.
    RecorderVideoInfoChanged,
    /// 60: the upload to the video-on-demand service has started.
    VodStarted {
        /// `aliVodInfo.videoId`.
        video_id: Option<String>,
    },
    /// 61: all files are in the video-on-demand service.
    VodTriggered,
    /// 70: the web page recorder starts.
    WebRecorderStarted {
        /// When it started.
        recorder_start_time: Option<u64>,
    },
    /// 71: the web page recorder stopped.
    WebRecorderStopped {
        /// Why; 0 and 1 are planned ends.
        code: Option<WebStopCode>,
        /// Why, in a word.
        message: Option<String>,
        /// Why, in a sentence.
        reason: Option<String>,
        /// The recorded files.
        file_list: Vec<RecordedFile>,
    },
    /// 72: the page asks for more than the recorder can do; the recording stops.
    WebRecorderCapabilityLimit {
        /// `resolution`, `WebGL` or `bandwidth`.
        limit_type: Option<String>,
    },
    /// 73: the page was loaded again.
    WebRecorderReload {
        /// `audio_silence` or `page_load_timeout`.
        reason: Option<String>,
    },
    /// 80: postponed transcoding starts.
    TranscoderStarted,
    /// 81: postponed transcoding is completed.
    TranscoderCompleted {
        /// `all_success`, `partial_success` or `fail`.
        result: Option<String>,
    },
    /// 90: files could not be downloaded for postponed transcoding.
    DownloadFailed {
        /// The names, joined by `;`.
        file_name: Option<String>,
    },
    /// 100: the state of a CDN push.
    RtmpPublishStatus {
        /// Where to.
        rtmp_url: Option<String>,
        /// `connecting`, `publishing`, `onhold` or `disconnected`.
        status: Option<String>,
    },
    /// 110 to 113: the cloud transcoder started, stopped, tells its status, was updated.
    CloudTranscoder {
        /// Which of them.
        event_type: u32,
        /// The transcoder's task.
        task_id: Option<String>,
    },
    /// 1001: the final result of postponed transcoding.
    PostponeTranscodeFinalResult {
        /// `total_success`, `partial_success` or `failed`.
        result: Option<String>,
        /// The transcoded files.
        file_list: Vec<RecordedFile>,
    },
    /// A number that isn't documented.
    Other {
        /// The number.
        event_type: u32,
    },
}

/// Audio (43) or video (44).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// 43: `recorder_audio_stream_state_changed`.
    Audio,
    /// 44: `recorder_video_stream_state_changed`.
    Video,
}

/// One file of a `fileList`. The specification's plain string is a file with a name only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordedFile {
    /// `fileName`, in some events `filename`.
    pub file_name: String,
    /// Audio, video or both.
    pub track_type: Option<TrackType>,
    /// Whose file it is; `0` in composite mode.
    pub uid: Option<String>,
    /// Whether all users are in one file.
    pub mixed_all_user: Option<bool>,
    /// Whether it can be played already.
    pub is_playable: Option<bool>,
    /// When its first slice starts, ms since the epoch.
    pub slice_start_time: Option<u64>,
}

impl Event {
    /// `eventType` of a heartbeat, which has no item of its own.
    pub const UPLOADING_PROGRESS: u32 = 33;
    /// `eventType` of the announcement of a new recorder.
    pub const SESSION_FAILOVER: u32 = 12;
    /// The number of event 3: the service's status.
    pub const STATUS_UPDATE: u32 = 3;
    /// The number of event 11: the service exits.
    pub const SESSION_EXIT: u32 = 11;
    /// The number of event 31: all files are in the user's storage.
    pub const UPLOADED: u32 = 31;
    /// The number of event 32: some files are only in Agora's backup.
    pub const BACKUPED: u32 = 32;

    /// Reads `details` as what `event_type` promises. Never fails: see the module's words.
    #[must_use]
    pub fn read(event_type: u32, details: &Value) -> Self {
        let fields = Fields::of(details);
        let status = || fields.int("status").map(ComponentStatus);
        match event_type {
            1 => Self::CloudRecordingError {
                module: fields.int("module").map(Module),
                error_level: fields.int("errorLevel").map(ErrorLevel),
                error_code: fields.int("errorCode"),
                stat: fields.int("stat").map(Stat),
                error_msg: fields.text("errorMsg"),
            },
            2 => Self::CloudRecordingWarning {
                module: fields.int("module").map(Module),
                warn_code: fields.int("warnCode"),
            },
            Self::STATUS_UPDATE => Self::CloudRecordingStatusUpdate {
                status: fields.int("status").map(ServiceStatus),
                recording_mode: fields.int("recordingMode").map(RecordingMode),
                file_list: file_list(fields),
            },
            4 => Self::CloudRecordingFileInfos {
                file_list: file_list(fields),
            },
            Self::SESSION_EXIT => Self::SessionExit {
                leave_status: fields
                    .get(&["leaveStatus", "exitStatus"], int)
                    .map(LeaveStatus),
            },
            Self::SESSION_FAILOVER => Self::SessionFailover {
                new_uid: fields.text("newUid").filter(|uid| !uid.is_empty()),
            },
            13 => Self::HighAvailabilityRegistered,
            30 => Self::UploaderStarted { status: status() },
            Self::UPLOADED => Self::Uploaded {
                status: status(),
                file_list: file_list(fields),
                uploading_status: fields.text("uploadingStatus"),
            },
            Self::BACKUPED => Self::Backuped {
                status: status(),
                file_list: file_list(fields),
                uploading_status: fields.text("uploadingStatus"),
            },
            Self::UPLOADING_PROGRESS => Self::UploadingProgress {
                progress: fields.int("progress"),
            },
            34 => Self::StorageTokenExpired,
            40 => Self::RecorderStarted { status: status() },
            41 => Self::RecorderLeave {
                leave_code: fields.int("leaveCode").map(LeaveCode),
            },
            42 => Self::RecorderSliceStart {
                start_utc_ms: fields.get(&["startUtcMs"], time_ms),
                discontinue_utc_ms: fields.get(&["discontinueUtcMs"], time_ms),
                mixed_all_user: fields.get(&["mixedAllUser"], boolean),
                stream_uid: fields.text("streamUid"),
                track_type: fields.text("trackType").as_deref().map(TrackType::read),
            },
            43 | 44 => Self::StreamStateChanged {
                stream: if event_type == 43 {
                    Stream::Audio
                } else {
                    Stream::Video
                },
                stream_uid: fields.text("streamUid"),
                state: fields.int("state").map(StreamState),
                utc_ms: fields.get(&["utcMs", "UtcMs"], time_ms),
            },
            45 => Self::RecorderSnapshotFile {
                file_name: fields.get(&["fileName", "filename"], text),
            },
            46 => Self::RecorderAudioInfoChanged,
            47 => Self::RecorderVideoInfoChanged,
            60 => Self::VodStarted {
                video_id: fields
                    .0
                    .and_then(|map| map.get("aliVodInfo"))
                    .and_then(|info| Fields::of(info).text("videoId")),
            },
            61 => Self::VodTriggered,
            70 => Self::WebRecorderStarted {
                recorder_start_time: fields.get(&["recorderStartTime"], time_ms),
            },
            71 => Self::WebRecorderStopped {
                code: fields.int("code").map(WebStopCode),
                message: fields.text("message"),
                reason: fields.text("details"),
                file_list: file_list(fields),
            },
            72 => Self::WebRecorderCapabilityLimit {
                limit_type: fields.text("limitType"),
            },
            73 => Self::WebRecorderReload {
                reason: fields.text("reason"),
            },
            80 => Self::TranscoderStarted,
            81 => Self::TranscoderCompleted {
                result: fields.text("result"),
            },
            90 => Self::DownloadFailed {
                file_name: fields.get(&["fileName", "filename"], text),
            },
            100 => Self::RtmpPublishStatus {
                rtmp_url: fields.text("rtmpUrl"),
                status: fields.text("status"),
            },
            110..=113 => Self::CloudTranscoder {
                event_type,
                task_id: fields.text("taskId"),
            },
            1001 => Self::PostponeTranscodeFinalResult {
                result: fields.text("result"),
                file_list: file_list(fields),
            },
            other => Self::Other { event_type: other },
        }
    }

    /// The specification's name of the event type (`msgName`), `unknown` for one that isn't documented.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::CloudRecordingError { .. } => "cloud_recording_error",
            Self::CloudRecordingWarning { .. } => "cloud_recording_warning",
            Self::CloudRecordingStatusUpdate { .. } => "cloud_recording_status_update",
            Self::CloudRecordingFileInfos { .. } => "cloud_recording_file_infos",
            Self::SessionExit { .. } => "session_exit",
            Self::SessionFailover { .. } => "session_failover",
            Self::HighAvailabilityRegistered => "high_availability_registered",
            Self::UploaderStarted { .. } => "uploader_started",
            Self::Uploaded { .. } => "uploaded",
            Self::Backuped { .. } => "backuped",
            Self::UploadingProgress { .. } => "uploading_progress",
            Self::StorageTokenExpired => "sts_expired",
            Self::RecorderStarted { .. } => "recorder_started",
            Self::RecorderLeave { .. } => "recorder_leave",
            Self::RecorderSliceStart { .. } => "recorder_slice_start",
            Self::StreamStateChanged {
                stream: Stream::Audio,
                ..
            } => "recorder_audio_stream_state_changed",
            Self::StreamStateChanged {
                stream: Stream::Video,
                ..
            } => "recorder_video_stream_state_changed",
            Self::RecorderSnapshotFile { .. } => "recorder_snapshot_file",
            Self::RecorderAudioInfoChanged => "recorder_audio_info_changed",
            Self::RecorderVideoInfoChanged => "recorder_video_info_changed",
            Self::VodStarted { .. } => "vod_started",
            Self::VodTriggered => "vod_triggered",
            Self::WebRecorderStarted { .. } => "web_recorder_started",
            Self::WebRecorderStopped { .. } => "web_recorder_stopped",
            Self::WebRecorderCapabilityLimit { .. } => "web_recorder_capability_limit",
            Self::WebRecorderReload { .. } => "web_recorder_reload",
            Self::TranscoderStarted => "transcoder_started",
            Self::TranscoderCompleted { .. } => "transcoder_completed",
            Self::DownloadFailed { .. } => "download_failed",
            Self::RtmpPublishStatus { .. } => "rtmp_publish_status",
            Self::CloudTranscoder {
                event_type: 110, ..
            } => "cloud_transcoder_started",
            Self::CloudTranscoder {
                event_type: 111, ..
            } => "cloud_transcoder_stopped",
            Self::CloudTranscoder {
                event_type: 112, ..
            } => "cloud_transcoder_status",
            Self::CloudTranscoder { .. } => "cloud_transcoder_updated",
            Self::PostponeTranscodeFinalResult { .. } => "postpone_transcode_final_result",
            Self::Other { .. } => "unknown",
        }
    }
}

/// `fileList`: a file name, a JSON array inside a string, or an array of objects or names.
fn file_list(fields: Fields<'_>) -> Vec<RecordedFile> {
    let Some(value) = fields.0.and_then(|map| map.get("fileList")) else {
        return Vec::new();
    };
    match value {
        Value::Array(files) => files.iter().filter_map(recorded_file).collect(),
        Value::String(name) if name.starts_with('[') => {
            match serde_json::from_str::<Vec<Value>>(name) {
                Ok(files) => files.iter().filter_map(recorded_file).collect(),
                Err(_) => recorded_file(value).into_iter().collect(),
            }
        }
        Value::String(_) | Value::Number(_) | Value::Object(_) | Value::Bool(_) | Value::Null => {
            recorded_file(value).into_iter().collect()
        }
    }
}

fn recorded_file(value: &Value) -> Option<RecordedFile> {
    let fields = match value {
        Value::Object(_) => Fields::of(value),
        Value::String(name) if name.is_empty() => return None,
        Value::String(_) | Value::Number(_) => {
            return text(value).map(|file_name| RecordedFile {
                file_name,
                ..RecordedFile::default()
            });
        }
        Value::Array(_) | Value::Bool(_) | Value::Null => return None,
    };
    Some(RecordedFile {
        file_name: fields.get(&["fileName", "filename"], text)?,
        track_type: fields.text("trackType").as_deref().map(TrackType::read),
        uid: fields.text("uid"),
        mixed_all_user: fields.get(&["mixedAllUser"], boolean),
        is_playable: fields.get(&["isPlayable"], boolean),
        slice_start_time: fields.get(&["sliceStartTime"], uint),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_event_of_the_specification_is_a_typed_variant() {
        for event_type in [1, 2, 3, 4, 11, 30, 31, 32, 33, 40, 41, 42, 43, 44] {
            let event = Event::read(event_type, &json!({}));
            assert_ne!(event.name(), "unknown", "{event_type}");
        }
        assert_eq!(
            Event::read(777, &json!({})),
            Event::Other { event_type: 777 }
        );
    }

    #[test]
    fn a_real_fatal_error_is_read() {
        let details = json!({"errorCode":110,"errorLevel":5,"errorMsg":"","module":0,"msgName":"cloud_recording_error","stat":0});
        assert_eq!(
            Event::read(1, &details),
            Event::CloudRecordingError {
                module: Some(Module::RECORDER),
                error_level: Some(ErrorLevel::FATAL),
                error_code: Some(110),
                stat: Some(Stat::OK),
                error_msg: Some(String::new()),
            }
        );
    }

    #[test]
    fn both_editions_of_a_field_are_read() {
        let exit = |details| Event::read(11, &details);
        assert_eq!(
            exit(json!({"leaveStatus": 1})),
            exit(json!({"exitStatus": "1"}))
        );
        let stream = |details| Event::read(44, &details);
        assert_eq!(
            stream(json!({"streamUid": 57297, "state": "1", "UtcMs": 1_568_008_013_025_u64})),
            stream(json!({"streamUid": "57297", "state": 1, "utcMs": "1568008013025"})),
        );
        let slice = |mixed| Event::read(42, &json!({ "mixedAllUser": mixed }));
        assert_eq!(slice(json!("true")), slice(json!(true)));
    }

    #[test]
    fn a_file_list_is_read_as_a_name_a_string_of_json_or_an_array() {
        let files = |list| match Event::read(4, &json!({ "fileList": list })) {
            Event::CloudRecordingFileInfos { file_list } => file_list
                .into_iter()
                .map(|file| file.file_name)
                .collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(files(json!("a.m3u8")), ["a.m3u8"]);
        assert_eq!(
            files(json!("[\"a.m3u8\",{\"filename\":\"b.mp4\"}]")),
            ["a.m3u8", "b.mp4"]
        );
        assert_eq!(
            files(json!([{"fileName": "a.m3u8", "isPlayable": "true"}, null, {}])),
            ["a.m3u8"]
        );
        assert_eq!(files(json!("[broken")), ["[broken"]);
        assert_eq!(files(json!("")), Vec::<String>::new());
        assert_eq!(files(json!(null)), Vec::<String>::new());
    }

    #[test]
    fn details_that_are_no_object_leave_every_field_empty() {
        for details in [json!(null), json!([]), json!("x"), json!(5)] {
            assert_eq!(
                Event::read(33, &details),
                Event::UploadingProgress { progress: None }
            );
        }
    }
}
