//! Configuration: every variable that is read, what it means, and its default. Reads through a lookup, never the environment.

use crate::alert::AlertKind;
use crate::secret::Secret;

/// What the receiver is told by its environment.
#[derive(Clone, Debug)]
pub struct Config {
    /// `TABLE_NAME`: the DynamoDB table. Required.
    pub table_name: String,
    /// `ALERT_TOPIC_ARN`: the SNS topic. Required.
    pub alert_topic_arn: String,
    /// `AGORA_SECRET`: the signing secret, comma-separated for several. Required.
    pub secrets: Vec<Secret>,
    /// `REQUIRE_SIGNATURE_V2`: refuse callbacks signed with SHA-1 only. Default `false`.
    pub require_signature_v2: bool,
    /// `UNSIGNED_CHECK`: which unsigned requests are answered 200. Default `test`.
    pub unsigned_check: UnsignedCheck,
    /// `MAX_CALLBACK_AGE_HOURS` in ms; `None` for 0, which turns the check off. Default 24 h.
    pub max_callback_age_ms: Option<u64>,
    /// `RETENTION_DAYS` in s: how long items are kept. Default 90 days.
    pub retention_secs: u64,
    /// `ALERT_KINDS`: which alerts are sent. Default [`AlertKind::DEFAULT`].
    pub alert_kinds: Vec<AlertKind>,
}

/// Which requests without any signature header are answered 200; none of them is ever stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnsignedCheck {
    /// `test`: those that look like the Agora console's check.
    Test,
    /// `any`: all of them, for the minutes of setting up.
    Any,
    /// `never`: none.
    Never,
}

/// What is wrong with the configuration, in one line, without the value of a secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A required variable is missing or empty.
    #[error("{0} is not set")]
    Missing(&'static str),
    /// A variable has a value that can't be read.
    #[error("{name} is {value:?}; expected {expected}")]
    Malformed {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A secret from Secrets Manager is asked for, which this version can't fetch.
    #[error("AGORA_SECRET_ID is set, but this version reads the secret from AGORA_SECRET only")]
    SecretId,
}

impl Config {
    /// Reads the configuration. `lookup` gives the value of a variable; an empty value counts as not set.
    ///
    /// # Errors
    /// The first variable that is missing or malformed.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let get = |name| lookup(name).filter(|value| !value.trim().is_empty());
        let required = |name| get(name).ok_or(ConfigError::Missing(name));
        let number = |name, default: u64, expected| match get(name) {
            None => Ok(default),
            Some(value) => match value.trim().parse::<u32>() {
                Ok(number) => Ok(u64::from(number)),
                Err(_) => Err(ConfigError::Malformed {
                    name,
                    value,
                    expected,
                }),
            },
        };
        if get("AGORA_SECRET").is_none() && get("AGORA_SECRET_ID").is_some() {
            return Err(ConfigError::SecretId);
        }
        let secrets: Vec<_> = required("AGORA_SECRET")?
            .split(',')
            .map(str::trim)
            .filter(|secret| !secret.is_empty())
            .map(Secret::new)
            .collect();
        if secrets.is_empty() {
            return Err(ConfigError::Missing("AGORA_SECRET"));
        }
        let retention_days = match number("RETENTION_DAYS", 90, "a number of days from 1 up")? {
            0 => {
                let value = "0".to_owned();
                return Err(ConfigError::Malformed {
                    name: "RETENTION_DAYS",
                    value,
                    expected: "a number of days from 1 up",
                });
            }
            days => days,
        };
        let max_age_hours = number(
            "MAX_CALLBACK_AGE_HOURS",
            24,
            "a number of hours, 0 for no limit",
        )?;
        Ok(Self {
            table_name: required("TABLE_NAME")?,
            alert_topic_arn: required("ALERT_TOPIC_ARN")?,
            secrets,
            require_signature_v2: flag(get("REQUIRE_SIGNATURE_V2"))?,
            unsigned_check: unsigned_check(get("UNSIGNED_CHECK"))?,
            max_callback_age_ms: (max_age_hours > 0).then_some(max_age_hours * 60 * 60 * 1000),
            retention_secs: retention_days * 24 * 60 * 60,
            alert_kinds: alert_kinds(get("ALERT_KINDS"))?,
        })
    }
}

fn flag(value: Option<String>) -> Result<bool, ConfigError> {
    let Some(value) = value else { return Ok(false) };
    match value.trim().to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(ConfigError::Malformed {
            name: "REQUIRE_SIGNATURE_V2",
            value,
            expected: "true or false",
        }),
    }
}

