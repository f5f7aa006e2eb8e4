//! How a command ends.

use std::error::Error;

/// Whether everything asked for was done: exit code 0 or 1.
pub(crate) enum Outcome {
    Done,
    SomethingLeft,
}

impl Outcome {
    /// `Done` where nothing is left.
    pub(crate) fn of_left(count: usize) -> Self {
        match count {
            0 => Self::Done,
            _ => Self::SomethingLeft,
        }
    }
}

pub(crate) type AnyError = Box<dyn Error + Send + Sync>;
