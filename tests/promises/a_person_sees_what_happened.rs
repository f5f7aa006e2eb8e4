//! What happened to a recording is shown as it is in the table: by `recordings show`, `list` and
//! `watch`, in words, JSON and a page.

use crate::harness::{World, callback, callback_at, event_details, recordings, start_recordings};
use agora_recording_callbacks::clock::now_ms;
use serde_json::{Value, json};
use testkit::SESSIONS;
use tokio::io::{AsyncBufReadExt, BufReader};

/// A world with the samples in it, shuffled and doubled.
async fn sampled() -> World {
    let world = World::new().await;
    let receiver = world.receiver();
    // Each in a minute of its own, so that all alerts leave at once.
    for (minute, session) in (0..).zip(&SESSIONS) {
        for (n, line) in session.shuffled.lines().enumerate() {
            let now_ms = 1_772_460_000_000 + minute * 60_000;
            let id = format!("{}-{n}", session.name);
            world
                .deliver_as(&receiver, line.as_bytes(), &id, now_ms)
                .await;
        }
    }
    world
}

fn sid_of(lines: &str) -> String {
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    first["payload"]["sid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_sample_is_shown_with_its_phase_its_alerts_and_what_is_missing() {
    let world = sampled().await;
    for session in &SESSIONS {
        let sid = sid_of(session.ordered);
        let (printed, ok) = recordings(&world, &["show", &sid, "--json"]).await;
        assert!(ok, "{printed}");
        let shown: Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(shown["phase"], session.phase, "{}", session.name);
        assert_eq!(shown["over"], true, "{}", session.name);
        let recorders = shown["recorders"].as_array().unwrap();
        let missing: Vec<_> = recorders
            .iter()
            .flat_map(|one| one["missing"].as_array().unwrap())
            .collect();
        assert_eq!(json!(missing), json!(session.missing), "{}", session.name);
        let timeline = shown["timeline"].as_array().unwrap();
        let of = |what: &str| {
            timeline
                .iter()
                .filter(|entry| entry["what"] == what)
                .collect::<Vec<_>>()
        };
        let mut alerts: Vec<_> = of("alert")
            .iter()
            .map(|entry| entry["kind"].as_str().unwrap())
            .collect();
        alerts.sort_unstable();
        assert_eq!(alerts, session.alerts, "{}", session.name);
        assert!(of("alert").iter().all(|entry| entry["state"] == "sent"));
        let mut sent: Vec<_> = session
            .ordered
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|callback| callback["eventType"] != 33)
            .map(|callback| {
                let payload = &callback["payload"];
                (
                    payload["sendts"].as_u64().unwrap(),
                    payload["sequence"].as_u64().unwrap(),
                    callback["eventType"].clone(),
                )
            })
            .collect();
        sent.sort_by_key(|(at, sequence, _)| (*at, *sequence));
        let shown: Vec<_> = of("callback")
            .iter()
            .map(|entry| {
                (
                    entry["at"].as_u64().unwrap(),
                    entry["sequence"].as_u64().unwrap(),
                    entry["eventType"].clone(),
                )
            })
            .collect();
        assert_eq!(shown, sent, "{}", session.name);

        // For a person the same, without a colour in a pipe.
        let (words, ok) = recordings(&world, &["show", &sid]).await;
        assert!(
            ok && words.contains(&sid) && !words.contains('\u{1b}'),
            "{words}"
        );
        for kind in session.alerts {
            assert!(words.contains(&format!("ALERT {kind}")), "{words}");
        }
        let (page, ok) = recordings(&world, &["show", &sid, "--html", "-"]).await;
        assert!(
            ok && page.starts_with("<!DOCTYPE html>") && page.contains(&sid),
            "{page}"
        );
        let marks = page.matches("data-mark=").count();
        assert_eq!(marks, timeline.len(), "{}", session.name);
    }
}

