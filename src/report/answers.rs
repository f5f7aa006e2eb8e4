//! The answers to what a person asks first: how it goes, since when, who worked, where the files
//! are. Pure.

use super::state::failure_words;
use super::{Answer, Line, MAX_NAME, Question, Report, Tone, list, missing, words};
use crate::event::{Event, StreamState};
use crate::record::{AlertState, Record};
use crate::session::{Recorder, Work};
use crate::text::{ago, clean, clock, duration, utc};
use crate::watchdog::over_since;
use std::collections::BTreeMap;

/// The answers, most important first.
pub(super) fn answers(record: &Record, report: &Report) -> Vec<Answer> {
    let session = &record.watched.session;
    let now_ms = report.now_ms;
    let answer = |question, line| Answer { question, line };
    let mut answers = vec![answer(
        Question::State,
        report.state.line(session.generation()),
    )];
    answers.extend(since(record, now_ms).map(|line| answer(Question::Since, line)));
    answers.extend(began(report).map(|line| answer(Question::Began, line)));
    for index in 0..session.recorders.len() {
        answers.extend(recorder(record, index).map(|line| answer(Question::Recorder, line)));
    }
    answers.extend(progress(record).map(|line| answer(Question::Progress, line)));
    answers.push(answer(Question::Files, report.files.line(now_ms)));
    answers.push(answer(Question::Missing, missing::line(&report.holes)));
    answers.push(answer(Question::Alerts, alerts(record)));
    if record.unreadable > 0 {
        let text = format!("{} items can't be read and aren't shown", record.unreadable);
        answers.push(answer(Question::Unreadable, Line::warning(text)));
    }
    answers
}

fn since(record: &Record, now_ms: u64) -> Option<Line> {
    let phase = record.watched.session.phase()?;
    let text = format!("{}, {}", utc(phase.at), ago(phase.at, now_ms));
    (phase.at > 0).then_some(Line::plain(text))
}

fn began(report: &Report) -> Option<Line> {
    let lasted = match report.over {
        Some(over) => format!("over after {}", duration(over.saturating_sub(report.began))),
        None => format!("newest callback {}", ago(report.newest, report.now_ms)),
    };
    let text = format!("{}, {lasted}", utc(report.began));
    (report.began > 0).then_some(Line::plain(text))
}

fn progress(record: &Record) -> Option<Line> {
    let progress = record.watched.session.progress()?;
    let percent = progress
        .value
        .map_or_else(|| "unreadable".to_owned(), list::progress_words);
    Some(Line::plain(format!(
        "{percent} of what had been recorded was uploaded at {}",
        utc(progress.at)
    )))
}

/// What a recorder says about itself.
fn recorder(record: &Record, index: usize) -> Option<Line> {
    let recorders = &record.watched.session.recorders;
    let recorder = recorders.get(index)?;
    let is_replaced = record.watched.session.at_work() > Some(index);
    let exit = recorder.exit();
    let mut line = work(recorder, is_replaced || exit.is_some());
    if let Some(failure) = recorder.failure() {
        let words = failure_words(failure.value);
        line.text.push_str(&format!("; FAILED: {words}"));
        line.tone = Tone::Bad;
    }
    if is_replaced {
        line.text.push_str("; replaced by a failover");
    }
    let is_at_work = record.watched.session.at_work() == Some(index);
    if let Some(at) = nothing_since(record, &recorder.uid)
        && is_at_work
        && over_since(&record.watched).is_none()
    {
        line.text
            .push_str(&format!("; receiving nothing since {}", utc(at)));
        line.tone = line.tone.max(Tone::Warning);
    }
    match exit.map(|exit| exit.value) {
        Some(Some(status)) => {
            let text = format!("; the service exited, exit status {}", status.0);
            line.text.push_str(&text);
            if status.is_abnormal() {
                line.tone = Tone::Bad;
            }
        }
        Some(None) => line
            .text
            .push_str("; the service exited, its exit status unreadable"),
        None => {}
    }
    let since = recorder.since.or(recorder.announced_at);
    let since = since
        .filter(|_| recorders.len() > 1)
        .map_or_else(String::new, |at| format!(" since {}", clock(at)));
    let uid = clean(&recorder.uid, MAX_NAME);
    line.text.insert_str(0, &format!("uid {uid}{since}: "));
    Some(line)
}

/// Since when a recorder receives no stream any more, ms since the epoch; `None` while it receives
/// one, or never did.
fn nothing_since(record: &Record, uid: &str) -> Option<u64> {
    let mut newest: BTreeMap<_, (u64, u64, i64)> = BTreeMap::new();
    for callback in record.events.iter().filter(|callback| callback.uid == uid) {
        if let Event::StreamStateChanged {
            stream_uid,
            state: Some(state),
            ..
        } = callback.event()
        {
            let said = newest.entry((callback.event_type, stream_uid)).or_default();
            *said = (*said).max((callback.sendts, callback.sequence, state.0));
        }
    }
    let gone = StreamState::NOT_RECEIVING.0;
    let is_gone = newest.values().all(|(_, _, state)| *state == gone);
    newest
        .values()
        .map(|(at, ..)| *at)
        .max()
        .filter(|_| is_gone)
}

/// What it did last; `is_over` where it isn't at work any more, whatever it says.
fn work(recorder: &Recorder, is_over: bool) -> Line {
    match recorder.work().map(|work| work.value) {
        Some(Work::Started(Some(status))) if status.is_abnormal() => Line::bad("did not start"),
        // What never left and isn't at work any more was cut off.
        Some(Work::Started(_)) if is_over => Line::warning("started, never reported leaving"),
        Some(Work::Started(_)) => Line::plain("started, at work"),
        Some(Work::WebStarted) => Line::plain("web page recorder started"),
        Some(Work::Left(Some(code))) => Line {
            text: format!("left, {}", words::leave_words(code)),
            tone: words::leave_tone(code),
        },
        Some(Work::Left(None)) => Line::plain("left"),
        Some(Work::WebStopped(Some(code))) if code.is_abnormal() => {
            Line::bad(format!("stopped, code {code}"))
        }
        Some(Work::WebStopped(Some(code))) => Line::plain(format!("stopped, code {code}")),
        Some(Work::WebStopped(None)) => Line::plain("stopped"),
        Some(Work::CapabilityLimit) => Line::bad("stopped: the page asks for too much"),
        None => Line::quiet("not heard from yet"),
    }
}

fn alerts(record: &Record) -> Line {
    let count = |wanted| {
        let alerts = record.alerts.iter();
        alerts.filter(|alert| alert.state() == wanted).count()
    };
    let (pending, failed) = (count(AlertState::Pending), count(AlertState::Failed));
    match (record.alerts.len(), pending + failed) {
        (0, _) => Line::plain("none"),
        (1, 0) => Line::plain("1, sent"),
        (all, 0) => Line::plain(format!("{all}, all sent")),
        (all, _) => Line::bad(format!(
            "{all}: {pending} NOT SENT YET, {failed} GIVEN UP; see `recordings alerts list`"
        )),
    }
}
