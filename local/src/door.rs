//! The receiver behind plain HTTP, the pages of the sessions beside it, and the client that replays through it.

use crate::pages;
use agora_recording_callbacks::clock::now_ms;
use agora_recording_callbacks::intake::{Call, Handled};
use agora_recording_callbacks::receive::{Receiver, Request};
use agora_recording_callbacks::signature::{SIGNATURE_V1, SIGNATURE_V2, SignatureHeaders};
use agora_recording_callbacks::store::Store;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use testkit::engine::AnyError;
use testkit::sign;
use tokio::net::TcpListener;
use tokio::time::Instant;

/// A little more than the largest body, so that the receiver itself says what is too large.
const LIMIT: usize = 1024 * 1024;

/// Serves `receiver` on `listener`, and prints a line for every callback while `loud` is set; the pages of the sessions in
/// `pages`, to whoever asks with GET.
pub(crate) fn serve(
    listener: TcpListener,
    receiver: Arc<Receiver>,
    pages: Option<Store>,
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
                if let (&Method::GET, Some(store)) = (&method, pages)
                    && let Some(page) = pages::answer(&store, uri.path()).await
                {
                    return page;
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
    let body = axum::body::to_bytes(body, LIMIT)
        .await
        .unwrap_or_else(|_| vec![0; LIMIT].into());
    let values = |name| {
        headers
            .get_all(name)
            .iter()
            .map(|value| value.as_bytes())
            .collect::<Vec<_>>()
    };
    let (v2, v1) = (values(SIGNATURE_V2), values(SIGNATURE_V1));
    let request = Request {
        is_post: method == Method::POST,
        signature: SignatureHeaders { v2: &v2, v1: &v1 },
        body: Some(&body),
    };
    let call = Call {
        request_id,
        now_ms: now_ms(),
        deadline: Instant::now() + Duration::from_secs(9),
    };
    let handled = receiver.receive(request, call).await;
    if loud {
        print(&handled);
    }
    let status =
        StatusCode::from_u16(handled.reply.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::builder()
        .status(status)
        .header("content-type", "application/json");
    if let Some((name, value)) = handled.reply.header() {
        response = response.header(name, value);
    }
    response
        .body(handled.reply.body().into())
        .unwrap_or_default()
}

/// One line a callback.
fn print(handled: &Handled) {
    let callback = handled
        .callback
        .as_ref()
        .map_or_else(String::new, |callback| {
            format!(
                "sid {}  number {:<4} event {:<4}",
                callback.sid, callback.sequence, callback.event_type
            )
        });
    let alert = handled
        .alert
        .map_or_else(String::new, |alert| format!("  alert {}", alert.as_str()));
    println!(
        "{} {:<17} {callback}{alert}",
        handled.reply.status(),
        handled.reply.result()
    );
    if let Some(error) = &handled.error {
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
