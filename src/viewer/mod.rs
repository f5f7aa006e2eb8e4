//! The pages behind signed links: a recording's page, the same as JSON, and two lists. Reads, and
//! writes nothing: whoever opens a link, a mail scanner for one, changes nothing by it.
//!
//! Invariant: nothing is read before the link's mac holds, and only the place that the link opens
//! is shown.
//!
//! Must not know: where requests come from, and what a page looks like.

mod answer;
mod refusal;

pub use answer::Answer;
pub use refusal::Refusal;

use crate::error::chain;
use crate::files::Bucket;
use crate::invocation::Invocation;
use crate::link::{self, Opened, Place, Refused};
use crate::notification::Sid;
use crate::record::Record;
use crate::report::{
    List, Page, Report, Row, Served, json, list_page, page, printable, summary_page,
};
use crate::secrets::{Secret, Secrets, SecretsError};
use crate::store::{Store, StoreError, Why};
use crate::watchdog::Rules;
use answer::Form;
use lambda_http::http::Method;
use std::cmp::Reverse;
use std::time::Duration;
use tokio::time::{timeout, timeout_at};

/// How often the page of a recording that isn't over fetches itself again, in seconds.
const REFRESH_SECS: u32 = 15;
/// How many watched sessions a list looks at, so that its time is bounded.
const LOOKED_AT: usize = 1_000;
/// How many recordings a list shows.
const SHOWN: usize = 200;
/// How many of a channel's newest recordings a list looks at.
const NEWEST: u16 = 200;
/// A larger answer might not fit into what Lambda hands on, 6 MB with all that is escaped in it.
const MAX_ANSWER: usize = 4 * 1024 * 1024;
/// Time reserved for making and returning the answer.
const ANSWER: Duration = Duration::from_millis(700);

/// A request as the viewer needs it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its path, as it came.
    pub path: &'a str,
    /// Its query, as it came; empty if there is none.
    pub query: &'a str,
}

/// The outcome of a request.
#[derive(Debug)]
pub struct Viewed {
    /// The answer.
    pub answer: Answer,
    /// What failed, with its causes.
    pub error: Option<String>,
}

/// The viewer: made once.
#[derive(Debug)]
pub struct Viewer {
    store: Store,
    keys: Secrets,
    rules: Rules,
    bucket: Option<Bucket>,
    refresh_secs: u32,
}

/// Why there is nothing to show.
struct Failure {
    refusal: Refusal,
    form: Form,
    error: Option<String>,
}

impl Viewer {
    /// A viewer of what is in `store`, behind links that are signed with the first of `keys`.
    #[must_use]
    pub fn new(store: Store, keys: Secrets, rules: Rules) -> Self {
        Self {
            store,
            keys,
            rules,
            bucket: None,
            refresh_secs: REFRESH_SECS,
        }
    }

    /// Files are shown with their addresses in `bucket`.
    #[must_use]
    pub fn with_bucket(self, bucket: Option<Bucket>) -> Self {
        Self { bucket, ..self }
    }

    /// Sets how often the page of a recording that isn't over fetches itself again, in seconds.
    #[must_use]
    pub fn with_refresh(self, refresh_secs: u32) -> Self {
        Self {
            refresh_secs,
            ..self
        }
    }

    /// Makes the first requests, so that connections, credentials and keys are ready when a person
    /// comes. Whether they succeed doesn't matter.
    ///
    /// # Errors
    /// The keys can't be fetched.
    pub async fn warm(&self, now_ms: u64) -> Result<(), SecretsError> {
        let read = async {
            if let Some(sid) = Sid::new("warm") {
                let _ = timeout(Duration::from_secs(1), self.store.record(&sid)).await;
            }
        };
        let ((), keys) = tokio::join!(read, self.keys.warm(now_ms));
        keys
    }

