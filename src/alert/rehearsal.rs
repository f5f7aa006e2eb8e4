//! An alert that isn't one: to see whether alerts arrive. Marked so that neither a person nor a
//! program can mistake it. Pure.

use super::links::Links;
use super::message::{Incident, MAX_SMS, MAX_SUBJECT, Message, message};
use super::{Alert, AlertKey, AlertKind, Codes};
use crate::event::{CodeName, EventType};
use crate::text::ascii;
use serde_json::Value;

const MARK: &str = "[TEST]";
const EXPLANATION: &str =
    "This is a test. Nothing is wrong. Someone is checking that alerts reach you.";

/// The message of a test alert of `kind`, as a real one but for its marks: `[TEST]` in every text,
/// `test` among the attributes and in `metadata.additionalContext`. Its attributes are otherwise
/// those of a real one, so that filters treat it alike. `now_ms`, ms since the epoch, is its
/// incident: that of an alert and of what takes it back has to be the same.
#[must_use]
pub fn rehearsal(kind: AlertKind, links: &Links, now_ms: u64) -> Message {
    let alert = Alert {
        kind,
        key: AlertKey::new(kind, [now_ms.to_string()]),
        sid: "test-alert".to_owned(),
        cname: "test-alert".to_owned(),
        uid: "1".to_owned(),
        sequence: 0,
        event_type: event_type(kind).0,
        at: now_ms,
        codes: codes(kind, now_ms),
    };
    let real = message(&alert, &Incident::of(&alert), links);
    let mut default = real.default;
    for (pointer, explanation) in [
        ("/content/title", MARK),
        ("/content/description", EXPLANATION),
        ("/metadata/summary", MARK),
    ] {
        if let Some(Value::String(text)) = default.pointer_mut(pointer) {
            *text = format!("{explanation} {text}");
        }
    }
    if let Some(Value::Object(context)) = default.pointer_mut("/metadata/additionalContext") {
        context.insert("test".to_owned(), Value::String("true".to_owned()));
    }
    let mut detail = real.detail;
    if let Some(Value::String(title)) = detail.get_mut("title") {
        *title = format!("{MARK} {title}");
    }
    if let Some(test) = detail.get_mut("test") {
        *test = Value::Bool(true);
    }
    let mut attributes = real.attributes;
    attributes.push(("test", "true".to_owned()));
    Message {
        subject: ascii(&format!("{MARK} {}", real.subject), MAX_SUBJECT),
        email: format!("{MARK} {EXPLANATION}\n\n{}", real.email),
        // A link is at the end, and opens nothing if it is cut.
        sms: match links.pages {
            Some(_) => format!("{MARK} {}", real.sms),
            None => ascii(&format!("{MARK} {}", real.sms), MAX_SMS),
        },
        default,
        detail,
        attributes,
    }
}

/// The event that such an alert comes from, or the newest before it.
fn event_type(kind: AlertKind) -> EventType {
    match kind {
        AlertKind::FatalError => EventType::CLOUD_RECORDING_ERROR,
        AlertKind::AbnormalExit | AlertKind::UploadUnconfirmed => EventType::SESSION_EXIT,
        AlertKind::TranscodingFailed => EventType::TRANSCODER_COMPLETED,
        AlertKind::StorageCredentialsExpired => EventType::STORAGE_TOKEN_EXPIRED,
        AlertKind::PushDisconnected => EventType::RTMP_PUBLISH_STATUS,
        AlertKind::AbnormalExitResolved => EventType::RECORDER_STARTED,
        AlertKind::BackupOnlyUpload => EventType::BACKUPED,
        AlertKind::SessionSilent | AlertKind::SessionSilentResolved => {
            EventType::UPLOADING_PROGRESS
        }
        AlertKind::RecordingGap => EventType::RECORDER_SLICE_START,
        AlertKind::Failover => EventType::SESSION_FAILOVER,
        AlertKind::ComponentFailure
        | AlertKind::UploadUnconfirmedResolved
        | AlertKind::BackupOnlyUploadResolved => EventType::UPLOADED,
    }
}

fn codes(kind: AlertKind, now_ms: u64) -> Codes {
    let minute_ago = now_ms.saturating_sub(60_000).to_string();
    let codes = match kind {
        AlertKind::FatalError => vec![
            (CodeName::Module, "0".to_owned()),
            (CodeName::ErrorLevel, "5".to_owned()),
            (CodeName::ErrorCode, "112".to_owned()),
        ],
        AlertKind::AbnormalExit => vec![(CodeName::LeaveStatus, "1".to_owned())],
        AlertKind::BackupOnlyUpload => vec![(CodeName::Status, "0".to_owned())],
        AlertKind::ComponentFailure => vec![(CodeName::Status, "1".to_owned())],
        AlertKind::SessionSilent | AlertKind::SessionSilentResolved => {
            vec![(CodeName::LastHeartbeat, minute_ago)]
        }
        AlertKind::UploadUnconfirmed | AlertKind::UploadUnconfirmedResolved => {
            vec![(CodeName::OverSince, minute_ago)]
        }
        AlertKind::BackupOnlyUploadResolved => vec![(CodeName::BackedUpAt, minute_ago)],
        AlertKind::RecordingGap => vec![
            (CodeName::StartUtcMs, now_ms.to_string()),
            (CodeName::DiscontinueUtcMs, minute_ago),
        ],
        AlertKind::Failover | AlertKind::AbnormalExitResolved => {
            vec![(CodeName::NewUid, "2".to_owned())]
        }
        AlertKind::TranscodingFailed => vec![
            (CodeName::Result, "partial_success".to_owned()),
            (CodeName::FailedUids, "2001".to_owned()),
        ],
        AlertKind::StorageCredentialsExpired => Vec::new(),
        AlertKind::PushDisconnected => {
            vec![(
                CodeName::PushAddress,
                "rtmp://push.example.com/live/…".to_owned(),
            )]
        }
    };
    codes.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_alert_can_be_told_everywhere_and_keeps_the_schema() {
        let schema: Value =
            serde_json::from_str(include_str!("../../docs/alert.schema.json")).unwrap();
        let schema = jsonschema::validator_for(&schema).unwrap();
        for kind in AlertKind::ALL {
            let test = rehearsal(kind, &Links::default(), 1_772_460_333_480);
            assert!(test.subject.starts_with(MARK) && test.subject.len() <= MAX_SUBJECT);
            assert!(test.sms.starts_with(MARK) && test.sms.len() <= MAX_SMS);
            assert!(test.email.starts_with(MARK) && test.email.contains("What to do now"));
            assert!(schema.is_valid(&test.default), "{}", test.default);
            let context = &test.default["metadata"]["additionalContext"];
            assert_eq!(
                (context["test"].as_str(), context["kind"].as_str()),
                (Some("true"), Some(kind.as_str()))
            );
            assert!(test.attributes.contains(&("test", "true".to_owned())));
            assert!(
                test.attributes
                    .contains(&("kind", kind.as_str().to_owned()))
            );
        }
    }
}
