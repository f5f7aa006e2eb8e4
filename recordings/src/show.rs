//! `recordings show`: what happened to one recording, for a person, a program or a browser.

use crate::deployment::Deployment;
use crate::outcome::{AnyError, Outcome};
use crate::terminal::{print, say};
use agora_recording_callbacks::clock::now_ms;
use agora_recording_callbacks::error::chain;
use agora_recording_callbacks::notification::Sid;
use agora_recording_callbacks::record::Record;
use agora_recording_callbacks::report::{
    Entry, Page, Question, Report, Row, entry_line, json, page, printable, text,
};
use agora_recording_callbacks::text::{clean, utc};
use clap::Args;
use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

/// How often `--follow` looks.
const LOOK: Duration = Duration::from_secs(2);
/// Sessions suggested where there is none under a `sid`.
const SUGGESTED: usize = 5;

#[derive(Args)]
#[command(after_help = "Examples:
  recordings show 80dd83da71d3d86771a6a676a4061e46
  recordings show 80dd83da71d3d86771a6a676a4061e46 --follow
  recordings show 80dd83da71d3d86771a6a676a4061e46 --html session.html
  recordings show 80dd83da71d3d86771a6a676a4061e46 --json \
    | jq '.timeline[] | select(.tone == \"bad\")'")]
pub(crate) struct Arguments {
    /// The recording's `sid`, as `list`, an alert, or Agora's start tells it
    sid: String,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
    /// Go on printing what happens until the recording is over
    #[arg(long, conflicts_with_all = ["json", "html"])]
    follow: bool,
    /// Write a page with the session's picture, for a browser, into a file; `-` for standard output
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    html: Option<PathBuf>,
}

pub(crate) async fn run(
    deployment: &Deployment,
    arguments: Arguments,
) -> Result<Outcome, AnyError> {
    let Some(record) = read(deployment, &arguments.sid).await? else {
        return Err(no_such(deployment, &arguments.sid).await.into());
    };
    let rules = &deployment.config.rules;
    let bucket = deployment.config.recording_bucket.clone();
    let report = Report::of(&record, rules, now_ms()).with_bucket(bucket);
    if arguments.json {
        let json = serde_json::to_string_pretty(&json(&report, &record))?;
        return print(&format!("{}\n", printable(&json)));
    }
    if let Some(file) = arguments.html {
        let page = page(&report, &record, Page::File);
        if file.as_os_str() == "-" {
            return print(&page);
        }
        std::fs::write(&file, page)
            .map_err(|error| format!("can't write {}: {error}", file.display()))?;
        say!("{} written; open it in a browser", file.display());
        return Ok(Outcome::Done);
    }
    print(&text(&report))?;
    if arguments.follow {
        follow(deployment, &arguments.sid, report).await?;
    }
    Ok(Outcome::Done)
}

pub(crate) async fn read(deployment: &Deployment, sid: &str) -> Result<Option<Record>, AnyError> {
    match Sid::new(sid) {
        Some(sid) => Ok(deployment.store().record(&sid).await?),
        None => Ok(None),
    }
}

/// Prints what is new, again and again, until the recording is over and its files are accounted
/// for.
async fn follow(deployment: &Deployment, sid: &str, mut report: Report) -> Result<(), AnyError> {
    let rules = &deployment.config.rules;
    let key = |entry: &Entry| (entry.at, entry.sequence, entry.text());
    let mut shown: HashSet<_> = report.timeline.iter().map(key).collect();
    let mut before = report.timeline.last().map(|entry| entry.at);
    if !report.done {
        print("\nfollowing; Ctrl-C stops\n")?;
    }
    while !report.done {
        tokio::time::sleep(LOOK).await;
        match read(deployment, sid).await {
            Ok(Some(record)) => report = Report::of(&record, rules, now_ms()),
            Ok(None) => return Err("the recording has been deleted".into()),
            // It may be back at the next look.
            Err(error) => {
                eprintln!("{}; trying again", chain(error.as_ref()));
                continue;
            }
        }
        for entry in &report.timeline {
            if shown.insert(key(entry)) {
                print(&entry_line(&report, entry, before))?;
                before = Some(entry.at);
            }
        }
    }
    let state = report.answer(Question::State).map_or("", |line| &line.text);
    let files = report.answer(Question::Files).map_or("", |line| &line.text);
    print(&format!("\nover: {state}\nfiles: {files}\n"))?;
    Ok(())
}

/// The error where there is no such session, with those that may be meant.
pub(crate) async fn no_such(deployment: &Deployment, sid: &str) -> String {
    let store = deployment.store();
    let named = clean(sid, 128);
    let (what, keys) = match store.session_keys(Some(sid), 0).await {
        Ok(keys) if !keys.is_empty() => (
            format!(
                "no recording has the sid {named}, but there is a channel of that name; its newest:"
            ),
            keys,
        ),
        Ok(_) | Err(_) => {
            let mut keys = store.session_keys(None, 0).await.unwrap_or_default();
            if keys.iter().any(|key| key.sid.as_str().starts_with(sid)) {
                keys.retain(|key| key.sid.as_str().starts_with(sid));
            }
            (
                format!(
                    "no recording has the sid {named} in the table {}; the newest:",
                    deployment.config.table_name
                ),
                keys,
            )
        }
    };
    let sids: Vec<_> = keys
        .into_iter()
        .take(SUGGESTED)
        .map(|key| key.sid)
        .collect();
    let sessions = store.sessions(&sids).await.unwrap_or_default();
    let rules = &deployment.config.rules;
    let rows = sessions.into_iter().map(|session| Row::of(session, rules));
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return format!(
            "no recording has the sid {named} in the table {}, which holds none that can be \
             listed; is it the right table?",
            deployment.config.table_name
        );
    }
    let lines = rows.iter().map(|row| {
        format!(
            "\n  {}  {}  began {}, {}",
            row.sid,
            row.cname,
            utc(row.began),
            row.state
        )
    });
    what + &lines.collect::<String>()
}
