use super::*;
use crate::event::Event;
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
        is_mended: false,
        notice_id: None,
        notify_ms: None,
    }
}

fn kind(event_type: u32, details: Value, kinds: &[AlertKind]) -> Option<AlertKind> {
    Alert::of(&notification(event_type, details), kinds).map(|alert| alert.kind)
}

/// The message of an alert where no address is configured.
fn unlinked(alert: &Alert) -> Message {
    message(alert, &Incident::of(alert), &Links::default())
}

fn printed(event_type: u32, details: Value) -> String {
    let Message {
        subject,
        email,
        sms,
        default,
        detail: _,
        attributes,
    } = unlinked(&Alert::of(&notification(event_type, details), &AlertKind::ALL).unwrap());
    let default = serde_json::to_string_pretty(&default).unwrap();
    format!(
        "SUBJECT\n{subject}\n\nSMS\n{sms}\n\nEMAIL\n{email}\nDEFAULT\n{default}\n\n\
         ATTRIBUTES\n{attributes:?}\n"
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
        (40, json!({"status": 1}), Some(AlertKind::AbnormalExit)),
        (41, json!({"leaveCode": 0}), Some(AlertKind::AbnormalExit)),
        (41, json!({"leaveCode": 2}), None),
        (41, json!({"leaveCode": 24}), None),
        (3, json!({"status": 20}), Some(AlertKind::AbnormalExit)),
        (71, json!({"code": 1}), None),
        (71, json!({"code": 4}), Some(AlertKind::AbnormalExit)),
        (72, json!({}), Some(AlertKind::AbnormalExit)),
        (34, json!({}), Some(AlertKind::StorageCredentialsExpired)),
        (81, json!({"result": "all_success"}), None),
        (
            81,
            json!({"result": "partial_success"}),
            Some(AlertKind::TranscodingFailed),
        ),
        (
            81,
            json!({"result": "fail"}),
            Some(AlertKind::TranscodingFailed),
        ),
        (1001, json!({"result": "total_success"}), None),
        (1001, json!({}), Some(AlertKind::TranscodingFailed)),
        (
            1001,
            json!({"result": "partial_success"}),
            Some(AlertKind::TranscodingFailed),
        ),
        (
            1001,
            json!({"result": "something new"}),
            Some(AlertKind::TranscodingFailed),
        ),
        (
            90,
            json!({"filename": "a.ts"}),
            Some(AlertKind::TranscodingFailed),
        ),
        (
            100,
            json!({"status": "disconnected"}),
            Some(AlertKind::PushDisconnected),
        ),
        (100, json!({"status": "onhold"}), None),
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
    assert_eq!(
        kind(12, json!({"newUid": 5}), &AlertKind::by_default()),
        None
    );
    assert_eq!(
        kind(32, json!({"status": 1}), &AlertKind::by_default()),
        Some(AlertKind::BackupOnlyUpload)
    );
    assert_eq!(
        kind(32, json!({"status": 1}), &[AlertKind::ComponentFailure]),
        None
    );
}

/// A callback: recorder, `sendts`, event type, details, scene.
type Told = (&'static str, u64, u32, Value, Option<&'static str>);

/// Two callbacks, and whether they report the same trouble.
fn pairs() -> Vec<(Told, Told, bool)> {
    /// A full hour.
    const HOUR: u64 = 1_772_460_000_000;
    const MIN: u64 = 60_000;
    let fatal = |uid, at, module: i64, code: i64| {
        let details = json!({"errorLevel": 5, "module": module, "errorCode": code});
        (uid, at, 1, details, None)
    };
    let told = |uid, at, event_type, details: &Value| (uid, at, event_type, details.clone(), None);
    let scene = |(uid, at, event_type, details, _): Told, scene| {
        (uid, at, event_type, details, Some(scene))
    };
    let exit = |uid, at, event_type| {
        let details = json!({"exitStatus": 1, "status": 20, "leaveCode": 0, "code": 4});
        (uid, at, event_type, details, None)
    };
    let upload = |uid, status: i64| (uid, HOUR, 31, json!({ "status": status }), None);
    let gap = |start: u64| {
        let details = json!({"startUtcMs": start, "discontinueUtcMs": start - 1});
        ("5", HOUR, 42, details, None)
    };
    let push = |at, url: &str| {
        let details = json!({"rtmpUrl": url, "status": "disconnected"});
        ("5", at, 100, details, None)
    };
    let ok = json!({"status": 0});
    vec![
        (
            fatal("5", HOUR, 0, 110),
            fatal("5", HOUR + 10 * MIN - 1, 0, 110),
            true,
        ),
        (
            fatal("5", HOUR, 0, 110),
            fatal("5", HOUR + 10 * MIN, 0, 110),
            false,
        ),
        (fatal("5", HOUR, 0, 110), fatal("6", HOUR, 0, 110), false),
        (fatal("5", HOUR, 0, 110), fatal("5", HOUR, 1, 110), false),
        (fatal("5", HOUR, 0, 110), fatal("5", HOUR, 0, 111), false),
        (fatal("5", 0, 0, 110), fatal("5", 0, 0, 110), true),
        (fatal("5", 0, 0, 110), fatal("5", HOUR, 0, 110), false),
        (fatal("5", HOUR, 0, 110), exit("5", HOUR, 11), false),
        (exit("5", HOUR, 11), exit("5", HOUR + 60 * MIN - 1, 3), true),
        (exit("5", HOUR, 71), exit("5", HOUR, 72), true),
        (exit("5", HOUR, 40), exit("5", HOUR, 41), true),
        (exit("5", HOUR, 11), exit("5", HOUR + 60 * MIN, 11), false),
        (exit("5", HOUR, 11), exit("6", HOUR, 11), false),
        (
            told("5", HOUR, 32, &ok),
            told("5", HOUR + 59 * MIN, 32, &ok),
            true,
        ),
        (
            told("5", HOUR, 32, &ok),
            told("5", HOUR + 600 * MIN, 32, &ok),
            false,
        ),
        (told("5", HOUR, 32, &ok), told("6", HOUR, 32, &ok), false),
        (
            told("5", HOUR, 32, &ok),
            scene(told("5", HOUR, 32, &ok), "rtc_snapshot"),
            false,
        ),
        (
            told("5", HOUR, 32, &ok),
            scene(told("5", HOUR, 32, &ok), "rtc_vod"),
            true,
        ),
        (upload("5", 1), upload("5", 2), true),
        (upload("5", 1), upload("6", 1), false),
        (
            upload("5", 1),
            told("5", HOUR, 30, &json!({"status": 1})),
            false,
        ),
        (
            upload("5", 1),
            scene(upload("5", 1), "postpone_transcode::transcode"),
            false,
        ),
        (
            told("5", HOUR, 81, &json!({"result": "fail", "uids": []})),
            told("5", 0, 81, &json!({"uids": [], "result": "fail"})),
            true,
        ),
        (
            told("5", HOUR, 81, &json!({"result": "fail"})),
            told("5", HOUR, 1001, &json!({"result": "failed"})),
            false,
        ),
        (
            told("5", HOUR, 34, &json!({})),
            told("5", HOUR + 59 * MIN, 34, &json!({})),
            true,
        ),
        (
            told("5", HOUR, 34, &json!({})),
            told("5", HOUR + 60 * MIN, 34, &json!({})),
            false,
        ),
        (gap(HOUR), gap(HOUR + MIN - 1), true),
        (gap(HOUR), gap(HOUR + MIN), false),
        (
            told("5", HOUR, 12, &json!({"newUid": 7})),
            told("6", HOUR + MIN, 12, &json!({"newUid": "7"})),
            true,
        ),
        (
            told("5", HOUR, 12, &json!({"newUid": 7})),
            told("5", HOUR, 12, &json!({"newUid": 8})),
            false,
        ),
        (
            push(HOUR, "rtmp://h/live/KEY"),
            push(HOUR, "rtmp://h/live/OTHER"),
            true,
        ),
        (
            push(HOUR, "rtmp://h/live/KEY"),
            push(HOUR, "rtmp://h/other/KEY"),
            false,
        ),
        (
            push(HOUR, "rtmp://h/live/KEY"),
            push(HOUR + 10 * MIN, "rtmp://h/live/KEY"),
            false,
        ),
    ]
}

#[test]
fn the_same_trouble_has_the_same_key_and_another_one_has_another() {
    let alert = |(uid, at, event_type, details, scene): Told| {
        let told = Notification {
            uid: uid.to_owned(),
            sendts: at,
            service_scene: scene.map(str::to_owned),
            ..notification(event_type, details)
        };
        Alert::of(&told, &AlertKind::ALL).unwrap()
    };
    for (one, other, is_same) in pairs() {
        let told = format!("{one:?} {other:?}");
        let (one, other) = (alert(one), alert(other));
        assert_eq!(one.key == other.key, is_same, "{told}");
        assert!(!format!("{one:?}").contains("KEY"), "{one:?}");
    }
}

#[test]
fn the_parts_of_a_key_stand_readable_among_the_codes() {
    let details = json!({"module": 0, "errorLevel": 5, "errorCode": 110});
    let alert = Alert::of(&notification(1, details), &AlertKind::ALL).unwrap();
    let codes: Vec<_> = alert
        .codes
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        codes,
        [
            ("errorCode", "110"),
            ("errorLevel", "5"),
            ("module", "0"),
            ("recorder", "527841"),
            ("tenMinutes", "1772460000000"),
        ]
    );
    let details = json!({"result": "partial_success", "uids": [
        {"uid": "1", "result": "success"}, {"uid": "2", "result": "fail"},
        {"uid": 3, "result": "fail"},
    ]});
    let alert = Alert::of(&notification(81, details), &AlertKind::ALL).unwrap();
    assert_eq!(alert.codes[&CodeName::FailedUids], "2, 3");
}

