//! The sentences of an alert: what it means, and what to do now. Pure.
//!
//! Texts from outside are cleaned before they get here; protocols and lengths are `message`'s.

use super::{Alert, AlertKind, KeyPart, code};
use crate::event::{self, EventType, Module};
use crate::text::utc;

/// How long Agora keeps a file in its backup: 10 days, in ms.
pub const BACKUP_KEPT_MS: u64 = 10 * 24 * 60 * 60 * 1000;

/// Words for one alert; texts from outside in them are clean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// What happened, a few words for a subject.
    pub title: String,
    /// What happened, a sentence or two.
    pub what: String,
    /// What to do now, one step a line.
    pub steps: Vec<String>,
}

/// What an alert means, and what to do now.
#[must_use]
pub fn in_words(alert: &Alert) -> Words {
    match alert.kind {
        AlertKind::FatalError => fatal_error(alert),
        AlertKind::AbnormalExit => Words {
            title: "Recording exited abnormally".to_owned(),
            what: format!(
                "The recording service has exited with leaveStatus {} (abnormal exit). Nothing is being recorded any more.",
                alert.codes.get("leaveStatus").map_or("unknown", String::as_str)
            ),
            steps: vec![
                "If the call is still running, start a new recording now (acquire, then start with another recorder uid).".to_owned(),
                "Look for the cause in the events before this one; an error (event 1) usually precedes it.".to_owned(),
                "Check your storage for the files made so far; an upload callback (31 or 32) may still come.".to_owned(),
            ],
        },
        AlertKind::BackupOnlyUpload => Words {
            title: "Recording only reached Agora's backup".to_owned(),
            what: format!(
                "At least one file could not be uploaded to your storage and is in Agora Cloud Backup. Agora moves it by itself and \
                 deletes the backup after 10 days, on {}.",
                utc(alert.at.saturating_add(BACKUP_KEPT_MS))
            ),
            steps: vec![
                "Check that your storage accepts uploads: bucket, region, access key, permissions, quota.".to_owned(),
                "In a few minutes, check that every file is in your storage and plays. The playlist's name may carry an index."
                    .to_owned(),
                format!(
                    "If something is still missing: contact Agora support with the sid before {}; after that the files are gone.",
                    utc(alert.at.saturating_add(BACKUP_KEPT_MS))
                ),
            ],
        },
        AlertKind::SessionSilent => Words {
            title: "Recording has gone silent".to_owned(),
            what: format!(
                "No heartbeat since {}; one is due every minute. No exit was reported.",
                time_of(alert, code::LAST_HEARTBEAT)
            ),
            steps: vec![
                "Call query for this recording: a 404 or a final status means that the recording is dead.".to_owned(),
                "If it is dead and the call is still running, start a new recording now (acquire, then start with another recorder uid).".to_owned(),
                "If it is still running, callbacks are getting lost: check this function's errors and the notification settings in the Agora console.".to_owned(),
            ],
        },
        AlertKind::UploadUnconfirmed => Words {
            title: "Upload was never confirmed".to_owned(),
            what: format!(
                "The recording ended at {}. Neither an upload (event 31) nor a backup (32) has been reported since.",
                time_of(alert, code::OVER_SINCE)
            ),
            steps: vec![
                "Check your storage: are all files there, and do they play?".to_owned(),
                "If not: contact Agora support with the sid; what is in Agora's backup is kept for 10 days.".to_owned(),
            ],
        },
        AlertKind::SessionSilentResolved => Words {
            title: "Recording is no longer silent".to_owned(),
            what: format!(
                "It had been silent since {}. {}",
                time_of(alert, code::LAST_HEARTBEAT),
                if alert.event_type == EventType::UPLOADING_PROGRESS.0 {
                    format!("A heartbeat arrived at {}.", utc(alert.at))
                } else {
                    format!("It ended at {} (event {}).", utc(alert.at), alert.event_type)
                }
            ),
            steps: vec!["Nothing to do. If you started a second recording in the meantime, decide which one to keep.".to_owned()],
        },
        AlertKind::UploadUnconfirmedResolved => Words {
            title: "Upload is confirmed after all".to_owned(),
            what: if alert.event_type == EventType::BACKUPED.0 {
                "The files are reported now, but some of them only in Agora's backup; a separate alert covers that.".to_owned()
            } else {
                "Agora now reports all files in your storage.".to_owned()
            },
            steps: vec!["Nothing to do.".to_owned()],
        },
        AlertKind::BackupOnlyUploadResolved => Words {
            title: "Files have left Agora's backup".to_owned(),
            what: "After the backup an upload was reported: all files are in your storage now.".to_owned(),
            steps: vec!["Nothing to do, but check that the recording plays.".to_owned()],
        },
        AlertKind::ComponentFailure => Words {
            title: "Part of the recording failed".to_owned(),
            what: format!("Event {} reports an abnormal state: {}.", alert.event_type, codes_in_words(alert)),
            steps: vec![
                "Call query for this recording to see whether it still runs.".to_owned(),
                "If it doesn't and the call is still running, start a new recording (acquire, then start with another recorder uid).".to_owned(),
            ],
        },
        AlertKind::TranscodingFailed => Words {
            title: "Transcoding lacks files".to_owned(),
            what: format!("Event {} reports that files are missing: {}.", alert.event_type, codes_in_words(alert)),
            steps: vec!["Check which files are in your storage; those of the recording itself aren't affected.".to_owned()],
        },
        AlertKind::StorageCredentialsExpired => Words {
            title: "Storage credentials have expired".to_owned(),
            what: "The temporary credentials of your storage have expired: nothing is uploaded until they are replaced.".to_owned(),
            steps: vec!["Call update for this recording with new storage credentials.".to_owned()],
        },
        AlertKind::PushDisconnected => Words {
            title: "Push to the live audience broke off".to_owned(),
            what: format!("Event {} reports: {}.", alert.event_type, codes_in_words(alert)),
            steps: vec!["Check the server that is pushed to.".to_owned()],
        },
        AlertKind::AbnormalExitResolved => Words {
            title: "Another recorder is at work".to_owned(),
            what: format!("Recorder {} exited abnormally; another one has taken over.", crate::text::clean(&alert.uid, 64)),
            steps: vec!["Nothing to do.".to_owned()],
        },
        AlertKind::RecordingGap => Words {
            title: "Recording has a gap".to_owned(),
            what: match (alert.code("startUtcMs"), alert.code("discontinueUtcMs")) {
                (Some(start), Some(stop)) => {
                    let lost_ms = start.saturating_sub(stop);
                    format!("The recording was interrupted and has resumed; {}.{} s were lost.", lost_ms / 1000, lost_ms % 1000 / 100)
                }
                (Some(_) | None, _) => "The recording was interrupted and has resumed; some seconds were lost.".to_owned(),
            },
            steps: vec!["No restart is needed. Tell anyone who relies on a complete recording.".to_owned()],
        },
        AlertKind::Failover => Words {
            title: "Recorder was replaced".to_owned(),
            what: "Agora's high availability has started another recorder. Up to 90 seconds may be lost.".to_owned(),
            steps: vec![
                "Use the new recorder uid in query, updateLayout and stop; they may return 404 for a few seconds.".to_owned(),
                "Look for files that begin with bak in your storage: they are the new recorder's.".to_owned(),
                "Agora fails over at most three times; the next failure after that ends the recording.".to_owned(),
            ],
        },
    }
}

