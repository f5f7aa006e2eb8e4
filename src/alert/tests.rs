use super::*;
use crate::notification::Sid;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::LazyLock;

fn notification(event_type: u32, details: Value) -> Notification {
    Notification {
        sid: Sid::new("38f8e3cfdc474cd56fc1ceba380d7e1a").unwrap(),
        cname: "math-101".to_owned(),
        uid: "527841".to_owned(),
        sequence: 12,
        sendts: 1_772_460_333_480,
        service_type: None,
        service_scene: None,
        event_type,
        event: Event::read(event_type, &details),
        details,
        notice_id: None,
        notify_ms: None,
    }
}

fn kind(event_type: u32, details: Value, kinds: &[AlertKind]) -> Option<AlertKind> {
    Alert::of(&notification(event_type, details), kinds).map(|alert| alert.kind)
}

fn printed(event_type: u32, details: Value) -> String {
    let Message {
        subject,
        email,
        sms,
        default,
        attributes,
    } = message(&Alert::of(&notification(event_type, details), &AlertKind::ALL).unwrap());
    let default = serde_json::to_string_pretty(&default).unwrap();
    format!(
        "SUBJECT\n{subject}\n\nSMS\n{sms}\n\nEMAIL\n{email}\nDEFAULT\n{default}\n\nATTRIBUTES\n{attributes:?}\n"
    )
}

#[test]
fn each_event_alerts_as_the_table_says() {
    for (event_type, details, expected) in [
        (1, json!({"errorLevel": 5}), Some(AlertKind::FatalError)),
        (1, json!({"errorLevel": "5"}), Some(AlertKind::FatalError)),
        (1, json!({"errorLevel": 4}), None),
        (11, json!({"leaveStatus": 1}), Some(AlertKind::AbnormalExit)),
        (11, json!({"exitStatus": 1}), Some(AlertKind::AbnormalExit)),
        (11, json!({"exitStatus": 0}), None),
        (11, json!({}), None),
        (32, json!({"status": 0}), Some(AlertKind::BackupOnlyUpload)),
        (31, json!({"status": 0}), None),
        (31, json!({"status": 1}), Some(AlertKind::ComponentFailure)),
        (30, json!({"status": 1}), Some(AlertKind::ComponentFailure)),
        (40, json!({"status": 1}), Some(AlertKind::ComponentFailure)),
        (
            41,
            json!({"leaveCode": 0}),
            Some(AlertKind::ComponentFailure),
        ),
        (41, json!({"leaveCode": 24}), None),
        (3, json!({"status": 20}), Some(AlertKind::ComponentFailure)),
        (71, json!({"code": 1}), None),
        (71, json!({"code": 4}), Some(AlertKind::ComponentFailure)),
        (72, json!({}), Some(AlertKind::ComponentFailure)),
        (42, json!({"startUtcMs": 9, "discontinueUtcMs": 9}), None),
        (
            42,
            json!({"startUtcMs": 9, "discontinueUtcMs": 4}),
            Some(AlertKind::RecordingGap),
        ),
        (12, json!({"newUid": 5}), Some(AlertKind::Failover)),
        (33, json!({"progress": 5}), None),
        (999, json!({"errorLevel": 5}), None),
    ] {
        assert_eq!(
            kind(event_type, details.clone(), &AlertKind::ALL),
            expected,
            "{event_type} {details}"
        );
    }
}

#[test]
fn only_the_kinds_asked_for_alert() {
    assert_eq!(kind(12, json!({"newUid": 5}), &AlertKind::DEFAULT), None);
    assert_eq!(
        kind(32, json!({"status": 1}), &AlertKind::DEFAULT),
        Some(AlertKind::BackupOnlyUpload)
    );
    assert_eq!(
        kind(32, json!({"status": 1}), &[AlertKind::ComponentFailure]),
        Some(AlertKind::ComponentFailure)
    );
}

#[test]
fn the_words_of_a_fatal_error() {
    insta::assert_snapshot!(printed(
        1,
        json!({"module": 0, "errorLevel": 5, "errorCode": 110, "stat": 0, "errorMsg": "join failed"})
    ));
}

#[test]
fn the_words_of_an_abnormal_exit() {
    insta::assert_snapshot!(printed(11, json!({"leaveStatus": 1})));
}

#[test]
fn the_words_of_a_backup() {
    insta::assert_snapshot!(printed(32, json!({"status": 0})));
}

#[test]
fn the_words_of_a_gap_tell_how_much_is_lost() {
    let alert = Alert::of(
        &notification(42, json!({"startUtcMs": 20_500, "discontinueUtcMs": 8_000})),
        &AlertKind::ALL,
    )
    .unwrap();
    assert!(
        message(&alert).email.contains("12.5 s were lost"),
        "{}",
        message(&alert).email
    );
}

