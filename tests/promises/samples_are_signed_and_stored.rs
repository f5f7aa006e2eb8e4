//! The samples in `events/`: each has a valid signature, and each is answered by the real binary as
//! it should be.

use crate::harness::{Function, World, text};
use agora_recording_callbacks::event::Event;
use serde_json::Value;
use std::collections::BTreeSet;
use testkit::plain::stable;
use testkit::sign::{self, LOCAL_SECRET};
use testkit::{SESSIONS, SampleSession};

fn samples() -> Vec<(String, Value)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/events");
    let mut samples: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            (
                path.file_stem().unwrap().to_str().unwrap().to_owned(),
                serde_json::from_str(&text).unwrap(),
            )
        })
        .collect();
    samples.sort_by(|one, other| one.0.cmp(&other.0));
    samples
}

#[test]
fn each_is_named_by_what_it_is_and_its_signatures_hold() {
    for (name, sample) in samples() {
        if name == "console-check" {
            assert!(
                !sample["headers"]
                    .as_object()
                    .unwrap()
                    .keys()
                    .any(|header| header.starts_with("agora-"))
            );
            continue;
        }
        let body = sample["body"].as_str().unwrap();
        assert_eq!(
            sample["headers"]["agora-signature-v2"],
            sign::v2(LOCAL_SECRET, body.as_bytes()),
            "{name}"
        );
        assert_eq!(
            sample["headers"]["agora-signature"],
            sign::v1(LOCAL_SECRET, body.as_bytes()),
            "{name}"
        );
        let callback: Value = serde_json::from_str(body).unwrap();
        let event_type = u32::try_from(callback["eventType"].as_u64().unwrap()).unwrap();
        let event = Event::read(event_type, &callback["payload"]["details"]);
        assert_ne!(event, Event::Other, "{name}");
        assert!(
            name.starts_with(&format!("{:02}-", callback["eventType"].as_u64().unwrap())),
            "{name}"
        );
        assert!(
            name.ends_with(callback["payload"]["details"]["msgName"].as_str().unwrap()),
            "{name}"
        );
    }
}

#[tokio::test]
async fn each_is_answered_by_the_real_binary() {
    let world = World::new().await;
    let function = Function::start(&world, &[]).await;
    for (name, sample) in samples() {
        let answer = function.invoke(sample).await;
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        let expected = if name == "console-check" {
            &["test"][..]
        } else {
            &["stored", "late"]
        };
        assert_eq!(answer["statusCode"], 200, "{name}");
        assert!(
            expected.contains(&body["result"].as_str().unwrap()),
            "{name} {body}"
        );
    }
    // Some of them leave with the next sweep: three are enough at once.
    assert_eq!(world.sns.published().len(), 3);
    let items = world.scan().await;
    let table = include_str!("../../docs/table.md");
    for name in items.iter().flat_map(|item| item.keys()) {
        assert!(
            table.contains(&format!("`{name}`")),
            "docs/table.md: {name}"
        );
    }
    let kinds: BTreeSet<String> = items
        .iter()
        .filter(|item| text(item, "item").starts_with("alert#"))
        .map(|alert| text(alert, "kind").to_owned())
        .collect();
    assert_eq!(
        kinds,
        BTreeSet::from(
            [
                "abnormal_exit",
                "backup_only_upload",
                "fatal_error",
                "storage_credentials_expired",
                "transcoding_failed"
            ]
            .map(str::to_owned)
        )
    );
}

#[tokio::test]
async fn whole_sessions_end_as_they_should_in_the_real_binary() {
    let world = World::new().await;
    let function = Function::start(&world, &[]).await;
    for SampleSession {
        name,
        ordered,
        phase,
        alerts,
        missing,
        ..
    } in &SESSIONS
    {
        let mut sid = String::new();
        for line in ordered.lines() {
            let answer = function.invoke(crate::harness::event(line)).await;
            assert_eq!(answer["statusCode"], 200, "{name} {answer}");
            sid = serde_json::from_str::<Value>(line).unwrap()["sid"]
                .as_str()
                .unwrap()
                .to_owned();
        }
        let item = world.session_item(&sid).await;
        assert_eq!(
            item["phase"].as_m().unwrap()["phase"].as_s().unwrap(),
            phase,
            "{name}"
        );
        assert_eq!(world.missing(&sid).await.pop().unwrap(), *missing, "{name}");
        let rang = world.items_with(&sid, "alert#").await;
        let mut kinds: Vec<_> = rang.iter().map(|alert| text(alert, "kind")).collect();
        kinds.sort();
        assert_eq!(kinds, *alerts, "{name}");
    }
}

#[tokio::test]
async fn the_items_of_a_failed_session() {
    let world = World::new().await;
    let receiver = world.receiver();
    let fatal = SESSIONS
        .iter()
        .find(|session| session.name == "fatal")
        .unwrap();
    for line in fatal.ordered.lines() {
        world.deliver(&receiver, line.as_bytes()).await;
    }
    let items: Vec<_> = world
        .items("80dd83da71d3d86771a6a676a4061e46")
        .await
        .iter()
        .map(stable)
        .collect();
    insta::assert_json_snapshot!(items);
}
