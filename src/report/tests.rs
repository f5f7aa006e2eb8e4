//! Reports of the sample sessions, and of whatever may come.

use super::*;
use crate::alert::{Alert, AlertKind, Delivery, Destination, Outgoing};
use crate::event::{Event, EventType, ServiceType};
use crate::notification::{Notification, Sid};
use crate::record::{Record, StoredAlert, StoredEvent, StoredSession};
use crate::session::{Fact, Session};
use crate::text::{ago, clock, duration, is_unseen, offset};
use anstream::adapter::strip_str;
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: u64 = 1_772_500_000_000;

/// Those of a deployment whose failures ring.
pub(super) fn rules() -> Rules {
    Rules::new(&AlertKind::by_default(), None, None)
}

fn notification(callback: &Value) -> Notification {
    let payload = &callback["payload"];
    let event_type = u32::try_from(callback["eventType"].as_u64().unwrap()).unwrap();
    let text = |name: &str| payload[name].as_str().unwrap_or_default().to_owned();
    Notification {
        sid: Sid::new(&text("sid")).unwrap(),
        cname: text("cname"),
        uid: text("uid"),
        sequence: payload["sequence"].as_u64().unwrap(),
        sendts: payload["sendts"].as_u64().unwrap(),
        service_type: Some(ServiceType::RECORDER),
        service_scene: payload["serviceScene"].as_str().map(str::to_owned),
        event_type,
        event: Event::read(event_type, &payload["details"]),
        details: payload["details"].clone(),
        is_mended: false,
        notice_id: None,
        notify_ms: None,
    }
}

fn outgoing(delivery: Delivery) -> Outgoing {
    Outgoing {
        to: [(Destination::Alerts, delivery)].into(),
        ..Outgoing::default()
    }
}

/// What the table holds when these callbacks have come.
pub(super) fn record(callbacks: &[Value]) -> Record {
    let mut record = Record::new(Sid::new("a").unwrap());
    let mut session = Session::default();
    for callback in callbacks {
        let notification = notification(callback);
        session.apply(&Fact::of(&notification));
        record.watched.sid.clone_from(&notification.sid);
        record.watched.cname.clone_from(&notification.cname);
        let updated_at = record.watched.updated_at.max(notification.sendts);
        record.watched.updated_at = updated_at;
        record.alerts.extend(
            Alert::of(&notification, &AlertKind::by_default()).map(|alert| StoredAlert {
                outgoing: outgoing(Delivery::Told {
                    at: alert.at + 400,
                    digest: None,
                    message_id: String::new(),
                }),
                alert,
                members: None,
            }),
        );
        if !notification.is_heartbeat() {
            record.events.push(StoredEvent {
                fact: notification.fact_key(),
                sequence: notification.sequence,
                event_type: notification.event_type,
                uid: notification.uid,
                sendts: notification.sendts,
                service_scene: notification.service_scene,
                details: notification.details,
            });
        }
    }
    let recorders = session.recorders.iter();
    record.missing = recorders
        .map(|recorder| recorder.ledger.missing_ranges())
        .collect();
    record.watched.session = session;
    record
}

