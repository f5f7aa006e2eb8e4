//! Where the files are: an address in front of their keys. Pure.

use std::fmt::Write;

/// A longer address isn't taken.
const MAX: usize = 256;

/// The address under which a recording's files are: `s3://bucket`, or of another scheme, perhaps
/// with a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket(String);

/// A text isn't the address of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address as s3://bucket or s3://bucket/folder")]
pub struct IllegalBucket;

impl Bucket {
    /// Reads `scheme://host`, perhaps with a port and a path, of plain characters.
    ///
    /// # Errors
    /// It is something else.
    pub fn read(address: &str) -> Result<Self, IllegalBucket> {
        let (scheme, rest) = address.split_once("://").ok_or(IllegalBucket)?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte)
            });
        let is_host = host.starts_with(|c: char| c.is_ascii_alphanumeric())
            && host
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte));
        let is_path = path
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._~/-".contains(&byte));
        if is_scheme && is_host && is_path && address.len() <= MAX {
            Ok(Self(address.trim_end_matches('/').to_owned()))
        } else {
            Err(IllegalBucket)
        }
    }

    /// The address of the file with this key. On the web a key is escaped; elsewhere, as at S3, it
    /// stands as it is.
    #[must_use]
    pub fn uri(&self, key: &str) -> String {
        let mut uri = format!("{}/", self.0);
        if !(self.0.starts_with("https://") || self.0.starts_with("http://")) {
            uri.push_str(key);
            return uri;
        }
        for byte in key.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
                uri.push(char::from(byte));
            } else {
                let _ = write!(uri, "%{byte:02X}");
            }
        }
        uri
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_becomes_an_address() {
        for (bucket, key, uri) in [
            ("s3://lessons", "a b/ö.mp4", "s3://lessons/a b/ö.mp4"),
            ("s3://lessons/", "a.mp4", "s3://lessons/a.mp4"),
            ("gs://lessons/2026", "a.mp4", "gs://lessons/2026/a.mp4"),
            (
                "https://cdn.example.com:8443/x/",
                "a b/ö?.mp4",
                "https://cdn.example.com:8443/x/a%20b/%C3%B6%3F.mp4",
            ),
        ] {
            assert_eq!(Bucket::read(bucket).unwrap().uri(key), uri);
        }
    }

    #[test]
    fn what_is_no_address_of_a_bucket_is_refused() {
        let long = format!("s3://{}", "a".repeat(MAX));
        for bucket in [
            "lessons",
            "s3:lessons",
            "s3://",
            "s3:///folder",
            "S3://lessons",
            "://lessons",
            "s3://les sons",
            "s3://lessons/a?b",
            "s3://lessons\n",
            &long,
        ] {
            assert_eq!(Bucket::read(bucket), Err(IllegalBucket), "{bucket}");
        }
    }
}
