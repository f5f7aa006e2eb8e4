//! Where an alert is published. Pure; the topics themselves are `topic`'s.

use super::{AlertKind, Severity};
use crate::named::named;
use std::collections::BTreeSet;

named! {
    /// A topic, by what it is for, or the bus; in the order in which they are served. Its word
    /// stands in the table.
    pub enum Destination {
        /// Critical alerts, and what takes them back: what a pager subscribes to.
        Critical = "critical",
        /// All alerts.
        Alerts = "alerts",
        /// The bus for programs, where there is one.
        Bus = "bus",
    }
}

/// What an alert still has to be published to.
pub type Destinations = BTreeSet<Destination>;

impl Destination {
    /// The topics that an alert of this kind is published to.
    #[must_use]
    pub fn of(kind: AlertKind) -> Destinations {
        let is_critical = kind.alarm().severity() == Severity::Critical;
        let critical = is_critical.then_some(Self::Critical);
        critical.into_iter().chain([Self::Alerts]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pager_gets_what_is_critical_and_what_takes_it_back() {
        let critical: Vec<_> = AlertKind::ALL
            .into_iter()
            .filter(|kind| Destination::of(*kind).contains(&Destination::Critical))
            .map(AlertKind::as_str)
            .collect();
        assert_eq!(
            critical,
            [
                "fatal_error",
                "abnormal_exit",
                "storage_credentials_expired",
                "session_silent",
                "abnormal_exit_resolved",
                "session_silent_resolved",
            ]
        );
        for kind in AlertKind::ALL {
            let to = Destination::of(kind);
            assert!(to.contains(&Destination::Alerts), "{kind:?}");
            let read: Destinations = to
                .iter()
                .filter_map(|to| Destination::read(to.as_str()))
                .collect();
            assert_eq!(read, to);
        }
        let first = Destination::of(AlertKind::FatalError).pop_first();
        assert_eq!(first, Some(Destination::Critical));
    }
}
