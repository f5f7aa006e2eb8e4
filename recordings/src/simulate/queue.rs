//! Compares the events of the bus, read from a queue that a rule fills, with what was sent. Like
//! `verify` it judges by the callbacks that came, and by nothing else.

use super::plan::{Plan, Session};
use super::verify::{files, list};
use crate::outcome::AnyError;
use crate::terminal::say;
use aws_sdk_sqs::Client;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// How long one request waits for messages, in s.
const WAIT_SECS: i32 = 1;
/// Differences that are printed.
const MOST: usize = 20;

/// What programs know of a session.
#[derive(Debug, Default)]
struct Known {
    started: BTreeSet<String>,
    /// The newest `Recording Files Ready`.
    ready: Option<Value>,
}

/// Reads the queue until its events are as they should be, or the patience is over; true if they
/// are. Messages about the plan's sessions are taken out of the queue, others stay.
pub(super) async fn verify(
    sqs: &Client,
    queue_url: &str,
    plan: &Plan,
    patience: Duration,
) -> Result<bool, AnyError> {
    let deadline = Instant::now() + patience;
    let mut known: BTreeMap<String, Known> = BTreeMap::new();
    let ours: BTreeSet<_> = plan.sessions.iter().map(|it| it.sid.as_str()).collect();
    let differences = loop {
        let received = sqs
            .receive_message()
            .queue_url(queue_url)
            .max_number_of_messages(10)
            .wait_time_seconds(WAIT_SECS)
            .send()
            .await?;
        let messages = received.messages.unwrap_or_default();
        for message in &messages {
            let event: Value = serde_json::from_str(message.body().unwrap_or_default())?;
            let sid = event.pointer("/detail/sid").and_then(Value::as_str);
            let sid = sid.unwrap_or_default();
            if !ours.contains(sid) {
                continue;
            }
            known.entry(sid.to_owned()).or_default().learn(&event);
            sqs.delete_message()
                .queue_url(queue_url)
                .set_receipt_handle(message.receipt_handle.clone())
                .send()
                .await?;
        }
        let nothing = Known::default();
        let differences: Vec<_> = plan
            .sessions
            .iter()
            .flat_map(|session| {
                let known = known.get(&session.sid).unwrap_or(&nothing);
                let named = move |it| format!("{} ({}): {it}", session.sid, session.cname);
                differences(session, known).into_iter().map(named)
            })
            .collect();
        if differences.is_empty() && messages.is_empty() || Instant::now() > deadline {
            break differences;
        }
    };
    say!("Not checked: Recording Ended; the sweeper tells it two minutes after the end.");
    if differences.is_empty() {
        say!("Programs were told what was sent: {} sessions.", ours.len());
        return Ok(true);
    }
    for difference in differences.iter().take(MOST) {
        say!("DIFFERENCE {difference}");
    }
    say!("{} differences on the bus.", differences.len());
    Ok(false)
}

impl Known {
    /// Takes in an event. The newer of two about the files counts.
    fn learn(&mut self, event: &Value) {
        let detail = &event["detail"];
        match event["detail-type"].as_str() {
            Some("Recording Started") => {
                let uid = detail["uid"].as_str().unwrap_or_default();
                self.started.insert(uid.to_owned());
            }
            Some("Recording Files Ready") => {
                let revision = |detail: &Value| detail["revision"].as_u64();
                if self
                    .ready
                    .as_ref()
                    .is_none_or(|ready| revision(detail) >= revision(ready))
                {
                    self.ready = Some(detail.clone());
                }
            }
            Some(_) | None => {}
        }
    }
}

fn differences(session: &Session, known: &Known) -> Vec<String> {
    let mut differences = Vec::new();
    let mut expect = |what: &str, sent: String, told: String| {
        if sent != told {
            differences.push(format!(
                "{what}: {sent} by what was sent, {told} on the bus"
            ));
        }
    };
    let started: BTreeSet<_> = session
        .came()
        .filter(|callback| matches!(callback.event_type, 40 | 70))
        .map(|callback| callback.uid.clone())
        .collect();
    expect("started", list(&started), list(&known.started));
    let upload = files(session);
    let is_ready = matches!(upload, "confirmed" | "backup");
    let told = known.ready.as_ref().and_then(|it| it["upload"].as_str());
    if !is_ready {
        // What one recorder confirmed may have been told before another took over.
        return differences;
    }
    expect(
        "files are",
        upload.to_owned(),
        told.unwrap_or("unknown").to_owned(),
    );
    let keys: BTreeSet<_> = session.came().flat_map(|it| named(&it.details)).collect();
    let files = known.ready.as_ref().and_then(|it| it["files"].as_array());
    let told = files
        .into_iter()
        .flatten()
        .filter_map(|it| it["key"].as_str());
    let told: BTreeSet<_> = told.map(str::to_owned).collect();
    expect("files", list(&keys), list(&told));
    differences
}

/// The files that a callback names.
fn named(details: &Value) -> Vec<String> {
    let of_users = details["uids"].as_array().into_iter().flatten();
    let of_users = of_users.flat_map(|user| user["fileList"].as_array().into_iter().flatten());
    let one = details["fileList"].as_str().map(str::to_owned);
    let own = details["fileList"].as_array().into_iter().flatten();
    let keys = own
        .chain(of_users)
        .filter_map(|file| file["fileName"].as_str());
    one.into_iter().chain(keys.map(str::to_owned)).collect()
}
