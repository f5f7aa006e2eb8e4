//! A report as one page that needs nothing else: inline style, script and picture, and a policy that forbids the rest. Pure.
//!
//! maud escapes every text and attribute. Nothing from outside stands in the script, in the style, or in a link.

use super::lanes::{Lane, LaneKind, Mark, Picture, Shape, Span, picture};
use super::{Record, Report, Row, Tone, What, ago, clock, offset};
use crate::alert::utc;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// With more streams than this their lanes are narrow.
const MANY_STREAMS: usize = 24;
/// Ticks on the axis, at most.
const MAX_TICKS: u64 = 9;

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
            span class={ "badge " (report.tone.as_str()) } { (badge(report)) }
        }
        p.meta { code { (report.sid) } " · as of " (utc(report.now_ms)) (live_words(page)) }
        (facts(report))
        (chart(&picture(report, record)))
        div.two {
            (worries(report))
            (alerts(report))
            (holes(report))
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
                                    td { a href={ "/sessions/" (row.sid) } { (if row.cname.is_empty() { "(unknown)" } else { &row.cname }) } }
                                    td { span class={ "badge " (row.tone.as_str()) } { (row.state) } }
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

fn badge(report: &Report) -> String {
    let state = report.answer("state").map_or("", |answer| &answer.text);
    if state.starts_with("SILENT") {
        "silent".to_owned()
    } else {
        report.phase_word().to_owned()
    }
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
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:;{connect} base-uri 'none'; form-action 'none'",
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
                div class=(answer.label) {
                    dt { (answer.label) }
                    dd class=(answer.tone.as_str()) { (answer.text) }
                }
            }
        }
    }
}

fn chart(picture: &Picture) -> Markup {
    let streams = picture
        .lanes
        .iter()
        .filter(|lane| lane.kind == LaneKind::Stream)
        .count();
    let is_many = streams > MANY_STREAMS;
    let axis = Axis::of(picture);
    html! {
        section.card {
            header {
                h2 { "Picture" }
                p.legend {
                    span { i.i-recording {} "recording" } span { i.i-failed {} "failed" } span { i.i-work {} "recorder" }
                    span { i.i-audio {} "audio" } span { i.i-video {} "video" } span { i.i-gap {} "interrupted or missing" }
                }
                div.zoom role="group" aria-label="zoom" {
                    @for (zoom, pressed) in [("1", "true"), ("4", "false"), ("16", "false")] {
                        button type="button" data-zoom=(zoom) aria-pressed=(pressed) { (zoom) "×" }
                    }
                }
            }
            div.scroll tabindex="0" role="group" aria-label="the picture; the table below says the same" {
                div.chart.many[is_many] data-from=(picture.from) data-to=(picture.to) {
                    (patterns())
                    div.lane.axis {
                        div.name { span { "UTC" } }
                        svg height="26" {
                            @for (at, label) in &axis.ticks {
                                line.grid x1=(axis.x(*at)) x2=(axis.x(*at)) y1="20" y2="26" {}
                                text x=(axis.x(*at)) y="15" text-anchor=(axis.anchor(*at)) { (label) }
                            }
                        }
                    }
                    @for lane in &picture.lanes { (lane_row(lane, &axis, is_many)) }
                    div.hair { b {} }
                }
            }
        }
    }
}

/// The hatchings. A pattern's own colours come from the style sheet.
fn patterns() -> Markup {
    html! {
        svg width="0" height="0" aria-hidden="true" {
            defs {
                @for id in ["gap", "hole"] {
                    pattern id=(id) width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                        rect.gap-back width="7" height="7" {}
                        line.gap-line x1="0" y1="0" x2="0" y2="7" {}
                    }
                }
            }
        }
    }
}

/// How high a lane is, and where its bars and marks are, in px.
struct Rows {
    height: u32,
    /// Top and height of a bar.
    bar: (u32, u32),
    /// The middle of a mark.
    mark: u32,
}

fn rows(kind: LaneKind, is_many: bool, class: &str) -> Rows {
    let rows = |height, bar, mark| Rows { height, bar, mark };
    match (kind, is_many) {
        (LaneKind::Service, _) => rows(34, (7, 20), 17),
        (LaneKind::Recorder, _) => rows(34, (9, 16), 17),
        (LaneKind::Uploader, _) => rows(52, (6, 40), 40),
        (LaneKind::Errors | LaneKind::Alerts | LaneKind::Files, _) => rows(28, (6, 16), 14),
        (LaneKind::Missing, _) => rows(28, (5, 18), 14),
        (LaneKind::Stream, false) => match class {
            "audio" => rows(26, (5, 7), 8),
            "video" => rows(26, (14, 7), 17),
            _ => rows(26, (5, 16), 13),
        },
        (LaneKind::Stream, true) => match class {
            "audio" => rows(16, (3, 4), 5),
            "video" => rows(16, (9, 4), 11),
            _ => rows(16, (3, 10), 8),
        },
    }
}

