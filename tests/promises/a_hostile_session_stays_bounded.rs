//! A session that does its worst: the longest strings everywhere, holes chosen against the ledger,
//! recorders without end, hundreds of thousands of callbacks. Its item stays under 16 KB, no
//! expression is longer than DynamoDB takes, and every callback is acknowledged.

use crate::harness::{Callback, Simulation, TABLE, Weather, proof};
use agora_recording_callbacks::store::size;
use aws_sdk_dynamodb::types::AttributeValue;
use fastrand::Rng;
use serde_json::{Value, json};

/// Details that fill every register as far as it goes.
fn longest(event_type: u32, n: u64) -> Value {
    let text = "\u{10348}".repeat(100);
    let int = i64::MIN + i64::try_from(n).unwrap();
    json!({
        "module": int, "errorLevel": if event_type == 1 { 3 } else { int }, "errorCode": int,
        "stat": int, "errorMsg": text,
        "warnCode": int, "status": int, "recordingMode": int, "fileList": text, "leaveStatus": 0,
        "exitStatus": 0,
        "uploadingStatus": text, "progress": int, "leaveCode": int, "startUtcMs": u64::MAX / 2,
        "discontinueUtcMs": u64::MAX / 2,
        "code": int, "message": text, "details": text, "limitType": text, "reason": text,
        "fileName": text,
        "recorderStartTime": u64::MAX / 2,
    })
}

/// What is sent, one after the other.
fn attack(kind: u64, n: u64, rng: &mut Rng) -> (String, u64) {
    let uid = |number: u64| format!("{number:0>256}");
    let last = 9_999_999_999;
    match kind {
        // Every other one, for ever.
        0 => (uid(0), last - 300_000 + 2 * n),
        // Anything, in any order.
        1 => (uid(0), rng.u64(..=last)),
        // Backwards, with holes.
        2 => (uid(0), last - 2 * n),
        // Many recorders, in turn, each with its holes.
        3 => (uid(n % 8), last - 300_000 + 2 * (n / 8)),
        // Recorders that are there for a while and have late callbacks.
        4 => (uid(n / 200 + rng.u64(..8)), rng.u64(..1000) * 9_999_999),
        // The same numbers again and again, far from each other.
        _ => (uid(rng.u64(..3)), rng.u64(..200) * 49_999_999),
    }
}

#[test]
fn whatever_comes_the_item_stays_small() {
    skip_on_another_engine!("brings its own engine");
    let each = proof::scale(400, 17_000);
    let summary = proof::on_all_cores("attack", 6, |kind| Simulation::run(suffer(kind, each)));
    let Largest {
        callbacks,
        item,
        expression,
    } = summary;
    println!(
        "proved: {callbacks} hostile callbacks: largest session item {item} B, longest expression \
        {expression} B"
    );
}

async fn suffer(kind: u64, callbacks: u64) -> Largest {
    let world = Simulation::new(kind, Weather::default()).await;
    let receiver = world.receiver();
    let mut rng = Rng::with_seed(kind);
    let mut largest = Largest {
        callbacks,
        ..Largest::default()
    };
    let types = [1, 2, 3, 4, 11, 30, 31, 32, 33, 40, 41, 42, 70, 71, 72, 73];
    for n in 0..callbacks {
        let (uid, sequence) = attack(kind, n, &mut rng);
        let event_type = *rng.choice(&types).unwrap();
        let sendts = u64::MAX / 4 + n;
        let callback = Callback {
            uid,
            sequence,
            sendts,
            event_type,
            details: longest(event_type, n),
            scene: None,
        };
        let handled = world
            .invoke(&receiver, callback.body().as_bytes())
            .await
            .unwrap();
        assert_eq!(
            handled.reply.status(),
            200,
            "{kind} {n} {:?}",
            handled.error
        );
        if n % 10 == 0 {
            let get = world.dynamodb().get_item().table_name(TABLE);
            let key = |text: &str| AttributeValue::S(text.to_owned());
            let got = get
                .key("sid", key("a"))
                .key("item", key("session"))
                .send()
                .await
                .unwrap();
            let item = got.item.unwrap();
            largest.item = largest.item.max(size(&item));
        }
    }
    largest.expression = world.longest_expression();
    assert!(largest.item < 16 * 1024, "{kind}: {}", largest.item);
    assert!(largest.expression < 4096, "{kind}: {}", largest.expression);
    largest
}

#[derive(Default)]
struct Largest {
    callbacks: u64,
    item: usize,
    expression: usize,
}

impl proof::Sum for Largest {
    fn add(&mut self, other: Self) {
        self.callbacks += other.callbacks;
        self.item = self.item.max(other.item);
        self.expression = self.expression.max(other.expression);
    }
}
