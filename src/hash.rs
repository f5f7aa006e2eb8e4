//! Hashes of contents: their SHA-256 in hex, or its beginning, where that is enough of a name.

use sha2::{Digest, Sha256};

/// The first `bytes` bytes of the SHA-256 of `content`, two hex digits each; it has 32.
#[must_use]
pub fn short_hash(content: &[u8], bytes: usize) -> String {
    Sha256::digest(content)
        .iter()
        .take(bytes)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_beginning_of_the_sha_256() {
        assert_eq!(short_hash(b"abc", 4), "ba7816bf");
        assert_eq!(short_hash(b"", 8), "e3b0c44298fc1c14");
    }
}