fn lane_row(lane: &Lane, axis: &Axis, is_many: bool) -> Markup {
    let height = rows(lane.kind, is_many, "").height;
    html! {
        div class={ "lane " (lane.kind.as_str()) } data-lane=(lane.kind.as_str()) {
            div.name title=(lane.label) { span { (lane.label) } }
            svg.marks height=(height) role="img" aria-label=(lane.label) {
                @for (at, _) in &axis.ticks {
                    line.grid x1=(axis.x(*at)) x2=(axis.x(*at)) y1="0" y2=(height) {}
                }
                @for span in &lane.spans { (bar(span, lane.kind, axis, is_many)) }
                @if let Some(curve) = &lane.curve {
                    (progress(&curve.points, &curve.tip, axis))
                }
                @for mark in &lane.marks { (mark_at(mark, lane.kind, axis, is_many)) }
            }
        }
    }
}

fn bar(span: &Span, kind: LaneKind, axis: &Axis, is_many: bool) -> Markup {
    let (top, height) = rows(kind, is_many, span.class).bar;
    let has_label = matches!(
        kind,
        LaneKind::Service | LaneKind::Recorder | LaneKind::Missing
    ) && span.class != "gap";
    // What is too short to be seen is drawn as wide as a hair.
    let width = axis.width(span.from, span.to);
    html! {
        rect class={ "bar " (span.class) } data-bar=(span.class) data-tip x=(axis.x(span.from)) y=(top) width=(width) height=(height) rx="3" {
            title { (span.tip) }
        }
        @if has_label {
            svg.clip x=(axis.x(span.from)) y=(top) width=(width) height=(height) {
                text class={ "inbar " (span.class) } x="12" y=(height / 2 + 4) { (span.label) }
            }
        }
    }
}

fn progress(points: &[(u64, u64)], tip: &str, axis: &Axis) -> Markup {
    let first = points
        .first()
        .map_or(0, |(at, _)| axis.hundred_thousandth(*at));
    let last = points
        .last()
        .map_or(0, |(at, _)| axis.hundred_thousandth(*at));
    let line: Vec<_> = points
        .iter()
        .map(|(at, progress)| format!("{},{}", axis.hundred_thousandth(*at), 10_000 - progress))
        .collect();
    let line = line.join(" ");
    html! {
        svg.clip x="0" y="6" width="100%" height="40" viewBox="0 0 100000 10000" preserveAspectRatio="none" {
            polygon.under points={ (first) ",10000 " (line) " " (last) ",10000" } {}
            polyline.curve data-curve=(points.len()) points=(line) {}
            polyline.hit data-tip points=(line) { title { (tip) } }
        }
    }
}

fn mark_at(mark: &Mark, kind: LaneKind, axis: &Axis, is_many: bool) -> Markup {
    let y = rows(kind, is_many, mark.class).mark;
    let class = format!("mark {}", mark.tone.as_str());
    html! {
        a href={ "#t" (mark.place) } tabindex="-1" {
            svg x=(axis.x(mark.at)) y=(y) {
                @match (mark.shape, kind) {
                    (Shape::Tick, LaneKind::Stream) => {
                        rect class={ (class) " tick" } data-mark=(mark.class) data-tip x="-1.5" y=(if is_many { "-2" } else { "-3.5" }) width="3" height=(if is_many { "4" } else { "7" }) { title { (mark.tip) } }
                    }
                    (Shape::Tick, _) => {
                        rect class={ (class) " tick" } data-mark=(mark.class) data-tip x="-1.5" y="-7" width="3" height="14" rx="1.5" { title { (mark.tip) } }
                    }
                    (Shape::Dot, _) => {
                        circle class=(class) data-mark=(mark.class) data-tip r="5" { title { (mark.tip) } }
                    }
                    (Shape::Diamond, _) => {
                        path class=(class) data-mark=(mark.class) data-tip d="M0-7.5 7.5 0 0 7.5-7.5 0z" { title { (mark.tip) } }
                    }
                    (Shape::Bell, _) => {
                        path class=(class) data-mark=(mark.class) data-tip d="M0-8.5 8.5 6.5h-17z" { title { (mark.tip) } }
                    }
                }
            }
        }
    }
}

