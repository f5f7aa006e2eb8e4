//! What is measured: the callback function and its references, built here.

use crate::AnyError;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A function to measure.
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) binary: PathBuf,
    /// Knows all kinds of callbacks; the references know one.
    pub(crate) is_ours: bool,
}

impl Function {
    /// A build of the callback function.
    pub(crate) fn ours(name: String, binary: PathBuf) -> Self {
        Self {
            name,
            binary,
            is_ours: true,
        }
    }

    fn reference(name: &str, binary: PathBuf) -> Self {
        Self {
            name: name.to_owned(),
            binary,
            is_ours: false,
        }
    }
}

/// All functions, built if need be; the one that the others are compared with comes first.
pub(crate) fn all(build: bool) -> Result<Vec<Function>, AnyError> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = root.join("target/reference");
    if build {
        references(&target)?;
        callback()?;
    }
    let tuned = target.join("tuned");
    let callback = root.join("target/release/callback");
    Ok(vec![
        Function::reference("tuned", tuned.join("tuned")),
        Function::ours("callback".to_owned(), callback),
        Function::reference("echo", tuned.join("echo")),
        Function::reference("http_echo", tuned.join("http_echo")),
        Function::reference("update_item", target.join("release/update_item")),
    ])
}

fn references(target: &Path) -> Result<(), AnyError> {
    let directory = target.to_string_lossy();
    let directory = ("CARGO_TARGET_DIR", &*directory);
    let manifest = ["--manifest-path", "benches/reference/Cargo.toml"];
    let tuned = [&manifest[..], &["--profile", "tuned", "--bins"]].concat();
    cargo(&tuned, &[directory])?;
    // All defaults: what the configuration of cargo in this repository sets is none of them.
    let defaults = [
        &manifest[..],
        &[
            "--release",
            "--features",
            "defaults",
            "--bin",
            "update_item",
        ],
    ];
    cargo(
        &defaults.concat(),
        &[directory, ("AWS_LC_SYS_NO_JITTER_ENTROPY", "0")],
    )?;
    Ok(())
}

/// Builds the callback function for release.
pub(crate) fn callback() -> Result<PathBuf, AnyError> {
    cargo(&["--release", "--bin", "callback"], &[])?;
    Ok(Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release/callback"))
}

fn cargo(arguments: &[&str], environment: &[(&str, &str)]) -> Result<(), AnyError> {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--locked", "--quiet"])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .envs(environment.iter().copied())
        .status()?;
    if !built.success() {
        return Err(format!("cargo build {}: {built}", arguments.join(" ")).into());
    }
    Ok(())
}
