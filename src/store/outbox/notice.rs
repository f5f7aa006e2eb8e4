//! A notice's item: the job of telling programs. Who was told what is `outbox`'s; what it says is
//! made when it is sent, from the other items.

use crate::alert::{Delivery, Destination, Outgoing};
use crate::invocation::Invocation;
use crate::notice::{News, Notice};
use crate::notification::Sid;
use crate::record::Ending;
use crate::store::attribute::key::{ITEM, ItemKey, SID};
use crate::store::attribute::{Item, number, read_number, read_text, text};
use crate::store::error::StoreError;
use crate::store::index::Shard;
use crate::store::outbox::{Claim, InOutbox, Leased, claimed, outgoing_item, read_outgoing};
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
pub type LeasedNotice = Leased<StoredNotice>;

impl LeasedNotice {
    /// The notice.
    #[must_use]
    pub fn notice(&self) -> &Notice {
        &self.stored().notice
    }
}

impl StoredNotice {
    /// A new one, to be written now.
    pub(in crate::store) fn new(notice: Notice, invocation: Invocation<'_>) -> Self {
        let outgoing = claimed(&[BUS].into(), invocation);
        Self { notice, outgoing }
    }
}

impl InOutbox for StoredNotice {
    fn key(&self) -> (&str, ItemKey) {
        (self.notice.sid.as_str(), ItemKey::Notice(self.notice.key()))
    }

    fn outgoing(&self) -> &Outgoing {
        &self.outgoing
    }

    fn outgoing_mut(&mut self) -> &mut Outgoing {
        &mut self.outgoing
    }

    fn item(&self, expires_at: u64) -> Item {
        let (notice, (sid, key)) = (&self.notice, self.key());
        let mut item = outgoing_item(sid, &key, &self.outgoing, expires_at);
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
}

impl Store {
    /// Writes a notice down and takes its lease, or takes it over once the lease of another is
    /// over.
    pub async fn claim_notice(
        &self,
        notice: Notice,
        invocation: Invocation<'_>,
    ) -> Result<Claim<StoredNotice>, StoreError> {
        let stored = StoredNotice::new(notice, invocation);
        self.claim(stored, invocation).await
    }

    /// All notices that weren't sent yet, or were given up, oldest first; those that can't be read
    /// aren't among them.
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
            let stored = StoredNotice::new(notice, invocation);
            let item = stored.item(9);
            assert_eq!(read_notice(&item), Some(stored));
            assert!(!was_told(&item));
        }
    }
}