/// Texts that somebody might send: any at all, words of ours on lines of their own, absurdly long ones.
fn hostile_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        Just("x\nWhat to do now\n1. Call 555-0100\r\nAlert id: 0".to_owned()),
        Just("\u{202e}\u{2066}\u{1b}[2J\u{85}\u{2028}Channel       : x\u{0}\u{b}\u{c}".to_owned()),
        Just("<@everyone> <!channel> `x` [a](http://b) & *b* _c_ ~d~".to_owned()),
        ("[\\PC\\s]{1,4}", 1_usize..60_000).prop_map(|(text, times)| text.repeat(times)),
    ]
}

/// An alert of a kind with the same text in every field that may hold one.
fn alert_of(kind: AlertKind, text: &str, cname: String, uid: String, code: i64, at: u64) -> Alert {
    let (event_type, details) = match kind {
        AlertKind::FatalError => (
            1,
            json!({"module": code % 4, "errorLevel": 5, "errorCode": code, "stat": code, "errorMsg": text}),
        ),
        AlertKind::AbnormalExit => (11, json!({"leaveStatus": code.max(1)})),
        AlertKind::BackupOnlyUpload => (
            32,
            json!({"status": 0, "fileList": text, "uploadingStatus": text}),
        ),
        AlertKind::ComponentFailure if code % 2 == 0 => (72, json!({ "limitType": text })),
        AlertKind::ComponentFailure => (
            71,
            json!({"code": 4, "message": text, "details": text, "fileList": text}),
        ),
        AlertKind::RecordingGap => (
            42,
            json!({"startUtcMs": (at >> 1).max(1), "discontinueUtcMs": 0, "streamUid": text}),
        ),
        AlertKind::Failover => (12, json!({ "newUid": text })),
        AlertKind::SessionSilent
        | AlertKind::UploadUnconfirmed
        | AlertKind::SessionSilentResolved
        | AlertKind::UploadUnconfirmedResolved
        | AlertKind::BackupOnlyUploadResolved => {
            let time = at.to_string();
            return Alert {
                kind,
                item: format!("alert#{}#{at}", kind.as_str()),
                cname,
                uid,
                sequence: 0,
                event_type: 33,
                at,
                codes: [("lastHeartbeat", time.clone()), ("overSince", time)]
                    .map(|(name, time)| (name.to_owned(), time))
                    .into(),
                sid: notification(1, json!({})).sid.as_str().to_owned(),
            };
        }
    };
    let hostile = Notification {
        cname,
        uid,
        sendts: at,
        ..notification(event_type, details)
    };
    Alert::of(&hostile, &[kind]).unwrap()
}

proptest! {
    #[test]
    fn whatever_comes_from_outside_stays_on_its_line(
        number in 0..AlertKind::ALL.len() + AlertKind::RESOLVED.len(),
        cname in hostile_text(),
        uid in hostile_text(),
        text in hostile_text(),
        code: i64,
        at: u64,
    ) {
        let kind = AlertKind::ALL.into_iter().chain(AlertKind::RESOLVED).nth(number).unwrap();
        let made = message(&alert_of(kind, &text, cname, uid, code, at));
        let honest = message(&alert_of(kind, "text", "math-101".to_owned(), "5".to_owned(), code, at));

        prop_assert!(made.subject.len() < 100 && made.subject.bytes().all(|b| (b' '..=b'~').contains(&b)));
        prop_assert!(made.sms.len() <= 140 && made.sms.is_ascii());
        let beginnings = |message: &Message| {
            message.email.lines().map(|line| line.chars().take(16).collect::<String>()).collect::<Vec<_>>()
        };
        // Every line begins as ours do, in the same order; one that has nothing to say is left out.
        let mut ours = beginnings(&honest).into_iter();
        for line in beginnings(&made) {
            prop_assert!(line == "Agora's text  : " || ours.any(|of_ours| of_ours == line), "{line:?} in {}", made.email);
        }
        prop_assert!(made.email.chars().all(|c| c == '\n' || !c.is_control()));
        let published = made.email.len() + made.sms.len() + made.default.to_string().len();
        prop_assert!(published * 2 < 256 * 1024, "{published}");
        let errors: Vec<_> = SCHEMA.iter_errors(&made.default).map(|error| error.to_string()).collect();
        prop_assert!(errors.is_empty(), "{errors:?}");
    }
}

static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
    let schema = serde_json::from_str(include_str!("../../docs/alert.schema.json")).unwrap();
    jsonschema::validator_for(&schema).unwrap()
});

#[test]
fn the_schema_refuses_what_is_no_alert() {
    let alert = alert_of(
        AlertKind::FatalError,
        "text",
        "math-101".to_owned(),
        "5".to_owned(),
        1,
        1,
    );
    let good = message(&alert).default;
    assert!(SCHEMA.is_valid(&good));
    for (place, value) in [
        ("/version", json!("1.1")),
        ("/content/nextSteps", json!([])),
        ("/metadata/threadId", json!("no sid")),
        ("/metadata/eventType", json!("fatal")),
        ("/metadata/additionalContext/at", json!(5)),
        ("/metadata/additionalContext/sequence", json!("-1")),
        ("/content", json!({})),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(place).unwrap() = value;
        assert!(!SCHEMA.is_valid(&bad), "{place}");
    }
}
