//! `recordings quarantine`: lists bodies in quarantine, and tries them again with today's parser.

use crate::deployment::Deployment;
use crate::outcome::{AnyError, Outcome};
use crate::terminal::{say, table};
use agora_recording_callbacks::clock::now_ms;
use agora_recording_callbacks::error::chain;
use agora_recording_callbacks::event::without_stream_keys;
use agora_recording_callbacks::intake::{Outcome as Handled, Preview, Redriven, Stale};
use agora_recording_callbacks::notification::Notification;
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
    /// Read bodies again, store what can be read now, alert if it is alarming, and take it out of
    /// quarantine
    Redrive {
        /// Their keys, as `list` prints them; without any, all of the days asked for
        keys: Vec<String>,
        #[command(flatten)]
        days: Days,
        /// Take those that were too old when they came, too
        #[arg(long)]
        stale: bool,
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
            stale,
            dry_run,
        } => {
            if !dry_run {
                deployment.require_settings()?;
            }
            let bodies = bodies(deployment, &keys, &days).await?;
            let stale = if stale { Stale::Take } else { Stale::Leave };
            if dry_run {
                preview(deployment, &bodies, stale)
            } else {
                redrive(deployment, &bodies, stale).await
            }
        }
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
            format!("{} bytes", body.length),
        ]
    });
    say!("{}", table(&["key", "received", "reason", "size"], rows));
    Ok(Outcome::Done)
}

async fn show(deployment: &Deployment, key: &str, raw: bool) -> Result<Outcome, AnyError> {
    let body = find(deployment, key).await?;
    if raw {
        std::io::stdout().write_all(body.beginning())?;
        return Ok(Outcome::Done);
    }
    say!("received  {}", utc(body.received_at));
    say!("reason    {}", body.reason);
    say!("size      {} bytes\n", body.length);
    let text = String::from_utf8_lossy(body.beginning());
    let pretty = serde_json::from_str::<serde_json::Value>(&text)
        .and_then(|json| serde_json::to_string_pretty(&without_stream_keys(&json)));
    // What comes from outside must not steer the terminal.
    for line in pretty.as_deref().unwrap_or(&text).lines() {
        say!("{}", clean(line, usize::MAX));
    }
    Ok(Outcome::Done)
}

/// The bodies under `keys`, or all of the days asked for if there are none.
async fn bodies(
    deployment: &Deployment,
    keys: &[String],
    days: &Days,
) -> Result<Vec<Quarantined>, AnyError> {
    if keys.is_empty() {
        return of_days(deployment, days).await;
    }
    let mut bodies = Vec::new();
    for key in keys {
        bodies.push(find(deployment, key).await?);
    }
    Ok(bodies)
}

fn preview(
    deployment: &Deployment,
    bodies: &[Quarantined],
    stale: Stale,
) -> Result<Outcome, AnyError> {
    let intake = deployment.intake();
    let mut left = 0;
    for body in bodies {
        let what = match intake.preview(body, stale) {
            Preview::Stays(stays) => {
                left += 1;
                format!("stays: {stays}")
            }
            Preview::Readable { callback, alert } => {
                let alert =
                    alert.map_or_else(String::new, |kind| format!(", alert {}", kind.as_str()));
                format!("can be read: {}{alert}", describe(&callback))
            }
        };
        say!("{}  {what}", body.item);
    }
    say!(
        "{} would leave quarantine, {left} stay.",
        bodies.len() - left
    );
    Ok(Outcome::of_left(left))
}

async fn redrive(
    deployment: &Deployment,
    bodies: &[Quarantined],
    stale: Stale,
) -> Result<Outcome, AnyError> {
    let intake = deployment.intake();
    let mut left = Vec::new();
    for body in bodies {
        let redriven = intake.redrive(body, stale, deployment.invocation()).await;
        let (is_out, what) = match redriven {
            Ok(Redriven::Stays(stays)) => (false, format!("stays: {stays}")),
            Ok(Redriven::Handled(handled)) => {
                (handled.reply.status() == 200, describe_outcome(&handled))
            }
            // It is stored by now; redriven again it is a duplicate.
            Err(error) => (false, format!("stored, but stays: {}", chain(&error))),
        };
        say!("{}  {what}", body.item);
        if !is_out {
            left.push((&body.item, what));
        }
    }
    say!(
        "{} left quarantine, {} stay.",
        bodies.len() - left.len(),
        left.len()
    );
    if bodies.len() > left.len() {
        for (key, what) in &left {
            say!("Still there: {key}  {what}");
        }
    }
    Ok(Outcome::of_left(left.len()))
}

fn describe_outcome(handled: &Handled) -> String {
    let mut what = handled.reply.result().to_owned();
    if let Some(callback) = &handled.callback {
        what.push_str(&format!(": {}", describe(callback)));
    }
    if let Some(alert) = handled.alert {
        what.push_str(&format!(", alert {}", alert.as_str()));
    }
    if let Some(error) = &handled.error {
        what.push_str(&format!(" ({error})"));
    }
    what
}

fn describe(callback: &Notification) -> String {
    format!(
        "{}, number {}, event {}",
        callback.sid, callback.sequence, callback.event_type
    )
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

/// The body under a key, which begins with its arrival.
async fn find(deployment: &Deployment, key: &str) -> Result<Quarantined, AnyError> {
    let received_at = key.split('#').next().and_then(|ms| ms.parse().ok());
    let received_at =
        received_at.ok_or_else(|| format!("{key:?} isn't a key printed by `list`"))?;
    let bodies = deployment.store().quarantined(received_at).await?;
    let body = bodies.into_iter().find(|body| body.item == key);
    body.ok_or_else(|| format!("{key} isn't in quarantine").into())
}
