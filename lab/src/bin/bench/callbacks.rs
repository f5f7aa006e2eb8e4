//! The callbacks that are sent, as Lambda hands them over: the samples' envelopes, each with a body
//! of its own, signed.

use agora_recording_callbacks::clock::now_ms;
use serde_json::Value;
use testkit::sign;

/// What kind of callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Event 33: one write.
    Heartbeat,
    /// Event 44: two writes.
    Ordinary,
    /// Event 1, fatal: the alert is written, published and marked, too.
    Alerting,
}

impl Kind {
    /// In the order in which they are sent.
    pub(crate) const ALL: [Self; 3] = [Self::Heartbeat, Self::Ordinary, Self::Alerting];

    /// Its name in the tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Heartbeat => "heartbeat",
            Self::Ordinary => "ordinary",
            Self::Alerting => "alerting",
        }
    }

    /// The requests that the callback function makes for one, if nothing stands in its way.
    pub(crate) fn requests(self) -> f64 {
        match self {
            Self::Heartbeat => 1.0,
            Self::Ordinary => 2.0,
            // The alert, the counter of its minute, the message, the event, the session, the mark.
            Self::Alerting => 6.0,
        }
    }

    fn sample(self) -> &'static str {
        match self {
            Self::Heartbeat => include_str!("../../../../events/33-uploading_progress.json"),
            Self::Ordinary => {
                include_str!("../../../../events/44-recorder_video_stream_state_changed.json")
            }
            Self::Alerting => include_str!("../../../../events/01-cloud_recording_error.json"),
        }
    }

    /// `count` callbacks of this kind, numbered from `first`.
    pub(crate) fn events(self, first: u64, count: usize) -> Vec<String> {
        let mut event: Value = serde_json::from_str(self.sample()).expect("a sample is JSON");
        let body = event["body"].as_str().expect("a sample has a body");
        let mut body: Value = serde_json::from_str(body).expect("a sample's body is JSON");
        let now_ms = now_ms();
        (first..)
            .take(count)
            .map(|sequence| {
                body["notifyMs"] = now_ms.into();
                body["payload"]["sequence"] = sequence.into();
                body["payload"]["sendts"] = (now_ms - 1_000_000 + sequence * 1000).into();
                let text = body.to_string();
                event["headers"]["agora-signature-v2"] =
                    sign::v2(sign::LOCAL_SECRET, text.as_bytes()).into();
                event["body"] = text.into();
                event.to_string()
            })
            .collect()
    }
}
