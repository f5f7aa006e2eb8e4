//! The recordings in a browser: a list of all at `/`, which leads to their pages, behind signed
//! links as the viewer function has them.

use agora_recording_callbacks::clock::now_ms;
use agora_recording_callbacks::error::chain;
use agora_recording_callbacks::invocation::Invocation;
use agora_recording_callbacks::link::Place;
use agora_recording_callbacks::report::{List, Page, Row, Served, list_page};
use agora_recording_callbacks::secrets::Secret;
use agora_recording_callbacks::store::{Store, StoreError};
use agora_recording_callbacks::viewer::{Answer, Request, Viewer};
use agora_recording_callbacks::watchdog::Rules;
use axum::http::{Method, Uri};
use axum::response::{IntoResponse, Response};
use std::time::Duration;
use tokio::time::Instant;

/// How often a page fetches itself again, in seconds.
pub(crate) const REFRESH_SECS: u32 = 2;
/// Recordings on the list.
const NEWEST: usize = 200;
/// How long links open, in s.
pub(crate) const OPEN_SECS: u64 = 72 * 60 * 60;
/// How long a page may take.
const PATIENCE: Duration = Duration::from_secs(9);

/// Where the pages come from.
pub(crate) struct Pages {
    pub(crate) store: Store,
    pub(crate) viewer: Viewer,
    pub(crate) key: Secret,
    pub(crate) rules: Rules,
}

/// Answers whoever asks for a page.
pub(crate) async fn answer(pages: &Pages, method: &Method, uri: &Uri) -> Response {
    if uri.path() == "/" && uri.query().is_none() {
        return match list(pages).await {
            Ok(page) => Answer::Page(page).into_response(method),
            Err(error) => chain(&error).into_response(),
        };
    }
    let request = Request {
        method,
        path: uri.path(),
        query: uri.query().unwrap_or_default(),
    };
    let invocation = Invocation::new("local-view", now_ms(), Instant::now() + PATIENCE);
    let viewed = pages.viewer.view(request, invocation).await;
    viewed.answer.into_response(method)
}

/// Everything, newest first.
async fn list(pages: &Pages) -> Result<String, StoreError> {
    let keys = pages.store.session_keys(None, 0).await?;
    let sids: Vec<_> = keys.into_iter().take(NEWEST).map(|key| key.sid).collect();
    let sessions = pages.store.sessions(&sids).await?.into_iter();
    let now_ms = now_ms();
    let expires_at = now_ms / 1000 + OPEN_SECS;
    let rows: Vec<_> = sessions
        .map(|session| {
            let row = Row::of(session, &pages.rules);
            let place = Place::Recording(row.sid.clone());
            (row, place.link(expires_at, &pages.key))
        })
        .collect();
    let list = List {
        title: "Recordings",
        note: "",
        rows: &rows,
        other: None,
        now_ms,
    };
    let served = Served {
        refresh: Some(REFRESH_SECS),
        ..Served::default()
    };
    Ok(list_page(&list, Page::Served(served)))
}
