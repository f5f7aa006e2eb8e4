//! One invocation: who runs, until when, and what time it is meanwhile.

use tokio::time::Instant;

/// Id, clock and deadline of an invocation. The clock enters once, at the top, and advances with
/// [`Instant`], so that simulations in virtual time see what it says.
#[derive(Clone, Copy, Debug)]
pub struct Invocation<'a> {
    /// Names this invocation; the owner of the alerts it claims.
    pub id: &'a str,
    /// When the work has to be over.
    pub deadline: Instant,
    began_at_ms: u64,
    began: Instant,
}

impl<'a> Invocation<'a> {
    /// An invocation that begins now, at `now_ms` since the epoch.
    #[must_use]
    pub fn new(id: &'a str, now_ms: u64, deadline: Instant) -> Self {
        Self {
            id,
            deadline,
            began_at_ms: now_ms,
            began: Instant::now(),
        }
    }

    /// The same invocation, which has to be over earlier or later.
    #[must_use]
    pub fn until(self, deadline: Instant) -> Self {
        Self { deadline, ..self }
    }

    /// When it began, in ms since the epoch: the time that everything it writes at once carries.
    #[must_use]
    pub fn began_at_ms(&self) -> u64 {
        self.began_at_ms
    }

    /// The time by now, in ms since the epoch.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.began_at_ms.saturating_add(self.elapsed_ms())
    }

    /// How long it has taken so far, in ms.
    #[must_use]
    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn its_clock_advances() {
        let invocation = Invocation::new("id", 1_000, Instant::now() + Duration::from_secs(9));
        tokio::time::advance(Duration::from_millis(250)).await;
        assert_eq!(invocation.began_at_ms(), 1_000);
        assert_eq!(invocation.now_ms(), 1_250);
    }
}
