//! A digest: one message in the place of many alerts of one kind. Pure.
//!
//! It has an incident of its own. What takes its members back closes that incident, once the last
//! of them is taken back.

use super::detail::Members;
use super::links::Links;
use super::message::{Incident, Message, Parts, markdown, render};
use super::words::{Words, closing, in_words};
use super::{Alert, AlertKind};
use crate::text::{clean, utc};

/// A digest names this many of its members.
pub const NAMED: usize = 20;

/// Of each channel's name this much is shown: twenty of them have to have room.
const MAX_CNAME: usize = 40;

/// Chats take a description of 8,000 bytes.
const MAX_DESCRIPTION: usize = 7_900;
/// What a recording takes of it at most: its sid, and its channel, all escaped. Links have what is
/// left.
const MAX_NAMED: usize = 340;

/// What a digest says.
#[derive(Clone, Debug)]
pub struct Digest<'a> {
    /// Its own alert: id, kind and time.
    pub alert: &'a Alert,
    /// Its members, or the first of them, oldest first.
    pub named: &'a [Alert],
    /// How many members it has.
    pub count: u64,
    /// Whether at least half of all recordings that are watched are in it.
    pub is_widespread: bool,
    /// What a pager follows.
    pub incident: &'a Incident,
    /// Where it leads to.
    pub links: &'a Links,
    /// The incidents that it closes, if they are several: those that its members had alone.
    pub closes: &'a [String],
}

impl Digest<'_> {
    /// Its message.
    #[must_use]
    pub fn message(&self) -> Message {
        let words = self.words();
        let members = Members {
            count: self.count,
            sids: self.named().map(|alert| alert.sid.as_str()).collect(),
        };
        let first = members.sids.first().copied().unwrap_or_default();
        let closes = (!self.closes.is_empty()).then(|| ("incidents", self.closes.join(" ")));
        let own = [
            ("count", self.count.to_string()),
            ("members", members.sids.join(", ")),
        ];
        let parts = Parts {
            subject: words.title.clone(),
            sms: format!("since {}, first sid {first}", utc(self.alert.at)),
            facts: self.facts(&words.what),
            commands: "recordings show <sid>\n".to_owned(),
            description: self.description(&words.what),
            thread: self.incident.id.clone(),
            page: self.links.failed(),
            more: own.into_iter().chain(closes).collect(),
        };
        // Also where it has the name of the first of them it is about many.
        let alert = Alert {
            cname: String::new(),
            uid: String::new(),
            ..self.alert.clone()
        };
        render(
            &alert,
            &words,
            self.incident,
            self.links,
            parts,
            Some(&members),
        )
    }

    fn words(&self) -> Words {
        let kind = self.alert.kind;
        let is_alarm = kind.alarm() == kind;
        let title = title(kind, self.count);
        let mut what = format!("{title}, since {}.", utc(self.alert.at));
        let mut steps = Vec::new();
        if is_alarm && self.is_widespread {
            what.push_str(
                " That is at least half of all recordings that are watched: the likelier cause is \
                 this receiver, or the delivery of Agora's callbacks.",
            );
            steps.push(
                "Look at the receiver first: its alarms, its dashboard, its last deployment, and \
                 Agora's status page."
                    .to_owned(),
            );
        }
        if is_alarm {
            steps.push("For each recording, as in an alert about one:".to_owned());
        }
        if let Some(one) = self.named.first() {
            let of_one = in_words(one).steps;
            let until = of_one.len() - usize::from(closing(kind).is_some());
            steps.extend(of_one.into_iter().take(until));
        }
        steps.extend(self.closing().map(str::to_owned));
        Words { title, what, steps }
    }

    fn closing(&self) -> Option<&'static str> {
        let kind = self.alert.kind;
        match (kind.alarm() == kind, kind.resolution().is_some()) {
            (false, _) => None,
            (true, true) => Some(
                "Leave this alert open: it closes by itself when the last of them is taken back.",
            ),
            (true, false) => closing(kind),
        }
    }

    /// How many aren't named.
    fn unnamed(&self) -> u64 {
        let named = u64::try_from(self.named().count()).unwrap_or(u64::MAX);
        self.count.saturating_sub(named)
    }

    fn named(&self) -> impl Iterator<Item = &Alert> {
        self.named.iter().take(NAMED)
    }

    fn facts(&self, what: &str) -> String {
        let mut facts = format!("{:<14}: {what}\n\n", "What happened");
        for alert in self.named() {
            facts.push_str(&format!(
                "{:<14}: {}, {}, channel {}\n",
                "Recording",
                alert.sid,
                utc(alert.at),
                clean(&alert.cname, MAX_CNAME)
            ));
            if let Some(page) = self.links.recording(&alert.sid) {
                facts.push_str(&format!("{:<14}  {page}\n", ""));
            }
        }
        if self.unnamed() > 0 {
            facts.push_str(&format!("and {} more.\n", self.unnamed()));
        }
        facts
    }

    fn description(&self, what: &str) -> String {
        let mut description = markdown(what);
        for (alert, to_come) in self.named().zip((0..NAMED).rev()) {
            description.push_str(&format!(
                "\n`{}` `{}`",
                alert.sid,
                markdown(&clean(&alert.cname, MAX_CNAME))
            ));
            let page = self.links.recording(&alert.sid);
            let taken = description.len() + to_come * MAX_NAMED;
            let room = MAX_DESCRIPTION.saturating_sub(taken);
            if let Some(page) = page.filter(|page| page.len() < room) {
                description.push_str(&format!(" {page}"));
            }
        }
        if self.unnamed() > 0 {
            description.push_str(&format!("\nand {} more", self.unnamed()));
        }
        description
    }
}

