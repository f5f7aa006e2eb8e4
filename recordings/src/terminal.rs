//! What the commands print with.
//!
//! Must not know what is printed.

use crate::outcome::{AnyError, Outcome};
use std::io::{ErrorKind, Write};

/// Prints a line. A pipe that nobody reads any more (`| head`) doesn't stop the command.
macro_rules! say {
    ($($line:tt)*) => {{
        use std::io::Write as _;
        let _closed = writeln!(std::io::stdout(), $($line)*);
    }};
}
pub(crate) use say;

/// Prints a text, its colours only into a terminal. A reader who has seen enough is no failure.
pub(crate) fn print(text: &str) -> Result<Outcome, AnyError> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(Outcome::Done),
    }
}

/// A table for a terminal or a pipe.
pub(crate) fn table(
    header: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    table
}
