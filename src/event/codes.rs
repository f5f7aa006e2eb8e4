//! Agora's code tables: numbers that stay numbers, and what they mean in words.
//!
//! Each code is a newtype over the integer that was received, with named constants for the values
//! the specification knows and a `meaning` for a person. A value nobody has documented keeps its
//! number; nothing here refuses or maps to "ok".

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
            /// Every documented value, with its words.
            pub(super) const WORDS: &[($int, &str)] = &[$(($value, $words)),*];

            /// What the value means, in words; `None` for one that isn't documented.
            #[must_use]
            pub fn meaning(self) -> Option<&'static str> {
                let known = Self::WORDS.iter().find(|(value, _)| *value == self.0);
                known.map(|(_, words)| *words)
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

    /// True for what ends a recording: 11, 31, 32, 41, 61, 71.
    #[must_use]
    pub fn is_of_an_end(self) -> bool {
        [
            Self::SESSION_EXIT,
            Self::UPLOADED,
            Self::BACKUPED,
            Self::RECORDER_LEAVE,
            Self::VOD_TRIGGERED,
            Self::WEB_RECORDER_STOPPED,
        ]
        .contains(&self)
    }

    /// True for an error, a warning and a status: no sign that a recorder is at work.
    #[must_use]
    pub fn is_of_any_service(self) -> bool {
        [
            Self::CLOUD_RECORDING_ERROR,
            Self::CLOUD_RECORDING_WARNING,
            Self::CLOUD_RECORDING_STATUS_UPDATE,
        ]
        .contains(&self)
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

impl Module {
    /// Where it happened: ` in the recorder`; empty where no module is named.
    #[must_use]
    pub fn place(module: Option<Self>) -> String {
        match module {
            Some(module) => match module.meaning() {
                Some(name) => format!(" in the {name}"),
                None => format!(" in module {}", module.0),
            },
            None => String::new(),
        }
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
    /// `details.stat` of event 1, from 8 up a mask. It is no severity: fatal errors were seen with
    /// 0.
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
        RECORDER_STARTING = 2 => "the recorder and the other parts are starting",
        UPLOADER_READY = 3 => "some parts are ready, the uploader among them",
        RECORDER_READY = 4 => "all parts are ready, the recorder among them",
        RUNNING = 5 => "the recording is running; in the specification of 2021: its first file \
            is uploaded",
        STOPPED = 6 => "the recording stops, or was asked to",
        SERVICE_STOPPED = 7 => "all parts have stopped",
        READY_TO_EXIT = 8 => "the recording has exited, or is ready to",
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
    /// `recordingMode` of event 3. Editions differ, so no decision is made on it.
    RecordingMode {
        INDIVIDUAL = 0 => "individual; in Agora's Chinese list: composite",
        COMPOSITE = 1 => "composite; in Agora's Chinese list: individual",
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
        START_ENGINE_FAILED = 3 => "the recording engine did not start",
        PAGE_LOAD_TIMEOUT = 4 => "the page did not load in time",
        ACCESS_URL_FAILED = 5 => "the page could not be reached",
        RECORDER_ERROR = 6 => "the recorder had an error and could not go on",
    }
}

impl WebStopCode {
    /// True where the page is the reason.
    #[must_use]
    pub fn is_about_the_page(self) -> bool {
        [
            Self::CAPABILITY_LIMIT,
            Self::PAGE_LOAD_TIMEOUT,
            Self::ACCESS_URL_FAILED,
        ]
        .contains(&self)
    }

    /// True unless the user stopped it or the planned time was over.
    #[must_use]
    pub fn is_abnormal(self) -> bool {
        self != Self::OK && self != Self::MAX_RECORDING_HOUR
    }
}

impl Stat {
    /// Everything in it, in words; `None` for 0, which says nothing, and for what isn't documented.
    #[must_use]
    pub fn in_words(self) -> Option<String> {
        let polls = Self::WORDS
            .iter()
            .filter(|(bit, _)| *bit >= 8 && self.0 & bit != 0);
        match self.meaning() {
            _ if self == Self::OK => None,
            Some(words) => Some(words.to_owned()),
            None => Some(
                polls
                    .map(|(_, words)| *words)
                    .collect::<Vec<_>>()
                    .join("; "),
            )
            .filter(|words| self.0 > 0 && !words.is_empty()),
        }
    }
}

/// What a word of Agora's in events 72 and 73 means; `None` for one that isn't documented.
#[must_use]
pub fn word_meaning(word: &str) -> Option<&'static str> {
    WORDS
        .iter()
        .find(|(known, _)| *known == word)
        .map(|(_, meaning)| *meaning)
}

/// The words of `limitType` (event 72) and `reason` (73).
pub(super) const WORDS: [(&str, &str); 5] = [
    ("resolution", "it shows a video of more than 1280 x 720"),
    ("WebGL", "it uses WebGL"),
    (
        "bandwidth",
        "it sends more than 10 Mbit/s or receives more than 1 Gbit/s",
    ),
    ("audio_silence", "its sound was lost"),
    ("page_load_timeout", "it did not load in time"),
];

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
    /// 0: the recorder could not begin, or not go on.
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
    /// The initialization failed.
    pub const INIT_FAILED: Self = Self(0);
    const INTERRUPTED: i64 = 1;
    const SIGNAL: i64 = 2;
    const NO_USERS: i64 = 4;
    const TIMER_CATCH: i64 = 8;
    const CLIENT_LEAVE: i64 = 16;
    const DOCUMENTED: i64 = 31;

    /// True where the initialization failed.
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
        if self.0 & Self::DOCUMENTED == 0 || self.0 < 0 {
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
        let reasons = self.reasons().into_iter().map(LeaveReason::meaning);
        let mut words = reasons.collect::<Vec<_>>().join("; ");
        let rest = self.0 & !Self::DOCUMENTED;
        if rest != 0 {
            words.push_str(&format!("; and {rest}, which Agora doesn't document"));
        }
        (!words.starts_with(';')).then_some(words)
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
            (31, vec![Stopped, NoUsers, Signal, Interrupted]),
            (48, vec![Stopped]),
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
        assert_eq!(
            LeaveCode(80).to_string(),
            "80 (stop was called; and 64, which Agora doesn't document)"
        );
        assert_eq!(
            (LeaveCode(64).meaning(), LeaveCode(-1).meaning()),
            (None, None)
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
    fn a_stat_is_a_number_or_a_mask_of_several() {
        for (stat, words) in [
            (0, None),
            (2, Some("joining the channel failed")),
            (16, Some("poll hang-up")),
            (24, Some("poll error; poll hang-up")),
            (64, None),
            (-1, None),
        ] {
            assert_eq!(Stat(stat).in_words().as_deref(), words, "{stat}");
        }
    }

    #[test]
    fn only_fatal_levels_are_fatal() {
        assert!(!ErrorLevel::MAJOR.is_fatal());
        assert!(ErrorLevel::FATAL.is_fatal());
        assert!(ErrorLevel(6).is_fatal());
    }
}
