//! Every event type of the specification, and the newer ones the field has seen, as typed variants.
//!
//! This is the only place that knows Agora's numbers, words and the fields of `details`. Every
//! field is optional: one that is missing or can't be read is `None`, an event type nobody has
//! documented is [`Event::Other`]; nothing is refused here, and the verbatim `details` are kept
//! beside the reading. Times are ms since the epoch.

mod codes;
#[cfg(test)]
mod docs;
mod errors;
mod meaning;
mod rtmp;
mod scene;

pub use codes::{
    ComponentStatus, ErrorLevel, EventType, LeaveCode, LeaveReason, LeaveStatus, Module,
    RecordingMode, ServiceStatus, ServiceType, Stat, StreamState, TrackType, WebStopCode,
    word_meaning,
};
pub use errors::{Row, error_meaning, error_readings, warning_meaning};
pub use meaning::{
    CodeName, Family, Meaning, NamedFiles, Phase, Sign, Trouble, TroubleKind, Upload, UploadState,
    Work,
};
pub use rtmp::{RtmpUrl, hide_stream_keys, without_stream_keys};
pub use scene::Part;

use crate::named::named;
use crate::tolerant::{Fields, boolean, int, out_of_text, text, time_ms};
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
    /// 31: all files are in the specified cloud storage, if nothing in it says otherwise.
    Uploaded {
        /// 0 is normal.
        status: Option<ComponentStatus>,
        /// The uploaded files.
        file_list: Vec<RecordedFile>,
        /// `stranded` where files aren't in the storage yet.
        uploading_status: Option<UploadingStatus>,
    },
    /// 32: all files are uploaded, at least one of them to Agora Cloud Backup.
    Backuped {
        /// 0 is normal.
        status: Option<ComponentStatus>,
        /// The uploaded files.
        file_list: Vec<RecordedFile>,
        /// `stranded` where files aren't in the storage yet.
        uploading_status: Option<UploadingStatus>,
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
        /// How it ended.
        result: Option<TranscodeResult>,
        /// What became of each user's files.
        uids: Vec<TranscodedUser>,
    },
    /// 90: files could not be downloaded for postponed transcoding.
    DownloadFailed {
        /// The storage's vendor, region and bucket.
        vendor: Option<i64>,
        /// See `vendor`.
        region: Option<i64>,
        /// See `vendor`.
        bucket: Option<String>,
        /// The files, which come joined by `;`.
        file_names: Vec<String>,
    },
    /// 100: the state of a CDN push.
    RtmpPublishStatus {
        /// Where to.
        rtmp_url: Option<RtmpUrl>,
        /// Whether anything arrives there.
        status: Option<PushStatus>,
    },
    /// 110 to 113: the cloud transcoder started, stopped, tells its status, was updated.
    CloudTranscoder {
        /// The transcoder's task.
        task_id: Option<String>,
    },
    /// 1001: the final result of postponed transcoding.
    PostponeTranscodeFinalResult {
        /// How it ended.
        result: Option<TranscodeResult>,
        /// The transcoded files.
        file_list: Vec<RecordedFile>,
    },
    /// A number that isn't documented.
    Other,
}

/// `uploadingStatus` of events 31 and 32.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UploadingStatus {
    /// All files are where they belong.
    Uploaded,
    /// Some are only in Agora's backup, as event 32 says.
    Backuped,
    /// Files stalled on a server of Agora's, to be uploaded later.
    Stranded,
    /// A word that isn't documented, kept.
    Other(String),
}

impl UploadingStatus {
    /// Reads Agora's word.
    #[must_use]
    pub fn read(word: &str) -> Self {
        match word {
            "uploaded" => Self::Uploaded,
            "backuped" => Self::Backuped,
            "stranded" => Self::Stranded,
            other => Self::Other(other.to_owned()),
        }
    }

    /// Agora's word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Uploaded => "uploaded",
            Self::Backuped => "backuped",
            Self::Stranded => "stranded",
            Self::Other(word) => word,
        }
    }
}

/// `result` of events 81 and 1001, and of each user in an 81; each has words of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TranscodeResult {
    /// `all_success`, `total_success`, `success`.
    Success,
    /// `partial_success`.
    Partial,
    /// `fail`, `failed`.
    Failed,
    /// A word that isn't documented, kept.
    Other(String),
}

