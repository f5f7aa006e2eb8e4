//! What is due is sent once, whoever sweeps and however often; silences and unconfirmed uploads are
//! noticed and taken back.

use crate::harness::{
    Binary, Function, TABLE, World, callback, callback_at, delivery, event, event_details, number,
    state, text, tick,
};
use agora_recording_callbacks::sweep::PUT_OFF_MS;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use serde_json::{Value, json};
use testkit::sns::Mood;

const MIN: u64 = 60_000;
const T0: u64 = 1_772_460_000_000;

/// The kinds published for a session so far.
fn kinds(world: &World, sid: &str) -> Vec<String> {
    world
        .sns
        .published()
        .iter()
        .filter(|message| message.default["metadata"]["threadId"] == sid)
        .map(|message| message.attributes["kind"].clone())
        .collect()
}

#[tokio::test]
async fn with_sns_down_for_the_whole_of_a_callback_the_next_sweep_sends_its_alert_once() {
    for mood in [Mood::Down, Mood::Hanging] {
        let world = World::new().await;
        world.sns.set_mood(mood);
        let function = Function::start(&world, &[]).await;
        let body = callback("a", "5", 3, 11, &event_details(11));
        let answer = function.invoke_within(event(&body), 3_000).await;
        assert_eq!(answer["statusCode"], 200);
        world.sns.set_mood(Mood::Well);

        let sweeper = Function::start_binary(Binary::Sweeper, &world, &[]).await;
        let early = sweeper.invoke(tick()).await;
        assert_eq!(early["published"], 0);
        assert_eq!(world.sns.published().len(), 0);
        world.end_leases("a").await;
        let sweep = sweeper.invoke(tick()).await;
        assert_eq!(sweep["published"], 1);
        assert_eq!(sweep["finished"], true);
        sweeper.invoke(tick()).await;
        assert_eq!(kinds(&world, "a"), ["abnormal_exit"]);
        let alert = world.items_with("a", "alert#").await.remove(0);
        assert_eq!(state(&alert), "sent");
        assert_eq!(&text(&alert, "watch_shard")[..4], "sent");
    }
}

#[tokio::test]
async fn rule_events_scheduler_events_and_any_others_start_a_sweep() {
    let world = World::new().await;
    let sweeper = Function::start_binary(Binary::Sweeper, &world, &[]).await;
    let scheduler = json!({"version": "0", "detail-type": "Scheduled Event",
        "source": "aws.scheduler", "detail": "{}"});
    for event in [tick(), scheduler, json!({}), json!("now"), Value::Null] {
        let sweep = sweeper.invoke(event.clone()).await;
        assert_eq!(sweep["finished"], true, "{event}");
        assert_eq!(sweep["errors"], 0, "{event}");
    }
}

#[tokio::test]
async fn two_sweepers_at_the_same_moment_publish_once() {
    let world = World::new().await;
    let receiver = world.receiver();
    let mut sids = Vec::new();
    world.sns.set_mood(Mood::Down);
    for n in 0..12 {
        // An alert that is left over, and a session that is silent.
        for (sid, event_type) in [(format!("e{n}"), 1), (format!("s{n}"), 33)] {
            let body = callback(&sid, "5", 0, event_type, &event_details(event_type));
            world.deliver(&receiver, body.as_bytes()).await;
            world.end_leases(&sid).await;
            world.look_now(&sid).await;
            sids.push(sid);
        }
    }
    world.sns.set_mood(Mood::Well);
    let one = Function::start_binary(Binary::Sweeper, &world, &[]).await;
    let other = Function::start_binary(Binary::Sweeper, &world, &[]).await;
    let (first, second) = tokio::join!(one.invoke(tick()), other.invoke(tick()));
    assert_eq!(world.told(), 24, "{first} {second}");
    for sid in &sids {
        for alert in world.items_with(sid, "alert#").await {
            assert_eq!(state(&alert), "sent", "{alert:?}");
        }
    }
}

