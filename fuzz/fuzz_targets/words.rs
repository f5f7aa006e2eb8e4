//! Any texts in an alert: a message that SNS takes and whose lines are ours.

#![no_main]

use agora_recording_callbacks::alert::{Alert, AlertKey, AlertKind, Incident, Links, message};
use agora_recording_callbacks::event::CodeName;
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;

fuzz_target!(|data: (u8, String, String, String, u64, i64)| {
    let (kind, cname, uid, text, at, code) = data;
    let kinds: Vec<AlertKind> = AlertKind::ALL.to_vec();
    let alarm = kinds[usize::from(kind) % kinds.len()];
    let alert = Alert {
        kind: alarm,
        key: AlertKey::from_stored(&format!("{}#0123456789abcdef", alarm.as_str())),
        sid: "a".to_owned(),
        cname,
        uid,
        sequence: at,
        event_type: u32::from(kind),
        at,
        // Numbers are numbers by the time they are here, and texts are clean.
        codes: BTreeMap::from([
            (CodeName::Module, (code % 9).to_string()),
            (CodeName::ErrorCode, code.to_string()),
            (CodeName::StartUtcMs, at.to_string()),
            (CodeName::DiscontinueUtcMs, code.to_string()),
            (CodeName::LastHeartbeat, at.to_string()),
            (
                CodeName::ErrorMsg,
                agora_recording_callbacks::text::clean(&text, 300),
            ),
        ]),
    };
    let message = message(&alert, &Incident::of(&alert), &Links::default());
    assert!(!message.subject.is_empty() && message.subject.len() < 100);
    assert!(
        message
            .subject
            .bytes()
            .all(|byte| (b' '..=b'~').contains(&byte))
    );
    assert!(message.sms.len() <= 140 && message.sms.is_ascii());
    assert!(message.email.chars().all(|c| c == '\n' || !c.is_control()));
    assert!(message.email.len() + message.default.to_string().len() < 64 * 1024);
    assert_eq!(message.email.matches("\nWhat to do now\n").count(), 1);
});
