//! Where an alert goes. Pure; the topics are `topic`'s, the bus is `bus`'s.

use super::{AlertKind, Severity};
use crate::named::named;
use std::collections::BTreeSet;

named! {
    /// Who is told, each for itself. Its word stands in the table.
    pub enum Destination {
        /// The topic of critical alerts, and of what takes them back: what a pager subscribes to.
        Critical = "critical",
        /// The topic of all alerts.
        Alerts = "alerts",
        /// The bus, as people are told: in digests where there are many. For a pager behind it.
        Incidents = "incidents",
        /// The bus, each alert by itself, and each notice: for programs.
        Facts = "facts",
    }
}

/// Some destinations.
pub type Destinations = BTreeSet<Destination>;

impl Destination {
    /// Those that people read, which take a few messages a second and no more.
    pub const PACED: [Self; 3] = [Self::Critical, Self::Alerts, Self::Incidents];

    /// True if it is on the bus.
    #[must_use]
    pub fn is_on_bus(self) -> bool {
        match self {
            Self::Critical | Self::Alerts => false,
            Self::Incidents | Self::Facts => true,
        }
    }

    /// True if it is for alerts of this kind.
    #[must_use]
    pub fn is_for(self, kind: AlertKind) -> bool {
        match self {
            Self::Critical => kind.alarm().severity() == Severity::Critical,
            Self::Alerts | Self::Incidents | Self::Facts => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pager_gets_what_is_critical_and_what_takes_it_back() {
        let critical: Vec<_> = AlertKind::ALL
            .into_iter()
            .filter(|kind| Destination::Critical.is_for(*kind))
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
        for to in Destination::ALL {
            assert_eq!(Destination::read(to.as_str()), Some(to));
        }
    }
}
