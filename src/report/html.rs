//! A report as one page: what happened and what to do about it first, the picture below. Pure.

use super::document::{Page, document};
use super::lanes::picture;
use super::svg::chart;
use super::{Answer, Entry, Question, Report, Tone, What};
use crate::event::EventType;
use crate::record::Record;
use crate::text::{clock, offset, utc};
use maud::{Markup, html};

/// The page of a session.
#[must_use]
pub fn page(report: &Report, record: &Record, page: Page<'_>) -> String {
    let rest = html! {
        (chart(&picture(report, record)))
        (details(report))
        (timeline(report))
    };
    document(&title(report), page, &body(report, page, &rest))
}

/// The same without what grows with the session: its picture, and what happened one by one.
#[must_use]
pub fn summary_page(report: &Report, page: Page<'_>) -> String {
    let rest = html! {
        p.meta {
            "There is too much of this recording for a page: its picture and its "
            (report.timeline.len()) " callbacks and alerts are left out. "
            code { "recordings show " (report.sid) " --html FILE" } " draws all of it."
        }
        (details(report))
    };
    document(&title(report), page, &body(report, page, &rest))
}

fn channel(report: &Report) -> &str {
    if report.cname.is_empty() {
        "(channel unknown)"
    } else {
        &report.cname
    }
}

fn title(report: &Report) -> String {
    format!("{} · {}", channel(report), report.phase_word())
}

/// What is read first stands first, whatever the screen: what happened, what to do, the files.
fn body(report: &Report, page: Page<'_>, rest: &Markup) -> Markup {
    let served = page.served();
    html! {
        div.head {
            h1 { (channel(report)) }
            span class={ "badge " (report.tone.as_str()) } { (report.state.word()) }
        }
        p.meta { code { (report.sid) } " · as of " (utc(report.now_ms)) (page.refresh_words()) }
        (verdict(report))
        (facts(report))
        (rest)
        @if let Some(json) = served.json {
            p.meta { a href=(json) { "The same as JSON, for programs" } }
        }
    }
}

fn details(report: &Report) -> Markup {
    html! {
        div.two {
            (worries(report))
            (alerts(report))
            (holes(report))
            (files(report))
        }
    }
}

/// Alerts beside the first whose steps stand with the verdict; all of them stand further down.
const MAX_OTHERS: usize = 3;

/// What happened, in a sentence, and what to do about it.
fn verdict(report: &Report) -> Markup {
    let open = report.open_alerts.iter();
    let mut open = open.filter_map(|place| match &report.timeline.get(*place)?.what {
        What::Alert { title, steps, .. } => Some((title, steps)),
        What::Callback { .. } | What::Heartbeat { .. } | What::Missing(_) => None,
    });
    let first = open.next();
    let others = open.take(MAX_OTHERS);
    html! {
        section.card.now {
            @if let Some(state) = report.answer(Question::State) {
                p class={ "verdict " (state.tone.as_str()) } { (state.text) }
            }
            @if let Some((title, steps)) = first {
                h2 { "What to do now: " (title) }
                ol { @for step in steps { li { (step) } } }
            }
            @for (title, steps) in others {
                details {
                    summary { "And: " (title) }
                    ol { @for step in steps { li { (step) } } }
                }
            }
        }
    }
}

fn facts(report: &Report) -> Markup {
    let is = |question| move |answer: &&Answer| answer.question == question;
    let files = report.answers.iter().filter(is(Question::Files));
    let rest = report.answers.iter();
    let rest = rest.filter(|answer| !matches!(answer.question, Question::State | Question::Files));
    html! {
        dl.card.facts {
            @for answer in files.chain(rest) {
                div class=(answer.question.label()) {
                    dt { (answer.question.label()) }
                    dd class=(answer.line.tone.as_str()) { (answer.line.text) }
                }
            }
        }
    }
}

