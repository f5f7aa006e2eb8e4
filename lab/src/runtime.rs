//! The Lambda Runtime API, as it is served to one process: hands out events, takes answers, looks
//! at the clock.

use crate::backend::Backend;
use crate::process::{Process, cpu_ns, peak_kib};
use crate::quota::{self, Quota};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use serde_json::Value;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use testkit::counted::Counts;
use testkit::engine::AnyError;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// What is done with a process.
pub struct Plan {
    pub events: Vec<String>,
    /// Before which events, by index, there is a [`Mark`]; the number of events is after the last
    /// one.
    pub marks: Vec<usize>,
    /// The backend's.
    pub counts: Arc<Mutex<Counts>>,
    /// What the process is held to from its first `next` on; events then come a period apart.
    pub quota: Option<Arc<Quota>>,
    /// How long an invocation may take.
    pub time: Duration,
    /// Over what every function is given.
    pub environment: Vec<(&'static str, String)>,
    /// Which processor the process runs on; any, unless it is one's own.
    pub processor: Option<usize>,
    /// Whether an answer is what it should be.
    pub is_right: fn(&Value) -> bool,
}

/// What was seen of a process.
#[derive(Default)]
pub struct Seen {
    pub first_next: Option<Instant>,
    /// From event to answer, in µs, one an event.
    pub latencies: Vec<f64>,
    pub marks: Vec<Mark>,
    /// The last line of its log.
    pub last_line: String,
    /// What it said instead of the answer it should give, or what went wrong here.
    failure: Option<String>,
    handed_out: usize,
    sent: Option<Instant>,
}

/// A look at a process between two events.
#[derive(Clone, Copy)]
pub struct Mark {
    pub cpu_ns: u64,
    pub peak_kib: u64,
    /// What the backend was asked until then.
    pub counts: Counts,
}

/// Starts `program`, which is a function or runs it, and goes through with the plan; when it was
/// started, and what was seen. A plan that isn't through after `patience`, and an answer that isn't
/// right, are errors.
pub async fn carry_out(
    plan: Plan,
    program: &[&Path],
    backend: &Backend,
    patience: Duration,
) -> Result<(Instant, Seen), AnyError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let started = Instant::now();
    let mut process = Process::start(program, &address, backend, &plan.environment)?;
    if let Some(processor) = plan.processor {
        process.bind(processor)?;
    }
    let api = Api::start(plan, process.pid, listener);
    tokio::select! {
        waited = timeout(patience, api.over()) => waited?,
        error = process.ends_too_early() => return Err(error),
    }
    let mut seen = api.end();
    seen.last_line = process.end().await?;
    match seen.failure.take() {
        Some(failure) => Err(failure.into()),
        None => Ok((started, seen)),
    }
}

struct Session {
    plan: Plan,
    pid: u32,
    seen: Mutex<Seen>,
    over: Notify,
}

/// A Runtime API with its events.
struct Api {
    session: Arc<Session>,
    server: JoinHandle<std::io::Result<()>>,
}

impl Api {
    /// Serves `pid`, which has been told where `listener` listens.
    fn start(plan: Plan, pid: u32, listener: TcpListener) -> Self {
        let session = Arc::new(Session {
            plan,
            pid,
            seen: Mutex::default(),
            over: Notify::new(),
        });
        let router = Router::new()
            .fallback(serve)
            .with_state(Arc::clone(&session));
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        Self { session, server }
    }

    /// Waits until all events are answered, or one isn't.
    async fn over(&self) {
        self.session.over.notified().await;
    }

    /// Lets go of the port, and returns what was seen.
    fn end(self) -> Seen {
        self.server.abort();
        std::mem::take(&mut *self.session.seen())
    }
}

impl Session {
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next event and its number; `None` if there is no more.
    fn next(&self) -> Option<(usize, &str)> {
        let now = Instant::now();
        let mut seen = self.seen();
        if seen.first_next.is_none() {
            seen.first_next = Some(now);
            let quota = self.plan.quota.as_ref();
            if let Some(Err(error)) = quota.map(|quota| quota.hold(self.pid)) {
                seen.failure = Some(format!("it can't be held to a quota: {error}"));
                return None;
            }
        }
        let n = seen.handed_out;
        if self.plan.marks.contains(&n) {
            match self.mark() {
                Ok(mark) => seen.marks.push(mark),
                Err(error) => {
                    seen.failure = Some(format!("its CPU or memory can't be read: {error}"));
                    return None;
                }
            }
        }
        let event = self.plan.events.get(n)?;
        seen.handed_out += 1;
        seen.sent = Some(Instant::now());
        Some((n, event))
    }

    fn mark(&self) -> std::io::Result<Mark> {
        let counts = self.plan.counts.lock();
        Ok(Mark {
            cpu_ns: cpu_ns(self.pid)?,
            peak_kib: peak_kib(self.pid)?,
            counts: *counts.unwrap_or_else(PoisonError::into_inner),
        })
    }

    fn answered(&self, is_failure: bool, body: &[u8]) {
        let now = Instant::now();
        let mut seen = self.seen();
        let latency = seen
            .sent
            .map_or(0.0, |sent| (now - sent).as_secs_f64() * 1e6);
        seen.latencies.push(latency);
        let answer = serde_json::from_slice(body).unwrap_or_default();
        if is_failure || !(self.plan.is_right)(&answer) {
            seen.failure = Some(format!("it answered {}", String::from_utf8_lossy(body)));
            self.over.notify_one();
        }
    }
}

async fn serve(
    State(session): State<Arc<Session>>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> Response {
    if method == Method::POST {
        session.answered(uri.path().ends_with("/error"), &body);
        return StatusCode::ACCEPTED.into_response();
    }
    if session.plan.quota.is_some() && session.seen().first_next.is_some() {
        tokio::time::sleep(quota::PERIOD).await;
    }
    let Some((n, event)) = session.next() else {
        session.over.notify_one();
        return std::future::pending().await;
    };
    let time_ms = u64::try_from(session.plan.time.as_millis()).unwrap_or(u64::MAX);
    let deadline = agora_recording_callbacks::clock::now_ms().saturating_add(time_ms);
    let mut response = event.to_owned().into_response();
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("lambda-runtime-deadline-ms", deadline.into());
    let arn = "arn:aws:lambda:eu-central-1:000000000000:function:callback";
    headers.insert(
        "lambda-runtime-invoked-function-arn",
        HeaderValue::from_static(arn),
    );
    let trace = "Root=1-68ed0a15-1be8cd2d0c1a2b3c4d5e6f70;Parent=0a1b2c3d4e5f6071;Sampled=0";
    headers.insert("lambda-runtime-trace-id", HeaderValue::from_static(trace));
    if let Ok(id) = HeaderValue::from_str(&format!("{n:08x}-1111-4222-8333-444444444444")) {
        headers.insert("lambda-runtime-aws-request-id", id);
    }
    response
}
