//! The operator's tool: what happened to a recording, what is in quarantine, which alerts weren't sent, and a way back for both.

/// Prints a line. A pipe that nobody reads any more (`| head`) doesn't stop what is being done.
macro_rules! say {
    ($($line:tt)*) => {{
        use std::io::Write as _;
        let _closed = writeln!(std::io::stdout(), $($line)*);
    }};
}

mod advice;
mod alerts;
mod completions;
mod list;
mod quarantine;
mod show;
mod sign;
mod simulate;
mod test_alert;
mod watch;

use agora_recording_callbacks::aws;
use agora_recording_callbacks::clock::now_ms;
use agora_recording_callbacks::config::Config;
use agora_recording_callbacks::error::chain;
use agora_recording_callbacks::intake::{Call, Intake};
use agora_recording_callbacks::store::Store;
use agora_recording_callbacks::topic::Topic;
use clap::{Args, Parser, Subcommand};
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::Instant;

/// What the local example uses.
const LOCAL: [(&str, &str); 2] = [
    ("TABLE_NAME", "agora-recordings"),
    (
        "ALERT_TOPIC_ARN",
        "arn:aws:sns:eu-central-1:000000000000:agora-recording-alerts",
    ),
];
const LOCAL_DYNAMODB: &str = "http://127.0.0.1:8000";
const LOCAL_SNS: &str = "http://127.0.0.1:8001";
/// How long one item may take.
const PATIENCE: Duration = Duration::from_secs(20);
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// See what happened to recordings, repair what went wrong, rehearse before it does.
///
/// Works with the credentials and the region of your environment, like the AWS CLI.
#[derive(Parser)]
#[command(name = "recordings", version)]
#[command(after_help = "Exit codes:
  0  all done
  1  something is left, differs or failed
  2  usage error

Examples:
  recordings list --failed --since 2h
  recordings show 80dd83da71d3d86771a6a676a4061e46
  recordings simulate --local --kind failing
  recordings test-alert

The table and the topic are named by --table and --topic, by TABLE_NAME and ALERT_TOPIC_ARN, or by --local.")]
struct Options {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

/// Where the table and the topic are.
#[derive(Args)]
struct Place {
    /// The DynamoDB table
    #[arg(long, env = "TABLE_NAME", global = true)]
    table: Option<String>,
    /// The ARN of the alert topic
    #[arg(long, env = "ALERT_TOPIC_ARN", global = true)]
    topic: Option<String>,
    /// Use the running local example (`cargo run -p local`) on its usual ports
    #[arg(long, global = true)]
    local: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Show what happened to a recording
    Show(show::Arguments),
    /// List recordings, newest first
    List(list::Arguments),
    /// Watch the recordings that aren't over, until Ctrl-C
    Watch(watch::Arguments),
    /// Play whole sessions against a receiver, and check what became of them: does my pager ring?
    Simulate(simulate::Arguments),
    /// Publish a marked test alert of each kind, and say what to look for
    TestAlert(test_alert::Arguments),
    /// Authentic callbacks that could not be read
    #[command(subcommand)]
    Quarantine(quarantine::Command),
    /// Alerts that were not sent
    #[command(subcommand)]
    Alerts(alerts::Command),
    /// Sign a body as Agora does
    Sign(sign::Arguments),
    /// Print the completions for a shell
    Completions(completions::Arguments),
}

/// Whether everything asked for was done.
enum Outcome {
    Done,
    SomethingLeft,
}

type AnyError = Box<dyn Error + Send + Sync>;

/// The parts that the commands work with.
struct Desk {
    config: Config,
    aws_dynamodb: aws_config::SdkConfig,
    aws_sns: aws_config::SdkConfig,
    /// Owns the alerts that are claimed.
    owner: String,
}

impl Desk {
    async fn open(place: &Place) -> Result<Self, AnyError> {
        let config = Config::read(|name| {
            let given = match name {
                "TABLE_NAME" => place.table.clone(),
                "ALERT_TOPIC_ARN" => place.topic.clone(),
                other => variable(other),
            };
            let local = LOCAL.iter().filter(|_| place.local);
            let local = local.copied().find(|(local, _)| *local == name);
            local.map(|(_, value)| value.to_owned()).or(given)
        })
        .map_err(|error| format!("{error}; give --table and --topic, or --local"))?;
        let (aws_dynamodb, aws_sns) = if place.local {
            let dynamodb = aws::load_local(LOCAL_DYNAMODB.to_owned()).await;
            (dynamodb, aws::load_local(LOCAL_SNS.to_owned()).await)
        } else {
            let aws = aws::load().await;
            (aws.clone(), aws)
        };
        Ok(Self {
            config,
            aws_dynamodb,
            aws_sns,
            owner: format!("recordings-{}", now_ms()),
        })
    }

    fn store(&self) -> Store {
        aws::store(&self.aws_dynamodb, &self.config)
    }

    fn topic(&self) -> Topic {
        aws::topic(&self.aws_sns, &self.config)
    }

    fn intake(&self) -> Intake {
        let kinds = self.config.alert_kinds.clone();
        Intake::new(self.store(), self.topic(), kinds, None)
    }

    fn call(&self) -> Call<'_> {
        Call {
            request_id: &self.owner,
            now_ms: now_ms(),
            deadline: Instant::now() + PATIENCE,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::SomethingLeft) => ExitCode::FAILURE,
        Err(error) => {
            let error = chain(error.as_ref());
            eprintln!("{error}");
            if let Some(advice) = advice::advice(&error) {
                eprintln!("{advice}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<Outcome, AnyError> {
    let Options { place, command } = options;
    match command {
        Command::Show(arguments) => show::run(&Desk::open(&place).await?, arguments).await,
        Command::List(arguments) => list::run(&Desk::open(&place).await?, arguments).await,
        Command::Watch(arguments) => watch::run(&Desk::open(&place).await?, arguments).await,
        Command::Quarantine(command) => quarantine::run(&Desk::open(&place).await?, command).await,
        Command::Alerts(command) => alerts::run(&Desk::open(&place).await?, command).await,
        Command::Simulate(arguments) => simulate::run(&place, arguments).await,
        Command::TestAlert(arguments) => {
            test_alert::run(&Desk::open(&place).await?, &arguments).await
        }
        // These need neither a table nor credentials.
        Command::Sign(arguments) => sign::run(&arguments, place.local),
        Command::Completions(arguments) => Ok(completions::run(&arguments)),
    }
}

/// A table for a terminal or a pipe.
fn table(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    table
}
