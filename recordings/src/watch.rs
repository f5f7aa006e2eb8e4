//! `recordings watch`: the recordings that aren't over, again and again.

use crate::deployment::Deployment;
use crate::list::{active, lines};
use crate::outcome::{AnyError, Outcome};
use crate::terminal::print;
use agora_recording_callbacks::clock::now_ms;
use agora_recording_callbacks::error::chain;
use agora_recording_callbacks::text::utc;
use clap::Args;
use std::io::IsTerminal;
use std::time::Duration;

/// Switches to a screen of its own without a cursor; the old one comes back afterwards.
const OWN_SCREEN: &str = "\u{1b}[?1049h\u{1b}[?25l";
const OLD_SCREEN: &str = "\u{1b}[?25h\u{1b}[?1049l";
/// Moves to the top. Each line clears the old one, and the last one clears the rest.
const TOP: &str = "\u{1b}[H";
const CLEAR_LINE: &str = "\u{1b}[K\n";
const CLEAR_REST: &str = "\u{1b}[J";

#[derive(Args)]
#[command(after_help = "\
Reads the index `watch`, which holds the sessions that aren't over and have spoken within a day,
and each of their items, every time. In a pipe it prints the table each time, with an empty line
in between.")]
pub(crate) struct Arguments {
    /// Look this often, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5,
        value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
    /// Only those of this channel
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
}

pub(crate) async fn run(
    deployment: &Deployment,
    arguments: Arguments,
) -> Result<Outcome, AnyError> {
    let is_terminal = std::io::stdout().is_terminal();
    if is_terminal {
        raw(OWN_SCREEN)?;
    }
    let stopped = tokio::select! {
        stopped = look(deployment, &arguments, is_terminal) => stopped,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.map(|()| Outcome::Done).map_err(AnyError::from)
        }
    };
    if is_terminal {
        raw(OLD_SCREEN)?;
    }
    stopped
}

/// Prints the table until printing fails.
async fn look(
    deployment: &Deployment,
    arguments: &Arguments,
    is_terminal: bool,
) -> Result<Outcome, AnyError> {
    let store = deployment.store();
    let mut looks = tokio::time::interval(Duration::from_secs(arguments.every));
    let mut is_first = true;
    loop {
        looks.tick().await;
        let now_ms = now_ms();
        let table = match active(&store, &deployment.config.rules).await {
            Ok(mut rows) => {
                let channel = arguments.channel.as_ref();
                rows.retain(|row| channel.is_none_or(|channel| row.cname == *channel));
                let count = rows.len();
                match count {
                    0 => format!("Nothing is being recorded, {}\n", utc(now_ms)),
                    _ => format!(
                        "{count} being recorded, {}\n\n{}",
                        utc(now_ms),
                        lines(&rows, now_ms)
                    ),
                }
            }
            // The first look says whether it can work at all; later it may be back at the next.
            Err(error) if is_first => return Err(error),
            Err(error) => format!("{}; trying again\n", chain(error.as_ref())),
        };
        if is_terminal {
            let table = table.replace('\n', CLEAR_LINE);
            print(&table_at_top(&table))?;
        } else {
            print(&format!("{}{table}", if is_first { "" } else { "\n" }))?;
        }
        is_first = false;
    }
}

fn table_at_top(table: &str) -> String {
    format!("{TOP}{table}{CLEAR_REST}")
}

/// Sends a control sequence to the terminal, with colours or without.
fn raw(codes: &str) -> Result<(), AnyError> {
    use std::io::Write;
    let mut out = std::io::stdout();
    out.write_all(codes.as_bytes())?;
    out.flush()?;
    Ok(())
}