fn sample(lines: &str) -> Vec<Value> {
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn samples() -> [(&'static str, Vec<Value>); 5] {
    [
        (
            "composite",
            sample(include_str!("../../events/sessions/composite.ndjson")),
        ),
        (
            "individual",
            sample(include_str!("../../events/sessions/individual.ndjson")),
        ),
        (
            "fatal",
            sample(include_str!("../../events/sessions/fatal.ndjson")),
        ),
        (
            "backup",
            sample(include_str!("../../events/sessions/backup.ndjson")),
        ),
        (
            "failover",
            sample(include_str!("../../events/sessions/failover.ndjson")),
        ),
    ]
}

pub(super) fn callback(sequence: u64, event_type: u32, details: &Value) -> Value {
    json!({"eventType": event_type, "payload": {
        "sid": "a", "cname": "room", "uid": "5", "sequence": sequence,
        "sendts": 1_772_460_000_000 + sequence * 1000, "details": details,
    }})
}

fn plain(callbacks: &[Value], now_ms: u64) -> String {
    strip_str(&text(&Report::of(&record(callbacks), &rules(), now_ms))).to_string()
}

#[test]
fn the_words_of_the_samples() {
    for (name, callbacks) in samples() {
        insta::assert_snapshot!(format!("the_words_of_{name}"), plain(&callbacks, NOW));
    }
}

#[test]
fn the_order_in_which_callbacks_came_makes_no_difference() {
    for (name, callbacks) in samples() {
        let mut backwards = callbacks.clone();
        backwards.reverse();
        assert_eq!(plain(&callbacks, NOW), plain(&backwards, NOW), "{name}");
        let page_of = |callbacks: &[Value]| {
            let record = record(callbacks);
            page(&Report::of(&record, &rules(), NOW), &record, Page::File)
        };
        assert_eq!(page_of(&callbacks), page_of(&backwards), "{name}");
    }
}

#[test]
fn every_callback_is_one_mark_and_every_bar_lies_on_the_axis() {
    for (name, callbacks) in samples() {
        let record = record(&callbacks);
        let report = Report::of(&record, &rules(), NOW);
        let picture = picture(&report, &record);
        let mut places: Vec<_> = picture
            .lanes
            .iter()
            .flat_map(|lane| lane.marks.iter().map(|mark| mark.place))
            .collect();
        places.sort_unstable();
        let all: Vec<_> = (0..report.timeline.len()).collect();
        assert_eq!(places, all, "{name}");
        for lane in &picture.lanes {
            for span in &lane.spans {
                let is_inside =
                    picture.from <= span.from && span.from <= span.to && span.to <= picture.to;
                assert!(is_inside, "{name}: {span:?}");
            }
        }
    }
}

#[test]
fn a_session_that_runs_says_so_until_it_is_over_and_its_files_are_accounted_for() {
    let start = [
        callback(0, 40, &json!({"status": 0})),
        callback(1, 33, &json!({"progress": 5000})),
    ];
    let now = 1_772_460_002_000;
    let report = Report::of(&record(&start), &rules(), now);
    assert_eq!((report.over, report.done), (None, false));
    assert_eq!(report.answer(Question::State).unwrap().text, "recording");
    let mut left = start.to_vec();
    left.push(callback(2, 41, &json!({"leaveCode": 24})));
    let report = Report::of(&record(&left), &rules(), now);
    assert_eq!((report.over, report.done), (Some(1_772_460_002_000), false));
    assert!(
        Report::of(&record(&left), &rules(), now + QUIET_MS + 1).done,
        "nobody waits for ever"
    );
    left.push(callback(3, 31, &json!({"status": 0})));
    assert!(Report::of(&record(&left), &rules(), now).done);
}

#[test]
fn what_was_not_heard_is_not_drawn_as_if_it_were_known() {
    let record = record(&[callback(0, 40, &json!({})), callback(60, 43, &json!({}))]);
    let report = Report::of(&record, &rules(), 1_772_460_000_000 + 600_000);
    let picture = picture(&report, &record);
    let spans = &picture.lanes[0].spans;
    let drawn: Vec<_> = spans
        .iter()
        .map(|span| {
            (
                span.class,
                span.from - 1_772_460_000_000,
                span.label.as_str(),
            )
        })
        .collect();
    assert_eq!(
        drawn,
        [
            ("recording", 0, "recording"),
            ("unheard", 60_000, "nothing came since, for 9 min")
        ]
    );
    assert_eq!(spans[0].to, spans[1].from);
}

#[test]
fn silence_and_alerts_that_were_not_sent_are_said_first() {
    let mut record = record(&[
        callback(0, 40, &json!({})),
        callback(1, 1, &json!({"errorLevel": 5})),
    ]);
    record.watched.standing.silent_since = Some(1_772_460_001_000);
    record.alerts[0].outgoing = outgoing(Delivery::Failed { tries: 9 });
    let report = Report::of(&record, &rules(), NOW);
    let state = report.answer(Question::State).unwrap();
    // What failed is the news, not that nothing comes since.
    assert!(
        state.text.starts_with("probably FAILED: a fatal error"),
        "{}",
        state.text
    );
    assert_eq!(state.tone, Tone::Bad);
    let mut silent = super::tests::record(&[callback(0, 40, &json!({}))]);
    silent.watched.standing.silent_since = Some(1_772_460_001_000);
    let silent = Report::of(&silent, &rules(), NOW);
    let said = &silent.answer(Question::State).unwrap().text;
    assert!(
        said.starts_with("SILENT: no heartbeat since 2026-03-02 14:00:01 UTC"),
        "{said}"
    );
    let alerts = report.answer(Question::Alerts).unwrap();
    assert!(
        alerts.text.contains("0 NOT SENT YET, 1 GIVEN UP"),
        "{}",
        alerts.text
    );
    assert_eq!(alerts.tone, Tone::Bad);
    assert!(
        Row::of(
            StoredSession {
                watched: record.watched,
                first_sendts: 0,
            },
            &rules()
        )
        .is_failed
    );
}

#[test]
fn what_is_missing_is_told_as_ranges_with_what_it_may_mean() {
    let started = json!({"status": 0});
    let holes = |callbacks: &[Value]| Report::of(&record(callbacks), &rules(), NOW).holes;
    let lost = holes(&[
        callback(0, 40, &started),
        callback(4, 43, &json!({})),
        callback(6, 43, &json!({})),
    ]);
    let said: Vec<_> = lost
        .iter()
        .map(|hole| (hole.numbers(), hole.count()))
        .collect();
    assert_eq!(
        said,
        [("numbers 1 to 3".to_owned(), 3), ("number 5".to_owned(), 1)]
    );
    assert_eq!(
        (lost[0].after, lost[0].before),
        (Some(1_772_460_000_000), Some(1_772_460_004_000))
    );
    let headless = holes(&[callback(3, 43, &json!({}))]);
    assert!(headless[0].meaning.contains("the start"), "{headless:?}");
    let unconfirmed = holes(&[
        callback(0, 40, &started),
        callback(2, 11, &json!({"exitStatus": 0})),
    ]);
    assert!(
        unconfirmed[0].meaning.contains("the report of the upload"),
        "{unconfirmed:?}"
    );
    let many: Vec<_> = (0..20).map(|n| callback(n * 2, 43, &json!({}))).collect();
    let report = Report::of(&record(&many), &rules(), NOW);
    let answer = report.answer(Question::Missing).unwrap();
    assert!(
        answer.text.starts_with("19 in 19 places; so many"),
        "{}",
        answer.text
    );
}

#[test]
fn times_are_said_as_people_say_them() {
    assert_eq!(duration(59_999), "59 s");
    assert_eq!(duration(304_000), "5 min 4 s");
    assert_eq!(duration(7_200_000), "2 h");
    assert_eq!(duration(266 * 86_400_000), "266 days");
    assert_eq!(offset(3_723_000, 0), "+1:02:03");
    assert_eq!(offset(0, 61_000), "-1:01");
    assert_eq!(clock(1_772_460_000_123), "14:00:00.123");
    assert_eq!(ago(0, 0), "0 s ago");
    assert_eq!(ago(65_000, 0), "in 1 min 5 s");
}

#[test]
fn json_reads_the_same_and_steers_no_terminal() {
    let name = "\u{9b}2J\u{202e}é\u{1b}[31m\u{e0001}";
    let mut callbacks = vec![callback(0, 45, &json!({"fileName": name}))];
    callbacks[0]["payload"]["cname"] = json!(name);
    let record = record(&callbacks);
    let written = printable(
        &serde_json::to_string_pretty(&json(&Report::of(&record, &rules(), NOW), &record)).unwrap(),
    );
    assert!(written.chars().all(|c| c == '\n' || !is_unseen(c)));
    let read: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(read["cname"], name);
    assert_eq!(read["timeline"][0]["eventType"], 45);
}

#[test]
fn the_key_of_a_stream_is_shown_nowhere() {
    let address = "rtmp://push.example.com/live/KEY";
    let record = record(&[
        callback(0, 70, &json!({})),
        callback(
            1,
            100,
            &json!({"rtmpUrl": address, "status": "disconnected"}),
        ),
        callback(
            2,
            1,
            &json!({"errorLevel": 5, "errorMsg": format!("no answer from {address}")}),
        ),
        callback(
            3,
            999,
            &json!({"more": {"rtmpUrl": "KEY"}, "text": format!("at {address}.")}),
        ),
    ]);
    let report = Report::of(&record, &rules(), NOW);
    for shown in [
        text(&report),
        page(&report, &record, Page::File),
        json(&report, &record).to_string(),
    ] {
        assert!(!shown.contains("KEY"), "{shown}");
        assert!(shown.contains("rtmp://push.example.com/live/"), "{shown}");
    }
}

#[test]
fn a_page_without_what_grows_still_says_what_happened_and_what_to_do() {
    let (_, callbacks) = samples()
        .into_iter()
        .find(|(name, _)| *name == "fatal")
        .unwrap();
    let record = record(&callbacks);
    let report = Report::of(&record, &rules(), NOW);
    let summary = summary_page(&report, Page::Served(Served::default()));
    for said in [
        "FAILED",
        "What to do now",
        "NOT CONFIRMED",
        "There is too much",
    ] {
        assert!(summary.contains(said), "{said}");
    }
    assert!(!summary.contains("Timeline") && !summary.contains("data-lane"));
    let whole = page(&report, &record, Page::File);
    assert!(whole.len() > summary.len() && whole.contains("Timeline"));
}

/// Texts that try to leave the place where they stand.
fn hostile() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "<",
        ">",
        "\"",
        "'",
        "&",
        "</title>",
        "</script>",
        "<script>",
        "<!--",
        "-->",
        "]]>",
        "</svg>",
        "</style>",
        "javascript:",
        " onload=x",
        "\u{1b}[2J",
        "\u{9b}",
        "\r\n",
        "\u{202e}",
        "\0",
        "é",
        "&lt;",
        "{",
        "}",
    ]);
    prop_oneof![
        prop::collection::vec(parts, 1..6).prop_map(|parts| parts.concat()),
        any::<String>()
    ]
}

