//! A digest's item: it names its members before it stands for any. Each member's item then says
//! which digest told a destination of it, so that whoever takes the digest over finds the same
//! ones, and whoever closes it knows whom it told of.

use crate::alert::{Alert, AlertKey, AlertKind, Destination};
use crate::event::CodeName;
use crate::invocation::Invocation;
use crate::record::{DigestMembers, StoredAlert};
use crate::store::Store;
use crate::store::attribute::key::{DAY, utc_name};
use crate::store::error::StoreError;
use crate::store::outbox::alert::LeasedAlert;
use crate::store::outbox::claimed;

/// A digest names at most this many members.
pub const MAX_MEMBERS: usize = 1000;

/// A digest to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDigest {
    /// The kind of its members.
    pub kind: AlertKind,
    /// Who is told by it.
    pub at: Destination,
    /// Since when, ms since the epoch.
    pub since: u64,
    /// When the first of its members was written down, ms since the epoch.
    pub created_at: u64,
    /// Whom it is about.
    pub members: DigestMembers,
}

impl Store {
    /// Writes a digest down and takes its lease; its members aren't in it yet. `None` if there is
    /// one already.
    pub async fn put_digest(
        &self,
        digest: NewDigest,
        invocation: Invocation<'_>,
    ) -> Result<Option<LeasedAlert>, StoreError> {
        let members = digest.members.ids.iter();
        let parts = [invocation.id, digest.at.as_str()].map(str::to_owned);
        let parts = parts.into_iter().chain(members.map(ToString::to_string));
        let mut outgoing = claimed(&[digest.at].into(), invocation);
        outgoing.created_at = digest.created_at;
        let stored = StoredAlert {
            alert: Alert {
                kind: digest.kind,
                key: AlertKey::new(digest.kind, parts),
                sid: format!("{DIGEST}{}", utc_name(invocation.now_ms(), DAY)),
                cname: String::new(),
                uid: String::new(),
                sequence: 0,
                event_type: 0,
                at: digest.since,
                codes: [(CodeName::Count, digest.members.ids.len().to_string())].into(),
            },
            outgoing,
            members: Some(digest.members),
        };
        let found = self.put(&stored, invocation).await?;
        Ok(found
            .is_none()
            .then(|| LeasedAlert::new(stored, invocation.id)))
    }

    /// Writes down what closes the incident of `digest`, once, whoever does it how often, and takes
    /// its lease; `None` if it is there already.
    pub async fn put_digests_resolution(
        &self,
        digest: &StoredAlert,
        resolved: AlertKind,
        at: Destination,
        invocation: Invocation<'_>,
    ) -> Result<Option<StoredAlert>, StoreError> {
        let stored = StoredAlert {
            alert: Alert {
                kind: resolved,
                key: digest.alert.key.resolved_by(resolved),
                at: invocation.now_ms(),
                ..digest.alert.clone()
            },
            outgoing: claimed(&[at].into(), invocation),
            members: None,
        };
        let found = self.put(&stored, invocation).await?;
        Ok(found.is_none().then_some(stored))
    }
}

/// What the partition of a day's digests begins with.
const DIGEST: &str = "digest#";

/// True if an item under `sid` is a digest.
#[must_use]
pub fn is_digest(sid: &str) -> bool {
    sid.starts_with(DIGEST)
}
