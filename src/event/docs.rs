//! Checks that `docs/codes.md` shows the tables of codes as they are.

use super::codes::{ServiceStatus, Stat, WORDS, WebStopCode};
use super::errors::tests::LISTS;
use super::{ErrorLevel, LeaveCode, LeaveStatus, Module, RecordingMode, ServiceType, StreamState};
use std::fmt::Display;

const PAGE: &str = include_str!("../../docs/codes.md");

/// A table under its heading.
fn section(heading: &str, columns: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | ")).replace("|  |", "| |");
    let head: Vec<_> = columns.iter().map(ToString::to_string).collect();
    let rule = vec!["---".to_owned(); columns.len()];
    let rows: String = rows.into_iter().map(|row| line(&row)).collect();
    format!("### {heading}\n\n{}{}{rows}", line(&head), line(&rule))
}

fn words<T: Display>(heading: &str, words: &[(T, &str)]) -> String {
    let rows = words
        .iter()
        .map(|(code, words)| vec![code.to_string(), (*words).to_owned()]);
    section(heading, &["value", "what it means"], rows)
}

#[test]
fn the_page_of_codes_is_current() {
    let mut sections: Vec<_> = LISTS
        .iter()
        .map(|(heading, rows)| {
            let rows = rows
                .iter()
                .map(|row| vec![row.printed(), row.meaning.to_owned(), row.step.to_owned()]);
            section(heading, &["code", "what it means", "what to do"], rows)
        })
        .collect();
    let leave_codes = [0, 1, 2, 4, 8, 16, 6, 20, 24].map(|code| {
        let code = LeaveCode(code);
        let other = code.meaning_of_2021().unwrap_or_default();
        vec![
            code.0.to_string(),
            code.meaning().unwrap_or_default(),
            other.to_owned(),
        ]
    });
    let columns = ["value", "what it means", "in the specification of 2021"];
    sections.extend([
        words("`stat` of an error", Stat::WORDS),
        words("`errorLevel`", ErrorLevel::WORDS),
        words("`module`", Module::WORDS),
        section("`leaveCode` (event 41)", &columns, leave_codes),
        words(
            "`leaveStatus`, newer name `exitStatus` (event 11)",
            LeaveStatus::WORDS,
        ),
        words("`status` (event 3)", ServiceStatus::WORDS),
        words("`recordingMode` (event 3)", RecordingMode::WORDS),
        words("`state` (events 43 and 44)", StreamState::WORDS),
        words("`code` (event 71)", WebStopCode::WORDS),
        words("`limitType` (event 72) and `reason` (73)", &WORDS),
        words("`serviceType`", ServiceType::WORDS),
    ]);
    let lacking: Vec<_> = sections
        .iter()
        .filter(|section| !PAGE.contains(section.as_str()))
        .collect();
    assert!(
        lacking.is_empty(),
        "docs/codes.md lacks, or has otherwise: {lacking:#?}"
    );
    let rows = |text: &str| text.lines().filter(|line| line.starts_with('|')).count();
    assert_eq!(
        rows(PAGE),
        sections.iter().map(|section| rows(section)).sum::<usize>()
    );
}