#[tokio::test]
async fn tries_that_fail_are_further_apart_and_after_a_day_the_alert_is_failed_and_kept() {
    let world = World::new().await;
    world.sns.set_mood(Mood::Down);
    let receiver = world.receiver();
    let body = callback("a", "5", 3, 1, &event_details(1));
    world.deliver_as(&receiver, body.as_bytes(), "r", T0).await;
    let sweeper = world.sweeper();
    let due_at = async || -> u64 {
        let alert = world.items_with("a", "alert#").await.remove(0);
        assert_eq!(state(&alert), "pending");
        assert_eq!(alert["watch_at"], delivery(&alert, "alerts")["due_at"]);
        number(&alert, "watch_at")
    };
    let mut now_ms = due_at().await;
    assert_eq!(now_ms, T0 + 15_000);
    for pause in [30, 60, 120, 240, 300, 300] {
        let early = world.sweep_at(&sweeper, now_ms - 1000).await;
        assert_eq!(early.deferred, 0);
        assert_eq!(early.held, 0);
        let sweep = world.sweep_at(&sweeper, now_ms).await;
        assert_eq!(sweep.published, 0);
        assert_eq!(sweep.deferred, 1);
        assert_eq!(sweep.failed, 0);
        assert!(sweep.oldest_pending_ms >= now_ms - T0);
        let due_at = due_at().await;
        let took_ms = due_at - now_ms - pause * 1000;
        assert!(took_ms < 15_000, "{pause} s: {took_ms}");
        now_ms = due_at;
    }
    let nearly_a_day = world.sweep_at(&sweeper, T0 + 24 * 60 * MIN - 6 * MIN).await;
    assert_eq!(nearly_a_day.deferred, 1);
    assert_eq!(nearly_a_day.failed, 0);
    let a_day = world.sweep_at(&sweeper, T0 + 24 * 60 * MIN).await;
    assert_eq!(a_day.deferred, 1);
    assert_eq!(a_day.failed, 1);
    assert_eq!(a_day.published, 0);
    let alert = world.items_with("a", "alert#").await.remove(0);
    assert_eq!(state(&alert), "failed");
    // It is where the operator finds it, and nobody tries it any more.
    assert_eq!(text(&alert, "watch_shard"), "failed");
    world.sns.set_mood(Mood::Well);
    let sweep = world.sweep_at(&sweeper, T0 + 48 * 60 * MIN).await;
    assert_eq!(sweep.published, 0);
    assert_eq!(sweep.deferred, 0);
}

#[tokio::test]
async fn a_simulated_clock_drives_a_session_through_silence_and_back() {
    let world = World::new().await;
    let receiver = world.receiver();
    let sweeper = world.sweeper();
    let mut minute = 0;
    let mut looks = 0;
    let nothing: &[&str] = &[];
    // A step: what comes at which minute, until when the sweeper then sweeps every minute, and what
    // is published meanwhile.
    let story = [
        (0, Some((0, 40, json!({"status": 0}))), 0, nothing),
        (1, Some((1, 33, json!({"progress": 100}))), 5, nothing),
        (6, None, 7, &["session_silent"][..]),
        (
            8,
            Some((2, 33, json!({"progress": 200}))),
            10,
            &["session_silent_resolved"][..],
        ),
        (11, Some((3, 41, json!({"leaveCode": 24}))), 40, nothing),
        (41, None, 43, &["upload_unconfirmed"][..]),
        (
            44,
            Some((4, 31, json!({"status": 0}))),
            50,
            &["upload_unconfirmed_resolved"][..],
        ),
        (51, Some((5, 11, json!({"exitStatus": 0}))), 90, nothing),
    ];
    for (at, comes, until, expected) in story {
        let before = kinds(&world, "a").len();
        if let Some((sequence, event_type, details)) = comes {
            let body = callback_at("a", "5", sequence, event_type, &details, T0 + at * MIN);
            let handled = world
                .deliver_as(&receiver, body.as_bytes(), &format!("r{at}"), T0 + at * MIN)
                .await;
            assert_eq!(handled.reply.status(), 200);
        }
        while minute <= until {
            looks += world.sweep_at(&sweeper, T0 + minute * MIN).await.looked;
            minute += 1;
        }
        assert_eq!(kinds(&world, "a")[before..], *expected, "minute {at}");
    }
    // It is over and uploaded: it is never looked at again, whatever straggles in.
    let item = world.session_item("a").await;
    assert!(
        !item.contains_key("watch_at")
            && !item.contains_key("silent_since")
            && !item.contains_key("unconfirmed_since")
    );
    let body = callback_at("a", "5", 9, 43, &json!({"state": 1}), T0 + 91 * MIN);
    world
        .deliver_as(&receiver, body.as_bytes(), "straggler", T0 + 91 * MIN)
        .await;
    for minute in (92..3000).step_by(7) {
        assert_eq!(world.sweep_at(&sweeper, T0 + minute * MIN).await.looked, 0);
    }
    let last = "one a minute until it is over and uploaded, one after its exit";
    assert_eq!(looks, 46, "{last}");
    let severities: Vec<_> = world
        .sns
        .published()
        .iter()
        .map(|m| m.attributes["severity"].clone())
        .collect();
    assert_eq!(severities, ["critical", "info", "warning", "info"]);
}

