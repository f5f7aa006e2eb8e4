//! The Lambda function behind the URL.

use agora_recording_callbacks::config::Config;
use agora_recording_callbacks::receive::Receiver;
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
    let store = aws::store(&aws, &config);
    store.warm().await;
    let topic = aws::topic(&aws, &config);
    let receiver = Receiver::new(config, store, topic);
    run(service_fn(|event| lambda::invoke(&receiver, event))).await
}