#[test]
fn the_words_of_a_fatal_error() {
    insta::assert_snapshot!(printed(
        1,
        json!({"module": 0, "errorLevel": 5, "errorCode": 110, "stat": 0, "errorMsg": "join \
            failed"})
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
        unlinked(&alert).email.contains("12.5 s were lost"),
        "{}",
        unlinked(&alert).email
    );
}

/// The words of the alert that a callback raises.
fn words_of(event_type: u32, details: Value) -> String {
    let alert = Alert::of(&notification(event_type, details), &AlertKind::ALL).unwrap();
    let Words { title, what, steps } = in_words(&alert);
    format!("{title}\n{what}\n{}", steps.join("\n"))
}

#[test]
fn an_exit_is_about_its_recorder_and_says_what_happened() {
    for (event_type, details, said) in [
        (
            11,
            json!({"exitStatus": 1}),
            "Recorder 527841 exited abnormally, with exit status 1",
        ),
        (3, json!({"status": 20}), "the service reports status 20"),
        (
            40,
            json!({"status": 3}),
            "did not start: event 40 reports status 3",
        ),
        (41, json!({"leaveCode": 0}), "the initialization failed"),
        (
            71,
            json!({"code": 4}),
            "code 4 (the page did not load in time)",
        ),
        (71, json!({"code": 4}), "Open the recorded page"),
        (71, json!({"code": 6}), "Look for the cause in the events"),
        (
            72,
            json!({"limitType": "WebGL"}),
            "more than it can do (it uses WebGL)",
        ),
    ] {
        let words = words_of(event_type, details);
        assert!(words.contains(said), "{said}: {words}");
        assert!(words.contains("ecorder 527841"), "{words}");
        assert!(
            !words.to_lowercase().contains("nothing is being recorded"),
            "{words}"
        );
    }
}

#[test]
fn an_error_names_its_code_and_a_remedy_that_fits() {
    let error = |module: i64, code: i64| {
        words_of(
            1,
            json!({"module": module, "errorLevel": 5, "errorCode": code}),
        )
    };
    let app_id = error(0, 101);
    let (token, id) = (app_id.find("token"), app_id.find("App ID is"));
    assert!(token.is_some() && token < id, "the token first: {app_id}");
    for (module, code, said) in [
        (6, 65, "the network is unsteady"),
        (6, 65, "Send the same request again"),
        (0, 433, "the resource ID has expired"),
        (0, 433, "Call acquire again"),
        (6, 2, "a parameter is invalid"),
        (1, 32, "Check storageConfig"),
        (0, 110, "Make a new token"),
        (6, 9999, "a code Agora doesn't document"),
        (6, 9999, "contact Agora support with the sid"),
        (0, 62, "timed out"),
        (0, 62, "Send the same request again"),
        (0, 62, "enable Cloud Recording"),
        (0, 501, "wait until it has exited. Otherwise begin anew"),
        (0, 7, "already running"),
        (0, 7, "before it was initialized"),
        (3, 7, "in module 3: the recording is already running"),
    ] {
        let words = error(module, code);
        assert!(words.contains(said), "{module}/{code} {said}: {words}");
    }
    let bare = words_of(1, json!({"errorLevel": 5}));
    assert!(
        bare.contains("Fatal error without a code: Agora gives no code."),
        "{bare}"
    );
}

#[test]
fn each_new_kind_has_words_and_steps_of_its_own() {
    let transcoding = words_of(
        81,
        json!({"result": "partial_success", "uids": [
            {"uid": "1", "result": "success", "fileList": [{"fileName": "1.mp4"}]},
            {"uid": "2", "result": "fail", "fileList": []},
            {"uid": "3", "fileList": []},
        ]}),
    );
    assert!(
        transcoding.contains("Without a file: uid 2, 3."),
        "{transcoding}"
    );
    let download = words_of(90, json!({"bucket": "b", "fileName": "a.ts;c.ts"}));
    assert!(
        download.contains("from the bucket b") && download.contains("c.ts"),
        "{download}"
    );
    let credentials = words_of(34, json!({}));
    assert!(
        credentials.contains("Call update for this recording"),
        "{credentials}"
    );
    let upload = words_of(31, json!({"status": 7}));
    assert!(
        upload.contains("abnormal status 7") && upload.contains("missing"),
        "{upload}"
    );
    let uploader = words_of(30, json!({"status": 7}));
    assert!(
        uploader.contains("uploader of recorder 527841"),
        "{uploader}"
    );
    let push = words_of(
        100,
        json!({"status": "disconnected", "rtmpUrl": "rtmp://push.example.com/live/KEY"}),
    );
    assert!(push.contains("rtmp://push.example.com/live/"), "{push}");
}

#[test]
fn no_message_carries_the_key_of_a_stream() {
    let address = "rtmp://u:KEY@push.example.com/live/KEY?KEY";
    for (event_type, details) in [
        (100, json!({"status": "disconnected", "rtmpUrl": address})),
        (
            1,
            json!({"errorLevel": 5, "errorMsg": format!("no answer from {address}, gave up")}),
        ),
        (71, json!({"code": 6, "message": address})),
        (72, json!({"limitType": address})),
    ] {
        let printed = printed(event_type, details);
        assert!(!printed.contains("KEY"), "{printed}");
    }
}

#[test]
fn the_words_say_which_alerts_close_by_themselves() {
    let closes = |kind: AlertKind| {
        let resolved = format!("{}_resolved", kind.as_str());
        AlertKind::ALL
            .iter()
            .any(|other| other.as_str() == resolved)
    };
    for kind in AlertKind::configurable() {
        let details = json!({"errorLevel": 5});
        let mut alert = Alert::of(&notification(1, details), &AlertKind::ALL).unwrap();
        alert.kind = kind;
        let steps = in_words(&alert).steps;
        let last = steps.last().unwrap();
        assert_eq!(
            last.contains("closes by itself"),
            closes(kind),
            "{kind:?}: {last}"
        );
        let by_a_person = last.contains("doesn't close by itself: close it when you are done");
        assert_eq!(by_a_person, !closes(kind), "{kind:?}: {last}");
    }
    for kind in AlertKind::ALL
        .into_iter()
        .filter(|kind| kind.resolves().is_some())
    {
        let mut alert =
            Alert::of(&notification(11, json!({"exitStatus": 1})), &AlertKind::ALL).unwrap();
        alert.kind = kind;
        assert!(
            in_words(&alert).steps[0].starts_with("Nothing to"),
            "{kind:?}"
        );
    }
}

/// Texts that somebody might send: any at all, words of ours on lines of their own, absurdly long
/// ones.
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
            json!({"module": code % 4, "errorLevel": 5, "errorCode": code, "stat": code,
                "errorMsg": text}),
        ),
        AlertKind::AbnormalExit if code % 3 == 0 => (72, json!({ "limitType": text })),
        AlertKind::AbnormalExit if code % 3 == 1 => (
            71,
            json!({"code": 4, "message": text, "details": text, "fileList": text}),
        ),
        AlertKind::AbnormalExit => (11, json!({"leaveStatus": code.max(1)})),
        AlertKind::BackupOnlyUpload => (
            32,
            json!({"status": 0, "fileList": text, "uploadingStatus": text}),
        ),
        AlertKind::ComponentFailure => (31, json!({"status": code.max(1), "fileList": text})),
        AlertKind::TranscodingFailed if code % 2 == 0 => (
            81,
            json!({"result": "fail", "uids": [{"uid": text, "result": "fail"}]}),
        ),
        AlertKind::TranscodingFailed => (90, json!({"bucket": text, "fileName": text})),
        AlertKind::StorageCredentialsExpired => (34, json!({ "msgName": text })),
        AlertKind::PushDisconnected => (
            100,
            json!({"rtmpUrl": format!("rtmp://{text}/{text}/{text}"), "status": "disconnected"}),
        ),
        AlertKind::RecordingGap => (
            42,
            json!({"startUtcMs": (at >> 1).max(1), "discontinueUtcMs": 0, "streamUid": text}),
        ),
        AlertKind::Failover => (12, json!({ "newUid": text })),
        AlertKind::SessionSilent
        | AlertKind::UploadUnconfirmed
        | AlertKind::AbnormalExitResolved
        | AlertKind::SessionSilentResolved
        | AlertKind::UploadUnconfirmedResolved
        | AlertKind::BackupOnlyUploadResolved => {
            let time = at.to_string();
            return Alert {
                kind,
                key: AlertKey::from_stored("key"),
                cname,
                uid,
                sequence: 0,
                event_type: 33,
                at,
                codes: [CodeName::LastHeartbeat, CodeName::OverSince]
                    .map(|name| (name, time.clone()))
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
        number in 0..AlertKind::ALL.len(),
        cname in hostile_text(),
        uid in hostile_text(),
        text in hostile_text(),
        code: i64,
        at: u64,
    ) {
        let kind = AlertKind::ALL[number];
        let made = unlinked(&alert_of(kind, &text, cname, uid, code, at));
        let (cname, uid) = ("math-101".to_owned(), "5".to_owned());
        let honest = unlinked(&alert_of(kind, "text", cname, uid, code, at));

        prop_assert!(made.subject.len() < 100);
        prop_assert!(made.subject.bytes().all(|b| (b' '..=b'~').contains(&b)));
        prop_assert!(made.sms.len() <= 140 && made.sms.is_ascii());
        let beginnings = |message: &Message| {
            let starts = message.email.lines().map(|line| line.chars().take(16).collect());
            starts.collect::<Vec<String>>()
        };
        // Every line begins as ours do, in the same order; one that has nothing to say is left out.
        let mut ours = beginnings(&honest).into_iter();
        for line in beginnings(&made) {
            prop_assert!(line == "Agora's text  : \
                                  " || ours.any(|of_ours| of_ours == line), "{line:?} in \
                                  {}", made.email);
        }
        prop_assert!(made.email.chars().all(|c| c == '\n' || !c.is_control()));
        let published = made.email.len() + made.sms.len() + made.default.to_string().len();
        prop_assert!(published * 2 < 256 * 1024, "{published}");
        let errors = SCHEMA.iter_errors(&made.default);
        let errors: Vec<_> = errors.map(|error| error.to_string()).collect();
        prop_assert!(errors.is_empty(), "{errors:?}");
        let errors = DETAIL_SCHEMA.iter_errors(&made.detail);
        let errors: Vec<_> = errors.map(|error| error.to_string()).collect();
        prop_assert!(errors.is_empty(), "{errors:?}");
    }
}

static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
    let schema = serde_json::from_str(include_str!("../../docs/alert.schema.json")).unwrap();
    jsonschema::validator_for(&schema).unwrap()
});

/// That of an alert on the bus.
static DETAIL_SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
    let schema = include_str!("../../docs/recording-alert.schema.json");
    jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap()
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
    let good = unlinked(&alert).default;
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