#[tokio::test]
async fn an_upload_after_a_backup_takes_the_backup_back_once() {
    let world = World::new().await;
    let receiver = world.receiver();
    let sweeper = world.sweeper();
    for (minute, event_type, details) in [
        (0, 40, json!({"status": 0})),
        (1, 41, json!({"leaveCode": 24})),
        (2, 32, json!({"status": 0})),
        (3, 11, json!({"exitStatus": 0})),
    ] {
        let body = callback_at("a", "5", minute, event_type, &details, T0 + minute * MIN);
        world
            .deliver_as(
                &receiver,
                body.as_bytes(),
                &format!("r{minute}"),
                T0 + minute * MIN,
            )
            .await;
    }
    for minute in 3..60 {
        world.sweep_at(&sweeper, T0 + minute * MIN).await;
    }
    assert_eq!(kinds(&world, "a"), ["backup_only_upload"]);
    let body = callback_at("a", "5", 9, 31, &json!({"status": 0}), T0 + 60 * MIN);
    world
        .deliver_as(&receiver, body.as_bytes(), "r", T0 + 60 * MIN)
        .await;
    for round in 0..3 {
        for minute in 61..90 {
            world.sweep_at(&sweeper, T0 + (minute + round) * MIN).await;
        }
        assert_eq!(
            kinds(&world, "a"),
            ["backup_only_upload", "backup_only_upload_resolved"]
        );
        // Somebody makes it be looked at once more.
        world.look_now("a").await;
    }
}

#[tokio::test]
async fn a_heartbeat_between_the_look_and_its_note_wins() {
    let world = World::new().await;
    let receivers: Vec<_> = (0..4).map(|_| world.receiver()).collect();
    let sweepers: Vec<_> = (0..2).map(|_| world.sweeper()).collect();
    for round in 0..20 {
        let sid = format!("s{round}");
        let beat = |n: u64, minute: u64| {
            callback_at(&sid, "5", n, 33, &json!({"progress": n}), T0 + minute * MIN)
        };
        world
            .deliver_as(&receivers[0], beat(0, 0).as_bytes(), "r", T0)
            .await;
        let bodies: Vec<_> = (1..5).map(|n| beat(n, 7 + n)).collect();
        let callbacks = async {
            join_all(
                bodies
                    .iter()
                    .zip(&receivers)
                    .enumerate()
                    .map(|(n, (body, receiver))| {
                        let world = &world;
                        async move {
                            tokio::time::sleep(std::time::Duration::from_millis(n as u64 * 3))
                                .await;
                            world
                                .deliver_as(
                                    receiver,
                                    body.as_bytes(),
                                    &format!("r{n}"),
                                    T0 + 12 * MIN,
                                )
                                .await
                        }
                    }),
            )
            .await
        };
        let sweeps = join_all(
            sweepers
                .iter()
                .map(|sweeper| world.sweep_at(sweeper, T0 + 7 * MIN)),
        );
        let (handled, _) = tokio::join!(callbacks, sweeps);
        assert!(handled.iter().all(|handled| handled.reply.status() == 200));
        let session = world.session(&sid).await;
        assert_eq!(
            session.current().unwrap().ledger.last,
            Some(4),
            "no callback is lost"
        );
        // Later on, whatever was said has been taken back.
        for minute in 12..16 {
            world.sweep_at(&sweepers[0], T0 + minute * MIN).await;
        }
        let said = kinds(&world, &sid);
        assert!(
            said.is_empty() || said == ["session_silent", "session_silent_resolved"],
            "{said:?}"
        );
        assert!(!world.session_item(&sid).await.contains_key("silent_since"));
    }
}

