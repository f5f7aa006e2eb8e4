//! `recordings list`: recordings, newest first, a page at a time.

use crate::deployment::Deployment;
use crate::outcome::{AnyError, Outcome};
use crate::terminal::{print, table};
use agora_recording_callbacks::clock::now_ms;
use agora_recording_callbacks::notification::Sid;
use agora_recording_callbacks::report::{Row, toned};
use agora_recording_callbacks::store::{SessionKey, Store};
use agora_recording_callbacks::text::{ago, utc};
use agora_recording_callbacks::watchdog::Rules;
use clap::Args;
use jiff::{Span, SpanRelativeTo};

/// Sessions read at once while looking for some that fit.
const CHUNK: usize = 100;

#[derive(Args)]
#[command(after_help = "Examples:
  recordings list --since 2h
  recordings list --failed --since 1d
  recordings list --channel hearing-2026-0415
  recordings list --active

What it reads: with --channel one query of the index `channel`; with --active the index `watch`,
which holds the sessions that aren't over and have spoken within a day; otherwise it scans the
keys in the index `channel`, all of them, whatever --since says: about a read unit for 80
sessions. Then one item for every session that it looks at.")]
pub(crate) struct Arguments {
    /// Only those of this channel
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    /// Only those that aren't over
    #[arg(long)]
    active: bool,
    /// Only those that failed, are silent, or whose files aren't all in your storage
    #[arg(long)]
    failed: bool,
    /// Only those that began within this time, as 90s, 30m, 2h, 7d
    #[arg(long, value_name = "TIME", value_parser = time_span)]
    since: Option<u64>,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Go on after this one, as the page before says
    #[arg(long, value_name = "PLACE", value_parser = place)]
    after: Option<SessionKey>,
}

/// `2h` in ms.
pub(crate) fn time_span(text: &str) -> Result<u64, String> {
    let span: Span = text
        .parse()
        .map_err(|_| "a time is 90s, 30m, 2h or 7d".to_owned())?;
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours());
    let length = length.map_err(|error| error.to_string())?;
    u64::try_from(length.as_millis()).map_err(|_| "must not be negative".to_owned())
}

/// `<first_sendts>/<sid>`.
fn place(text: &str) -> Result<SessionKey, String> {
    let unreadable = || "it is what the page before ended with: `--after <ms>/<sid>`".to_owned();
    let (first_sendts, sid) = text.split_once('/').ok_or_else(unreadable)?;
    Ok(SessionKey {
        first_sendts: first_sendts.parse().map_err(|_| unreadable())?,
        sid: Sid::new(sid).ok_or_else(unreadable)?,
    })
}

pub(crate) async fn run(
    deployment: &Deployment,
    arguments: Arguments,
) -> Result<Outcome, AnyError> {
    let limit = usize::try_from(arguments.limit)?;
    let now_ms = now_ms();
    let mut rows = found(deployment, &arguments, limit, now_ms).await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    if rows.is_empty() {
        return print("No recording matches.\n");
    }
    let mut out = lines(&rows, now_ms);
    if let (true, Some(last)) = (more, rows.last()) {
        out.push_str(&format!(
            "\nThere are more: add --after {}/{}\n",
            last.began, last.sid
        ));
    }
    print(&out)
}

/// The rows that fit, one more than `limit` if there are more.
async fn found(
    deployment: &Deployment,
    arguments: &Arguments,
    limit: usize,
    now_ms: u64,
) -> Result<Vec<Row>, AnyError> {
    let (store, rules) = (deployment.store(), &deployment.config.rules);
    let since = arguments
        .since
        .map_or(0, |span| now_ms.saturating_sub(span));
    let is_after = |row: &SessionKey| arguments.after.as_ref().is_none_or(|after| row < after);
    let fits =
        |row: &Row| (!arguments.active || row.is_active) && (!arguments.failed || row.is_failed);
    if arguments.active && arguments.channel.is_none() {
        let mut rows = active(&store, rules).await?;
        rows.retain(|row| {
            let key = SessionKey {
                first_sendts: row.began,
                sid: row.sid.clone(),
            };
            row.began >= since && is_after(&key) && fits(row)
        });
        return Ok(rows);
    }
    let mut keys = store
        .session_keys(arguments.channel.as_deref(), since)
        .await?;
    keys.retain(is_after);
    let chunk = if arguments.active || arguments.failed {
        CHUNK
    } else {
        limit + 1
    };
    let mut rows = Vec::new();
    for keys in keys.chunks(chunk) {
        let sids: Vec<_> = keys.iter().map(|key| key.sid.clone()).collect();
        let sessions = store.sessions(&sids).await?;
        rows.extend(
            sessions
                .into_iter()
                .map(|session| Row::of(session, rules))
                .filter(fits),
        );
        if rows.len() > limit {
            break;
        }
    }
    Ok(rows)
}

/// The sessions that aren't over, newest first.
pub(crate) async fn active(store: &Store, rules: &Rules) -> Result<Vec<Row>, AnyError> {
    let sids = store.watched_sids().await?;
    let sessions = store.sessions(&sids).await?;
    let mut rows: Vec<_> = sessions
        .into_iter()
        .map(|session| Row::of(session, rules))
        .collect();
    rows.retain(|row| row.is_active);
    rows.sort_unstable_by(|a, b| (b.began, &b.sid).cmp(&(a.began, &a.sid)));
    Ok(rows)
}

/// Rows as lines, coloured by their state.
pub(crate) fn lines(rows: &[Row], now_ms: u64) -> String {
    let header = [
        "channel", "sid", "state", "progress", "files", "began", "newest",
    ];
    let cells = rows.iter().map(|row| {
        vec![
            if row.cname.is_empty() {
                "-".to_owned()
            } else {
                row.cname.clone()
            },
            row.sid.to_string(),
            row.state.to_owned(),
            row.progress.clone(),
            row.files.to_owned(),
            utc(row.began),
            ago(row.newest, now_ms),
        ]
    });
    let mut table = table(&header, cells);
    // One line a row, however narrow the terminal: `grep` and the eye go by lines.
    table.set_content_arrangement(comfy_table::ContentArrangement::Disabled);
    let tones = std::iter::once(None).chain(rows.iter().map(|row| Some(row.tone)));
    let lines = table.lines();
    let lines = lines.zip(tones).map(|(line, tone)| {
        let line = line.trim_end();
        tone.map_or_else(|| line.to_owned(), |tone| toned(tone, line)) + "\n"
    });
    lines.collect()
}
