//! The log: one JSON line an invocation, which carries its metrics, too; a sweep has a line more
//! for each problem. Knows the names of the metrics, not what makes them count.
//!
//! The line is in CloudWatch's embedded metric format: CloudWatch reads the metrics off it, and a
//! person or a query the rest. Counts of 0 are left out, because log bytes are a heartbeat's
//! second cost. The one dimension is the function's name: what has many values, a
//! `sid` above all, is a field and never a dimension. There are crates for the format (metrique);
//! with their queues and macros they are more than the few derived structs that one line an
//! invocation needs.
//!
//! `LOG_LEVEL` drops the fields of lines below it, never the metrics. Lambda has a filter of its
//! own, `AWS_LAMBDA_LOG_LEVEL`, which drops whole lines, and takes a line without a level or a
//! timestamp for `INFO`: so every line has both, and a line of metrics alone has a level that this
//! filter lets through. With `AWS_LAMBDA_LOG_FORMAT` `Text` the fields are a line of text and the
//! metrics a line of JSON beside it.

use crate::named::named;
use serde::{Serialize, Serializer};
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
    /// Never written; as a threshold it silences every line.
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

named! {
    /// Everything that is counted or measured, under its name in CloudWatch.
    pub enum Metric {
        /// A callback stored, and the newest of its session.
        Stored = "Stored",
        /// A callback that was stored already.
        Duplicate = "Duplicate",
        /// A callback stored after newer ones.
        Late = "Late",
        /// An authentic body that isn't stored as a callback and is kept in quarantine.
        Quarantined = "Quarantined",
        /// A callback of an event type that isn't documented.
        UnknownEventType = "UnknownEventType",
        /// A wrong signature, or none.
        SignatureInvalid = "SignatureInvalid",
        /// Authentic, but sent longer ago than `MAX_CALLBACK_AGE_HOURS`: kept in quarantine.
        Stale = "Stale",
        /// Authentic, but too large for an item even compressed: quarantine has its beginning.
        Cut = "Cut",
        /// A callback whose sender's clock is more than five minutes ahead.
        ClockAhead = "ClockAhead",
        /// A body too large to be looked at: without a signature header, or over what Lambda takes.
        TooLarge = "TooLarge",
        /// Not stored: the sender was asked to come again.
        NotStored = "NotStored",
        /// A known number with a new fact.
        SequenceConflicts = "SequenceConflicts",
        /// Tries lost to another writer of the same session.
        WriteConflicts = "WriteConflicts",
        /// Alerts published.
        AlertsPublished = "AlertsPublished",
        /// Alerts that a topic couldn't be told of and that stay pending.
        AlertsDeferred = "AlertsDeferred",
        /// Alerts that a topic wasn't told of for a day and that are given up.
        AlertsFailed = "AlertsFailed",
        /// Alerts that couldn't be written down: nobody is told, and the callback comes again.
        AlertsUnwritten = "AlertsUnwritten",
        /// The age of the oldest alert that is due and that a topic wasn't told of.
        OldestPendingAlert = "OldestPendingAlert",
        /// Events that the bus took.
        NoticesSent = "NoticesSent",
        /// Alerts and notices that the bus still has to get.
        NoticesDeferred = "NoticesDeferred",
        /// Alerts and notices that the bus didn't get for a day and that are given up.
        NoticesFailed = "NoticesFailed",
        /// How late the sessions are that waited longest for a check.
        SweepLag = "SweepLag",
        /// Callbacks that never came, of sessions that are over.
        MissingSequences = "MissingSequences",
        /// Confirmed subscriptions of the topics, asked for once an hour.
        Subscribers = "Subscribers",
        /// Subscriptions that nobody has confirmed, or that SNS has suspended.
        SubscribersPending = "SubscribersPending",
        /// Sweeps that came to an end.
        Sweeps = "Sweeps",
        /// Sessions that the watchdog looked at.
        SessionsLooked = "SessionsLooked",
        /// Sessions whose newest heartbeat came within the last minute. `Stored` doesn't count
        /// heartbeats where they have no line.
        SessionsHeard = "SessionsHeard",
        /// Alerts that the watchdog raised or took back.
        WatchdogFound = "WatchdogFound",
        /// Items that the sweeper can't read.
        UnreadableItems = "UnreadableItems",
        /// Requests to the table that failed in a sweep.
        TableErrors = "TableErrors",
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Metric {
    /// True for what an alarm counts runs in a row of, and where 0 is the trouble; any other 0
    /// isn't worth its bytes.
    fn is_kept_when_zero(self) -> bool {
        matches!(self, Self::SweepLag | Self::TableErrors | Self::Subscribers)
    }

    fn unit(self) -> &'static str {
        if matches!(self, Self::OldestPendingAlert | Self::SweepLag) {
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
    /// `LOG_HEARTBEATS`: whether a heartbeat that was simply stored has a line.
    pub heartbeats: bool,
    /// `AWS_LAMBDA_FUNCTION_NAME`: the dimension of the metrics.
    pub function_name: String,
}

/// What is written in one line.
#[derive(Debug)]
pub struct Entry<'a, F> {
    /// How loud it is.
    pub level: Level,
    /// What it says on its own.
    pub message: &'a str,
    /// The invocation.
    pub request_id: &'a str,
    /// When, in ms since the epoch.
    pub now_ms: u64,
    /// What is written beside the message.
    pub fields: &'a F,
    /// What is counted and measured.
    pub metrics: &'a [(Metric, u64)],
}

/// A line: what is `None` isn't in it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a, F> {
    level: &'static str,
    /// RFC 3339: without a valid one Lambda doesn't read the level.
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    request_id: &'a str,
    #[serde(flatten)]
    fields: Option<&'a F>,
    #[serde(flatten)]
    metrics: Option<Embedded<'a>>,
}

/// Metrics, and the directive by which CloudWatch finds them among the fields.
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
    /// Writes an entry, with the metrics that count.
    pub fn write<F: Serialize>(&self, entry: Entry<'_, F>) {
        let Entry {
            level,
            message,
            request_id,
            now_ms,
            fields,
            metrics,
        } = entry;
        let is_enabled = level >= self.level;
        if is_enabled && self.format == Format::Text {
            eprintln!("{}", text(level, message, request_id, fields));
        }
        let fields = Some(fields).filter(|_| is_enabled && self.format == Format::Json);
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
            .filter(|(metric, value)| *value > 0 || metric.is_kept_when_zero())
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
