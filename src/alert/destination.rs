//! Where an alert is published. Pure; the topics themselves are `topic`'s.

use super::{AlertKind, Severity};
use std::collections::BTreeSet;

/// A topic, by what it is for, or the bus; in the order in which they are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// Critical alerts, and what takes them back: what a pager subscribes to.
    Critical,
    /// All alerts.
    Alerts,
    /// The bus for programs, where there is one.
    Bus,
}

/// What an alert still has to be published to.
pub type Destinations = BTreeSet<Destination>;

impl Destination {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Critical, Self::Alerts, Self::Bus];

    /// The word in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Alerts => "alerts",
            Self::Bus => "bus",
        }
    }

    /// Reads the word of the table.
    #[must_use]
    pub fn read(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|to| to.as_str() == word)
    }

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
