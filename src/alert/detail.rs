//! An alert as an event on the bus, for programs. Pure.
//!
//! Every field is always there, `null` where there is nothing to say.

use super::words::Words;
use super::{Action, Alert, Incident, Links};
use serde_json::{Map, Value, json};

/// The version of `docs/recording-alert.schema.json`.
const SCHEMA: u64 = 1;

/// The `detail-type` on the bus of every alert by itself.
pub const DETAIL_TYPE: &str = "Recording Alert";
/// The same, of what people are told: in digests, where there are many.
pub const INCIDENT_TYPE: &str = "Recording Incident";

/// What a digest says more.
pub(super) struct Members<'a> {
    /// How many there are.
    pub(super) count: u64,
    /// The recordings of the first of them.
    pub(super) sids: Vec<&'a str>,
}

/// What programs are told; of a digest also whom it is about.
pub(super) fn detail(
    alert: &Alert,
    words: &Words,
    incident: &Incident,
    links: &Links,
    members: Option<&Members<'_>>,
) -> Value {
    let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    // The day under which a digest is stored names no recording.
    let sid = known(&alert.sid).filter(|_| members.is_none());
    let action = incident.action.as_str();
    let mut id = format!("{}/{action}", incident.id);
    if incident.action == Action::Update {
        // There may be many.
        id = format!("{id}/{}", alert.key.hash());
    }
    let codes = alert.codes.iter();
    let codes: Map<_, _> = codes
        .map(|(name, code)| (name.as_str().to_owned(), Value::from(code.as_str())))
        .collect();
    json!({
        "schema": SCHEMA,
        "id": id,
        "sid": sid,
        "cname": known(&alert.cname),
        "uid": known(&alert.uid),
        "at": Some(alert.at).filter(|at| *at > 0),
        // It is about an incident, whatever else has come of the recording.
        "revision": null,
        "kind": alert.kind.as_str(),
        "severity": alert.kind.severity().as_str(),
        "incident": incident.id,
        "action": action,
        "title": words.title,
        "what": words.what,
        "steps": words.steps,
        "codes": codes,
        "viewUrl": match members {
            Some(_) => links.failed(),
            None => links.recording(&alert.sid),
        },
        "runbookUrl": links.runbook,
        "count": members.map(|members| members.count),
        "members": members.map(|members| &members.sids),
        "test": false,
    })
}

/// The event for what follows incidents: `detail`, and as `pager` the body that the Events API v2
/// of `PagerDuty` takes, so that a rule only has to hand it on.
#[must_use]
pub fn incident_detail(detail: &Value) -> Value {
    let mut pager = json!({
        "event_action": detail["action"],
        "dedup_key": detail["incident"],
        "client": "agora-recording-callbacks",
        "payload": {
            "summary": detail["title"],
            "source": "agora-recording-callbacks",
            "severity": detail["severity"],
            "class": detail["kind"],
            "custom_details": {
                "sid": detail["sid"],
                "channel": detail["cname"],
                "what": detail["what"],
                "steps": detail["steps"],
                "codes": detail["codes"],
                "members": detail["members"],
            },
        },
    });
    // A pager refuses an event with an empty link.
    if let (Some(pager), Value::String(url)) = (pager.as_object_mut(), &detail["viewUrl"]) {
        let link = json!([{"href": url, "text": "What happened to the recording"}]);
        pager.insert("links".to_owned(), link);
    }
    let mut incident = detail.clone();
    if let Some(incident) = incident.as_object_mut() {
        // Whoever hears of both has to tell them apart.
        let id = detail["id"].as_str().unwrap_or_default();
        incident.insert("id".to_owned(), format!("incident/{id}").into());
        incident.insert("pager".to_owned(), pager);
    }
    incident
}