/// Where a time is.
struct Axis {
    from: u64,
    to: u64,
    ticks: Vec<(u64, String)>,
}

impl Axis {
    fn of(picture: &Picture) -> Self {
        const STEPS: [u64; 20] = [
            1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200,
            86_400, 172_800, 604_800,
        ];
        let length = picture.to - picture.from;
        let fits = |step: &&u64| length / (**step * 1000) <= MAX_TICKS;
        let step = STEPS.iter().find(fits).copied().unwrap_or(2_592_000) * 1000;
        let first = picture.from.div_ceil(step);
        let ticks = (first..)
            .map(|n| n * step)
            .take_while(|at| *at <= picture.to)
            .map(|at| {
                let label = match step {
                    ..60_000 => clock(at).chars().take(8).collect(),
                    60_000..86_400_000 => clock(at).chars().take(5).collect(),
                    _ => utc(at).chars().take(10).collect(),
                };
                (at, label)
            });
        Self {
            from: picture.from,
            to: picture.to,
            ticks: ticks.collect(),
        }
    }

    /// 0 at the left, 100,000 at the right; what is outside sticks to the edge.
    fn hundred_thousandth(&self, at: u64) -> u64 {
        let at = at.clamp(self.from, self.to) - self.from;
        let length = (self.to - self.from).max(1);
        u64::try_from(u128::from(at) * 100_000 / u128::from(length)).unwrap_or(100_000)
    }

    fn x(&self, at: u64) -> String {
        percent(self.hundred_thousandth(at))
    }

    /// So that the first and the last label aren't cut off.
    fn anchor(&self, at: u64) -> &'static str {
        match self.hundred_thousandth(at) {
            ..3_000 => "start",
            97_000.. => "end",
            _ => "middle",
        }
    }

    fn width(&self, from: u64, to: u64) -> String {
        let width = self
            .hundred_thousandth(to)
            .saturating_sub(self.hundred_thousandth(from));
        percent(width.max(120))
    }
}

fn percent(hundred_thousandth: u64) -> String {
    format!(
        "{}.{:03}%",
        hundred_thousandth / 1000,
        hundred_thousandth % 1000
    )
}

fn worries(report: &Report) -> Markup {
    html! {
        @if !report.worries.is_empty() {
            section.card {
                header { h2 { "Errors and warnings" } }
                ul.notes {
                    @for entry in report.worries.iter().filter_map(|place| report.timeline.get(*place)) {
                        li { span class={ "t-" (entry.tone.as_str()) } { (entry.text) } small { (clock(entry.at)) " UTC, " (offset(entry.at, report.began)) } }
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
                    @for entry in report.alerts.iter().filter_map(|place| report.timeline.get(*place)) {
                        li {
                            span class={ "t-" (entry.tone.as_str()) } { (entry.text.trim_start_matches("ALERT ")) }
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
                        li { (hole.numbers()) ", " (hole.when()) small { "uid " (hole.uid) ": " (hole.meaning) } }
                    }
                    @if report.holes.len() > MAX {
                        li { "and " (report.holes.len() - MAX) " places more" }
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
                    thead { tr { th { "UTC" } th.num { "since start" } th.num.opt { "number" } th.num.opt { "event" } th { "what" } } }
                    tbody {
                        @for (place, entry) in report.timeline.iter().enumerate() {
                            tr #{ "t" (place) } data-what=(entry.what.as_str()) {
                                td.mono { (clock(entry.at)) }
                                td.mono.num { (offset(entry.at, report.began)) }
                                td.mono.num.opt { @if !matches!(entry.what, What::Missing(_)) { (entry.sequence) } }
                                td.mono.num.opt {
                                    @match &entry.what {
                                        What::Callback { event_type, .. } => { (event_type) }
                                        What::Heartbeat { .. } => { "33" }
                                        What::Alert { .. } | What::Missing(_) => {}
                                    }
                                }
                                td class={ "t-" (entry.tone.as_str()) } {
                                    @if entry.details.is_empty() || entry.tone == Tone::Bad && matches!(entry.what, What::Alert { .. }) {
                                        (entry.text)
                                    } @else {
                                        details { summary { (entry.text) } code { "uid " (entry.uid) " · " (entry.details) } }
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
