//! A body as an attribute: text where it is text, bytes where it isn't, compressed where it is too
//! large for an item as it is. What was compressed comes back whole, and never as more than a
//! request can have been.

use crate::signature::MAX_BODY;
use crate::store::attribute::{Item, text, value_size};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use flate2::Compression;
use flate2::read::{DeflateDecoder, DeflateEncoder};
use std::io::Read;

/// DynamoDB takes items of 400 KB; the rest is for what stands beside details and body.
pub(in crate::store) const MAX_KEPT: usize = 390_000;

const BODY: &str = "body";
/// The body in raw DEFLATE (RFC 1951).
const BODY_DEFLATE: &str = "body_deflate";

/// A body as the attribute that holds it whole; `None` if it doesn't fit even compressed.
pub(in crate::store) fn keep_body(body: &[u8]) -> Option<(&'static str, AttributeValue)> {
    if body.len() <= MAX_KEPT {
        return Some((BODY, body_attribute(body)));
    }
    compress(body).map(|compressed| (BODY_DEFLATE, compressed))
}

/// The beginning of a body that doesn't fit, as much as fits.
pub(in crate::store) fn keep_beginning(body: &[u8]) -> (&'static str, AttributeValue) {
    let beginning = body.get(..MAX_KEPT).unwrap_or(body);
    (BODY, AttributeValue::B(Blob::new(beginning)))
}

/// The body that an item holds, whichever way.
pub(in crate::store) fn read_body(item: &Item) -> Option<Vec<u8>> {
    match (item.get(BODY), item.get(BODY_DEFLATE)) {
        (Some(AttributeValue::S(body)), _) => Some(body.clone().into_bytes()),
        (Some(AttributeValue::B(body)), _) => Some(body.as_ref().to_vec()),
        (None, Some(AttributeValue::B(compressed))) => decompress(compressed.as_ref()),
        (_, _) => None,
    }
}

fn body_attribute(body: &[u8]) -> AttributeValue {
    match std::str::from_utf8(body) {
        Ok(body) => text(body),
        Err(_) => AttributeValue::B(Blob::new(body)),
    }
}

fn compress(body: &[u8]) -> Option<AttributeValue> {
    let mut compressed = Vec::new();
    // One byte over the limit is enough to know.
    DeflateEncoder::new(body, Compression::default())
        .take(limit(MAX_KEPT + 1))
        .read_to_end(&mut compressed)
        .ok()?;
    let attribute = AttributeValue::B(Blob::new(compressed));
    (value_size(&attribute) <= MAX_KEPT).then_some(attribute)
}

fn decompress(compressed: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    DeflateDecoder::new(compressed)
        .take(limit(MAX_BODY + 1))
        .read_to_end(&mut body)
        .ok()?;
    (body.len() <= MAX_BODY).then_some(body)
}

fn limit(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(kept: Option<(&'static str, AttributeValue)>) -> Option<Vec<u8>> {
        let (name, value) = kept?;
        read_body(&Item::from([(name.to_owned(), value)]))
    }

    /// Bytes that don't compress.
    fn noise(length: usize) -> Vec<u8> {
        let mut rng = fastrand::Rng::with_seed(1);
        (0..length).map(|_| rng.u8(..)).collect()
    }

    #[test]
    fn a_body_comes_back_whole_whichever_way_it_is_kept() {
        for body in [
            b"".to_vec(),
            b"{}".to_vec(),
            b"\xff\xfe".to_vec(),
            vec![b'x'; MAX_KEPT],
            vec![b'x'; MAX_KEPT + 1],
            vec![b'x'; MAX_BODY],
            noise(MAX_KEPT),
        ] {
            assert!(back(keep_body(&body)) == Some(body));
        }
        assert_eq!(keep_body(&noise(MAX_KEPT + 1)), None);
        let (_, beginning) = keep_beginning(&noise(MAX_KEPT + 1));
        assert_eq!(value_size(&beginning), MAX_KEPT);
    }

    #[test]
    fn what_would_be_more_than_a_request_is_not_decompressed() {
        let bomb = compress(&vec![0; MAX_BODY + 1]).unwrap();
        assert_eq!(back(Some((BODY_DEFLATE, bomb))), None);
        let broken = AttributeValue::B(Blob::new(noise(100)));
        assert_eq!(back(Some((BODY_DEFLATE, broken))), None);
    }
}
