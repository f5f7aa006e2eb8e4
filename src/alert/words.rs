//! The sentences of an alert: what it means, and what to do now. Pure.
//!
//! Texts from outside are cleaned before they get here; protocols and lengths are `message`'s.

use super::{Alert, AlertKind};
use crate::event::{
    CodeName, ComponentStatus, EventType, LeaveCode, Module, Stat, UploadState, WebStopCode,
    error_meaning, error_readings, word_meaning,
};
use crate::text::{clean, utc};

/// How long Agora keeps a file in its backup: 10 days, in ms.
pub const BACKUP_KEPT_MS: u64 = 10 * 24 * 60 * 60 * 1000;

// During a failover query answers 404 for up to 90 seconds, too.
const QUERY: &str = "Call query for this recording: status 20, or a 404 that lasts for 90 seconds, \
    means that it has stopped.";
const START_AGAIN: &str = "If it has stopped and the call is still running, start a new recording \
    now (acquire, then start with another recorder uid).";
const FIND_THE_CAUSE: &str =
    "Look for the cause in the events before this one; an error (event 1) usually precedes it.";

/// Words for one alert; texts from outside in them are clean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// What happened, a few words for a subject.
    pub title: String,
    /// What happened, a sentence or two.
    pub what: String,
    /// What to do now, one step a line; the last one says how the alert is closed.
    pub steps: Vec<String>,
}

impl Words {
    fn new(title: &str, what: impl Into<String>, steps: &[&str]) -> Self {
        Self {
            title: title.to_owned(),
            what: what.into(),
            steps: steps.iter().map(|step| (*step).to_owned()).collect(),
        }
    }
}

/// What an alert means, and what to do now.
#[must_use]
pub fn in_words(alert: &Alert) -> Words {
    let mut words = match alert.kind {
        AlertKind::FatalError => fatal_error(alert),
        AlertKind::AbnormalExit => abnormal_exit(alert),
        AlertKind::BackupOnlyUpload => backup_only_upload(alert),
        AlertKind::ComponentFailure => component_failure(alert),
        AlertKind::TranscodingFailed => transcoding_failed(alert),
        AlertKind::StorageCredentialsExpired => Words::new(
            "Storage credentials have expired",
            "The temporary credentials of your storage have expired. Nothing is uploaded until \
             they are updated.",
            &[
                "Call update for this recording with new storage credentials now.",
                "Then check that the upload goes on: the progress of the heartbeats (event 33) \
                 rises again.",
                "Give the next recordings credentials that outlast them.",
            ],
        ),
        AlertKind::SessionSilent => session_silent(alert),
        AlertKind::UploadUnconfirmed => upload_unconfirmed(alert),
        AlertKind::RecordingGap => recording_gap(alert),
        AlertKind::Failover => Words::new(
            "Recorder was replaced",
            "Agora's high availability has started another recorder. Up to 90 seconds may be lost.",
            &[
                "Use the new recorder uid in query, updateLayout and stop; they may return 404 for \
                 a few seconds.",
                "Look for files that begin with bak in your storage: they are the new recorder's.",
                "Agora fails over at most three times; the next failure after that ends the \
                 recording.",
            ],
        ),
        AlertKind::PushDisconnected => push_disconnected(alert),
        AlertKind::AbnormalExitResolved => abnormal_exit_resolved(alert),
        AlertKind::SessionSilentResolved => session_silent_resolved(alert),
        AlertKind::UploadUnconfirmedResolved => upload_unconfirmed_resolved(alert),
        AlertKind::BackupOnlyUploadResolved => Words::new(
            "Files have left Agora's backup",
            "After the backup an upload was reported: all files are in your storage now.",
            &["Nothing to do, but check that the recording plays."],
        ),
    };
    words.steps.extend(closing(alert.kind).map(str::to_owned));
    words
}

/// How an alert is closed; `None` for a resolution, which closes one.
pub(super) fn closing(kind: AlertKind) -> Option<&'static str> {
    match kind {
        AlertKind::AbnormalExit => Some(
            "This alert closes by itself only if another recorder takes over; otherwise close it \
             when you are done.",
        ),
        AlertKind::SessionSilent => Some(
            "Leave this alert open: it closes by itself when a heartbeat arrives or the recording \
             ends.",
        ),
        AlertKind::UploadUnconfirmed => {
            Some("Leave this alert open: it closes by itself when the files are confirmed.")
        }
        AlertKind::BackupOnlyUpload => Some(
            "Leave this alert open: it closes by itself when Agora reports all files in your \
             storage.",
        ),
        AlertKind::FatalError
        | AlertKind::ComponentFailure
        | AlertKind::TranscodingFailed
        | AlertKind::StorageCredentialsExpired
        | AlertKind::RecordingGap
        | AlertKind::Failover
        | AlertKind::PushDisconnected => {
            Some("This alert doesn't close by itself: close it when you are done.")
        }
        AlertKind::AbnormalExitResolved
        | AlertKind::SessionSilentResolved
        | AlertKind::UploadUnconfirmedResolved
        | AlertKind::BackupOnlyUploadResolved => None,
    }
}

