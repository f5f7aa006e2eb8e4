//! Sends the callbacks of a plan when their time has come, signed, with Agora's retries.

use super::plan::{Delivery, Plan};
use crate::outcome::{AnyError, Outcome};
use crate::sign::v2;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Callbacks under way at the same time, at most.
const AT_ONCE: usize = 64;
/// How long an answer is waited for, as Agora does.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pauses before each further try.
const PAUSES: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// Counts of the answers to the copies that were sent.
#[derive(Debug, Default)]
pub(super) struct Played {
    accepted: usize,
    retried: usize,
    /// Copies that weren't accepted in the end, by their last answer.
    refused: BTreeMap<String, usize>,
    /// Stopped before.
    unanswered: usize,
}

impl Played {
    pub(super) fn was_stopped(&self) -> bool {
        self.unanswered > 0
    }

    pub(super) fn outcome(&self) -> Outcome {
        if self.refused.is_empty() && !self.was_stopped() {
            Outcome::Done
        } else {
            Outcome::SomethingLeft
        }
    }
}

impl fmt::Display for Played {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} accepted", self.accepted)?;
        if self.retried > 0 {
            write!(f, ", {} tried again", self.retried)?;
        }
        for (answer, count) in &self.refused {
            write!(f, "; {count} NOT accepted: {answer}")?;
        }
        if self.was_stopped() {
            write!(f, "; stopped, {} not sent or not answered", self.unanswered)?;
        }
        Ok(())
    }
}

/// Plays a plan; Ctrl-C ends it early.
///
/// # Errors
/// The URL is malformed, or the receiver refuses the signature: nothing more is sent then.
pub(super) async fn play(plan: &Plan, url: &str, secret: &str) -> Result<Played, AnyError> {
    let connector = Arc::new(
        Connector::builder()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .build(),
    );
    let bar = ProgressBar::new(plan.deliveries.len().try_into()?);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len}  {eta} left") {
        bar.set_style(style);
    }
    let (started, started_ms) = (Instant::now(), agora_recording_callbacks::clock::now_ms());
    let mut played = Played::default();
    let everything = async {
        let mut on_their_way = JoinSet::new();
        for delivery in &plan.deliveries {
            let Some((body, after)) = body(plan, delivery, started_ms) else {
                continue;
            };
            sleep_until(started + after).await;
            if on_their_way.len() >= AT_ONCE
                && let Some(answer) = on_their_way.join_next().await
            {
                bar.inc(1);
                played.note(answer?)?;
            }
            let request = Request {
                url: url.to_owned(),
                signature: v2(secret, body.as_bytes())?,
                body,
            };
            let connector = Arc::clone(&connector);
            on_their_way.spawn(async move { deliver(&connector, &request).await });
        }
        while let Some(answer) = on_their_way.join_next().await {
            bar.inc(1);
            played.note(answer?)?;
        }
        Ok::<_, AnyError>(())
    };
    tokio::select! {
        played = everything => played?,
        _ = tokio::signal::ctrl_c() => {}
    }
    bar.finish_and_clear();
    played.unanswered =
        plan.deliveries.len() - played.accepted - played.refused.values().sum::<usize>();
    Ok(played)
}

fn body(plan: &Plan, delivery: &Delivery, started_ms: u64) -> Option<(String, Duration)> {
    let session = plan.sessions.get(delivery.session)?;
    let callback = session.callbacks.get(delivery.callback)?;
    let body = session.body(callback, started_ms + delivery.after_ms);
    Some((body, Duration::from_millis(delivery.after_ms)))
}

/// A signed callback.
struct Request {
    url: String,
    /// `Agora-Signature-V2`.
    signature: String,
    body: String,
}

/// How a delivery ended.
struct Answer {
    tries: usize,
    /// The status, or why there is none.
    status: Result<u16, String>,
}

impl Played {
    fn note(&mut self, answer: Answer) -> Result<(), AnyError> {
        self.retried += answer.tries - 1;
        let said = match answer.status {
            Ok(200) => {
                self.accepted += 1;
                return Ok(());
            }
            Ok(401) => {
                return Err("401: the receiver uses a different secret; stopped sending".into());
            }
            Ok(status) => format!("answered {status}"),
            Err(error) => error,
        };
        *self.refused.entry(said).or_default() += 1;
        Ok(())
    }
}

async fn deliver(connector: &Connector, request: &Request) -> Answer {
    let mut tries = 0;
    loop {
        tries += 1;
        let status = post(connector, request).await;
        match (&status, PAUSES.get(tries - 1)) {
            (Ok(200 | 401), _) | (_, None) => return Answer { tries, status },
            (_, Some(pause)) => sleep(*pause).await,
        }
    }
}

async fn post(connector: &Connector, request: &Request) -> Result<u16, String> {
    let Request {
        url,
        signature,
        body,
    } = request;
    let mut request = HttpRequest::new(SdkBody::from(body.as_str()));
    let unsendable = |_| format!("{url} isn't a valid URL");
    request
        .set_method("POST")
        .map_err(|error| error.to_string())?;
    request.set_uri(url.as_str()).map_err(unsendable)?;
    let headers = request.headers_mut();
    headers.insert("content-type", "application/json");
    headers.insert("content-length", body.len().to_string());
    headers.insert("agora-signature-v2", signature.clone());
    match timeout(PATIENCE, connector.call(request)).await {
        Ok(Ok(answer)) => Ok(answer.status().as_u16()),
        Ok(Err(_)) => Err(format!("{url} can't be reached")),
        Err(_) => Err(format!("{url} doesn't answer")),
    }
}
