//! Agora's code tables: numbers that stay numbers, and what they mean in words.
//!
//! Each code is a newtype over the integer that was received, with named constants for the values
//! the specification knows and a `meaning` for a person. A value nobody has documented keeps its
//! number; nothing here refuses or maps to "ok".

use super::scene::is_web_page;
use std::fmt;

/// Declares an open code: a newtype over an integer, a constant and words for each documented
/// value.
macro_rules! code {
    ($(#[$doc:meta])* $name:ident { $($rest:tt)* }) => {
        code! { $(#[$doc])* $name: i64 { $($rest)* } }
    };
    ($(#[$doc:meta])* $name:ident: $int:ty {
        $($(#[$value_doc:meta])* $konst:ident = $value:literal => $words:literal,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $int);

        impl $name {
            $(
                #[doc = concat!("`", stringify!($value), "`: `", $words, "`.")]
                $(#[$value_doc])*
                pub const $konst: Self = Self($value);
            )*

            /// The values that are documented.
            pub const DOCUMENTED: &[Self] = &[$(Self($value),)*];

            /// What the value means, in words; `None` for one that isn't documented.
            #[must_use]
            pub fn meaning(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($words),)*
                    _ => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.meaning() {
                    Some(words) => write!(f, "{} ({words})", self.0),
                    None => write!(f, "{}", self.0),
                }
            }
        }
    };
}

code! {
    /// `eventType`: what a callback reports. The words are the specification's `msgName`.
    EventType: u32 {
        CLOUD_RECORDING_ERROR = 1 => "cloud_recording_error",
        CLOUD_RECORDING_WARNING = 2 => "cloud_recording_warning",
        CLOUD_RECORDING_STATUS_UPDATE = 3 => "cloud_recording_status_update",
        CLOUD_RECORDING_FILE_INFOS = 4 => "cloud_recording_file_infos",
        SESSION_EXIT = 11 => "session_exit",
        SESSION_FAILOVER = 12 => "session_failover",
        HIGH_AVAILABILITY_REGISTERED = 13 => "high_availability_registered",
        UPLOADER_STARTED = 30 => "uploader_started",
        UPLOADED = 31 => "uploaded",
        BACKUPED = 32 => "backuped",
        UPLOADING_PROGRESS = 33 => "uploading_progress",
        STORAGE_TOKEN_EXPIRED = 34 => "sts_expired",
        RECORDER_STARTED = 40 => "recorder_started",
        RECORDER_LEAVE = 41 => "recorder_leave",
        RECORDER_SLICE_START = 42 => "recorder_slice_start",
        AUDIO_STREAM_STATE_CHANGED = 43 => "recorder_audio_stream_state_changed",
        VIDEO_STREAM_STATE_CHANGED = 44 => "recorder_video_stream_state_changed",
        RECORDER_SNAPSHOT_FILE = 45 => "recorder_snapshot_file",
        RECORDER_AUDIO_INFO_CHANGED = 46 => "recorder_audio_info_changed",
        RECORDER_VIDEO_INFO_CHANGED = 47 => "recorder_video_info_changed",
        VOD_STARTED = 60 => "vod_started",
        VOD_TRIGGERED = 61 => "vod_triggered",
        WEB_RECORDER_STARTED = 70 => "web_recorder_started",
        WEB_RECORDER_STOPPED = 71 => "web_recorder_stopped",
        WEB_RECORDER_CAPABILITY_LIMIT = 72 => "web_recorder_capability_limit",
        WEB_RECORDER_RELOAD = 73 => "web_recorder_reload",
        TRANSCODER_STARTED = 80 => "transcoder_started",
        TRANSCODER_COMPLETED = 81 => "transcoder_completed",
        DOWNLOAD_FAILED = 90 => "download_failed",
        RTMP_PUBLISH_STATUS = 100 => "rtmp_publish_status",
        CLOUD_TRANSCODER_STARTED = 110 => "cloud_transcoder_started",
        CLOUD_TRANSCODER_STOPPED = 111 => "cloud_transcoder_stopped",
        CLOUD_TRANSCODER_STATUS = 112 => "cloud_transcoder_status",
        CLOUD_TRANSCODER_UPDATED = 113 => "cloud_transcoder_updated",
        POSTPONE_TRANSCODE_FINAL_RESULT = 1001 => "postpone_transcode_final_result",
    }
}

impl EventType {
    /// The specification's name of it; `unknown` for one that isn't documented.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.meaning().unwrap_or("unknown")
    }
}

code! {
    /// `serviceType`: which part of the service speaks (section "Fields in payload", newer ones
    /// from the field).
    ServiceType {
        CLOUD_RECORDING = 0 => "cloud recording service",
        RECORDER = 1 => "recorder module",
        UPLOADER = 2 => "uploader module",
        CONTENT_RECOGNITION = 3 => "content recognition",
        EXTENSION = 4 => "extension services",
        WEB_RECORDER = 6 => "web page recording",
        TRANSCODER = 7 => "postponed transcoding",
        DOWNLOADER = 8 => "download module",
    }
}

code! {
    /// `details.module` of events 1 and 2. Its numbers are not those of `serviceType`.
    Module {
        RECORDER = 0 => "recorder",
        UPLOADER = 1 => "uploader",
        PLATFORM = 2 => "Agora Cloud Recording Service",
        WEB_RECORDER = 6 => "web page recording",
    }
}

code! {
    /// `details.errorLevel` of event 1.
    ErrorLevel {
        DEBUG = 1 => "debug",
        MINOR = 2 => "minor",
        MEDIUM = 3 => "medium",
        MAJOR = 4 => "major",
        FATAL = 5 => "fatal",
    }
}

impl ErrorLevel {
    /// True from "fatal" up: the recording may exit.
    #[must_use]
    pub fn is_fatal(self) -> bool {
        self >= Self::FATAL
    }
}

code! {
    /// `errorCode` of event 1 where the module is the uploader (section "Error codes related to
    /// uploading").
    UploadErrorCode {
        STORAGE_CONFIGURATION = 32 => "the configuration of the third-party cloud storage is wrong",
        UPLOAD_FAILED = 47 => "the recording file upload failed",
        PROCESSING_FAILED = 51 => "the uploader could not process the recorded files",
    }
}

code! {
    /// `errorCode` of event 1 where the module is the platform (section "Error codes for the Agora
    /// Cloud Recording platform").
    PlatformErrorCode {
        UPLOAD_TIMEOUT = 50 => "uploading the recorded files timed out",
        START_TIMEOUT = 52 => "starting the Cloud Recording Service timed out",
    }
}

code! {
    /// `errorCode` of event 1 where the module is the recorder: the recording SDK's and the RTC
    /// engine's numbers.
    RecorderErrorCode {
        OK = 0 => "no error",
        GENERAL = 1 => "general error",
        INVALID_ARGUMENT = 2 => "invalid argument",
        INTERNAL = 3 => "internal failure",
        JOIN_REJECTED = 17 => "joining the channel was rejected: already in it",
        LEAVE_REJECTED = 18 => "leaving the channel was rejected",
        ALREADY_IN_USE = 19 => "the resource is already in use",
        TOO_FREQUENT = 20 => "the request was dropped: too frequent",
        INVALID_APP_ID = 101 =>
            "the token is missing, expired or made with another certificate; \
            or the App ID is invalid",
        INVALID_CHANNEL_NAME = 102 => "the channel name is invalid",
        NO_SERVER = 103 => "no server in the region",
        TOKEN_EXPIRED = 109 => "the token has expired",
        INVALID_TOKEN = 110 => "the token is invalid, or made for another channel or uid",
        CONNECTION_INTERRUPTED = 111 => "the connection was interrupted for more than 4 s",
        CONNECTION_LOST = 112 => "the connection was lost for more than 10 s",
        NOT_IN_CHANNEL = 113 => "not in the channel",
        DECRYPTION_FAILED = 120 => "decryption failed: wrong key or mode",
        BANNED = 123 => "the recorder was banned or kicked by the server",
        INVALID_USER_ACCOUNT = 134 => "the user account is invalid",
    }
}

code! {
    /// `warnCode` of event 2 where the module is the uploader (section "Warning codes related to
    /// uploading").
    UploadWarnCode {
        REUPLOAD_TO_STORAGE = 31 =>
            "the slice file is uploaded again to the specified cloud storage",
        REUPLOAD_TO_BACKUP = 32 => "the slice file is uploaded again, to Agora Cloud Backup",
    }
}

code! {
    /// `warnCode` of event 2 where the module is the recorder: the recording SDK's numbers.
    RecorderWarnCode {
        NO_CHANNEL_RESOURCE = 103 => "no channel resource available",
        LOOKUP_TIMEOUT = 104 => "looking up the channel timed out",
        LOOKUP_REJECTED = 105 => "looking up the channel was rejected",
        OPEN_TIMEOUT = 106 => "opening the channel timed out",
        OPEN_REJECTED = 107 => "opening the channel was rejected",
        RESUMING = 108 => "the core service failed; the recording is being resumed",
        DECRYPTION = 120 => "decryption failed",
    }
}

code! {
    /// `details.stat` of event 1. It is no severity: fatal errors were seen with 0.
    Stat {
        OK = 0 => "normal",
        ENGINE_ERROR = 1 => "engine error",
        JOIN_FAILED = 2 => "joining the channel failed",
        CREATE_PROCESS_FAILED = 3 => "creating the process failed",
        BAD_MIXED_VIDEO = 4 => "bad mixed video parameters",
        NULL_POINTER = 5 => "null pointer",
        PROXY = 6 => "bad proxy parameters",
        POLL_ERROR = 8 => "poll error",
        POLL_HANG_UP = 16 => "poll hang-up",
        POLL_INVALID = 32 => "invalid poll",
    }
}

code! {
    /// `details.status` of event 3 (section "Status codes for the Agora Cloud Recording service").
    ServiceStatus {
        NOT_STARTED = 0 => "the recording has not started",
        INITIALIZED = 1 => "the initialization is complete",
        RECORDER_STARTING = 2 => "the recorder is starting",
        UPLOADER_READY = 3 => "the uploader is ready",
        RECORDER_READY = 4 => "the recorder is ready",
        RUNNING = 5 => "the first recorded file is uploaded, the recording is running",
        STOPPED = 6 => "the recording stops",
        SERVICE_STOPPED = 7 => "the Agora Cloud Recording service stops",
        READY_TO_EXIT = 8 => "the recording is ready to exit",
        ABNORMAL_EXIT = 20 => "the recording exits abnormally",
    }
}

code! {
    /// `details.status` of events 30, 31, 32 and 40: anything but 0 is abnormal.
    ComponentStatus {
        NORMAL = 0 => "normal",
    }
}

impl ComponentStatus {
    /// True for anything but 0.
    #[must_use]
    pub fn is_abnormal(self) -> bool {
        self != Self::NORMAL
    }
}

code! {
    /// `leaveStatus` (newer name `exitStatus`) of event 11: anything but 0 is abnormal.
    LeaveStatus {
        NORMAL = 0 => "normal exit",
        ABNORMAL = 1 => "abnormal exit",
    }
}

impl LeaveStatus {
    /// True for anything but 0.
    #[must_use]
    pub fn is_abnormal(self) -> bool {
        self != Self::NORMAL
    }
}

code! {
    /// `recordingMode` of event 3, as the specification prints it. Other editions print 0 and 1 the
    /// other way round, so no decision is made on it.
    RecordingMode {
        INDIVIDUAL = 0 => "individual",
        COMPOSITE = 1 => "composite",
    }
}

code! {
    /// `state` of events 43 and 44.
    StreamState {
        RECEIVING = 0 => "receiving",
        NOT_RECEIVING = 1 => "not receiving",
    }
}

code! {
    /// `code` of event 71.
    WebStopCode {
        OK = 0 => "stopped by the user",
        MAX_RECORDING_HOUR = 1 => "the maximum recording time was reached",
        CAPABILITY_LIMIT = 2 => "the page asks for more than the recorder can do",
        START_ENGINE_FAILED = 3 => "the engine did not start",
        PAGE_LOAD_TIMEOUT = 4 => "the page did not load in time",
        ACCESS_URL_FAILED = 5 => "the page could not be reached",
        RECORDER_ERROR = 6 => "recorder error",
    }
}

impl WebStopCode {
    /// True unless the user stopped it or the planned time was over.
    #[must_use]
    pub fn is_abnormal(self) -> bool {
        self != Self::OK && self != Self::MAX_RECORDING_HOUR
    }
}

/// `leaveCode` of event 41: why the recorder left the channel.
///
/// The specification of 2021 lists single values; every source since 2020 and real traffic (24
/// after a plain stop) say a mask of bits with other meanings. It is read as the mask; where the
/// two disagree about a value, [`LeaveCode::meaning_of_2021`] has the other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaveCode(pub i64);

/// One reason in a [`LeaveCode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaveReason {
    /// 0: it never got into the channel.
    InitFailed,
    /// Bit 1, which only the specification of 2021 knows.
    Interrupted,
    /// Bit 2.
    Signal,
    /// Bit 4: nobody was in the channel for `maxIdleTime`.
    NoUsers,
    /// Bit 8: says nothing beside another reason.
    TimerCatch,
    /// Bit 16: the recording was told to leave.
    Stopped,
}

impl LeaveReason {
    /// What it means, in words.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::InitFailed => "the initialization failed",
            Self::Interrupted => "the recorder was interrupted by a signal",
            Self::Signal => "the recorder was killed by a signal",
            Self::NoUsers => "there was no user in the channel for the idle time",
            Self::TimerCatch => "no reason given",
            Self::Stopped => "stop was called",
        }
    }
}

impl LeaveCode {
    /// The initialization failed: the recorder never got in.
    pub const INIT_FAILED: Self = Self(0);
    const INTERRUPTED: i64 = 1;
    const SIGNAL: i64 = 2;
    const NO_USERS: i64 = 4;
    const TIMER_CATCH: i64 = 8;
    const CLIENT_LEAVE: i64 = 16;

    /// True where the recorder never got into the channel.
    #[must_use]
    pub fn is_init_failure(self) -> bool {
        self == Self::INIT_FAILED
    }

    /// True where a signal killed the recorder: nobody stopped it, and it wasn't idle.
    #[must_use]
    pub fn is_killed(self) -> bool {
        let bits = self.0 & (Self::SIGNAL | Self::NO_USERS | Self::CLIENT_LEAVE);
        self.0 > 0 && bits == Self::SIGNAL
    }

    /// Every reason in the mask, the most telling first; none for a value that isn't documented.
    #[must_use]
    pub fn reasons(self) -> Vec<LeaveReason> {
        if self == Self::INIT_FAILED {
            return vec![LeaveReason::InitFailed];
        }
        if !(0..32).contains(&self.0) {
            return Vec::new();
        }
        let reasons: Vec<_> = [
            (Self::CLIENT_LEAVE, LeaveReason::Stopped),
            (Self::NO_USERS, LeaveReason::NoUsers),
            (Self::SIGNAL, LeaveReason::Signal),
            (Self::INTERRUPTED, LeaveReason::Interrupted),
        ]
        .into_iter()
        .filter(|(bit, _)| self.0 & bit != 0)
        .map(|(_, reason)| reason)
        .collect();
        if reasons.is_empty() {
            vec![LeaveReason::TimerCatch]
        } else {
            reasons
        }
    }

    /// Every reason in the mask, in words; `None` for a value that isn't documented.
    #[must_use]
    pub fn meaning(self) -> Option<String> {
        let reasons: Vec<_> = self
            .reasons()
            .into_iter()
            .map(LeaveReason::meaning)
            .collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    /// What the specification of 2021 says about a value of which everybody else says something
    /// else.
    #[must_use]
    pub fn meaning_of_2021(self) -> Option<&'static str> {
        match self.0 {
            Self::SIGNAL => Some("there was no user in the channel for the idle time"),
            Self::NO_USERS => Some("the recorder was terminated by a signal"),
            Self::TIMER_CATCH => Some("stop was called"),
            _ => None,
        }
    }
}

impl fmt::Display for LeaveCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.meaning() {
            Some(words) => write!(f, "{} ({words})", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

/// `trackType` of event 42 and of the entries of a file list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TrackType {
    /// `"audio"`: an audio file.
    Audio,
    /// `"video"`: a video file without audio.
    Video,
    /// `"audio_and_video"`: a video file with audio.
    AudioAndVideo,
    /// A word that isn't documented, kept.
    Other(String),
}

impl TrackType {
    /// Reads the specification's word.
    #[must_use]
    pub fn read(word: &str) -> Self {
        match word {
            "audio" => Self::Audio,
            "video" => Self::Video,
            "audio_and_video" => Self::AudioAndVideo,
            other => Self::Other(other.to_owned()),
        }
    }

    /// The specification's word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
            Self::AudioAndVideo => "audio_and_video",
            Self::Other(word) => word,
        }
    }
}

code! {
    /// `errorCode` of event 1 where it is of the list of common errors, those of the REST API: in
    /// web page recordings, and in every module but the uploader and the platform.
    RestErrorCode {
        INVALID_PARAMETER = 2 => "a parameter is invalid",
        ALREADY_RUNNING = 7 => "the recording is already running",
        INVALID_HEADER = 8 => "a field of the HTTP request header is wrong",
        STOPPED_AGAIN = 49 => "stop was called again",
        RUNNING_OTHERWISE = 53 => "the same recording is already running with other parameters",
        NOT_ENABLED = 62 => "Cloud Recording isn't enabled for the App ID",
        NETWORK_JITTER = 65 => "the network jittered; the request can be tried again",
        TOKEN_EXPIRED = 109 => "the token has expired",
        INVALID_TOKEN = 110 => "the token is invalid, or made for another channel or uid",
        WRONG_PARAMETER = 432 => "a parameter is wrong",
        RESOURCE_EXPIRED = 433 => "the resource has expired",
        NOTHING_RECORDED = 435 => "nobody was in the channel, nothing was recorded",
        EXITING = 501 => "the recording is exiting",
        INVALID_RESOURCE_ID = 1001 => "the resourceId can't be read",
        RESOURCE_MISMATCH = 1003 => "the App ID or the resource doesn't match",
        INVALID_CHANNEL_NAME = 1013 => "the name of the channel is invalid",
        WRONG_UIDS = 1028 => "the uids are wrong",
    }
}

/// What an `errorCode` means, which depends on the module that reports it and on whether a web page
/// is recorded.
#[must_use]
pub fn error_meaning(
    module: Option<Module>,
    scene: Option<&str>,
    code: i64,
) -> Option<&'static str> {
    let common = RestErrorCode(code).meaning();
    match module {
        Some(Module::RECORDER) if is_web_page(scene) => {
            common.or(RecorderErrorCode(code).meaning())
        }
        Some(Module::RECORDER) => RecorderErrorCode(code).meaning().or(common),
        Some(Module::UPLOADER) => UploadErrorCode(code).meaning(),
        Some(Module::PLATFORM) => PlatformErrorCode(code).meaning(),
        Some(Module(_)) | None => common,
    }
}

