//! Cargo, asked by a program that Cargo itself has started.
//!
//! Must not know what is built.

use std::process::Command;

/// The Cargo that built this, as a person would call it. Cargo names the package to the programs
/// that it starts; with those names, build scripts run again, and all of the SDK is compiled again.
#[must_use]
pub fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_MANIFEST_") || text.starts_with("CARGO_PKG_") {
            cargo.env_remove(&name);
        }
    }
    cargo
}