proptest! {
    #[test]
    fn nothing_from_outside_leaves_its_place_or_steers_the_terminal(
        names in prop::collection::vec(hostile(), 4),
        event_type in prop::sample::select(vec![1_u32, 2, 3, 4, 11, 12, 31, 32, 40, 41, 42, 43, 44,
            45, 60, 71, 72, 73, 81, 90, 100, 110, 999]),
    ) {
        let details = json!({
            "errorMsg": names[0], "errorLevel": 5, "module": 1,
            "fileList": [{"fileName": names[1]}], "fileName": names[1],
            "streamUid": names[2], "newUid": names[2], "trackType": names[3], "reason": names[0],
            "limitType": names[1],
            "result": names[2], "rtmpUrl": names[3], "status": names[0], "details": names[1],
            "uploadingStatus": names[2],
            "state": 0, names[3].clone(): names[0],
        });
        let mut callbacks = vec![callback(0, 40, &json!({})), callback(2, event_type, &details)];
        for callback in &mut callbacks {
            callback["payload"]["cname"] = json!(names[0]);
            callback["payload"]["uid"] = json!(names[1]);
        }
        let record = record(&callbacks);
        let report = Report::of(&record, &rules(), NOW);
        let plain = strip_str(&text(&report)).to_string();
        prop_assert!(plain.chars().all(|c| c == '\n' || !is_unseen(c)), "{plain:?}");

        // The same with harmless names has the same tags, attributes and all, in the same order.
        let page = page(&report, &record, Page::File);
        let (head, body) = page.split_once("<body>").unwrap();
        let title = head.split_once("<title>").unwrap().1.split_once("</title>").unwrap().0;
        prop_assert!(!title.contains('<'), "{title}");
        let body = body.rsplit_once("<script>").unwrap().0;
        prop_assert!(body.chars().all(|c| c == '\n' || !is_unseen(c)));
        let known = ["a", "b", "br", "button", "circle", "code", "dd", "defs", "details", "div",
            "dl", "dt", "h1", "h2", "header", "i", "li", "line",
            "main", "ol", "p", "path", "pattern", "polygon", "polyline", "rect", "section",
            "small", "span", "summary", "svg", "table", "tbody", "td", "text",
            "th", "thead", "title", "tr", "ul"];
        for tag in body.split('<').skip(1) {
            let (tag, _) = tag.split_once('>').unwrap();
            let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
            prop_assert!(known.contains(&name), "<{tag}>");
            prop_assert_eq!(tag.matches('"').count() % 2, 0, "<{}>", tag);
            for (n, part) in tag.split('"').enumerate() {
                // Between two attribute values there is nothing but the next name.
                let is_between = n % 2 == 0;
                prop_assert!(!is_between || !part.trim().starts_with("on"), "<{tag}>");
                prop_assert!(!part.contains("javascript:") || !tag.contains("href=\"javascript"),
                    "<{tag}>");
            }
        }
    }
}

#[test]
fn every_failure_has_words() {
    let codes = json!({"status": 20, "leaveCode": 0, "leaveStatus": 1, "code": 4, "errorLevel": 5});
    for event_type in EventType::DOCUMENTED {
        let event = Event::read(event_type.0, &codes);
        let fails = event.meaning(event_type.0, None).failure().is_some();
        let words = state::failure_words(*event_type);
        assert_eq!(
            words != state::failure_words(EventType(0)),
            fails,
            "{event_type}"
        );
    }
}
