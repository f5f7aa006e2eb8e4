//! The log: one JSON line an invocation, which is its metrics, too.
//!
//! The line is in CloudWatch's embedded metric format: CloudWatch reads the metrics off it, and a person or a query the rest. Only
//! what isn't zero is named, because log bytes are what a heartbeat pays for after its write. The one dimension is the
//! function's name: what has many values, a `sid` above all, is a field and never a dimension. There are crates for the format
//! (metrique); with their queues and macros they are more than the few derived structs that one line an invocation needs.
//!
//! `LOG_LEVEL` drops the fields of lines below it, never the metrics. Lambda has a filter of its own,
//! `AWS_LAMBDA_LOG_LEVEL`, which drops whole lines, and takes a line without a level or a timestamp
//! for `INFO`: so every line has both, and a line of metrics alone has a level that this filter lets
//! through. With `AWS_LAMBDA_LOG_FORMAT` `Text` the fields are a line of text and the metrics a line
//! of JSON beside it.

use serde::Serialize;
use std::collections::BTreeMap;

/// The namespace of all metrics.
pub const NAMESPACE: &str = "AgoraRecordings";

/// How loud a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// All is well.
    Info,
    /// Somebody may want to look.
    Warn,
    /// Something failed.
    Error,
    /// Nothing below this is ever written by this program.
    Fatal,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }

    /// Reads a level; `None` for a word that isn't one of the four.
    #[must_use]
    pub fn read(word: &str) -> Option<Self> {
        match word.trim().to_ascii_uppercase().as_str() {
            "INFO" => Some(Self::Info),
            "WARN" => Some(Self::Warn),
            "ERROR" => Some(Self::Error),
            "FATAL" => Some(Self::Fatal),
            _ => None,
        }
    }
}

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A JSON object a line.
    Json,
    /// Text for the fields, JSON for the metrics.
    Text,
}

/// Everything that is counted or measured, under its name in CloudWatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Metric {
    /// A request with an authentic body, or one that could be.
    Received,
    /// A callback stored, and the newest of its session.
    Stored,
    /// A callback that was stored already.
    Duplicate,
    /// A callback stored after newer ones.
    Late,
    /// An authentic body that can't be read.
    Quarantined,
    /// A callback of an event type that isn't documented.
    UnknownEventType,
    /// A wrong signature, or none.
    SignatureInvalid,
    /// Authentic, but too old or from the future.
    Stale,
    /// Not stored: the sender was told to come again.
    NotStored,
    /// A known number with a new fact.
    SequenceConflicts,
    /// Tries lost to another writer of the same session.
    WriteConflicts,
    /// Alerts published.
    AlertsPublished,
    /// Alerts that couldn't be published and stay pending.
    AlertsDeferred,
    /// Alerts that were tried for a day and given up.
    AlertsFailed,
    /// The age of the oldest alert that is due and isn't sent.
    OldestPendingAlert,
    /// Callbacks that never came, of sessions that are over.
    MissingSequences,
    /// Sweeps that came to an end.
    Sweeps,
    /// Sessions that the watchdog looked at.
    SessionsLooked,
    /// Alerts that the watchdog raised or took back.
    WatchdogFound,
    /// Items that the sweeper can't read.
    UnreadableItems,
    /// Requests to the table that failed in a sweep.
    TableErrors,
    /// How long an invocation took.
    HandlerTime,
    /// The first invocation of a process.
    ColdStarts,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 23] = [
        Self::Received,
        Self::Stored,
        Self::Duplicate,
        Self::Late,
        Self::Quarantined,
        Self::UnknownEventType,
        Self::SignatureInvalid,
        Self::Stale,
        Self::NotStored,
        Self::SequenceConflicts,
        Self::WriteConflicts,
        Self::AlertsPublished,
        Self::AlertsDeferred,
        Self::AlertsFailed,
        Self::OldestPendingAlert,
        Self::MissingSequences,
        Self::Sweeps,
        Self::SessionsLooked,
        Self::WatchdogFound,
        Self::UnreadableItems,
        Self::TableErrors,
        Self::HandlerTime,
        Self::ColdStarts,
    ];

    fn unit(self) -> &'static str {
        if matches!(self, Self::HandlerTime | Self::OldestPendingAlert) {
            "Milliseconds"
        } else {
            "Count"
        }
    }
}