#[tokio::test]
async fn a_late_callback_brings_a_session_back_that_was_no_longer_looked_at() {
    let world = World::new().await;
    let (receiver, sweeper) = (world.receiver(), world.sweeper());
    let deliver = async |sequence, event_type, details, minute: u64| {
        let at = T0 + minute * MIN;
        let body = callback_at("a", "5", sequence, event_type, &details, at);
        let handled = world
            .deliver_as(&receiver, body.as_bytes(), &format!("r{minute}"), at)
            .await;
        handled.reply.result()
    };
    deliver(5, 40, json!({"status": 0}), 0).await;
    assert_eq!(world.sweep_at(&sweeper, T0 + 25 * 60 * MIN).await.closed, 1);
    let day = 26 * 60;
    assert_eq!(
        deliver(3, 2, json!({"module": 0, "warnCode": 103}), day).await,
        "late"
    );
    assert!(world.session_item("a").await.contains_key("watch_at"));
    deliver(6, 42, json!({"startUtcMs": T0}), day).await;
    deliver(7, 41, json!({"leaveCode": 24}), day + 1).await;
    for minute in day..day + 40 {
        world.sweep_at(&sweeper, T0 + minute * MIN).await;
    }
    assert_eq!(kinds(&world, "a"), ["upload_unconfirmed"]);
}

#[tokio::test]
async fn a_callback_that_comes_while_a_look_is_being_noted_is_not_undone() {
    // A silence is about to be noted, then the end of the watch over a session that is forgotten.
    for (operation, first, minute) in [
        ("TransactWriteItems", (33, json!({"progress": 0})), 7),
        ("UpdateItem", (40, json!({"status": 0})), 25 * 60),
    ] {
        let world = World::new().await;
        let (receiver, sweeper) = (world.receiver(), world.sweeper());
        let (event_type, details) = first;
        let first = callback_at("a", "5", 0, event_type, &details, T0);
        world
            .deliver_as(&receiver, first.as_bytes(), "r0", T0)
            .await;
        let watch_at = number(&world.session_item("a").await, "watch_at");
        world.proxy.hold(operation);
        let callback = async {
            world.proxy.stopped().await;
            let at = T0 + minute * MIN - 1000;
            let beat = callback_at("a", "5", 1, 33, &json!({"progress": 1}), at);
            let handled = world.deliver_as(&receiver, beat.as_bytes(), "r1", at).await;
            world.proxy.release();
            handled.reply.result()
        };
        let (sweep, result) = tokio::join!(world.sweep_at(&sweeper, T0 + minute * MIN), callback);
        assert_eq!(result, "stored", "{operation}");
        assert_eq!(sweep.looked, 1, "{operation}");
        assert_eq!(sweep.found, 0, "{operation}");
        assert_eq!(kinds(&world, "a").len(), 0);
        assert_eq!(sweep.closed, 0, "{operation}");
        let item = world.session_item("a").await;
        assert_eq!(number(&item, "watch_at"), watch_at, "{operation}");
        assert_eq!(number(&item, "version"), 2, "only the callbacks are there");
    }
}

