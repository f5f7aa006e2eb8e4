//! What of an alert leaves at once, and what with the next sweep. Pure.
//!
//! SNS suspends an email subscription that gets more than ten messages a second: a storm would
//! silence the very person who has to act. So only a few a minute leave at once, and the sweeper,
//! which is one, sends the rest at its pace.

use crate::alert::{Destination, Destinations};
use std::collections::BTreeMap;

/// So many alerts a minute go to a destination at once.
pub(super) const AT_ONCE: u64 = 3;

/// What leaves when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// At once.
    pub(super) now: Destinations,
    /// With the next sweep.
    pub(super) later: Destinations,
}

/// What leaves when of an alert that is for these. `counts` are the numbers that it has in this
/// minute, where they are known: without one the sweeper, which needs none, sends it.
pub(super) fn plan(
    to: &Destinations,
    counts: &BTreeMap<Destination, u64>,
    bus_rests: bool,
) -> Plan {
    let is_within_budget = |at: Destination| match at {
        Destination::Critical | Destination::Alerts | Destination::Incidents => {
            counts.get(&at).is_some_and(|count| *count <= AT_ONCE)
        }
        Destination::Facts => true,
    };
    let (now, later) = to
        .iter()
        .partition(|at| is_within_budget(**at) && !(at.is_on_bus() && bus_rests));
    Plan { now, later }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Destination::{Alerts, Critical, Facts, Incidents};

    #[test]
    fn each_destination_has_a_budget_of_its_own_and_facts_need_none() {
        let all = Destinations::from(Destination::ALL);
        for (counts, bus_rests, now) in [
            (
                vec![(Critical, 1), (Alerts, 3), (Incidents, 2)],
                false,
                vec![Critical, Alerts, Incidents, Facts],
            ),
            (
                vec![(Critical, 3), (Alerts, 4), (Incidents, 4)],
                false,
                vec![Critical, Facts],
            ),
            (
                vec![(Critical, 1), (Alerts, 1), (Incidents, 1)],
                true,
                vec![Critical, Alerts],
            ),
            (
                vec![(Critical, 9), (Alerts, 9), (Incidents, 9)],
                true,
                vec![],
            ),
            // The counter doesn't answer.
            (vec![], false, vec![Facts]),
            // It is known to be spent at one, and was asked of the others.
            (
                vec![(Alerts, 1), (Incidents, 1)],
                false,
                vec![Alerts, Incidents, Facts],
            ),
        ] {
            let counts = counts.into_iter().collect();
            let plan = plan(&all, &counts, bus_rests);
            assert_eq!(plan.now, now.into_iter().collect(), "{counts:?}");
            assert!(plan.now.is_disjoint(&plan.later));
            assert_eq!(plan.now.len() + plan.later.len(), all.len());
        }
    }
}
