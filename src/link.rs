//! Signed links to the pages of recordings: each opens one place, until it expires. Pure.
//!
//! A link is `<path>?e=<expiry>&m=<mac>`. The mac is the base64url of an HMAC-SHA256 over all that
//! stands before `&m=`, as it stands there: whoever has the key can make one with any tool, and
//! nothing of a link can be written in another way. What else is in the query, such as `failed=1`,
//! opens nothing, and a holder of the link may change it.
//!
//! Must not know: what the places show.

use crate::notification::Sid;
use crate::secrets::Secret;
use crate::signature::is_genuine;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What a link opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The page of a recording.
    Recording(Sid),
    /// What is on that page, as JSON.
    Json(Sid),
    /// The list of the recordings that are watched.
    Watched,
    /// The list of a channel's newest recordings.
    Channel(String),
}

impl Place {
    /// Its path.
    #[must_use]
    pub fn path(&self) -> String {
        match self {
            Self::Recording(sid) => format!("/s/{sid}"),
            Self::Json(sid) => format!("/s/{sid}.json"),
            Self::Watched => "/".to_owned(),
            Self::Channel(cname) => format!("/c/{}", URL_SAFE_NO_PAD.encode(cname)),
        }
    }

    /// The place with this path. Each place has one path.
    fn at(path: &str) -> Option<Self> {
        if path == "/" {
            return Some(Self::Watched);
        }
        if let Some(channel) = path.strip_prefix("/c/") {
            let cname = URL_SAFE_NO_PAD.decode(channel).ok()?;
            return String::from_utf8(cname).ok().map(Self::Channel);
        }
        let sid = path.strip_prefix("/s/")?;
        match sid.strip_suffix(".json") {
            Some(sid) => Sid::new(sid).map(Self::Json),
            None => Sid::new(sid).map(Self::Recording),
        }
    }

    /// Path and query of the link that opens it until `expires_at`, s since the epoch.
    #[must_use]
    pub fn link(&self, expires_at: u64, key: &Secret) -> String {
        let signed = format!("{}?e={expires_at}", self.path());
        // An HMAC takes a key of any length; without a mac a link would open nothing.
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key.key()).map(|mut mac| {
            mac.update(signed.as_bytes());
            URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
        });
        format!("{signed}&m={}", mac.unwrap_or_default())
    }
}

/// A link that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The place.
    pub place: Place,
    /// Until when, s since the epoch.
    pub expires_at: u64,
    /// `failed=1`: the list shows only what failed.
    pub failed_only: bool,
}

/// Why a link opens nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It isn't one of ours, or not as we made it. Which of its parts is wrong isn't told.
    #[error("not a link of this viewer")]
    Forged,
    /// It is ours, and has expired.
    #[error("the link has expired")]
    Expired(Place),
}

/// Opens a link with any of `keys`, at `now_ms` since the epoch. The mac is judged first, and in
/// constant time: an expiry means nothing before.
///
/// # Errors
/// [`Refused`].
pub fn open(path: &str, query: &str, keys: &[Secret], now_ms: u64) -> Result<Opened, Refused> {
    let expiry = only(query, "e").ok_or(Refused::Forged)?;
    let mac = only(query, "m").and_then(|mac| URL_SAFE_NO_PAD.decode(mac).ok());
    let signed = format!("{path}?e={expiry}");
    let is_ours = is_genuine::<Hmac<Sha256>>(&mac.unwrap_or_default(), signed.as_bytes(), keys);
    let (Ok(expires_at), Some(place), true) = (expiry.parse(), Place::at(path), is_ours) else {
        return Err(Refused::Forged);
    };
    if now_ms / 1000 >= expires_at {
        return Err(Refused::Expired(place));
    }
    Ok(Opened {
        place,
        expires_at,
        failed_only: only(query, "failed") == Some("1"),
    })
}

