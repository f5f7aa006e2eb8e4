//! Why the viewer shows no page, in words for the person who wanted one, and what to do next.
//! Pure.

/// Why a page isn't shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The link isn't ours, or not as we made it.
    Forged,
    /// It was ours, and is over.
    Expired,
    /// Neither GET nor HEAD.
    MethodNotAllowed,
    /// There is no such recording.
    Unknown,
    /// The table didn't answer in time.
    TooLate,
    /// The table refused, because too much is asked of it.
    Throttled,
    /// The table can't be read.
    Unreachable,
    /// The key of the links can't be fetched.
    NoKey,
}

/// The words of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) title: &'static str,
    pub(super) what: &'static str,
    pub(super) steps: &'static [&'static str],
}

impl Refusal {
    /// All of them.
    #[cfg(test)]
    pub(super) const ALL: [Self; 8] = [
        Self::Forged,
        Self::Expired,
        Self::MethodNotAllowed,
        Self::Unknown,
        Self::TooLate,
        Self::Throttled,
        Self::Unreachable,
        Self::NoKey,
    ];

    /// The HTTP status code.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Forged => 403,
            Self::Unknown => 404,
            Self::MethodNotAllowed => 405,
            Self::Expired => 410,
            Self::TooLate | Self::Throttled | Self::Unreachable | Self::NoKey => 503,
        }
    }

    /// The refusal in a word, for the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forged => "forged",
            Self::Expired => "expired",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Unknown => "unknown",
            Self::TooLate => "too_late",
            Self::Throttled => "throttled",
            Self::Unreachable => "unreachable",
            Self::NoKey => "no_key",
        }
    }

    pub(super) fn words(self) -> Words {
        let (title, what, steps): (_, _, &[_]) = match self {
            Self::Forged => (
                "This link opens nothing",
                "It isn't a link of this receiver, or it was cut or changed on its way, or the key \
                 that it was made with has been replaced since.",
                &[
                    "Open the link in the alert itself once more: some programs cut a long link \
                     where the line ends.",
                    "If it still opens nothing, make a new one with the tool: recordings link SID. \
                     The alert names the recording's sid.",
                ],
            ),
            Self::Expired => (
                "This link has expired",
                "Links open for some days only, so that an old email shows nothing to whoever \
                 finds it. The recording itself may well be kept still.",
                &[
                    "Make a new link with the tool: recordings link SID. The alert names the \
                     recording's sid.",
                    "Or look at the recording in a terminal: recordings show SID.",
                ],
            ),
            Self::MethodNotAllowed => (
                "Pages can only be read",
                "This address answers GET and HEAD, and nothing else.",
                &["Open the link in a browser."],
            ),
            Self::Unknown => (
                "There is no such recording",
                "Nothing is kept of the recording that this link is for: no callback of it has \
                 come yet, or it was deleted at the end of its retention.",
                &[
                    "If the recording has only just begun, open the link again in a minute.",
                    "Otherwise see what there is with the tool: recordings list.",
                ],
            ),
            Self::TooLate => (
                "Reading the recording took too long",
                "The table didn't answer in time. The recording goes on all the same, and so do \
                 its alerts.",
                &[
                    "Open the link again in a minute.",
                    "If that doesn't help, look at it in a terminal, which has more patience: \
                     recordings show SID.",
                ],
            ),
            Self::Throttled => (
                "The table is busy",
                "More is asked of the table just now than it takes, so it refused to be read. \
                 Recording itself is not affected.",
                &[
                    "Open the link again in a minute.",
                    "If that doesn't help, see whether the alarm TableThrottles rings, and raise \
                     the cap MaxReadUnits if the stack has one.",
                ],
            ),
            Self::Unreachable => (
                "The table can't be read",
                "The table refused to be read, or can't be reached. Whether recordings are \
                 affected is told by the alarms of the receiver.",
                &[
                    "Open the link again in a minute.",
                    "If that doesn't help, look at the alarms and the dashboard of the receiver, \
                     and at the log of the viewer.",
                ],
            ),
            Self::NoKey => (
                "The link can't be checked just now",
                "The key of the links couldn't be fetched, so nobody can say whether this one is \
                 right.",
                &[
                    "Open the link again in a minute.",
                    "If that doesn't help, look at the recording in a terminal: recordings show \
                     SID.",
                ],
            ),
        };
        Words { title, what, steps }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_page_of_its_own_that_says_what_to_do() {
        for (n, refusal) in Refusal::ALL.iter().enumerate() {
            let words = refusal.words();
            assert!(!words.steps.is_empty());
            for other in &Refusal::ALL[..n] {
                assert_ne!(other.words().title, words.title);
                assert_ne!(other.as_str(), refusal.as_str());
            }
        }
    }
}
