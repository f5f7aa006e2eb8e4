//! Random sessions and how their callbacks are delivered, from a seed.

use super::world::callback_at;
use agora_recording_callbacks::event::Event;
use agora_recording_callbacks::notification::{Notification, Sid};
use fastrand::Rng;
use serde_json::{Value, json};

/// The callbacks of a session, and the order in which the copies of those that aren't lost come.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// The callbacks, in the order they happened.
    pub(crate) callbacks: Vec<Callback>,
    /// Indexes into `callbacks`, in the order of delivery.
    pub(crate) deliveries: Vec<usize>,
}

/// One callback of the session `a`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Callback {
    pub(crate) uid: String,
    pub(crate) sequence: u64,
    pub(crate) sendts: u64,
    pub(crate) event_type: u32,
    pub(crate) details: Value,
    pub(crate) scene: Option<&'static str>,
}

impl Callback {
    /// As it is sent.
    pub(crate) fn body(&self) -> String {
        self.body_of("a")
    }

    /// As it is sent for another session.
    pub(crate) fn body_of(&self, sid: &str) -> String {
        let plain = callback_at(
            sid,
            &self.uid,
            self.sequence,
            self.event_type,
            &self.details,
            self.sendts,
        );
        match self.scene {
            Some(scene) => plain.replace(
                "\"serviceType\":1",
                &format!("\"serviceType\":1,\"serviceScene\":\"{scene}\""),
            ),
            None => plain,
        }
    }

    /// As it is read.
    pub(crate) fn notification(&self) -> Notification {
        Notification {
            sid: Sid::new("a").unwrap(),
            cname: "room-101-b".to_owned(),
            uid: self.uid.clone(),
            sequence: self.sequence,
            sendts: self.sendts,
            service_type: None,
            service_scene: self.scene.map(str::to_owned),
            event_type: self.event_type,
            event: Event::read(self.event_type, &self.details),
            details: self.details.clone(),
            is_mended: false,
            notice_id: None,
            notify_ms: None,
        }
    }
}

impl Schedule {
    /// 5 to 200 callbacks, short sessions more often than long ones; up to 20 % lost, up to three
    /// copies, in any order.
    pub(crate) fn random(rng: &mut Rng) -> Self {
        let length = (5.0 * 40_f64.powf(rng.f64())).round();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "5 to 200"
        )]
        let callbacks = callbacks(rng, length as usize);
        let lost = rng.f64() * 0.2;
        let copies = rng.usize(1..=3);
        // A few places, or anywhere.
        let distance = *rng.choice(&[1.0, 4.0, 30.0, 1e6]).unwrap_or(&1.0);
        let mut arrivals: Vec<(f64, usize)> = Vec::new();
        for (index, _) in callbacks
            .iter()
            .enumerate()
            .filter(|_| rng.f64() >= lost)
            .collect::<Vec<_>>()
        {
            for _ in 0..rng.usize(1..=copies) {
                #[expect(clippy::cast_precision_loss, reason = "at most 200")]
                arrivals.push((index as f64 + rng.f64() * distance, index));
            }
        }
        arrivals.sort_by(|one, other| one.0.total_cmp(&other.0));
        Self {
            callbacks,
            deliveries: arrivals.into_iter().map(|(_, index)| index).collect(),
        }
    }
}

/// The callbacks of one session with up to three recorders.
fn callbacks(rng: &mut Rng, length: usize) -> Vec<Callback> {
    // Where a new recorder takes over, and whether it is announced.
    let failovers: Vec<(usize, bool)> = match rng.u8(..10) {
        0..=6 => Vec::new(),
        7 | 8 => vec![(rng.usize(1..length), rng.bool())],
        _ => {
            let at = rng.usize(1..length);
            vec![(at, rng.bool()), (rng.usize(at..length), rng.bool())]
        }
    };
    // Some producers never count, some count on under another recorder, some begin late.
    let is_stuck = rng.u8(..20) == 0;
    let counts_on = rng.bool();
    let mut sequence = if rng.u8(..5) == 0 { rng.u64(1..60) } else { 0 };
    let mut uid = 100;
    let mut callbacks = Vec::new();
    for index in 0..length {
        let (mut event_type, mut details) = event(rng);
        let sendts = 1_772_460_000_000 + 1000 * u64::try_from(index).unwrap_or(0) + rng.u64(..900);
        let takes_over = failovers.iter().find(|(at, _)| *at == index);
        if takes_over.is_some_and(|(_, is_announced)| *is_announced) {
            (event_type, details) = (12, json!({"newUid": uid + 1}));
        }
        callbacks.push(Callback {
            uid: uid.to_string(),
            sequence,
            sendts,
            event_type,
            details,
            scene: match rng.u8(..40) {
                0 => Some("rtc_snapshot"),
                1 => Some("postpone_transcode::transcode_failover"),
                2 => Some("rtc_vod"),
                3 => Some("mix_record"),
                _ => None,
            },
        });
        sequence += u64::from(!is_stuck);
        if takes_over.is_some() {
            uid += 1;
            if !counts_on {
                sequence = rng.u64(..3);
            }
        }
    }
    // A stage beside the recording may count for itself, from the start or at the end.
    if rng.u8(..4) == 0 {
        let beside = |n: u64| Callback {
            uid: "900".to_owned(),
            sequence: n,
            sendts: 1_772_460_000_500 + n * 1000,
            event_type: 80,
            details: json!({}),
            scene: None,
        };
        callbacks.extend((0..rng.u64(1..5)).map(beside));
    }
    callbacks
}

fn event(rng: &mut Rng) -> (u32, Value) {
    let n = rng.i64(..10_000);
    match rng.u8(..38) {
        0 => (
            1,
            json!({"module": n % 4, "errorLevel": n % 7, "errorCode": n, "stat": 0,
                "errorMsg": "x"}),
        ),
        1 => (2, json!({"module": n % 4, "warnCode": 31})),
        2 => (3, json!({"status": n % 21})),
        3 => (4, json!({"fileList": format!("{n}.m3u8")})),
        4 => (11, json!({"exitStatus": n % 2})),
        5 => (30, json!({"status": n % 2})),
        6 => (31, json!({"status": n % 2})),
        7 => (32, json!({"status": 0})),
        8 => (40, json!({"status": 0})),
        9 => (41, json!({"leaveCode": n % 25})),
        10 => (42, json!({"startUtcMs": n, "discontinueUtcMs": n})),
        11 | 12 => (43, json!({"state": n % 2, "streamUid": "7", "utcMs": n})),
        13 => (44, json!({"state": n % 2, "streamUid": "8", "utcMs": n})),
        14 => (71, json!({"code": n % 5})),
        15 => (999, json!({"of": n})),
        16 => (40, json!({"status": n % 3})),
        17 => (70, json!({})),
        18 => (72, json!({"limitType": "WebGL"})),
        19 => (34, json!({})),
        20 => (61, json!({})),
        22 => (45, json!({"fileName": format!("{n}.jpg")})),
        21 => {
            let words = ["stranded", "backuped", "uploaded", "", "something new"];
            let word = words[usize::try_from(n.rem_euclid(5)).unwrap()];
            (31, json!({"status": 0, "uploadingStatus": word}))
        }
        _ => (33, json!({"progress": n})),
    }
}