/// The value of a parameter that is there exactly once.
fn only<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut values = pairs.filter(|(of, _)| *of == name).map(|(_, value)| value);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW_MS: u64 = 1_772_460_000_000;
    const EXPIRES_AT: u64 = 1_772_460_001;

    fn key() -> Secret {
        Secret::new("key")
    }

    fn recording() -> Place {
        Place::Recording(Sid::new("38f8e3cfdc474cd56fc1ceba380d7e1a").unwrap())
    }

    fn open_link(link: &str, keys: &[Secret], now_ms: u64) -> Result<Opened, Refused> {
        let (path, query) = link.split_once('?').unwrap_or((link, ""));
        open(path, query, keys, now_ms)
    }

    #[test]
    fn a_link_is_what_any_tool_makes_of_its_beginning() {
        // printf '%s' '/s/38f8e3cfdc474cd56fc1ceba380d7e1a?e=1772460001' |
        //   openssl dgst -sha256 -hmac key -binary | basenc --base64url | tr -d =
        assert_eq!(
            recording().link(EXPIRES_AT, &key()),
            "/s/38f8e3cfdc474cd56fc1ceba380d7e1a?e=1772460001\
             &m=YU7Q79obMsOHyTmQNlD6_kKSK5vZdukZpWnjFFYcjVc"
        );
    }

    #[test]
    fn a_link_opens_its_place_until_it_expires_and_with_either_key() {
        let sid = Sid::new("a-b_C").unwrap();
        for place in [
            recording(),
            Place::Json(sid),
            Place::Watched,
            Place::Channel("Raum 1 / ü\u{202e}".to_owned()),
        ] {
            let link = place.link(EXPIRES_AT, &key());
            let opened = Opened {
                place: place.clone(),
                expires_at: EXPIRES_AT,
                failed_only: false,
            };
            let keys = [Secret::new("newer"), key()];
            assert_eq!(open_link(&link, &keys, NOW_MS), Ok(opened.clone()));
            let failed = format!("{link}&failed=1&utm_source=mail");
            let of_failed = Opened {
                failed_only: true,
                ..opened
            };
            assert_eq!(open_link(&failed, &keys, NOW_MS), Ok(of_failed));
            assert_eq!(
                open_link(&link, &keys, NOW_MS + 1000),
                Err(Refused::Expired(place))
            );
            let rotated = [Secret::new("newest"), Secret::new("newer")];
            for now_ms in [NOW_MS, NOW_MS + 1000] {
                assert_eq!(open_link(&link, &rotated, now_ms), Err(Refused::Forged));
                assert_eq!(open_link(&link, &[], now_ms), Err(Refused::Forged));
            }
        }
    }

    #[test]
    fn the_same_mac_written_in_another_way_is_another_one() {
        let link = recording().link(EXPIRES_AT, &key());
        let (signed, mac) = link.split_once("&m=").unwrap();
        // 43 digits hold 258 bits of 256: the last digit has three neighbours that decode alike.
        let digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let last = digits.find(&mac[42..]).unwrap();
        let neighbours =
            (1..4).map(|bits| format!("{}{}", &mac[..42], &digits[last ^ bits..][..1]));
        let bytes = URL_SAFE_NO_PAD.decode(mac).unwrap();
        let hex = |byte: &u8| format!("{byte:02x}");
        let others = [
            format!("{mac}="),
            format!("{mac}A"),
            mac[..42].to_owned(),
            String::new(),
            bytes.iter().map(hex).collect(),
            base64::engine::general_purpose::STANDARD.encode(&bytes),
            format!("{mac}&m={mac}"),
            format!("{mac}&e={EXPIRES_AT}"),
        ];
        for other in neighbours.chain(others) {
            let link = format!("{signed}&m={other}");
            assert_eq!(
                open_link(&link, &[key()], NOW_MS),
                Err(Refused::Forged),
                "{other}"
            );
        }
    }

    #[test]
    fn what_is_no_place_is_opened_by_no_mac() {
        for path in [
            "",
            "//",
            "/s/",
            "/s/a/b",
            "/s/.json",
            "/c/YQ==",
            "/c/YR",
            "/s/a.json.json",
        ] {
            assert_eq!(Place::at(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn every_other_link_is_refused(
            at in 0_usize..200,
            bit in 0_u8..7,
            more in "[A-Za-z0-9._~/-]{1,9}",
        ) {
            let place = recording();
            let link = place.link(EXPIRES_AT, &key());
            let (path, query) = link.split_once('?').unwrap();
            let mut flipped = link.clone().into_bytes();
            let at = at % flipped.len();
            flipped[at] ^= 1 << bit;
            if let Ok(flipped) = String::from_utf8(flipped) {
                prop_assert_eq!(open_link(&flipped, &[key()], NOW_MS), Err(Refused::Forged));
            }
            for path in [format!("{path}{more}"), format!("/{more}{path}")] {
                prop_assert_eq!(open(&path, query, &[key()], NOW_MS), Err(Refused::Forged));
            }
        }
    }
}
