//! The operator's tool: what happened to a recording, what is in quarantine, which alerts weren't
//! sent, and a way back for both.

mod advice;
mod alerts;
mod completions;
mod deployment;
mod files;
mod link;
mod list;
mod local;
mod notices;
mod outcome;
mod quarantine;
mod show;
mod sign;
mod simulate;
mod terminal;
mod test_alert;
mod watch;

use agora_recording_callbacks::error::chain;
use clap::{CommandFactory, Parser, Subcommand};
use deployment::{Deployment, Place};
use outcome::{AnyError, Outcome};
use std::process::ExitCode;

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
  recordings list --stack recordings --failed --since 2h
  recordings show 80dd83da71d3d86771a6a676a4061e46
  recordings simulate --local --kind failing
  recordings test-alert

--stack NAME takes the table, the topics and all settings from the deployed stack. Without it the
table and the topics are named by --table, --topic and --critical-topic, by TABLE_NAME,
ALERT_TOPIC_ARN and CRITICAL_TOPIC_ARN, or by --local, and the settings by the functions'
variables.")]
struct Options {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show what happened to a recording
    Show(show::Arguments),
    /// Print the keys of a recording's files, one a line
    Files(files::Arguments),
    /// List recordings, newest first
    List(list::Arguments),
    /// Print a link to the page of a recording, or to a list
    Link(link::Arguments),
    /// Watch the recordings that aren't over, until Ctrl-C
    Watch(watch::Arguments),
    /// Play whole sessions against a receiver, and check what became of them: does my pager ring?
    Simulate(simulate::Arguments),
    /// Publish a marked test alert of each kind, and say what to look for
    TestAlert(test_alert::Arguments),
    /// Authentic callbacks that could not be read
    #[command(subcommand)]
    Quarantine(quarantine::Command),
    /// Alerts that were not sent, and those that were
    #[command(subcommand)]
    Alerts(alerts::Command),
    /// Notices that programs were not told
    #[command(subcommand)]
    Notices(notices::Command),
    /// Sign a body as Agora does
    Sign(sign::Arguments),
    /// Print the completions for a shell
    Completions(completions::Arguments),
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
        Command::Show(arguments) => show::run(&Deployment::open(&place).await?, arguments).await,
        Command::Files(arguments) => files::run(&Deployment::open(&place).await?, arguments).await,
        Command::List(arguments) => list::run(&Deployment::open(&place).await?, arguments).await,
        Command::Link(arguments) => link::run(&Deployment::open(&place).await?, arguments).await,
        Command::Watch(arguments) => watch::run(&Deployment::open(&place).await?, arguments).await,
        Command::Quarantine(command) => {
            quarantine::run(&Deployment::open(&place).await?, command).await
        }
        Command::Alerts(command) => alerts::run(&Deployment::open(&place).await?, command).await,
        Command::Notices(command) => notices::run(&Deployment::open(&place).await?, command).await,
        Command::Simulate(arguments) => simulate::run(&place, arguments).await,
        Command::TestAlert(arguments) => {
            test_alert::run(&Deployment::open(&place).await?, &arguments).await
        }
        // These need neither a table nor credentials.
        Command::Sign(arguments) => sign::run(&arguments, place.local),
        Command::Completions(arguments) => Ok(completions::run(&arguments, Options::command())),
    }
}