fn fatal_error(alert: &Alert) -> Words {
    let module = alert.number(CodeName::Module).map(Module);
    let code = alert.number(CodeName::ErrorCode);
    let number = code.map_or_else(|| "without a code".to_owned(), |code| code.to_string());
    let meaning = error_meaning(module, code, alert.number(CodeName::Stat).map(Stat));
    let readings = code.map_or_else(Vec::new, |code| error_readings(module, code));
    let mut steps = readings.iter().map(|row| row.step).collect::<Vec<_>>();
    steps.retain(|step| !step.is_empty());
    if steps.is_empty() {
        steps.push("If a new recording fails in the same way, contact Agora support with the sid.");
    }
    steps.insert(0, QUERY);
    steps.push(START_AGAIN);
    Words::new(
        &format!("Fatal recording error {number}"),
        format!("Fatal error {number}{}: {meaning}.", Module::place(module)),
        &steps,
    )
}

/// `recorder 5`; the message must hold when another one has replaced it.
fn recorder(alert: &Alert) -> String {
    match alert.uid.as_str() {
        "" => "the recorder".to_owned(),
        uid => format!("recorder {}", clean(uid, 64)),
    }
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

fn abnormal_exit(alert: &Alert) -> Words {
    let who = capitalized(&recorder(alert));
    let code = |name| alert.code(name).unwrap_or("unknown");
    let web_page_step = "Open the recorded page in a browser: it has to load in time, without a \
                         login, and within what the recorder can do (resolution, WebGL, \
                         bandwidth).";
    let (title, what, step) = match EventType(alert.event_type) {
        EventType::CLOUD_RECORDING_STATUS_UPDATE => (
            "Recorder exited abnormally",
            format!(
                "{who} exited abnormally: the service reports status {}.",
                code(CodeName::Status)
            ),
            FIND_THE_CAUSE,
        ),
        EventType::RECORDER_STARTED => (
            "Recorder did not start",
            format!(
                "{who} did not start: event 40 reports status {}.",
                code(CodeName::Status)
            ),
            FIND_THE_CAUSE,
        ),
        EventType::RECORDER_LEAVE => {
            let (title, what) = abnormal_leave(alert, &who);
            (title, what, FIND_THE_CAUSE)
        }
        EventType::WEB_RECORDER_STOPPED => {
            let stop = alert.number(CodeName::Code).map(WebStopCode);
            let is_about_the_page = stop.is_some_and(|code| code.is_about_the_page());
            let stop = stop.map_or_else(|| "unknown".to_owned(), |code| code.to_string());
            let message = alert.code(CodeName::Message);
            let message = message.map_or_else(String::new, |text| format!("; Agora says: {text}"));
            (
                "Web page recorder stopped abnormally",
                format!("{who} stopped recording the page with code {stop}{message}."),
                if is_about_the_page {
                    web_page_step
                } else {
                    FIND_THE_CAUSE
                },
            )
        }
        EventType::WEB_RECORDER_CAPABILITY_LIMIT => (
            "Web page recorder stopped abnormally",
            format!(
                "{who} stopped: the page asks for more than it can do ({}).",
                word_meaning(code(CodeName::LimitType)).unwrap_or(code(CodeName::LimitType))
            ),
            web_page_step,
        ),
        _ => (
            "Recorder exited abnormally",
            format!(
                "{who} exited abnormally, with exit status {}.",
                code(CodeName::LeaveStatus)
            ),
            FIND_THE_CAUSE,
        ),
    };
    Words::new(
        title,
        what,
        &[
            "Call query for this recording: it goes on if another recorder has taken over (event \
             12). A final status, or a 404 that lasts for 90 seconds, means that it has stopped.",
            START_AGAIN,
            step,
            "Check your storage for the files made so far; an upload callback (31 or 32) may still \
             come.",
        ],
    )
}

fn abnormal_leave(alert: &Alert, who: &str) -> (&'static str, String) {
    let Some(code) = alert.number(CodeName::LeaveCode).map(LeaveCode) else {
        return (
            "Recorder left the channel",
            format!("{who} left the channel, unexpectedly."),
        );
    };
    if code.is_init_failure() {
        return (
            "Recorder failed to initialize",
            format!("{who} left the channel with leaveCode {code}."),
        );
    }
    let other = code.meaning_of_2021().map_or_else(String::new, |other| {
        format!(" In Agora's specification of 2021 the same code means: {other}.")
    });
    (
        "Recorder was killed",
        format!(
            "{who} left the channel with leaveCode {code}, and no other recorder has taken \
             over.{other}"
        ),
    )
}

fn backup_only_upload(alert: &Alert) -> Words {
    let gone = utc(alert.at.saturating_add(BACKUP_KEPT_MS));
    let mut what = format!(
        "At least one file{} could not be uploaded to your storage and is in Agora Cloud Backup. \
         Agora moves it by itself and deletes the backup after 10 days, on {gone}.",
        of_stage(alert)
    );
    if let Some(status) = alert
        .number(CodeName::Status)
        .filter(|status| *status != ComponentStatus::NORMAL.0)
    {
        what.push_str(&format!(" The event reports the abnormal status {status}."));
    }
    if let Some(word) = alert.code(CodeName::UploadingStatus) {
        what.push_str(&format!(" Its uploadingStatus is {word}."));
    }
    Words {
        title: "Recording only reached Agora's backup".to_owned(),
        what,
        steps: vec![
            "Check that your storage accepts uploads: bucket, region, access key, permissions, \
             quota."
                .to_owned(),
            "In a few minutes, check that every file is in your storage and plays. The playlist's \
             name may carry an index."
                .to_owned(),
            format!(
                "If something is still missing: contact Agora support with the sid before {gone}; \
                 after that the files are gone."
            ),
        ],
    }
}

/// What the files are, where they aren't the recording's own.
fn of_stage(alert: &Alert) -> &'static str {
    match alert.code(CodeName::Stage) {
        Some("other") => " of a snapshot or a transcoding",
        Some(_) | None => "",
    }
}

