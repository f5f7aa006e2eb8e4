//! The Lambda function behind the URL.

use agora_recording_callbacks::config::{Admission, Config, ConfigError};
use agora_recording_callbacks::error::chain;
use agora_recording_callbacks::intake::Intake;
use agora_recording_callbacks::receive::Receiver;
use agora_recording_callbacks::secrets::Secrets;
use agora_recording_callbacks::{aws, clock, lambda};
use lambda_runtime::{Error, run, service_fn};
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let (config, admission) = match read() {
        Ok(read) => read,
        Err(error) => {
            eprintln!("configuration: {error}");
            return ExitCode::FAILURE;
        }
    };
    match serve(config, admission).await {
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
fn read() -> Result<(Config, Admission), ConfigError> {
    let variable = |name: &str| std::env::var(name).ok();
    Ok((Config::read(variable)?, Admission::read(variable)?))
}

async fn serve(config: Config, admission: Admission) -> Result<(), Error> {
    let aws = aws::load().await;
    let (store, topic) = (aws::store(&aws, &config), aws::topic(&aws, &config));
    let secrets = aws::secrets(&aws, &admission.secret);
    // While the secret is on its way, the connection to DynamoDB is made at no cost. With nothing to wait for it would make the
    // first answer wait for two of DynamoDB's.
    if let Secrets::Managed(_) = secrets {
        let ((), secret) = tokio::join!(store.warm(), secrets.warm(clock::now_ms()));
        if let Err(error) = secret {
            eprintln!("secret: {}", chain(&error));
        }
    }
    let max_age_ms = admission.max_callback_age_ms;
    let intake = Intake::new(store, topic, config.alert_kinds, max_age_ms);
    let receiver = Receiver::new(admission, secrets, intake);
    run(service_fn(|event| {
        lambda::http::invoke(&receiver, &config.log, event)
    }))
    .await
}
