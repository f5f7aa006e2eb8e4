//! The envelope that every callback comes in, read tolerantly, with `details` kept verbatim; and
//! the name of the fact it reports, which the table uses as a key. Must not know the table.
//!
//! Reading takes two steps, because some answers are due before the callback has to be complete:
//! [`Envelope::read`] needs JSON and no more; [`Envelope::into_notification`] needs what a stored
//! fact needs, a `sid`, a `sequence` and an `eventType`. All the rest may be missing. Times are ms
//! since the epoch.

use crate::event::{Event, EventType, Meaning, ServiceType};
use crate::hash::short_hash;
use crate::signature::Verified;
use crate::tolerant::{Fields, json, out_of_text, text, time_ms, uint};
use serde_json::{Map, Value};
use std::fmt;

/// `productId` of Cloud Recording.
pub const CLOUD_RECORDING: u64 = 3;
/// The highest `sequence` that can be stored: it has ten digits in a [`Notification::fact_key`].
pub const MAX_SEQUENCE: u64 = 9_999_999_999;
/// A longer `cname`, `uid` or `noticeId` is cut, in bytes. Agora's own limits are 64 for a channel
/// and 10 digits for a recorder.
const MAX_NAME: usize = 256;
/// How far ahead the sender's clock may be without being counted, in ms.
const MAX_AHEAD_MS: u64 = 5 * 60 * 1000;

/// The identifier of a recording: 1 to 128 of `A-Z a-z 0-9 _ -`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sid(String);

impl Sid {
    /// Accepts a legal identifier.
    #[must_use]
    pub fn new(sid: &str) -> Option<Self> {
        let legal = (1..=128).contains(&sid.len())
            && sid
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        legal.then(|| Self(sid.to_owned()))
    }

    /// The identifier.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One callback of Cloud Recording, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// The recording (section "Fields in payload").
    pub sid: Sid,
    /// The channel, at most 256 bytes; empty if it isn't there.
    pub cname: String,
    /// The recorder, at most 256 bytes; empty if it isn't there.
    pub uid: String,
    /// The serial number of the callback, 0 to [`MAX_SEQUENCE`].
    pub sequence: u64,
    /// When the event happened, ms since the epoch; 0 if it isn't there.
    pub sendts: u64,
    /// Which part of the service sent it.
    pub service_type: Option<ServiceType>,
    /// `serviceScene`: what kind of recording, or which stage of it, this is about; at most 256
    /// bytes.
    pub service_scene: Option<String>,
    /// The event's number.
    pub event_type: u32,
    /// The event.
    pub event: Event,
    /// `details`, verbatim but for what had to be mended.
    pub details: Value,
    /// Whether the body had to be mended to be read, so that it is kept, too.
    pub is_mended: bool,
    /// The notification's identifier.
    pub notice_id: Option<String>,
    /// When this copy was sent, ms since the epoch; another one on each resend.
    pub notify_ms: Option<u64>,
}

impl Notification {
    /// Names this fact within its session: `<sequence, 10 digits>#<eventType>#<hash>`. The hash is
    /// over uid, `sendts` and details, as canonical JSON: the same for a resend, whatever its
    /// `noticeId`, `notifyMs` and key order, and a different one for a different fact.
    #[must_use]
    pub fn fact_key(&self) -> String {
        let mut text = format!("[{},{},", Value::from(self.uid.as_str()), self.sendts);
        canonical_json(&self.details, &mut text);
        text.push(']');
        let hash = short_hash(text.as_bytes(), 8);
        format!("{:010}#{}#{hash}", self.sequence, self.event_type)
    }

    /// 16 hex digits over the details alone, whatever the order of their keys.
    pub(crate) fn details_hash(&self) -> String {
        let mut text = String::new();
        canonical_json(&self.details, &mut text);
        short_hash(text.as_bytes(), 8)
    }

