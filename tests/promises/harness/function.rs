//! The real binaries behind a Lambda Runtime API.

use super::world::{TABLE, TOPIC, World};
use lambda_simulator::{InvocationBuilder, InvocationStatus, Simulator};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;
use testkit::sign;
use tokio::process::{Child, Command};

/// Which function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binary {
    Callback,
    Sweeper,
    Viewer,
}

impl Binary {
    /// The time of an invocation, as in template.yaml.
    fn timeout_ms(self) -> u64 {
        match self {
            Self::Callback => 9_000,
            Self::Sweeper => 50_000,
            Self::Viewer => 10_000,
        }
    }
}

/// Longer than any invocation.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running function.
pub(crate) struct Function {
    binary: Binary,
    simulator: Simulator,
    process: Child,
    log: tempfile::NamedTempFile,
}

impl Function {
    /// Starts the callback function on the parts of `world`, with `more` in its environment.
    pub(crate) async fn start(world: &World, more: &[(&str, &str)]) -> Self {
        Self::start_binary(Binary::Callback, world, more).await
    }

    /// Starts a function on the parts of `world`, with `more` in its environment.
    pub(crate) async fn start_binary(binary: Binary, world: &World, more: &[(&str, &str)]) -> Self {
        let simulator = Simulator::builder()
            .function_name("callback")
            .region("eu-central-1")
            .build()
            .await
            .unwrap();
        let log = tempfile::NamedTempFile::new().unwrap();
        let process = command(binary, world, &[])
            .envs(simulator.lambda_env_vars())
            .envs(more.iter().copied())
            .stderr(log.reopen().unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self {
            binary,
            simulator,
            process,
            log,
        }
    }

    /// Invokes it and waits for its answer.
    pub(crate) async fn invoke(&self, event: Value) -> Value {
        self.invoke_within(event, self.binary.timeout_ms()).await
    }

    /// Invokes it with that much time.
    pub(crate) async fn invoke_within(&self, event: Value, timeout_ms: u64) -> Value {
        let request_id = self.enqueue_within(event, timeout_ms).await;
        self.answer(&request_id).await
    }

    /// Invokes it with that much time; true if it answers, false if the invocation fails.
    pub(crate) async fn try_invoke(&self, event: Value, timeout_ms: u64) -> bool {
        let request_id = self.enqueue_within(event, timeout_ms).await;
        let state = self
            .simulator
            .wait_for_invocation_complete(&request_id, PATIENCE)
            .await
            .unwrap();
        state.status == InvocationStatus::Success
    }

    /// Invokes it without waiting; returns what names the invocation.
    pub(crate) async fn enqueue(&self, event: Value) -> String {
        self.enqueue_within(event, self.binary.timeout_ms()).await
    }

    /// Waits for the answer of an invocation.
    pub(crate) async fn answer(&self, request_id: &str) -> Value {
        let state = self
            .simulator
            .wait_for_invocation_complete(request_id, PATIENCE)
            .await
            .unwrap();
        assert_eq!(state.status, InvocationStatus::Success, "{:?}", state.error);
        state.response.unwrap().payload
    }

    /// Invokes it and expects the invocation to fail.
    pub(crate) async fn fail(&self, event: Value) {
        let request_id = self.enqueue(event).await;
        let state = self
            .simulator
            .wait_for_invocation_complete(&request_id, PATIENCE)
            .await
            .unwrap();
        assert_eq!(state.status, InvocationStatus::Error);
    }

    async fn enqueue_within(&self, event: Value, timeout_ms: u64) -> String {
        self.simulator
            .enqueue(
                InvocationBuilder::new()
                    .payload(event)
                    .timeout_ms(timeout_ms)
                    .build()
                    .unwrap(),
            )
            .await
    }

    /// What it has written to its log, line by line.
    pub(crate) fn log(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.log.path()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// Kills it with SIGKILL.
    pub(crate) async fn kill(mut self) {
        self.process.kill().await.unwrap();
    }

    /// True if the process that was started is still running.
    pub(crate) fn lives(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// Starts the binary, expects it to stop by itself, and returns what it said and whether it
    /// succeeded.
    pub(crate) async fn refuse(world: &World, more: &[(&str, &str)]) -> (String, bool) {
        let output = command(Binary::Callback, world, more)
            .env("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9")
            .stderr(Stdio::piped())
            .output()
            .await
            .unwrap();
        (
            String::from_utf8(output.stderr).unwrap(),
            output.status.success(),
        )
    }
}

/// Runs the operator's tool on the parts of `world`; what it printed, and whether it succeeded.
pub(crate) async fn recordings(world: &World, arguments: &[&str]) -> (String, bool) {
    let mut command = on_world(tool(), world);
    let output = command
        .args(arguments)
        .stderr(Stdio::piped())
        .output()
        .await
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let complained = String::from_utf8(output.stderr).unwrap();
    (printed + &complained, output.status.success())
}

/// Runs the operator's tool as against AWS: nothing but a table, a topic and `more` is told.
pub(crate) async fn recordings_on_aws(arguments: &[&str], more: &[(&str, &str)]) -> (String, bool) {
    let mut command = Command::new(tool());
    command.env_clear().envs([
        ("TABLE_NAME", TABLE),
        ("ALERT_TOPIC_ARN", TOPIC),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
    ]);
    let output = command
        .envs(more.iter().copied())
        .args(arguments)
        .output()
        .await
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    (
        printed + &String::from_utf8(output.stderr).unwrap(),
        output.status.success(),
    )
}

/// Starts the operator's tool on the parts of `world` and leaves it running; it ends with the test.
pub(crate) fn start_recordings(world: &World, arguments: &[&str]) -> Child {
    on_world(tool(), world)
        .args(arguments)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// The operator's tool, built once: it is another package's, which Cargo doesn't build for these
/// tests. `testkit` is named beside it so that it shares what is compiled for them.
fn tool() -> &'static str {
    static TOOL: OnceLock<String> = OnceLock::new();
    TOOL.get_or_init(|| {
        let folder = Path::new(env!("CARGO_BIN_EXE_callback")).parent().unwrap();
        let profile = match folder.file_name().and_then(OsStr::to_str).unwrap() {
            "debug" => "dev",
            other => other,
        };
        let built = testkit::cargo()
            .args([
                "build",
                "--locked",
                "--quiet",
                "-p",
                "recordings",
                "-p",
                "testkit",
                "--profile",
                profile,
            ])
            .status();
        assert!(built.unwrap().success(), "the tool can't be built");
        folder.join("recordings").to_str().unwrap().to_owned()
    })
}

fn command(binary: Binary, world: &World, more: &[(&str, &str)]) -> Command {
    let program = match binary {
        Binary::Callback => env!("CARGO_BIN_EXE_callback"),
        Binary::Sweeper => env!("CARGO_BIN_EXE_sweeper"),
        Binary::Viewer => env!("CARGO_BIN_EXE_viewer"),
    };
    let mut command = on_world(program, world);
    command.envs(more.iter().copied());
    command
}

fn on_world(program: &str, world: &World) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .envs([
            ("TABLE_NAME", TABLE),
            ("ALERT_TOPIC_ARN", TOPIC),
            ("AGORA_SECRET", sign::LOCAL_SECRET),
            ("MAX_CALLBACK_AGE_HOURS", "0"),
            ("AWS_ENDPOINT_URL_DYNAMODB", &world.dynamodb_url),
            ("AWS_ENDPOINT_URL_SNS", &world.sns_url),
            ("AWS_ENDPOINT_URL_EVENTBRIDGE", &world.bus_url),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "local"),
            ("AWS_SECRET_ACCESS_KEY", "local"),
        ])
        .envs(world.bus_name.iter().map(|bus| ("EVENT_BUS_NAME", bus)))
        .stderr(Stdio::null());
    command
}

/// A function-URL event with a signed body.
pub(crate) fn event(body: &str) -> Value {
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/",
        "rawQueryString": "",
        "headers": {"content-type": "application/json",
            "agora-signature-v2": sign::v2(sign::LOCAL_SECRET, body.as_bytes())},
        "requestContext": {
            "http": {"method": "POST", "path": "/", "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.24", "userAgent": "Go-http-client/1.1"},
            "requestId": "r", "routeKey": "$default", "stage": "$default",
            "timeEpoch": 1_772_460_000_000_u64,
        },
        "body": body,
        "isBase64Encoded": false,
    })
}

/// The event of an EventBridge rule.
pub(crate) fn tick() -> Value {
    json!({
        "version": "0", "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
        "detail-type": "Scheduled Event", "source": "aws.events",
        "account": "000000000000", "time": "2026-03-02T14:05:00Z", "region": "eu-central-1",
        "resources": ["arn:aws:events:eu-central-1:000000000000:rule/sweep"], "detail": {},
    })
}
