//! `recordings alerts`: what wasn't sent, sending it, and what was sent.

use crate::deployment::{Deployment, PATIENCE};
use crate::list::time_span;
use crate::outcome::{AnyError, Outcome};
use crate::terminal::{say, table};
use agora_recording_callbacks::alert::{Delivery, Destination, Outgoing, Progress};
use agora_recording_callbacks::clock::now_ms;
use agora_recording_callbacks::invocation::Invocation;
use agora_recording_callbacks::record::StoredAlert;
use agora_recording_callbacks::sweep::Hurry;
use agora_recording_callbacks::text::{clean, utc};
use clap::{Args, Subcommand};
use std::time::Duration;
use tokio::time::Instant;

/// Three a second: SNS suspends an email subscription that gets more than ten.
const PAUSE: Duration = Duration::from_millis(334);
/// How far `--sent` looks back by itself, in ms.
const A_DAY_MS: u64 = 24 * 60 * 60 * 1000;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the alerts that a destination wasn't told of, oldest first; or those that were sent
    List {
        /// What rang: the alerts that were sent, by destination, and the digest each left in
        #[arg(long)]
        sent: bool,
        /// Only those that were sent within this time, as 90s, 30m, 12h, 7d; a day by itself
        #[arg(long, value_name = "TIME", value_parser = time_span, requires = "sent")]
        since: Option<u64>,
    },
    /// Send alerts that are pending or were given up, and what took them back meanwhile
    Resend(Resend),
}

#[derive(Args)]
pub(crate) struct Resend {
    /// Their ids, as `list` prints them
    #[arg(required_unless_present = "all")]
    ids: Vec<String>,
    /// All that are pending or were given up
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// Also those that somebody else may be about to send; they may then come twice
    #[arg(long)]
    now: bool,
}

impl Resend {
    /// Those of `unsent` that are wanted, in their order.
    pub(crate) fn wanted<T>(
        &self,
        unsent: Vec<T>,
        id: impl Fn(&T) -> String,
    ) -> Result<Vec<T>, AnyError> {
        let is_there = |wanted: &&String| unsent.iter().any(|one| id(one) == **wanted);
        if let Some(unknown) = self.ids.iter().find(|wanted| !is_there(wanted)) {
            return Err(format!("{unknown} is neither pending nor given up").into());
        }
        let mut wanted = unsent;
        wanted.retain(|one| self.all || self.ids.contains(&id(one)));
        Ok(wanted)
    }

    /// True if it is left alone, because somebody may be about to send it.
    pub(crate) fn leaves_alone(&self, id: &str, outgoing: &Outgoing) -> bool {
        let Progress::Due(at) = outgoing.progress() else {
            return false;
        };
        let was_given_up = |it: &Delivery| matches!(it, Delivery::Failed { .. });
        if self.now || at <= now_ms() || outgoing.to.values().any(was_given_up) {
            return false;
        }
        let at = utc(at);
        say!("{id}  left alone: it is tried again at {at}; --now doesn't wait");
        true
    }

    pub(crate) fn hurry(&self) -> Hurry {
        if self.now { Hurry::Now } else { Hurry::Waits }
    }
}

pub(crate) async fn run(deployment: &Deployment, command: Command) -> Result<Outcome, AnyError> {
    let store = deployment.store();
    match command {
        Command::List { sent: true, since } => {
            let since_ms = now_ms().saturating_sub(since.unwrap_or(A_DAY_MS));
            list_sent(&store.sent_alerts(since_ms).await?, since_ms);
            Ok(Outcome::Done)
        }
        Command::List { sent: false, .. } => {
            list(&store.unsent_alerts().await?);
            Ok(Outcome::Done)
        }
        Command::Resend(resend) => {
            let unsent = store.unsent_alerts().await?;
            let wanted = resend.wanted(unsent, |stored| stored.alert.id().to_string())?;
            send_again(deployment, &resend, wanted).await
        }
    }
}

/// How often what isn't told yet was tried, and how it stands in a word.
pub(crate) fn untold(delivery: &Delivery) -> Option<(&'static str, u64)> {
    match delivery {
        Delivery::Pending { tries, .. } => Some(("pending", *tries)),
        Delivery::Failed { tries } => Some(("failed", *tries)),
        Delivery::Told { .. } | Delivery::Needless => None,
    }
}

fn list(unsent: &[StoredAlert]) {
    if unsent.is_empty() {
        say!("Every alert has been sent.");
        return;
    }
    let rows = unsent.iter().flat_map(|stored| {
        stored.outgoing.to.iter().filter_map(|(at, delivery)| {
            let (state, tries) = untold(delivery)?;
            Some(vec![
                stored.alert.id().to_string(),
                at.as_str().to_owned(),
                state.to_owned(),
                stored.alert.kind.as_str().to_owned(),
                clean(&stored.alert.cname, 40),
                utc(stored.outgoing.created_at),
                tries.to_string(),
            ])
        })
    });
    let header = ["id", "to", "state", "kind", "channel", "since", "tries"];
    say!("{}", table(&header, rows));
}

/// What was told since then, oldest first.
fn list_sent(sent: &[StoredAlert], since_ms: u64) {
    let told = sent.iter().flat_map(|stored| {
        let to = stored.outgoing.to.iter();
        to.filter_map(move |(at, delivery)| match delivery {
            Delivery::Told {
                at: when, digest, ..
            } => Some((*when, *at, digest.as_ref(), stored)),
            Delivery::Pending { .. } | Delivery::Needless | Delivery::Failed { .. } => None,
        })
    });
    let mut told: Vec<_> = told.filter(|(when, ..)| *when >= since_ms).collect();
    told.sort_by_key(|(when, at, ..)| (*when, *at));
    if told.is_empty() {
        say!("Nothing was sent since {}.", utc(since_ms));
        return;
    }
    let rows = told.into_iter().map(|(when, at, digest, stored)| {
        vec![
            utc(when),
            at.as_str().to_owned(),
            stored.alert.kind.as_str().to_owned(),
            clean(&stored.alert.cname, 40),
            stored.alert.id().to_string(),
            digest.map_or_else(String::new, ToString::to_string),
        ]
    });
    let header = ["sent", "to", "kind", "channel", "id", "in the digest"];
    say!("{}", table(&header, rows));
}

async fn send_again(
    deployment: &Deployment,
    resend: &Resend,
    wanted: Vec<StoredAlert>,
) -> Result<Outcome, AnyError> {
    let (store, sweeper) = (deployment.store(), deployment.sweeper());
    let mut left = 0;
    for stored in wanted {
        tokio::time::sleep(PAUSE).await;
        let alert_id = stored.alert.id();
        let id = alert_id.to_string();
        if resend.leaves_alone(&id, &stored.outgoing) {
            left += 1;
            continue;
        }
        let deadline = Instant::now() + PATIENCE;
        let invocation = Invocation::new(&deployment.owner, now_ms(), deadline);
        sweeper
            .send_alert_again(stored, resend.hurry(), invocation)
            .await?;
        let stored = store.stored_alert(&alert_id).await?;
        let to = stored.map(|stored| stored.outgoing.to).unwrap_or_default();
        let untold = to.iter().filter(|(_, delivery)| untold(delivery).is_some());
        let untold: Vec<_> = untold.map(|(at, _)| Destination::as_str(*at)).collect();
        if untold.is_empty() {
            say!("{id}  published");
        } else {
            say!("{id}  deferred at {}", untold.join(", "));
            left += 1;
        }
    }
    Ok(Outcome::of_left(left))
}
