//! Callbacks as people meet them, through the real binary: what rings, how the session ends, and
//! what is said about its files. The cases are in `tests/field-cases/`, a file each.

use crate::harness::{Function, World, event, recordings, state};
use serde_json::Value;
use std::collections::BTreeMap;

/// The moment at which the cases stand, ms since the epoch.
const CASES_AT: u64 = 1_795_642_800_000;

/// A callback with its times shifted.
fn shifted(callback: &Value, by: i64) -> Value {
    match callback {
        Value::Number(number) => match number.as_u64() {
            Some(ms) if ms.abs_diff(CASES_AT) < 24 * 60 * 60 * 1000 => {
                Value::from(ms.saturating_add_signed(by))
            }
            Some(_) | None => callback.clone(),
        },
        Value::Array(values) => values.iter().map(|value| shifted(value, by)).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(name, value)| (name.clone(), shifted(value, by)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::String(_) => callback.clone(),
    }
}

fn cases() -> Vec<(String, Value)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/field-cases");
    let mut cases: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let case = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), case)
        })
        .collect();
    cases.sort_by(|one, other| one.0.cmp(&other.0));
    assert!(cases.len() >= 16);
    cases
}

#[tokio::test]
async fn each_rings_and_ends_as_it_should() {
    let world = World::new().await;
    let function = Function::start(&world, &[("ALERT_KINDS", "all")]).await;
    let now_ms = agora_recording_callbacks::clock::now_ms();
    let by = i64::try_from(now_ms).unwrap() - i64::try_from(CASES_AT).unwrap();
    for (name, case) in cases() {
        // Some can't be written as JSON; they come as they are.
        let (body, sid) = match case["raw"].as_str() {
            Some(raw) => {
                let (_, sid) = raw.split_once("\"sid\":\"").unwrap();
                (raw.to_owned(), sid[..32].to_owned())
            }
            None => {
                let body = shifted(&case["body"], by);
                let sid = body["payload"]["sid"].as_str().unwrap().to_owned();
                (body.to_string(), sid)
            }
        };
        let (before, after) = (case["before"].as_array(), case["after"].as_array());
        for callback in before.into_iter().flatten() {
            let answer = function
                .invoke(event(&shifted(callback, by).to_string()))
                .await;
            assert_eq!(answer["statusCode"], 200, "{name} {answer}");
        }
        let answer = function.invoke(event(&body)).await;
        let result: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        let expect = &case["expect"];
        assert_eq!(answer["statusCode"], expect["status"], "{name}");
        assert_eq!(result["result"], expect["result"], "{name}");
        for callback in after.into_iter().flatten() {
            let answer = function
                .invoke(event(&shifted(callback, by).to_string()))
                .await;
            assert_eq!(answer["statusCode"], 200, "{name} {answer}");
        }

        let mut alerts: BTreeMap<String, usize> = BTreeMap::new();
        for alert in world.items_with(&sid, "alert#").await {
            *alerts
                .entry(alert["kind"].as_s().unwrap().clone())
                .or_default() += 1;
        }
        let expected = expect["alerts"].as_array().unwrap();
        let expected: BTreeMap<_, _> = expected
            .iter()
            .map(|kind| (kind.as_str().unwrap().to_owned(), 1))
            .collect();
        assert_eq!(alerts, expected, "{name}");
        let session = world.session(&sid).await;
        if let Some(phase) = expect["phase"].as_str() {
            let told = session.phase().map(|phase| phase.value.as_str());
            assert_eq!(told, Some(phase), "{name}");
        }
        let item = world.session_item(&sid).await;
        if let Some(failed) = expect["failed"].as_bool() {
            assert_eq!(item.contains_key("failure"), failed, "{name}");
        }
        let (shown, _) = recordings(&world, &["show", &sid, "--json"]).await;
        if let Some(confirmed) = expect["confirmed"].as_bool() {
            let state = session.upload_state(true).as_str();
            assert_eq!(state == "confirmed", confirmed, "{name} {state}");
            let shown: Value = serde_json::from_str(&shown).unwrap();
            assert_eq!(shown["upload"]["state"], state, "{name}");
            if let Some(upload) = expect["upload"].as_str() {
                assert_eq!(state, upload, "{name}");
            }
        }
        assert!(!shown.contains("not-a-real-key"), "{name}");
        if let Some(words) = expect["shows"].as_str() {
            assert!(shown.contains(words), "{name}: {shown}");
        }
    }
    for published in world.sns.published() {
        let said = format!("{published:?}");
        assert!(!said.contains("not-a-real-key"), "{said}");
    }
}

#[tokio::test]
async fn a_recording_that_fails_in_every_way_rings_once_an_incident_and_bucket() {
    let world = World::new().await;
    let receiver = world.receiver();
    let fatal = |code: u64| serde_json::json!({"module": 0, "errorLevel": 5, "errorCode": code});
    let mut bodies = Vec::new();
    let mut say = |at_s: u64, event_type, details: &Value| {
        let sequence = u64::try_from(bodies.len()).unwrap();
        let sendts = 1_772_460_000_000 + at_s * 1000;
        bodies.push(crate::harness::callback_at(
            "a", "5", sequence, event_type, details, sendts,
        ));
    };
    for step in 0..90 {
        say(step * 20, 1, &fatal(109 + step % 3));
    }
    say(1795, 72, &serde_json::json!({"limitType": "resolution"}));
    say(1796, 71, &serde_json::json!({"code": 2}));
    say(1799, 11, &serde_json::json!({"exitStatus": 1}));
    let mut doubled = [bodies.clone(), bodies].concat();
    fastrand::Rng::with_seed(7).shuffle(&mut doubled);
    for body in doubled {
        let handled = world.deliver(&receiver, body.as_bytes()).await;
        assert_eq!(handled.reply.status(), 200);
    }
    let alerts = world.items_with("a", "alert#").await;
    let of = |kind: &str| {
        let kinds = alerts.iter().map(|alert| alert["kind"].as_s().unwrap());
        kinds.filter(|told| *told == kind).count()
    };
    assert_eq!((of("fatal_error"), of("abnormal_exit")), (9, 1));
    // Three at once, the rest with the next sweep.
    assert_eq!(world.sns.published().len(), 3);
    let sweeper = world.sweeper();
    world.sweep_at(&sweeper, 1_772_460_000_000 + 60_000).await;
    let alerts = world.items_with("a", "alert#").await;
    for alert in &alerts {
        assert_eq!(state(alert), "sent");
    }
    assert_eq!(world.told(), u64::try_from(alerts.len()).unwrap());
}
