//! Who may send: the HMAC of the raw body, checked before anything is parsed. Must not know what a
//! callback says.
//!
//! `Agora-Signature-V2` (HMAC-SHA256) counts; `Agora-Signature` (HMAC-SHA1) only where V2 is absent
//! and not required. A wrong V2 is final. A digest is lower-case hex, as Agora prints it, in
//! exactly one header. Neither header carries a time: a captured request verifies for ever, and
//! what protects from a replay is idempotence and the age of `notifyMs`.

use crate::secrets::Secret;
use hmac::{Hmac, KeyInit, Mac};
use lambda_http::http::HeaderMap;
use sha1::Sha1;
use sha2::Sha256;

/// The largest body that Lambda hands over, in bytes.
pub const MAX_BODY: usize = 6 * 1024 * 1024;
/// The header of the HMAC-SHA256.
pub const SIGNATURE_V2: &str = "agora-signature-v2";
/// The header of the HMAC-SHA1.
pub const SIGNATURE_V1: &str = "agora-signature";

/// A body that a holder of the secret has signed. [`verify`] makes one from a request; what comes
/// out of quarantine is one, because only such bodies get in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified<'a>(&'a [u8]);

impl<'a> Verified<'a> {
    /// A body that was verified before it was put into quarantine; for `store::Quarantined` alone.
    pub(crate) fn out_of_quarantine(body: &'a [u8]) -> Self {
        Self(body)
    }

    /// The raw body.
    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        self.0
    }
}

/// The signature headers of a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct SignatureHeaders<'a> {
    /// `Agora-Signature-V2`.
    pub v2: Header<'a>,
    /// `Agora-Signature`.
    pub v1: Header<'a>,
}

/// A header as received. One that is sent twice has no value that counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Header<'a> {
    /// It isn't there.
    #[default]
    Absent,
    /// It is there once, with this value.
    Once(&'a [u8]),
    /// It is there several times.
    Repeated,
}

impl<'a> SignatureHeaders<'a> {
    /// Finds the signatures among the headers of a request.
    #[must_use]
    pub fn find(headers: &'a HeaderMap) -> Self {
        let find = |name| {
            let mut values = headers.get_all(name).iter();
            match (values.next(), values.next()) {
                (None, _) => Header::Absent,
                (Some(value), None) => Header::Once(value.as_bytes()),
                (Some(_), Some(_)) => Header::Repeated,
            }
        };
        Self {
            v2: find(SIGNATURE_V2),
            v1: find(SIGNATURE_V1),
        }
    }

    /// True without any signature header.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!((self.v2, self.v1), (Header::Absent, Header::Absent))
    }
}

/// Why a body isn't [`Verified`]. The sender gets the same answer either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is no signature header at all.
    #[error("no signature header")]
    Missing,
    /// It matches none of the secrets.
    #[error("wrong signature")]
    Wrong,
}

/// Checks the signature of `body` against every secret, in constant time.
///
/// # Errors
/// [`SignatureError::Missing`] without any signature header, [`SignatureError::Wrong`] for
/// everything else.
pub fn verify<'a>(
    headers: SignatureHeaders<'_>,
    body: &'a [u8],
    secrets: &[Secret],
    require_v2: bool,
) -> Result<Verified<'a>, SignatureError> {
    let genuine = match (headers.v2, headers.v1) {
        (Header::Absent, Header::Absent) => return Err(SignatureError::Missing),
        (Header::Once(digest), _) => matches::<Hmac<Sha256>, 32>(digest, body, secrets),
        (Header::Absent, Header::Once(digest)) if !require_v2 => {
            matches::<Hmac<Sha1>, 20>(digest, body, secrets)
        }
        (Header::Absent | Header::Repeated, _) => false,
    };
    if genuine {
        Ok(Verified(body))
    } else {
        Err(SignatureError::Wrong)
    }
}

/// True if `digest` is the hex HMAC of `body` under one of `secrets`.
fn matches<M: Mac + KeyInit, const LEN: usize>(
    digest: &[u8],
    body: &[u8],
    secrets: &[Secret],
) -> bool {
    decode_hex::<LEN>(digest).is_some_and(|digest| is_genuine::<M>(&digest, body, secrets))
}

/// True if `digest` is the whole HMAC of `message` under one of `secrets`; every secret is tried,
/// so that the time taken reveals nothing.
pub(crate) fn is_genuine<M: Mac + KeyInit>(
    digest: &[u8],
    message: &[u8],
    secrets: &[Secret],
) -> bool {
    secrets.iter().fold(false, |genuine, secret| {
        // An HMAC takes a key of any length; the branch is there because the type can't say so.
        let Ok(mut mac) = <M as KeyInit>::new_from_slice(secret.key()) else {
            return genuine;
        };
        mac.update(message);
        mac.verify_slice(digest).is_ok() | genuine
    })
}

