use super::*;
use crate::event::Event;
use crate::notification::Sid;
use proptest::prelude::*;
use serde_json::json;

/// The parts of a session that no order of arrival may change.
fn view(session: &Session) -> impl PartialEq + std::fmt::Debug + use<> {
    let recorders: Vec<_> = session
        .recorders
        .iter()
        .map(|recorder| {
            let Recorder {
                uid,
                announced_at,
                since,
                since_sequence,
                last_sendts,
                has_own,
                ledger,
                registers,
            } = recorder.clone();
            (
                uid,
                announced_at,
                (since, since_sequence, has_own),
                last_sendts,
                ledger.missing_ranges(),
                ledger.last,
                registers,
            )
        })
        .collect();
    let beside: Vec<_> = session
        .beside
        .iter()
        .map(|one| {
            (
                one.uid.clone(),
                one.last_sendts,
                one.ledger.missing_ranges(),
            )
        })
        .collect();
    (session.generation(), recorders, beside)
}

fn fold<'a>(facts: impl IntoIterator<Item = &'a Fact>) -> Session {
    let mut session = Session::default();
    for fact in facts {
        session.apply(fact);
    }
    session
}

fn fact(
    uid: &str,
    sequence: u64,
    sendts: u64,
    event_type: u32,
    details: &serde_json::Value,
) -> Fact {
    fact_in(None, uid, sequence, sendts, event_type, details)
}

/// A callback of a scene.
fn fact_in(
    scene: Option<&str>,
    uid: &str,
    sequence: u64,
    sendts: u64,
    event_type: u32,
    details: &serde_json::Value,
) -> Fact {
    Fact::of(&Notification {
        sid: Sid::new("s").unwrap(),
        cname: "room".to_owned(),
        uid: uid.to_owned(),
        sequence,
        sendts,
        service_type: None,
        service_scene: scene.map(str::to_owned),
        event_type,
        event: Event::read(event_type, details),
        details: details.clone(),
        is_mended: false,
        notice_id: None,
        notify_ms: None,
    })
}

fn phase(session: &Session) -> Option<Phase> {
    session.phase().map(|phase| phase.value)
}

/// An event and its details, chosen by a number.
fn event(choice: u8, value: i64) -> (u32, serde_json::Value) {
    match choice % 20 {
        0 => (
            1,
            json!({"errorLevel": value % 6, "errorCode": value, "module": value % 3}),
        ),
        1 => (2, json!({"module": 1, "warnCode": 31})),
        2 => (3, json!({"status": value % 9})),
        3 => (4, json!({"fileList": format!("{value}.m3u8")})),
        4 => (11, json!({"leaveStatus": value % 2})),
        5 => (30, json!({"status": 0})),
        6 => (31, json!({"status": value % 2})),
        7 => (32, json!({"status": 0})),
        8 | 9 => (33, json!({"progress": value})),
        10 => (40, json!({"status": 0})),
        11 => (41, json!({"leaveCode": value % 25})),
        12 => (42, json!({"startUtcMs": value, "discontinueUtcMs": value})),
        13 => (3, json!({"status": 20})),
        14 => (70, json!({})),
        15 => (71, json!({"code": value % 7})),
        16 => (61, json!({})),
        17 => (81, json!({"result": "fail"})),
        18 => (45, json!({})),
        _ => (43, json!({"state": value % 2})),
    }
}

/// A scene, chosen by a number; usually none.
fn scene(choice: u8) -> Option<&'static str> {
    match choice % 16 {
        0 => Some("rtc_snapshot"),
        1 => Some("postpone_transcode::transcode"),
        2 => Some("rtc_vod"),
        _ => None,
    }
}

