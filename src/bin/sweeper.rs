//! The Lambda function on the schedule: sends due alerts, and checks sessions that have gone quiet.

use agora_recording_callbacks::config::Config;
use agora_recording_callbacks::sweep::Sweeper;
use agora_recording_callbacks::{aws, clock, lambda};
use lambda_runtime::{Error, run, service_fn};
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    let variable = |name: &str| std::env::var(name).ok();
    let memory_mb = variable("AWS_LAMBDA_FUNCTION_MEMORY_SIZE").and_then(|size| size.parse().ok());
    let config = match Config::read(variable) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("configuration: {error}");
            return ExitCode::FAILURE;
        }
    };
    match serve(config, memory_mb.unwrap_or(256)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("runtime: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(config: Config, memory_mb: usize) -> Result<(), Error> {
    let aws = aws::load().await;
    let (store, outbox) = (aws::store(&aws, &config), aws::outbox(&aws, &config));
    outbox.warm(clock::now_ms()).await;
    let sweeper = Sweeper::new(config.rules, store, outbox).with_memory(memory_mb);
    run(service_fn(|event| {
        lambda::schedule::invoke(&sweeper, &config.log, event)
    }))
    .await
}
