//! Compares figures that don't depend on the machine with recorded ones: size, requests and
//! instructions of the release binary.
//!
//! Instructions are counted by callgrind, as the difference between a process with twice as many
//! callbacks and one with half, so that the start drops out. Valgrind has no SHA extensions: the
//! signature weighs more here than on a real processor.

use crate::callbacks::Kind;
use crate::functions::{self, Function};
use crate::round;
use lab::AnyError;
use lab::backend::Backend;
use lab::runtime;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/baseline.json");
/// The processor that the baseline is of.
const ARCH: &str = "x86_64";
/// The largest binary that is let through, in bytes. What SAM builds, with another linker and for
/// another `target-cpu`, is some 0.4 MiB larger than what Cargo builds by itself.
const LARGEST: u64 = 20 * 512 * 1024;
/// How far instructions may be above the baseline, in thousandths. Two runs differ by three, a body
/// that is parsed twice brings 29.
const MARGIN: u64 = 25;
/// Callbacks in the shorter process.
const CALLBACKS: usize = 150;
/// Valgrind makes everything slower fifty times.
const PATIENCE: Duration = Duration::from_secs(300);

/// Compares, or records.
pub(crate) async fn run(
    binary: Option<PathBuf>,
    record: bool,
    keep: Option<PathBuf>,
) -> Result<(), AnyError> {
    let is_given = binary.is_some();
    let binary = binary.map_or_else(functions::callback, Ok)?;
    let size = fs::metadata(&binary)?.len();
    println!("size: {size} bytes of at most {LARGEST}");
    let mut wrong = Vec::new();
    if size > LARGEST {
        wrong.push("size: it is too large".to_owned());
    }
    let function = Function::ours("callback", binary);
    let backend = Backend::canned(false, Duration::ZERO).await?;
    // Fails if a callback makes more requests than it should, or fewer.
    round::play(&function, &backend, None, CALLBACKS).await?;
    for kind in Kind::ALL {
        println!("{}: {} requests", kind.name(), kind.requests());
    }
    if is_given && std::env::consts::ARCH == ARCH {
        let directory = tempfile::tempdir()?;
        let folder = keep.as_deref().unwrap_or(directory.path());
        let counted = instructions(&function, &backend, folder).await?;
        if record {
            fs::write(BASELINE, format!("{counted:#}\n"))?;
        } else if keep.is_none() {
            wrong.extend(compare(&counted)?);
        }
    } else if record || keep.is_some() {
        wrong.push(format!(
            "instructions: counted only of a BINARY that is given, on {ARCH}"
        ));
    } else {
        println!("instructions: not counted, the baseline is of what `sam build` makes for {ARCH}");
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(wrong.join("; ").into())
}

/// Instructions of a callback of each kind.
async fn instructions(
    function: &Function,
    backend: &Backend,
    folder: &Path,
) -> Result<Value, AnyError> {
    let mut counted = json!({});
    for kind in Kind::ALL {
        let mut totals = [0; 2];
        for (times, total) in (1..).zip(&mut totals) {
            let file = folder.join(format!("{}-{times}", kind.name()));
            let events = kind.events(0, times * CALLBACKS);
            *total = count(function, backend, events, &file).await?;
        }
        let [half, whole] = totals;
        let each = (whole - half) / u64::try_from(CALLBACKS)?;
        println!("{}: {each} instructions", kind.name());
        counted[kind.name()] = each.into();
    }
    Ok(counted)
}

/// What is above the baseline.
fn compare(counted: &Value) -> Result<Vec<String>, AnyError> {
    let baseline: Value = serde_json::from_str(&fs::read_to_string(BASELINE)?)?;
    let mut wrong = Vec::new();
    for kind in Kind::ALL {
        let number = |of: &Value| of[kind.name()].as_u64().ok_or("no figure");
        let (now, before) = (number(counted)?, number(&baseline)?);
        let name = kind.name();
        println!("{name}: {before} instructions recorded, {MARGIN} ‰ more let through");
        if now * 1000 > before * (1000 + MARGIN) {
            wrong.push(format!(
                "instructions, {name}: {now} rather than {before}; if that is meant, record it \
                anew with --record"
            ));
        }
    }
    Ok(wrong)
}

/// Instructions of a whole process that gets these events.
async fn count(
    function: &Function,
    backend: &Backend,
    events: Vec<String>,
    file: &Path,
) -> Result<u64, AnyError> {
    let option = format!("--callgrind-out-file={}", file.display());
    let program = [
        &*valgrind()?,
        Path::new("--tool=callgrind"),
        Path::new(&option),
        &function.binary,
    ];
    let plan = function.plan(events, backend);
    runtime::carry_out(plan, &program, backend, PATIENCE).await?;
    let text = fs::read_to_string(file)?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    Ok(total.ok_or("callgrind counted nothing")?.trim().parse()?)
}

/// Where valgrind is; the processes don't inherit `PATH`.
#[expect(
    clippy::disallowed_methods,
    reason = "a program for a terminal looks for another one"
)]
fn valgrind() -> Result<PathBuf, AnyError> {
    let path = std::env::var("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join("valgrind"))
        .find(|file| file.is_file())
        .ok_or_else(|| "valgrind isn't installed: without it instructions can't be counted".into())
}
