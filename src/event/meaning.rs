//! What a callback says, whoever asks: one reading for the session, alerts, notices, files and
//! reports. Must not know any of them.

use super::{
    ComponentStatus, ErrorLevel, Event, EventType, LeaveCode, LeaveStatus, Part, PushStatus,
    RecordedFile, ServiceStatus, StreamState, TranscodeResult, TranscodedUser, UploadingStatus,
    WebStopCode,
};
use crate::named::named;

/// What a callback says. One of a stage beside the recording says nothing of the recording's state:
/// no phase, no work, no upload, no sign.
#[derive(Clone, Debug, PartialEq)]
pub struct Meaning<'a> {
    /// Whether it is the recording's own.
    pub part: Part,
    /// What part of the service it is about.
    pub family: Family,
    /// What the recording does.
    pub phase: Option<Phase>,
    /// What the recorder says about itself.
    pub work: Option<Work>,
    /// What it shows of its recorder.
    pub sign: Option<Sign>,
    /// When what it shows began, where it says so, ms since the epoch.
    pub began_at: Option<u64>,
    /// What it reports about the files.
    pub upload: Option<Upload>,
    /// The recorder that it announces (12).
    pub announces: Option<&'a str>,
    /// What is wrong, in a stage beside the recording, too.
    pub trouble: Option<Trouble>,
    /// The files that it speaks of, those of a stage beside the recording, too; `None` if it isn't
    /// about files.
    pub files: Option<NamedFiles<'a>>,
}

/// What part of the service an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// The service as a whole.
    Service,
    /// Errors and warnings.
    Errors,
    /// A recorder.
    Recorder,
    /// An uploader.
    Uploader,
    /// A user's stream.
    Streams,
    /// Files, transcoding, pushing, and what isn't documented.
    Files,
}

named! {
    /// What the recording does.
    pub enum Phase {
        /// The service or a new recorder is being set up.
        Starting = "starting",
        /// The recorder is at work.
        Recording = "recording",
        /// The recorder has left; files may still be uploaded.
        Stopping = "stopping",
        /// The service has exited as it should.
        Ended = "ended",
        /// The recording died, or could not begin.
        Failed = "failed",
    }
}

/// What a callback shows of its recorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// 40 without an abnormal status, 70: it began its work.
    Started,
    /// 42: it makes slices.
    Slice,
    /// 43, 44: it receives a stream.
    Stream,
    /// 11: it exited.
    Exited,
}

impl Sign {
    /// True where the recorder is at work, which heals an earlier failure.
    #[must_use]
    pub fn shows_work(self) -> bool {
        match self {
            Self::Started | Self::Slice => true,
            Self::Stream | Self::Exited => false,
        }
    }
}

/// What a recorder says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// 40: it started, or could not.
    Started(Option<ComponentStatus>),
    /// 41: it left the channel.
    Left(Option<LeaveCode>),
    /// 70: a web page recorder started.
    WebStarted,
    /// 71: a web page recorder stopped.
    WebStopped(Option<WebStopCode>),
    /// 72: the page asks for too much.
    CapabilityLimit,
}

impl Work {
    /// The number of its event.
    #[must_use]
    pub fn event_type(self) -> EventType {
        match self {
            Self::Started(_) => EventType::RECORDER_STARTED,
            Self::Left(_) => EventType::RECORDER_LEAVE,
            Self::WebStarted => EventType::WEB_RECORDER_STARTED,
            Self::WebStopped(_) => EventType::WEB_RECORDER_STOPPED,
            Self::CapabilityLimit => EventType::WEB_RECORDER_CAPABILITY_LIMIT,
        }
    }

    /// The code that stands in it, under Agora's name.
    #[must_use]
    pub fn code(self) -> Option<(CodeName, Option<i64>)> {
        match self {
            Self::Started(status) => Some((CodeName::Status, status.map(|code| code.0))),
            Self::Left(code) => Some((CodeName::LeaveCode, code.map(|code| code.0))),
            Self::WebStopped(code) => Some((CodeName::Code, code.map(|code| code.0))),
            Self::WebStarted | Self::CapabilityLimit => None,
        }
    }

