//! The deployment that a command works with: where its table and topic are, and its settings.

use crate::outcome::AnyError;
use agora_recording_callbacks::aws;
use agora_recording_callbacks::clock::now_ms;
use agora_recording_callbacks::config::Config;
use agora_recording_callbacks::intake::Intake;
use agora_recording_callbacks::invocation::Invocation;
use agora_recording_callbacks::store::Store;
use agora_recording_callbacks::topic::Topic;
use clap::Args;
use std::time::Duration;
use tokio::time::Instant;

/// What the local example uses.
const LOCAL: [(&str, &str); 2] = [
    ("TABLE_NAME", "agora-recordings"),
    (
        "ALERT_TOPIC_ARN",
        "arn:aws:sns:eu-central-1:000000000000:agora-recording-alerts",
    ),
];
const LOCAL_DYNAMODB: &str = "http://127.0.0.1:8000";
const LOCAL_SNS: &str = "http://127.0.0.1:8001";
/// How long one item may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Where the table and the topic are.
#[derive(Args)]
pub(crate) struct Place {
    /// The DynamoDB table
    #[arg(long, env = "TABLE_NAME", global = true)]
    pub(crate) table: Option<String>,
    /// The ARN of the alert topic
    #[arg(long, env = "ALERT_TOPIC_ARN", global = true)]
    pub(crate) topic: Option<String>,
    /// Use the running local example (`cargo run -p local`) on its usual ports
    #[arg(long, global = true)]
    pub(crate) local: bool,
}

/// A deployment, opened.
pub(crate) struct Deployment {
    pub(crate) config: Config,
    pub(crate) aws_dynamodb: aws_config::SdkConfig,
    pub(crate) aws_sns: aws_config::SdkConfig,
    /// Owns the alerts that are claimed.
    pub(crate) owner: String,
}

impl Deployment {
    pub(crate) async fn open(place: &Place) -> Result<Self, AnyError> {
        let config = Config::read(|name| {
            let given = match name {
                "TABLE_NAME" => place.table.clone(),
                "ALERT_TOPIC_ARN" => place.topic.clone(),
                other => variable(other),
            };
            let local = LOCAL.iter().filter(|_| place.local);
            let local = local.copied().find(|(local, _)| *local == name);
            local.map(|(_, value)| value.to_owned()).or(given)
        })
        .map_err(|error| format!("{error}; give --table and --topic, or --local"))?;
        let (aws_dynamodb, aws_sns) = if place.local {
            let dynamodb = aws::load_local(LOCAL_DYNAMODB.to_owned()).await;
            (dynamodb, aws::load_local(LOCAL_SNS.to_owned()).await)
        } else {
            let aws = aws::load().await;
            (aws.clone(), aws)
        };
        Ok(Self {
            config,
            aws_dynamodb,
            aws_sns,
            owner: format!("recordings-{}", now_ms()),
        })
    }

    pub(crate) fn store(&self) -> Store {
        aws::store(&self.aws_dynamodb, &self.config)
    }

    pub(crate) fn topic(&self) -> Topic {
        aws::topic(&self.aws_sns, &self.config)
    }

    pub(crate) fn intake(&self) -> Intake {
        let kinds = self.config.alert_kinds.clone();
        Intake::new(self.store(), self.topic(), kinds)
    }

    pub(crate) fn invocation(&self) -> Invocation<'_> {
        Invocation::new(&self.owner, now_ms(), Instant::now() + PATIENCE)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment"
)]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
