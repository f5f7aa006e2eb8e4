//! A session for a person: what happened to it, in words, as a picture, as a page, and as JSON for
//! programs. Pure.
//!
//! A [`Record`] is everything the table holds about a session; a [`Report`] is what a person asks
//! about it. Every text from outside is cleaned on its way into the report: one line, no control or
//! direction characters, cut. Heartbeats (33) leave no item, so a report knows the newest only.
//! Times are `sendts`, ms since the epoch, where nothing else is said.
//!
//! Must not know: the table, the clock. Of the functions only the viewer has it.

mod answers;
mod document;
mod files;
mod html;
mod json;
mod lanes;
mod list;
mod list_page;
mod missing;
mod state;
mod svg;
mod text;
mod timeline;
mod words;

#[cfg(test)]
mod claims;
#[cfg(test)]
mod tests;

pub use document::{Page, Served, message_page, served_policy};
pub use html::{page, summary_page};
pub use json::{json, printable};
pub use lanes::{Curve, Lane, LaneKind, Mark, Picture, Shape, Span, picture};
pub use list::{Row, progress_words};
pub use list_page::{List, list_page};
pub use missing::Hole;
pub use state::{Files, State};
pub use text::{entry_line, text, toned};
pub use timeline::{Entry, What};

use crate::event::EventType;
use crate::files::{Bucket, covered};
use crate::named::named;
use crate::notification::Sid;
use crate::record::Record;
use crate::session::Phase;
use crate::text::clean;
use crate::watchdog::{Rules, over_since};
use std::cmp::Reverse;

/// A name from outside is cut to this many characters.
const MAX_NAME: usize = 128;
/// How long the next callback of a session is waited for, in ms.
const QUIET_MS: u64 = 5 * 60 * 1000;

named! {
    /// How good or bad something is; also its colour.
    pub enum Tone {
        /// Of no weight.
        Quiet = "quiet",
        /// As it is.
        Plain = "plain",
        /// As it should be.
        Good = "good",
        /// Somebody may want to look.
        Warning = "warning",
        /// Something is lost or broken.
        Bad = "bad",
    }
}

/// A line for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The words.
    pub text: String,
    /// How good the news is.
    pub tone: Tone,
}

impl Line {
    fn quiet(text: impl Into<String>) -> Self {
        Self::new(Tone::Quiet, text.into())
    }

    fn plain(text: impl Into<String>) -> Self {
        Self::new(Tone::Plain, text.into())
    }

    fn good(text: impl Into<String>) -> Self {
        Self::new(Tone::Good, text.into())
    }

    fn warning(text: impl Into<String>) -> Self {
        Self::new(Tone::Warning, text.into())
    }

    fn bad(text: impl Into<String>) -> Self {
        Self::new(Tone::Bad, text.into())
    }

    fn new(tone: Tone, text: String) -> Self {
        Self { text, tone }
    }
}

/// What a person asks about a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// What does it do?
    State,
    /// Since when?
    Since,
    /// When did it begin, and how long did it last?
    Began,
    /// Who works, or worked? One answer a recorder.
    Recorder,
    /// How much is uploaded?
    Progress,
    /// Where are the files?
    Files,
    /// Which callbacks never came?
    Missing,
    /// Which alerts were there?
    Alerts,
    /// Which items can't be read?
    Unreadable,
}

impl Question {
    /// A word for it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Since => "since",
            Self::Began => "began",
            Self::Recorder => "recorder",
            Self::Progress => "progress",
            Self::Files => "files",
            Self::Missing => "missing",
            Self::Alerts => "alerts",
            Self::Unreadable => "unreadable",
        }
    }
}

/// An answer to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What is asked.
    pub question: Question,
    /// The answer.
    pub line: Line,
}

/// The answers to what a person asks about a session, and everything that happened.
#[derive(Clone, Debug)]
pub struct Report {
    /// The recording.
    pub sid: Sid,
    /// The channel; empty if it isn't known.
    pub cname: String,
    /// The phase in the table, which knows nothing of failures before an orderly end.
    pub phase: Option<Phase>,
    /// How it goes.
    pub state: State,
    /// What became of the files.
    pub files: Files,
    /// How good all that is.
    pub tone: Tone,
    /// When it began, ms since the epoch; 0 if nothing says.
    pub began: u64,
    /// Its newest callback, ms since the epoch.
    pub newest: u64,
    /// When it was over, ms since the epoch.
    pub over: Option<u64>,
    /// Nothing more is expected: it is over, and its files are accounted for or nothing has come
    /// for minutes.
    pub done: bool,
    /// The moment it is looked at from, ms since the epoch.
    pub now_ms: u64,
    /// How many recorders there were.
    pub recorders: usize,
    /// The answers, most important first.
    pub answers: Vec<Answer>,
    /// Each file that the callbacks speak of, the one to play first.
    pub keys: Vec<Line>,
    /// Where the files are, if that is known.
    pub bucket: Option<Bucket>,
    /// What is missing.
    pub holes: Vec<Hole>,
    /// What happened, by time and number.
    pub timeline: Vec<Entry>,
    /// Errors, warnings and interruptions, and alerts: places in `timeline`.
    pub worries: Vec<usize>,
    /// Each alert and what became of it: places in `timeline`.
    pub alerts: Vec<usize>,
    /// Those that nothing has taken back, the most severe first, the newest first: places in
    /// `timeline`.
    pub open_alerts: Vec<usize>,
}