impl TranscodeResult {
    /// Reads Agora's word.
    #[must_use]
    pub fn read(word: &str) -> Self {
        match word {
            "all_success" | "total_success" | "success" => Self::Success,
            "partial_success" => Self::Partial,
            "fail" | "failed" => Self::Failed,
            other => Self::Other(other.to_owned()),
        }
    }

    /// A word for it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Success => "success",
            Self::Partial => "partial_success",
            Self::Failed => "failed",
            Self::Other(word) => word,
        }
    }
}

/// What became of one user's files in an 81.
#[derive(Clone, Debug, PartialEq)]
pub struct TranscodedUser {
    /// The user.
    pub uid: String,
    /// How it ended.
    pub result: Option<TranscodeResult>,
    /// The transcoded files.
    pub file_list: Vec<RecordedFile>,
}

impl TranscodedUser {
    /// True where the user has nothing to play: it says so, or says neither that nor a file.
    #[must_use]
    pub fn has_no_file(&self) -> bool {
        match self.result {
            Some(TranscodeResult::Success) => false,
            Some(TranscodeResult::Failed) => true,
            Some(TranscodeResult::Partial | TranscodeResult::Other(_)) | None => {
                self.file_list.is_empty()
            }
        }
    }
}

/// `status` of event 100.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushStatus {
    /// The push begins.
    Connecting,
    /// It arrives.
    Publishing,
    /// It is paused.
    OnHold,
    /// It broke off.
    Disconnected,
    /// A word that isn't documented, kept.
    Other(String),
}

impl PushStatus {
    /// Reads Agora's word.
    #[must_use]
    pub fn read(word: &str) -> Self {
        match word {
            "connecting" => Self::Connecting,
            "publishing" => Self::Publishing,
            "onhold" => Self::OnHold,
            "disconnected" => Self::Disconnected,
            other => Self::Other(other.to_owned()),
        }
    }

    /// Agora's word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Connecting => "connecting",
            Self::Publishing => "publishing",
            Self::OnHold => "onhold",
            Self::Disconnected => "disconnected",
            Self::Other(word) => word,
        }
    }
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
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
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

named! {
    /// What a file is, by its name.
    pub enum FileFormat {
        /// An MP4: one file that can be played.
        Mp4 = "mp4",
        /// An M3U8: the playlist of slices.
        M3u8 = "m3u8",
        /// Anything else.
        Other = "other",
    }
}

impl RecordedFile {
    /// What it is.
    #[must_use]
    pub fn format(&self) -> FileFormat {
        let is = |ending: &str| {
            let name = self.file_name.as_bytes();
            let end = name.len().checked_sub(ending.len());
            end.and_then(|end| name.get(end..))
                .is_some_and(|end| end.eq_ignore_ascii_case(ending.as_bytes()))
        };
        if is(".mp4") {
            FileFormat::Mp4
        } else if is(".m3u8") {
            FileFormat::M3u8
        } else {
            FileFormat::Other
        }
    }

    /// True where it was made by a recorder that replaced another: `bak<n>_…`.
    #[must_use]
    pub fn is_of_replacement(&self) -> bool {
        let name = self.file_name.rsplit('/').next().unwrap_or_default();
        name.strip_prefix("bak").is_some_and(|rest| {
            let number = rest.bytes().take_while(u8::is_ascii_digit).count();
            number > 0 && rest.as_bytes().get(number) == Some(&b'_')
        })
    }

    /// True where all streams are in it, as in composite mode.
    #[must_use]
    pub fn is_of_all_users(&self) -> bool {
        self.mixed_all_user == Some(true) || self.uid.as_deref() == Some("0")
    }
}

