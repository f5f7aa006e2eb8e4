//! What doesn't depend on the machine, compared with what was recorded: size, requests and instructions of the release binary.
//!
//! Instructions are counted by callgrind, as the difference between a process with twice as many callbacks and one with half,
//! so that the start drops out. Valgrind has no SHA extensions: the signature weighs more here than on a real processor.

use crate::AnyError;
use crate::backend::Backend;
use crate::callbacks::Kind;
use crate::functions;
use crate::process;
use crate::runtime::Api;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::Duration;
use tokio::time::timeout;

const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/baseline.json");
/// The largest binary that is let through, in bytes.
const LARGEST: u64 = 9 * 1024 * 1024;
/// How far instructions may be above the baseline, in thousandths. Two runs differ by five; another C library brings more.
const MARGIN: u64 = 40;
/// Callbacks in the shorter process.
const CALLBACKS: usize = 150;
/// Valgrind makes everything slower fifty times.
const PATIENCE: Duration = Duration::from_secs(300);
/// Kinds, and how many requests each makes.
const KINDS: [(&str, Kind, f64); 2] = [
    ("heartbeat", Kind::Heartbeat, 1.0),
    ("ordinary", Kind::Ordinary, 2.0),
];

/// Compares, or records.
pub(crate) async fn run(
    binary: Option<PathBuf>,
    record: bool,
    keep: Option<PathBuf>,
) -> Result<(), AnyError> {
    let directory = tempfile::tempdir()?;
    let folder = keep.as_deref().unwrap_or(directory.path());
    let binary = binary.map_or_else(functions::callback, Ok)?;
    let mut wrong = Vec::new();
    let size = fs::metadata(&binary)?.len();
    println!("size: {size} bytes of at most {LARGEST}");
    if size > LARGEST {
        wrong.push("size");
    }
    let backend = Backend::canned(false, Duration::ZERO).await?;
    let baseline: Value = match record {
        true => json!({}),
        false => serde_json::from_str(&fs::read_to_string(BASELINE)?)?,
    };
    let mut counted = json!({});
    for (name, kind, exactly) in KINDS {
        let half = count(
            &binary,
            kind,
            CALLBACKS,
            &backend,
            &folder.join(format!("{name}-half")),
        )
        .await?;
        let whole = count(
            &binary,
            kind,
            2 * CALLBACKS,
            &backend,
            &folder.join(format!("{name}-whole")),
        )
        .await?;
        let callbacks = u64::try_from(CALLBACKS)?;
        let requests = (whole.1 - half.1) / f64::from(u32::try_from(CALLBACKS)?);
        println!("{name}: {requests} requests");
        if requests != exactly {
            wrong.push("requests");
        }
        let instructions = (whole.0 - half.0) / callbacks;
        counted[name] = instructions.into();
        if record {
            println!("{name}: {instructions} instructions");
            continue;
        }
        let before = baseline[name].as_u64().ok_or("no baseline")?;
        println!("{name}: {instructions} instructions, {before} recorded, {MARGIN} ‰ allowed");
        if instructions * 1000 > before * (1000 + MARGIN) {
            wrong.push("instructions");
        }
    }
    if record {
        fs::write(BASELINE, format!("{counted:#}\n"))?;
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!(
        "not as it was: {}; if that is meant, record it anew with --record",
        wrong.join(", ")
    )
    .into())
}

/// Instructions and requests of a process that gets `callbacks` callbacks of a kind.
async fn count(
    binary: &Path,
    kind: Kind,
    callbacks: usize,
    backend: &Backend,
    file: &Path,
) -> Result<(u64, f64), AnyError> {
    let option = format!("--callgrind-out-file={}", file.display());
    let requests = || {
        let counts = backend.counts();
        counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .requests
    };
    let before = requests();
    let api = Api::start(kind.events(0, callbacks), Vec::new(), backend.counts()).await?;
    let program = [
        Path::new("/usr/bin/valgrind"),
        Path::new("--tool=callgrind"),
        Path::new(&option),
        binary,
    ];
    let child = process::start(&program, &api.address, backend)?;
    timeout(PATIENCE, api.over()).await?;
    if let Some(failure) = api.end().failure {
        return Err(format!("it answered {failure}").into());
    }
    process::end(child).await?;
    let text = fs::read_to_string(file)?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let total = total.ok_or("callgrind counted nothing")?.trim().parse()?;
    Ok((total, requests() - before))
}