    /// Answers one request. Always answers, and in time.
    pub async fn view(&self, request: Request<'_>, invocation: Invocation<'_>) -> Viewed {
        let deadline = invocation.deadline;
        let invocation = invocation.until(deadline.checked_sub(ANSWER).unwrap_or(deadline));
        let shown = self.show(request, invocation).await;
        match shown {
            Ok(answer) => Viewed {
                answer,
                error: None,
            },
            Err(failure) => Viewed {
                answer: Answer::refusal(failure.refusal, failure.form),
                error: failure.error,
            },
        }
    }

    async fn show(
        &self,
        request: Request<'_>,
        invocation: Invocation<'_>,
    ) -> Result<Answer, Failure> {
        if !matches!(*request.method, Method::GET | Method::HEAD) {
            return Err(Failure::of(Refusal::MethodNotAllowed, Form::Page));
        }
        let (deadline, now_ms) = (invocation.deadline, invocation.began_at_ms());
        let too_late = |form| Failure::of(Refusal::TooLate, form);
        let opened = timeout_at(deadline, self.open(request, now_ms)).await;
        let (opened, key) = opened.map_err(|_| too_late(Form::Page))??;
        let form = Form::of(&opened.place);
        match timeout_at(deadline, self.read(&opened, &key, now_ms)).await {
            Ok(answer) => answer.map_err(|failure| Failure { form, ..failure }),
            Err(_) => Err(too_late(form)),
        }
    }

    async fn read(&self, opened: &Opened, key: &Secret, now_ms: u64) -> Result<Answer, Failure> {
        let link = |place: Place| place.link(opened.expires_at, key);
        match &opened.place {
            Place::Recording(sid) => self.recording(sid, &link, now_ms).await,
            Place::Json(sid) => self.json(sid, now_ms).await,
            Place::Watched => self.watched(opened, &link, now_ms).await,
            Place::Channel(cname) => self.channel(cname, opened, &link, now_ms).await,
        }
    }

    /// What the link of a request opens, and the key for links of the same expiry. A mac that
    /// doesn't hold may be made with a key that is newer than ours.
    async fn open(&self, request: Request<'_>, now_ms: u64) -> Result<(Opened, Secret), Failure> {
        let open = |keys: &[Secret]| {
            let opened = link::open(request.path, request.query, keys, now_ms)?;
            let key = keys.first().cloned().ok_or(Refused::Forged)?;
            Ok((opened, key))
        };
        let keys = self.keys.current(now_ms).await.map_err(|error| Failure {
            error: Some(chain(&error)),
            ..Failure::of(Refusal::NoKey, Form::Page)
        })?;
        let mut opened = open(&keys);
        if let Err(Refused::Forged) = opened
            && let Some(newer) = self.keys.refreshed(now_ms).await
        {
            opened = open(&newer);
        }
        opened.map_err(|refused| match refused {
            Refused::Forged => Failure::of(Refusal::Forged, Form::Page),
            Refused::Expired(place) => Failure::of(Refusal::Expired, Form::of(&place)),
        })
    }

    async fn recording(
        &self,
        sid: &Sid,
        link: &impl Fn(Place) -> String,
        now_ms: u64,
    ) -> Result<Answer, Failure> {
        let record = self.store.record(sid).await?.ok_or(Refusal::Unknown)?;
        let report = self.report(&record, now_ms);
        let json = link(Place::Json(sid.clone()));
        let served = Page::Served(Served {
            json: Some(&json),
            refresh: (!report.done).then_some(self.refresh_secs),
        });
        let whole = page(&report, &record, served);
        Ok(Answer::Page(if whole.len() > MAX_ANSWER {
            summary_page(&report, served)
        } else {
            whole
        }))
    }

    fn report(&self, record: &Record, now_ms: u64) -> Report {
        Report::of(record, &self.rules, now_ms).with_bucket(self.bucket.clone())
    }