impl Event {
    /// Reads `details`, or the JSON in their text, as what `event_type` promises. Never fails: see
    /// the module's words.
    #[must_use]
    pub fn read(event_type: u32, details: &Value) -> Self {
        let details = out_of_text(details);
        let fields = Fields::of(&details);
        let status = || fields.int("status").map(ComponentStatus);
        let uploading_status = || {
            let word = fields.text("uploadingStatus")?;
            (!word.is_empty()).then(|| UploadingStatus::read(&word))
        };
        match EventType(event_type) {
            EventType::CLOUD_RECORDING_ERROR => Self::CloudRecordingError {
                module: fields.int("module").map(Module),
                error_level: fields.int("errorLevel").map(ErrorLevel),
                error_code: fields.int("errorCode"),
                stat: fields.int("stat").map(Stat),
                error_msg: fields.text("errorMsg"),
            },
            EventType::CLOUD_RECORDING_WARNING => Self::CloudRecordingWarning {
                module: fields.int("module").map(Module),
                warn_code: fields.int("warnCode"),
            },
            EventType::CLOUD_RECORDING_STATUS_UPDATE => Self::CloudRecordingStatusUpdate {
                status: fields.int("status").map(ServiceStatus),
                recording_mode: fields.int("recordingMode").map(RecordingMode),
                file_list: file_list(fields),
            },
            EventType::CLOUD_RECORDING_FILE_INFOS => Self::CloudRecordingFileInfos {
                file_list: file_list(fields),
            },
            EventType::SESSION_EXIT => Self::SessionExit {
                leave_status: fields
                    .get(&["leaveStatus", "exitStatus"], int)
                    .map(LeaveStatus),
            },
            EventType::SESSION_FAILOVER => Self::SessionFailover {
                new_uid: fields.text("newUid").filter(|uid| !uid.is_empty()),
            },
            EventType::HIGH_AVAILABILITY_REGISTERED => Self::HighAvailabilityRegistered,
            EventType::UPLOADER_STARTED => Self::UploaderStarted { status: status() },
            EventType::UPLOADED => Self::Uploaded {
                status: status(),
                file_list: file_list(fields),
                uploading_status: uploading_status(),
            },
            EventType::BACKUPED => Self::Backuped {
                status: status(),
                file_list: file_list(fields),
                uploading_status: uploading_status(),
            },
            EventType::UPLOADING_PROGRESS => Self::UploadingProgress {
                progress: fields.int("progress"),
            },
            EventType::STORAGE_TOKEN_EXPIRED => Self::StorageTokenExpired,
            EventType::RECORDER_STARTED => Self::RecorderStarted { status: status() },
            EventType::RECORDER_LEAVE => Self::RecorderLeave {
                leave_code: fields.int("leaveCode").map(LeaveCode),
            },
            EventType::RECORDER_SLICE_START => Self::RecorderSliceStart {
                start_utc_ms: fields.get(&["startUtcMs"], time_ms),
                discontinue_utc_ms: fields.get(&["discontinueUtcMs"], time_ms),
                mixed_all_user: fields.get(&["mixedAllUser"], boolean),
                stream_uid: fields.text("streamUid"),
                track_type: fields.text("trackType").as_deref().map(TrackType::read),
            },
            audio_or_video @ (EventType::AUDIO_STREAM_STATE_CHANGED
            | EventType::VIDEO_STREAM_STATE_CHANGED) => Self::StreamStateChanged {
                stream: if audio_or_video == EventType::AUDIO_STREAM_STATE_CHANGED {
                    Stream::Audio
                } else {
                    Stream::Video
                },
                stream_uid: fields.text("streamUid"),
                state: fields.int("state").map(StreamState),
                utc_ms: fields.get(&["utcMs", "UtcMs"], time_ms),
            },
            EventType::RECORDER_SNAPSHOT_FILE => Self::RecorderSnapshotFile {
                file_name: fields.get(&["fileName", "filename"], text),
            },
            EventType::RECORDER_AUDIO_INFO_CHANGED => Self::RecorderAudioInfoChanged,
            EventType::RECORDER_VIDEO_INFO_CHANGED => Self::RecorderVideoInfoChanged,
            EventType::VOD_STARTED => Self::VodStarted {
                video_id: fields
                    .0
                    .and_then(|map| map.get("aliVodInfo"))
                    .and_then(|info| Fields::of(info).text("videoId")),
            },
            EventType::VOD_TRIGGERED => Self::VodTriggered,
            EventType::WEB_RECORDER_STARTED => Self::WebRecorderStarted {
                recorder_start_time: fields.get(&["recorderStartTime"], time_ms),
            },
            EventType::WEB_RECORDER_STOPPED => Self::WebRecorderStopped {
                code: fields.int("code").map(WebStopCode),
                message: fields.text("message"),
                reason: fields.text("details"),
                file_list: file_list(fields),
            },
            EventType::WEB_RECORDER_CAPABILITY_LIMIT => Self::WebRecorderCapabilityLimit {
                limit_type: fields.text("limitType"),
            },
            EventType::WEB_RECORDER_RELOAD => Self::WebRecorderReload {
                reason: fields.text("reason"),
            },
            EventType::TRANSCODER_STARTED => Self::TranscoderStarted,
            EventType::TRANSCODER_COMPLETED => Self::TranscoderCompleted {
                result: fields.text("result").as_deref().map(TranscodeResult::read),
                uids: transcoded_users(fields),
            },
            EventType::DOWNLOAD_FAILED => Self::DownloadFailed {
                vendor: fields.int("vendor"),
                region: fields.int("region"),
                bucket: fields.text("bucket"),
                file_names: fields
                    .get(&["fileName", "filename"], text)
                    .map(|names| names.split(';').map(str::trim).map(str::to_owned).collect())
                    .unwrap_or_default(),
            },
            EventType::RTMP_PUBLISH_STATUS => Self::RtmpPublishStatus {
                rtmp_url: fields.text("rtmpUrl").map(RtmpUrl::new),
                status: fields.text("status").as_deref().map(PushStatus::read),
            },
            EventType::CLOUD_TRANSCODER_STARTED
            | EventType::CLOUD_TRANSCODER_STOPPED
            | EventType::CLOUD_TRANSCODER_STATUS
            | EventType::CLOUD_TRANSCODER_UPDATED => Self::CloudTranscoder {
                task_id: fields.text("taskId"),
            },
            EventType::POSTPONE_TRANSCODE_FINAL_RESULT => Self::PostponeTranscodeFinalResult {
                result: fields.text("result").as_deref().map(TranscodeResult::read),
                file_list: file_list(fields),
            },
            EventType(_) => Self::Other,
        }
    }
}