prop_compose! {
    /// The callbacks of a session with up to four recorders, in the order they were sent. Numbers
    /// may repeat (`stuck`: some producers never count), each announced or not.
    fn session_facts()(
        recorders in prop::collection::vec((1_usize..70, 0_u64..5, any::<bool>()), 1..4),
        choices in prop::collection::vec((any::<u8>(), 0_i64..1000, any::<u8>()), 220),
        transcoder in 0_usize..12,
        stuck in prop::bool::weighted(0.1),
    ) -> Vec<Fact> {
        let mut facts = Vec::new();
        let mut now = 1_000_000;
        let mut choices = choices.into_iter().cycle();
        let count = recorders.len();
        for (index, (length, start, announced)) in recorders.into_iter().enumerate() {
            let uid = format!("{}", 500 + index);
            for step in 0..length {
                now += 7;
                let (choice, value, stage) = choices.next().unwrap();
                let (event_type, details) = event(choice, value);
                let sequence = if stuck { 0 } else { start + u64::try_from(step).unwrap() };
                facts.push(fact_in(scene(stage), &uid, sequence, now, event_type, &details));
            }
            if announced && index + 1 < count {
                now += 7;
                let next = format!("{}", 501 + index);
                facts.push(fact(&uid, start + u64::try_from(length).unwrap(), now, 12,
                    &json!({ "newUid": next })));
            }
        }
        // A stage beside the recording that counts for itself, and begins early or late.
        for step in 0..u64::try_from(transcoder).unwrap() {
            facts.push(fact("900", step, 1_000_001 + 90 * step, 81, &json!({})));
        }
        facts
    }
}

proptest! {
    #[test]
    fn any_order_repetition_and_loss_gives_the_fold_of_the_sorted_callbacks(
        facts in session_facts(),
        keep in prop::collection::vec(prop::bool::weighted(0.9), 220),
        order in prop::collection::vec(any::<u32>(), 660),
        copies in prop::collection::vec(1_usize..=3, 220),
    ) {
        let marked = facts.into_iter().zip(keep.iter().cycle());
        let kept: Vec<Fact> = marked.filter(|(_, keep)| **keep).map(|(fact, _)| fact).collect();
        let mut deliveries: Vec<(u32, &Fact)> = kept
            .iter()
            .zip(copies.iter().cycle())
            .flat_map(|(fact, copies)| std::iter::repeat_n(fact, *copies))
            .zip(order.iter().cycle())
            .map(|(fact, key)| (*key, fact))
            .collect();
        deliveries.sort_by_key(|(key, _)| *key);
        let shuffled = fold(deliveries.into_iter().map(|(_, fact)| fact));
        prop_assert_eq!(view(&shuffled), view(&fold(&kept)));
    }

    #[test]
    fn a_second_copy_changes_nothing(
        facts in session_facts(),
        pick in any::<prop::sample::Index>(),
    ) {
        let mut session = fold(&facts);
        let before = session.clone();
        let merged = session.apply(&facts[pick.index(facts.len())]);
        prop_assert!(merged.noted == Noted::Known && !merged.changed, "{merged:?}");
        prop_assert_eq!(session, before);
    }
}

#[test]
fn an_exit_that_arrives_before_the_heartbeats_still_ends_the_session() {
    let session = fold(&[
        fact("5", 4, 400, 11, &json!({"exitStatus": 1})),
        fact("5", 0, 100, 40, &json!({"status": 0})),
        fact("5", 3, 300, 41, &json!({"leaveCode": 24})),
        fact("5", 1, 200, 33, &json!({"progress": 100})),
    ]);
    assert_eq!(phase(&session), Some(Phase::Failed));
    assert_eq!(session.current().unwrap().ledger.missing_ranges(), [(2, 2)]);
}

#[test]
fn a_replaced_recorder_cannot_end_the_session() {
    let failover = fact("5", 3, 300, 12, &json!({"newUid": 6}));
    let old_exit = fact("5", 9, 350, 11, &json!({"exitStatus": 1}));
    let new_start = fact("6", 0, 360, 40, &json!({"status": 0}));
    let old_start = fact("5", 0, 100, 40, &json!({"status": 0}));

    let announced = fold([&old_start, &failover, &old_exit]);
    // The new one was only announced: the old one's word counts until it comes.
    assert_eq!(phase(&announced), Some(Phase::Failed));
    assert!(announced.register(RegisterName::Exit).is_some());
    assert_eq!(
        (
            announced.generation(),
            announced.current().unwrap().uid.as_str()
        ),
        (0, "5")
    );

    for order in [
        [&old_start, &failover, &old_exit, &new_start],
        [&new_start, &old_exit, &failover, &old_start],
        [&old_exit, &new_start, &old_start, &failover],
    ] {
        let session = fold(order);
        assert_eq!(phase(&session), Some(Phase::Recording), "{order:?}");
        assert_eq!(
            (
                session.generation(),
                session.current().unwrap().uid.as_str()
            ),
            (1, "6")
        );
        assert_eq!(session.current().unwrap().ledger.missing_ranges(), []);
    }
}

