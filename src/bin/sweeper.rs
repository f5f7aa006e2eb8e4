//! The Lambda function on the schedule: sends due alerts, and checks sessions that have gone quiet.

use agora_recording_callbacks::config::Config;
use agora_recording_callbacks::sweep::Sweeper;
use agora_recording_callbacks::{aws, lambda};
use lambda_runtime::{Error, run, service_fn};
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    let config = match Config::read(|name| std::env::var(name).ok()) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("configuration: {error}");
            return ExitCode::FAILURE;
        }
    };
    match serve(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("runtime: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(config: Config) -> Result<(), Error> {
    let aws = aws::load().await;
    let (store, outbox) = (aws::store(&aws, &config), aws::outbox(&aws, &config));
    let sweeper = Sweeper::new(config.rules, store, outbox);
    run(service_fn(|event| {
        lambda::schedule::invoke(&sweeper, &config.log, event)
    }))
    .await
}