    /// What it says.
    #[must_use]
    pub fn meaning(&self) -> Meaning<'_> {
        let scene = self.service_scene.as_deref();
        self.event.meaning(self.event_type, scene)
    }

    /// True if the sender's clock is more than five minutes ahead of `now_ms`.
    #[must_use]
    pub fn is_ahead_of(&self, now_ms: u64) -> bool {
        self.notify_ms
            .is_some_and(|notify_ms| notify_ms > now_ms.saturating_add(MAX_AHEAD_MS))
    }

    /// True for the once-a-minute progress, which has no item of its own.
    #[must_use]
    pub fn is_heartbeat(&self) -> bool {
        self.event_type == EventType::UPLOADING_PROGRESS.0
    }
}

/// Why an authentic body can't become a [`Notification`]. It goes to quarantine under these words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Not JSON, or JSON that isn't an object.
    #[error("not a JSON object")]
    NotJson,
    /// No `sid`.
    #[error("no sid")]
    NoSid,
    /// A `sid` of other characters or another length than a [`Sid`].
    #[error("illegal sid")]
    IllegalSid,
    /// No `sequence`, or one that isn't a whole number from 0 to [`MAX_SEQUENCE`].
    #[error("no readable sequence")]
    NoSequence,
    /// No `eventType`, or one that isn't a whole number of 32 bits.
    #[error("no readable eventType")]
    NoEventType,
}

/// Why an authentic body isn't stored as a callback. Its `Display` is kept beside the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuarantineReason {
    /// It can't be read.
    #[error(transparent)]
    Unreadable(Unreadable),
    /// It was sent longer ago than `MAX_CALLBACK_AGE_HOURS`.
    #[error("too old")]
    TooOld,
    /// It doesn't fit an item, not even compressed.
    #[error("too large")]
    TooLarge,
}

/// The JSON of a request whose required fields have not been checked.
#[derive(Debug)]
pub struct Envelope {
    root: Map<String, Value>,
    is_mended: bool,
}

impl Envelope {
    /// Reads a verified body.
    ///
    /// # Errors
    /// [`Unreadable::NotJson`].
    pub fn read(body: &Verified<'_>) -> Result<Self, Unreadable> {
        Self::from_bytes(body.body())
    }

    fn from_bytes(body: &[u8]) -> Result<Self, Unreadable> {
        let Some((Value::Object(mut root), is_mended)) = json(body) else {
            return Err(Unreadable::NotJson);
        };
        if let Some(payload @ Value::String(_)) = root.get_mut("payload") {
            *payload = out_of_text(payload).into_owned();
        }
        Ok(Self { root, is_mended })
    }

    /// The details in a body that was kept; null where there are none.
    pub(crate) fn details_of(body: &[u8]) -> Value {
        Self::from_bytes(body).map_or(Value::Null, |mut envelope| envelope.take_details())
    }

    fn take_details(&mut self) -> Value {
        let payload = self.root.get_mut("payload");
        let details = payload.and_then(|payload| payload.get_mut("details"));
        details.map_or(Value::Null, Value::take)
    }