fn component_failure(alert: &Alert) -> Words {
    let (who, of_stage) = (recorder(alert), of_stage(alert));
    let status = alert.code(CodeName::Status).unwrap_or("unknown");
    if EventType(alert.event_type) == EventType::UPLOADER_STARTED {
        Words::new(
            "Uploader did not start",
            format!(
                "The uploader of {who} reports the abnormal status {status} (event 30). Files may \
                 not be uploaded."
            ),
            &[
                "Check that your storage accepts uploads: bucket, region, access key, permissions, \
                 quota.",
                "After the end of the recording, check that every file is in your storage and \
                 plays.",
            ],
        )
    } else {
        Words::new(
            "Upload ended abnormally",
            format!(
                "The upload of {who} reports the abnormal status {status} (event 31). \
                 Files{of_stage} may be missing from your storage."
            ),
            &[
                "Check in your storage which files are there, and whether they play.",
                "If something is missing, contact Agora support with the sid: a backup is kept for \
                 10 days at most.",
            ],
        )
    }
}

fn transcoding_failed(alert: &Alert) -> Words {
    let code = |name| alert.code(name).unwrap_or("(none reported)");
    let what = match EventType(alert.event_type) {
        EventType::DOWNLOAD_FAILED => format!(
            "Files could not be downloaded from the bucket {} for postponed transcoding: {}.",
            code(CodeName::Bucket),
            code(CodeName::FileName)
        ),
        _ => {
            let users = alert.code(CodeName::FailedUids);
            let users =
                users.map_or_else(String::new, |uids| format!(" Without a file: uid {uids}."));
            format!(
                "Postponed transcoding ended with the result {}.{users}",
                code(CodeName::Result)
            )
        }
    };
    Words::new(
        "Transcoding lacks files",
        what,
        &[
            "The recording's own files are another matter: check in your storage that they are \
             there and play.",
            "Transcode the missing ones yourself, or contact Agora support with the sid.",
        ],
    )
}

fn session_silent(alert: &Alert) -> Words {
    Words::new(
        "Recording has gone silent",
        format!(
            "No heartbeat since {}; one is due every minute. No exit was reported.",
            time_of(alert, CodeName::LastHeartbeat)
        ),
        &[
            "Call query for this recording: a final status, or a 404 that lasts for 90 seconds, \
             means that it has stopped.",
            START_AGAIN,
            "If it is still running, callbacks are getting lost: check the errors of the function \
             that receives them, and the notification settings in the Agora console.",
        ],
    )
}

