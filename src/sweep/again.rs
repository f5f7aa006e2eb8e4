//! Sending again, by hand, what wasn't sent or was given up.

use super::Sweeper;
use super::resolutions::resolutions_of;
use crate::alert::{AlertId, Deliveries, Delivery};
use crate::invocation::Invocation;
use crate::record::StoredAlert;
use crate::store::{BATCH, InOutbox, Step, StoreError, StoredNotice};

/// Whether to wait for who may be about to send it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hurry {
    /// It is left alone until then.
    Waits,
    /// It may come twice.
    Now,
}

impl Delivery {
    /// Makes due what was given up, or in a hurry whatever isn't told.
    fn make_due(&mut self, hurry: Hurry, now_ms: u64) {
        match self {
            Self::Failed { .. } => drop(self.reopen(now_ms)),
            Self::Pending { owner, due_at, .. } if hurry == Hurry::Now => {
                owner.clear();
                *due_at = now_ms.min(*due_at);
            }
            Self::Pending { .. } | Self::Told { .. } | Self::Needless => {}
        }
    }
}

impl Sweeper {
    /// Sends an alert again to the destinations that it was given up at, or that it is due at, and
    /// what took it back meanwhile.
    ///
    /// # Errors
    /// The table can't be read or written.
    pub async fn send_alert_again(
        &self,
        mut alert: StoredAlert,
        hurry: Hurry,
        invocation: Invocation<'_>,
    ) -> Result<(), StoreError> {
        let now_ms = invocation.now_ms();
        let given_up: Vec<_> = alert
            .outgoing
            .to
            .iter()
            .filter(|(_, delivery)| matches!(delivery, Delivery::Failed { .. }))
            .map(|(at, _)| *at)
            .collect();
        self.make_due(&mut alert, hurry, now_ms).await?;
        let mut alerts = self.resolutions_of_all(&alert).await?;
        for resolution in &mut alerts {
            let reopen = |to: &mut Deliveries| {
                for at in &given_up {
                    if let Some(delivery) = to.get_mut(at) {
                        delivery.reopen(now_ms);
                    }
                }
                true
            };
            self.store.step(resolution, now_ms, reopen).await?;
        }
        alerts.push(alert);
        self.send_these(alerts, Vec::new(), invocation).await;
        Ok(())
    }

    /// What took an alert, or the members of a digest, back.
    async fn resolutions_of_all(
        &self,
        alert: &StoredAlert,
    ) -> Result<Vec<StoredAlert>, StoreError> {
        let mut alarms = vec![alert.alert.id()];
        alarms.extend(alert.members.iter().flat_map(|it| it.ids.clone()));
        let ids = alarms.iter().flat_map(resolutions_of);
        let ids: Vec<AlertId> = ids.collect();
        let mut found = Vec::new();
        for batch in ids.chunks(BATCH) {
            found.extend(self.store.stored_alerts(batch).await?);
        }
        Ok(found)
    }

    /// Sends a notice again.
    ///
    /// # Errors
    /// The table can't be written.
    pub async fn send_notice_again(
        &self,
        mut notice: StoredNotice,
        hurry: Hurry,
        invocation: Invocation<'_>,
    ) -> Result<(), StoreError> {
        self.make_due(&mut notice, hurry, invocation.now_ms())
            .await?;
        self.send_these(Vec::new(), vec![notice], invocation).await;
        Ok(())
    }

    async fn make_due<T: InOutbox>(
        &self,
        stored: &mut T,
        hurry: Hurry,
        now_ms: u64,
    ) -> Result<Step, StoreError> {
        let make_due = |to: &mut Deliveries| {
            to.values_mut().for_each(|it| it.make_due(hurry, now_ms));
            true
        };
        self.store.step(stored, now_ms, make_due).await
    }
}
