//! The functions that are measured, built here: the callback function, its references, the viewer.

use crate::callbacks::Kind;
use lab::AnyError;
use lab::backend::Backend;
use lab::runtime::Plan;
use serde_json::Value;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use testkit::sign::LOCAL_SECRET;

/// The workspace, where Cargo builds.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A function to measure.
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) binary: PathBuf,
    /// What it is sent, in this order.
    pub(crate) kinds: &'static [Kind],
    /// A build of the callback function: its answer says whether a callback was stored.
    pub(crate) is_ours: bool,
    /// Variables beside those that all get: where its secret is, above all.
    pub(crate) environment: &'static [(&'static str, &'static str)],
    /// Only its start is of interest.
    pub(crate) is_start_only: bool,
    /// Whether an answer is what it should be.
    is_right: fn(&Value) -> bool,
}

impl Function {
    /// A build of the callback function.
    pub(crate) fn ours(name: impl Into<String>, binary: PathBuf) -> Self {
        Self {
            name: name.into(),
            binary,
            kinds: &Kind::ALL,
            is_ours: true,
            environment: &[("AGORA_SECRET", LOCAL_SECRET)],
            is_start_only: false,
            is_right: is_stored,
        }
    }

    /// The viewer, and a first visit: a link is checked, the table is asked.
    fn viewer(binary: PathBuf) -> Self {
        Self {
            kinds: &[Kind::Visit],
            is_ours: false,
            environment: &[("LINK_SECRET_ID", "agora")],
            is_start_only: true,
            is_right: is_page,
            ..Self::ours("viewer", binary)
        }
    }

    /// Puts a copy of the binary into `folder` and measures that: how a file was written decides
    /// how fast its pages are mapped.
    pub(crate) fn copied(self, folder: &Path, n: usize) -> io::Result<Self> {
        let binary = folder.join(n.to_string());
        fs::write(&binary, fs::read(&self.binary)?)?;
        fs::set_permissions(&binary, fs::metadata(&self.binary)?.permissions())?;
        Ok(Self { binary, ..self })
    }

    /// A build of the callback function, and its starts: with a secret in Secrets Manager, as the
    /// template has it, and with an alert as the first event.
    pub(crate) fn with_starts(name: &str, binary: &Path) -> [Self; 4] {
        let start = |what: &str, kinds| Self {
            kinds,
            is_start_only: true,
            ..Self::ours(format!("{name}, {what}"), binary.to_owned())
        };
        let managed = |function| Self {
            environment: &[("AGORA_SECRET_ID", "agora")],
            ..function
        };
        [
            Self::ours(name, binary.to_owned()),
            start("an alert first", &[Kind::Alerting]),
            managed(start("Secrets Manager", &[Kind::Heartbeat])),
            managed(start("both", &[Kind::Alerting])),
        ]
    }

    /// These events, and nothing else.
    pub(crate) fn plan(&self, events: Vec<String>, backend: &Backend) -> Plan {
        let of_its_own = |(name, value): &(&'static str, &str)| (*name, (*value).to_owned());
        Plan {
            events,
            marks: Vec::new(),
            counts: backend.counts(),
            quota: None,
            time: Duration::from_secs(30),
            environment: self.environment.iter().map(of_its_own).collect(),
            processor: None,
            is_right: self.is_right,
        }
    }

    fn reference(name: &str, binary: PathBuf) -> Self {
        Self {
            kinds: &[Kind::Heartbeat],
            is_ours: false,
            is_right: is_answered,
            ..Self::ours(name, binary)
        }
    }
}

fn is_answered(answer: &Value) -> bool {
    answer["statusCode"] == 200
}

/// The canned table has no recording, and the page says so.
fn is_page(answer: &Value) -> bool {
    let page = answer["body"].as_str().unwrap_or_default();
    answer["statusCode"] == 404 && page.contains("There is no such recording")
}

/// Status 200 isn't enough of ours.
fn is_stored(answer: &Value) -> bool {
    let text = answer["body"].as_str().unwrap_or_default();
    let text: Value = serde_json::from_str(text).unwrap_or_default();
    is_answered(answer) && text["result"] == "stored"
}

/// All functions, built if need be; the one that the others are compared with comes first.
pub(crate) fn all(build: bool) -> Result<Vec<Function>, AnyError> {
    let root = Path::new(ROOT);
    let target = root.join("target/reference");
    if build {
        references(&target)?;
        callback()?;
        cargo(&["--release", "--bin", "viewer"], &[])?;
    }
    let tuned = target.join("tuned");
    let callback = root.join("target/release/callback");
    let mut all = vec![
        Function::reference("tuned", tuned.join("tuned")),
        Function {
            environment: &[("AGORA_SECRET", LOCAL_SECRET), ("NOT_WARMED", "1")],
            is_start_only: true,
            ..Function::reference("tuned, not warmed", tuned.join("tuned"))
        },
    ];
    all.extend(Function::with_starts("callback", &callback));
    // The same once more: how far apart these two are is how much of a difference is none.
    all.push(Function::ours("callback, again", callback));
    all.push(Function::viewer(root.join("target/release/viewer")));
    all.extend([
        Function::reference("echo", tuned.join("echo")),
        Function::reference("http_echo", tuned.join("http_echo")),
        Function::reference("update_item", target.join("release/update_item")),
    ]);
    Ok(all)
}

fn references(target: &Path) -> Result<(), AnyError> {
    let directory = target.to_string_lossy();
    let directory = ("CARGO_TARGET_DIR", &*directory);
    let manifest = ["--manifest-path", "lab/reference/Cargo.toml"];
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
    Ok(Path::new(ROOT).join("target/release/callback"))
}

fn cargo(arguments: &[&str], environment: &[(&str, &str)]) -> Result<(), AnyError> {
    let built = testkit::cargo()
        .args(["build", "--locked", "--quiet"])
        .args(arguments)
        .current_dir(ROOT)
        .envs(environment.iter().copied())
        .status()?;
    if !built.success() {
        return Err(format!("cargo build {}: {built}", arguments.join(" ")).into());
    }
    Ok(())
}