    fn root(&self) -> Fields<'_> {
        Fields(Some(&self.root))
    }

    fn payload(&self) -> Fields<'_> {
        Fields(self.root.get("payload").and_then(Value::as_object))
    }

    /// True if an unsigned body looks like the Agora console's check. Nothing unsigned is ever
    /// stored, so this may be generous.
    #[must_use]
    pub fn unsigned_is_check(body: &[u8]) -> bool {
        Self::from_bytes(body).is_ok_and(|envelope| {
            matches!(envelope.cname().as_deref(), Some("test_webhook" | "test"))
                || envelope.has_uid_of_check()
        })
    }

    /// True for the Agora console's check. A first channel is often called `test`: with the `sid`
    /// of a recording it is one.
    #[must_use]
    pub fn is_check(&self) -> bool {
        match self.cname().as_deref() {
            Some("test_webhook") => true,
            Some("test") => self.has_uid_of_check() || !self.sid().is_some_and(is_sid_of_agora),
            None | Some("") => self.has_uid_of_check(),
            Some(_) => false,
        }
    }

    fn cname(&self) -> Option<String> {
        self.payload().get(&["cname", "channelName"], text)
    }

    fn has_uid_of_check(&self) -> bool {
        self.payload().text("uid").as_deref() == Some("12121212")
    }

    /// The `sid`, which stands in the payload, beside it, or in both.
    fn sid(&self) -> Option<String> {
        self.payload()
            .text("sid")
            .or_else(|| self.root().text("sid"))
    }

    /// `productId`, if it is there and readable.
    #[must_use]
    pub fn product_id(&self) -> Option<u64> {
        self.root().get(&["productId"], uint)
    }

    /// `notifyMs`, if it is there and readable, ms since the epoch.
    #[must_use]
    pub fn notify_ms(&self) -> Option<u64> {
        self.root().get(&["notifyMs"], time_ms)
    }

    /// `noticeId`, if it is there and readable.
    #[must_use]
    pub fn notice_id(&self) -> Option<String> {
        self.root().text("noticeId").map(cut)
    }

    /// Asks for what a stored fact needs.
    ///
    /// # Errors
    /// The first missing field.
    pub fn into_notification(mut self) -> Result<Notification, Unreadable> {
        let payload = self.payload();
        let sid = self.sid().ok_or(Unreadable::NoSid)?;
        let sid = Sid::new(&sid).ok_or(Unreadable::IllegalSid)?;
        let sequence = payload
            .get(&["sequence"], uint)
            .filter(|sequence| *sequence <= MAX_SEQUENCE)
            .ok_or(Unreadable::NoSequence)?;
        let event_type = self
            .root()
            .get(&["eventType"], uint)
            .and_then(|event_type| u32::try_from(event_type).ok())
            .ok_or(Unreadable::NoEventType)?;
        let cname = payload.text("cname").map(cut).unwrap_or_default();
        let uid = payload.text("uid").map(cut).unwrap_or_default();
        let sendts = payload.get(&["sendts"], time_ms).unwrap_or(0);
        let service_type = payload.int("serviceType").map(ServiceType);
        let service_scene = payload.text("serviceScene").map(cut);
        let notice_id = self.notice_id();
        let notify_ms = self.notify_ms();
        let details = self.take_details();
        let event = Event::read(event_type, &details);
        Ok(Notification {
            sid,
            cname,
            uid,
            sequence,
            sendts,
            service_type,
            service_scene,
            event_type,
            event,
            details,
            is_mended: self.is_mended,
            notice_id,
            notify_ms,
        })
    }
}

