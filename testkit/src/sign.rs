//! Signs a body as Agora does.

use crate::local::setting;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;

/// The secret that the samples in `events/` are signed with.
pub const LOCAL_SECRET: &str = setting("AGORA_SECRET");

/// The value of `Agora-Signature-V2`.
pub fn v2(secret: &str, body: &[u8]) -> String {
    hex::<Hmac<Sha256>>(secret, body)
}

/// The value of `Agora-Signature`.
pub fn v1(secret: &str, body: &[u8]) -> String {
    hex::<Hmac<Sha1>>(secret, body)
}

fn hex<M: Mac + KeyInit>(secret: &str, body: &[u8]) -> String {
    let mut mac = <M as KeyInit>::new_from_slice(secret.as_bytes())
        .expect("an HMAC takes a key of any length");
    mac.update(body);
    mac.finalize()
        .into_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
