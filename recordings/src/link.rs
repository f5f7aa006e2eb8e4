//! `recordings link`: a signed link to a page, as alerts have it.

use crate::deployment::Deployment;
use crate::outcome::{AnyError, Outcome};
use crate::terminal::print;
use agora_recording_callbacks::alert::Pages;
use agora_recording_callbacks::clock::now_ms;
use agora_recording_callbacks::link::Place;
use agora_recording_callbacks::notification::Sid;
use clap::Args;

#[derive(Args)]
#[command(after_help = "Examples:
  recordings link --stack recordings
  recordings link 80dd83da71d3d86771a6a676a4061e46 --hours 24
  recordings link --channel hearing-2026-0415

Whoever has the link sees what it opens until it expires, and needs nothing else: send it to nobody
who may not. The viewer's address and the name of its key are those of the stack; without --stack
they are VIEWER_URL and LINK_SECRET_ID.")]
pub(crate) struct Arguments {
    /// The recording's `sid`; without it, the list of the recordings that are watched
    sid: Option<String>,
    /// The list of this channel's newest recordings
    #[arg(long, value_name = "NAME", conflicts_with = "sid")]
    channel: Option<String>,
    /// How long it opens; without it, as long as links in alerts do
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=8760))]
    hours: Option<u64>,
}

pub(crate) async fn run(
    deployment: &Deployment,
    arguments: Arguments,
) -> Result<Outcome, AnyError> {
    let place = match (arguments.sid, arguments.channel) {
        (Some(sid), _) => {
            let sid = Sid::new(&sid).ok_or("a sid is 1 to 128 of A-Z a-z 0-9 _ -")?;
            Place::Recording(sid)
        }
        (None, Some(channel)) => Place::Channel(channel),
        (None, None) => Place::Watched,
    };
    let viewer = deployment.viewer().ok_or(
        "the deployment has no viewer: give --stack, or set VIEWER_URL and LINK_SECRET_ID",
    )?;
    let now_ms = now_ms();
    let keys = viewer.keys.current(now_ms).await?;
    let key = keys.first().cloned().ok_or("the secret has no key in it")?;
    let open_secs = arguments
        .hours
        .map_or(viewer.open_secs, |hours| hours * 60 * 60);
    let pages = Pages {
        viewer: viewer.url,
        key,
        expires_at: now_ms / 1000 + open_secs,
    };
    print(&format!("{}\n", pages.link(&place)))
}