    /// Reads it back from the number of its event and its code, which `code` looks up.
    #[must_use]
    pub fn read(event_type: EventType, code: impl Fn(CodeName) -> Option<i64>) -> Option<Self> {
        match event_type {
            EventType::RECORDER_STARTED => {
                Some(Self::Started(code(CodeName::Status).map(ComponentStatus)))
            }
            EventType::RECORDER_LEAVE => Some(Self::Left(code(CodeName::LeaveCode).map(LeaveCode))),
            EventType::WEB_RECORDER_STARTED => Some(Self::WebStarted),
            EventType::WEB_RECORDER_STOPPED => {
                Some(Self::WebStopped(code(CodeName::Code).map(WebStopCode)))
            }
            EventType::WEB_RECORDER_CAPABILITY_LIMIT => Some(Self::CapabilityLimit),
            EventType(_) => None,
        }
    }

    /// True where the work is over.
    #[must_use]
    pub fn is_over(self) -> bool {
        match self {
            Self::Left(_) | Self::WebStopped(_) | Self::CapabilityLimit => true,
            Self::Started(_) | Self::WebStarted => false,
        }
    }

    /// What is wrong with it: it ended abnormally, could not begin, or was killed.
    #[must_use]
    pub fn trouble(self) -> Option<TroubleKind> {
        let abnormal = |is_abnormal: bool| is_abnormal.then_some(TroubleKind::AbnormalExit);
        match self {
            Self::Started(status) => abnormal(status.is_some_and(ComponentStatus::is_abnormal)),
            Self::Left(Some(code)) if code.is_killed() => Some(TroubleKind::Killed),
            Self::Left(code) => abnormal(code.is_some_and(LeaveCode::is_init_failure)),
            Self::WebStopped(code) => abnormal(code.is_some_and(WebStopCode::is_abnormal)),
            Self::CapabilityLimit => abnormal(true),
            Self::WebStarted => None,
        }
    }
}

named! {
    /// What became of the files. Only `Confirmed` says that all is well.
    pub enum UploadState {
        /// All files are in the user's storage, or in video on demand.
        Confirmed = "confirmed",
        /// All files are uploaded, some only to Agora's backup.
        Backup = "backup",
        /// Those of some recorders are confirmed, or in the backup, those of others aren't.
        Partial = "partial",
        /// Some files are still at Agora, to be uploaded later.
        Stranded = "stranded",
        /// Nothing says that the files are anywhere.
        Unconfirmed = "unconfirmed",
        /// Nothing is expected to be uploaded.
        None = "none",
    }
}

impl UploadState {
    /// True where all files are accounted for.
    #[must_use]
    pub fn is_confirmed(self) -> bool {
        match self {
            Self::Confirmed | Self::Backup => true,
            Self::Partial | Self::Stranded | Self::Unconfirmed | Self::None => false,
        }
    }
}

/// What a callback reported about the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// 30, 31, 32 or 61.
    pub event_type: EventType,
    /// Anything but 0 is abnormal.
    pub status: Option<ComponentStatus>,
    /// Whether files are still at Agora.
    pub uploading_status: Option<UploadingStatus>,
    /// The files go to video on demand: a 31 or 32 confirms nothing.
    pub goes_on_demand: bool,
}

impl Upload {
    /// What it says about the files.
    #[must_use]
    pub fn state(&self) -> UploadState {
        let is_abnormal = self.status.is_some_and(ComponentStatus::is_abnormal);
        if self.event_type == EventType::VOD_TRIGGERED {
            return UploadState::Confirmed;
        }
        if self.event_type == EventType::UPLOADER_STARTED || is_abnormal || self.goes_on_demand {
            return UploadState::Unconfirmed;
        }
        // Only these words say that the files are anywhere.
        match self.uploading_status {
            Some(UploadingStatus::Stranded) => UploadState::Stranded,
            Some(UploadingStatus::Other(_)) => UploadState::Unconfirmed,
            Some(UploadingStatus::Uploaded | UploadingStatus::Backuped) | None => {
                if self.is_backup() {
                    UploadState::Backup
                } else {
                    UploadState::Confirmed
                }
            }
        }
    }