/// What a `warnCode` means, which depends on the module that reports it.
#[must_use]
pub fn warning_meaning(module: Option<Module>, code: i64) -> Option<&'static str> {
    match module {
        Some(Module::RECORDER) => RecorderWarnCode(code).meaning(),
        Some(Module::UPLOADER) => UploadWarnCode(code).meaning(),
        Some(Module(_)) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_codes_speak_and_unknown_codes_keep_their_number() {
        assert_eq!(
            ServiceStatus::ABNORMAL_EXIT.to_string(),
            "20 (the recording exits abnormally)"
        );
        assert_eq!(ServiceStatus(99).to_string(), "99");
        assert_eq!(
            UploadErrorCode::UPLOAD_FAILED.meaning(),
            Some("the recording file upload failed")
        );
        assert_eq!(TrackType::read("hologram").as_str(), "hologram");
    }

    #[test]
    fn a_leave_code_is_read_as_the_bit_mask_of_real_traffic() {
        use LeaveReason::{Interrupted, NoUsers, Signal, Stopped, TimerCatch};
        for (code, reasons) in [
            (24, vec![Stopped]),
            (8, vec![TimerCatch]),
            (4, vec![NoUsers]),
            (2, vec![Signal]),
            (6, vec![NoUsers, Signal]),
            (20, vec![Stopped, NoUsers]),
            (1, vec![Interrupted]),
            (64, vec![]),
            (-1, vec![]),
        ] {
            assert_eq!(LeaveCode(code).reasons(), reasons, "{code}");
        }
        assert_eq!(
            LeaveCode(6).to_string(),
            "6 (there was no user in the channel for the idle time; the recorder was killed by a \
             signal)"
        );
        assert!(LeaveCode(0).is_init_failure());
        let killed: Vec<_> = (-2..34)
            .filter(|code| LeaveCode(*code).is_killed())
            .collect();
        assert_eq!(killed, [2, 3, 10, 11]);
    }

    #[test]
    fn where_the_specification_of_2021_says_something_else_it_is_told() {
        let differ: Vec<_> = (0..32)
            .filter(|code| LeaveCode(*code).meaning_of_2021().is_some())
            .collect();
        assert_eq!(differ, [2, 4, 8]);
    }

    #[test]
    fn the_same_error_code_means_different_things_in_different_modules() {
        let room = None;
        let page = Some("web_record");
        for (module, scene, code, meaning) in [
            (
                Some(Module::UPLOADER),
                room,
                47,
                UploadErrorCode::UPLOAD_FAILED.meaning(),
            ),
            (Some(Module::RECORDER), room, 47, None),
            (Some(Module::RECORDER), room, 2, Some("invalid argument")),
            (
                Some(Module::RECORDER),
                page,
                2,
                Some("a parameter is invalid"),
            ),
            (
                Some(Module::RECORDER),
                room,
                65,
                RestErrorCode::NETWORK_JITTER.meaning(),
            ),
            (
                Some(Module::WEB_RECORDER),
                page,
                65,
                RestErrorCode::NETWORK_JITTER.meaning(),
            ),
            (None, room, 47, None),
        ] {
            assert_eq!(
                error_meaning(module, scene, code),
                meaning,
                "{module:?} {scene:?} {code}"
            );
        }
        assert!(
            RecorderErrorCode::INVALID_APP_ID
                .meaning()
                .is_some_and(|words| words.find("token") < words.find("App ID"))
        );
        assert_eq!(
            warning_meaning(Some(Module::UPLOADER), 32),
            UploadWarnCode::REUPLOAD_TO_BACKUP.meaning()
        );
    }

    #[test]
    fn only_fatal_levels_are_fatal() {
        assert!(!ErrorLevel::MAJOR.is_fatal());
        assert!(ErrorLevel::FATAL.is_fatal());
        assert!(ErrorLevel(6).is_fatal());
    }
}
