//! A notice's item: the job of telling programs. Who may send it is `outbox`'s; what it says is
//! made when it is sent, from the other items.

use crate::invocation::Invocation;
use crate::notice::{News, Notice};
use crate::notification::Sid;
use crate::record::{AlertState, Ending};
use crate::store::Store;
use crate::store::attribute::key::{ITEM, ItemKey, SID};
use crate::store::attribute::{Item, number, read_number, read_text, text};
use crate::store::error::{StoreError, refused};
use crate::store::index::Due;
use crate::store::outbox::{Hold, Put, Taken, read_state};

/// The id that the bus gave it; absent in one that had nothing to say.
const EVENT_ID: &str = "event_id";

/// A notice that is ours to send until the lease is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeLease {
    hold: Hold,
    notice: Notice,
}

impl NoticeLease {
    /// The lease of a new notice, to be written now.
    pub(in crate::store) fn new(notice: Notice, invocation: Invocation<'_>) -> Self {
        let key = ItemKey::Notice(notice.key());
        Self {
            hold: Hold::new(notice.sid.as_str(), key, invocation),
            notice,
        }
    }

    /// Whose it is, and until when.
    #[must_use]
    pub fn hold(&self) -> &Hold {
        &self.hold
    }

    /// The notice.
    #[must_use]
    pub fn notice(&self) -> &Notice {
        &self.notice
    }
}

/// Who may send a notice that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DueNotice {
    /// We may.
    Ours(Box<NoticeLease>),
    /// Its lease is held elsewhere, or it is done, or gone.
    HeldElsewhere,
    /// The item isn't a notice that can be read, or be written.
    Unreadable,
}

impl Store {
    /// Writes a notice down and takes its lease, or takes it over once the lease of another is
    /// over; `None` if its lease is held elsewhere, or it is done.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn claim_notice(
        &self,
        notice: Notice,
        invocation: Invocation<'_>,
    ) -> Result<Option<NoticeLease>, StoreError> {
        let mut lease = NoticeLease::new(notice, invocation);
        let item = notice_item(&lease, self.alert_expires_at(lease.hold.created_at()));
        let stored = match self.put_held("PutItem notice", item, invocation.id).await? {
            Put::Ours => return Ok(Some(lease)),
            Put::There(stored) => stored,
        };
        if read_state(&stored) != Some(AlertState::Pending) {
            return Ok(None);
        }
        let due = lease.hold.due();
        match self
            .take("UpdateItem notice claim", &due, invocation)
            .await?
        {
            Taken::Ours(claimed) => {
                lease.hold = lease.hold.stored_as(&claimed);
                Ok(Some(lease))
            }
            // The sweeper reports what can't be written; the callback is stored all the same.
            Taken::HeldElsewhere | Taken::Unreadable => Ok(None),
        }
    }

    /// Takes the lease of a notice that is due, and reads it.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn claim_due_notice(
        &self,
        due: &Due,
        invocation: Invocation<'_>,
    ) -> Result<DueNotice, StoreError> {
        let item = match self
            .take("UpdateItem notice claim", due, invocation)
            .await?
        {
            Taken::Ours(item) => item,
            Taken::HeldElsewhere => return Ok(DueNotice::HeldElsewhere),
            Taken::Unreadable => return Ok(DueNotice::Unreadable),
        };
        let Some(notice) = read_notice(&item) else {
            return Ok(DueNotice::Unreadable);
        };
        let mut lease = NoticeLease::new(notice, invocation);
        lease.hold = lease.hold.stored_as(&item);
        Ok(DueNotice::Ours(Box::new(lease)))
    }

    /// Notes that a notice is done, if the lease is still ours: the bus took it, or it had nothing
    /// to say.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn mark_told(
        &self,
        lease: &NoticeLease,
        event_id: Option<&str>,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let sent = AlertState::Sent { at: Some(now_ms) };
        let id = event_id.map_or("", |_| ", event_id = :event_id");
        let mut update = self
            .leased_request(&lease.hold)
            .update_expression(format!(
                "SET #state = :sent, sent_at = :now{id} REMOVE watch_shard, watch_at"
            ))
            .expression_attribute_values(":sent", text(sent.as_str()))
            .expression_attribute_values(":now", number(now_ms));
        if let Some(event_id) = event_id {
            update = update.expression_attribute_values(":event_id", text(event_id));
        }
        match update.send().await {
            Ok(_) => Ok(()),
            Err(error) => refused("UpdateItem notice sent", error).map(|_| ()),
        }
    }
}

/// The item of a new notice and its lease.
pub(in crate::store) fn notice_item(lease: &NoticeLease, expires_at: u64) -> Item {
    let notice = &lease.notice;
    let mut item = lease.hold.item(expires_at);
    item.extend([
        // Not `cname`: that name is the key of an index of sessions.
        ("channel".to_owned(), text(notice.cname.as_str())),
        ("uid".to_owned(), text(notice.uid.as_str())),
        ("at".to_owned(), number(notice.at)),
    ]);
    if let News::Ended(outcome) = notice.news {
        item.insert("outcome".to_owned(), text(outcome.as_str()));
    }
    item
}

/// True if programs were told what it had to say.
pub(in crate::store) fn was_told(item: &Item) -> bool {
    item.contains_key(EVENT_ID)
}

/// Reads a notice from its item; `None` if a part isn't there.
fn read_notice(item: &Item) -> Option<Notice> {
    let ItemKey::Notice(key) = ItemKey::parse(read_text(item, ITEM)?) else {
        return None;
    };
    let outcome = read_text(item, "outcome").and_then(Ending::read);
    Some(Notice {
        news: key.news(outcome)?,
        sid: Sid::new(read_text(item, SID)?)?,
        cname: read_text(item, "channel")?.to_owned(),
        uid: read_text(item, "uid")?.to_owned(),
        at: read_number(item, "at")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_read_as_it_was_written() {
        let invocation = Invocation::new("us", 1_000, tokio::time::Instant::now());
        for news in [
            News::Started,
            News::FilesReady {
                fact: "0000000003#4#0a1b2c3d4e5f6071".to_owned(),
            },
            News::Ended(Ending::Failed),
        ] {
            let notice = Notice {
                news,
                sid: Sid::new("38f8e3cfdc474cd56fc1ceba380d7e1a").unwrap(),
                cname: "room".to_owned(),
                uid: "5".to_owned(),
                at: 1_772_460_000_123,
            };
            let item = notice_item(&NoticeLease::new(notice.clone(), invocation), 9);
            assert_eq!(read_notice(&item), Some(notice));
            assert!(!was_told(&item));
        }
    }
}
