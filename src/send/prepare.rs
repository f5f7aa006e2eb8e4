//! What has to be known before an alert can be put into words: of a digest whom it stands for; of a
//! resolution whether the alert was sent, and in which incident.

use crate::alert::{
    Alert, AlertId, Digest, Incident, Links, Message, NAMED, action_of_rest, message,
};
use crate::invocation::Invocation;
use crate::record::{AlertState, Roll};
use crate::store::{Lease, Membership, Store, StoreError};
use futures_util::future::try_join_all;

/// Members that are taken in at the same time.
const AT_A_TIME: usize = 16;

/// An alert, before it is published.
pub(super) enum Prepared {
    /// What it says; a digest also how many it stands for.
    Ready(Box<Message>, Option<u64>),
    /// A digest that stands for nobody any more.
    Empty,
    /// It takes back an alert that isn't sent yet.
    Waits,
}

/// Where an alert stands whose end is to be told.
pub(super) enum Opened {
    /// Nobody was told of it yet.
    NotYet,
    /// It has an incident of its own, or nobody knows of it any more.
    Alone,
    /// It was sent in this digest.
    In(AlertId),
}

/// Puts an alert into words. `known` is what became of the alert that it takes back, where that has
/// been read.
pub(super) async fn prepare(
    store: &Store,
    lease: &Lease,
    known: Option<Opened>,
    links: &Links,
    invocation: Invocation<'_>,
) -> Result<Prepared, StoreError> {
    let alert = lease.alert();
    if let Some(roll) = lease.roll() {
        return digest(store, lease, roll, links, invocation.now_ms()).await;
    }
    let opened = match known {
        Some(known) => known,
        None => opened(store, alert).await?,
    };
    let incident = match opened {
        Opened::NotYet => return Ok(Prepared::Waits),
        Opened::Alone => Incident::of(alert),
        Opened::In(digest) => rest_of(store, lease, digest, 1).await?,
    };
    let message = message(alert, &incident, links);
    Ok(Prepared::Ready(Box::new(message), None))
}

/// What became of the alert that a resolution takes back. Of an alert there is none.
pub(super) async fn opened(store: &Store, alert: &Alert) -> Result<Opened, StoreError> {
    let Some(key) = alert.key.resolves() else {
        return Ok(Opened::Alone);
    };
    let sid = alert.sid.clone();
    let Some(opened) = store.stored_alert(&AlertId { sid, key }).await? else {
        return Ok(Opened::Alone);
    };
    let digest = match (opened.state, opened.sent_in) {
        (AlertState::Pending, _) => return Ok(Opened::NotYet),
        (AlertState::Failed, _) | (AlertState::Sent { .. }, None) => return Ok(Opened::Alone),
        (AlertState::Sent { .. }, Some(digest)) => digest,
    };
    let stored = store.stored_alert(&digest).await?;
    Ok(match stored.map(|stored| stored.state) {
        Some(AlertState::Pending) => Opened::NotYet,
        Some(AlertState::Sent { .. }) => Opened::In(digest),
        Some(AlertState::Failed) | None => Opened::Alone,
    })
}

/// The incident of a digest, `count` members of which a resolution takes back.
async fn rest_of(
    store: &Store,
    resolution: &Lease,
    digest: AlertId,
    count: u64,
) -> Result<Incident, StoreError> {
    let open = store.take_off(resolution, &digest, count).await?;
    Ok(Incident {
        id: digest.incident(),
        action: action_of_rest(open.unwrap_or(0)),
    })
}

/// Lets a digest stand for its members, and puts it into words. If that of one can't be told, all
/// has to be tried again: nobody may be left out who isn't pending any more.
async fn digest(
    store: &Store,
    lease: &Lease,
    roll: &Roll,
    links: &Links,
    now_ms: u64,
) -> Result<Prepared, StoreError> {
    let (mut count, mut named) = (0, Vec::new());
    for some in roll.members.chunks(AT_A_TIME) {
        let taken = some
            .iter()
            .map(|member| store.take_in(lease, member, now_ms));
        for membership in try_join_all(taken).await? {
            match membership {
                Membership::Holds(alert) => {
                    count += 1;
                    named.extend(alert.map(|alert| *alert));
                }
                Membership::None => {}
            }
        }
    }
    if count == 0 {
        return Ok(Prepared::Empty);
    }
    named.sort_by(|one, other| (one.at, &one.sid).cmp(&(other.at, &other.sid)));
    named.truncate(NAMED);
    let incident = match &roll.resolves {
        None => Incident::of(lease.alert()),
        Some(digest) => rest_of(store, lease, digest.clone(), count).await?,
    };
    let alert = Alert {
        at: named.first().map_or(lease.alert().at, |first| first.at),
        ..lease.alert().clone()
    };
    let digest = Digest {
        alert: &alert,
        named: &named,
        count,
        is_widespread: roll.is_widespread,
        incident: &incident,
        links,
    };
    Ok(Prepared::Ready(Box::new(digest.message()), Some(count)))
}
