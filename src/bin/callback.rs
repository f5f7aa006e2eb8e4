//! The Lambda function behind the URL.

use agora_recording_callbacks::config::{Admission, Config, ConfigError};
use agora_recording_callbacks::error::chain;
use agora_recording_callbacks::intake::Intake;
use agora_recording_callbacks::receive::Receiver;
use agora_recording_callbacks::secrets::Secrets;
use agora_recording_callbacks::{aws, clock, lambda};
use lambda_http::Error;
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
    let (store, outbox) = (aws::store(&aws, &config), aws::outbox(&aws, &config));
    let secrets = aws::secrets(&aws, &admission.secret);
    // While the secret is fetched, the connection to DynamoDB is made at no cost. With nothing to
    // wait for, warming would put one more DynamoDB round trip before the first answer.
    if let Secrets::Managed(_) = secrets {
        let now_ms = clock::now_ms();
        let (store, links) = (store.warm(), outbox.warm(now_ms));
        let ((), (), secret) = tokio::join!(store, links, secrets.warm(now_ms));
        if let Err(error) = secret {
            eprintln!("secret: {}", chain(&error));
        }
    }
    let max_age_ms = admission.max_callback_age_ms;
    let intake = Intake::new(store, outbox, config.alert_kinds).with_max_callback_age(max_age_ms);
    let receiver = Receiver::new(admission, secrets, intake);
    lambda::serve(|request| lambda::http::invoke(&receiver, &config.log, request)).await
}