/// Decodes exactly `LEN` bytes of lower-case hex.
fn decode_hex<const LEN: usize>(hex: &[u8]) -> Option<[u8; LEN]> {
    let mut bytes = [0; LEN];
    let (pairs, rest) = hex.as_chunks::<2>();
    if pairs.len() != LEN || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = 16 * nibble(*high)? + nibble(*low)?;
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lambda_http::http::{HeaderName, HeaderValue};

    const BODY: &[u8] = br#"{"eventMs":1560408533119,"eventType":10,"noticeId":"4eb720f0-8da7-11e9-a43e-53f411c2761f","notifyMs":1560408533119,"payload":{"a":"1","b":2},"productId":1}"#;
    const V1: &[u8] = b"033c62f40f687675f17f0f41f91a40c71c0f134c";
    const V2: &[u8] = b"6d3320c60b11101395b7fc8f9068748808a0aa1bfa064438e39d1bc2c7d74d99";

    fn header<'a>(values: &[&'a [u8]]) -> Header<'a> {
        match values {
            [] => Header::Absent,
            [value] => Header::Once(value),
            _ => Header::Repeated,
        }
    }

    #[test]
    fn signatures_are_found_however_their_headers_are_spelled_and_repeated() {
        let mut headers = HeaderMap::new();
        assert!(SignatureHeaders::find(&headers).is_empty());
        headers.append(
            HeaderName::from_bytes(b"AGORA-Signature").unwrap(),
            HeaderValue::from_static("a"),
        );
        let found = SignatureHeaders::find(&headers);
        assert!(!found.is_empty());
        assert_eq!((found.v2, found.v1), (Header::Absent, Header::Once(b"a")));
        headers.append("agora-signature-v2", HeaderValue::from_static("b"));
        headers.append(
            HeaderName::from_bytes(b"Agora-Signature-V2").unwrap(),
            HeaderValue::from_static("b"),
        );
        assert_eq!(SignatureHeaders::find(&headers).v2, Header::Repeated);
    }

    fn check(v2: &[&[u8]], v1: &[&[u8]], require_v2: bool) -> Result<(), SignatureError> {
        let secrets = [Secret::new("an older one"), Secret::new("secret")];
        let headers = SignatureHeaders {
            v2: header(v2),
            v1: header(v1),
        };
        verify(headers, BODY, &secrets, require_v2)
            .map(|verified| assert_eq!(verified.body(), BODY))
    }

    #[test]
    fn the_published_vectors_verify() {
        assert_eq!(check(&[V2], &[], false), Ok(()));
        assert_eq!(check(&[], &[V1], false), Ok(()));
        assert_eq!(check(&[V2], &[V1], true), Ok(()));
    }

    #[test]
    fn a_wrong_v2_is_final_and_v1_can_be_turned_off() {
        let mut wrong = V2.to_vec();
        wrong[0] ^= 1;
        for (v2, v1, require_v2, expected) in [
            (vec![&wrong[..]], vec![V1], false, SignatureError::Wrong),
            (vec![&b""[..]], vec![V1], false, SignatureError::Wrong),
            (vec![], vec![V1], true, SignatureError::Wrong),
            (vec![V2, V2], vec![], false, SignatureError::Wrong),
            (vec![], vec![V1, V1], false, SignatureError::Wrong),
            (vec![V1], vec![], false, SignatureError::Wrong),
            (vec![], vec![V2], false, SignatureError::Wrong),
            (vec![], vec![], false, SignatureError::Missing),
            (vec![], vec![], true, SignatureError::Missing),
        ] {
            assert_eq!(
                check(&v2, &v1, require_v2),
                Err(expected),
                "{v2:?} {v1:?} {require_v2}"
            );
        }
    }

    #[test]
    fn no_flipped_bit_and_no_other_length_is_accepted() {
        for (header, check_one) in [
            (
                V2,
                (|digest| check(&[digest], &[], false)) as fn(&[u8]) -> Result<(), SignatureError>,
            ),
            (V1, |digest| check(&[], &[digest], false)),
        ] {
            for position in 0..header.len() {
                for bit in 0..8 {
                    let mut flipped = header.to_vec();
                    flipped[position] ^= 1 << bit;
                    assert_eq!(
                        check_one(&flipped),
                        Err(SignatureError::Wrong),
                        "{position} {bit}"
                    );
                }
                assert_eq!(check_one(&header[..position]), Err(SignatureError::Wrong));
            }
            assert_eq!(
                check_one(&[header, b"0"].concat()),
                Err(SignatureError::Wrong)
            );
            assert_eq!(
                check_one(&[b" ", header].concat()),
                Err(SignatureError::Wrong)
            );
            assert_eq!(
                check_one(&header.to_ascii_uppercase()),
                Err(SignatureError::Wrong)
            );
        }
    }

    #[test]
    fn no_flipped_bit_of_the_body_and_no_part_of_it_is_accepted() {
        let secrets = [Secret::new("secret")];
        let absent = Header::Absent;
        for (v2, v1) in [(Header::Once(V2), absent), (absent, Header::Once(V1))] {
            let headers = SignatureHeaders { v2, v1 };
            let accepts = |body: &[u8]| verify(headers, body, &secrets, false).is_ok();
            assert!(accepts(BODY));
            for position in 0..BODY.len() {
                for bit in 0..8 {
                    let mut flipped = BODY.to_vec();
                    flipped[position] ^= 1 << bit;
                    assert!(!accepts(&flipped), "{position} {bit}");
                }
                assert!(!accepts(&BODY[..position]), "{position}");
            }
            assert!(!accepts(&[BODY, b" "].concat()));
        }
    }

    #[test]
    fn a_secret_that_stands_twice_holds() {
        let headers = SignatureHeaders {
            v2: Header::Once(V2),
            v1: Header::Absent,
        };
        let secrets = [Secret::new("secret"), Secret::new("secret")];
        assert!(verify(headers, BODY, &secrets, false).is_ok());
    }

    #[test]
    fn without_a_secret_nothing_verifies() {
        let headers = SignatureHeaders {
            v2: Header::Once(V2),
            v1: Header::Absent,
        };
        assert_eq!(
            verify(headers, BODY, &[], false),
            Err(SignatureError::Wrong)
        );
    }
}