impl Report {
    /// Reads a record at a given moment. `rules`: what a failed recording isn't waited for.
    #[must_use]
    pub fn of(record: &Record, rules: &Rules, now_ms: u64) -> Self {
        let session = &record.watched.session;
        let state = State::of(&record.watched);
        let covered = covered(session, &record.events);
        let mut files = Files::of(&record.watched, &covered, rules);
        files.names_no_file = names_no_file(record, &files);
        let holes = missing::holes(record, &files);
        let timeline = timeline::timeline(record, &holes);
        let times = || {
            let callbacks = record.events.iter().map(|callback| callback.sendts);
            let recorders = session.recorders.iter();
            callbacks.chain(recorders.flat_map(|recorder| {
                let registers = recorder.registers.values().map(|register| register.at);
                recorder
                    .since
                    .into_iter()
                    .chain([recorder.last_sendts])
                    .chain(registers)
            }))
        };
        let began = times().filter(|at| *at > 0).min().unwrap_or(0);
        let newest = times().max().unwrap_or(0);
        let over = over_since(&record.watched);
        let is_accounted = files.is_accounted_for();
        let is_quiet = now_ms.saturating_sub(record.watched.updated_at) > QUIET_MS;
        let at = |wanted: fn(&Entry) -> bool| {
            let places = timeline.iter().enumerate();
            places
                .filter(|(_, entry)| wanted(entry))
                .map(|(place, _)| place)
                .collect::<Vec<_>>()
        };
        let worries = at(|entry| {
            entry.line.tone >= Tone::Warning && matches!(entry.what, What::Callback { .. })
        });
        let alerts = at(|entry| matches!(entry.what, What::Alert { .. }));
        let mut open_alerts = at(|entry| matches!(entry.what, What::Alert { is_open: true, .. }));
        open_alerts.sort_by_key(|place| {
            let entry = timeline.get(*place);
            entry.map(|entry| (entry.severity(), Reverse(entry.at)))
        });
        let mut report = Self {
            sid: record.watched.sid.clone(),
            cname: clean(&record.watched.cname, MAX_NAME),
            phase: session.phase().map(|phase| phase.value),
            state,
            tone: state::overall_tone(state, &files),
            files,
            began,
            newest,
            over,
            done: over.is_some() && (is_accounted || is_quiet),
            now_ms,
            recorders: session.recorders.len(),
            answers: Vec::new(),
            keys: files::keys(record),
            bucket: None,
            holes,
            worries,
            alerts,
            open_alerts,
            timeline,
        };
        report.answers = answers::answers(record, &report);
        report
    }

    /// The same, for programs with the addresses of the files.
    #[must_use]
    pub fn with_bucket(self, bucket: Option<Bucket>) -> Self {
        Self { bucket, ..self }
    }

    /// The first answer to a question.
    #[must_use]
    pub fn answer(&self, question: Question) -> Option<&Line> {
        let mut answers = self.answers.iter();
        let answer = answers.find(|answer| answer.question == question)?;
        Some(&answer.line)
    }

    /// The phase in a word.
    #[must_use]
    pub fn phase_word(&self) -> &'static str {
        self.phase.map_or("unknown", Phase::as_str)
    }
}

/// True where what confirms the files names none.
fn names_no_file(record: &Record, files: &Files) -> bool {
    let Some(reported) = files.reported.as_ref().filter(|it| it.value.is_over()) else {
        return false;
    };
    let moment = (reported.sequence, reported.at, reported.value.event_type.0);
    let mut confirming = record.events.iter().filter(|callback| {
        (callback.sequence, callback.sendts, callback.event_type) == moment
            && callback.event_type != EventType::VOD_TRIGGERED.0
    });
    confirming.any(|callback| {
        let event = callback.event();
        let files = callback.meaning(&event).files;
        files.is_some_and(|files| files.list().is_empty())
    })
}
