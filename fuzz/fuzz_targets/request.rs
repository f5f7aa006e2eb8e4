//! Any event that Lambda may hand us, from anybody: an answer, and no panic. Nothing here is
//! signed, so nothing goes on to the table.

#![no_main]

use agora_recording_callbacks::config::{Admission, Config};
use agora_recording_callbacks::intake::Intake;
use agora_recording_callbacks::receive::Receiver;
use agora_recording_callbacks::{aws, lambda};
use agora_recording_callbacks::lambda::envelope::HttpEvent;
use lambda_runtime::{Context, LambdaEvent};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use tokio::runtime::Runtime;

struct Function {
    runtime: Runtime,
    receiver: Receiver,
    config: Config,
}

static FUNCTION: LazyLock<Function> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let variable = |name: &str| match name {
        "TABLE_NAME" => Some("recordings".to_owned()),
        "ALERT_TOPIC_ARN" => Some("arn:aws:sns:eu-central-1:000000000000:alerts".to_owned()),
        "AGORA_SECRET" => Some("a secret that no input knows".to_owned()),
        "AWS_LAMBDA_LOG_LEVEL" => Some("FATAL".to_owned()),
        _ => None,
    };
    let (config, admission) = (Config::read(variable).unwrap(), Admission::read(variable).unwrap());
    let nobody = runtime.block_on(aws::load_local("http://127.0.0.1:9".to_owned()));
    let intake = Intake::new(aws::store(&nobody, &config), aws::topic(&nobody, &config), config.alert_kinds.clone(), None);
    let secrets = aws::secrets(&nobody, &admission.secret);
    Function { runtime, receiver: Receiver::new(admission, secrets, intake), config }
});

fuzz_target!(|data: &[u8]| {
    let Ok(event) = serde_json::from_slice::<HttpEvent>(data) else {
        return;
    };
    let Function { runtime, receiver, config } = &*FUNCTION;
    let event = LambdaEvent::new(event, Context::default());
    let answer = runtime.block_on(lambda::http::invoke(receiver, &config.log, event)).unwrap();
    let answer = serde_json::to_value(&answer).unwrap();
    assert!(matches!(answer["statusCode"].as_u64(), Some(200 | 401 | 405 | 413)), "{answer}");
    assert!(serde_json::from_str::<serde_json::Value>(answer["body"].as_str().unwrap()).unwrap().is_object());
});
