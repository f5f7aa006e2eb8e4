//! `recordings test-alert`: one marked alert of each kind, so that whoever should get them can say
//! so.

use crate::advice::advice;
use crate::deployment::Deployment;
use crate::outcome::{AnyError, Outcome};
use crate::terminal::say;
use agora_recording_callbacks::alert::{AlertKind, rehearsal};
use agora_recording_callbacks::clock::now_ms;
use agora_recording_callbacks::error::chain;
use clap::Args;

#[derive(Args)]
#[command(after_help = "Examples:
  recordings test-alert
  recordings test-alert --kind fatal_error
  recordings test-alert --all

Filters on the topic can tell these by the message attribute `test`, programs by `test` in
`metadata.additionalContext`.")]
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
    let kinds = match (arguments.all, arguments.kind.as_slice()) {
        (true, _) => AlertKind::ALL.to_vec(),
        (false, []) => deployment.config.alert_kinds.clone(),
        (false, kinds) => kinds.to_vec(),
    };
    let topic = deployment.topic();
    let mut failed = 0;
    for kind in kinds {
        let test = rehearsal(kind, now_ms());
        match topic.publish(&test).await {
            Ok(id) => say!(
                "{:<28} published, message id {id}\n{:28} subject: {}",
                kind.as_str(),
                "",
                test.subject
            ),
            Err(error) => {
                failed += 1;
                let error = chain(&error);
                say!("{:<28} NOT published: {error}", kind.as_str());
                if let Some(advice) = advice(&error) {
                    say!("{advice}");
                }
            }
        }
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
