//! The topic: publishes a message to SNS. The only place that knows SNS.

use crate::alert::Message;
use aws_sdk_sns::Client;
use aws_sdk_sns::config::Builder;
use aws_sdk_sns::operation::publish::PublishError as SdkPublishError;
use aws_sdk_sns::types::MessageAttributeValue;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::error::Error;
use std::sync::OnceLock;

/// Why an alert isn't published, or perhaps is: an answer can be lost. It stays pending, and is
/// sent again.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// SNS rejects it for its content; a retry won't help, and others may well go through.
    #[error("Publish was refused")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
    /// SNS can't be reached, or fails.
    #[error("Publish failed")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

/// The topic.
#[derive(Debug)]
pub struct Topic {
    config: Builder,
    /// Made for the first alert: most processes never see one.
    client: OnceLock<Client>,
    arn: String,
}

impl Topic {
    /// A topic by its ARN.
    #[must_use]
    pub fn new(config: Builder, arn: String) -> Self {
        Self {
            config,
            client: OnceLock::new(),
            arn,
        }
    }

    /// Publishes `message` and returns the id that SNS gave it.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish(&self, message: &Message) -> Result<String, PublishError> {
        let attributes: HashMap<_, _> = message
            .attributes
            .iter()
            .filter_map(|(name, value)| {
                let value = MessageAttributeValue::builder()
                    .data_type("String")
                    .string_value(value)
                    .build()
                    .ok()?;
                Some(((*name).to_owned(), value))
            })
            .collect();
        let client = self
            .client
            .get_or_init(|| Client::from_conf(self.config.clone().build()));
        let published = client
            .publish()
            .topic_arn(&self.arn)
            .subject(&message.subject)
            .message_structure("json")
            .message(by_protocol(message))
            .set_message_attributes(Some(attributes))
            .send()
            .await
            .map_err(|error| match error.as_service_error() {
                Some(
                    SdkPublishError::InvalidParameterException(_)
                    | SdkPublishError::InvalidParameterValueException(_),
                ) => PublishError::Refused(Box::new(error)),
                Some(_) | None => PublishError::Failed(Box::new(error)),
            })?;
        Ok(published.message_id.unwrap_or_default())
    }
}

/// A text for each protocol, as `MessageStructure=json` wants them: every one a string.
fn by_protocol(message: &Message) -> String {
    let texts: Map<String, Value> = Map::from_iter([
        ("default".to_owned(), json!(message.default.to_string())),
        ("email".to_owned(), json!(message.email)),
        ("sms".to_owned(), json!(message.sms)),
    ]);
    Value::Object(texts).to_string()
}
