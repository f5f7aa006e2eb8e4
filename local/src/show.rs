//! The row of a sample session for a person, read from the table, and its comparison with the
//! sample.

use crate::World;
use agora_recording_callbacks::alert::Progress;
use agora_recording_callbacks::notification::Sid;
use agora_recording_callbacks::report;
use agora_recording_callbacks::session::Range;
use agora_recording_callbacks::store::{Item, Store, read_alert};
use aws_sdk_dynamodb::types::AttributeValue;
use comfy_table::{Table, presets};
use std::net::SocketAddr;
use testkit::bus::Event;
use testkit::engine::AnyError;
use testkit::plain::stable;
use testkit::{SampleSession, sign};

/// A session's row, and what it is compared by.
pub(crate) struct Row {
    /// What `recordings list` says about it.
    told: report::Row,
    phase: &'static str,
    recorders: usize,
    callbacks: usize,
    missing: Vec<Range>,
    alerts: Vec<String>,
    sent: usize,
    published: usize,
    /// The items without the attributes that depend on the time of writing.
    pub(crate) items: Vec<serde_json::Value>,
}

impl Row {
    pub(crate) async fn read(
        world: &World,
        sample: &SampleSession,
        table: &str,
        topic: &str,
    ) -> Result<Self, AnyError> {
        let first = sample.ordered.lines().next().unwrap_or_default();
        let callback: serde_json::Value = serde_json::from_str(first)?;
        let sid = Sid::new(callback["payload"]["sid"].as_str().unwrap_or_default())
            .ok_or("a sample without a sid")?;
        let store = Store::new(world.dynamodb.config().to_builder(), table.to_owned(), 1);
        let mut sessions = store.sessions(std::slice::from_ref(&sid)).await?;
        let stored = sessions.pop().ok_or("a session that isn't there")?;
        let session = stored.watched.session.clone();
        let told = report::Row::of(stored, &world.rules);
        let missing = match session.current() {
            Some(recorder) => store.missing(&sid, recorder).await?,
            None => Vec::new(),
        };
        let items = world
            .dynamodb
            .query()
            .table_name(table)
            .key_condition_expression("sid = :sid")
            .expression_attribute_values(":sid", AttributeValue::S(sid.as_str().to_owned()))
            .send()
            .await?
            .items
            .unwrap_or_default();
        let of = |prefix: &str| {
            items
                .iter()
                .filter(|item| text(item, "item").starts_with(prefix))
                .collect::<Vec<_>>()
        };
        let mut alerts: Vec<_> = of("alert#")
            .iter()
            .map(|alert| text(alert, "kind"))
            .collect();
        alerts.sort();
        let sent = of("alert#").iter().filter(|alert| is_sent(alert)).count();
        let published = world
            .sns
            .published()
            .iter()
            .filter(|alert| {
                alert.topic_arn == topic && alert.default["metadata"]["threadId"] == sid.as_str()
            })
            .count();
        // What a notice had to say depends on what had come by then.
        let compared = items
            .iter()
            .filter(|item| !text(item, "item").starts_with("notice#"));
        Ok(Self {
            told,
            phase: session.phase().map_or("-", |phase| phase.value.as_str()),
            recorders: session.recorders.len(),
            callbacks: of("event#").len(),
            missing,
            alerts,
            sent,
            published,
            items: compared.map(stable).collect(),
        })
    }

    /// The differences from the sample. In a table that was kept, the alerts were sent when it was
    /// new.
    pub(crate) fn problems(&self, sample: &SampleSession, is_new: bool) -> Vec<String> {
        let mut problems = Vec::new();
        let mut expect = |what: &str, is: String, should_be: String| {
            if is != should_be {
                problems.push(format!("{what} is {is}, should be {should_be}"));
            }
        };
        expect("the phase", self.phase.to_owned(), sample.phase.to_owned());
        expect(
            "missing",
            format!("{:?}", self.missing),
            format!("{:?}", sample.missing),
        );
        expect(
            "the alerts",
            format!("{:?}", self.alerts),
            format!("{:?}", sample.alerts),
        );
        expect(
            "the number of alerts marked sent",
            self.sent.to_string(),
            sample.alerts.len().to_string(),
        );
        if is_new {
            expect(
                "the number of alerts published",
                self.published.to_string(),
                sample.alerts.len().to_string(),
            );
        }
        problems
    }
}

/// The sessions as a table.
pub(crate) fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header([
        "channel",
        "sid",
        "state",
        "progress",
        "files",
        "facts",
        "missing callbacks",
        "alerts",
    ]);
    for row in rows {
        let recorders = if row.recorders > 1 {
            format!(", {} recorders", row.recorders)
        } else {
            String::new()
        };
        table.add_row([
            row.told.cname.clone(),
            row.told.sid.to_string(),
            format!("{}{recorders}", row.told.state),
            row.told.progress.clone(),
            row.told.files.to_owned(),
            row.callbacks.to_string(),
            ranges(&row.missing),
            if row.alerts.is_empty() {
                "none".to_owned()
            } else {
                row.alerts.join("\n")
            },
        ]);
    }
    table
}

fn ranges(missing: &[Range]) -> String {
    let range = |(from, to): &Range| {
        if from == to {
            from.to_string()
        } else {
            format!("{from} to {to}")
        }
    };
    if missing.is_empty() {
        "none".to_owned()
    } else {
        missing.iter().map(range).collect::<Vec<_>>().join(", ")
    }
}

/// True if every destination was told.
fn is_sent(alert: &Item) -> bool {
    let stored = read_alert(alert);
    stored.is_some_and(|stored| matches!(stored.outgoing.progress(), Progress::Told(_)))
}

fn text(item: &Item, name: &str) -> String {
    item.get(name)
        .and_then(|value| value.as_s().ok())
        .cloned()
        .unwrap_or_default()
}

/// A command that sends one callback to the door.
pub(crate) fn curl(door: &SocketAddr) -> String {
    let body = r#"{"productId":3,"eventType":33,"payload":{"cname":"demo","uid":"1","sid":"demo","sequence":0,"sendts":1772460000000,"details":{"progress":5000}}}"#;
    let signature = sign::v2(sign::LOCAL_SECRET, body.as_bytes());
    format!(
        "curl http://{door}/ -H 'Content-Type: application/json' -H 'Agora-Signature-V2: \
         {signature}' -d '{body}'"
    )
}

pub(crate) fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

/// What a program is told, in a line.
pub(crate) fn notice(event: &Event) -> String {
    let detail = &event.detail;
    let word = |name: &str| detail[name].as_str().unwrap_or_default().to_owned();
    let more = match event.detail_type.as_str() {
        "Recording Files Ready" => {
            let files = detail["files"].as_array().map_or(0, Vec::len);
            let playback = detail["playback"]["key"].as_str().unwrap_or("nothing");
            format!("{}: {files} files, to play: {playback}", word("upload"))
        }
        "Recording Ended" => word("outcome"),
        "Recording Alert" => format!("{} {}", word("action"), word("title")),
        _ => String::new(),
    };
    format!("{} {} {more}", event.detail_type, word("sid"))
}