/// What has happened to so many, a few words.
fn title(kind: AlertKind, count: u64) -> String {
    match kind {
        AlertKind::FatalError => format!("{count} fatal recording errors"),
        AlertKind::AbnormalExit => format!("{count} recorders ended abnormally"),
        AlertKind::BackupOnlyUpload => format!("{count} recordings only reached Agora's backup"),
        AlertKind::ComponentFailure => format!("{count} uploaders report an abnormal status"),
        AlertKind::TranscodingFailed => format!("{count} transcodings lack files"),
        AlertKind::StorageCredentialsExpired => {
            format!("Storage credentials of {count} recordings have expired")
        }
        AlertKind::SessionSilent => format!("{count} recordings have gone silent"),
        AlertKind::UploadUnconfirmed => format!("{count} uploads were never confirmed"),
        AlertKind::RecordingGap => format!("{count} recordings have a gap"),
        AlertKind::Failover => format!("{count} recorders were replaced"),
        AlertKind::PushDisconnected => format!("{count} pushes to a live audience broke off"),
        AlertKind::AbnormalExitResolved => {
            format!("Another recorder is at work in {count} recordings")
        }
        AlertKind::SessionSilentResolved => format!("{count} recordings are no longer silent"),
        AlertKind::UploadUnconfirmedResolved => {
            format!("{count} uploads are confirmed after all")
        }
        AlertKind::BackupOnlyUploadResolved => {
            format!("Files of {count} recordings have left Agora's backup")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::MAX_SMS;
    use super::super::{AlertId, AlertKey};
    use super::*;

    fn alert(kind: AlertKind, sid: &str, cname: &str) -> Alert {
        Alert {
            kind,
            key: AlertKey::from_stored(&format!("{}#0123456789abcdef", kind.as_str())),
            sid: sid.to_owned(),
            cname: cname.to_owned(),
            uid: "5".to_owned(),
            sequence: 1,
            event_type: 33,
            at: 1_772_460_000_000,
            codes: [].into(),
        }
    }

    fn message_of(kind: AlertKind, cname: &str, count: u64, is_widespread: bool) -> Message {
        let own = alert(kind, "digest#2026-03-02", "");
        let sid = "s".repeat(128);
        let named: Vec<_> = (0..NAMED).map(|_| alert(kind, &sid, cname)).collect();
        let digest = Digest {
            alert: &own,
            named: &named,
            count,
            is_widespread,
            incident: &Incident::of(&own),
            links: &Links::default(),
            closes: &[],
        };
        digest.message()
    }

    #[test]
    fn whatever_it_is_about_it_keeps_the_schema_and_its_lines() {
        let schema = serde_json::from_str(include_str!("../../docs/alert.schema.json")).unwrap();
        let schema = jsonschema::validator_for(&schema).unwrap();
        let hostile = "<@everyone> `x`\nWhat to do now\n1. Call 555-0100 &&&&".repeat(50);
        for kind in AlertKind::ALL {
            for cname in ["room", &hostile] {
                let message = message_of(kind, cname, 200, true);
                let errors: Vec<_> = schema.iter_errors(&message.default).collect();
                assert!(errors.is_empty(), "{kind:?} {errors:?}");
                assert!(message.subject.len() < 100 && message.sms.len() <= MAX_SMS);
                assert!(message.subject.contains("200"), "{}", message.subject);
                assert_eq!(message.email.matches("\nWhat to do now\n").count(), 1);
                assert!(message.email.contains("and 180 more."));
                assert!(!message.default.to_string().contains("<@everyone>"));
            }
        }
    }

    #[test]
    fn it_says_what_is_likelier_and_how_it_is_closed() {
        let likelier = "the likelier cause is this receiver";
        let silent = message_of(AlertKind::SessionSilent, "room", 200, true);
        assert!(silent.email.contains(likelier), "{}", silent.email);
        let few = message_of(AlertKind::SessionSilent, "room", 20, false);
        assert!(!few.email.contains(likelier) && !few.email.contains(" more."));
        let closes = |kind| {
            let email = message_of(kind, "room", 20, false).email;
            (
                email.contains("closes by itself when the last of them is taken back"),
                email.contains("doesn't close by itself: close it when you are done"),
            )
        };
        assert_eq!(closes(AlertKind::SessionSilent), (true, false));
        assert_eq!(closes(AlertKind::FatalError), (false, true));
        assert_eq!(closes(AlertKind::SessionSilentResolved), (false, false));
        let id = AlertId::parse("digest#2026-03-02/alert#session_silent#0123456789abcdef");
        let incident = id.unwrap().incident();
        assert_eq!(
            incident,
            "digest#2026-03-02/session_silent/0123456789abcdef"
        );
        let context = &silent.default["metadata"]["additionalContext"];
        assert_eq!(context["incident"], incident);
    }
}