#[test]
fn what_a_recorder_says_counts_more_than_its_announcement_even_if_it_was_earlier() {
    let start = fact("5", 0, 100, 40, &json!({"status": 0}));
    let new_start = fact("6", 0, 310, 40, &json!({"status": 0}));
    let failover = fact("5", 3, 320, 12, &json!({"newUid": 6}));
    let again = fact("5", 4, 315, 12, &json!({"newUid": 6}));
    for order in [
        [&start, &new_start, &failover, &again],
        [&start, &failover, &new_start, &again],
        [&again, &failover, &new_start, &start],
    ] {
        let session = fold(order);
        assert_eq!(phase(&session), Some(Phase::Recording), "{order:?}");
        assert_eq!(session.current().unwrap().announced_at, Some(315));
    }
    let announced = fold([&start, &failover]);
    assert_eq!(phase(&announced), Some(Phase::Recording));
    let announced = announced.recorders.last().unwrap().phase().unwrap();
    assert_eq!(announced.value, Phase::Starting);
}

#[test]
fn a_recorder_that_says_no_more_than_its_announcement_is_heard_once() {
    let failover = fact("5", 3, 310, 12, &json!({"newUid": 6}));
    let starting = fact("6", 0, 310, 3, &json!({"status": 1}));
    let mut session = fold([&failover, &starting]);
    let before = session.clone();
    assert!(!session.apply(&starting).changed);
    assert_eq!(session, before);
}

#[test]
fn an_announcement_under_a_known_number_is_news() {
    let mut session = fold([&fact("5", 0, 310, 40, &json!({"status": 0}))]);
    let merged = session.apply(&fact("5", 0, 310, 12, &json!({"newUid": 6})));
    assert_eq!((merged.noted, merged.changed), (Noted::Known, true));
    let again = session.apply(&fact("5", 0, 310, 12, &json!({"newUid": 6})));
    assert_eq!((again.noted, again.changed), (Noted::Known, false));
}

#[test]
fn a_callback_belongs_to_the_recorder_of_its_uid_else_to_the_one_at_work() {
    let session = fold(&[
        fact("5", 0, 100, 40, &json!({"status": 0})),
        fact("6", 0, 200, 40, &json!({"status": 0})),
    ]);
    for (uid, recorder) in [("5", "5"), ("6", "6"), ("", "6"), ("7", "6")] {
        assert_eq!(session.recorder_of(uid).unwrap().uid, recorder);
    }
    assert_eq!(Session::default().recorder_of("5"), None);
}

#[test]
fn an_unannounced_recorder_that_began_later_takes_over() {
    let old = fact("5", 7, 100, 33, &json!({"progress": 5}));
    let new = fact("6", 2, 200, 40, &json!({"status": 0}));
    for order in [[&old, &new], [&new, &old]] {
        let session = fold(order);
        assert_eq!(session.current().unwrap().uid, "6");
        assert_eq!(session.recorders[0].ledger.missing_ranges(), [(0, 6)]);
        assert_eq!(session.recorders[1].ledger.missing_ranges(), []);
    }
}

#[test]
fn merging_tells_late_known_and_new_apart() {
    let mut session = fold(&[fact("5", 2, 200, 33, &json!({"progress": 5}))]);
    let mut merge = |sequence, sendts, progress: i64| {
        session.apply(&fact(
            "5",
            sequence,
            sendts,
            33,
            &json!({ "progress": progress }),
        ))
    };
    assert_eq!(
        merge(5, 500, 9),
        Merged {
            noted: Noted::New,
            behind: false,
            changed: true
        }
    );
    assert_eq!(
        merge(3, 300, 7),
        Merged {
            noted: Noted::New,
            behind: true,
            changed: true
        }
    );
    assert_eq!(
        merge(3, 300, 7),
        Merged {
            noted: Noted::Known,
            behind: true,
            changed: false
        }
    );
    assert_eq!(
        merge(5, 500, 9),
        Merged {
            noted: Noted::Known,
            behind: false,
            changed: false
        }
    );
    // The same number with a newer fact: some producers never count.
    assert_eq!(
        merge(5, 600, 10),
        Merged {
            noted: Noted::Known,
            behind: false,
            changed: true
        }
    );
}

