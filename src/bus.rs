//! The bus: puts an event on EventBridge. The only place that knows EventBridge.

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::config::Builder;
use aws_sdk_eventbridge::types::{PutEventsRequestEntry, PutEventsResultEntry};
use serde_json::Value;
use std::error::Error;
use std::sync::OnceLock;

/// The `source` of our events.
pub const SOURCE: &str = "agora-recording-callbacks";
/// Error codes that reject the event itself.
const REFUSALS: [&str; 3] = ["InvalidArgument", "MalformedDetail", "ValidationException"];

/// Events that one request takes.
pub const MAX_ENTRIES: usize = 10;

/// Why an event isn't on the bus, or perhaps is: an answer can be lost. It is put again.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// EventBridge rejects it for its content; a retry won't help, and others may well go through.
    #[error("PutEvents refused the event")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
    /// EventBridge can't be reached, or fails.
    #[error("PutEvents failed")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

/// An event.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// What it is about.
    pub detail_type: &'static str,
    /// What it says.
    pub detail: &'a Value,
}

/// The bus.
#[derive(Debug)]
pub struct Bus {
    config: Builder,
    /// Made for the first event: most processes never see one.
    client: OnceLock<Client>,
    name: String,
}

impl Bus {
    /// A bus by its name or ARN.
    #[must_use]
    pub fn new(config: Builder, name: String) -> Self {
        Self {
            config,
            client: OnceLock::new(),
            name,
        }
    }

    /// Puts an event on the bus, and returns the id that the bus gave it.
    ///
    /// # Errors
    /// [`PutError`]. The request may succeed and its one entry fail.
    pub async fn put(&self, detail_type: &'static str, detail: &Value) -> Result<String, PutError> {
        let entry = Entry {
            detail_type,
            detail,
        };
        let put = self.put_all(&[entry]).await?.pop();
        put.unwrap_or_else(|| Err(PutError::Failed("there was no answer".into())))
    }

    /// Puts at most [`MAX_ENTRIES`] events on the bus in one request, and tells of each how that
    /// went.
    ///
    /// # Errors
    /// [`PutError`]: the request failed, and none of them may be there.
    pub async fn put_all(
        &self,
        entries: &[Entry<'_>],
    ) -> Result<Vec<Result<String, PutError>>, PutError> {
        let client = self
            .client
            .get_or_init(|| Client::from_conf(self.config.clone().build()));
        let entries = entries.iter().map(|entry| {
            PutEventsRequestEntry::builder()
                .event_bus_name(&self.name)
                .source(SOURCE)
                .detail_type(entry.detail_type)
                .detail(entry.detail.to_string())
                .build()
        });
        let put = client
            .put_events()
            .set_entries(Some(entries.collect()))
            .send()
            .await
            .map_err(|error| PutError::Failed(Box::new(error)))?;
        Ok(put.entries.into_iter().flatten().map(result).collect())
    }
}

/// How an entry went.
fn result(entry: PutEventsResultEntry) -> Result<String, PutError> {
    if let Some(id) = entry.event_id {
        return Ok(id);
    }
    let code = entry.error_code.unwrap_or_default();
    let is_refused = REFUSALS.contains(&code.as_str());
    let error = format!("{code}: {}", entry.error_message.unwrap_or_default()).into();
    Err(if is_refused {
        PutError::Refused(error)
    } else {
        PutError::Failed(error)
    })
}