fn session_silent_resolved(alert: &Alert) -> Words {
    let how = if EventType(alert.event_type) == EventType::UPLOADING_PROGRESS {
        format!("A heartbeat arrived at {}.", utc(alert.at))
    } else {
        format!(
            "It ended at {} (event {}).",
            utc(alert.at),
            alert.event_type
        )
    };
    Words::new(
        "Recording is no longer silent",
        format!(
            "It had been silent since {}. {how}",
            time_of(alert, CodeName::LastHeartbeat)
        ),
        &[
            "Nothing to do. If you started a second recording in the meantime, decide which one to \
             keep.",
        ],
    )
}

fn upload_unconfirmed(alert: &Alert) -> Words {
    let why = if let Some(uids) = alert.code(CodeName::UnconfirmedUids) {
        let others = alert.code(CodeName::ConfirmedUids).unwrap_or("another");
        format!(
            "Only the files of recorder {others} are confirmed, those of recorder {uids} aren't."
        )
    } else if let Some(state) = alert.code(CodeName::UploadState) {
        format!("The last report says that files are {state} at Agora, to be uploaded later.")
    } else if let Some(status) = alert.number(CodeName::Status) {
        format!("An upload with the abnormal status {status} was reported.")
    } else if let Some(word) = alert.code(CodeName::UploadingStatus) {
        format!("An upload with the uploadingStatus {word} was reported, which confirms nothing.")
    } else {
        "No upload (event 31) or backup (32) that confirms its files has been reported since."
            .to_owned()
    };
    Words::new(
        "Upload was never confirmed",
        format!(
            "The recording ended at {}. {why}",
            time_of(alert, CodeName::OverSince)
        ),
        &[
            "Check your storage: are all files there, and do they play?",
            "If not: contact Agora support with the sid; what is in Agora's backup is kept for 10 \
             days.",
        ],
    )
}

fn upload_unconfirmed_resolved(alert: &Alert) -> Words {
    let is_backup = alert.code(CodeName::UploadState) == Some(UploadState::Backup.as_str());
    let what = if is_backup {
        "The files are reported now, but some of them only in Agora's backup; a separate alert \
         covers that."
    } else if EventType(alert.event_type) == EventType::VOD_TRIGGERED {
        "Agora now reports all files in video on demand."
    } else {
        "Agora now reports all files in your storage."
    };
    Words::new("Upload is confirmed after all", what, &["Nothing to do."])
}

fn recording_gap(alert: &Alert) -> Words {
    let lost = match (
        alert.number(CodeName::StartUtcMs),
        alert.number(CodeName::DiscontinueUtcMs),
    ) {
        (Some(start), Some(stop)) => {
            let lost_ms = start.saturating_sub(stop);
            format!("{}.{} s", lost_ms / 1000, lost_ms % 1000 / 100)
        }
        (Some(_) | None, _) => "some seconds".to_owned(),
    };
    Words::new(
        "Recording has a gap",
        format!("The recording was interrupted and has resumed; {lost} were lost."),
        &["No restart is needed. Tell anyone who relies on a complete recording."],
    )
}

fn push_disconnected(alert: &Alert) -> Words {
    let address = alert
        .code(CodeName::PushAddress)
        .unwrap_or("an unknown address");
    Words::new(
        "Push to the live audience broke off",
        format!(
            "The push to {address} broke off: its audience sees nothing. The recording itself may \
             go on."
        ),
        &[
            "Check that the server is up and still takes this stream key.",
            "If it doesn't come back, update the recording with the push address, or stop and \
             start it.",
        ],
    )
}

fn abnormal_exit_resolved(alert: &Alert) -> Words {
    let who = capitalized(&recorder(alert));
    let other = match alert.code(CodeName::NewUid) {
        Some(uid) => format!("recorder {uid}"),
        None => "another recorder".to_owned(),
    };
    let lost = "Up to 90 seconds may be lost.";
    if EventType(alert.event_type).is_of_an_end() {
        return Words::new(
            "Another recorder took over",
            format!(
                "{who} had exited abnormally; {other} took over, and has ended as it should. {lost}"
            ),
            &["Nothing to restart: the recording is over."],
        );
    }
    Words::new(
        "Another recorder is at work",
        format!("{who} had exited abnormally; {other} is at work in its place. {lost}"),
        &["Nothing to restart. Use the new recorder uid in query, updateLayout and stop."],
    )
}

/// A time among the codes, for a person.
fn time_of(alert: &Alert, name: CodeName) -> String {
    let ms = alert.number(name).and_then(|ms| u64::try_from(ms).ok());
    ms.map_or_else(|| "an unknown time".to_owned(), utc)
}
