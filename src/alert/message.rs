//! An alert's message: a text for each protocol, and JSON for machines. Pure.
//!
//! Texts from outside stand only behind a label of ours, so that no line of the email can be
//! mistaken for ours. The JSON follows the custom-notification schema of Amazon Q Developer in chat
//! applications, so that Slack and Teams need no glue.

use super::detail::detail;
use super::links::{Links, sms_words};
use super::words::{Words, in_words};
use super::{Alert, AlertKind, Severity};
use crate::event::CodeName;
use crate::text::{ascii, clean, utc};
use serde_json::{Value, json};

pub(super) const MAX_CNAME: usize = 128;
const MAX_UID: usize = 64;
/// SNS refuses a subject of 100 characters or more.
pub(super) const MAX_SUBJECT: usize = 99;
/// One SMS of the characters every phone knows; with a link, two.
pub(super) const MAX_SMS: usize = 140;

/// What is published: a subject, a text for each protocol, and attributes for filter policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Printable ASCII, less than 100 characters.
    pub subject: String,
    /// What a person reads.
    pub email: String,
    /// At most 140 characters of printable ASCII, or 300 with a link.
    pub sms: String,
    /// What every other protocol gets: one JSON object.
    pub default: Value,
    /// What the bus gets.
    pub detail: Value,
    /// Message attributes, all strings.
    pub attributes: Vec<(&'static str, String)>,
}

/// What a program that follows incidents, such as a pager, does with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It opens the incident.
    Trigger,
    /// The incident goes on: a part of it is over.
    Update,
    /// It closes the incident.
    Resolve,
}

impl Action {
    /// The word in the message.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trigger => "trigger",
            Self::Update => "update",
            Self::Resolve => "resolve",
        }
    }

    fn of(kind: AlertKind) -> Self {
        if kind.alarm() == kind {
            Self::Trigger
        } else {
            Self::Resolve
        }
    }
}

/// What a pager follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// Its name: the same in all messages about it.
    pub id: String,
    /// What happens to it.
    pub action: Action,
}

impl Incident {
    /// The incident of one alert, which nothing else is about but what takes the alert back.
    #[must_use]
    pub fn of(alert: &Alert) -> Self {
        Self {
            id: alert.incident(),
            action: Action::of(alert.kind),
        }
    }
}

/// Makes the message of an alert, which is about `incident`: its own, or that of the digest in
/// which what it takes back was sent.
#[must_use]
pub fn message(alert: &Alert, incident: &Incident, links: &Links) -> Message {
    let words = in_words(alert);
    Message {
        subject: subject(alert, &words),
        email: email(alert, &words, links),
        sms: sms(alert, &words, links),
        default: card(alert, &words, incident, links),
        detail: detail(alert, &words, incident, links, None),
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

fn sms(alert: &Alert, words: &Words, links: &Links) -> String {
    let text = format!(
        "{} {}, {}, sid {}, channel {}",
        severity_upper(alert),
        words.title,
        utc(alert.at),
        alert.sid,
        cname(alert)
    );
    sms_with(&text, links.recording(&alert.sid))
}

/// An SMS, which ends with a link where there is one that leaves room for words.
pub(super) fn sms_with(text: &str, link: Option<String>) -> String {
    let link = link.and_then(|link| Some((sms_words(&link, MAX_SMS)?, link)));
    match link {
        Some((room, link)) => format!("{} {link}", ascii(text, room)),
        None => ascii(text, MAX_SMS),
    }
}

fn email(alert: &Alert, words: &Words, links: &Links) -> String {
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
            alert.code(CodeName::ErrorMsg).unwrap_or_default(),
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
    email.push('\n');
    match links.recording(&alert.sid) {
        Some(page) => email.push_str(&format!("{page}\n")),
        None => email.push_str(&format!("recordings link {}\n", alert.sid)),
    }
    email.push_str(&format!("recordings show {}\n", alert.sid));
    if let Some(runbook) = &links.runbook {
        email.push_str(&format!("{runbook}\n"));
    }
    email
}

/// What chats show, and what programs decide on.
fn card(alert: &Alert, words: &Words, incident: &Incident, links: &Links) -> Value {
    let severity = alert.kind.severity();
    let kind = alert.kind.as_str();
    let cname = cname(alert);
    // What is taken back stands under what was raised.
    let thread = if incident.id == alert.incident() {
        &alert.sid
    } else {
        &incident.id
    };
    let page = links.recording(&alert.sid);
    let page = page.map_or_else(String::new, |page| format!("\n*Page* {page}"));
    json!({
        "version": "1.0",
        "source": "custom",
        "content": {
            "textType": "client-markdown",
            "title": markdown(&format!("{}: {}", severity.title(), words.title)),
            "description": format!(
                "{}\n*When* {}\n*Channel* `{}`\n*Recording* `{}`{page}",
                markdown(&words.what), utc(alert.at), markdown(&cname), alert.sid
            ),
            "nextSteps": words.steps.iter().map(|step| markdown(step)).collect::<Vec<_>>(),
            "keywords": [severity.as_str(), kind],
        },
        "metadata": {
            "threadId": thread,
            "summary": markdown(&format!("{} in channel {cname}", words.title)),
            "eventType": kind,
            "additionalContext": context(alert, incident, links),
        },
    })
}

fn context(alert: &Alert, incident: &Incident, links: &Links) -> Value {
    let mut context = serde_json::Map::new();
    let view = links.recording(&alert.sid).map(|url| ("viewUrl", url));
    let runbook = links.runbook.clone().map(|url| ("runbookUrl", url));
    let own = [
        ("alertId", alert.id().to_string()),
        ("incident", incident.id.clone()),
        ("action", incident.action.as_str().to_owned()),
        ("kind", alert.kind.as_str().to_owned()),
        ("severity", alert.kind.severity().as_str().to_owned()),
        ("sid", alert.sid.clone()),
        ("cname", cname(alert)),
        ("uid", clean(&alert.uid, MAX_UID)),
        ("sequence", alert.sequence.to_string()),
        ("eventType", alert.event_type.to_string()),
        ("at", alert.at.to_string()),
    ];
    for (name, value) in own.into_iter().chain(view).chain(runbook) {
        context.insert(name.to_owned(), Value::String(value));
    }
    for (name, value) in &alert.codes {
        context
            .entry(name.as_str().to_owned())
            .or_insert_with(|| Value::String(value.clone()));
    }
    Value::Object(context)
}

/// What filter policies can ask for.
fn attributes(alert: &Alert) -> Vec<(&'static str, String)> {
    let code = alert.code(CodeName::ErrorCode);
    let mut attributes = vec![
        ("kind", alert.kind.as_str().to_owned()),
        ("severity", alert.kind.severity().as_str().to_owned()),
        ("eventType", alert.event_type.to_string()),
    ];
    attributes.extend(code.map(|code| ("errorCode", code.to_owned())));
    attributes
}

/// Text inside chat markdown: no mention, link or code span can begin or end in it.
pub(super) fn markdown(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('`', "'")
}