#[tokio::test]
async fn the_files_of_a_recording_are_listed_for_people_and_for_scripts() {
    let world = World::new().await;
    let receiver = world.receiver();
    let names: Vec<_> = (0..1400).map(|n| format!("dir/{n:04}.m3u8")).collect();
    let details = json!({"msgName": "uploaded", "status": 0, "fileList": names});
    for body in [
        callback(
            "long",
            "5",
            1,
            81,
            &json!({"result": "all_success", "uids": [
                {"uid": "7", "result": "success", "fileList": [{"fileName": "dir/7\u{1b}\n.mp4"}]},
            ]}),
        ),
        callback("long", "5", 0, 31, &details),
    ] {
        for _ in 0..2 {
            world.deliver(&receiver, body.as_bytes()).await;
        }
    }
    let (printed, ok) = recordings(&world, &["files", "long"]).await;
    assert!(ok, "{printed}");
    let mut lines: Vec<_> = printed.lines().collect();
    // What would steer a terminal or break the line is escaped.
    assert_eq!(lines.pop(), Some("dir/7\\u001b\\n.mp4"));
    assert_eq!(lines, names);
    let (printed, _) = recordings(&world, &["files", "long", "--playback"]).await;
    assert_eq!(printed, "dir/7\\u001b\\n.mp4\n");
    let (printed, ok) = recordings(&world, &["files", "long", "--uri"]).await;
    assert!(!ok && printed.contains("RECORDING_BUCKET"), "{printed}");
    let (printed, _) = recordings(&world, &["show", "long", "--json"]).await;
    let shown: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(shown["files"].as_array().unwrap().len(), 1401);
    assert_eq!(shown["playback"]["key"], "dir/7\u{1b}\n.mp4");
    assert_eq!(shown["files"][0]["namedBy"][0]["eventType"], 31);
    let (words, _) = recordings(&world, &["show", "long"]).await;
    assert!(words.contains("and 1391 more; `recordings files long` prints them all"));
    let (page, _) = recordings(&world, &["show", "long", "--html", "-"]).await;
    assert!(page.contains("and 1351 more"), "{page}");
}

#[tokio::test]
async fn what_is_missing_in_the_archive_is_shown_too() {
    let world = World::new().await;
    let receiver = world.receiver();
    for sequence in (0..500).step_by(2) {
        let body = callback("gaps", "5", sequence, 33, &event_details(33));
        world.deliver(&receiver, body.as_bytes()).await;
    }
    assert!(
        !world.items_with("gaps", "missing#").await.is_empty(),
        "there is an archive"
    );
    let (printed, _) = recordings(&world, &["show", "gaps", "--json"]).await;
    let shown: Value = serde_json::from_str(&printed).unwrap();
    let expected: Vec<_> = (0..249).map(|n| [n * 2 + 1, n * 2 + 1]).collect();
    assert_eq!(shown["recorders"][0]["missing"], json!(expected));
    let (words, _) = recordings(&world, &["show", "gaps"]).await;
    assert!(
        words.contains("249 in 249 places") && words.contains("and 229 places more"),
        "{words}"
    );
}

#[tokio::test]
async fn a_hostile_name_steers_neither_the_terminal_nor_the_browser() {
    let world = World::new().await;
    let receiver = world.receiver();
    let hostile =
        "\u{1b}]0;owned\u{7}\u{9b}2J</title><script>alert(1)</script>\"><img src=x onerror=1>";
    let body = callback("bad", "5", 0, 45, &json!({"fileName": hostile}))
        .replace("room-101-b", "\\u001b[31m<b>");
    world.deliver(&receiver, body.as_bytes()).await;
    for arguments in [
        &["show", "bad"][..],
        &["show", "bad", "--json"],
        &["list"],
        &["list", "--channel", "\u{1b}[31m<b>"],
    ] {
        let (printed, ok) = recordings(&world, arguments).await;
        assert!(ok && printed.contains("bad"), "{arguments:?}: {printed}");
        assert!(
            !printed.chars().any(|c| c.is_control() && c != '\n'),
            "{arguments:?}: {printed:?}"
        );
    }
    let (page, _) = recordings(&world, &["show", "bad", "--html", "-"]).await;
    let body = page.split_once("<body>").unwrap().1;
    assert!(
        !body.contains("<img") && !body.contains("<b>[") && !body.contains("<script>alert"),
        "{body}"
    );
}

#[tokio::test]
async fn following_ends_when_the_recording_is_over_and_its_files_are_accounted_for() {
    let world = World::new().await;
    let receiver = world.receiver();
    let deliver = async |sequence, event_type| {
        let at = now_ms() - 10_000 + sequence;
        let body = callback_at(
            "live",
            "5",
            sequence,
            event_type,
            &event_details(event_type),
            at,
        );
        let request = format!("live{sequence}");
        world
            .deliver_as(&receiver, body.as_bytes(), &request, now_ms())
            .await;
    };
    deliver(0, 40).await;
    let mut follower = start_recordings(&world, &["show", "live", "--follow"]);
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    let mut wait_for = async |words: &str| {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains(words) {
                return true;
            }
        }
        false
    };
    assert!(wait_for("following").await);
    deliver(1, 43).await;
    assert!(wait_for("audio of stream 57297 is received").await);
    deliver(2, 41).await;
    assert!(wait_for("the recorder left").await);
    deliver(3, 31).await;
    assert!(wait_for("names no file").await);
    assert!(wait_for("over: ").await);
    assert!(follower.wait().await.unwrap().success());
}

