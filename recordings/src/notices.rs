//! `recordings notices`: what programs weren't told, and telling them.

use crate::alerts::{Resend, untold};
use crate::deployment::{Deployment, PATIENCE};
use crate::outcome::{AnyError, Outcome};
use crate::terminal::{say, table};
use agora_recording_callbacks::clock::now_ms;
use agora_recording_callbacks::invocation::Invocation;
use agora_recording_callbacks::store::StoredNotice;
use agora_recording_callbacks::text::{clean, utc};
use clap::Subcommand;
use tokio::time::Instant;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the notices that are pending or were given up, oldest first
    List,
    /// Tell programs what is pending or was given up, as it is true now
    Resend(Resend),
}

pub(crate) async fn run(deployment: &Deployment, command: Command) -> Result<Outcome, AnyError> {
    let unsent = deployment.store().unsent_notices().await?;
    match command {
        Command::List => {
            list(&unsent);
            Ok(Outcome::Done)
        }
        Command::Resend(resend) => {
            let wanted = resend.wanted(unsent, |stored| stored.notice.id())?;
            send_again(deployment, &resend, wanted).await
        }
    }
}

fn list(unsent: &[StoredNotice]) {
    if unsent.is_empty() {
        say!("Programs have been told everything.");
        return;
    }
    let rows = unsent.iter().flat_map(|stored| {
        stored.outgoing.to.values().filter_map(|delivery| {
            let (state, tries) = untold(delivery)?;
            Some(vec![
                stored.notice.id(),
                state.to_owned(),
                stored.notice.news.detail_type().to_owned(),
                clean(&stored.notice.cname, 40),
                utc(stored.outgoing.created_at),
                tries.to_string(),
            ])
        })
    });
    let header = ["id", "state", "about", "channel", "since", "tries"];
    say!("{}", table(&header, rows));
}

async fn send_again(
    deployment: &Deployment,
    resend: &Resend,
    wanted: Vec<StoredNotice>,
) -> Result<Outcome, AnyError> {
    let sweeper = deployment.sweeper();
    let mut sent = Vec::new();
    let mut left = 0;
    for stored in wanted {
        let id = stored.notice.id();
        if resend.leaves_alone(&id, &stored.outgoing) {
            left += 1;
            continue;
        }
        let deadline = Instant::now() + PATIENCE;
        let invocation = Invocation::new(&deployment.owner, now_ms(), deadline);
        sweeper
            .send_notice_again(stored, resend.hurry(), invocation)
            .await?;
        sent.push(id);
    }
    let unsent = deployment.store().unsent_notices().await?;
    let unsent: Vec<_> = unsent.iter().map(|stored| stored.notice.id()).collect();
    for id in sent {
        if unsent.contains(&id) {
            say!("{id}  deferred");
            left += 1;
        } else {
            say!("{id}  done");
        }
    }
    Ok(Outcome::of_left(left))
}
