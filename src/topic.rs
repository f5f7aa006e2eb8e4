//! The topics: publishes a message to SNS. The only place that knows SNS.

use crate::alert::{Destination, Message};
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

/// SNS doesn't tell who subscribes.
#[derive(Debug, thiserror::Error)]
#[error("ListSubscriptionsByTopic failed")]
pub struct ListError(#[source] Box<dyn Error + Send + Sync>);

/// SNS doesn't tell how many subscribe.
#[derive(Debug, thiserror::Error)]
#[error("GetTopicAttributes failed")]
pub struct CountError(#[source] Box<dyn Error + Send + Sync>);

/// Counts of subscriptions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subscribers {
    /// Those that alerts are sent to.
    pub confirmed: u64,
    /// Those that nothing is sent to, because they weren't confirmed, or were suspended.
    pub pending: u64,
}

/// A subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// `email`, `https`, `sms`, `sqs` …
    pub protocol: String,
    /// The address.
    pub endpoint: String,
    /// Whether alerts are sent there.
    pub is_confirmed: bool,
}

/// The topics.
#[derive(Debug)]
pub struct Topics {
    config: Builder,
    /// Made for the first alert: most processes never see one.
    client: OnceLock<Client>,
    alerts: String,
    critical: Option<String>,
}

impl Topics {
    /// The topics by their ARNs; there needn't be one for critical alerts.
    #[must_use]
    pub fn new(config: Builder, alerts: String, critical: Option<String>) -> Self {
        Self {
            config,
            client: OnceLock::new(),
            alerts,
            critical,
        }
    }

    /// The ARN of a topic, if there is one.
    #[must_use]
    pub fn arn(&self, to: Destination) -> Option<&str> {
        match to {
            Destination::Alerts => Some(&self.alerts),
            Destination::Critical => self.critical.as_deref(),
            Destination::Incidents | Destination::Facts => None,
        }
    }

    /// Who subscribes to the topic `arn`.
    ///
    /// # Errors
    /// SNS can't be reached, or refuses to tell.
    pub async fn subscriptions(&self, arn: &str) -> Result<Vec<Subscription>, ListError> {
        let pages = self
            .client()
            .list_subscriptions_by_topic()
            .topic_arn(arn)
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await
            .map_err(|error| ListError(Box::new(error)))?;
        let subscriptions = pages.into_iter().map(|subscription| Subscription {
            protocol: subscription.protocol.unwrap_or_default(),
            endpoint: subscription.endpoint.unwrap_or_default(),
            // SNS says a word in place of the ARN of one that it doesn't serve.
            is_confirmed: subscription
                .subscription_arn
                .is_some_and(|arn| arn.starts_with("arn:")),
        });
        Ok(subscriptions.collect())
    }

    /// How many subscribe to the topics, all together.
    ///
    /// # Errors
    /// SNS can't be reached, or refuses to tell.
    pub async fn subscribers(&self) -> Result<Subscribers, CountError> {
        let mut all = Subscribers::default();
        for arn in Destination::ALL.into_iter().filter_map(|to| self.arn(to)) {
            let topic = self
                .client()
                .get_topic_attributes()
                .topic_arn(arn)
                .send()
                .await
                .map_err(|error| CountError(Box::new(error)))?;
            let attributes = topic.attributes.unwrap_or_default();
            let count = |name| {
                let count = attributes.get(name);
                count.and_then(|count| count.parse::<u64>().ok())
            };
            all.confirmed += count("SubscriptionsConfirmed").unwrap_or(0);
            all.pending += count("SubscriptionsPending").unwrap_or(0);
        }
        Ok(all)
    }

    fn client(&self) -> &Client {
        self.client
            .get_or_init(|| Client::from_conf(self.config.clone().build()))
    }

    /// Publishes `message` to a topic and returns the id that SNS gave it; where there is no such
    /// topic, nothing.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish(
        &self,
        to: Destination,
        message: &Message,
    ) -> Result<String, PublishError> {
        let Some(arn) = self.arn(to) else {
            return Ok(String::new());
        };
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
        let published = self
            .client()
            .publish()
            .topic_arn(arn)
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
