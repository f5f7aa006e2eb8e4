use super::*;
use crate::notification::Sid;
use proptest::prelude::*;
use serde_json::{Value, json};

fn notification(event_type: u32, details: Value) -> Notification {
    Notification {
        sid: Sid::new("38f8e3cfdc474cd56fc1ceba380d7e1a").unwrap(),
        cname: "math-101".to_owned(),
        uid: "527841".to_owned(),
        sequence: 12,
        sendts: 1_772_460_333_480,
        service_type: None,
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
        message(&alert).email.contains("12.5 s are lost"),
        "{}",
        message(&alert).email
    );
}

proptest! {
    #[test]
    fn whatever_comes_from_outside_stays_on_its_line(cname in any::<String>(), uid in any::<String>(), text in any::<String>(), code: i64, at: u64) {
        let details = json!({"module": code % 4, "errorLevel": 5, "errorCode": code, "errorMsg": text});
        let hostile = Notification { cname, uid, sendts: at, ..notification(1, details) };
        let honest = notification(1, json!({"module": 0, "errorLevel": 5, "errorCode": 1, "errorMsg": "text"}));
        let made = message(&Alert::of(&hostile, &AlertKind::ALL).unwrap());

        prop_assert!(made.subject.len() < 100 && made.subject.bytes().all(|b| (b' '..=b'~').contains(&b)));
        prop_assert!(made.sms.len() <= 140 && made.sms.is_ascii());
        let labels = |message: &Message| {
            message.email.lines().map(|line| line.split(':').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
        };
        let known = labels(&message(&Alert::of(&honest, &AlertKind::ALL).unwrap()));
        for line in labels(&made) {
            let step = line.split_once(". ").is_some_and(|(number, _)| number.parse::<u8>().is_ok());
            prop_assert!(step || known.contains(&line) || line.starts_with("Fatal recording error"), "{line:?}");
        }
        prop_assert!(made.email.chars().all(|c| c == '\n' || !c.is_control()));
        prop_assert!(made.default.to_string().len() < 20_000);
    }
}