    /// True for a 32, and for a 31 that says the same.
    #[must_use]
    pub fn is_backup(&self) -> bool {
        self.event_type == EventType::BACKUPED
            || self.uploading_status == Some(UploadingStatus::Backuped)
    }

    /// True for a 31, a 32 or a 61: the uploader is through, however it went.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.event_type != EventType::UPLOADER_STARTED
    }
}

/// What is wrong, as a callback says it.
#[derive(Clone, Debug, PartialEq)]
pub struct Trouble {
    /// What it is.
    pub kind: TroubleKind,
    /// What the callback says about it; what can't be read is `None`.
    pub codes: Vec<(CodeName, Option<String>)>,
}

impl Trouble {
    /// A code of it, if it can be read.
    #[must_use]
    pub fn code(&self, name: CodeName) -> Option<&str> {
        let (_, code) = self.codes.iter().find(|(other, _)| *other == name)?;
        code.as_deref()
    }
}

named! {
    /// What is wrong, as a callback says it.
    pub enum TroubleKind {
        /// 1 with `errorLevel` 5 or more.
        FatalError = "fatal error",
        /// A recorder ended abnormally, or could not begin.
        AbnormalExit = "abnormal exit",
        /// 41: a signal killed the recorder. Agora may replace it.
        Killed = "killed",
        /// 32, or a 31 that says the same: files only reached Agora's backup.
        BackupOnlyUpload = "backup",
        /// 30 or 31 with an abnormal status.
        ComponentFailure = "component failure",
        /// Postponed transcoding lacks files (81, 90, 1001).
        TranscodingFailed = "transcoding failed",
        /// 34: the storage's temporary credentials have expired.
        StorageCredentialsExpired = "credentials expired",
        /// 42 after an interruption: seconds are lost.
        RecordingGap = "gap",
        /// 12: a new recorder takes over.
        Failover = "failover",
        /// 100: a push to a live audience broke off.
        PushDisconnected = "push disconnected",
    }
}

impl TroubleKind {
    /// True where the recorder failed: it died, could not begin, or may die.
    #[must_use]
    pub fn is_failure(self) -> bool {
        match self {
            Self::FatalError | Self::AbnormalExit | Self::Killed => true,
            Self::BackupOnlyUpload
            | Self::ComponentFailure
            | Self::TranscodingFailed
            | Self::StorageCredentialsExpired
            | Self::RecordingGap
            | Self::Failover
            | Self::PushDisconnected => false,
        }
    }
}