#[tokio::test]
async fn recordings_are_listed_newest_first_by_page_channel_state_and_age() {
    let world = World::new().await;
    let receiver = world.receiver();
    let now = now_ms();
    let deliver = async |sid: &str, sequence, event_type, ago_ms| {
        let body = callback_at(
            sid,
            "5",
            sequence,
            event_type,
            &event_details(event_type),
            now - ago_ms,
        );
        let handled = world
            .deliver_as(&receiver, body.as_bytes(), sid, now - ago_ms)
            .await;
        assert_eq!(handled.reply.status(), 200);
    };
    for n in 0..25_u64 {
        deliver(&format!("over{n:02}"), 0, 41, (n + 10) * 60_000).await;
        deliver(&format!("over{n:02}"), 1, 31, (n + 10) * 60_000 - 1).await;
    }
    deliver("runs", 0, 40, 2 * 60_000).await;
    deliver("failed", 0, 11, 3 * 60_000).await;
    deliver("old", 0, 40, 50 * 60 * 60_000).await;
    let sids = |printed: &str| {
        let lines = printed
            .lines()
            .skip(1)
            .filter(|line| line.contains("room-101-b"));
        lines
            .map(|line| line.split_whitespace().nth(1).unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let (printed, _) = recordings(&world, &["list"]).await;
    let first = sids(&printed);
    assert_eq!(first.len(), 20, "{printed}");
    assert_eq!(first[0].as_str(), "runs", "{printed}");
    assert_eq!(first[1].as_str(), "failed", "{printed}");
    let place = printed.trim_end().rsplit(' ').next().unwrap().to_owned();
    let (printed, _) = recordings(&world, &["list", "--after", &place]).await;
    let second = sids(&printed);
    assert_eq!(second.len(), 8, "{printed}");
    assert_eq!(second.last().unwrap().as_str(), "old", "{printed}");
    assert!(!printed.contains("--after") && first.iter().all(|sid| !second.contains(sid)));

    for (arguments, expected) in [
        (&["list", "--failed"][..], &["failed"][..]),
        (&["list", "--active"], &["runs", "old"]),
        (&["list", "--active", "--since", "1h"], &["runs"]),
        (
            &["list", "--active", "--channel", "room-101-b"],
            &["runs", "old"],
        ),
        (
            &["list", "--since", "5m", "--channel", "room-101-b"],
            &["runs", "failed"],
        ),
        (&["list", "--channel", "nobody"], &[]),
    ] {
        let (printed, ok) = recordings(&world, arguments).await;
        assert!(ok && sids(&printed) == expected, "{arguments:?}: {printed}");
    }
    for arguments in [&["list", "--since", "soon"][..], &["list", "--after", "x"]] {
        let (printed, ok) = recordings(&world, arguments).await;
        assert!(!ok && printed.contains("For more information"), "{printed}");
    }

    // In a pipe the table comes again and again.
    let mut watcher = start_recordings(&world, &["watch", "--every", "1"]);
    let mut lines = BufReader::new(watcher.stdout.take().unwrap()).lines();
    let mut seen = 0;
    while seen < 2 {
        let line = lines.next_line().await.unwrap().unwrap();
        assert!(
            !line.contains("over00") && !line.contains('\u{1b}'),
            "{line}"
        );
        seen += usize::from(line.contains("runs"));
    }
    watcher.kill().await.unwrap();
}

#[tokio::test]
async fn where_there_is_no_such_recording_the_likely_ones_are_named() {
    let world = sampled().await;
    let (printed, ok) = recordings(&world, &["show", "hearing-2026-0415"]).await;
    assert!(
        !ok && printed.contains("there is a channel of that name"),
        "{printed}"
    );
    assert!(
        printed.contains("ea4abf69b7c77ab6bbe7c69dfc06800d"),
        "{printed}"
    );
    let (printed, ok) = recordings(&world, &["show", "80dd"]).await;
    assert!(
        !ok && printed.contains("80dd83da71d3d86771a6a676a4061e46"),
        "{printed}"
    );
    assert!(
        !printed.contains("ea4abf69b7c77ab6bbe7c69dfc06800d"),
        "{printed}"
    );
    let (printed, ok) = recordings(&World::new().await, &["show", "80dd"]).await;
    assert!(
        !ok && printed.contains("is it the right table?"),
        "{printed}"
    );
}
