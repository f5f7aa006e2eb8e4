//! Agora's code tables: numbers that stay numbers, and what they mean in words.
//!
//! Each code is a newtype over the integer that was received, with named constants for the values the specification knows
//! and a `meaning` for a person. A value nobody has documented keeps its number; nothing here refuses or maps to "ok".

use std::fmt;

/// Declares an open code: a newtype over `i64`, a constant and words for each documented value.
macro_rules! code {
    ($(#[$doc:meta])* $name:ident { $($(#[$value_doc:meta])* $konst:ident = $value:literal => $words:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);

        impl $name {
            $(#[doc = $words] $(#[$value_doc])* pub const $konst: Self = Self($value);)*

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
    /// `serviceType`: which part of the service speaks (section "Fields in payload", newer ones from the field).
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
    /// `errorCode` of event 1 where the module is the uploader (section "Error codes related to uploading").
    UploadErrorCode {
        STORAGE_CONFIGURATION = 32 => "the configuration of the third-party cloud storage is wrong",
        UPLOAD_FAILED = 47 => "the recording file upload failed",
        PROCESSING_FAILED = 51 => "the uploader could not process the recorded files",
    }
}

code! {
    /// `errorCode` of event 1 where the module is the platform (section "Error codes for the Agora Cloud Recording platform").
    PlatformErrorCode {
        UPLOAD_TIMEOUT = 50 => "uploading the recorded files timed out",
        START_TIMEOUT = 52 => "starting the Cloud Recording Service timed out",
    }
}

code! {
    /// `errorCode` of event 1 where the module is the recorder: the recording SDK's and the RTC engine's numbers.
    RecorderErrorCode {
        OK = 0 => "no error",
        GENERAL = 1 => "general error",
        INVALID_ARGUMENT = 2 => "invalid argument",
        INTERNAL = 3 => "internal failure",
        JOIN_REJECTED = 17 => "joining the channel was rejected: already in it",
        LEAVE_REJECTED = 18 => "leaving the channel was rejected",
        ALREADY_IN_USE = 19 => "the resource is already in use",
        TOO_FREQUENT = 20 => "the request was dropped: too frequent",
        INVALID_APP_ID = 101 => "the App ID is invalid",
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
    /// `warnCode` of event 2 where the module is the uploader (section "Warning codes related to uploading").
    UploadWarnCode {
        REUPLOAD_TO_STORAGE = 31 => "the slice file is uploaded again to the specified cloud storage",
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
    /// `recordingMode` of event 3, as the specification prints it. Other editions print 0 and 1 the other way round, so no
    /// decision is made on it.
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
/// The specification prints a list of single values; every source since 2020 and real traffic (24 after a plain stop) say a
/// bit mask with other meanings. Bits of the mask are read where they say more; the specification's words otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaveCode(pub i64);

impl LeaveCode {
    /// The initialization failed: the recorder never got in.
    pub const INIT_FAILED: Self = Self(0);
    /// Bit 2: killed by a signal.
    pub const SIGNAL: i64 = 2;
    /// Bit 4: no user in the channel for `maxIdleTime`.
    pub const NO_USERS: i64 = 4;
    /// Bit 8: carries no meaning alone in the mask; the specification's "stop was called".
    pub const TIMER_CATCH: i64 = 8;
    /// Bit 16: the recording was told to leave.
    pub const CLIENT_LEAVE: i64 = 16;

    /// True where the recorder never got into the channel.
    #[must_use]
    pub fn is_init_failure(self) -> bool {
        self == Self::INIT_FAILED
    }

    /// What the value means, in words; `None` for one that isn't documented.
    #[must_use]
    pub fn meaning(self) -> Option<&'static str> {
        match self.0 {
            0 => Some("the initialization failed"),
            1 => Some("the recorder was interrupted by a signal"),
            8 => Some("stop was called"),
            bits if !(0..32).contains(&bits) => None,
            bits if bits & Self::CLIENT_LEAVE != 0 => Some("stop was called"),
            bits if bits & Self::NO_USERS != 0 => {
                Some("there was no user in the channel for the idle time")
            }
            bits if bits & Self::SIGNAL != 0 => Some("the recorder was killed by a signal"),
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
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// What an `errorCode` means, which depends on the module that reports it.
#[must_use]
pub fn error_meaning(module: Option<Module>, code: i64) -> Option<&'static str> {
    match module {
        Some(Module::RECORDER) => RecorderErrorCode(code).meaning(),
        Some(Module::UPLOADER) => UploadErrorCode(code).meaning(),
        Some(Module::PLATFORM) => PlatformErrorCode(code).meaning(),
        Some(Module(_)) | None => None,
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
        assert_eq!(LeaveCode(24).meaning(), Some("stop was called"));
        assert_eq!(LeaveCode(8).meaning(), Some("stop was called"));
        assert_eq!(
            LeaveCode(4).meaning(),
            Some("there was no user in the channel for the idle time")
        );
        assert_eq!(
            LeaveCode(2).meaning(),
            Some("the recorder was killed by a signal")
        );
        assert_eq!(LeaveCode(64).meaning(), None);
        assert_eq!(LeaveCode(-1).meaning(), None);
        assert!(LeaveCode(0).is_init_failure());
    }

    #[test]
    fn the_same_error_code_means_different_things_in_different_modules() {
        assert_eq!(
            error_meaning(Some(Module::UPLOADER), 47),
            Some("the recording file upload failed")
        );
        assert_eq!(error_meaning(Some(Module::RECORDER), 47), None);
        assert_eq!(error_meaning(None, 47), None);
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