    async fn json(&self, sid: &Sid, now_ms: u64) -> Result<Answer, Failure> {
        let record = self.store.record(sid).await?.ok_or(Refusal::Unknown)?;
        let report = self.report(&record, now_ms);
        let mut json = json(&report, &record);
        let mut text = json.to_string();
        if text.len() > MAX_ANSWER
            && let Some(timeline) = json.get_mut("timeline")
        {
            timeline.take();
            text = json.to_string();
        }
        Ok(Answer::Json(printable(&text)))
    }

    async fn watched(
        &self,
        opened: &Opened,
        link: &impl Fn(Place) -> String,
        now_ms: u64,
    ) -> Result<Answer, Failure> {
        let (mut sids, mut has_more) = self.store.some_watched().await?;
        has_more |= sids.len() > LOOKED_AT;
        sids.truncate(LOOKED_AT);
        let note = if has_more {
            "More are watched than are looked at here: `recordings list --active` lists them all."
        } else {
            ""
        };
        let rows = self.rows(&sids, opened).await?;
        let title = "Recordings that are watched";
        Ok(list(title, note, rows, opened, link, now_ms))
    }

    async fn channel(
        &self,
        cname: &str,
        opened: &Opened,
        link: &impl Fn(Place) -> String,
        now_ms: u64,
    ) -> Result<Answer, Failure> {
        let newest = self.store.newest_of(cname, NEWEST).await?;
        let note = if newest.len() >= usize::from(NEWEST) {
            "Only the newest are looked at here: `recordings list --channel` lists them all."
        } else {
            ""
        };
        let sids: Vec<_> = newest.into_iter().map(|key| key.sid).collect();
        let rows = self.rows(&sids, opened).await?;
        let title = "Recordings of one channel";
        Ok(list(title, note, rows, opened, link, now_ms))
    }

    /// The sessions as rows, newest first.
    async fn rows(&self, sids: &[Sid], opened: &Opened) -> Result<Vec<Row>, StoreError> {
        let sessions = self.store.sessions(sids).await?.into_iter();
        let mut rows: Vec<_> = sessions
            .map(|session| Row::of(session, &self.rules))
            .filter(|row| row.is_failed || !opened.failed_only)
            .collect();
        rows.sort_by(|a, b| (b.began, &b.sid).cmp(&(a.began, &a.sid)));
        Ok(rows)
    }
}

/// The page of a list. What needs somebody stands first.
fn list(
    title: &str,
    note: &str,
    mut rows: Vec<Row>,
    opened: &Opened,
    link: &impl Fn(Place) -> String,
    now_ms: u64,
) -> Answer {
    rows.sort_by_key(|row| Reverse(row.is_failed));
    let is_cut = rows.len() > SHOWN;
    rows.truncate(SHOWN);
    let rows: Vec<_> = rows
        .into_iter()
        .map(|row| {
            let address = link(Place::Recording(row.sid.clone()));
            (row, address)
        })
        .collect();
    let address = link(opened.place.clone());
    let other = if opened.failed_only {
        ("All of them", address)
    } else {
        ("Only those that failed", format!("{address}&failed=1"))
    };
    let note = if is_cut {
        "Those that failed stand first, then the newest; the rest isn't shown."
    } else {
        note
    };
    let list = List {
        title,
        note,
        rows: &rows,
        other: Some((other.0, &other.1)),
        now_ms,
    };
    Answer::Page(list_page(&list, Page::Served(Served::default())))
}

impl Failure {
    fn of(refusal: Refusal, form: Form) -> Self {
        Self {
            refusal,
            form,
            error: None,
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::of(refusal, Form::Page)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let refusal = match error {
            StoreError::Call { why, .. } => match why {
                Why::Throttled => Refusal::Throttled,
                Why::TimedOut => Refusal::TooLate,
                Why::Failed => Refusal::Unreachable,
            },
            StoreError::Conflict { .. } => Refusal::Unreachable,
        };
        Self {
            error: Some(chain(&error)),
            ..Self::of(refusal, Form::Page)
        }
    }
}
