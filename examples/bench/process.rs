//! A function's process: its environment, its CPU, its memory, its end.

use crate::AnyError;
use crate::backend::{Backend, TABLE};
use crate::sign::LOCAL_SECRET;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use tokio::process::{Child, Command};

/// Starts `program` with what Lambda and the template would give it.
pub(crate) fn start(program: &[&Path], api: &str, backend: &Backend) -> Result<Child, AnyError> {
    let (binary, arguments) = program.split_first().ok_or("no program")?;
    let token: String = "IQoJb3JpZ2luX2Vj".chars().cycle().take(880).collect();
    let child = Command::new(binary)
        .args(arguments)
        .env_clear()
        .envs([
            ("AWS_LAMBDA_FUNCTION_NAME", "callback"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/callback"),
            (
                "AWS_LAMBDA_LOG_STREAM_NAME",
                "2026/03/02/[$LATEST]0123456789abcdef",
            ),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "ASIAIOSFODNN7EXAMPLE"),
            (
                "AWS_SECRET_ACCESS_KEY",
                "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            ),
            ("TABLE_NAME", TABLE),
            (
                "ALERT_TOPIC_ARN",
                "arn:aws:sns:eu-central-1:000000000000:alerts",
            ),
            ("AGORA_SECRET", LOCAL_SECRET),
            ("AWS_LAMBDA_RUNTIME_API", api),
            ("AWS_SESSION_TOKEN", &token),
            ("AWS_ENDPOINT_URL_DYNAMODB", &backend.url),
            ("AWS_ENDPOINT_URL_SNS", &backend.url),
        ])
        // One file of roots, as on Lambda.
        .env("SSL_CERT_FILE", &backend.roots)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    Ok(child)
}

/// The CPU that all threads of a process took, user and system, in ns.
pub(crate) fn cpu_ns(pid: u32) -> u64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return 0;
    };
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .sum()
}

/// The most memory that a process ever had, in KiB.
pub(crate) fn peak_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|text| text.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// Ends a process as Lambda does, so that a profiler around it can write its file.
pub(crate) async fn end(mut child: Child) -> Result<(), AnyError> {
    if let Some(pid) = child.id() {
        Command::new("kill")
            .args(["-TERM", &pid.to_string()])
            .status()
            .await?;
    }
    child.wait().await?;
    Ok(())
}