fn unsigned_check(value: Option<String>) -> Result<UnsignedCheck, ConfigError> {
    let Some(value) = value else {
        return Ok(UnsignedCheck::Test);
    };
    match value.trim() {
        "test" => Ok(UnsignedCheck::Test),
        "any" => Ok(UnsignedCheck::Any),
        "never" => Ok(UnsignedCheck::Never),
        _ => Err(ConfigError::Malformed {
            name: "UNSIGNED_CHECK",
            value,
            expected: "test, any or never",
        }),
    }
}

fn alert_kinds(value: Option<String>) -> Result<Vec<AlertKind>, ConfigError> {
    let Some(value) = value else {
        return Ok(AlertKind::DEFAULT.to_vec());
    };
    if value.trim() == "all" {
        return Ok(AlertKind::ALL.to_vec());
    }
    let kinds: Option<Vec<_>> = value
        .split(',')
        .map(|word| AlertKind::read(word.trim()))
        .collect();
    kinds.ok_or(ConfigError::Malformed {
        name: "ALERT_KINDS",
        value,
        expected: "all, or a comma-separated list of fatal_error, abnormal_exit, backup_only_upload, session_silent, \
                   upload_unconfirmed, component_failure, recording_gap, failover",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(changes: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let base = [
            ("TABLE_NAME", "t"),
            ("ALERT_TOPIC_ARN", "arn"),
            ("AGORA_SECRET", "new, old"),
        ];
        Config::read(|name| {
            changes
                .iter()
                .chain(&base)
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_defaults_are_those_of_the_readme() {
        let config = read(&[]).unwrap();
        assert_eq!(config.secrets.len(), 2);
        assert_eq!(config.unsigned_check, UnsignedCheck::Test);
        assert_eq!(config.max_callback_age_ms, Some(86_400_000));
        assert_eq!(config.retention_secs, 90 * 86_400);
        assert_eq!(config.alert_kinds, AlertKind::DEFAULT);
        assert!(!config.require_signature_v2);
    }

    #[test]
    fn every_variable_is_read() {
        let config = read(&[
            ("REQUIRE_SIGNATURE_V2", "TRUE"),
            ("UNSIGNED_CHECK", "never"),
            ("MAX_CALLBACK_AGE_HOURS", "0"),
            ("RETENTION_DAYS", "7"),
            ("ALERT_KINDS", "failover, fatal_error"),
        ])
        .unwrap();
        assert!(config.require_signature_v2);
        assert_eq!(config.unsigned_check, UnsignedCheck::Never);
        assert_eq!(config.max_callback_age_ms, None);
        assert_eq!(config.retention_secs, 7 * 86_400);
        assert_eq!(
            config.alert_kinds,
            [AlertKind::Failover, AlertKind::FatalError]
        );
        assert_eq!(
            read(&[("ALERT_KINDS", "all")]).unwrap().alert_kinds,
            AlertKind::ALL
        );
    }

    #[test]
    fn what_is_missing_or_malformed_is_said_in_one_line_without_secrets() {
        for (changes, expected) in [
            (("TABLE_NAME", ""), "TABLE_NAME is not set"),
            (("ALERT_TOPIC_ARN", " "), "ALERT_TOPIC_ARN is not set"),
            (("AGORA_SECRET", ""), "AGORA_SECRET is not set"),
            (("AGORA_SECRET", " , "), "AGORA_SECRET is not set"),
            (
                ("REQUIRE_SIGNATURE_V2", "maybe"),
                "REQUIRE_SIGNATURE_V2 is \"maybe\"; expected true or false",
            ),
            (
                ("UNSIGNED_CHECK", "yes"),
                "UNSIGNED_CHECK is \"yes\"; expected test, any or never",
            ),
            (
                ("RETENTION_DAYS", "0"),
                "RETENTION_DAYS is \"0\"; expected a number of days from 1 up",
            ),
            (
                ("MAX_CALLBACK_AGE_HOURS", "-1"),
                "MAX_CALLBACK_AGE_HOURS is \"-1\"; expected a number of hours, 0 for no limit",
            ),
        ] {
            assert_eq!(read(&[changes]).unwrap_err().to_string(), expected);
        }
        let unknown = read(&[("ALERT_KINDS", "fatal_error,typo")])
            .unwrap_err()
            .to_string();
        assert!(
            unknown.starts_with("ALERT_KINDS is") && !unknown.contains('\n'),
            "{unknown}"
        );
    }
}