#[test]
fn of_callbacks_under_one_number_the_earliest_opens_and_the_latest_is_last() {
    let silent = json!({});
    for times in [[7, 5, 9], [9, 7, 5], [5, 9, 7]] {
        let mut session = Session::default();
        for at in times {
            let heard = session.recorders.first().cloned();
            let merged = session.apply(&fact("5", 0, at, 44, &silent));
            let news = heard.is_none_or(|recorder| {
                recorder.since.is_some_and(|since| at < since) || at > recorder.last_sendts
            });
            assert_eq!(merged.changed, news);
        }
        let recorder = session.current().unwrap();
        assert_eq!((recorder.since, recorder.last_sendts), (Some(5), 9));
    }
}

#[test]
fn a_callback_without_a_uid_belongs_to_the_recorder_at_work() {
    let session = fold(&[
        fact("", 0, 100, 40, &json!({"status": 0})),
        fact("5", 1, 200, 33, &json!({"progress": 5})),
        fact("", 2, 300, 41, &json!({"leaveCode": 8})),
    ]);
    assert_eq!(session.generation(), 0);
    assert_eq!(
        (session.current().unwrap().uid.as_str(), phase(&session)),
        ("5", Some(Phase::Stopping))
    );
}

/// The one exception to order: README says so under Limits. Agora's callbacks carry a uid.
#[test]
fn with_two_recorders_a_callback_without_a_uid_depends_on_the_order_and_with_one_it_does_not() {
    let first = fact("5", 0, 1000, 40, &json!({"status": 0}));
    let second = fact("6", 0, 2000, 40, &json!({"status": 0}));
    let nameless = fact("", 3, 3000, 11, &json!({"leaveStatus": 0}));
    let before = fold([&first, &nameless, &second]);
    assert!(before.current().unwrap().exit().is_none());
    let after = fold([&first, &second, &nameless]);
    assert!(after.current().unwrap().exit().is_some());
    let alone = fold([&first, &nameless]);
    assert_eq!(view(&alone), view(&fold([&nameless, &first])));
}

#[test]
fn of_too_many_recorders_the_newest_stay_and_of_those_of_one_moment_the_later_uids() {
    let begins = |uid: u64, at| fact(&uid.to_string(), 0, at, 40, &json!({"status": 0}));
    let full: Vec<Fact> = (20..28).map(|uid| begins(uid, 1000)).collect();
    for (uid, at, oldest) in [
        (10, 1000, "20"),
        (30, 1000, "21"),
        (10, 1001, "21"),
        (30, 999, "20"),
    ] {
        let mut session = fold(&full);
        session.apply(&begins(uid, at));
        assert_eq!(session.recorders.len(), MAX_RECORDERS);
        assert_eq!(session.recorders[0].uid, oldest, "{uid} {at}");
    }
}

#[test]
fn endless_failovers_stay_bounded() {
    let mut session = Session::default();
    for uid in 0..100 {
        session.apply(&fact(
            &uid.to_string(),
            0,
            1000 + uid,
            40,
            &json!({"status": 0}),
        ));
    }
    assert_eq!(
        (session.recorders.len(), session.generation()),
        (MAX_RECORDERS, 99)
    );
    let before = session.clone();
    let late = session.apply(&fact("3", 1, 1003, 33, &json!({"progress": 5})));
    assert_eq!(
        late,
        Merged {
            noted: Noted::New,
            behind: true,
            changed: false
        }
    );
    assert_eq!(session, before);
}

