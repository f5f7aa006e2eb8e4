//! Any event that Lambda may hand us, from anybody: an answer, and no panic. Nothing here is
//! signed, so nothing goes on to the table.

#![no_main]

use agora_recording_callbacks::config::{Admission, Config};
use agora_recording_callbacks::intake::Intake;
use agora_recording_callbacks::lambda::guard::Guarded;
use agora_recording_callbacks::receive::Receiver;
use agora_recording_callbacks::{aws, lambda};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use tokio::runtime::Runtime;

struct Function {
    runtime: Runtime,
    receiver: Receiver,
    config: Config,
}

static FUNCTION: LazyLock<Function> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let variable = |name: &str| match name {
        "TABLE_NAME" => Some("recordings".to_owned()),
        "ALERT_TOPIC_ARN" => Some("arn:aws:sns:eu-central-1:000000000000:alerts".to_owned()),
        "AGORA_SECRET" => Some("a secret that no input knows".to_owned()),
        "AWS_LAMBDA_LOG_LEVEL" => Some("FATAL".to_owned()),
        _ => None,
    };
    let (config, admission) = (
        Config::read(variable).unwrap(),
        Admission::read(variable).unwrap(),
    );
    let nobody = runtime.block_on(aws::load_local("http://127.0.0.1:9".to_owned()));
    let (store, outbox) = (aws::store(&nobody, &config), aws::outbox(&nobody, &config));
    let intake = Intake::new(store, outbox, config.alert_kinds.clone());
    let secrets = aws::secrets(&nobody, &admission.secret);
    Function {
        runtime,
        receiver: Receiver::new(admission, secrets, intake),
        config,
    }
});

fuzz_target!(|data: &[u8]| {
    let Ok(event) = serde_json::from_slice::<Guarded>(data) else {
        return;
    };
    let Function {
        runtime,
        receiver,
        config,
    } = &*FUNCTION;
    let request = event.into_inner().into();
    let answered = runtime.block_on(lambda::http::invoke(receiver, &config.log, request));
    let answer = answered.unwrap();
    assert!(
        matches!(answer.status().as_u16(), 200 | 401 | 405 | 413),
        "{answer:?}"
    );
    let body: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
    assert!(body.is_object());
});
