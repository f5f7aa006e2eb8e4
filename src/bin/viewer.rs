//! The Lambda function behind the links in alerts.

use agora_recording_callbacks::config::{ConfigError, Viewing};
use agora_recording_callbacks::error::chain;
use agora_recording_callbacks::log::Log;
use agora_recording_callbacks::viewer::Viewer;
use agora_recording_callbacks::{aws, clock, lambda};
use lambda_http::Error;
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
    lambda::serve(|request| lambda::view::invoke(&viewer, log, request)).await
}
