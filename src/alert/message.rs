//! An alert's message: a text for each protocol, and JSON for machines. Pure.
//!
//! Texts from outside stand only behind a label of ours, so that no line of the email can be
//! mistaken for ours. The JSON follows the custom-notification schema of Amazon Q Developer in chat
//! applications, so that Slack and Teams need no glue.

use super::detail::{Members, detail};
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
    let (sid, when) = (&alert.sid, utc(alert.at));
    let cname = clean(&alert.cname, MAX_CNAME);
    let page = links.recording(sid);
    let chat_page = page
        .as_ref()
        .map_or_else(String::new, |page| format!("\n*Page* {page}"));
    let link = match page {
        Some(_) => String::new(),
        None => format!("recordings link {sid}\n"),
    };
    // What is taken back stands under what was raised.
    let is_own = incident.id == alert.incident();
    let codes = alert.codes.iter();
    let parts = Parts {
        subject: format!("{} in channel {cname}", words.title),
        sms: format!("{when}, sid {sid}, channel {cname}"),
        facts: facts(alert, &words, &cname),
        commands: format!("{link}recordings show {sid}\n"),
        description: format!(
            "{}\n*When* {when}\n*Channel* `{}`\n*Recording* `{sid}`{chat_page}",
            markdown(&words.what),
            markdown(&cname)
        ),
        thread: if is_own { sid } else { &incident.id }.clone(),
        page,
        more: codes
            .map(|(name, code)| (name.as_str(), code.clone()))
            .collect(),
    };
    render(alert, &words, incident, links, parts, None)
}

/// What a message about one alert and one about many say each in its own way.
pub(super) struct Parts {
    /// What the subject says after the severity.
    pub(super) subject: String,
    /// What an SMS says after the title.
    pub(super) sms: String,
    /// The lines of an email that say what happened.
    pub(super) facts: String,
    /// The lines at its end that name commands.
    pub(super) commands: String,
    /// What a chat shows.
    pub(super) description: String,
    /// What a chat shows it under.
    pub(super) thread: String,
    /// Where it leads to.
    pub(super) page: Option<String>,
    /// What programs are told besides.
    pub(super) more: Vec<(&'static str, String)>,
}

/// Makes a message, so that programs read one about one alert and one about many alike.
pub(super) fn render(
    alert: &Alert,
    words: &Words,
    incident: &Incident,
    links: &Links,
    parts: Parts,
    members: Option<&Members<'_>>,
) -> Message {
    let (severity, kind) = (alert.kind.severity(), alert.kind.as_str());
    let upper = severity.as_str().to_uppercase();
    let subject = format!("[{upper}] {}", parts.subject);
    let sms = format!("{upper} {}, {}", words.title, parts.sms);
    let chat_steps = words.steps.iter().map(|step| markdown(step));
    Message {
        subject: ascii(&subject, MAX_SUBJECT),
        email: email(alert, words, links, &parts),
        sms: sms_with(&sms, parts.page.clone()),
        default: json!({
            "version": "1.0",
            "source": "custom",
            "content": {
                "textType": "client-markdown",
                "title": markdown(&format!("{}: {}", severity.title(), words.title)),
                "description": parts.description,
                "nextSteps": chat_steps.collect::<Vec<_>>(),
                "keywords": [severity.as_str(), kind],
            },
            "metadata": {
                "threadId": parts.thread,
                "summary": markdown(&parts.subject),
                "eventType": kind,
                "additionalContext": context(alert, incident, links, parts.page, parts.more),
            },
        }),
        detail: detail(alert, words, incident, links, members),
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

/// An SMS, which ends with a link where there is one that leaves room for words.
fn sms_with(text: &str, link: Option<String>) -> String {
    let link = link.and_then(|link| Some((sms_words(&link, MAX_SMS)?, link)));
    match link {
        Some((room, link)) => format!("{} {link}", ascii(text, room)),
        None => ascii(text, MAX_SMS),
    }
}

fn facts(alert: &Alert, words: &Words, cname: &str) -> String {
    let callback = format!("number {}, event {}", alert.sequence, alert.event_type);
    let facts = [
        ("What happened", words.what.as_str()),
        ("When", &utc(alert.at)),
        ("Channel", cname),
        ("Recording", &alert.sid),
        ("Recorder uid", &clean(&alert.uid, MAX_UID)),
        ("Callback", &callback),
        (
            "Agora's text",
            alert.code(CodeName::ErrorMsg).unwrap_or_default(),
        ),
    ];
    let facts = facts.into_iter().filter(|(_, value)| !value.is_empty());
    facts
        .map(|(label, value)| format!("{label:<14}: {value}\n"))
        .collect()
}

fn email(alert: &Alert, words: &Words, links: &Links, parts: &Parts) -> String {
    let severity = alert.kind.severity().as_str();
    let mut email = format!("{} ({severity})\n\n{}", words.title, parts.facts);
    email.push_str("\nWhat to do now\n");
    for (number, step) in (1..).zip(&words.steps) {
        email.push_str(&format!("{number}. {step}\n"));
    }
    email.push_str(&format!(
        "\nAlert id: {}. You may receive this alert twice; its id never changes.\n\n",
        alert.id()
    ));
    if let Some(page) = &parts.page {
        email.push_str(&format!("{page}\n"));
    }
    email.push_str(&parts.commands);
    if let Some(runbook) = &links.runbook {
        email.push_str(&format!("{runbook}\n"));
    }
    email
}

/// What programs decide on.
fn context(
    alert: &Alert,
    incident: &Incident,
    links: &Links,
    page: Option<String>,
    more: Vec<(&'static str, String)>,
) -> Value {
    let own = [
        ("alertId", alert.id().to_string()),
        ("incident", incident.id.clone()),
        ("action", incident.action.as_str().to_owned()),
        ("kind", alert.kind.as_str().to_owned()),
        ("severity", alert.kind.severity().as_str().to_owned()),
        ("sid", alert.sid.clone()),
        ("cname", clean(&alert.cname, MAX_CNAME)),
        ("uid", clean(&alert.uid, MAX_UID)),
        ("sequence", alert.sequence.to_string()),
        ("eventType", alert.event_type.to_string()),
        ("at", alert.at.to_string()),
    ];
    let view = page.map(|url| ("viewUrl", url));
    let runbook = links.runbook.clone().map(|url| ("runbookUrl", url));
    // Later ones win: nothing that Agora said takes the place of what is ours.
    let all = more.into_iter().chain(own).chain(view).chain(runbook);
    all.map(|(name, value)| (name.to_owned(), Value::String(value)))
        .collect()
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
