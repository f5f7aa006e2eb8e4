//! The deployment that a command works with: where its table and topics are, and its settings.
//!
//! What the tool writes has to be what the functions would have written. So the settings come from
//! where the functions have them: their environment, which Lambda tells.

use crate::local;
use crate::outcome::AnyError;
use agora_recording_callbacks::aws;
use agora_recording_callbacks::clock::now_ms;
use agora_recording_callbacks::config::Config;
use agora_recording_callbacks::intake::Intake;
use agora_recording_callbacks::invocation::Invocation;
use agora_recording_callbacks::secrets::{Secret, Secrets};
use agora_recording_callbacks::send::Outbox;
use agora_recording_callbacks::store::Store;
use agora_recording_callbacks::sweep::Sweeper;
use aws_sdk_lambda::error::SdkError;
use aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationError;
use clap::Args;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// The settings that a callback's items depend on.
const SETTINGS: [&str; 2] = ["ALERT_KINDS", "RETENTION_DAYS"];
/// How long one item may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Where the table, the topics and the settings are.
#[derive(Args)]
pub(crate) struct Place {
    /// The deployed stack: its table, topics, kinds of alerts, retention and rules
    #[arg(long, env = "STACK_NAME", global = true, conflicts_with = "local")]
    stack: Option<String>,
    /// The DynamoDB table
    #[arg(long, env = "TABLE_NAME", global = true)]
    table: Option<String>,
    /// The ARN of the alert topic
    #[arg(long, env = "ALERT_TOPIC_ARN", global = true)]
    topic: Option<String>,
    /// The ARN of the topic of critical alerts, if there is one
    #[arg(long, env = "CRITICAL_TOPIC_ARN", global = true)]
    critical_topic: Option<String>,
    /// Use the running local example (`cargo run -p local`) on its usual ports
    #[arg(long, global = true)]
    pub(crate) local: bool,
}

/// The viewer of a deployment, and what links to it are signed with.
pub(crate) struct Viewer {
    pub(crate) url: String,
    pub(crate) keys: Secrets,
    pub(crate) open_secs: u64,
}

/// A deployment, opened.
pub(crate) struct Deployment {
    pub(crate) config: Config,
    /// Whether the settings can be taken for those of the functions.
    knows_settings: bool,
    is_local: bool,
    aws_dynamodb: aws_config::SdkConfig,
    aws_sns: aws_config::SdkConfig,
    /// Owns the alerts that are claimed.
    pub(crate) owner: String,
}

impl Deployment {
    pub(crate) async fn open(place: &Place) -> Result<Self, AnyError> {
        if place.local {
            let setting = |name: &str| local::setting(name).map(str::to_owned);
            let config = Config::read(|name| setting(name).or_else(|| variable(name)))?;
            let on = |name| aws::load_local(setting(name).unwrap_or_default());
            let dynamodb = on("AWS_ENDPOINT_URL_DYNAMODB").await;
            let sns = on("AWS_ENDPOINT_URL_SNS").await;
            return Ok(Self {
                is_local: true,
                ..Self::new(config, true, dynamodb, sns)
            });
        }
        let aws = aws::load().await;
        if let Some(stack) = &place.stack {
            let settings = settings_of(stack, &aws).await?;
            let config = Config::read(|name| settings.get(name).cloned())
                .map_err(|error| format!("the settings of the stack {stack}: {error}"))?;
            return Ok(Self::new(config, true, aws.clone(), aws));
        }
        let config = Config::read(|name| match name {
            "TABLE_NAME" => place.table.clone(),
            "ALERT_TOPIC_ARN" => place.topic.clone(),
            "CRITICAL_TOPIC_ARN" => place.critical_topic.clone(),
            other => variable(other),
        })
        .map_err(|error| format!("{error}; give --stack, --table and --topic, or --local"))?;
        let is_given = |name| variable(name).is_some_and(|value| !value.trim().is_empty());
        let is_elsewhere = ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL"]
            .into_iter()
            .any(is_given);
        let knows_settings = is_elsewhere || SETTINGS.into_iter().all(is_given);
        Ok(Self::new(config, knows_settings, aws.clone(), aws))
    }