#[test]
fn a_failure_stays_known_until_the_same_recorder_is_seen_at_work() {
    let start = fact("5", 0, 100, 40, &json!({"status": 0}));
    let fatal = fact("5", 3, 300, 1, &json!({"errorLevel": 5}));
    let exit = fact("5", 9, 900, 11, &json!({"exitStatus": 0}));
    let slice = fact("5", 4, 400, 42, &json!({}));
    let restart = fact("5", 4, 400, 40, &json!({"status": 0}));
    let page = fact("5", 4, 400, 70, &json!({}));
    let leave = fact("5", 5, 500, 41, &json!({"leaveCode": 24}));
    let failed_start = fact("5", 4, 400, 40, &json!({"status": 1}));
    let failure = |session: &Session| session.failure().map(|failure| failure.value);
    for order in [[&start, &fatal, &exit], [&exit, &fatal, &start]] {
        let session = fold(order);
        assert_eq!(failure(&session), Some(EventType::CLOUD_RECORDING_ERROR));
        assert_eq!(phase(&session), Some(Phase::Ended));
    }
    for healed_by in [&slice, &restart, &page] {
        for order in [
            [&start, &fatal, healed_by, &leave, &exit],
            [&exit, &leave, healed_by, &fatal, &start],
            [&fatal, &exit, &leave, healed_by, &start],
        ] {
            assert_eq!(failure(&fold(order)), None, "{order:?}");
        }
    }
    let newer = fold([&start, &fatal, &failed_start, &exit]);
    assert_eq!(failure(&newer), Some(EventType::RECORDER_STARTED));
    // Another recorder's work doesn't heal it; but it is at work then.
    let other = fact("6", 0, 500, 40, &json!({"status": 0}));
    for order in [[&start, &fatal, &other], [&other, &fatal, &start]] {
        let session = fold(order);
        assert_eq!(failure(&session), None);
        let replaced = session.recorders[0].failure().map(|failure| failure.value);
        assert_eq!(replaced, Some(EventType::CLOUD_RECORDING_ERROR));
    }
}

#[test]
fn each_callback_of_the_definition_is_a_failure_and_no_other() {
    for (event_type, details, expected) in [
        (1, json!({"errorLevel": 5}), true),
        (1, json!({"errorLevel": 4}), false),
        (11, json!({"exitStatus": 1}), true),
        (11, json!({"exitStatus": 0}), false),
        (3, json!({"status": 20}), true),
        (3, json!({"status": 8}), false),
        (41, json!({"leaveCode": 0}), true),
        (41, json!({"leaveCode": 2}), true),
        (41, json!({"leaveCode": 10}), true),
        (41, json!({"leaveCode": 6}), false),
        (41, json!({"leaveCode": 18}), false),
        (41, json!({}), false),
        (40, json!({"status": 1}), true),
        (71, json!({"code": 1}), false),
        (71, json!({"code": 6}), true),
        (72, json!({}), true),
        (31, json!({"status": 1}), false),
    ] {
        let session = fold(&[fact("5", 0, 1, event_type, &details)]);
        assert_eq!(
            session.failure().is_some(),
            expected,
            "{event_type} {details}"
        );
    }
}

#[test]
fn a_stage_beside_the_recording_only_counts() {
    let snapshot = |sequence| {
        let files = json!({"status": 0});
        fact_in(
            Some("rtc_snapshot"),
            "5",
            sequence,
            sequence * 10,
            31,
            &files,
        )
    };
    let transcoder = |sequence, event_type| fact("9", sequence, 1, event_type, &json!({}));
    let alone = fold(&[snapshot(3), transcoder(0, 80), transcoder(1, 81)]);
    assert_eq!((phase(&alone), alone.recorders.len()), (None, 0));
    assert_eq!(alone.upload_state(true), UploadState::None);
    let start = fact("5", 1, 10, 40, &json!({"status": 0}));
    let slice = fact("5", 2, 20, 42, &json!({}));
    for order in [
        [
            &start,
            &slice,
            &snapshot(0),
            &snapshot(3),
            &transcoder(0, 80),
            &transcoder(1, 1001),
        ],
        [
            &transcoder(0, 80),
            &transcoder(1, 1001),
            &snapshot(3),
            &snapshot(0),
            &slice,
            &start,
        ],
    ] {
        let session = fold(order);
        assert_eq!(session.generation(), 0);
        let current = session.current().unwrap();
        assert_eq!((current.uid.as_str(), current.since), ("5", Some(10)));
        assert_eq!(current.ledger.missing_ranges(), []);
        assert_eq!(phase(&session), Some(Phase::Recording));
        assert_eq!(session.upload_state(true), UploadState::Unconfirmed);
    }
}