named! {
    /// The name of something that an alert says in a number or a word: Agora's own names of codes,
    /// and ours of what else tells one trouble from another. In the order of their words.
    pub enum CodeName {
        /// `backup_only_upload_resolved`: the backup, ms since the epoch.
        BackedUpAt = "backedUpAt",
        /// Where files lie (90).
        Bucket = "bucket",
        /// Why a web page recorder stopped (71).
        Code = "code",
        /// `upload_unconfirmed`: recorders whose files are confirmed, joined by `, `.
        ConfirmedUids = "confirmedUids",
        /// How many alerts a digest is about.
        Count = "count",
        /// 16 hex digits over all details.
        DetailsHash = "detailsHash",
        /// When recording stopped before it went on (42), ms since the epoch.
        DiscontinueUtcMs = "discontinueUtcMs",
        /// What went wrong (1).
        ErrorCode = "errorCode",
        /// How bad it is (1).
        ErrorLevel = "errorLevel",
        /// Agora's description (1).
        ErrorMsg = "errorMsg",
        /// `transcoding_failed`: users without their files, joined by `, `.
        FailedUids = "failedUids",
        /// Files that can't be downloaded, joined by `;` (90).
        FileName = "fileName",
        /// The beginning of the hour, ms since the epoch.
        Hour = "hour",
        /// `session_silent`: the last heartbeat, ms since the epoch.
        LastHeartbeat = "lastHeartbeat",
        /// Why a recorder left (41).
        LeaveCode = "leaveCode",
        /// How the service exited (11).
        LeaveStatus = "leaveStatus",
        /// What a page asks too much of (72).
        LimitType = "limitType",
        /// Why a web page recorder stopped, in a word (71).
        Message = "message",
        /// The beginning of the minute, ms since the epoch.
        Minute = "minute",
        /// Where it went wrong (1).
        Module = "module",
        /// The recorder that took over.
        NewUid = "newUid",
        /// `upload_unconfirmed`: the end of the recording, ms since the epoch.
        OverSince = "overSince",
        /// Where a push goes, without its stream key (100).
        PushAddress = "pushAddress",
        /// The recorder.
        Recorder = "recorder",
        /// See [`CodeName::Bucket`].
        Region = "region",
        /// The number of the event that reported a component's failure.
        ReportedBy = "reportedBy",
        /// How a transcoding ended (81, 1001).
        Result = "result",
        /// The scene of the callback, where it names one.
        ServiceScene = "serviceScene",
        /// `recording`, or `other` for a stage beside it.
        Stage = "stage",
        /// When recording went on (42), ms since the epoch.
        StartUtcMs = "startUtcMs",
        /// The event status; no severity (1).
        Stat = "stat",
        /// Anything but 0 is abnormal (3, 30, 31, 32, 40).
        Status = "status",
        /// Whose stream it is (42).
        StreamUid = "streamUid",
        /// The beginning of ten minutes, ms since the epoch.
        TenMinutes = "tenMinutes",
        /// `upload_unconfirmed`: the recorders whose files aren't confirmed, where others' are.
        UnconfirmedUids = "unconfirmedUids",
        /// `upload_unconfirmed`: `stranded` where files are still at Agora, to be uploaded later.
        UploadState = "uploadState",
        /// What 31 and 32 say besides.
        UploadingStatus = "uploadingStatus",
        /// See [`CodeName::Bucket`].
        Vendor = "vendor",
    }
}

/// The files that a callback speaks of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NamedFiles<'a> {
    /// Those of a list.
    Listed(&'a [RecordedFile]),
    /// Those of users whose transcoding is done.
    OfUsers(&'a [TranscodedUser]),
}

impl<'a> NamedFiles<'a> {
    /// Each of them. Transcoding that failed has left none.
    #[must_use]
    pub fn list(self) -> Vec<&'a RecordedFile> {
        match self {
            Self::Listed(files) => files.iter().collect(),
            Self::OfUsers(users) => {
                let users = users.iter().filter(|user| !user.has_no_file());
                users.flat_map(|user| &user.file_list).collect()
            }
        }
    }
}

impl Meaning<'_> {
    /// What failed, if its recorder did.
    #[must_use]
    pub fn failure(&self) -> Option<TroubleKind> {
        let kind = self.trouble.as_ref()?.kind;
        kind.is_failure().then_some(kind)
    }
}

