//! The receiver behind plain HTTP, the pages of the sessions beside it, and the client that replays
//! through it.

use crate::pages::{self, Pages};
use agora_recording_callbacks::clock::now_ms;
use agora_recording_callbacks::intake::Outcome;
use agora_recording_callbacks::invocation::Invocation;
use agora_recording_callbacks::receive::{self, Receiver, Request};
use agora_recording_callbacks::signature::MAX_BODY;
use agora_recording_callbacks::signature::SignatureHeaders;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use testkit::engine::AnyError;
use testkit::sign;
use tokio::net::TcpListener;
use tokio::time::Instant;

/// Serves `receiver` on `listener`, and `pages` to whoever asks with GET. Prints a line for every
/// callback while `loud` is set.
pub(crate) fn serve(
    listener: TcpListener,
    receiver: Arc<Receiver>,
    pages: Option<Pages>,
    loud: Arc<AtomicBool>,
) -> Result<SocketAddr, AnyError> {
    let address = listener.local_addr()?;
    let count = Arc::new(AtomicU64::new(0));
    let pages = pages.map(Arc::new);
    let router = Router::new().fallback(
        move |method: Method, uri: Uri, headers: HeaderMap, body: Body| {
            let receiver = Arc::clone(&receiver);
            let pages = pages.clone();
            let loud = loud.load(Ordering::Relaxed);
            let request_id = format!(
                "local-{}-{}",
                now_ms(),
                count.fetch_add(1, Ordering::Relaxed)
            );
            async move {
                if let (&Method::GET | &Method::HEAD, Some(pages)) = (&method, pages) {
                    return pages::answer(&pages, &method, &uri).await;
                }
                answer(&receiver, &request_id, &method, &headers, body, loud).await
            }
        },
    );
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

async fn answer(
    receiver: &Receiver,
    request_id: &str,
    method: &Method,
    headers: &HeaderMap,
    body: Body,
    loud: bool,
) -> Response {
    let body = axum::body::to_bytes(body, MAX_BODY).await;
    let request = Request {
        method,
        signature: SignatureHeaders::find(headers),
        body: match &body {
            Ok(body) => receive::Body::Bytes(body),
            Err(_) => receive::Body::TooLarge,
        },
    };
    let deadline = Instant::now() + Duration::from_secs(9);
    let invocation = Invocation::new(request_id, now_ms(), deadline);
    let outcome = receiver.receive(request, invocation).await;
    if loud {
        print(&outcome);
    }
    outcome.reply.to_response()
}

/// One line a callback.
fn print(outcome: &Outcome) {
    let callback = outcome
        .callback
        .as_ref()
        .map_or_else(String::new, |callback| {
            format!(
                "sid {}  number {:<4} event {:<4}",
                callback.sid, callback.sequence, callback.event_type
            )
        });
    let alert = outcome
        .alert
        .map_or_else(String::new, |alert| format!("  alert {}", alert.as_str()));
    println!(
        "{} {:<17} {callback}{alert}",
        outcome.reply.status(),
        outcome.reply.result()
    );
    if let Some(error) = &outcome.error {
        println!("    {error}");
    }
}

/// Signs a body and posts it, as Agora does.
pub(crate) async fn post(door: SocketAddr, body: &str) -> Result<(), AnyError> {
    let answer = reqwest::Client::new()
        .post(format!("http://{door}/"))
        .header("content-type", "application/json")
        .header(
            "Agora-Signature-V2",
            sign::v2(sign::LOCAL_SECRET, body.as_bytes()),
        )
        .body(body.to_owned())
        .send()
        .await?;
    if answer.status() != 200 {
        return Err(format!(
            "the receiver answered {}: {}",
            answer.status(),
            answer.text().await?
        )
        .into());
    }
    Ok(())
}
