//! Where a message leads to: the pages of its recordings, and the runbook. Pure.

use crate::link::Place;
use crate::notification::Sid;
use crate::secrets::Secret;

/// An SMS with a link is at most this long, less what a test alert's mark takes.
const MAX_SMS_WITH_LINK: usize = 290;
/// A link that leaves less room than this for words isn't put into an SMS.
const MIN_SMS_WORDS: usize = 60;

/// Where a message leads to.
#[derive(Clone, Debug, Default)]
pub struct Links {
    /// The address of the runbook.
    pub runbook: Option<String>,
    /// The pages of recordings.
    pub pages: Option<Pages>,
}

/// The viewer, and what links to it are made with.
#[derive(Clone, Debug)]
pub struct Pages {
    /// The viewer's address, without a slash at its end.
    pub viewer: String,
    /// The key that links are signed with.
    pub key: Secret,
    /// Until when they open, s since the epoch.
    pub expires_at: u64,
}

impl Links {
    /// The page of a recording.
    pub(super) fn recording(&self, sid: &str) -> Option<String> {
        let pages = self.pages.as_ref()?;
        Some(pages.link(&Place::Recording(Sid::new(sid)?)))
    }

    /// The list of the watched recordings that failed.
    pub(super) fn failed(&self) -> Option<String> {
        let pages = self.pages.as_ref()?;
        Some(format!("{}&failed=1", pages.link(&Place::Watched)))
    }
}

impl Pages {
    /// The address of a place.
    #[must_use]
    pub fn link(&self, place: &Place) -> String {
        let link = place.link(self.expires_at, &self.key);
        format!("{}{link}", self.viewer)
    }
}

/// How much room there is for words in an SMS that ends with a link, if it can.
pub(super) fn sms_words(link: &str, max: usize) -> Option<usize> {
    let room = MAX_SMS_WITH_LINK.checked_sub(link.len() + 1)?;
    (room >= MIN_SMS_WORDS).then_some(room.min(max))
}

#[cfg(test)]
mod tests {
    use super::super::message::MAX_SMS;
    use super::super::{
        Alert, AlertKey, AlertKind, Digest, Incident, Message, NAMED, message, rehearsal,
    };
    use super::*;
    use crate::link::open;

    const NOW_MS: u64 = 1_772_460_000_000;
    const VIEWER: &str = "https://abcdefghijklmnopqrstuvwxyz012345.lambda-url.eu-central-1.on.aws";

    fn links() -> Links {
        Links {
            runbook: Some("https://wiki.example.com/x".to_owned()),
            pages: Some(Pages {
                viewer: VIEWER.to_owned(),
                key: Secret::new("key"),
                expires_at: NOW_MS / 1000 + 72 * 60 * 60,
            }),
        }
    }

    fn alert(kind: AlertKind, sid: &str) -> Alert {
        Alert {
            kind,
            key: AlertKey::from_stored(&format!("{}#0123456789abcdef", kind.as_str())),
            sid: sid.to_owned(),
            cname: "room-\u{202e}&101&".repeat(20),
            uid: "5".to_owned(),
            sequence: 1,
            event_type: 33,
            at: NOW_MS,
            codes: [].into(),
        }
    }

    /// The place that an address of the viewer opens.
    fn place(address: &str) -> Place {
        let link = address.strip_prefix(VIEWER).unwrap();
        let (path, query) = link.split_once('?').unwrap();
        open(path, query, &[Secret::new("key")], NOW_MS)
            .unwrap()
            .place
    }

    fn check(message: &Message, expected: &Place) {
        let schema = serde_json::from_str(include_str!("../../docs/alert.schema.json")).unwrap();
        let schema = jsonschema::validator_for(&schema).unwrap();
        let errors: Vec<_> = schema.iter_errors(&message.default).collect();
        assert!(errors.is_empty(), "{errors:?}");
        let context = &message.default["metadata"]["additionalContext"];
        assert_eq!(&place(context["viewUrl"].as_str().unwrap()), expected);
        let mut end = message.email.lines().rev();
        assert_eq!(end.next(), Some("https://wiki.example.com/x"));
        assert!(end.next().unwrap().starts_with("recordings show "));
        assert_eq!(&place(end.next().unwrap()), expected);
        assert!(message.sms.len() <= 300, "{}", message.sms);
        assert!(
            message
                .sms
                .bytes()
                .all(|byte| (b' '..=b'~').contains(&byte))
        );
    }

    #[test]
    fn every_alert_leads_to_its_page_in_each_of_its_texts() {
        for kind in AlertKind::ALL {
            let sid = "38f8e3cfdc474cd56fc1ceba380d7e1a";
            let expected = Place::Recording(Sid::new(sid).unwrap());
            let alert = alert(kind, sid);
            let message = message(&alert, &Incident::of(&alert), &links());
            check(&message, &expected);
            let link = message.sms.rsplit(' ').next().unwrap();
            assert_eq!(place(link), expected, "{}", message.sms);
            let test = rehearsal(kind, &links(), NOW_MS);
            let expected = Place::Recording(Sid::new("test-alert").unwrap());
            check(&test, &expected);
            assert_eq!(place(test.sms.rsplit(' ').next().unwrap()), expected);
        }
    }

    #[test]
    fn an_sms_without_room_for_words_beside_it_has_no_link() {
        let alert = alert(AlertKind::FatalError, &"s".repeat(128));
        let message = message(&alert, &Incident::of(&alert), &links());
        assert!(message.sms.len() <= MAX_SMS && !message.sms.contains("https"));
        check(&message, &Place::Recording(Sid::new(&alert.sid).unwrap()));
    }

    #[test]
    fn a_digest_leads_to_what_failed_and_to_each_recording_that_it_names() {
        let own = alert(AlertKind::SessionSilent, "digest#2026-03-02");
        let sid = |n: usize| format!("{n:0128}");
        let named = (0..NAMED).map(|n| alert(AlertKind::SessionSilent, &sid(n)));
        let named: Vec<_> = named.collect();
        let digest = Digest {
            alert: &own,
            named: &named,
            count: 200,
            is_widespread: true,
            incident: &Incident::of(&own),
            links: &links(),
            closes: &[],
        };
        let message = digest.message();
        check(&message, &Place::Watched);
        let leads = message
            .email
            .lines()
            .filter_map(|line| line.trim().strip_prefix(VIEWER));
        let leads = leads.map(|link| place(&format!("{VIEWER}{link}")));
        let mut expected: Vec<_> = (0..NAMED)
            .map(|n| Place::Recording(Sid::new(&sid(n)).unwrap()))
            .collect();
        expected.push(Place::Watched);
        assert_eq!(leads.collect::<Vec<_>>(), expected);
    }
}
