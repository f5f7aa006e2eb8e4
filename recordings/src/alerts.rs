//! `recordings alerts`: lists alerts that weren't sent, and sends them.

use crate::deployment::{Deployment, PATIENCE};
use crate::outcome::{AnyError, Outcome};
use crate::terminal::{say, table};
use agora_recording_callbacks::clock::now_ms;
use agora_recording_callbacks::invocation::Invocation;
use agora_recording_callbacks::record::{AlertState, StoredAlert};
use agora_recording_callbacks::send::SendOutcome;
use agora_recording_callbacks::text::{clean, utc};
use clap::Subcommand;
use std::time::Duration;
use tokio::time::Instant;

/// Three a second: SNS suspends an email subscription that gets more than ten.
const PAUSE: Duration = Duration::from_millis(334);

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the alerts that are pending or were given up, oldest first
    List,
    /// Send alerts that are pending or were given up
    Resend {
        /// Their ids (`alertId` in the message), as `list` prints them
        #[arg(required_unless_present = "all")]
        ids: Vec<String>,
        /// All that are pending or were given up
        #[arg(long, conflicts_with = "ids")]
        all: bool,
        /// Also those that somebody else may be about to send; they may then come twice
        #[arg(long)]
        now: bool,
    },
}

pub(crate) async fn run(deployment: &Deployment, command: Command) -> Result<Outcome, AnyError> {
    let unsent = deployment.store().unsent_alerts().await?;
    match command {
        Command::List => {
            list(&unsent);
            Ok(Outcome::Done)
        }
        Command::Resend { ids, all, now } => {
            let unknown = ids.iter().find(|id| {
                !unsent
                    .iter()
                    .any(|stored| stored.alert.id().to_string() == **id)
            });
            if let Some(unknown) = unknown {
                return Err(format!("{unknown} is neither pending nor given up").into());
            }
            let wanted = unsent
                .iter()
                .filter(|stored| all || ids.contains(&stored.alert.id().to_string()));
            resend(deployment, wanted, now).await
        }
    }
}

fn list(unsent: &[StoredAlert]) {
    if unsent.is_empty() {
        say!("Every alert has been sent.");
        return;
    }
    let rows = unsent.iter().map(|stored| {
        vec![
            stored.alert.id().to_string(),
            stored.state.as_str().to_owned(),
            stored.alert.kind.as_str().to_owned(),
            clean(&stored.alert.cname, 40),
            utc(stored.created_at),
            stored.tries.to_string(),
        ]
    });
    let header = ["id", "state", "kind", "channel", "since", "tries"];
    say!("{}", table(&header, rows));
}

async fn resend(
    deployment: &Deployment,
    wanted: impl Iterator<Item = &StoredAlert>,
    now: bool,
) -> Result<Outcome, AnyError> {
    let (store, outbox) = (deployment.store(), deployment.outbox());
    let mut left = 0;
    for stored in wanted {
        tokio::time::sleep(PAUSE).await;
        let id = stored.alert.id();
        let now_ms = now_ms();
        if stored.state == AlertState::Pending && stored.due_at > now_ms && !now {
            say!(
                "{id}  left alone: it is tried again at {}; --now doesn't wait",
                utc(stored.due_at)
            );
            left += 1;
            continue;
        }
        let deadline = Instant::now() + PATIENCE;
        let invocation = Invocation::new(&deployment.owner, now_ms, deadline);
        let Some(lease) = store.reopen_alert(stored, invocation).await? else {
            say!("{id}  left alone: the sweeper has just taken it");
            left += 1;
            continue;
        };
        let sent = outbox.send(&store, &lease, invocation).await;
        let error = sent
            .error
            .map_or_else(String::new, |error| format!(" ({error})"));
        say!("{id}  {}{error}", sent.outcome.as_str());
        left += usize::from(sent.outcome != SendOutcome::Published);
    }
    Ok(Outcome::of_left(left))
}
