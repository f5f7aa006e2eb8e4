//! The settings of the local deployment, out of `events/local.env`.

const SETTINGS: &str = include_str!("../../events/local.env");

/// The value of a setting. A constant of one that isn't there doesn't compile.
pub const fn setting(name: &str) -> &'static str {
    let mut text = SETTINGS.as_bytes();
    loop {
        if let Some([b'=', value @ ..]) = after(text, name.as_bytes()) {
            let mut end = 0;
            while value[end] != b'\n' {
                end += 1;
            }
            match str::from_utf8(value.split_at(end).0) {
                Ok(value) => return value,
                Err(_) => panic!("events/local.env isn't text"),
            }
        }
        while text[0] != b'\n' {
            text = text.split_at(1).1;
        }
        text = text.split_at(1).1;
    }
}

/// What follows `start` at the beginning of `text`.
const fn after<'a>(text: &'a [u8], start: &[u8]) -> Option<&'a [u8]> {
    match (text, start) {
        (rest, []) => Some(rest),
        ([one, rest @ ..], [other, start @ ..]) if *one == *other => after(rest, start),
        (_, _) => None,
    }
}
