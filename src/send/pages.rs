//! The key of the links in alerts. It is fetched when a process begins; an alert waits for a newer
//! one for a moment only: one without a link is better than one that comes late.

use crate::alert::Pages;
use crate::secrets::Secrets;
use std::time::Duration;

/// How long an alert waits for a newer key of its link.
const FETCH: Duration = Duration::from_millis(300);

/// Where the pages of recordings are, and where the key of their links is.
#[derive(Debug)]
pub struct PageKeys {
    viewer: String,
    keys: Secrets,
    open_secs: u64,
}

impl PageKeys {
    /// Links to `viewer`, signed with the first of `keys`, open for `open_secs`.
    #[must_use]
    pub fn new(viewer: String, keys: Secrets, open_secs: u64) -> Self {
        Self {
            viewer,
            keys,
            open_secs,
        }
    }

    /// Fetches the key. Whether that succeeds doesn't matter: the first alert asks again.
    pub async fn warm(&self, now_ms: u64) {
        let _ = self.keys.warm(now_ms).await;
    }

    /// What links made at `now_ms` since the epoch are made with, if the key is there in time.
    pub async fn pages(&self, now_ms: u64) -> Option<Pages> {
        let keys = self.keys.current_within(FETCH, now_ms).await.ok()?;
        Some(Pages {
            viewer: self.viewer.clone(),
            key: keys.first()?.clone(),
            expires_at: now_ms / 1000 + self.open_secs,
        })
    }
}
