//! An alert's message: a text for each protocol, and JSON for machines. Pure.
//!
//! Texts from outside stand only behind a label of ours, so that no line of the email can be
//! mistaken for ours. The JSON follows the custom-notification schema of Amazon Q Developer in chat
//! applications, so that Slack and Teams need no glue.

use super::words::{Words, in_words};
use super::{Alert, Severity};
use crate::text::{ascii, clean, utc};
use serde_json::{Value, json};

const MAX_CNAME: usize = 128;
const MAX_UID: usize = 64;
/// SNS refuses a subject of 100 characters or more.
pub(super) const MAX_SUBJECT: usize = 99;
/// One SMS of the characters every phone knows.
pub(super) const MAX_SMS: usize = 140;

/// What is published: a subject, a text for each protocol, and attributes for filter policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Printable ASCII, less than 100 characters.
    pub subject: String,
    /// What a person reads.
    pub email: String,
    /// At most 140 characters of printable ASCII.
    pub sms: String,
    /// What every other protocol gets: one JSON object.
    pub default: Value,
    /// Message attributes, all strings.
    pub attributes: Vec<(&'static str, String)>,
}

/// Makes the message of an alert.
#[must_use]
pub fn message(alert: &Alert) -> Message {
    let words = in_words(alert);
    Message {
        subject: subject(alert, &words),
        email: email(alert, &words),
        sms: sms(alert, &words),
        default: card(alert, &words),
        attributes: attributes(alert),
    }
}

impl Severity {
    fn title(self) -> &'static str {
        match self {
            Self::Critical => "Critical",
            Self::Warning => "Warning",
            Self::Info => "Info",
        }
    }
}

fn severity_upper(alert: &Alert) -> String {
    alert.kind.severity().as_str().to_uppercase()
}

fn cname(alert: &Alert) -> String {
    clean(&alert.cname, MAX_CNAME)
}

fn subject(alert: &Alert, words: &Words) -> String {
    let (severity, cname) = (severity_upper(alert), cname(alert));
    let text = format!("[{severity}] {} in channel {cname}", words.title);
    ascii(&text, MAX_SUBJECT)
}

fn sms(alert: &Alert, words: &Words) -> String {
    let text = format!(
        "{} {}, {}, sid {}, channel {}",
        severity_upper(alert),
        words.title,
        utc(alert.at),
        alert.sid,
        cname(alert)
    );
    ascii(&text, MAX_SMS)
}

fn email(alert: &Alert, words: &Words) -> String {
    let severity = alert.kind.severity().as_str();
    let mut email = format!("{} ({severity})\n\n", words.title);
    let callback = format!("number {}, event {}", alert.sequence, alert.event_type);
    for (label, value) in [
        ("What happened", words.what.as_str()),
        ("When", &utc(alert.at)),
        ("Channel", &cname(alert)),
        ("Recording", &alert.sid),
        ("Recorder uid", &clean(&alert.uid, MAX_UID)),
        ("Callback", &callback),
        (
            "Agora's text",
            alert.codes.get("errorMsg").map_or("", String::as_str),
        ),
    ] {
        if !value.is_empty() {
            email.push_str(&format!("{label:<14}: {value}\n"));
        }
    }
    email.push_str("\nWhat to do now\n");
    for (number, step) in (1..).zip(&words.steps) {
        email.push_str(&format!("{number}. {step}\n"));
    }
    email.push_str(&format!(
        "\nAlert id: {}. You may receive this alert twice; its id never changes.\n",
        alert.id()
    ));
    email
}

/// What chats show, and what programs decide on.
fn card(alert: &Alert, words: &Words) -> Value {
    let severity = alert.kind.severity();
    let kind = alert.kind.as_str();
    let cname = cname(alert);
    json!({
        "version": "1.0",
        "source": "custom",
        "content": {
            "textType": "client-markdown",
            "title": markdown(&format!("{}: {}", severity.title(), words.title)),
            "description": format!(
                "{}\n*When* {}\n*Channel* `{}`\n*Recording* `{}`",
                markdown(&words.what), utc(alert.at), markdown(&cname), alert.sid
            ),
            "nextSteps": words.steps.iter().map(|step| markdown(step)).collect::<Vec<_>>(),
            "keywords": [severity.as_str(), kind],
        },
        "metadata": {
            "threadId": alert.sid,
            "summary": markdown(&format!("{} in channel {cname}", words.title)),
            "eventType": kind,
            "additionalContext": context(alert),
        },
    })
}

fn context(alert: &Alert) -> Value {
    let mut context = serde_json::Map::new();
    for (name, value) in [
        ("alertId", alert.id()),
        ("kind", alert.kind.as_str().to_owned()),
        ("severity", alert.kind.severity().as_str().to_owned()),
        ("sid", alert.sid.clone()),
        ("cname", cname(alert)),
        ("uid", clean(&alert.uid, MAX_UID)),
        ("sequence", alert.sequence.to_string()),
        ("eventType", alert.event_type.to_string()),
        ("at", alert.at.to_string()),
    ] {
        context.insert(name.to_owned(), Value::String(value));
    }
    for (name, value) in &alert.codes {
        context
            .entry(name.clone())
            .or_insert_with(|| Value::String(value.clone()));
    }
    Value::Object(context)
}

/// What filter policies can ask for.
fn attributes(alert: &Alert) -> Vec<(&'static str, String)> {
    let code = alert.codes.get("errorCode");
    let mut attributes = vec![
        ("kind", alert.kind.as_str().to_owned()),
        ("severity", alert.kind.severity().as_str().to_owned()),
        ("eventType", alert.event_type.to_string()),
    ];
    attributes.extend(code.map(|code| ("errorCode", code.clone())));
    attributes
}

/// Text inside chat markdown: no mention, link or code span can begin or end in it.
fn markdown(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('`', "'")
}
