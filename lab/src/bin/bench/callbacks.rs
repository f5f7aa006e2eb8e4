//! The events that are sent, as Lambda hands them over: callbacks in the samples' envelopes, each
//! with a body of its own, signed; and visits to a page.

use agora_recording_callbacks::clock::now_ms;
use agora_recording_callbacks::link::Place;
use agora_recording_callbacks::notification::Sid;
use agora_recording_callbacks::secrets::Secret;
use serde_json::Value;
use testkit::sign;

/// What kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Event 33: one write.
    Heartbeat,
    /// Event 44: two writes.
    Ordinary,
    /// Event 1, fatal: the alert is written, published and marked, too.
    Alerting,
    /// No callback: somebody opens a page.
    Visit,
}

impl Kind {
    /// What a callback function gets, in the order in which they are sent.
    pub(crate) const ALL: [Self; 3] = [Self::Heartbeat, Self::Ordinary, Self::Alerting];

    /// Its name in the tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Heartbeat => "heartbeat",
            Self::Ordinary => "ordinary",
            Self::Alerting => "alerting",
            Self::Visit => "visit",
        }
    }

    /// The requests that a function makes for one, if nothing stands in its way.
    pub(crate) fn requests(self) -> f64 {
        match self {
            Self::Heartbeat | Self::Visit => 1.0,
            Self::Ordinary => 2.0,
            // The alert, the counter of its minute, the message, the event, the session, the mark.
            Self::Alerting => 6.0,
        }
    }

    fn sample(self) -> Option<&'static str> {
        Some(match self {
            Self::Heartbeat => include_str!("../../../../events/33-uploading_progress.json"),
            Self::Ordinary => {
                include_str!("../../../../events/44-recorder_video_stream_state_changed.json")
            }
            Self::Alerting => include_str!("../../../../events/01-cloud_recording_error.json"),
            Self::Visit => return None,
        })
    }

    /// `count` events of this kind; callbacks are numbered from `first`.
    pub(crate) fn events(self, first: u64, count: usize) -> Vec<String> {
        let Some(sample) = self.sample() else {
            return vec![visit(); count];
        };
        let mut event: Value = serde_json::from_str(sample).expect("a sample is JSON");
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

/// A visit to the page of a recording, by a link that is signed with the local secret.
fn visit() -> String {
    let sid = Sid::new("38f8e3cfdc474cd56fc1ceba380d7e1a").expect("it is a sid");
    let key = Secret::new(sign::LOCAL_SECRET);
    let link = Place::Recording(sid).link(now_ms() / 1000 + 3600, &key);
    let (path, query) = link.split_once('?').expect("a link has a query");
    testkit::visit("GET", path, query).to_string()
}
