//! A function's process: its environment, its CPU, its memory, its end.

use crate::backend::Backend;
use crate::wire::TABLE;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::fs;
use std::io;
use std::path::Path;
use std::process::Stdio;
use testkit::engine::AnyError;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

/// A process that runs.
pub struct Process {
    child: Child,
    pub pid: u32,
    /// Reads what it writes, as Lambda does; the last line.
    said: JoinHandle<String>,
}

impl Process {
    /// Starts `program` with what Lambda and the template would give it; `environment` goes over
    /// that.
    pub fn start(
        program: &[&Path],
        api: &str,
        backend: &Backend,
        environment: &[(&str, String)],
    ) -> Result<Self, AnyError> {
        let (binary, arguments) = program.split_first().ok_or("no program")?;
        let token: String = "IQoJb3JpZ2luX2Vj".chars().cycle().take(880).collect();
        let mut child = Command::new(binary)
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
                ("AWS_LAMBDA_RUNTIME_API", api),
                ("AWS_SESSION_TOKEN", &token),
                ("AWS_ENDPOINT_URL_DYNAMODB", &backend.urls.dynamodb),
                (
                    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
                    &backend.urls.secrets_manager,
                ),
                ("AWS_ENDPOINT_URL_SNS", &backend.urls.sns),
            ])
            .envs(environment.iter().map(|(name, value)| (*name, value)))
            // One file of roots, as on Lambda.
            .env("SSL_CERT_FILE", &backend.roots)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().ok_or("it has ended")?;
        let mut lines = BufReader::new(child.stderr.take().ok_or("no stderr")?).lines();
        let said = tokio::spawn(async move {
            let mut last = String::new();
            while let Ok(Some(line)) = lines.next_line().await {
                last = line;
            }
            last
        });
        Ok(Self { child, pid, said })
    }

    /// Binds it to one processor, and every thread that it has from now on.
    pub fn bind(&self, processor: usize) -> Result<(), AnyError> {
        bind(Pid::from_raw(self.pid.try_into()?), &[processor])
    }

    /// Waits for its end, which is a failure: the error has its last line.
    pub async fn ends_too_early(&mut self) -> AnyError {
        let status = self.child.wait().await;
        let said = (&mut self.said).await.unwrap_or_default();
        format!("it has ended: {status:?}: {said}").into()
    }

    /// Ends it as Lambda does, so that a profiler around it can write its file; its last line.
    pub async fn end(mut self) -> Result<String, AnyError> {
        // The shell's own: small systems have no program of that name.
        let kill = format!("kill -TERM {}", self.pid);
        Command::new("sh").args(["-c", &kill]).status().await?;
        self.child.wait().await?;
        Ok(self.said.await?)
    }
}

/// Binds a thread, this one if none is named, and those that it makes, to these processors.
pub fn bind(thread: Option<Pid>, processors: &[usize]) -> Result<(), AnyError> {
    let mut set = CpuSet::new();
    for processor in processors {
        set.set(*processor);
    }
    Ok(sched_setaffinity(thread, &set)?)
}

/// The processors that this thread may run on.
pub fn processors() -> Result<Vec<usize>, AnyError> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|n| set.is_set(*n)).collect())
}

/// The CPU that the threads of a process took, user and system, in ns. A thread that has ended
/// isn't in it: only the one that looks up names ever does.
pub fn cpu_ns(pid: u32) -> io::Result<u64> {
    let threads = fs::read_dir(format!("/proc/{pid}/task"))?;
    let sum = threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok())
        .filter_map(|text| number(text.split_whitespace().next()).ok())
        .sum();
    Ok(sum)
}

/// The CPU that this process took, threads that have ended included, in s.
pub fn own_cpu() -> io::Result<f64> {
    // Linux tells it in hundredths of a second, whatever its own clock is.
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name, in brackets, may have spaces in it.
    let fields: Vec<_> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split(' ')
        .collect();
    let field = |n: usize| number(fields.get(n).copied());
    let ticks = u32::try_from(field(12)? + field(13)?).map_err(io::Error::other)?;
    Ok(f64::from(ticks) / 100.0)
}

/// The most memory that a process ever had, in KiB.
pub fn peak_kib(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    number(peak.and_then(|text| text.split_whitespace().next()))
}

fn number(text: Option<&str>) -> io::Result<u64> {
    let number = text.and_then(|text| text.parse().ok());
    number.ok_or_else(|| io::Error::other("no number where there should be one"))
}
