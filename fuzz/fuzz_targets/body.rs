//! Any body with a true signature: read or refused with a reason, merged in any order to the same,
//! alerting words, no panic.

#![no_main]

use agora_recording_callbacks::alert::{Alert, AlertKind, Incident, Links, message};
use agora_recording_callbacks::notification::{Envelope, Notification};
use agora_recording_callbacks::secrets::Secret;
use agora_recording_callbacks::session::{Fact, Session};
use agora_recording_callbacks::signature::{Header, SignatureHeaders, verify};
use hmac::{Hmac, KeyInit, Mac};
use libfuzzer_sys::fuzz_target;
use sha2::Sha256;

fn read(body: &[u8]) -> Option<Notification> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(b"s").unwrap();
    mac.update(body);
    let digest: String = mac
        .finalize()
        .into_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let headers = SignatureHeaders {
        v2: Header::Once(digest.as_bytes()),
        v1: Header::Absent,
    };
    let body = verify(headers, body, &[Secret::new("s")], true).unwrap();
    Envelope::read(&body).ok()?.into_notification().ok()
}

fuzz_target!(|data: &[u8]| {
    // A body a line, so that sessions of several callbacks are found, too.
    let callbacks: Vec<Notification> = data.split(|byte| *byte == b'\n').filter_map(read).collect();
    let (mut forwards, mut twice) = (Session::default(), Session::default());
    for callback in &callbacks {
        let fact = Fact::of(callback);
        forwards.apply(&fact);
        twice.apply(&fact);
        twice.apply(&fact);
        assert!(callback.fact_key().len() < 64);
        if let Some(alert) = Alert::of(callback, &AlertKind::ALL) {
            let message = message(&alert, &Incident::of(&alert), &Links::default());
            assert!(message.subject.len() < 100 && message.subject.is_ascii());
            assert!(message.sms.len() <= 140 && message.sms.is_ascii());
        }
    }
    assert_eq!(forwards, twice);
});