#[test]
fn only_what_the_definition_names_confirms_the_files() {
    use UploadState::{Backup, Confirmed, None, Stranded, Unconfirmed};
    let state = |scene, event_type, details: &serde_json::Value| {
        let start = fact("5", 0, 1, 42, &json!({}));
        let said = fact_in(scene, "5", 1, 2, event_type, details);
        fold(&[start, said]).upload_state(true)
    };
    for (scene, event_type, details, expected) in [
        (Option::None, 31, json!({}), Confirmed),
        (
            Option::None,
            31,
            json!({"status": 0, "uploadingStatus": ""}),
            Confirmed,
        ),
        (Option::None, 31, json!({"status": 1}), Unconfirmed),
        (
            Option::None,
            31,
            json!({"uploadingStatus": "stranded"}),
            Stranded,
        ),
        (Option::None, 32, json!({"status": 0}), Backup),
        (Option::None, 32, json!({"status": 1}), Unconfirmed),
        (
            Option::None,
            32,
            json!({"uploadingStatus": "stranded"}),
            Stranded,
        ),
        (Option::None, 30, json!({"status": 0}), Unconfirmed),
        (Option::None, 61, json!({}), Confirmed),
        (Some("rtc_vod"), 31, json!({"status": 0}), Unconfirmed),
        (Some("rtc_vod"), 61, json!({}), Confirmed),
        (Some("rtc_snapshot"), 31, json!({"status": 0}), Unconfirmed),
        (
            Some("postpone_transcode::transcode"),
            31,
            json!({"status": 0}),
            Unconfirmed,
        ),
        (
            Some("postpone_transcode::rtc_record"),
            31,
            json!({"status": 0}),
            Confirmed,
        ),
    ] {
        assert_eq!(
            state(scene, event_type, &details),
            expected,
            "{scene:?} {event_type} {details}"
        );
    }
    let started = || fact("5", 0, 1, 40, &json!({"status": 0}));
    for (event_type, details, expected) in [
        (30, json!({"status": 0}), None),
        (45, json!({"fileName": "a.jpg"}), None),
        (43, json!({"state": 1}), None),
        (43, json!({"state": 0}), None),
        (4, json!({"fileList": "a.m3u8"}), Unconfirmed),
        (33, json!({"progress": 0}), Unconfirmed),
    ] {
        let session = fold(&[started(), fact("5", 1, 2, event_type, &details)]);
        assert_eq!(
            session.upload_state(true),
            expected,
            "{event_type} {details}"
        );
    }
    let slice = fact("5", 1, 2, 42, &json!({}));
    let fatal = fact("5", 2, 3, 1, &json!({"errorLevel": 5}));
    let failed = fold([&slice, &fatal]);
    assert_eq!(failed.upload_state(true), None);
    assert_eq!(failed.upload_state(false), Unconfirmed);
}

#[test]
fn what_a_recorder_says_is_read_back_as_it_was_said() {
    let codes = json!({"status": 7, "leaveCode": 0, "leaveStatus": 1, "code": 4, "errorLevel": 5,
        "uploadingStatus": "stranded", "progress": 5, "fileList": "a.m3u8"});
    for event_type in EventType::DOCUMENTED {
        for details in [&codes, &json!({})] {
            let event = Event::read(event_type.0, details);
            let meaning = event.meaning(event_type.0, Some("rtc_vod"));
            let fact = Fact {
                uid: "5".to_owned(),
                registers: register::registers(&event, event_type.0, &meaning),
                ..Fact::default()
            };
            let mut session = Session::default();
            session.apply(&fact);
            let recorder = session.current().unwrap();
            let value = |work: Reported<_>| work.value;
            assert_eq!(recorder.work().map(value), meaning.work, "{event_type}");
            let value = |phase: Reported<_>| phase.value;
            assert_eq!(recorder.phase().map(value), meaning.phase, "{event_type}");
            let value = |upload: Reported<Upload>| upload.value.state();
            let upload = meaning.upload.as_ref().filter(|upload| upload.is_over());
            let upload = upload.map(Upload::state);
            assert_eq!(recorder.upload().map(value), upload, "{event_type}");
            let failed = meaning.failure().map(|_| *event_type);
            let value = |failure: Reported<_>| failure.value;
            assert_eq!(recorder.failure().map(value), failed, "{event_type}");
        }
    }
}