#[tokio::test]
async fn sessions_and_what_has_to_leave_stand_in_partitions_of_their_own() {
    let world = World::new().await;
    let receiver = world.receiver();
    world.sns.set_mood(Mood::Down);
    for (sequence, event_type) in [(0, 33), (1, 1)] {
        let details = event_details(event_type);
        let body = callback_at("a", "5", sequence, event_type, &details, T0);
        world.deliver_as(&receiver, body.as_bytes(), "r", T0).await;
    }
    let session = world.session_item("a").await;
    assert!(text(&session, "watch_shard").parse::<u8>().unwrap() < 8);
    assert_eq!(number(&session, "watch_at"), T0);
    let alert = world.items_with("a", "alert#").await.remove(0);
    let due = text(&alert, "watch_shard").strip_prefix("due").unwrap();
    assert!(due.parse::<u8>().unwrap() < 8);
    // A session is looked at whatever that says.
    world.look_now("a").await;
    let sweep = world.sweep_at(&world.sweeper(), T0 + 4 * MIN).await;
    assert_eq!(sweep.looked, 1);
}

#[tokio::test]
async fn items_that_cannot_be_read_are_told_about_and_put_off_and_stop_nothing() {
    let world = World::new().await;
    world.sns.set_mood(Mood::Down);
    let receiver = world.receiver();
    let body = callback("good", "5", 3, 11, &event_details(11));
    world.deliver_as(&receiver, body.as_bytes(), "r", T0).await;
    world.sns.set_mood(Mood::Well);
    let n = |n: u64| AttributeValue::N(n.to_string());
    let s = |s: &str| AttributeValue::S(s.to_owned());
    let poison = [
        (
            "x1",
            "session",
            vec![("version", s("one")), ("uid", s("5"))],
        ),
        ("x2", "session", vec![("version", n(1))]),
        (
            "x3",
            "alert#nonsense",
            vec![("state", s("pending")), ("due_at", n(1))],
        ),
        ("x4", "alert#no-due", vec![("state", s("pending"))]),
        (
            "x5",
            "alert#odd-state",
            vec![("state", n(5)), ("due_at", s("soon"))],
        ),
        ("x6", "something else", vec![]),
    ];
    for (shard, (sid, item, more)) in poison.iter().enumerate() {
        let place = if *item == "session" {
            (shard % 8).to_string()
        } else {
            format!("due{}", shard % 8)
        };
        let mut put = world
            .dynamodb
            .put_item()
            .table_name(TABLE)
            .item("sid", s(sid))
            .item("item", s(item))
            // Before the good one, in its partition, too.
            .item("watch_shard", s(&place))
            .item("watch_at", n(T0 - 10));
        for (name, value) in more {
            put = put.item(*name, value.clone());
        }
        put.send().await.unwrap();
    }
    let sweeper = world.sweeper();
    let sweep = world.sweep_at(&sweeper, T0 + MIN).await;
    assert_eq!(sweep.unreadable, 6, "{:?}", sweep.remarks);
    assert_eq!(sweep.published, 1, "{:?}", sweep.remarks);
    assert_eq!(sweep.errors, 0, "{:?}", sweep.remarks);
    assert!(
        sweep.finished
            && sweep
                .remarks
                .iter()
                .all(|remark| remark.outcome == "unreadable")
    );
    assert_eq!(sweep.remarks.len(), 6);
    // They are put off, and not forgotten.
    assert_eq!(world.sweep_at(&sweeper, T0 + 2 * MIN).await.unreadable, 0);
    assert_eq!(
        world
            .sweep_at(&sweeper, T0 + 2 * MIN + PUT_OFF_MS)
            .await
            .unreadable,
        6
    );
}

