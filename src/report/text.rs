//! A report as lines for a terminal, with colours. Pure; printing into a pipe takes them out.

use super::{Entry, Report, Tone, What};
use crate::text::{clock, date, duration, offset};
use anstyle::{AnsiColor, Color, Style};
use std::fmt::Write;

/// Holes listed one by one.
const MAX_HOLES: usize = 20;
/// Files listed one by one.
const MAX_FILES: usize = 10;

fn style(tone: Tone) -> Style {
    let color = |color| Style::new().fg_color(Some(Color::Ansi(color)));
    match tone {
        Tone::Quiet => Style::new().dimmed(),
        Tone::Plain => Style::new(),
        Tone::Good => color(AnsiColor::Green),
        Tone::Warning => color(AnsiColor::Yellow),
        Tone::Bad => color(AnsiColor::Red).bold(),
    }
}

/// A text in the colour of how good it is.
#[must_use]
pub fn toned(tone: Tone, text: &str) -> String {
    let style = style(tone);
    format!("{style}{text}{style:#}")
}

/// The whole report, with colours. What comes from outside has no control characters any more.
#[must_use]
pub fn text(report: &Report) -> String {
    let bold = Style::new().bold();
    let mut out = String::new();
    let channel = if report.cname.is_empty() {
        "(channel unknown)"
    } else {
        &report.cname
    };
    let _ = writeln!(out, "{bold}{channel}{bold:#}  {}\n", report.sid);
    for answer in &report.answers {
        let _ = writeln!(
            out,
            "{:<10} {}",
            answer.question.label(),
            toned(answer.line.tone, &answer.line.text)
        );
    }
    if !report.keys.is_empty() {
        heading(&mut out, "Files");
        for key in report.keys.iter().take(MAX_FILES) {
            let _ = writeln!(out, "  {}", toned(key.tone, &key.text));
        }
        let more = report.keys.len().saturating_sub(MAX_FILES);
        if more > 0 {
            let sid = &report.sid;
            let _ = writeln!(
                out,
                "  and {more} more; `recordings files {sid}` prints them all"
            );
        }
    }
    if report.holes.len() > 1 {
        heading(&mut out, "Missing callbacks");
        for hole in report.holes.iter().take(MAX_HOLES) {
            let (numbers, when) = (hole.numbers(), hole.when());
            let _ = writeln!(
                out,
                "  {numbers}, uid {}, {when}: {}",
                hole.uid, hole.meaning
            );
        }
        let more = report.holes.len().saturating_sub(MAX_HOLES);
        if more > 0 {
            let _ = writeln!(out, "  and {more} places more; --json lists them all");
        }
    }
    if !report.worries.is_empty() {
        heading(&mut out, "Errors and warnings");
        for entry in report
            .worries
            .iter()
            .filter_map(|place| report.timeline.get(*place))
        {
            let time = offset(entry.at, report.began);
            let _ = writeln!(
                out,
                "  {time:>9}  {}",
                toned(entry.line.tone, &entry.line.text)
            );
        }
    }
    if !report.alerts.is_empty() {
        heading(&mut out, "Alerts");
        for entry in report
            .alerts
            .iter()
            .filter_map(|place| report.timeline.get(*place))
        {
            let _ = writeln!(out, "  {}", toned(entry.line.tone, &entry.line.text));
            let _ = writeln!(out, "    {}", entry.details);
            if let What::Alert { steps, .. } = &entry.what {
                for step in steps {
                    let _ = writeln!(out, "    - {step}");
                }
            }
        }
    }
    heading(&mut out, "Timeline (UTC, and since it began)");
    let mut before = None;
    for entry in &report.timeline {
        out.push_str(&entry_line(report, entry, before));
        before = Some(entry.at);
    }
    if let (None, true) = (report.over, report.began > 0) {
        let silence = report.now_ms.saturating_sub(report.newest);
        let _ = writeln!(out, "  nothing since, for {}", duration(silence));
    }
    out
}

fn heading(out: &mut String, words: &str) {
    let bold = Style::new().bold();
    let _ = writeln!(out, "\n{bold}{words}{bold:#}");
}

/// One entry of the timeline; a line with the date before it if `before`, the time of the entry
/// before, is of another day.
#[must_use]
pub fn entry_line(report: &Report, entry: &Entry, before: Option<u64>) -> String {
    let mut line = String::new();
    if before.is_none_or(|before| date(before) != date(entry.at)) {
        let _ = writeln!(line, "  {}", date(entry.at));
    }
    let number = match &entry.what {
        What::Callback { .. } | What::Heartbeat { .. } => format!("#{}", entry.sequence),
        What::Alert { .. } | What::Missing(_) => String::new(),
    };
    let (time, since) = (clock(entry.at), offset(entry.at, report.began));
    let quiet = style(Tone::Quiet);
    // Each recorder counts for itself.
    let who = if report.recorders > 1 {
        format!("  {quiet}[{}]{quiet:#}", entry.uid)
    } else {
        String::new()
    };
    let _ = writeln!(
        line,
        "  {time}  {quiet}{since:>9}  {number:>5}{quiet:#}  {}{who}",
        toned(entry.line.tone, &entry.text())
    );
    line
}
