//! Callbacks that come late, in bursts, from clocks that are off ring no alarm; a recording that
//! dies is told in time.
//!
//! Through the core, a look a minute, as the sweeper does it.

use crate::harness::{Callback, config, proof};
use agora_recording_callbacks::notification::Sid;
use agora_recording_callbacks::record::Watched;
use agora_recording_callbacks::session::{Fact, Session};
use agora_recording_callbacks::watchdog::{Rules, look};
use fastrand::Rng;
use serde_json::{Value, json};

const MIN: u64 = 60_000;
const T0: u64 = 1_772_460_000_000;
const DAY: u64 = 24 * 60 * MIN;
/// How late a callback may come.
const LATE: u64 = 10 * MIN;
/// How far apart bursts may be.
const APART: u64 = 4 * MIN;
/// How soon a silence has to be told after its threshold.
const TOLD_WITHIN: u64 = 2 * MIN;

/// The default rules, where other recordings send heartbeats.
fn rules() -> Rules {
    Rules {
        expects_heartbeats: true,
        ..config().rules
    }
}

/// A recording of a day, or one that dies; when it was told that it is silent, and when it should.
fn play(seed: u64) -> (Vec<u64>, Option<u64>) {
    let mut rng = Rng::with_seed(seed);
    let rules = rules();
    let clock = |at: u64, skew: i64| at.saturating_add_signed(skew);
    let skew = rng.i64(-5..=5) * 60_000;
    let began = T0 + rng.u64(..MIN);
    let dies_at = rng.bool().then(|| began + rng.u64(..DAY));
    let mut watched = Watched::new(Sid::new("a").unwrap());
    let callback = |sequence, event_type, details: Value, at| Callback {
        uid: "5".to_owned(),
        sequence,
        sendts: clock(at, skew),
        event_type,
        details,
        scene: None,
    };
    let mut session = Session::default();
    let (mut told, mut pending) = (Vec::new(), Vec::new());
    let (mut sequence, mut beat_at, mut burst_at) = (2, began + MIN, began);
    for (number, event_type) in [(0, 40), (1, 42)] {
        let details = json!({"status": 0, "startUtcMs": began});
        pending.push((began, callback(number, event_type, details, began)));
    }
    let mut last_arrival = began;
    let mut look_at = began + rng.u64(..MIN);
    while look_at < began + DAY + LATE + 20 * MIN {
        // Everything that comes before the next look, in its order.
        while burst_at <= look_at {
            while beat_at <= burst_at && dies_at.is_none_or(|dies_at| beat_at < dies_at) {
                let details = json!({"progress": sequence});
                pending.push((beat_at, callback(sequence, 33, details, beat_at)));
                sequence += 1;
                beat_at += MIN;
            }
            let next_at = burst_at + MIN + rng.u64(..=APART - MIN);
            // A heartbeat is in each burst, as long as there are some.
            let is_beat = |(_, callback): &(u64, Callback)| callback.event_type == 33;
            let beats = (0..pending.len()).filter(|n| is_beat(&pending[*n]));
            let beats: Vec<_> = beats.collect();
            let sure = rng.choice(beats);
            let (mut left, mut comes) = (Vec::new(), Vec::new());
            for (n, (at, callback)) in pending.into_iter().enumerate() {
                let must = Some(n) == sure || at + LATE < next_at;
                if must || rng.bool() {
                    comes.push(callback);
                } else {
                    left.push((at, callback));
                }
            }
            pending = left;
            rng.shuffle(&mut comes);
            for callback in &comes {
                session.apply(&Fact::of(&callback.notification()));
                watched.updated_at = burst_at;
                last_arrival = burst_at;
                if callback.event_type == 33 {
                    watched.heard_at = Some(burst_at);
                }
            }
            burst_at = next_at;
        }
        if dies_at.is_none() && look_at > began + DAY {
            break;
        }
        watched.session = session.clone();
        if !session.recorders.is_empty() {
            let look = look(&watched, &rules, look_at);
            let kinds = look.alerts.iter().map(|alert| alert.kind.as_str());
            told.extend(kinds.map(|kind| {
                assert_eq!(kind, "session_silent", "seed {seed}");
                look_at
            }));
            watched.standing = look.standing;
        }
        look_at += MIN;
    }
    // Before the first heartbeat any callback counts, and three minutes more.
    let heard_at = watched.heard_at.unwrap_or(last_arrival + 3 * MIN);
    (told, dies_at.map(|_| heard_at + 5 * MIN))
}

#[derive(Default)]
struct Told(u64);

impl proof::Sum for Told {
    fn add(&mut self, other: Self) {
        self.0 += other.0;
    }
}

#[test]
fn no_false_alarm_in_a_day_and_every_death_is_told_in_time() {
    skip_on_another_engine!("needs no engine");
    let count = proof::scale(200, 1_000);
    let deaths = proof::on_all_cores("recording", count, |seed| match play(seed) {
        (told, None) => {
            assert!(told.is_empty(), "seed {seed} is healthy: {told:?}");
            Told(0)
        }
        (told, Some(threshold)) => {
            assert_eq!(told.len(), 1, "seed {seed} is dead: {told:?}");
            let told_after = told[0].checked_sub(threshold);
            assert!(
                told_after.is_some_and(|after| after <= TOLD_WITHIN),
                "seed {seed}: {told:?}, {threshold}"
            );
            Told(1)
        }
    });
    println!(
        "proved: {count} recordings of a day with late callbacks: no false alarm, {} deaths told \
         in time",
        deaths.0
    );
}
