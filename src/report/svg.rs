//! A picture as SVG: places in percent of the axis, so that it fits any width without being
//! distorted. Pure.

use super::lanes::{Lane, LaneKind, Mark, Picture, Shape, Span};
use crate::text::{date, hour_minute, hour_minute_second};
use maud::{Markup, html};

/// With more streams than this their lanes are narrow.
const MANY_STREAMS: usize = 24;
/// Ticks on the axis, at most.
const MAX_TICKS: u64 = 9;

/// The card with the picture.
pub(super) fn chart(picture: &Picture) -> Markup {
    let streams = picture
        .lanes
        .iter()
        .filter(|lane| lane.kind == LaneKind::Stream)
        .count();
    let is_many = streams > MANY_STREAMS;
    let axis = Axis::of(picture);
    html! {
        section.card.big {
            header {
                h2 { "Picture" }
                p.legend {
                    span { i.i-recording {} "recording" } span { i.i-failed {} "failed" }
                    span { i.i-work {} "recorder" }
                    span { i.i-audio {} "audio" } span { i.i-video {} "video" }
                    span { i.i-gap {} "interrupted or missing" }
                    span { i.i-look {} "look" } span { i.i-problem {} "problem" }
                }
                div.zoom role="group" aria-label="zoom" {
                    @for (zoom, pressed) in [("1", "true"), ("4", "false"), ("16", "false")] {
                        button type="button" data-zoom=(zoom) aria-pressed=(pressed) { (zoom) "×" }
                    }
                }
            }
            div.scroll tabindex="0" role="group"
                aria-label="the picture; the table below says the same" {
                div.chart.many[is_many] aria-hidden="true" data-from=(picture.from)
                    data-to=(picture.to) {
                    (patterns())
                    div.lane.axis {
                        div.name { span { "UTC" } }
                        svg height="26" {
                            @for (at, label) in &axis.ticks {
                                line.grid x1=(axis.x(*at)) x2=(axis.x(*at)) y1="20" y2="26" {}
                                text x=(axis.x(*at)) y="15" text-anchor=(axis.anchor(*at))
                                    { (label) }
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
                    pattern id=(id) width="7" height="7" patternUnits="userSpaceOnUse"
                        patternTransform="rotate(45)" {
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
            svg.marks height=(height) {
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
        rect class={ "bar " (span.class) } data-bar=(span.class) data-tip x=(axis.x(span.from))
            y=(top) width=(width) height=(height) rx="3" {
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
        svg.clip x="0" y="6" width="100%" height="40" viewBox="0 0 100000 10000"
            preserveAspectRatio="none" {
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
                        rect class={ (class) " tick" } data-mark=(mark.class) data-tip x="-1.5"
                            y=(if is_many { "-2" } else { "-3.5" }) width="3"
                                height=(if is_many { "4" } else { "7" }) { title { (mark.tip) } }
                    }
                    (Shape::Tick, _) => {
                        rect class={ (class) " tick" } data-mark=(mark.class) data-tip x="-1.5"
                            y="-7" width="3" height="14" rx="1.5" { title { (mark.tip) } }
                    }
                    (Shape::Dot, _) => {
                        circle class=(class) data-mark=(mark.class) data-tip r="5"
                            { title { (mark.tip) } }
                    }
                    (Shape::Diamond, _) => {
                        path class=(class) data-mark=(mark.class) data-tip
                            d="M0-7.5 7.5 0 0 7.5-7.5 0z" { title { (mark.tip) } }
                    }
                    (Shape::Bell, _) => {
                        path class=(class) data-mark=(mark.class) data-tip d="M0-8.5 8.5 6.5h-17z"
                            { title { (mark.tip) } }
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
                    ..60_000 => hour_minute_second(at),
                    60_000..86_400_000 => hour_minute(at),
                    _ => date(at),
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
