//! An event's item: one for each fact, put once, verbatim.

use crate::event::EventType;
use crate::notification::Notification;
use crate::store::Store;
use crate::store::attribute::details::KeptDetails;
use crate::store::attribute::key::{EXPIRES_AT, IS_NEW, ItemKey};
use crate::store::attribute::{number, text};
use crate::store::error::{StoreError, refused};

/// What became of an event's item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventWrite {
    /// It is there now.
    New,
    /// It was there.
    Known,
}

impl Store {
    /// Stores the fact that `notification` reports, with its details verbatim.
    pub async fn put_event(
        &self,
        notification: &Notification,
        details: KeptDetails,
        now_ms: u64,
    ) -> Result<EventWrite, StoreError> {
        let mut item = ItemKey::Event(notification.fact_key()).of(notification.sid.as_str());
        item.extend([
            ("sequence".to_owned(), number(notification.sequence)),
            ("event_type".to_owned(), number(notification.event_type)),
            (
                "name".to_owned(),
                text(EventType(notification.event_type).name()),
            ),
            ("uid".to_owned(), text(notification.uid.as_str())),
            ("sendts".to_owned(), number(notification.sendts)),
            ("received_at".to_owned(), number(now_ms)),
            (EXPIRES_AT.to_owned(), number(self.fact_expires_at(now_ms))),
        ]);
        let optional = [
            (
                "service_type",
                notification
                    .service_type
                    .map(|service_type| number(service_type.0)),
            ),
            (
                "service_scene",
                notification.service_scene.clone().map(text),
            ),
            ("notify_ms", notification.notify_ms.map(number)),
            ("notice_id", notification.notice_id.clone().map(text)),
        ];
        item.extend(
            optional
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?))),
        );
        let details = details.0.into_iter();
        item.extend(details.map(|(name, value)| (name.to_owned(), value)));
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression(IS_NEW);
        match put.send().await {
            Ok(_) => Ok(EventWrite::New),
            Err(error) => refused("PutItem event", error).map(|_| EventWrite::Known),
        }
    }
}
