//! `recordings quarantine`: what could not be read, and a second try with the parser of today.

use crate::deployment::Deployment;
use crate::outcome::{AnyError, Outcome};
use crate::terminal::{say, table};
use agora_recording_callbacks::clock::now_ms;
use agora_recording_callbacks::intake::Redriven;
use agora_recording_callbacks::store::Quarantined;
use agora_recording_callbacks::text::{clean, utc};
use clap::{Args, Subcommand};
use std::io::Write;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List what is in quarantine, oldest first
    List {
        #[command(flatten)]
        days: Days,
    },
    /// Show one body, and why it could not be read
    Show {
        /// Its key, as `list` prints it
        key: String,
        /// Print the body as it came, and nothing else
        #[arg(long)]
        raw: bool,
    },
    /// Read bodies again, store what can be read now, alert if it is alarming, and take it out of quarantine
    Redrive {
        /// Their keys, as `list` prints them; without any, all of the days asked for
        keys: Vec<String>,
        #[command(flatten)]
        days: Days,
        /// Only say what would become of each
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Args)]
pub(crate) struct Days {
    /// How many days back, today included
    #[arg(long, default_value_t = 14)]
    days: u64,
}

pub(crate) async fn run(deployment: &Deployment, command: Command) -> Result<Outcome, AnyError> {
    match command {
        Command::List { days } => list(deployment, &days).await,
        Command::Show { key, raw } => show(deployment, &key, raw).await,
        Command::Redrive {
            keys,
            days,
            dry_run,
        } => redrive(deployment, &keys, &days, dry_run).await,
    }
}

async fn list(deployment: &Deployment, days: &Days) -> Result<Outcome, AnyError> {
    let bodies = of_days(deployment, days).await?;
    if bodies.is_empty() {
        say!("Nothing was quarantined in the last {} days.", days.days);
        return Ok(Outcome::Done);
    }
    let rows = bodies.iter().map(|body| {
        vec![
            body.item.clone(),
            utc(body.received_at),
            body.reason.clone(),
            format!("{} bytes", body.body.len()),
        ]
    });
    say!("{}", table(&["key", "received", "reason", "size"], rows));
    Ok(Outcome::Done)
}

async fn show(deployment: &Deployment, key: &str, raw: bool) -> Result<Outcome, AnyError> {
    let body = find(deployment, key).await?;
    if raw {
        std::io::stdout().write_all(&body.body)?;
        return Ok(Outcome::Done);
    }
    say!("received  {}", utc(body.received_at));
    say!("reason    {}", body.reason);
    say!("size      {} bytes\n", body.body.len());
    let text = String::from_utf8_lossy(&body.body);
    let pretty = serde_json::from_str::<serde_json::Value>(&text)
        .and_then(|json| serde_json::to_string_pretty(&json));
    // What comes from outside must not steer the terminal.
    for line in pretty.as_deref().unwrap_or(&text).lines() {
        say!("{}", clean(line, usize::MAX));
    }
    Ok(Outcome::Done)
}

async fn redrive(
    deployment: &Deployment,
    keys: &[String],
    days: &Days,
    dry_run: bool,
) -> Result<Outcome, AnyError> {
    let mut bodies = Vec::new();
    if keys.is_empty() {
        bodies = of_days(deployment, days).await?;
    }
    for key in keys {
        bodies.push(find(deployment, key).await?);
    }
    let intake = deployment.intake();
    let (mut out, mut left) = (0, 0);
    for body in &bodies {
        let redriven = intake.redrive(body, dry_run, deployment.call()).await?;
        let (is_out, what) = describe(&redriven);
        say!("{}  {what}", body.item);
        if is_out { out += 1 } else { left += 1 }
    }
    let verb = if dry_run { "would leave" } else { "left" };
    say!("{out} {verb} quarantine, {left} stay.");
    Ok(Outcome::of_left(left))
}

/// What became of a body, and whether it is out of quarantine or would be.
fn describe(redriven: &Redriven) -> (bool, String) {
    match redriven {
        Redriven::Unreadable(reason) => (false, format!("stays: {reason}")),
        Redriven::Ignored(why) => (false, format!("stays: {why} is never stored")),
        Redriven::Readable { callback, alert } => {
            let alert = alert.map_or_else(String::new, |kind| format!(", alert {}", kind.as_str()));
            let (sid, sequence) = (&callback.sid, callback.sequence);
            let event = callback.event_type;
            (
                true,
                format!("can be read: {sid}, number {sequence}, event {event}{alert}"),
            )
        }
        Redriven::Handled(handled) => {
            let is_stored = handled.reply.status() == 200;
            let mut what = handled.reply.result().to_owned();
            if let Some(callback) = &handled.callback {
                let (sid, sequence) = (&callback.sid, callback.sequence);
                what.push_str(&format!(
                    ": {sid}, number {sequence}, event {}",
                    callback.event_type
                ));
            }
            if let Some(alert) = handled.alert {
                what.push_str(&format!(", alert {}", alert.as_str()));
            }
            if let Some(error) = &handled.error {
                what.push_str(&format!(" ({error})"));
            }
            (is_stored, what)
        }
    }
}

async fn of_days(deployment: &Deployment, days: &Days) -> Result<Vec<Quarantined>, AnyError> {
    let store = deployment.store();
    let now_ms = now_ms();
    let mut bodies = Vec::new();
    for back in (0..days.days).rev() {
        bodies.extend(
            store
                .quarantined(now_ms.saturating_sub(back * DAY_MS))
                .await?,
        );
    }
    Ok(bodies)
}

/// The body under a key; the key begins with the time that it came.
async fn find(deployment: &Deployment, key: &str) -> Result<Quarantined, AnyError> {
    let received_at = key.split('#').next().and_then(|ms| ms.parse().ok());
    let received_at =
        received_at.ok_or_else(|| format!("{key:?} isn't a key printed by `list`"))?;
    let bodies = deployment.store().quarantined(received_at).await?;
    let body = bodies.into_iter().find(|body| body.item == key);
    body.ok_or_else(|| format!("{key} isn't in quarantine").into())
}
