use super::*;
use crate::event::{CodeName, Event};
use crate::notification::{Notification, Sid};
use crate::session::Fact;
use proptest::prelude::*;
use serde_json::{Value, json};

const MIN: u64 = 60_000;
/// When the sessions of these tests begin, ms since the epoch.
const T0: u64 = 1_772_460_000_000;
const RULES: Rules = Rules {
    silent_ms: Some(5 * MIN),
    unconfirmed_ms: Some(30 * MIN),
    backup: true,
    abnormal_exit: true,
    fatal_error: true,
    does_failure_ring: true,
    expects_heartbeats: false,
    tells_end: false,
};

/// A session and a clock: callbacks come at a minute, and the watchdog looks.
struct Scene {
    watched: Watched,
    is_watched: bool,
    looks: usize,
    rules: Rules,
}

impl Scene {
    fn new() -> Self {
        Self {
            watched: Watched {
                cname: "math-101".to_owned(),
                ..Watched::new(Sid::new("38f8e3cfdc474cd56fc1ceba380d7e1a").unwrap())
            },
            is_watched: true,
            looks: 0,
            rules: RULES,
        }
    }

    /// A callback of recorder `uid` that happens and comes at `minute`.
    fn callback_of(
        &mut self,
        uid: &str,
        minute: u64,
        sequence: u64,
        event_type: u32,
        details: Value,
    ) {
        let notification = self.notification(uid, minute, sequence, event_type, details);
        let at = notification.sendts;
        let fact = Fact::of(&notification);
        self.watched.session.apply(&fact);
        self.watched.updated_at = at;
        if event_type == 33 {
            self.watched.heard_at = Some(at);
        }
        self.is_watched |= fact.tells_state();
    }

    fn callback(&mut self, minute: u64, sequence: u64, event_type: u32, details: Value) {
        self.callback_of("5", minute, sequence, event_type, details);
    }

