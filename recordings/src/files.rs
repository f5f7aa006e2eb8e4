//! `recordings files`: the keys of a recording's files, for scripts.

use crate::deployment::Deployment;
use crate::outcome::{AnyError, Outcome};
use crate::show::{no_such, read};
use crate::terminal::print;
use agora_recording_callbacks::files::FileList;
use agora_recording_callbacks::report::printable;
use clap::Args;

#[derive(Args)]
#[command(after_help = "Examples:
  recordings files 80dd83da71d3d86771a6a676a4061e46
  recordings files 80dd83da71d3d86771a6a676a4061e46 --uri | xargs -n1 -I{} aws s3 cp {} .
  recordings files 80dd83da71d3d86771a6a676a4061e46 --playback")]
pub(crate) struct Arguments {
    /// The recording's `sid`
    sid: String,
    /// Print addresses in place of keys; needs `RECORDING_BUCKET`
    #[arg(long)]
    uri: bool,
    /// Print only the file to play: the MP4 where there is one, else the M3U8
    #[arg(long)]
    playback: bool,
}

/// Lists the files, confirmed or not; `show` says whether they arrived.
pub(crate) async fn run(
    deployment: &Deployment,
    arguments: Arguments,
) -> Result<Outcome, AnyError> {
    let Some(record) = read(deployment, &arguments.sid).await? else {
        return Err(no_such(deployment, &arguments.sid).await.into());
    };
    let list = FileList::of(&record.events);
    let bucket = deployment.config.recording_bucket.as_ref();
    if arguments.uri && bucket.is_none() {
        return Err("--uri needs RECORDING_BUCKET, such as s3://bucket".into());
    }
    let bucket = bucket.filter(|_| arguments.uri);
    let line = |key: &str| {
        let line = bucket.map_or_else(|| key.to_owned(), |bucket| bucket.uri(key));
        format!("{}\n", one_line(&line))
    };
    let keys: String = if arguments.playback {
        list.playback()
            .map(|file| line(file.key()))
            .into_iter()
            .collect()
    } else {
        list.files.iter().map(|file| line(file.key())).collect()
    };
    print(&keys)
}

/// A key that would break the line or steer the terminal is written as JSON writes it.
fn one_line(key: &str) -> String {
    printable(key).replace('\n', "\\n")
}