fn fatal_error(alert: &Alert) -> Words {
    let module = alert.code("module").map(Module);
    let code = alert.code("errorCode");
    let scene = alert.codes.get(code::SERVICE_SCENE).map(String::as_str);
    let place = match module.and_then(|module| Some((module, module.meaning()?))) {
        Some((_, name)) => format!("in the {name}"),
        None => module.map_or_else(
            || "in an unnamed module".to_owned(),
            |module| format!("in module {module}"),
        ),
    };
    let number = code.map_or_else(|| "without a code".to_owned(), |code| code.to_string());
    let meaning = code
        .and_then(|code| event::error_meaning(module, scene, code))
        .unwrap_or("a code Agora doesn't document");
    let mut steps = vec![
        "Call query for this recording: 404 or status 20 means that it has stopped.".to_owned(),
    ];
    let cause = match (module, code) {
        (Some(Module::RECORDER), Some(109 | 110)) => {
            Some("Make a new token for exactly this channel and recorder uid.")
        }
        (Some(Module::RECORDER), Some(101)) => Some("Check the App ID."),
        (Some(Module::RECORDER), Some(120)) => {
            Some("Check the decryption mode and key that the recording was started with.")
        }
        (Some(Module::UPLOADER), Some(32)) => {
            Some("Check storageConfig: vendor, region, bucket, access key, secret key.")
        }
        (Some(Module::UPLOADER), Some(47 | 51)) | (Some(Module::PLATFORM), Some(50)) => Some(
            "Check that your storage accepts uploads, and which files arrived; what was not uploaded may be lost.",
        ),
        (Some(_) | None, _) => None,
    };
    steps.extend(cause.map(str::to_owned));
    steps.push(
        "If it has stopped and the call is still running, start a new recording now (acquire, then start with another recorder uid).".to_owned(),
    );
    Words {
        title: format!("Fatal recording error {number}"),
        what: format!("Fatal error {number} {place}: {meaning}."),
        steps,
    }
}

/// A time among the codes, for a person.
fn time_of(alert: &Alert, name: &str) -> String {
    let ms = alert.code(name).and_then(|ms| u64::try_from(ms).ok());
    ms.map_or_else(|| "an unknown time".to_owned(), utc)
}

fn codes_in_words(alert: &Alert) -> String {
    let codes: Vec<_> = alert
        .codes
        .iter()
        .filter(|(name, _)| !KeyPart::OWN_NAMES.contains(&name.as_str()))
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    if codes.is_empty() {
        "no code".to_owned()
    } else {
        codes.join(", ")
    }
}
