//! What a pager makes of what it is told: which incidents are open, and what it can't know of.

use std::collections::BTreeSet;
use testkit::bus::Event;
use testkit::sns::Published;
use tokio::time::Instant;

/// What a pager is told.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) at: Instant,
    pub(crate) action: String,
    pub(crate) incidents: Vec<String>,
}

impl Heard {
    /// What a topic told, in its order.
    pub(crate) fn on_topic(messages: &[Published], topic: &str) -> Vec<Self> {
        let on = messages.iter().filter(|it| it.topic_arn == topic);
        let heard = on.map(|message| {
            let context = &message.default["metadata"]["additionalContext"];
            let word = |name: &str| context[name].as_str();
            let incidents = word("incidents").or(word("incident")).unwrap();
            Self {
                at: message.at,
                action: word("action").unwrap().to_owned(),
                incidents: incidents.split(' ').map(str::to_owned).collect(),
            }
        });
        heard.collect()
    }

    /// What the bus told in events of one type, in its order.
    pub(crate) fn on_bus(events: &[Event], detail_type: &str) -> Vec<Self> {
        let on = events.iter().filter(|it| it.detail_type == detail_type);
        let heard = on.map(|event| Self {
            at: event.at,
            action: event.detail["action"].as_str().unwrap().to_owned(),
            incidents: vec![event.detail["incident"].as_str().unwrap().to_owned()],
        });
        heard.collect()
    }
}

/// A pager, after all that it heard.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Pager {
    /// Incidents that nobody has closed.
    pub(crate) open: BTreeSet<String>,
    /// What it heard of incidents that it had never heard of.
    pub(crate) unheard: Vec<String>,
    /// What it heard of incidents that were closed.
    pub(crate) again: Vec<String>,
}

impl Pager {
    pub(crate) fn of(heard: &[Heard]) -> Self {
        let (mut pager, mut opened) = (Self::default(), BTreeSet::new());
        for Heard {
            action, incidents, ..
        } in heard
        {
            for incident in incidents {
                if action == "trigger" {
                    pager.open.insert(incident.clone());
                    opened.insert(incident);
                } else if !opened.contains(incident) {
                    pager.unheard.push(format!("{action} of {incident}"));
                } else if !pager.open.contains(incident) {
                    pager.again.push(format!("{action} of {incident}"));
                } else if action == "resolve" {
                    pager.open.remove(incident);
                }
            }
        }
        pager
    }
}
