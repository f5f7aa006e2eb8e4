//! The running local example (`cargo run -p local`): where it listens, and its settings.

/// What the example and the samples are set up with.
const SETTINGS: &str = include_str!("../../events/local.env");

/// Where it takes callbacks and shows pages.
pub(crate) const URL: &str = "http://127.0.0.1:9000/";

/// The value of a setting, if the example has it.
pub(crate) fn setting(name: &str) -> Option<&'static str> {
    let value = |line: &'static str| line.strip_prefix(name)?.strip_prefix('=');
    SETTINGS.lines().find_map(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_found_by_its_whole_name() {
        assert_eq!(setting("TABLE_NAME"), Some("agora-recordings"));
        for missing in [
            "TABLE",
            "NAME",
            "# For `cargo lambda watch --env-file events/local.env",
        ] {
            assert_eq!(setting(missing), None, "{missing}");
        }
    }
}