/// What is written, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// `LOG_LEVEL`, or Lambda's own level where that is higher: below it only metrics are written.
    pub level: Level,
    /// `AWS_LAMBDA_LOG_LEVEL`: Lambda drops every line below it.
    pub lambda_level: Level,
    /// `AWS_LAMBDA_LOG_FORMAT`.
    pub format: Format,
    /// `LOG_DETAIL`: whether channel, recorder and details are in it.
    pub detail: bool,
    /// `AWS_LAMBDA_FUNCTION_NAME`: the dimension of the metrics.
    pub function_name: String,
}

/// A line: what is `None` isn't in it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a, F> {
    level: &'static str,
    /// RFC 3339: without a valid one Lambda doesn't read the level.
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
    request_id: &'a str,
    #[serde(flatten)]
    fields: Option<&'a F>,
    #[serde(flatten)]
    metrics: Option<Embedded<'a>>,
}

/// Metrics, and what tells CloudWatch which fields of the line they are.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Embedded<'a> {
    #[serde(rename = "_aws")]
    directive: Directive,
    function_name: &'a str,
    #[serde(flatten)]
    values: BTreeMap<Metric, u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive {
    timestamp: u64,
    cloud_watch_metrics: [Set; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Set {
    namespace: &'static str,
    dimensions: [[&'static str; 1]; 1],
    metrics: Vec<Definition>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    name: Metric,
    unit: &'static str,
}

impl Log {
    /// Writes a line with `fields`, and the `metrics` that aren't 0, at `now_ms`.
    pub fn line(
        &self,
        (level, message): (Level, &'static str),
        request_id: &str,
        now_ms: u64,
        fields: &impl Serialize,
        metrics: &[(Metric, u64)],
    ) {
        let is_loud = level >= self.level;
        if is_loud && self.format == Format::Text {
            eprintln!("{}", text(level, message, request_id, fields));
        }
        let fields = Some(fields).filter(|_| is_loud && self.format == Format::Json);
        let metrics = self.embedded(now_ms, metrics);
        if fields.is_none() && metrics.is_none() {
            return;
        }
        let line = Line {
            level: fields.map_or(self.lambda_level, |_| level).as_str(),
            timestamp: rfc_3339(now_ms),
            message: fields.map(|_| message),
            request_id,
            fields,
            metrics,
        };
        if let Ok(mut line) = serde_json::to_string(&line) {
            // In one write: stderr has no buffer.
            line.push('\n');
            eprint!("{line}");
        }
    }

    fn embedded(&self, now_ms: u64, metrics: &[(Metric, u64)]) -> Option<Embedded<'_>> {
        let values: BTreeMap<_, _> = metrics
            .iter()
            .copied()
            .filter(|(_, value)| *value > 0)
            .collect();
        let definitions = values.keys().map(|metric| Definition {
            name: *metric,
            unit: metric.unit(),
        });
        let set = Set {
            namespace: NAMESPACE,
            dimensions: [["FunctionName"]],
            metrics: definitions.collect(),
        };
        (!values.is_empty()).then_some(Embedded {
            directive: Directive {
                timestamp: now_ms,
                cloud_watch_metrics: [set],
            },
            function_name: &self.function_name,
            values,
        })
    }
}

/// `2026-03-02T14:00:05.123Z`.
fn rfc_3339(ms: u64) -> String {
    let time = i64::try_from(ms)
        .ok()
        .map(jiff::Timestamp::from_millisecond);
    time.and_then(Result::ok).unwrap_or_default().to_string()
}

/// `INFO callback requestId=… outcome="stored" …`
fn text(level: Level, message: &str, request_id: &str, fields: &impl Serialize) -> String {
    let mut text = format!("{} {message} requestId={request_id}", level.as_str());
    if let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(fields) {
        for (name, value) in fields {
            text.push_str(&format!(" {name}={value}"));
        }
    }
    text
}
