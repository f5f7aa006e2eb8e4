//! `recordings test-alert`: a marked alert of each kind, and its resolution, so that whoever
//! should get them can say so.

use crate::advice::advice;
use crate::deployment::{Deployment, PATIENCE};
use crate::outcome::{AnyError, Outcome};
use crate::terminal::say;
use agora_recording_callbacks::alert::{AlertKind, Destination, Message, rehearsal};
use agora_recording_callbacks::clock::now_ms;
use agora_recording_callbacks::error::chain;
use agora_recording_callbacks::send::Outbox;
use agora_recording_callbacks::topic::Topics;
use clap::Args;
use std::time::Duration;
use tokio::time::Instant;

/// Three a second: SNS suspends an email subscription that gets more than ten.
const PAUSE: Duration = Duration::from_millis(334);

#[derive(Args)]
#[command(after_help = "Examples:
  recordings test-alert
  recordings test-alert --kind fatal_error
  recordings test-alert --all

First it lists who is subscribed. An alert that can be taken back is followed by the notice that
does it, with the same `incident`; the others stay open in a pager until a person closes them.
Programs can tell test alerts by `test` in `metadata.additionalContext`, on the bus in `detail`.")]
pub(crate) struct Arguments {
    /// Which kinds; without any, those that the receiver sends by default
    #[arg(long, value_parser = kind)]
    kind: Vec<AlertKind>,
    /// Every kind there is
    #[arg(long, conflicts_with = "kind")]
    all: bool,
}

fn kind(word: &str) -> Result<AlertKind, String> {
    AlertKind::read(word).ok_or_else(|| {
        let kinds = AlertKind::ALL;
        let kinds: Vec<_> = kinds.into_iter().map(AlertKind::as_str).collect();
        format!("one of {}", kinds.join(", "))
    })
}

pub(crate) async fn run(
    deployment: &Deployment,
    arguments: &Arguments,
) -> Result<Outcome, AnyError> {
    let outbox = deployment.outbox();
    let kinds = match (arguments.all, arguments.kind.as_slice()) {
        (true, _) => AlertKind::configurable(),
        (false, []) => deployment.config.alert_kinds.clone(),
        (false, kinds) => kinds.to_vec(),
    };
    let with_resolutions = kinds
        .into_iter()
        .flat_map(|kind| [Some(kind), kind.resolution()].into_iter().flatten());
    let with_resolutions: Vec<_> = with_resolutions.collect();
    list_subscriptions(&outbox.topics).await;
    say!(
        "{} alerts follow, three a second. They reach everybody who is subscribed.\n",
        with_resolutions.len()
    );
    let (mut failed, began_ms) = (0, now_ms());
    let links = outbox.links(began_ms).await;
    for (n, kind) in with_resolutions.into_iter().enumerate() {
        if n > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        let test = rehearsal(kind, &links, began_ms);
        for to in outbox.destinations(kind) {
            let published = publish(&outbox, to, &test).await;
            let (kind, topic) = (kind.as_str(), to.as_str());
            match published {
                Ok(id) => say!("{kind:<28} {topic:<8} published, message id {id}"),
                Err(error) => {
                    failed += 1;
                    say!("{kind:<28} {topic:<8} NOT published: {error}");
                    if let Some(advice) = advice(&error) {
                        say!("{advice}");
                    }
                }
            }
        }
        say!("{:28} subject: {}", "", test.subject);
    }
    if failed > 0 {
        return Ok(Outcome::of_left(failed));
    }
    say!(
        "Look for subjects that begin with [TEST] at every subscriber: mail, pager, chat. If one \
         is missing, check that its subscription is confirmed and has no filter."
    );
    Ok(Outcome::Done)
}

/// Publishes a test alert to one destination.
async fn publish(outbox: &Outbox, to: Destination, test: &Message) -> Result<String, String> {
    let published = outbox.publish_to(to, test, Instant::now() + PATIENCE).await;
    published.map_err(|error| chain(&error))
}

/// Lists who is subscribed to each topic, and whether alerts get there.
async fn list_subscriptions(topics: &Topics) {
    for to in Destination::ALL {
        let Some(arn) = topics.arn(to) else {
            continue;
        };
        say!("{:<8} {arn}", to.as_str());
        match topics.subscriptions(arn).await {
            Ok(subscriptions) => {
                for one in &subscriptions {
                    let state = if one.is_confirmed {
                        "confirmed"
                    } else {
                        "NOT CONFIRMED: nothing is sent there"
                    };
                    say!("{:8} {:<8} {:<40} {state}", "", one.protocol, one.endpoint);
                }
                if !subscriptions.iter().any(|one| one.is_confirmed) {
                    say!("{:8} NOBODY listens to this topic.", "");
                }
            }
            Err(error) => {
                say!(
                    "{:8} who is subscribed can't be told: {}",
                    "",
                    chain(&error)
                );
            }
        }
    }
}
