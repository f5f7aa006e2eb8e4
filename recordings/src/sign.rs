//! `recordings sign`: the headers that Agora would send with a body, or the whole `curl` command.

use crate::deployment::variable;
use crate::local;
use crate::outcome::{AnyError, Outcome};
use crate::terminal::say;
use clap::Args;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;
use std::io::Read;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

#[derive(Args)]
#[command(after_help = "Examples:
  recordings sign body.json --local
  AGORA_SECRET=… recordings sign - < body.json
  recordings sign body.json --secret-file secret.txt --curl --url https://….lambda-url.eu-central-1.on.aws/")]
pub(crate) struct Arguments {
    /// The body as it is sent, byte for byte; `-` reads standard input
    file: PathBuf,
    /// A file with the secret of the Agora console; without it, the variable `AGORA_SECRET`
    #[arg(long)]
    secret_file: Option<PathBuf>,
    /// Print the whole `curl` command
    #[arg(long)]
    curl: bool,
    /// Where the command sends it; with --local, the local example
    #[arg(long, requires = "curl")]
    url: Option<String>,
}

pub(crate) fn run(arguments: &Arguments, is_local: bool) -> Result<Outcome, AnyError> {
    let secret = secret(arguments.secret_file.as_deref(), is_local)?;
    let body = read(&arguments.file)?;
    let headers = [
        format!("Agora-Signature-V2: {}", v2(&secret, &body)?),
        format!("Agora-Signature: {}", hex::<Hmac<Sha1>>(&secret, &body)?),
    ];
    if !arguments.curl {
        say!("{}", headers.join("\n"));
        return Ok(Outcome::Done);
    }
    let url = arguments.url.as_deref().or(is_local.then_some(local::URL));
    let url = url.ok_or("where to? Give --url, or --local for the local example")?;
    say!("{}", curl(url, &headers, &arguments.file)?);
    Ok(Outcome::Done)
}

/// The secret never stands on a command line, which every user of the machine can see.
pub(crate) fn secret(file: Option<&Path>, is_local: bool) -> Result<Zeroizing<String>, AnyError> {
    let text = match file {
        Some(file) => {
            std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?
        }
        None if is_local => local::setting("AGORA_SECRET")
            .unwrap_or_default()
            .to_owned(),
        None => variable("AGORA_SECRET")
            .ok_or("no secret: set AGORA_SECRET, or give --secret-file or --local")?,
    };
    let text = Zeroizing::new(text);
    // Editors end a file with a line break, which isn't part of the secret.
    let secret = Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned());
    if secret.is_empty() {
        return Err("the secret is empty".into());
    }
    Ok(secret)
}

fn read(file: &Path) -> Result<Vec<u8>, AnyError> {
    if file == Path::new("-") {
        let mut body = Vec::new();
        std::io::stdin().read_to_end(&mut body)?;
        return Ok(body);
    }
    std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()).into())
}

/// The value of `Agora-Signature-V2`.
pub(crate) fn v2(secret: &str, body: &[u8]) -> Result<String, AnyError> {
    hex::<Hmac<Sha256>>(secret, body)
}

fn hex<M: Mac + KeyInit>(secret: &str, body: &[u8]) -> Result<String, AnyError> {
    let mut mac = <M as KeyInit>::new_from_slice(secret.as_bytes())?;
    mac.update(body);
    let bytes = mac.finalize().into_bytes();
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The command, for a POSIX shell. `@-` is curl's own name for standard input.
fn curl(url: &str, headers: &[String], file: &Path) -> Result<String, AnyError> {
    let file = file.to_str().ok_or("the file's name isn't UTF-8")?;
    let mut words = vec!["curl".to_owned(), quote(url)];
    words.extend(["-H".to_owned(), quote("Content-Type: application/json")]);
    for header in headers {
        words.extend(["-H".to_owned(), quote(header)]);
    }
    words.extend(["--data-binary".to_owned(), quote(&format!("@{file}"))]);
    Ok(words.join(" "))
}

/// One word for a POSIX shell, whatever is in it.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digests_are_those_of_the_rfcs() {
        // RFC 4231 and RFC 2202, test case 2.
        let (secret, body) = ("Jefe", b"what do ya want for nothing?");
        assert_eq!(
            hex::<Hmac<Sha256>>(secret, body).unwrap(),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex::<Hmac<Sha1>>(secret, body).unwrap(),
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"
        );
    }

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for text in ["a b", "it's", "$(id) `id` \"x\" \\", "''", "two\nlines"] {
            let command = format!("printf %s {}", quote(text));
            let mut shell = std::process::Command::new("sh");
            let output = shell.args(["-c", &command]).output().unwrap();
            assert_eq!(output.stdout, text.as_bytes());
        }
    }
}