    fn notification(
        &self,
        uid: &str,
        minute: u64,
        sequence: u64,
        event_type: u32,
        details: Value,
    ) -> Notification {
        let at = T0 + minute * MIN;
        Notification {
            sid: self.watched.sid.clone(),
            cname: self.watched.cname.clone(),
            uid: uid.to_owned(),
            sequence,
            sendts: at,
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

    /// The alert of a callback at once.
    fn alert_of(&self, minute: u64, sequence: u64, event_type: u32, details: Value) -> Alert {
        let told = self.notification("5", minute, sequence, event_type, details);
        Alert::of(&told, &AlertKind::ALL).unwrap()
    }

    fn heartbeat(&mut self, minute: u64) {
        self.callback(minute, minute + 1, 33, json!({"progress": 5000}));
    }

    /// Lets the clock go to `minute`, with a sweep every minute: what is said, as minute and kind.
    fn until(&mut self, minute: u64) -> Vec<(u64, &'static str)> {
        let from = self.watched.updated_at.saturating_sub(T0) / MIN;
        let mut said = Vec::new();
        for minute in from..=minute {
            let now_ms = T0 + minute * MIN;
            // Every watched session is looked at every minute.
            if !self.is_watched {
                continue;
            }
            let look = look(&self.watched, &self.rules, now_ms);
            self.watched.standing = look.standing;
            self.is_watched = look.stays_watched;
            self.looks += 1;
            said.extend(
                look.alerts
                    .iter()
                    .map(|alert| (minute, alert.kind.as_str())),
            );
        }
        said
    }
}

#[test]
fn a_silent_session_alerts_once_and_is_resolved_by_a_heartbeat() {
    let mut scene = Scene::new();
    scene.callback(0, 0, 40, json!({"status": 0}));
    for minute in 1..=20 {
        scene.heartbeat(minute);
        assert_eq!(scene.until(minute), []);
    }
    // Streams come and go: they are no heartbeats.
    scene.callback(22, 40, 43, json!({"state": 0}));
    assert_eq!(scene.until(60), [(25, "session_silent")]);
    assert_eq!(scene.watched.standing.silent_since, Some(T0 + 20 * MIN));
    scene.heartbeat(61);
    assert_eq!(scene.until(64), [(61, "session_silent_resolved")]);
    assert_eq!(scene.until(80), [(66, "session_silent")]);
    // It speaks once, and is silent again before anybody looks: nothing new is said at once.
    scene.heartbeat(81);
    let now_ms = T0 + 90 * MIN;
    let said = look(&scene.watched, &RULES, now_ms).alerts;
    let kinds: Vec<_> = said.iter().map(|alert| alert.kind.as_str()).collect();
    assert_eq!(kinds, ["session_silent_resolved"]);
    scene.heartbeat(91);
    for minute in 92..120 {
        scene.heartbeat(minute);
        let said = scene.until(minute);
        assert!(
            said.is_empty() || said == [(minute, "session_silent_resolved")],
            "{said:?}"
        );
    }
    assert_eq!(scene.watched.standing.silent_since, None);
}

#[test]
fn a_heartbeat_soon_after_the_alert_is_noticed_soon() {
    let mut scene = Scene::new();
    scene.heartbeat(1);
    assert_eq!(scene.until(6), [(6, "session_silent")]);
    scene.heartbeat(6);
    assert_eq!(scene.until(8), [(6, "session_silent_resolved")]);
}

#[test]
fn a_silent_session_that_turns_out_to_be_over_is_resolved() {
    let mut scene = Scene::new();
    scene.heartbeat(1);
    assert_eq!(scene.until(7), [(6, "session_silent")]);
    scene.callback(8, 90, 11, json!({"exitStatus": 0}));
    assert_eq!(scene.until(12), [(8, "session_silent_resolved")]);
    assert_eq!(scene.until(60), [(38, "upload_unconfirmed")]);
}

#[test]
fn an_upload_that_is_not_confirmed_alerts_once_and_is_resolved_when_it_is() {
    for (event_type, details) in [(31, json!({"status": 0})), (32, json!({"status": 0}))] {
        let mut scene = Scene::new();
        scene.callback(0, 0, 40, json!({"status": 0}));
        scene.heartbeat(1);
        scene.callback(3, 50, 41, json!({"leaveCode": 24}));
        assert_eq!(scene.until(32), []);
        assert_eq!(scene.until(100), [(33, "upload_unconfirmed")]);
        scene.callback(101, 51, event_type, details);
        assert_eq!(scene.until(120), [(101, "upload_unconfirmed_resolved")]);
        assert!(!scene.is_watched, "nothing more to look for");
    }
}

#[test]
fn what_ended_first_counts_and_a_later_exit_does_not_begin_anew() {
    let mut scene = Scene::new();
    scene.callback(0, 0, 40, json!({"status": 0}));
    scene.callback(1, 1, 42, json!({}));
    scene.callback(3, 50, 41, json!({"leaveCode": 24}));
    assert_eq!(scene.until(19), []);
    scene.callback(20, 51, 11, json!({"exitStatus": 0}));
    assert_eq!(scene.until(200), [(33, "upload_unconfirmed")]);
}

#[test]
fn a_session_that_exits_properly_is_never_looked_at_again() {
    let mut scene = Scene::new();
    scene.callback(0, 0, 40, json!({"status": 0}));
    for minute in 1..=30 {
        scene.heartbeat(minute);
    }
    scene.callback(31, 40, 41, json!({"leaveCode": 24}));
    scene.callback(32, 41, 31, json!({"status": 0}));
    scene.callback(32, 42, 11, json!({"exitStatus": 0}));
    assert_eq!(scene.until(40), []);
    let looks = scene.looks;
    // Stragglers come even after the exit.
    scene.callback(41, 43, 43, json!({"state": 1}));
    scene.callback(42, 44, 44, json!({"state": 1}));
    assert_eq!(scene.until(100_000), []);
    assert_eq!((scene.looks, scene.is_watched), (looks, false));
}

#[test]
fn a_31_after_a_32_takes_the_backup_back_and_one_before_it_does_not() {
    let mut scene = Scene::new();
    scene.callback(1, 4, 41, json!({"leaveCode": 24}));
    scene.callback(2, 5, 32, json!({"status": 0}));
    scene.callback(2, 6, 11, json!({"exitStatus": 0}));
    assert_eq!(scene.until(30), []);
    assert!(!scene.is_watched);
    let mut before = Scene::new();
    before.watched = scene.watched.clone();
    before.callback(31, 3, 31, json!({"status": 0}));
    assert_eq!(before.until(60), []);
    scene.callback(31, 7, 31, json!({"status": 0}));
    assert_eq!(scene.until(60), [(31, "backup_only_upload_resolved")]);
    assert!(!scene.is_watched);
}

#[test]
fn without_heartbeats_nothing_is_silent_and_a_session_nobody_hears_of_is_left_alone_after_a_day() {
    let mut scene = Scene::new();
    scene.callback(0, 0, 40, json!({"status": 0}));
    assert_eq!(scene.until(3 * 24 * 60), []);
    assert!(!scene.is_watched);
    // And is taken up again when it speaks.
    scene.callback(5000, 8, 42, json!({}));
    scene.callback(5000, 9, 41, json!({"leaveCode": 24}));
    assert_eq!(scene.until(5100), [(5030, "upload_unconfirmed")]);
}

#[test]
fn a_fatal_error_alone_ends_nothing() {
    let mut scene = Scene::new();
    scene.heartbeat(1);
    scene.callback(
        2,
        50,
        1,
        json!({"errorLevel": 5, "errorCode": 110, "module": 0}),
    );
    assert_eq!(scene.until(60), [(6, "session_silent")]);
}

#[test]
fn a_new_recorder_has_the_same_time_for_its_first_heartbeat_and_its_own_upload_counts() {
    let mut scene = Scene::new();
    scene.heartbeat(1);
    scene.callback(2, 40, 31, json!({"status": 0}));
    scene.callback(4, 41, 12, json!({"newUid": 6}));
    scene.callback_of("6", 4, 0, 42, json!({}));
    assert_eq!(scene.until(8), []);
    assert_eq!(scene.until(20), [(9, "session_silent")]);
    scene.callback_of("6", 21, 1, 33, json!({"progress": 1}));
    scene.callback_of("6", 22, 2, 41, json!({"leaveCode": 24}));
    // What the replaced recorder says ends nothing.
    scene.callback(22, 42, 11, json!({"exitStatus": 1}));
    let said: Vec<_> = scene.until(60).into_iter().map(|(_, kind)| kind).collect();
    assert_eq!(
        said,
        [
            "session_silent_resolved",
            "abnormal_exit_resolved",
            "upload_unconfirmed"
        ]
    );
}

#[test]
fn a_recorder_seen_at_work_after_it_left_has_not_left() {
    let mut scene = Scene::new();
    scene.heartbeat(1);
    scene.callback(1, 40, 3, json!({"status": 6}));
    scene.callback(2, 41, 42, json!({}));
    assert_eq!(scene.until(60), [(6, "session_silent")]);
}

#[test]
fn a_clock_that_is_ahead_or_missing_does_not_hide_a_silence() {
    for sendts in [0, T0 + 365 * 24 * 60 * MIN] {
        let mut scene = Scene::new();
        scene.heartbeat(1);
        for register in scene.watched.session.recorders[0].registers.values_mut() {
            register.at = sendts;
        }
        assert_eq!(scene.until(30), [(6, "session_silent")]);
    }
}

#[test]
fn a_rule_that_is_off_says_nothing() {
    let mut scene = Scene::new();
    scene.heartbeat(1);
    let off = Rules {
        silent_ms: None,
        unconfirmed_ms: None,
        backup: false,
        abnormal_exit: false,
        fatal_error: false,
        does_failure_ring: false,
        expects_heartbeats: false,
        tells_end: false,
    };
    let nothing = Look {
        alerts: Vec::new(),
        ended: None,
        standing: Standing::default(),
        stays_watched: false,
        wants_record: false,
    };
    assert_eq!(look(&scene.watched, &off, T0 + 60 * MIN), nothing);
    scene.callback(2, 40, 32, json!({}));
    scene.callback(3, 41, 31, json!({}));
    scene.callback(4, 42, 41, json!({"leaveCode": 24}));
    assert_eq!(look(&scene.watched, &off, T0 + 600 * MIN), nothing);
}

#[test]
fn an_end_is_told_once_nothing_has_come_for_two_minutes_and_another_end_again() {
    let mut scene = Scene::new();
    scene.rules.tells_end = true;
    let told = |scene: &mut Scene, minute: u64| {
        let found = look(&scene.watched, &scene.rules, T0 + minute * MIN);
        scene.watched.standing = found.standing;
        (found.ended, found.stays_watched)
    };
    scene.callback(0, 0, 40, json!({"status": 0}));
    assert_eq!(told(&mut scene, 3).0, None);
    scene.callback(4, 1, 41, json!({"leaveCode": 16}));
    scene.callback(5, 2, 31, json!({"status": 0}));
    // It is looked at until then, though no other rule has anything to say.
    assert_eq!(told(&mut scene, 6), (None, true));
    let (ended, waits) = told(&mut scene, 7);
    let ended = ended.unwrap();
    assert_eq!(ended.news, News::Ended(Ending::Normal));
    assert_eq!((ended.uid.as_str(), ended.at), ("5", T0 + 4 * MIN));
    assert_eq!((waits, told(&mut scene, 9)), (false, (None, false)));
    // What comes later and changes nothing is no news, however late.
    scene.callback(20, 3, 11, json!({"exitStatus": 0}));
    assert_eq!(told(&mut scene, 30), (None, false));
    scene.callback(31, 4, 11, json!({"exitStatus": 1}));
    let failed = told(&mut scene, 33).0.unwrap();
    assert_eq!(failed.news, News::Ended(Ending::Failed));
    assert_ne!(failed.key(), ended.key());
    // Another recorder takes over, and ends.
    scene.callback_of("6", 34, 0, 40, json!({"status": 0}));
    assert_eq!(told(&mut scene, 37).0, None);
    assert_eq!(scene.watched.standing.told_end, None);
    scene.callback_of("6", 38, 1, 11, json!({"exitStatus": 0}));
    let again = told(&mut scene, 40).0.unwrap();
    assert_eq!(
        (again.uid.as_str(), again.news),
        ("6", News::Ended(Ending::Normal))
    );
    // With no bus there is nobody to tell.
    scene.rules.tells_end = false;
    scene.callback(41, 5, 11, json!({"exitStatus": 1}));
    assert_eq!(told(&mut scene, 50).0, None);
}

#[test]
fn an_alert_of_the_watchdog_has_all_that_its_message_needs() {
    let mut scene = Scene::new();
    scene.heartbeat(1);
    let alert = look(&scene.watched, &RULES, T0 + 9 * MIN).alerts.remove(0);
    assert!(
        alert.key.as_str().starts_with("session_silent#"),
        "{}",
        alert.key
    );
    assert_eq!(
        (alert.event_type, alert.sequence, alert.uid.as_str()),
        (33, 2, "5")
    );
    let message = crate::alert::message(
        &alert,
        &crate::alert::Incident::of(&alert),
        &crate::alert::Links::default(),
    );
    assert_eq!(
        message.subject,
        "[CRITICAL] Recording has gone silent in channel math-101"
    );
    assert!(
        message
            .email
            .contains("No heartbeat since 2026-03-02 14:01:00 UTC"),
        "{}",
        message.email
    );
    let context = &message.default["metadata"]["additionalContext"];
    assert_eq!(context["lastHeartbeat"], (T0 + MIN).to_string());
    assert_eq!(message.default["metadata"]["threadId"], alert.sid);
}

proptest! {
    #[test]
    fn whatever_comes_a_look_says_nothing_twice(
        callbacks in prop::collection::vec(
            (
                0_u64..90,
                0_u64..40,
                prop::sample::select(vec![1, 3, 11, 12, 31, 32, 33, 40, 41, 43]),
            ),
            0..25,
        ),
        now in 0_u64..3000,
    ) {
        let mut scene = Scene::new();
        for (minute, sequence, event_type) in callbacks {
            let details = json!({"newUid": 6, "status": sequence % 9, "exitStatus": 0,
                "leaveCode": 8, "progress": 1});
            let uid = if minute % 7 == 0 { "6" } else { "5" };
            scene.callback_of(uid, minute, sequence, event_type, details);
        }
        let now_ms = T0 + now * MIN;
        let first = look(&scene.watched, &RULES, now_ms);
        scene.watched.standing = first.standing.clone();
        let second = look(&scene.watched, &RULES, now_ms);
        prop_assert_eq!(second.standing, first.standing);
        prop_assert_eq!(second.alerts, vec![]);
    }
}

#[test]
fn a_session_without_heartbeats_is_watched_for_a_day() {
    let mut scene = Scene::new();
    scene.callback(0, 0, 40, json!({"status": 0}));
    let last = T0 + PATIENCE_MS - 1;
    assert!(look(&scene.watched, &RULES, last).stays_watched);
    assert!(!look(&scene.watched, &RULES, last + 1).stays_watched);
    let watched_for_nothing = Rules {
        silent_ms: None,
        unconfirmed_ms: None,
        backup: true,
        abnormal_exit: true,
        fatal_error: true,
        does_failure_ring: true,
        expects_heartbeats: false,
        tells_end: false,
    };
    assert!(!look(&scene.watched, &watched_for_nothing, last).stays_watched);
}

#[test]
fn an_alert_that_stands_keeps_its_session_watched_for_a_day() {
    let mut scene = Scene::new();
    scene.heartbeat(0);
    let silent_at = T0 + RULES.silent_ms.unwrap();
    for stood in [0, 40 * MIN, PATIENCE_MS - 1] {
        assert!(look(&scene.watched, &RULES, silent_at + stood).stays_watched);
    }
    assert!(!look(&scene.watched, &RULES, silent_at + PATIENCE_MS).stays_watched);
}

#[test]
fn a_recorders_own_heartbeat_counts_when_it_came_even_before_it_was_announced() {
    let mut scene = Scene::new();
    scene.callback_of("6", 1, 0, 33, json!({"progress": 5000}));
    scene.callback_of("5", 3, 0, 12, json!({"newUid": 6}));
    let found = look(&scene.watched, &RULES, T0 + 6 * MIN);
    assert_eq!(found.standing.silent_since, Some(T0 + MIN));
}

#[test]
fn an_uploader_that_starts_again_does_not_take_a_backup_back() {
    let mut scene = Scene::new();
    scene.callback(1, 0, 32, json!({"status": 0}));
    scene.callback(2, 1, 30, json!({"status": 0}));
    assert_eq!(look(&scene.watched, &RULES, T0 + 3 * MIN).alerts, []);
    scene.callback(4, 2, 31, json!({"status": 0}));
    let said = look(&scene.watched, &RULES, T0 + 5 * MIN).alerts;
    assert_eq!(said[0].kind, AlertKind::BackupOnlyUploadResolved);
}

#[test]
fn an_upload_that_confirms_nothing_is_told_after_its_time() {
    for (details, state) in [
        (json!({"status": 1}), None),
        (json!({"uploadingStatus": "stranded"}), Some("stranded")),
    ] {
        let mut scene = Scene::new();
        scene.callback(0, 0, 42, json!({}));
        scene.callback(3, 50, 41, json!({"leaveCode": 24}));
        scene.callback(4, 51, 31, details);
        scene.callback(4, 52, 11, json!({"exitStatus": 0}));
        let late = look(&scene.watched, &RULES, T0 + 33 * MIN).alerts.remove(0);
        let codes = late.codes.get(&CodeName::UploadState).map(String::as_str);
        assert_eq!((late.kind, codes), (AlertKind::UploadUnconfirmed, state));
        assert_eq!(scene.until(60), [(33, "upload_unconfirmed")]);
        scene.callback(61, 53, 31, json!({"status": 0}));
        let taken_back = look(&scene.watched, &RULES, T0 + 62 * MIN).alerts.remove(0);
        assert_eq!(taken_back.kind, AlertKind::UploadUnconfirmedResolved);
        assert_eq!(
            hash(&taken_back),
            hash(&late),
            "those of what it takes back"
        );
    }
}

/// What of a key is over its parts.
fn hash(alert: &Alert) -> &str {
    alert.key.as_str().split_once('#').unwrap().1
}

#[test]
fn where_nothing_was_recorded_nothing_is_expected() {
    for callbacks in [
        vec![
            (1, json!({"errorLevel": 5})),
            (41, json!({"leaveCode": 0})),
            (11, json!({"exitStatus": 1})),
        ],
        vec![
            (40, json!({"status": 0})),
            (41, json!({"leaveCode": 4})),
            (11, json!({"exitStatus": 0})),
        ],
        vec![
            (40, json!({"status": 0})),
            (45, json!({"fileName": "a.jpg"})),
            (41, json!({"leaveCode": 24})),
            (11, json!({"exitStatus": 0})),
        ],
        vec![
            (40, json!({"status": 0})),
            (42, json!({})),
            (60, json!({})),
            (41, json!({"leaveCode": 24})),
            (61, json!({})),
            (11, json!({"exitStatus": 0})),
        ],
        vec![
            (40, json!({"status": 0})),
            (42, json!({})),
            (1, json!({"errorLevel": 5})),
            (11, json!({"exitStatus": 0})),
        ],
    ] {
        let mut scene = Scene::new();
        for (sequence, (event_type, details)) in (0..).zip(callbacks.clone()) {
            scene.callback(0, sequence, event_type, details);
        }
        assert_eq!(scene.until(300), [], "{callbacks:?}");
    }
}

#[test]
fn a_failure_that_rings_nothing_leaves_its_files_expected() {
    let mut scene = Scene::new();
    scene.callback(0, 0, 42, json!({}));
    scene.callback(1, 1, 1, json!({"errorLevel": 5}));
    scene.callback(2, 2, 11, json!({"exitStatus": 0}));
    let mute = Rules {
        does_failure_ring: false,
        expects_heartbeats: false,
        ..RULES
    };
    let alerts = look(&scene.watched, &mute, T0 + 40 * MIN).alerts;
    assert_eq!(alerts[0].kind, AlertKind::UploadUnconfirmed);
}

#[test]
fn an_upload_after_the_last_sign_of_work_ends_a_recording() {
    for (event_type, details) in [(31, json!({"status": 0})), (32, json!({})), (61, json!({}))] {
        let mut scene = Scene::new();
        scene.callback(0, 0, 40, json!({"status": 0}));
        scene.heartbeat(1);
        scene.callback(2, 5, event_type, details.clone());
        assert_eq!(scene.until(300), [], "{event_type}");
        assert_eq!(over_since(&scene.watched), Some(T0 + 2 * MIN));
        let mut goes_on = Scene::new();
        goes_on.heartbeat(1);
        goes_on.callback(2, 5, event_type, details);
        goes_on.callback(3, 6, 33, json!({"progress": 5}));
        assert_eq!(goes_on.until(300), [(8, "session_silent")], "{event_type}");
    }
}

#[test]
fn a_recorder_killed_by_a_signal_rings_after_two_minutes_unless_another_takes_over() {
    let killed = || {
        let mut scene = Scene::new();
        scene.callback(0, 0, 40, json!({"status": 0}));
        scene.heartbeat(1);
        scene.callback(2, 5, 41, json!({"leaveCode": 2}));
        scene
    };
    let mut alone = killed();
    assert!(look(&alone.watched, &RULES, T0 + 3 * MIN).stays_watched);
    let alert = look(&alone.watched, &RULES, T0 + 4 * MIN).alerts.remove(0);
    assert_eq!(
        (alert.kind, alert.event_type),
        (AlertKind::AbnormalExit, 41)
    );
    assert_eq!(alert.codes[&CodeName::LeaveCode], "2");
    // The same trouble, told by a callback.
    let mut told = killed();
    told.callback(2, 6, 11, json!({"exitStatus": 1}));
    let exit = told.alert_of(2, 6, 11, json!({"exitStatus": 1}));
    assert_eq!(exit.key, alert.key);
    // A failover that comes late takes it back, one in time lets nothing ring.
    assert_eq!(alone.until(7), [(4, "abnormal_exit")]);
    alone.callback_of("6", 8, 0, 40, json!({"status": 0}));
    let taken_back = look(&alone.watched, &RULES, T0 + 9 * MIN).alerts.remove(0);
    assert_eq!(taken_back.kind, AlertKind::AbnormalExitResolved);
    assert_eq!(
        (hash(&taken_back), taken_back.uid.as_str()),
        (hash(&alert), "5")
    );
    assert_eq!(taken_back.codes[&CodeName::NewUid], "6");
    let mut replaced = killed();
    replaced.callback(3, 6, 12, json!({"newUid": 6}));
    replaced.callback_of("6", 3, 0, 40, json!({"status": 0}));
    assert_eq!(replaced.until(7), []);
}

#[test]
fn the_exit_of_a_replaced_recorder_is_taken_back_once_another_was_at_work() {
    let mut scene = Scene::new();
    scene.callback(0, 0, 40, json!({"status": 0}));
    scene.callback(1, 3, 12, json!({"newUid": 6}));
    let exit = scene.alert_of(2, 9, 11, json!({"exitStatus": 1}));
    scene.callback(2, 9, 11, json!({"exitStatus": 1}));
    assert_eq!(scene.until(6), [], "the new one was only announced");
    scene.callback_of("6", 7, 0, 40, json!({"status": 0}));
    let alert = look(&scene.watched, &RULES, T0 + 8 * MIN).alerts.remove(0);
    assert_eq!(
        (alert.kind, hash(&alert)),
        (AlertKind::AbnormalExitResolved, hash(&exit))
    );
    assert_eq!(scene.until(60), [(7, "abnormal_exit_resolved")]);
}

#[test]
fn an_abnormal_stop_is_taken_back_though_an_orderly_leave_followed_in_another_hour() {
    let abnormal = [
        (3, json!({"status": 20})),
        (71, json!({"code": 4})),
        (72, json!({"limitType": "WebGL"})),
    ];
    for (event_type, details) in abnormal {
        let mut scene = Scene::new();
        scene.callback(0, 0, 40, json!({"status": 0}));
        let stop = scene.alert_of(2, 9, event_type, details.clone());
        scene.callback(2, 9, event_type, details);
        scene.callback(90, 10, 41, json!({"leaveCode": 24}));
        scene.callback(90, 11, 3, json!({"status": 8}));
        scene.callback_of("6", 91, 0, 40, json!({"status": 0}));
        let alerts = look(&scene.watched, &RULES, T0 + 92 * MIN).alerts;
        let resolved: Vec<_> = alerts.iter().map(|one| (one.kind, hash(one))).collect();
        assert_eq!(
            resolved,
            [(AlertKind::AbnormalExitResolved, hash(&stop))],
            "{event_type}"
        );
    }
}

#[test]
fn each_recorders_backup_is_taken_back_by_itself() {
    let mut scene = Scene::new();
    for (uid, minute) in [("5", 1), ("6", 2)] {
        scene.callback_of(uid, minute, 0, 40, json!({"status": 0}));
        scene.callback_of(uid, minute, 1, 32, json!({"status": 0}));
        scene.callback_of(uid, minute + 5, 2, 31, json!({"status": 0}));
    }
    let mut uids: Vec<_> = look(&scene.watched, &RULES, T0 + 9 * MIN).alerts;
    uids.sort_by(|one, other| one.uid.cmp(&other.uid));
    let uids: Vec<_> = uids
        .iter()
        .map(|alert| (alert.kind, alert.uid.as_str()))
        .collect();
    let kind = AlertKind::BackupOnlyUploadResolved;
    assert_eq!(uids, [(kind, "5"), (kind, "6")]);
    for details in [json!({"status": 1}), json!({"uploadingStatus": "stranded"})] {
        let mut scene = Scene::new();
        scene.callback(1, 0, 32, json!({"status": 0}));
        scene.callback(2, 1, 31, details);
        assert_eq!(look(&scene.watched, &RULES, T0 + 3 * MIN).alerts, []);
    }
}

#[test]
fn a_second_silence_after_a_sign_of_work_is_another_one() {
    let mut scene = Scene::new();
    scene.heartbeat(1);
    let first = look(&scene.watched, &RULES, T0 + 6 * MIN).alerts.remove(0);
    assert_eq!(scene.until(6), [(6, "session_silent")]);
    scene.callback(7, 40, 3, json!({"status": 6}));
    assert_eq!(scene.until(10), [(7, "session_silent_resolved")]);
    scene.callback(11, 41, 42, json!({}));
    let second = look(&scene.watched, &RULES, T0 + 12 * MIN).alerts.remove(0);
    assert_eq!(second.kind, AlertKind::SessionSilent);
    assert_ne!(second.key, first.key);
}

#[test]
fn heartbeats_that_come_late_are_no_silence() {
    let mut scene = Scene::new();
    scene.callback(0, 0, 40, json!({"status": 0}));
    // Each is on its way for six minutes, or its recorder's clock is so much behind.
    for minute in 7..60 {
        scene.heartbeat(minute - 6);
        scene.watched.updated_at = T0 + minute * MIN;
        scene.watched.heard_at = Some(T0 + minute * MIN);
        assert_eq!(scene.until(minute), [], "{minute}");
    }
    assert_eq!(scene.until(63), []);
    assert_eq!(scene.until(65), [(64, "session_silent")]);
}

#[test]
fn a_second_silence_is_told_as_soon_as_the_first() {
    let mut scene = Scene::new();
    scene.heartbeat(1);
    assert_eq!(scene.until(300), [(6, "session_silent")]);
    for minute in 301..=310 {
        scene.heartbeat(minute);
        let expected: &[_] = match minute {
            301 => &[(301, "session_silent_resolved")],
            _ => &[],
        };
        assert_eq!(scene.until(minute), expected);
    }
    assert_eq!(scene.until(320), [(315, "session_silent")]);
}

#[test]
fn the_death_of_a_recorder_that_took_over_is_told_in_time() {
    let mut scene = Scene::new();
    scene.callback(0, 0, 40, json!({"status": 0}));
    for minute in 1..=9 {
        scene.heartbeat(minute);
        assert_eq!(scene.until(minute), []);
    }
    scene.callback(9, 11, 41, json!({"leaveCode": 2}));
    assert_eq!(scene.until(10), []);
    scene.callback(11, 12, 12, json!({"newUid": 6}));
    scene.callback_of("6", 11, 0, 40, json!({"status": 0}));
    for minute in 12..=14 {
        scene.callback_of("6", minute, minute - 11, 33, json!({"progress": 1}));
    }
    let told = scene.until(30);
    assert!(told.contains(&(19, "session_silent")), "{told:?}");
}

#[test]
fn a_silence_that_an_end_took_back_is_told_again_when_work_goes_on() {
    let mut scene = Scene::new();
    scene.heartbeat(1);
    assert_eq!(scene.until(9), [(6, "session_silent")]);
    scene.callback(10, 3, 3, json!({"status": 6}));
    assert_eq!(scene.until(11), [(10, "session_silent_resolved")]);
    scene.callback(12, 4, 42, json!({"startUtcMs": T0 + 12 * MIN}));
    // Nothing new is said of it for one threshold.
    assert_eq!(scene.until(30), [(15, "session_silent")]);
}

#[test]
fn a_recording_without_a_first_heartbeat_is_silent_where_others_send_some() {
    for (expects_heartbeats, has_slice, expected) in [
        (true, true, &[(10, "session_silent")][..]),
        (true, false, &[]),
        (false, true, &[]),
    ] {
        let mut scene = Scene::new();
        scene.rules.expects_heartbeats = expects_heartbeats;
        scene.callback(0, 0, 40, json!({"status": 0}));
        if has_slice {
            scene.callback(2, 1, 42, json!({"startUtcMs": T0}));
        }
        let case = (expects_heartbeats, has_slice);
        assert_eq!(scene.until(60), expected, "{case:?}");
    }
}

#[test]
fn numbers_that_start_again_are_no_silence() {
    let mut scene = Scene::new();
    for minute in 0..30 {
        scene.callback(minute, 101 + minute, 33, json!({"progress": 1}));
        assert_eq!(scene.until(minute), []);
    }
    for minute in 30..60 {
        scene.callback(minute, minute - 30, 33, json!({"progress": 1}));
        assert_eq!(scene.until(minute), [], "{minute}");
    }
    assert_eq!(scene.until(65), [(64, "session_silent")]);
}

#[test]
fn a_killed_recorder_whose_successor_never_comes_rings() {
    let mut scene = Scene::new();
    scene.callback(0, 0, 40, json!({"status": 0}));
    scene.callback(1, 1, 42, json!({}));
    scene.callback(10, 5, 41, json!({"leaveCode": 2}));
    assert_eq!(scene.until(11), []);
    scene.callback(11, 6, 12, json!({"newUid": 6}));
    assert_eq!(scene.until(12), []);
    assert_eq!(scene.until(300), [(13, "abnormal_exit")]);
}

#[test]
fn nothing_is_said_to_be_at_work_that_failed_as_well() {
    let scene = |ends: &[(u32, Value)]| {
        let mut scene = Scene::new();
        scene.callback(0, 0, 40, json!({"status": 0}));
        scene.callback(2, 5, 11, json!({"exitStatus": 1}));
        scene.callback(2, 6, 12, json!({"newUid": 6}));
        scene.callback_of("6", 3, 0, 40, json!({"status": 0}));
        for (n, (event_type, details)) in (1..).zip(ends) {
            scene.callback_of("6", 3, n, *event_type, details.clone());
        }
        scene.until(5)
    };
    for failure in [
        (41, json!({"leaveCode": 0})),
        (11, json!({"exitStatus": 1})),
        (1, json!({"errorLevel": 5})),
        (41, json!({"leaveCode": 2})),
    ] {
        let said = scene(std::slice::from_ref(&failure));
        assert!(
            said.iter().all(|(_, kind)| *kind == "abnormal_exit"),
            "{failure:?} {said:?}"
        );
    }
    assert_eq!(scene(&[]), [(3, "abnormal_exit_resolved")]);
    let orderly = [
        (41, json!({"leaveCode": 24})),
        (11, json!({"exitStatus": 0})),
    ];
    assert_eq!(scene(&orderly), [(3, "abnormal_exit_resolved")]);
}

#[test]
fn files_of_a_replaced_recorder_that_nobody_confirmed_are_told_once() {
    let mut scene = Scene::new();
    scene.callback(0, 0, 40, json!({"status": 0}));
    scene.callback(1, 1, 42, json!({}));
    scene.callback(60, 2, 41, json!({"leaveCode": 2}));
    scene.callback(61, 3, 12, json!({"newUid": 6}));
    scene.callback_of("6", 61, 0, 40, json!({"status": 0}));
    scene.callback_of("6", 62, 1, 42, json!({}));
    scene.callback_of("6", 70, 2, 41, json!({"leaveCode": 24}));
    scene.callback_of("6", 71, 3, 31, json!({"fileList": "b.m3u8"}));
    scene.callback_of("6", 71, 4, 11, json!({"exitStatus": 0}));
    let alert = look(&scene.watched, &RULES, T0 + 100 * MIN)
        .alerts
        .remove(0);
    assert_eq!(alert.kind, AlertKind::UploadUnconfirmed);
    assert_eq!(alert.codes[&CodeName::UnconfirmedUids], "5");
    assert_eq!(alert.codes[&CodeName::ConfirmedUids], "6");
    assert_eq!(scene.until(200), [(100, "upload_unconfirmed")]);
    scene.callback(201, 4, 31, json!({"fileList": "a.m3u8"}));
    assert_eq!(scene.until(210), [(201, "upload_unconfirmed_resolved")]);
}