#[tokio::test]
async fn alerts_that_sns_does_not_like_stop_no_others() {
    let world = World::new().await;
    world.sns.set_mood(Mood::Down);
    let receiver = world.receiver();
    // Too few to leave as one.
    for n in 0..2 {
        // The bad ones are older.
        for (sid, at) in [(format!("bad{n}"), T0), (format!("good{n}"), T0 + 1000)] {
            let body = callback_at(&sid, "5", 3, 1, &event_details(1), T0);
            world.deliver_as(&receiver, body.as_bytes(), &sid, at).await;
        }
    }
    world.sns.set_mood(Mood::Choosy);
    let sweep = world.sweep_at(&world.sweeper(), T0 + MIN).await;
    assert_eq!(sweep.published, 2);
    assert_eq!(sweep.deferred, 2);
    assert_eq!(sweep.held, 0);
    assert!(
        sweep
            .remarks
            .iter()
            .all(|remark| remark.outcome == "refused")
    );
}

#[tokio::test]
async fn while_sns_is_down_sessions_are_looked_at_all_the_same() {
    let world = World::new().await;
    world.sns.set_mood(Mood::Down);
    let receiver = world.receiver();
    for n in 0..40 {
        let body = callback_at(&format!("s{n}"), "5", 3, 11, &event_details(11), T0);
        world
            .deliver_as(&receiver, body.as_bytes(), &format!("r{n}"), T0)
            .await;
    }
    let sweeper = world.sweeper();
    let sweep = world.sweep_at(&sweeper, T0 + 5 * MIN).await;
    assert_eq!(sweep.looked, 40);
    assert_eq!(sweep.published, 0);
    assert_eq!(sweep.errors, 0);
    // Three were tried by themselves before and stay so; the rest is asked for as one.
    assert_eq!(
        sweep.deferred, 3,
        "SNS is asked three times for all of them"
    );
    assert!(sweep.finished);
    assert_eq!(sweep.oldest_pending_ms / 1000, 300);
    world.sns.set_mood(Mood::Well);
    assert_eq!(world.sweep_at(&sweeper, T0 + 6 * MIN).await.published, 4);
    assert_eq!(world.told(), 40);
}

/// Delivers callbacks of the session `a` when they happen, with a sweep a minute up to `until`:
/// uid, minute, event, details. What is published, by minute and kind.
async fn play(
    world: &World,
    callbacks: &[(&str, u64, u32, Value)],
    until: u64,
) -> Vec<(u64, String)> {
    let (receiver, sweeper) = (world.receiver(), world.sweeper());
    let mut told = Vec::new();
    let mut sequence = 0;
    for minute in 0..=until {
        let now_ms = T0 + minute * MIN;
        for (uid, _, event_type, details) in callbacks.iter().filter(|one| one.1 == minute) {
            let body = callback_at("a", uid, sequence, *event_type, details, now_ms);
            let id = format!("r{sequence}");
            world
                .deliver_as(&receiver, body.as_bytes(), &id, now_ms)
                .await;
            sequence += 1;
        }
        world.sweep_at(&sweeper, now_ms + 1000).await;
        let published = kinds(world, "a");
        let new = published
            .iter()
            .skip(told.len())
            .map(|kind| (minute, kind.clone()));
        told.extend(new.collect::<Vec<_>>());
    }
    told
}

fn rang(told: &[(u64, &str)]) -> Vec<(u64, String)> {
    told.iter()
        .map(|(minute, kind)| (*minute, (*kind).to_owned()))
        .collect()
}

#[tokio::test]
async fn a_second_backup_rings_again_and_each_is_taken_back() {
    let world = World::new().await;
    let ok = json!({"status": 0, "fileList": "a.m3u8"});
    let told = play(
        &world,
        &[
            ("5", 0, 42, json!({})),
            ("5", 1, 41, json!({"leaveCode": 24})),
            ("5", 2, 32, ok.clone()),
            ("5", 4, 31, ok.clone()),
            ("5", 70, 32, ok.clone()),
            // Each hour's rings once, and the next 31 takes all of them back.
            ("5", 130, 32, ok.clone()),
            ("5", 131, 32, ok.clone()),
            ("5", 140, 31, ok),
        ],
        145,
    )
    .await;
    let (rings, closes) = ("backup_only_upload", "backup_only_upload_resolved");
    let expected = [
        (2, rings),
        (4, closes),
        (70, rings),
        (130, rings),
        (140, closes),
        (140, closes),
    ];
    assert_eq!(told, rang(&expected));
}

