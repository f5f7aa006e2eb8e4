//! The AWS clients, made once, with time limits that leave room for a second try before Agora gives
//! up; one connector for all.

use crate::bus::Bus;
use crate::config::{Config, PageSettings, SecretSource, Viewing};
use crate::secrets::Secrets;
use crate::send::{Outbox, PageKeys};
use crate::store::Store;
use crate::topic::Topics;
use crate::viewer::Viewer;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::{
    HttpConnectorSettings, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use std::time::Duration;

const CONNECT: Duration = Duration::from_secs(1);
const OPERATION: Duration = Duration::from_secs(7);

/// Loads what the SDK needs from the environment it runs in.
pub async fn load() -> SdkConfig {
    loader().load().await
}

/// What the SDK needs for an endpoint on this machine, whatever the environment says.
pub async fn load_local(endpoint_url: String) -> SdkConfig {
    let credentials =
        aws_sdk_dynamodb::config::Credentials::new("local", "local", None, None, "local");
    let region = aws_config::Region::from_static("eu-central-1");
    loader()
        .region(region)
        .credentials_provider(credentials)
        .endpoint_url(endpoint_url)
        .load()
        .await
}

fn loader() -> ConfigLoader {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(Duration::from_secs(2))
        .operation_timeout(OPERATION)
        .build();
    let retries = RetryConfig::standard()
        .with_max_attempts(4)
        .with_initial_backoff(Duration::from_millis(50))
        .with_max_backoff(Duration::from_millis(500));
    aws_config::defaults(BehaviorVersion::latest())
        .timeout_config(timeouts)
        .retry_config(retries)
        .http_client(http_client())
}

/// The connector of all clients, made once. By itself the SDK makes two for each client, the first
/// only to see that it can, and each of them reads all the system's roots.
fn http_client() -> SharedHttpClient {
    let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT);
    let connector = aws_smithy_http_client::Connector::builder()
        .connector_settings(settings.build())
        .proxy_config(ProxyConfig::from_env())
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .build();
    let connector = SharedHttpConnector::new(connector);
    http_client_fn(move |_, _| connector.clone())
}

/// The table that `config` names.
#[must_use]
pub fn store(aws: &SdkConfig, config: &Config) -> Store {
    Store::new(
        aws_sdk_dynamodb::config::Builder::from(aws),
        config.table_name.clone(),
        config.retention_secs,
    )
}

/// The viewer that `viewing` describes. It writes nothing, so nothing it has expires.
#[must_use]
pub fn viewer(aws: &SdkConfig, viewing: &Viewing) -> Viewer {
    let table = aws_sdk_dynamodb::config::Builder::from(aws);
    Viewer::new(
        Store::new(table, viewing.table_name.clone(), 0),
        secrets(aws, &viewing.link_secret),
        viewing.rules,
    )
    .with_bucket(viewing.recording_bucket.clone())
}

/// The secrets that `source` names.
#[must_use]
pub fn secrets(aws: &SdkConfig, source: &SecretSource) -> Secrets {
    match source {
        SecretSource::Environment(secrets) => Secrets::fixed(secrets.clone()),
        SecretSource::SecretsManager(id) => Secrets::managed(
            aws_sdk_secretsmanager::config::Builder::from(aws),
            id.clone(),
        ),
    }
}

/// The topics that `config` names.
#[must_use]
pub fn topics(aws: &SdkConfig, config: &Config) -> Topics {
    let sns = aws_sdk_sns::config::Builder::from(aws).timeout_config(patient());
    Topics::new(
        sns,
        config.alert_topic_arn.clone(),
        config.critical_topic_arn.clone(),
    )
}

/// The bus that `config` names, if it names one.
fn bus(aws: &SdkConfig, config: &Config) -> Option<Bus> {
    let name = config.event_bus_name.clone()?;
    let bridge = aws_sdk_eventbridge::config::Builder::from(aws).timeout_config(patient());
    Some(Bus::new(bridge, name))
}

/// Publishing isn't idempotent: a slow answer is waited for rather than asked for again.
fn patient() -> TimeoutConfig {
    TimeoutConfig::builder()
        .operation_timeout(OPERATION)
        .build()
}

/// The keys for links to the pages of recordings, if there is a viewer.
#[must_use]
pub fn page_keys(aws: &SdkConfig, pages: &PageSettings) -> PageKeys {
    PageKeys::new(
        pages.viewer.clone(),
        secrets(aws, &pages.secret),
        pages.open_secs,
    )
}

/// The way out for alerts and notices that `config` describes.
#[must_use]
pub fn outbox(aws: &SdkConfig, config: &Config) -> Outbox {
    outbox_on(aws, aws, config)
}

/// Like [`outbox`], with the bus at another place than the topics.
#[must_use]
pub fn outbox_on(topics_at: &SdkConfig, bus_at: &SdkConfig, config: &Config) -> Outbox {
    let pages = config.pages.as_ref();
    Outbox::new(topics(topics_at, config), config.runbook_url.clone())
        .with_pages(pages.map(|pages| page_keys(topics_at, pages)))
        .with_bus(bus(bus_at, config), config.recording_bucket.clone())
}