/// What the files of a session come to, from callbacks: uid, minute, event, details.
fn uploads_of(callbacks: &[(&str, u64, u32, serde_json::Value)]) -> Uploads {
    let facts: Vec<_> = (0..)
        .zip(callbacks)
        .map(|(n, (uid, minute, event_type, details))| {
            fact(
                uid,
                n,
                1_772_460_000_000 + minute * 60_000,
                *event_type,
                details,
            )
        })
        .collect();
    fold(&facts).uploads(&std::collections::BTreeSet::new(), true)
}

#[test]
fn what_one_recorder_confirms_says_nothing_of_another_ones_files() {
    let file = |name: &str| json!({"fileList": name});
    let killed = vec![
        ("5", 0, 40, json!({"status": 0})),
        ("5", 1, 42, json!({})),
        ("5", 2, 4, file("a.m3u8")),
        ("5", 120, 41, json!({"leaveCode": 2})),
        ("5", 121, 12, json!({"newUid": 6})),
        ("6", 121, 40, json!({"status": 0})),
        ("6", 122, 42, json!({})),
        ("6", 132, 41, json!({"leaveCode": 24})),
    ];
    let with = |more: &[(&'static str, u64, u32, serde_json::Value)]| {
        uploads_of(&[killed.clone(), more.to_vec()].concat())
    };
    let both = with(&[]);
    assert_eq!(
        (both.state, both.are_awaited),
        (UploadState::Unconfirmed, true)
    );
    let uploaded = ("6", 133, 31, file("b.m3u8"));
    let half = with(std::slice::from_ref(&uploaded));
    assert_eq!((half.state, half.are_awaited), (UploadState::Partial, true));
    assert_eq!(
        (half.uids(true), half.uids(false)),
        ("6".to_owned(), "5".to_owned())
    );
    let backup = with(&[("5", 133, 32, file("a.m3u8")), uploaded.clone()]);
    assert_eq!(
        (backup.state, backup.are_awaited),
        (UploadState::Backup, false)
    );
    let stranded = ("5", 133, 31, json!({"uploadingStatus": "stranded"}));
    assert_eq!(
        with(std::slice::from_ref(&stranded)).state,
        UploadState::Stranded
    );
    assert_eq!(
        with(&[stranded, uploaded.clone()]).state,
        UploadState::Partial
    );
    let whole = with(&[("5", 133, 31, file("a.m3u8")), uploaded.clone()]);
    assert_eq!(
        (whole.state, whole.are_awaited),
        (UploadState::Confirmed, false)
    );
    // One whose own failure rang isn't waited for, and isn't confirmed either.
    let rang = with(&[("5", 122, 11, json!({"exitStatus": 1})), uploaded]);
    assert_eq!(
        (rang.state, rang.are_awaited),
        (UploadState::Partial, false)
    );
}

#[test]
fn a_confirmation_older_than_what_was_recorded_last_confirms_nothing() {
    let began = vec![("5", 0, 40, json!({"status": 0})), ("5", 1, 42, json!({}))];
    let state = |more: &[(&'static str, u64, u32, serde_json::Value)]| {
        uploads_of(&[began.clone(), more.to_vec()].concat()).state
    };
    let reports = [
        (31, json!({"status": 0}), UploadState::Confirmed),
        (32, json!({"status": 0}), UploadState::Backup),
        (61, json!({}), UploadState::Confirmed),
    ];
    for (event_type, details, confirmed) in reports {
        let report = ("5", 2, event_type, details);
        for work in [
            (42, json!({})),
            (4, json!({"fileList": "b.m3u8"})),
            (70, json!({})),
            (43, json!({"state": 0})),
            (44, json!({"state": 0})),
        ] {
            let later = ("5", 3, work.0, work.1.clone());
            assert_eq!(
                state(&[report.clone(), later.clone()]),
                UploadState::Unconfirmed
            );
            let earlier = ("5", 1, work.0, work.1);
            assert_eq!(state(&[earlier, report.clone()]), confirmed, "{later:?}");
        }
        // The usual tail, and whatever else follows, changes nothing.
        let tail = [
            report,
            ("5", 3, 33, json!({"progress": 10_000})),
            ("5", 3, 43, json!({"state": 1})),
            ("5", 3, 44, json!({"state": 1})),
            ("5", 3, 40, json!({"status": 0})),
            ("5", 3, 30, json!({"status": 0})),
            ("5", 4, 11, json!({"exitStatus": 0})),
        ];
        assert_eq!(state(&tail), confirmed, "{event_type}");
    }
}

#[test]
fn streams_alone_promise_no_file_where_snapshots_were_taken_or_time_was_short() {
    let received = ("5", 1, 44, json!({"state": 0}));
    let of = |minutes: u64, more: &[(&'static str, u64, u32, serde_json::Value)]| {
        let began = vec![("5", 0, 40, json!({"status": 0})), received.clone()];
        let ended = vec![("5", minutes, 41, json!({"leaveCode": 24}))];
        uploads_of(&[began, more.to_vec(), ended].concat()).state
    };
    let snapshot = ("5", 2, 45, json!({"fileName": "a.jpg"}));
    assert_eq!(of(30, &[]), UploadState::Unconfirmed);
    assert_eq!(of(30, std::slice::from_ref(&snapshot)), UploadState::None);
    assert_eq!(of(9, &[]), UploadState::None);
    for event_type in [30, 4, 33, 42] {
        let sign = (
            "5",
            3,
            event_type,
            json!({"fileList": "a.m3u8", "progress": 1}),
        );
        assert_eq!(
            of(9, std::slice::from_ref(&sign)),
            UploadState::Unconfirmed,
            "{event_type}"
        );
        let with_snapshots = of(30, &[snapshot.clone(), sign]);
        let expected = match event_type {
            30 => UploadState::None,
            _ => UploadState::Unconfirmed,
        };
        assert_eq!(with_snapshots, expected, "{event_type}");
    }
}

#[test]
fn who_was_only_announced_or_only_told_an_error_is_not_at_work() {
    let died = || {
        let mut session = Session::default();
        session.apply(&fact("5", 0, 10, 40, &json!({"status": 0})));
        session.apply(&fact("5", 1, 20, 41, &json!({"leaveCode": 2})));
        session.apply(&fact("5", 2, 30, 12, &json!({"newUid": 6})));
        session
    };
    let at_work =
        |session: &Session| (session.current().unwrap().uid.clone(), session.generation());
    let mut session = died();
    assert_eq!(at_work(&session), ("5".to_owned(), 0));
    assert_eq!(phase(&session), Some(Phase::Failed));
    assert!(
        !session
            .apply(&fact("5", 3, 40, 33, &json!({"progress": 1})))
            .behind
    );
    for (n, event_type) in [(0, 1), (1, 2), (2, 3)] {
        session.apply(&fact(
            "6",
            n,
            50,
            event_type,
            &json!({"errorLevel": 5, "status": 1}),
        ));
        assert_eq!(at_work(&session), ("5".to_owned(), 0), "{event_type}");
    }
    let snapshot = fact_in(Some("rtc_snapshot"), "6", 3, 50, 40, &json!({"status": 0}));
    session.apply(&snapshot);
    assert_eq!(at_work(&session), ("5".to_owned(), 0));
    session.apply(&fact("6", 4, 60, 43, &json!({"state": 1})));
    assert_eq!(at_work(&session), ("6".to_owned(), 1));
    assert!(
        session
            .apply(&fact("5", 4, 70, 33, &json!({"progress": 2})))
            .behind
    );
    let mut alone = Session::default();
    alone.apply(&fact("5", 0, 10, 1, &json!({"errorLevel": 5})));
    assert_eq!(at_work(&alone), ("5".to_owned(), 0));
}