/// True for a `sid` as Agora makes them: 32 hex digits.
fn is_sid_of_agora(sid: String) -> bool {
    sid.len() == 32 && sid.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Cuts a name at [`MAX_NAME`].
fn cut(mut name: String) -> String {
    name.truncate(name.floor_char_boundary(MAX_NAME));
    name
}

/// Appends `value` as compact JSON with the keys of every object sorted, whatever order the parser
/// keeps them in.
fn canonical_json(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            out.push('{');
            for (index, (key, value)) in entries.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                canonical_json(value, out);
            }
            out.push('}');
        }
        Value::Array(values) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                canonical_json(value, out);
            }
            out.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.push_str(&value.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn envelope(value: &Value) -> Result<Envelope, Unreadable> {
        Envelope::from_bytes(value.to_string().as_bytes())
    }

    fn read(value: &Value) -> Result<Notification, Unreadable> {
        envelope(value)?.into_notification()
    }

    fn callback() -> Value {
        json!({
            "noticeId": "n1", "productId": 3, "eventType": 40, "notifyMs": 1_611_566_412_672_u64,
            "payload": {
                "cname": "room", "uid": "527841", "sid": "38f8e3cfdc474cd56fc1ceba380d7e1a",
                "sequence": 1, "sendts": 1_611_566_412_600_u64, "serviceType": 1,
                "details": {"msgName": "recorder_started", "status": 0}
            }
        })
    }

    fn with(pointer: &str, value: Value) -> Value {
        let mut callback = callback();
        *callback.pointer_mut(pointer).unwrap() = value;
        callback
    }

    #[test]
    fn a_callback_is_read_with_its_details_verbatim() {
        let notification = read(&callback()).unwrap();
        assert_eq!(
            notification.sid.as_str(),
            "38f8e3cfdc474cd56fc1ceba380d7e1a"
        );
        assert_eq!((notification.sequence, notification.event_type), (1, 40));
        assert_eq!(
            notification.details,
            json!({"msgName": "recorder_started", "status": 0})
        );
    }

    #[test]
    fn the_envelope_tells_what_is_asked_before_it_is_read() {
        let whole = envelope(&callback()).unwrap();
        assert_eq!(whole.product_id(), Some(3));
        assert_eq!(whole.notify_ms(), Some(1_611_566_412_672));
        assert_eq!(whole.notice_id().as_deref(), Some("n1"));
        let empty = envelope(&json!({})).unwrap();
        assert_eq!(empty.product_id(), None);
        assert_eq!((empty.notify_ms(), empty.notice_id()), (None, None));
    }

    #[test]
    fn the_key_of_a_fact_never_changes() {
        let notification = read(&callback()).unwrap();
        assert_eq!(notification.fact_key(), "0000000001#40#67fbda97907e410d");
        assert_eq!(notification.sid.to_string(), notification.sid.as_str());
        assert!(!notification.is_heartbeat());
        assert!(read(&with("/eventType", json!(33))).unwrap().is_heartbeat());
    }

    #[test]
    fn canonical_json_is_compact_sorted_and_unambiguous() {
        let mut text = String::new();
        canonical_json(
            &json!({"b": [1, 23, {"y": null, "x": "\""}], "a": true, "c": {}}),
            &mut text,
        );
        assert_eq!(text, r#"{"a":true,"b":[1,23,{"x":"\"","y":null}],"c":{}}"#);
    }

    #[test]
    fn strings_for_numbers_and_numbers_for_strings_are_read() {
        let mut odd = callback();
        odd["eventType"] = json!("40");
        odd["payload"]["sequence"] = json!("1");
        odd["payload"]["uid"] = json!(527_841);
        odd["payload"]["sendts"] = json!("1611566412600");
        assert_eq!(read(&odd), read(&callback()));
    }

    #[test]
    fn the_sid_beside_the_payload_serves_where_the_payload_has_none() {
        let mut callback = callback();
        callback["payload"].as_object_mut().unwrap().remove("sid");
        callback["sid"] = json!("abc");
        assert_eq!(read(&callback).unwrap().sid.as_str(), "abc");
    }

    #[test]
    fn what_a_stored_fact_needs_is_asked_for() {
        for (value, reason) in [
            (with("/payload/sid", json!(null)), Unreadable::NoSid),
            (with("/payload/sid", json!("")), Unreadable::IllegalSid),
            (with("/payload/sid", json!("a#b")), Unreadable::IllegalSid),
            (
                with("/payload/sid", json!("x".repeat(129))),
                Unreadable::IllegalSid,
            ),
            (with("/payload/sequence", json!(-1)), Unreadable::NoSequence),
            (
                with("/payload/sequence", json!(1.5)),
                Unreadable::NoSequence,
            ),
            (
                with("/payload/sequence", json!(1e20)),
                Unreadable::NoSequence,
            ),
            (
                with("/payload/sequence", json!(MAX_SEQUENCE + 1)),
                Unreadable::NoSequence,
            ),
            (
                with("/payload/sequence", json!(null)),
                Unreadable::NoSequence,
            ),
            (with("/eventType", json!(null)), Unreadable::NoEventType),
            (
                with("/eventType", json!(u64::from(u32::MAX) + 1)),
                Unreadable::NoEventType,
            ),
            (with("/payload", json!([])), Unreadable::NoSid),
            (json!([]), Unreadable::NotJson),
        ] {
            assert_eq!(read(&value), Err(reason), "{value}");
        }
        for body in [
            &b""[..],
            b"not json",
            b"\xff\xfe",
            b"{",
            "[".repeat(5000).as_bytes(),
            b"{\"a\":1e400}",
        ] {
            assert_eq!(
                Envelope::from_bytes(body).map(|_| ()),
                Err(Unreadable::NotJson)
            );
        }
    }

    #[test]
    fn all_the_rest_may_be_missing() {
        let bare =
            read(&json!({"eventType": 999, "payload": {"sid": "s", "sequence": 0}})).unwrap();
        assert_eq!(bare.event, Event::Other);
        assert_eq!(
            (
                bare.cname.as_str(),
                bare.uid.as_str(),
                bare.sendts,
                bare.details
            ),
            ("", "", 0, Value::Null)
        );
    }

    #[test]
    fn the_scene_is_kept_as_it_is() {
        let mut value = callback();
        assert_eq!(read(&value).unwrap().service_scene, None);
        for scene in [
            "web_record",
            "postpone_transcode::transcode",
            "one nobody has documented",
        ] {
            value["payload"]["serviceScene"] = json!(scene);
            assert_eq!(read(&value).unwrap().service_scene.as_deref(), Some(scene));
        }
    }

    #[test]
    fn absurdly_long_names_are_cut_at_a_character() {
        let long = read(&with("/payload/cname", json!("é".repeat(1000)))).unwrap();
        assert_eq!(long.cname, "é".repeat(128));
    }

    #[test]
    fn a_resend_has_the_same_key_and_a_different_fact_a_different_one() {
        let key = |value: &Value| read(value).unwrap().fact_key();
        let first = key(&callback());
        assert!(first.starts_with("0000000001#40#"), "{first}");
        let resent = br#"{"payload":{"details":{"status":0,"msgName":"recorder_started"},
            "sendts":1611566412600,"sequence":1,"uid":"527841",
            "sid":"38f8e3cfdc474cd56fc1ceba380d7e1a"},"notifyMs":1611566499999,"noticeId":"n2",
            "eventType":40}"#;
        assert_eq!(
            Envelope::from_bytes(resent)
                .unwrap()
                .into_notification()
                .unwrap()
                .fact_key(),
            first
        );
        assert_ne!(key(&with("/payload/details/status", json!(1))), first);
        assert_ne!(key(&with("/payload/uid", json!("2"))), first);
        assert_ne!(
            key(&with("/payload/sendts", json!(1_611_566_412_601_u64))),
            first
        );
    }

    #[test]
    fn the_consoles_check_is_told_from_a_recording_in_a_channel_called_test() {
        let check = |cname: Value, uid: Value, sid: Value| {
            let payload = json!({"cname": cname, "uid": uid, "sid": sid});
            json!({"payload": payload})
        };
        let (real, none) = (json!("38f8e3cfdc474cd56fc1ceba380d7e1a"), json!(null));
        // Signed it is one; unsigned it is taken for one.
        for (value, signed, unsigned) in [
            (
                check(json!("test_webhook"), json!("5"), real.clone()),
                true,
                true,
            ),
            (
                json!({"payload": {"channelName": "test_webhook"}}),
                true,
                true,
            ),
            (check(json!("test"), json!("5"), none.clone()), true, true),
            (
                check(json!("test"), json!("5"), json!("test_sid")),
                true,
                true,
            ),
            (
                check(json!("test"), json!("5"), json!("g".repeat(32))),
                true,
                true,
            ),
            (check(json!("test"), json!("5"), real.clone()), false, true),
            (
                check(json!("test"), json!("12121212"), real.clone()),
                true,
                true,
            ),
            (
                check(none.clone(), json!(12_121_212), real.clone()),
                true,
                true,
            ),
            (
                check(json!(""), json!("12121212"), none.clone()),
                true,
                true,
            ),
            (
                check(json!("room"), json!("12121212"), real.clone()),
                false,
                true,
            ),
            (
                check(json!("test_webhook_2"), json!("5"), none.clone()),
                false,
                false,
            ),
            (callback(), false, false),
        ] {
            assert_eq!(envelope(&value).unwrap().is_check(), signed, "{value}");
            let unsigned_is_check = Envelope::unsigned_is_check(value.to_string().as_bytes());
            assert_eq!(unsigned_is_check, unsigned, "{value}");
        }
        let beside = json!({"sid": real, "payload": {"cname": "test"}});
        assert!(!envelope(&beside).unwrap().is_check());
        assert!(!Envelope::unsigned_is_check(b"test"));
    }

    #[test]
    fn a_clock_ahead_is_told_from_the_usual_inaccuracy() {
        let notification = read(&callback()).unwrap();
        let notify_ms = notification.notify_ms.unwrap();
        assert!(!notification.is_ahead_of(notify_ms - 5 * 60_000));
        assert!(notification.is_ahead_of(notify_ms - 5 * 60_000 - 1));
    }
}