#[tokio::test]
async fn files_that_nobody_confirmed_are_told_and_those_that_a_later_upload_names_are_not() {
    let file = |name: &str| json!({"status": 0, "fileList": name});
    let both =
        json!({"status": 0, "fileList": [{"fileName": "a.m3u8"}, {"fileName": "bak0_a.m3u8"}]});
    for (uploaded, state, expected) in [
        (
            file("bak0_a.m3u8"),
            "partial",
            vec![(44, "upload_unconfirmed")],
        ),
        (both, "confirmed", vec![]),
    ] {
        let world = World::new().await;
        let callbacks = [
            ("5", 0, 40, json!({"status": 0})),
            ("5", 0, 42, json!({})),
            ("5", 0, 4, file("a.m3u8")),
            ("5", 3, 41, json!({"leaveCode": 2})),
            ("5", 4, 12, json!({"newUid": 6})),
            ("6", 4, 40, json!({"status": 0})),
            ("6", 4, 42, json!({})),
            ("6", 4, 4, file("bak0_a.m3u8")),
            ("6", 14, 41, json!({"leaveCode": 24})),
            ("6", 15, 31, uploaded),
            ("6", 15, 11, json!({"exitStatus": 0})),
        ];
        assert_eq!(
            play(&world, &callbacks, 60).await,
            rang(&expected),
            "{state}"
        );
        let (shown, _) = crate::harness::recordings(&world, &["show", "a", "--json"]).await;
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown["upload"]["state"], state);
        assert_eq!(shown["upload"]["recorders"][1]["state"], "confirmed");
        let (listed, _) = crate::harness::recordings(&world, &["list", "--failed"]).await;
        assert_eq!(
            listed.contains("PARTLY CONFIRMED"),
            state == "partial",
            "{listed}"
        );
    }
}

#[tokio::test]
async fn a_recorder_that_was_killed_and_never_replaced_is_told_of() {
    let world = World::new().await;
    let callbacks = [
        ("5", 0, 40, json!({"status": 0})),
        ("5", 10, 41, json!({"leaveCode": 2})),
        ("5", 11, 12, json!({"newUid": 6})),
    ];
    assert_eq!(
        play(&world, &callbacks, 60).await,
        rang(&[(13, "abnormal_exit")])
    );
}

#[tokio::test]
async fn a_failure_that_rang_explains_the_silence_that_follows_it() {
    let fatal = json!({"module": 0, "errorLevel": 5, "errorCode": 110});
    let began = || {
        vec![
            ("5", 0, 42, json!({})),
            ("5", 1, 33, json!({"progress": 1})),
        ]
    };
    let with = |more: &[(&'static str, u64, u32, Value)]| [began(), more.to_vec()].concat();
    let rings = (2, "fatal_error");
    let cases = [
        (with(&[("5", 2, 1, fatal.clone())]), vec![rings]),
        // Work soon after it doesn't heal it, what comes later does.
        (
            with(&[
                ("5", 2, 1, fatal.clone()),
                ("5", 4, 33, json!({"progress": 2})),
            ]),
            vec![rings],
        ),
        (
            with(&[
                ("5", 2, 1, fatal.clone()),
                ("5", 5, 33, json!({"progress": 2})),
            ]),
            vec![rings, (10, "session_silent")],
        ),
        // One that comes late rings, and takes no silence back.
        (
            with(&[("5", 8, 1, fatal.clone())]),
            vec![(6, "session_silent"), (8, "fatal_error")],
        ),
        // A second one at work that falls silent is another trouble.
        (
            with(&[("5", 2, 1, fatal), ("5", 3, 42, json!({}))]),
            vec![rings, (6, "session_silent")],
        ),
    ];
    for (callbacks, expected) in cases {
        let world = World::new().await;
        assert_eq!(
            play(&world, &callbacks, 30).await,
            rang(&expected),
            "{callbacks:?}"
        );
    }
}