impl Event {
    /// What it says. `event_type` is its number, `scene` the callback's `serviceScene`.
    #[must_use]
    pub fn meaning(&self, event_type: u32, scene: Option<&str>) -> Meaning<'_> {
        let part = Part::of_scene(scene);
        let about = |family| Meaning {
            part,
            family,
            phase: None,
            work: None,
            sign: None,
            began_at: None,
            upload: None,
            announces: None,
            trouble: None,
            files: None,
        };
        let upload = |status: &Option<ComponentStatus>,
                      uploading_status: Option<UploadingStatus>| Upload {
            event_type: EventType(event_type),
            status: *status,
            uploading_status,
            goes_on_demand: part == Part::OnDemand,
        };
        // `phase` is that of an orderly one; `more` is what it says beside its code.
        let worked = |work: Work, phase, more: Vec<(CodeName, Option<String>)>| {
            let kind = work.trouble();
            let has_begun = !work.is_over() && kind.is_none();
            let code = work.code().map(|(name, code)| (name, number(code)));
            Meaning {
                phase: Some(match kind {
                    Some(TroubleKind::AbnormalExit | TroubleKind::Killed) => Phase::Failed,
                    Some(_) | None => phase,
                }),
                work: Some(work),
                sign: has_begun.then_some(Sign::Started),
                trouble: kind.map(|kind| trouble(kind, code.into_iter().chain(more).collect())),
                ..about(Family::Recorder)
            }
        };
        let meaning = match self {
            Self::CloudRecordingError {
                module,
                error_level,
                error_code,
                stat,
                error_msg,
            } => {
                let is_fatal = error_level.is_some_and(ErrorLevel::is_fatal);
                let codes = || {
                    vec![
                        (CodeName::Module, number(module.map(|code| code.0))),
                        (CodeName::ErrorLevel, number(error_level.map(|code| code.0))),
                        (CodeName::ErrorCode, number(*error_code)),
                        (CodeName::Stat, number(stat.map(|code| code.0))),
                        (CodeName::ErrorMsg, error_msg.clone()),
                    ]
                };
                Meaning {
                    phase: is_fatal.then_some(Phase::Failed),
                    trouble: is_fatal.then(|| trouble(TroubleKind::FatalError, codes())),
                    ..about(Family::Errors)
                }
            }
            Self::CloudRecordingWarning { .. } => about(Family::Errors),
            Self::CloudRecordingStatusUpdate {
                status, file_list, ..
            } => {
                let has_exited = *status == Some(ServiceStatus::ABNORMAL_EXIT);
                let codes = || vec![(CodeName::Status, number(status.map(|code| code.0)))];
                Meaning {
                    phase: status.and_then(phase_of_status),
                    trouble: has_exited.then(|| trouble(TroubleKind::AbnormalExit, codes())),
                    files: (!file_list.is_empty()).then_some(NamedFiles::Listed(file_list)),
                    ..about(Family::Service)
                }
            }
            Self::CloudRecordingFileInfos { file_list } => Meaning {
                files: Some(NamedFiles::Listed(file_list)),
                ..about(Family::Files)
            },
            Self::SessionExit { leave_status } => {
                let is_abnormal = leave_status.is_some_and(LeaveStatus::is_abnormal);
                let status = || number(leave_status.map(|code| code.0));
                let codes = || vec![(CodeName::LeaveStatus, status())];
                Meaning {
                    phase: Some(if is_abnormal {
                        Phase::Failed
                    } else {
                        Phase::Ended
                    }),
                    sign: Some(Sign::Exited),
                    trouble: is_abnormal.then(|| trouble(TroubleKind::AbnormalExit, codes())),
                    ..about(Family::Service)
                }
            }
            Self::SessionFailover { new_uid } => Meaning {
                announces: new_uid.as_deref(),
                trouble: Some(trouble(
                    TroubleKind::Failover,
                    vec![(CodeName::NewUid, new_uid.clone())],
                )),
                ..about(Family::Service)
            },
            Self::HighAvailabilityRegistered => about(Family::Service),
            Self::UploaderStarted { status } => Meaning {
                upload: Some(upload(status, None)),
                trouble: component_trouble(status),
                ..about(Family::Uploader)
            },
            Self::Uploaded {
                status,
                file_list,
                uploading_status,
            }
            | Self::Backuped {
                status,
                file_list,
                uploading_status,
            } => {
                let upload = upload(status, uploading_status.clone());
                let word = uploading_status
                    .as_ref()
                    .map(|word| word.as_str().to_owned());
                let backup = || {
                    let codes = vec![
                        (CodeName::Status, number(status.map(|code| code.0))),
                        (CodeName::UploadingStatus, word),
                    ];
                    trouble(TroubleKind::BackupOnlyUpload, codes)
                };
                Meaning {
                    trouble: if upload.is_backup() {
                        Some(backup())
                    } else {
                        component_trouble(status)
                    },
                    upload: Some(upload),
                    files: Some(NamedFiles::Listed(file_list)),
                    ..about(Family::Uploader)
                }
            }
            Self::UploadingProgress { .. } => about(Family::Uploader),
            Self::StorageTokenExpired => Meaning {
                trouble: Some(trouble(TroubleKind::StorageCredentialsExpired, Vec::new())),
                ..about(Family::Uploader)
            },
            Self::RecorderStarted { status } => {
                worked(Work::Started(*status), Phase::Recording, Vec::new())
            }
            Self::RecorderLeave { leave_code } => {
                worked(Work::Left(*leave_code), Phase::Stopping, Vec::new())
            }
            Self::RecorderSliceStart {
                start_utc_ms,
                stream_uid,
                ..
            } => {
                let gap = self.interruption().map(|(stop, start)| {
                    let codes = vec![
                        (CodeName::StartUtcMs, Some(start.to_string())),
                        (CodeName::DiscontinueUtcMs, Some(stop.to_string())),
                        (CodeName::StreamUid, stream_uid.clone()),
                    ];
                    trouble(TroubleKind::RecordingGap, codes)
                });
                Meaning {
                    phase: Some(Phase::Recording),
                    sign: Some(Sign::Slice),
                    began_at: *start_utc_ms,
                    trouble: gap,
                    ..about(Family::Recorder)
                }
            }
            Self::StreamStateChanged { state, .. } => Meaning {
                sign: (*state == Some(StreamState::RECEIVING)).then_some(Sign::Stream),
                ..about(Family::Streams)
            },
            Self::RecorderAudioInfoChanged | Self::RecorderVideoInfoChanged => {
                about(Family::Recorder)
            }
            Self::VodTriggered => Meaning {
                upload: Some(Upload {
                    event_type: EventType::VOD_TRIGGERED,
                    status: None,
                    uploading_status: None,
                    goes_on_demand: true,
                }),
                files: Some(NamedFiles::Listed(&[])),
                ..about(Family::Files)
            },
            Self::WebRecorderStarted {
                recorder_start_time,
            } => Meaning {
                began_at: *recorder_start_time,
                ..worked(Work::WebStarted, Phase::Recording, Vec::new())
            },
            Self::WebRecorderStopped {
                code,
                message,
                file_list,
                ..
            } => {
                let message = vec![(CodeName::Message, message.clone())];
                Meaning {
                    files: Some(NamedFiles::Listed(file_list)),
                    ..worked(Work::WebStopped(*code), Phase::Stopping, message)
                }
            }
            Self::WebRecorderCapabilityLimit { limit_type } => {
                let limit = vec![(CodeName::LimitType, limit_type.clone())];
                worked(Work::CapabilityLimit, Phase::Failed, limit)
            }
            Self::WebRecorderReload { .. } => about(Family::Recorder),
            Self::TranscoderStarted => Meaning {
                part: Part::Beside,
                ..about(Family::Files)
            },
            Self::TranscoderCompleted { result, uids } => {
                let lacks_files = match result {
                    Some(TranscodeResult::Partial | TranscodeResult::Failed) => true,
                    Some(TranscodeResult::Success | TranscodeResult::Other(_)) | None => false,
                };
                let without = uids.iter().filter(|user| user.has_no_file());
                let without: Vec<_> = without.map(|user| user.uid.as_str()).collect();
                let codes = vec![
                    (CodeName::Result, word(result)),
                    (CodeName::FailedUids, Some(without.join(", "))),
                ];
                Meaning {
                    part: Part::Beside,
                    trouble: lacks_files.then(|| trouble(TroubleKind::TranscodingFailed, codes)),
                    files: Some(NamedFiles::OfUsers(uids)),
                    ..about(Family::Files)
                }
            }
            Self::DownloadFailed {
                vendor,
                region,
                bucket,
                file_names,
            } => {
                let codes = vec![
                    (CodeName::Vendor, number(*vendor)),
                    (CodeName::Region, number(*region)),
                    (CodeName::Bucket, bucket.clone()),
                    (CodeName::FileName, Some(file_names.join(";"))),
                ];
                Meaning {
                    part: Part::Beside,
                    trouble: Some(trouble(TroubleKind::TranscodingFailed, codes)),
                    ..about(Family::Files)
                }
            }
            Self::PostponeTranscodeFinalResult { result, file_list } => {
                let (is_success, left_files) = match result {
                    Some(TranscodeResult::Success) => (true, file_list.as_slice()),
                    Some(TranscodeResult::Failed) => (false, [].as_slice()),
                    Some(TranscodeResult::Partial | TranscodeResult::Other(_)) | None => {
                        (false, file_list.as_slice())
                    }
                };
                let codes = || vec![(CodeName::Result, word(result))];
                Meaning {
                    part: Part::Beside,
                    trouble: (!is_success)
                        .then(|| trouble(TroubleKind::TranscodingFailed, codes())),
                    files: Some(NamedFiles::Listed(left_files)),
                    ..about(Family::Files)
                }
            }
            Self::RtmpPublishStatus { rtmp_url, status } => {
                let broke_off = *status == Some(PushStatus::Disconnected);
                let address = || rtmp_url.as_ref().map(ToString::to_string);
                let codes = || vec![(CodeName::PushAddress, address())];
                Meaning {
                    trouble: broke_off.then(|| trouble(TroubleKind::PushDisconnected, codes())),
                    ..about(Family::Files)
                }
            }
            Self::RecorderSnapshotFile { .. }
            | Self::VodStarted { .. }
            | Self::CloudTranscoder { .. }
            | Self::Other => about(Family::Files),
        };
        match meaning.part {
            Part::Recording | Part::OnDemand => meaning,
            Part::Beside => Meaning {
                phase: None,
                work: None,
                sign: None,
                upload: None,
                announces: None,
                ..meaning
            },
        }
    }

    /// When recording stopped and when it went on, where the event reports an interruption; ms
    /// since the epoch.
    #[must_use]
    pub fn interruption(&self) -> Option<(u64, u64)> {
        let Self::RecorderSliceStart {
            start_utc_ms: Some(start),
            discontinue_utc_ms: Some(stop),
            ..
        } = self
        else {
            return None;
        };
        (stop < start).then_some((*stop, *start))
    }
}