fn worries(report: &Report) -> Markup {
    html! {
        @if !report.worries.is_empty() {
            section.card {
                header { h2 { "Errors and warnings" } }
                ul.notes tabindex="0" aria-label="errors and warnings" {
                    @for entry in report.worries.iter().filter_map(
                        |place| report.timeline.get(*place)
                    ) {
                        li { span class={ "t-" (entry.line.tone.as_str()) } { (entry.line.text) }
                            small { (clock(entry.at)) " UTC, " (offset(entry.at, report.began)) } }
                    }
                }
            }
        }
    }
}

fn alerts(report: &Report) -> Markup {
    html! {
        @if !report.alerts.is_empty() {
            section.card {
                header { h2 { "Alerts" } }
                ul.notes tabindex="0" aria-label="alerts" {
                    @for entry in report.alerts.iter().filter_map(
                        |place| report.timeline.get(*place)
                    ) {
                        li {
                            span class={ "t-" (entry.line.tone.as_str()) } { (entry.line.text) }
                            small { (entry.details) }
                            @if let What::Alert { steps, .. } = &entry.what {
                                ol { @for step in steps { li { (step) } } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn holes(report: &Report) -> Markup {
    const MAX: usize = 50;
    html! {
        @if !report.holes.is_empty() {
            section.card {
                header { h2 { "Missing callbacks" } }
                ul.notes tabindex="0" aria-label="missing callbacks" {
                    @for hole in report.holes.iter().take(MAX) {
                        li {
                            (hole.numbers()) ", " (hole.when())
                            small { "uid " (hole.uid) ": " (hole.meaning) }
                        }
                    }
                    @if report.holes.len() > MAX {
                        li { "and " (report.holes.len() - MAX) " places more" }
                    }
                }
            }
        }
    }
}

fn files(report: &Report) -> Markup {
    const MAX: usize = 50;
    html! {
        @if !report.keys.is_empty() {
            section.card {
                header { h2 { "Files" } }
                ul.notes {
                    @for key in report.keys.iter().take(MAX) {
                        li { span class={ "t-" (key.tone.as_str()) } { (key.text) } }
                    }
                    @if report.keys.len() > MAX {
                        li { "and " (report.keys.len() - MAX) " more" }
                    }
                }
            }
        }
    }
}

fn timeline(report: &Report) -> Markup {
    html! {
        section.card.big {
            header { h2 { "Timeline" } }
            div.rows {
                table {
                    thead { tr { th { "UTC" } th.num.opt { "since start" } th.num.opt { "number" }
                        th.num.opt { "event" } th { "what" } } }
                    tbody {
                        @for (place, entry) in report.timeline.iter().enumerate() {
                            tr #{ "t" (place) } data-what=(entry.what.as_str()) {
                                td.mono { (clock(entry.at)) }
                                td.mono.num.opt { (offset(entry.at, report.began)) }
                                td.mono.num.opt { @if !matches!(entry.what, What::Missing(_))
                                    { (entry.sequence) } }
                                td.mono.num.opt {
                                    @match &entry.what {
                                        What::Callback { event_type, .. } => { (event_type) }
                                        What::Heartbeat { .. } => {
                                            (EventType::UPLOADING_PROGRESS.0)
                                        }
                                        What::Alert { .. } | What::Missing(_) => {}
                                    }
                                }
                                td class={ "t-" (entry.line.tone.as_str()) } {
                                    @if entry.details.is_empty()
                                        || entry.line.tone == Tone::Bad
                                        && matches!(entry.what, What::Alert { .. }) {
                                        (entry.text())
                                    } @else {
                                        details {
                                            summary { (entry.text()) }
                                            code { "uid " (entry.uid) " · " (scene(entry))
                                                (entry.details) }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Which stage of the recording a callback comes from, where it says.
fn scene(entry: &Entry) -> Markup {
    html! {
        @if let What::Callback { scene: Some(scene), .. } = &entry.what { "scene " (scene) " · " }
    }
}
