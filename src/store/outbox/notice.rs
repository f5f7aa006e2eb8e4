//! A notice's item: the job of telling programs. Who was told what is `outbox`'s; what it says is
//! made when it is sent, from the other items.

use crate::alert::{Attempt, Deliveries, Delivery, Destination, Outgoing};
use crate::invocation::Invocation;
use crate::notice::{News, Notice};
use crate::notification::Sid;
use crate::record::Ending;
use crate::store::attribute::key::{ITEM, ItemKey, SID};
use crate::store::attribute::{Item, number, read_number, read_text, text};
use crate::store::error::StoreError;
use crate::store::index::Shard;
use crate::store::outbox::alert::claimed;
use crate::store::outbox::{Lease, Step, outgoing_item, read_outgoing};
use crate::store::{BATCH, Store};

/// Where a notice goes.
const BUS: Destination = Destination::Facts;

/// A notice as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredNotice {
    /// The notice.
    pub notice: Notice,
    /// Whether the bus has it.
    pub outgoing: Outgoing,
}

/// A notice that is ours to send until the lease is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeasedNotice {
    stored: StoredNotice,
    lease: Lease,
}

impl LeasedNotice {
    /// That of a new notice, to be written now.
    pub(in crate::store) fn new(notice: Notice, invocation: Invocation<'_>) -> Self {
        let outgoing = claimed(&[BUS].into(), invocation);
        Self {
            lease: Lease::new(&outgoing, invocation.id),
            stored: StoredNotice { notice, outgoing },
        }
    }

    /// Until when.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// The notice.
    #[must_use]
    pub fn notice(&self) -> &Notice {
        &self.stored.notice
    }

    /// When it was written down, ms since the epoch.
    #[must_use]
    pub fn created_at(&self) -> u64 {
        self.stored.outgoing.created_at
    }
}

/// Who may send a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoticeClaim {
    /// We may.
    Ours(Box<LeasedNotice>),
    /// Its lease is held elsewhere, or it is done, or gone.
    HeldElsewhere,
    /// An attribute of the item isn't what the write needs.
    Unwritable,
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
    ) -> Result<Option<LeasedNotice>, StoreError> {
        let leased = LeasedNotice::new(notice, invocation);
        let item = notice_item(&leased, self.alert_expires_at(invocation.now_ms()));
        let found = match self.put_outgoing("PutItem notice", item).await? {
            None => return Ok(Some(leased)),
            Some(found) => found,
        };
        let Some(outgoing) = read_outgoing(&found) else {
            // The sweeper reports what can't be read; the callback is stored all the same.
            return Ok(None);
        };
        let notice = leased.stored.notice;
        let stored = StoredNotice { notice, outgoing };
        Ok(match self.lease_notice(stored, invocation).await? {
            NoticeClaim::Ours(leased) => Some(*leased),
            NoticeClaim::HeldElsewhere | NoticeClaim::Unwritable => None,
        })
    }

    /// Takes the lease of a notice that is due.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn lease_notice(
        &self,
        mut stored: StoredNotice,
        invocation: Invocation<'_>,
    ) -> Result<NoticeClaim, StoreError> {
        let (sid, key) = (
            stored.notice.sid.as_str().to_owned(),
            notice_key(&stored.notice),
        );
        let outgoing = &mut stored.outgoing;
        let leased = self.lease((&sid, &key), outgoing, &[BUS], invocation);
        Ok(match leased.await? {
            Ok(lease) => NoticeClaim::Ours(Box::new(LeasedNotice { stored, lease })),
            Err(Step::Unwritable) => NoticeClaim::Unwritable,
            Err(Step::Written | Step::Refused) => NoticeClaim::HeldElsewhere,
        })
    }

    /// Notes how sending a notice went, if that is still ours to say.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn note_noticed(
        &self,
        leased: &mut LeasedNotice,
        attempt: Attempt,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let key = notice_key(&leased.stored.notice);
        let LeasedNotice { stored, lease } = leased;
        let (sid, outgoing) = (stored.notice.sid.as_str(), &mut stored.outgoing);
        let attempts = [(BUS, attempt)].into();
        self.note_attempts((sid, &key), outgoing, lease, &attempts, now_ms)
            .await
    }

    /// Writes a step of a notice.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn step_notice(
        &self,
        stored: &mut StoredNotice,
        now_ms: u64,
        step: impl FnMut(&mut Deliveries) -> bool,
    ) -> Result<Step, StoreError> {
        let key = notice_key(&stored.notice);
        let at = (stored.notice.sid.as_str(), &key);
        self.step("UpdateItem notice", at, &mut stored.outgoing, now_ms, step)
            .await
    }

    /// All notices that weren't sent yet, or were given up, oldest first; those that can't be read
    /// aren't among them.
    ///
    /// # Errors
    /// [`StoreError::Call`].
    pub async fn unsent_notices(&self) -> Result<Vec<StoredNotice>, StoreError> {
        let mut unsent = Vec::new();
        for shard in Shard::dues().chain([Shard::Failed]) {
            let mut due = self.all_in(shard, 0).await?;
            due.retain(|due| matches!(due.key, ItemKey::Notice(_)));
            for batch in due.chunks(BATCH) {
                unsent.extend(self.due_items(batch).await?.notices);
            }
        }
        unsent.sort_by_key(|stored| stored.outgoing.created_at);
        Ok(unsent)
    }
}

fn notice_key(notice: &Notice) -> ItemKey {
    ItemKey::Notice(notice.key())
}

/// The item of a new notice.
pub(in crate::store) fn notice_item(leased: &LeasedNotice, expires_at: u64) -> Item {
    let StoredNotice { notice, outgoing } = &leased.stored;
    let mut item = outgoing_item(
        notice.sid.as_str(),
        &notice_key(notice),
        outgoing,
        expires_at,
    );
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
    let outgoing = read_outgoing(item);
    let told = outgoing.and_then(|mut outgoing| outgoing.to.remove(&BUS));
    matches!(told, Some(Delivery::Told { .. }))
}

/// Reads a notice from its item; `None` if a part isn't there.
pub(in crate::store) fn read_notice(item: &Item) -> Option<StoredNotice> {
    let ItemKey::Notice(key) = ItemKey::parse(read_text(item, ITEM)?) else {
        return None;
    };
    let outcome = read_text(item, "outcome").and_then(Ending::read);
    let notice = Notice {
        news: key.news(outcome)?,
        sid: Sid::new(read_text(item, SID)?)?,
        cname: read_text(item, "channel")?.to_owned(),
        uid: read_text(item, "uid")?.to_owned(),
        at: read_number(item, "at")?,
    };
    Some(StoredNotice {
        notice,
        outgoing: read_outgoing(item)?,
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
            let leased = LeasedNotice::new(notice, invocation);
            let item = notice_item(&leased, 9);
            assert_eq!(read_notice(&item), Some(leased.stored));
            assert!(!was_told(&item));
        }
    }
}