fn phase_of_status(status: ServiceStatus) -> Option<Phase> {
    match status {
        ServiceStatus::NOT_STARTED
        | ServiceStatus::INITIALIZED
        | ServiceStatus::RECORDER_STARTING
        | ServiceStatus::UPLOADER_READY => Some(Phase::Starting),
        ServiceStatus::RECORDER_READY | ServiceStatus::RUNNING => Some(Phase::Recording),
        ServiceStatus::STOPPED | ServiceStatus::SERVICE_STOPPED | ServiceStatus::READY_TO_EXIT => {
            Some(Phase::Stopping)
        }
        ServiceStatus::ABNORMAL_EXIT => Some(Phase::Failed),
        ServiceStatus(_) => None,
    }
}

fn trouble(kind: TroubleKind, codes: Vec<(CodeName, Option<String>)>) -> Trouble {
    Trouble { kind, codes }
}

fn component_trouble(status: &Option<ComponentStatus>) -> Option<Trouble> {
    let status = status.filter(|status| status.is_abnormal())?;
    let codes = vec![(CodeName::Status, number(Some(status.0)))];
    Some(trouble(TroubleKind::ComponentFailure, codes))
}

fn number(code: Option<i64>) -> Option<String> {
    code.map(|code| code.to_string())
}

fn word(result: &Option<TranscodeResult>) -> Option<String> {
    result.as_ref().map(|result| result.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_trouble_is_said_by_a_callback() {
        let troubled = [
            json!({"errorLevel": 5, "status": 20, "leaveCode": 0, "leaveStatus": 1, "code": 4,
                "startUtcMs": 9, "discontinueUtcMs": 1, "result": "fail"}),
            json!({"leaveCode": 2, "status": "disconnected"}),
        ];
        let said = EventType::DOCUMENTED.iter().flat_map(|event_type| {
            let events = troubled
                .each_ref()
                .map(|details| Event::read(event_type.0, details));
            events.map(|event| Some(event.meaning(event_type.0, None).trouble?.kind))
        });
        let said: Vec<_> = said.flatten().collect();
        for kind in TroubleKind::ALL {
            assert!(
                said.contains(&kind),
                "src/event/meaning.rs: no callback says {kind:?}"
            );
        }
    }
}
