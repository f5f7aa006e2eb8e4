//! The way to an engine in this process, without a socket.

use agora_recording_callbacks::aws;
use agora_recording_callbacks::config::Config;
use aws_config::SdkConfig;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use serde_json::Value;
use std::sync::Arc;
use testkit::counted::Counted;
use testkit::engine::{AnyError, create_table};

/// The table on the engine.
pub const TABLE: &str = "recordings";

/// An engine.
#[derive(Clone)]
pub struct Wire(Arc<Counted>);

impl Wire {
    /// The way to a new engine that has the table, and the configuration of clients that take it.
    pub async fn open() -> Result<(Self, SdkConfig), AnyError> {
        let wire = Self(Arc::new(Counted::new()?));
        let connector = SharedHttpConnector::new(wire.clone());
        let aws = aws::load_local("http://engine".to_owned()).await;
        let client = http_client_fn(move |_, _| connector.clone());
        let aws = aws.into_builder().http_client(client).build();
        create_table(&aws_sdk_dynamodb::Client::new(&aws), TABLE).await?;
        Ok((wire, aws))
    }

    /// Asks the engine past every client; its answer.
    pub fn ask(&self, operation: &str, request: &Value) -> Result<Value, AnyError> {
        let request = request.to_string();
        let answer = self.0.carry_out(operation, request.as_bytes());
        match answer.status {
            200 => Ok(serde_json::from_str(&answer.text)?),
            _ => Err(answer.text.into()),
        }
    }
}

/// The functions' configuration for the table, everything else by default.
pub fn config() -> Result<Config, AnyError> {
    Ok(Config::read(|name| match name {
        "TABLE_NAME" => Some(TABLE.to_owned()),
        "ALERT_TOPIC_ARN" => Some("arn:aws:sns:eu-central-1:000000000000:alerts".to_owned()),
        _ => None,
    })?)
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wire")
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let body = request.body().bytes().unwrap_or_default();
        let answer = self.0.carry_out(target, body);
        let status = answer.status.try_into().unwrap();
        let mut response = HttpResponse::new(status, SdkBody::from(answer.text));
        response
            .headers_mut()
            .insert("content-type", "application/x-amz-json-1.0");
        HttpConnectorFuture::ready(Ok(response))
    }
}
