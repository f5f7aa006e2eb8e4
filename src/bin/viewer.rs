//! The Lambda function behind the links in alerts.

use agora_recording_callbacks::config::{ConfigError, Viewing};
use agora_recording_callbacks::error::chain;
use agora_recording_callbacks::lambda::guard::Guarded;
use agora_recording_callbacks::log::Log;
use agora_recording_callbacks::viewer::Viewer;
use agora_recording_callbacks::{aws, clock, lambda};
use lambda_http::tower::ServiceBuilder;
use lambda_http::{Adapter, Error, service_fn};
use lambda_runtime::LambdaEvent;
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let viewing = match read() {
        Ok(viewing) => viewing,
        Err(error) => {
            eprintln!("configuration: {error}");
            return ExitCode::FAILURE;
        }
    };
    let aws = aws::load().await;
    match serve(aws::viewer(&aws, &viewing), &viewing.log).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("runtime: {error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment"
)]
fn read() -> Result<Viewing, ConfigError> {
    Viewing::read(|name| std::env::var(name).ok())
}

async fn serve(viewer: Viewer, log: &Log) -> Result<(), Error> {
    if let Err(error) = viewer.warm(clock::now_ms()).await {
        eprintln!("key of the links: {}", chain(&error));
    }
    let service = ServiceBuilder::new()
        .map_request(|event: LambdaEvent<Guarded>| {
            LambdaEvent::new(event.payload.into_inner(), event.context)
        })
        .layer_fn(Adapter::from)
        .service(service_fn(|request| {
            lambda::view::invoke(&viewer, log, request)
        }));
    lambda_runtime::run(service).await
}