/// `fileList`: a file name, a JSON array inside a string, or an array of objects or names.
fn file_list(fields: Fields<'_>) -> Vec<RecordedFile> {
    let Some(value) = fields.0.and_then(|map| map.get("fileList")) else {
        return Vec::new();
    };
    match &*out_of_text(value) {
        Value::Array(files) => files.iter().filter_map(recorded_file).collect(),
        file => recorded_file(file).into_iter().collect(),
    }
}

/// `uids` of an 81.
fn transcoded_users(fields: Fields<'_>) -> Vec<TranscodedUser> {
    let users = fields.0.and_then(|map| map.get("uids")).map(out_of_text);
    let users = users.as_deref().and_then(Value::as_array);
    let read = |user| {
        let fields = Fields::of(user);
        Some(TranscodedUser {
            uid: fields.text("uid")?,
            result: fields.text("result").as_deref().map(TranscodeResult::read),
            file_list: file_list(fields),
        })
    };
    users.into_iter().flatten().filter_map(read).collect()
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
        slice_start_time: fields.get(&["sliceStartTime"], time_ms),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_event_type_that_is_documented_is_a_typed_variant() {
        for event_type in EventType::DOCUMENTED {
            let event = Event::read(event_type.0, &json!({}));
            assert_ne!(event, Event::Other, "{event_type}: see Event::read");
        }
        assert_eq!(Event::read(777, &json!({})), Event::Other);
        assert_eq!(EventType(777).name(), "unknown");
    }

    #[test]
    fn a_real_fatal_error_is_read() {
        let details = json!({"errorCode": 110, "errorLevel": 5, "errorMsg": "", "module": 0,
            "msgName": "cloud_recording_error", "stat": 0});
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
    fn each_user_of_a_transcoding_and_each_file_of_a_download_is_read() {
        let details = json!({"result": "partial_success", "uids": [
            {"uid": 2001, "result": "success", "fileList": [{"fileName": "dir/2001_0.mp4"}]},
            {"uid": "2002", "result": "fail", "fileList": []},
            {"result": "fail"}, null,
        ]});
        let Event::TranscoderCompleted { result, uids } = Event::read(81, &details) else {
            panic!()
        };
        assert_eq!(result, Some(TranscodeResult::Partial));
        let users: Vec<_> = uids
            .iter()
            .map(|user| (user.uid.as_str(), user.result.clone(), user.file_list.len()))
            .collect();
        assert_eq!(
            users,
            [
                ("2001", Some(TranscodeResult::Success), 1),
                ("2002", Some(TranscodeResult::Failed), 0)
            ]
        );
        let details = json!({"vendor": 1, "region": "2", "bucket": "b", "filename": "a.ts;b.ts"});
        let read = Event::read(90, &details);
        assert_eq!(
            read,
            Event::DownloadFailed {
                vendor: Some(1),
                region: Some(2),
                bucket: Some("b".to_owned()),
                file_names: vec!["a.ts".to_owned(), "b.ts".to_owned()],
            }
        );
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
