//! `recordings simulate`: plays whole sessions against a receiver, as Agora would send them, badly
//! if that is asked for; and compares what the table says with what was sent. Does my pager ring?

mod plan;
mod play;
mod queue;
mod verify;

use crate::deployment::{Deployment, Place};
use crate::local;
use crate::outcome::{AnyError, Outcome};
use crate::sign::secret;
use crate::terminal::say;
use agora_recording_callbacks::clock::now_ms;
use clap::Args;
use plan::{Kind, Plan, Shape};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

/// A plan with more alerts than this is warned about where subscribers are real.
const FLOOD: usize = 5;
/// How long a person has to think again.
const SECOND_THOUGHTS: Duration = Duration::from_secs(5);

#[derive(Args)]
#[command(after_help = "Examples:
  recordings simulate --local
  recordings simulate --local --kind failing
  recordings simulate --local --sessions 200 --loss 0.05 --double --shuffle 5 --verify
  AGORA_SECRET=… recordings simulate --url https://….lambda-url.eu-central-1.on.aws/ --kind failing --kind backup-only

The sessions are real to the receiver: they are stored, and their alerts go to whoever is
subscribed. Their channels begin with `simulated-`. A callback that isn't answered with 200 is
sent three times more, as Agora does, after 1, 2 and 4 seconds. Recordings are played as if they
ended when the playing ends; nothing in them lies in the future. --verify expects the alerts of
ALERT_KINDS, as the receiver does, or the default ones. --queue needs a rule on the bus whose target
is that queue, with the events as they are.")]
pub(crate) struct Arguments {
    /// Where the callbacks go; with --local, the local example
    #[arg(long)]
    url: Option<String>,
    /// A file with the secret of the Agora console; without it, the variable `AGORA_SECRET`
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// How the sessions go, in turn; without any, one of each kind after another
    #[arg(long, value_enum)]
    kind: Vec<Kind>,
    /// How many sessions; without it, one of each kind
    #[arg(long,
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=100_000))]
    sessions: Option<usize>,
    /// Streams of an individual session
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    streams: u32,
    /// How long each recording is, in minutes
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(2..=1440))]
    minutes: u64,
    /// How much faster than that it is played
    #[arg(long, default_value_t = 60.0, value_parser = speed)]
    speed: f64,
    /// The part of the callbacks that never comes, 0 to 1
    #[arg(long, default_value_t = 0.0, value_parser = part)]
    loss: f64,
    /// Send every callback twice
    #[arg(long)]
    double: bool,
    /// Send callbacks up to so many seconds too late, and so out of order
    #[arg(long, value_name = "SECONDS", default_value_t = 0,
        value_parser = clap::value_parser!(u64).range(..=86_400))]
    shuffle: u64,
    /// Chooses what is lost and how it is shuffled: the same seed plays the same again; without it,
    /// something else every time
    #[arg(long)]
    seed: Option<u64>,
    /// What the channels' names begin with
    #[arg(long, default_value = "simulated")]
    channel: String,
    /// Compare what the table says with what was sent; exit code 1 if anything differs
    #[arg(long)]
    verify: bool,
    /// The address of an SQS queue that gets the events of the bus: compare what programs were
    /// told, too. What is about these sessions is taken out of it
    #[arg(long, value_name = "URL", requires = "verify")]
    queue: Option<String>,
    /// How long --verify waits for the alerts to be sent, and for the queue
    #[arg(long, value_name = "SECONDS", default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(..=86_400))]
    patience: u64,
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.01..=1e6).contains(&speed) {
        Ok(speed)
    } else {
        Err("0.01 to 1000000".to_owned())
    }
}

fn part(text: &str) -> Result<f64, String> {
    let part: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&part) {
        Ok(part)
    } else {
        Err("0 to 1".to_owned())
    }
}

pub(crate) async fn run(place: &Place, arguments: Arguments) -> Result<Outcome, AnyError> {
    let is_local = place.local;
    let url = arguments
        .url
        .or_else(|| is_local.then(|| local::URL.to_owned()));
    let url = url.ok_or("where to? Give --url, or --local for the local example")?;
    let secret = secret(arguments.secret_file.as_deref(), place.local)?;
    // Before anything is sent: without a table nothing can be verified.
    let deployment = match arguments.verify {
        true => Some(Deployment::open(place).await?),
        false => None,
    };
    let kinds = match arguments.kind.as_slice() {
        [] => <Kind as clap::ValueEnum>::value_variants().to_vec(),
        kinds => kinds.to_vec(),
    };
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    let plan = Plan::of(&Shape {
        sessions: arguments.sessions.unwrap_or(kinds.len()),
        kinds,
        streams: arguments.streams,
        minutes: arguments.minutes,
        speed: arguments.speed,
        loss: arguments.loss,
        double: arguments.double,
        shuffle_ms: arguments.shuffle.saturating_mul(1000),
        seed,
        channel: format!("{}-{seed}", arguments.channel),
        started_ms: now_ms(),
    });
    if plan.deliveries.is_empty() {
        return Err("nothing would be sent: everything is lost".into());
    }
    say!(
        "{} session{}, {} callbacks, {} of them lost; {} are sent to {url}; seed {seed}",
        plan.sessions.len(),
        if plan.sessions.len() == 1 { "" } else { "s" },
        plan.callbacks().count(),
        plan.callbacks().filter(|callback| callback.is_lost).count(),
        plan.deliveries.len()
    );
    let alerts: usize = plan.alerts().iter().map(|(count, _)| count).sum();
    if !place.local && alerts > FLOOD {
        say!(
            "WARNING: some {alerts} alerts go to everybody who is subscribed to the receiver's \
             topics: three a minute at once, the rest as digests. Ctrl-C stops it."
        );
        if std::io::stdin().is_terminal() {
            tokio::time::sleep(SECOND_THOUGHTS).await;
        }
    }
    let played = play::play(&plan, &url, &secret).await?;
    say!("{played}");
    for session in plan.sessions.iter().take(10) {
        say!(
            "  {:<18} sid {}  channel {}",
            session.kind.as_str(),
            session.sid,
            session.cname
        );
    }
    if plan.sessions.len() > 10 {
        say!("  and {} more", plan.sessions.len() - 10);
    }
    for expected in plan.alerts_to_look_for() {
        say!("Look for {expected}");
    }
    let Some(deployment) = deployment else {
        return Ok(played.outcome());
    };
    if played.was_stopped() {
        say!("Not verified: it was stopped.");
        return Ok(Outcome::SomethingLeft);
    }
    let patience = Duration::from_secs(arguments.patience);
    let agrees = tokio::select! {
        agrees = compare(&deployment, &plan, arguments.queue.as_deref(), patience) => agrees?,
        _ = tokio::signal::ctrl_c() => {
            say!("Not verified: it was stopped.");
            false
        }
    };
    match (agrees, played.outcome()) {
        (true, Outcome::Done) => Ok(Outcome::Done),
        (_, _) => Ok(Outcome::SomethingLeft),
    }
}

/// Compares the table, and the events of the bus, with what was sent.
async fn compare(
    deployment: &Deployment,
    plan: &Plan,
    queue: Option<&str>,
    patience: Duration,
) -> Result<bool, AnyError> {
    let mut agrees = verify::verify(deployment, plan, patience).await?;
    if let Some(queue_url) = queue {
        agrees &= queue::verify(&deployment.sqs(queue_url), queue_url, plan, patience).await?;
    }
    Ok(agrees)
}
