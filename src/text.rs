//! Text for people: times in words, and names from outside made harmless. Pure.
//!
//! Must not know what it is about.

use std::ops::RangeInclusive;

/// Characters that are invisible, break a line or change the direction of what stands around them,
/// beside the control characters.
const UNSEEN: [RangeInclusive<char>; 9] = [
    '\u{ad}'..='\u{ad}',       // soft hyphen
    '\u{61c}'..='\u{61c}',     // Arabic letter mark
    '\u{180e}'..='\u{180e}',   // Mongolian vowel separator
    '\u{200b}'..='\u{200f}',   // zero-width space and joiners, left-to-right and right-to-left mark
    '\u{2028}'..='\u{202e}',   // line and paragraph separator, embeddings and overrides
    '\u{2060}'..='\u{206f}',   // word joiner, invisible operators, isolates
    '\u{feff}'..='\u{feff}',   // byte order mark
    '\u{fff9}'..='\u{fffb}',   // interlinear annotation
    '\u{e0000}'..='\u{e007f}', // language tags: invisible copies of ASCII
];

/// Whether a character can't be seen, breaks a line or changes direction.
#[must_use]
pub fn is_unseen(c: char) -> bool {
    c.is_control() || UNSEEN.iter().any(|range| range.contains(&c))
}

/// One line of visible characters, at most `limit` of them.
#[must_use]
pub fn clean(text: &str, limit: usize) -> String {
    let mut cleaned: String = text
        .chars()
        .take(limit)
        .map(|c| if is_unseen(c) { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(limit).is_some() {
        cleaned.pop();
        cleaned.push('…');
    }
    cleaned
}

/// Printable ASCII, at most `limit` characters.
#[must_use]
pub fn ascii(text: &str, limit: usize) -> String {
    let printable = |c: char| c == ' ' || c.is_ascii_graphic();
    text.chars()
        .take(limit)
        .map(|c| if printable(c) { c } else { '?' })
        .collect()
}

/// A time: `2026-03-02 14:05:33 UTC`.
#[must_use]
pub fn utc(ms: u64) -> String {
    format(ms, "%Y-%m-%d %H:%M:%S UTC")
}

/// The day of a time, in UTC: `2026-03-02`.
#[must_use]
pub fn date(ms: u64) -> String {
    format(ms, "%Y-%m-%d")
}

/// The time of day in UTC: `14:05`.
#[must_use]
pub fn hour_minute(ms: u64) -> String {
    format(ms, "%H:%M")
}

/// The time of day in UTC: `14:05:33`.
#[must_use]
pub fn hour_minute_second(ms: u64) -> String {
    format(ms, "%H:%M:%S")
}

/// The time of day in UTC, with ms: `14:05:33.123`.
#[must_use]
pub fn clock(ms: u64) -> String {
    format(ms, "%H:%M:%S%.3f")
}

/// A time span: `12 s`, `5 min 4 s`, `2 h 3 min`, `4 days`.
#[must_use]
pub fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |first: u64, unit: &str, second: u64, small: &str| {
        if second == 0 {
            format!("{first} {unit}")
        } else {
            format!("{first} {unit} {second} {small}")
        }
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => two(minutes, "min", seconds % 60, "s"),
        3600..172_800 => two(hours, "h", minutes % 60, "min"),
        _ => two(days, "days", hours % 24, "h"),
    }
}

/// How long ago a time is: `5 min 4 s ago`.
#[must_use]
pub fn ago(ms: u64, now_ms: u64) -> String {
    if ms > now_ms.saturating_add(1000) {
        format!("in {}", duration(ms - now_ms))
    } else {
        format!("{} ago", duration(now_ms.saturating_sub(ms)))
    }
}

/// The time since the beginning: `+12:34` in minutes and seconds, `+1:02:03` from an hour on.
#[must_use]
pub fn offset(ms: u64, began: u64) -> String {
    let (sign, ms) = if ms < began {
        ('-', began - ms)
    } else {
        ('+', ms - began)
    };
    let seconds = ms / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{sign}{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{sign}{minutes}:{seconds:02}")
    }
}

/// The number itself where it is no date.
fn format(ms: u64, pattern: &str) -> String {
    let time = i64::try_from(ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.map_or_else(
        || format!("{ms} ms"),
        |time| time.strftime(pattern).to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_in_utc_and_what_is_no_date_as_the_number() {
        let ms = 1_772_460_333_045;
        assert_eq!(utc(ms), "2026-03-02 14:05:33 UTC");
        assert_eq!(date(ms), "2026-03-02");
        assert_eq!(hour_minute(ms), "14:05");
        assert_eq!(hour_minute_second(ms), "14:05:33");
        assert_eq!(clock(ms), "14:05:33.045");
        assert_eq!(utc(u64::MAX), "18446744073709551615 ms");
    }

    #[test]
    fn what_is_cut_says_so_and_what_is_unseen_is_replaced() {
        assert_eq!(clean("a\u{202e}b\u{200b}\u{1b}\u{85}c", 9), "a�b���c");
        assert_eq!(clean("abcdef", 3), "ab…");
        assert_eq!(clean("abc", 3), "abc");
        assert_eq!(ascii("a\u{202e}é b", 4), "a?? ");
    }
}
