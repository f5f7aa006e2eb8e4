//! A report as one page that needs nothing else: inline style, script and picture, and a policy
//! that forbids the rest. Pure.
//!
//! maud escapes every text and attribute. Nothing from outside stands in the script, in the style,
//! or in a link.

use super::lanes::picture;
use super::svg::chart;
use super::{Entry, Report, Row, Tone, What};
use crate::event::EventType;
use crate::record::Record;
use crate::text::{ago, clock, offset, utc};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// How a page is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// As a file of its own.
    File,
    /// By the local example, refreshed every that many seconds.
    Live(u32),
}

/// The page of a session.
#[must_use]
pub fn page(report: &Report, record: &Record, page: Page) -> String {
    let channel = if report.cname.is_empty() {
        "(channel unknown)"
    } else {
        &report.cname
    };
    let title = format!("{channel} · {}", report.phase_word());
    let body = html! {
        @if let Page::Live(_) = page {
            p.crumb { a href="/" { "← all recordings" } }
        }
        div.head {
            h1 { (channel) }
            span class={ "badge " (report.tone.as_str()) } { (report.state.word()) }
        }
        p.meta { code { (report.sid) } " · as of " (utc(report.now_ms)) (live_words(page)) }
        (facts(report))
        (chart(&picture(report, record)))
        div.two {
            (worries(report))
            (alerts(report))
            (holes(report))
            (files(report))
        }
        (timeline(report))
    };
    document(&title, page, &body)
}

/// The page of a list of sessions.
#[must_use]
pub fn list_page(rows: &[Row], now_ms: u64, page: Page) -> String {
    let body = html! {
        div.head { h1 { "Recordings" } }
        p.meta { (rows.len()) " newest, as of " (utc(now_ms)) (live_words(page)) }
        section.card {
            @if rows.is_empty() {
                p.empty { br; "No callback has come yet." }
            } @else {
                div.rows {
                    table {
                        thead { tr {
                            th { "channel" } th { "state" } th.num { "progress" } th { "files" }
                            th.opt { "began" } th.opt { "newest callback" }
                        } }
                        tbody {
                            @for row in rows {
                                tr data-sid=(row.sid) {
                                    td {
                                        a href={ "/sessions/" (row.sid) } {
                                            @if row.cname.is_empty() { "(unknown)" }
                                            @else { (row.cname) }
                                        }
                                    }
                                    td { span class={ "badge " (row.tone.as_str()) }
                                        { (row.state) } }
                                    td.num { (row.progress) }
                                    td { (row.files) }
                                    td.opt { (utc(row.began)) }
                                    td.opt { (ago(row.newest, now_ms)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    };
    document("Recordings", page, &body)
}

fn live_words(page: Page) -> &'static str {
    match page {
        Page::File => "",
        Page::Live(_) => " · live",
    }
}

fn document(title: &str, page: Page, body: &Markup) -> String {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    let (connect, live) = match page {
        Page::File => ("", None),
        Page::Live(seconds) => (" connect-src 'self';", Some(seconds)),
    };
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:;\
         {connect} base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    );
    let document = html! {
        (DOCTYPE)
        html lang="en" data-live=[live] {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main { (body) }
                div #tip role="tooltip" {}
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    document.into_string()
}

fn facts(report: &Report) -> Markup {
    html! {
        dl.card.facts {
            @for answer in &report.answers {
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
                ul.notes {
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
                ul.notes {
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
                ul.notes {
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
        section.card {
            header { h2 { "Timeline" } }
            div.rows {
                table {
                    thead { tr { th { "UTC" } th.num { "since start" } th.num.opt { "number" }
                        th.num.opt { "event" } th { "what" } } }
                    tbody {
                        @for (place, entry) in report.timeline.iter().enumerate() {
                            tr #{ "t" (place) } data-what=(entry.what.as_str()) {
                                td.mono { (clock(entry.at)) }
                                td.mono.num { (offset(entry.at, report.began)) }
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
