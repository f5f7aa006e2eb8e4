//! `recordings completions`: what a shell needs to complete the commands.

use crate::outcome::Outcome;
use crate::terminal::say;
use clap::{Args, Command};
use clap_complete::Shell;

#[derive(Args)]
#[command(after_help = "Examples:
  recordings completions bash > ~/.local/share/bash-completion/completions/recordings
  recordings completions zsh > ~/.zfunc/_recordings       # a folder of your $fpath
  recordings completions fish > ~/.config/fish/completions/recordings.fish")]
pub(crate) struct Arguments {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(arguments: &Arguments, mut command: Command) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "recordings", &mut script);
    say!("{}", String::from_utf8_lossy(&script).trim_end());
    Outcome::Done
}
