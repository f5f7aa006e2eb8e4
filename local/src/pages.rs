//! The sessions in a browser: a list at `/`, a page each at `/sessions/<sid>`, refreshed as long as
//! they are open.

use agora_recording_callbacks::clock::now_ms;
use agora_recording_callbacks::notification::Sid;
use agora_recording_callbacks::report::{Page, Report, Row, list_page, page};
use agora_recording_callbacks::store::{Store, StoreError};
use agora_recording_callbacks::watchdog::Rules;
use axum::http::StatusCode;
use axum::response::Response;

/// How often a page is refreshed.
const LIVE: Page = Page::Live(2);
/// Sessions on the list.
const NEWEST: usize = 200;

/// Where the pages come from.
pub(crate) struct Pages {
    pub(crate) store: Store,
    pub(crate) rules: Rules,
}

/// The page under a path; `None` where there is none.
pub(crate) async fn answer(pages: &Pages, path: &str) -> Option<Response> {
    let page = match path.strip_prefix("/sessions/") {
        Some(sid) => session(pages, &Sid::new(sid)?).await,
        None if path == "/" => list(pages).await.map(Some),
        None => return None,
    };
    let (status, page) = match page {
        Ok(Some(page)) => (StatusCode::OK, page),
        Ok(None) => (StatusCode::NOT_FOUND, "no such recording".to_owned()),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    };
    let response = Response::builder()
        .status(status)
        .header(
            "content-type",
            if status.is_success() {
                "text/html; charset=utf-8"
            } else {
                "text/plain; charset=utf-8"
            },
        )
        .header("cache-control", "no-store")
        .header("x-content-type-options", "nosniff");
    response.body(page.into()).ok()
}

async fn list(Pages { store, rules }: &Pages) -> Result<String, StoreError> {
    let keys = store.session_keys(None, 0).await?;
    let sids: Vec<_> = keys.into_iter().take(NEWEST).map(|key| key.sid).collect();
    let sessions = store.sessions(&sids).await?;
    let rows = sessions.into_iter().map(|session| Row::of(session, rules));
    let rows: Vec<_> = rows.collect();
    Ok(list_page(&rows, now_ms(), LIVE))
}

async fn session(Pages { store, rules }: &Pages, sid: &Sid) -> Result<Option<String>, StoreError> {
    let record = store.record(sid).await?;
    Ok(record.map(|record| page(&Report::of(&record, rules, now_ms()), &record, LIVE)))
}