    fn new(
        config: Config,
        knows_settings: bool,
        aws_dynamodb: aws_config::SdkConfig,
        aws_sns: aws_config::SdkConfig,
    ) -> Self {
        Self {
            config,
            knows_settings,
            is_local: false,
            aws_dynamodb,
            aws_sns,
            owner: format!("recordings-{}", now_ms()),
        }
    }

    /// Fails unless the settings are known, which commands need that write as the functions do.
    ///
    /// # Errors
    /// The settings of the functions aren't known, and the defaults may not be theirs.
    pub(crate) fn require_settings(&self) -> Result<(), AnyError> {
        if self.knows_settings {
            return Ok(());
        }
        Err(format!(
            "which kinds of alerts and which retention does the deployment have? Give --stack, or \
             set {}",
            SETTINGS.join(" and ")
        )
        .into())
    }

    pub(crate) fn store(&self) -> Store {
        aws::store(&self.aws_dynamodb, &self.config)
    }

    /// Where its pages are, if it has any.
    pub(crate) fn viewer(&self) -> Option<Viewer> {
        if self.is_local {
            let key = local::setting("AGORA_SECRET").map(Secret::new);
            return Some(Viewer {
                url: local::URL.trim_end_matches('/').to_owned(),
                keys: Secrets::fixed(key.into_iter().collect()),
                open_secs: 72 * 60 * 60,
            });
        }
        let pages = self.config.pages.as_ref()?;
        Some(Viewer {
            url: pages.viewer.clone(),
            keys: aws::secrets(&self.aws_sns, &pages.secret),
            open_secs: pages.open_secs,
        })
    }

    pub(crate) fn outbox(&self) -> Outbox {
        aws::outbox(&self.aws_sns, &self.config)
    }

    /// Sends what is due, and what is asked of it.
    pub(crate) fn sweeper(&self) -> Sweeper {
        Sweeper::new(self.config.rules, self.store(), self.outbox())
    }

    /// The service where a queue is, by the queue's address.
    pub(crate) fn sqs(&self, queue_url: &str) -> aws_sdk_sqs::Client {
        let mut config = aws_sdk_sqs::config::Builder::from(&self.aws_sns);
        if let Some((scheme, rest)) = queue_url.split_once("://") {
            let host = rest.split('/').next().unwrap_or_default();
            config = config.endpoint_url(format!("{scheme}://{host}"));
        }
        aws_sdk_sqs::Client::from_conf(config.build())
    }

    pub(crate) fn intake(&self) -> Intake {
        let kinds = self.config.alert_kinds.clone();
        Intake::new(self.store(), self.outbox(), kinds)
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

/// The environment of a stack's receiver.
async fn settings_of(
    stack: &str,
    aws: &aws_config::SdkConfig,
) -> Result<HashMap<String, String>, AnyError> {
    let name = format!("{stack}-callback");
    let lambda = aws_sdk_lambda::Client::new(aws);
    let request = || lambda.get_function_configuration().function_name(&name);
    let is_missing = |error: &SdkError<GetFunctionConfigurationError>| {
        let error = error.as_service_error();
        error.is_some_and(|error| error.is_resource_not_found_exception())
    };
    // The alias is what runs. A function that SAM didn't deploy may have none.
    let mut function = request().qualifier("live").send().await;
    if function.as_ref().is_err_and(is_missing) {
        function = request().send().await;
    }
    let function = function.map_err(|error| {
        if is_missing(&error) {
            AnyError::from(format!(
                "no function {name} here: check --stack and AWS_REGION"
            ))
        } else {
            error.into()
        }
    })?;
    let environment = function
        .environment
        .and_then(|environment| environment.variables);
    Ok(environment.unwrap_or_default())
}
