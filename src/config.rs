//! Configuration: the functions' variables, what they mean, and their defaults. Reads through a
//! lookup, never the environment.

use crate::alert::AlertKind;
use crate::files::Bucket;
use crate::log::{Format, Level, Log};
use crate::secrets::Secret;
use crate::watchdog::Rules;

/// The settings of the receiver and of the sweeper.
#[derive(Clone, Debug)]
pub struct Config {
    /// `TABLE_NAME`: the DynamoDB table. Required.
    pub table_name: String,
    /// `ALERT_TOPIC_ARN`: the SNS topic of all alerts. Required.
    pub alert_topic_arn: String,
    /// `CRITICAL_TOPIC_ARN`: the SNS topic of critical alerts and their resolutions. Default
    /// none.
    pub critical_topic_arn: Option<String>,
    /// `EVENT_BUS_NAME`: the EventBridge bus on which programs are told, by name or ARN. Default
    /// none.
    pub event_bus_name: Option<String>,
    /// `RUNBOOK_URL`: an address that every alert leads to. Default none.
    pub runbook_url: Option<String>,
    /// `RECORDING_BUCKET`: the address in front of a file's key. Default none.
    pub recording_bucket: Option<Bucket>,
    /// `VIEWER_URL`: where the pages of recordings are, which every alert leads to, too. Default
    /// none.
    pub pages: Option<PageSettings>,
    /// `RETENTION_DAYS` in s: how long items are kept. Default 90 days.
    pub retention_secs: u64,
    /// `ALERT_KINDS`: which alerts are sent. Default [`AlertKind::by_default`].
    pub alert_kinds: Vec<AlertKind>,
    /// `SESSION_SILENT_MINUTES` and `UPLOAD_UNCONFIRMED_MINUTES`: the watchdog. Default 5 and 30
    /// min, 0 for off.
    pub rules: Rules,
    /// `LOG_LEVEL`, `LOG_DETAIL`, `LOG_HEARTBEATS`, and Lambda's own settings of the log. Default
    /// `INFO`, `false` and `true`.
    pub log: Log,
}

/// How links to the pages of recordings are made.
#[derive(Clone, Debug)]
pub struct PageSettings {
    /// `VIEWER_URL`, without a slash at its end.
    pub viewer: String,
    /// `LINK_SECRET_ID`: the key that links are signed with. Required where there is a viewer.
    pub secret: SecretSource,
    /// `LINK_HOURS` in s: how long a link opens. Default 72 h.
    pub open_secs: u64,
}

/// The viewer's settings.
#[derive(Clone, Debug)]
pub struct Viewing {
    /// `TABLE_NAME`, as in [`Config`].
    pub table_name: String,
    /// `LINK_SECRET_ID`: the name or the ARN, in Secrets Manager, of the key that links are signed
    /// with. Required.
    pub link_secret: SecretSource,
    /// The rules that decide what a recording's state is, as in [`Config`].
    pub rules: Rules,
    /// As in [`Config`].
    pub recording_bucket: Option<Bucket>,
    /// As in [`Config`].
    pub log: Log,
}

/// The receiver's settings: who may send, and what is too old.
#[derive(Clone, Debug)]
pub struct Admission {
    /// `AGORA_SECRET_ID` or `AGORA_SECRET`. One is required; the first one counts.
    pub secret: SecretSource,
    /// `REQUIRE_SIGNATURE_V2`: refuse callbacks signed with SHA-1 only. Default `false`.
    pub require_signature_v2: bool,
    /// `UNSIGNED_CHECK`: which unsigned requests are answered 200. Default `test`.
    pub unsigned_check: UnsignedCheck,
    /// `MAX_CALLBACK_AGE_HOURS` in ms; `None` for 0, which turns the check off. Default 24 h.
    pub max_callback_age_ms: Option<u64>,
}

/// Where the signing secrets are.
#[derive(Clone, Debug)]
pub enum SecretSource {
    /// `AGORA_SECRET`: the secrets themselves, comma-separated.
    Environment(Vec<Secret>),
    /// `AGORA_SECRET_ID`: a name or an ARN in Secrets Manager.
    SecretsManager(String),
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
    /// `ALERT_KINDS` has this value.
    #[error(
        "ALERT_KINDS is {value:?}; expected all, or a comma-separated list of {kinds}",
        kinds = listed(&AlertKind::configurable())
    )]
    Kinds {
        /// Its value.
        value: String,
    },
    /// There is no secret.
    #[error("neither AGORA_SECRET_ID nor AGORA_SECRET is set")]
    NoSecret,
}

/// An address is at most this long, so that a message stays far below what SNS takes.
const MAX_ADDRESS: usize = 1000;

/// The variables, looked up; an empty one counts as not set.
struct Variables<L>(L);

impl<L: Fn(&str) -> Option<String>> Variables<L> {
    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.trim().is_empty())
    }

    fn required(&self, name: &'static str) -> Result<String, ConfigError> {
        self.get(name).ok_or(ConfigError::Missing(name))
    }

    fn flag(&self, name: &'static str, default: bool) -> Result<bool, ConfigError> {
        let Some(value) = self.get(name) else {
            return Ok(default);
        };
        match value.trim().to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(ConfigError::Malformed {
                name,
                value,
                expected: "true or false",
            }),
        }
    }

    fn address(&self, name: &'static str) -> Result<Option<String>, ConfigError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let is_web = value.starts_with("https://") || value.starts_with("http://");
        let is_plain = value.bytes().all(|byte| byte.is_ascii_graphic());
        if is_web && is_plain && value.len() <= MAX_ADDRESS {
            return Ok(Some(value));
        }
        Err(ConfigError::Malformed {
            name,
            value,
            expected: "an address that begins with https:// or http://, at most 1000 characters",
        })
    }

    fn bus(&self, name: &'static str) -> Result<Option<String>, ConfigError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let bus = match value.split_once(":event-bus/") {
            Some((arn, bus)) if arn.starts_with("arn:") => bus,
            Some(_) => "",
            None => &value,
        };
        let is_plain = bus
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte));
        if is_plain && (1..=256).contains(&bus.len()) {
            return Ok(Some(value));
        }
        Err(ConfigError::Malformed {
            name,
            value,
            expected: "the name of an event bus, or its ARN",
        })
    }

    fn bucket(&self, name: &'static str) -> Result<Option<Bucket>, ConfigError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        Bucket::read(&value)
            .map(Some)
            .map_err(|_| ConfigError::Malformed {
                name,
                value,
                expected: "an address as s3://bucket or s3://bucket/folder",
            })
    }

    fn level(&self, name: &'static str) -> Result<Level, ConfigError> {
        let Some(value) = self.get(name) else {
            return Ok(Level::Info);
        };
        Level::read(&value).ok_or(ConfigError::Malformed {
            name,
            value,
            expected: "INFO, WARN, ERROR or FATAL",
        })
    }

    fn log(&self) -> Result<Log, ConfigError> {
        // Lambda knows more levels than we do; all of them are below ours.
        let lambda_level = self.get("AWS_LAMBDA_LOG_LEVEL");
        let lambda_level = lambda_level.and_then(|level| Level::read(&level));
        let lambda_level = lambda_level.unwrap_or(Level::Info);
        let is_text = self
            .get("AWS_LAMBDA_LOG_FORMAT")
            .is_some_and(|format| format == "Text");
        Ok(Log {
            level: self.level("LOG_LEVEL")?.max(lambda_level),
            lambda_level,
            format: if is_text { Format::Text } else { Format::Json },
            detail: self.flag("LOG_DETAIL", false)?,
            heartbeats: self.flag("LOG_HEARTBEATS", true)?,
            function_name: self.get("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default(),
        })
    }

    fn link_secret(&self) -> Result<SecretSource, ConfigError> {
        let id = self.required("LINK_SECRET_ID")?;
        Ok(SecretSource::SecretsManager(id.trim().to_owned()))
    }

    fn pages(&self) -> Result<Option<PageSettings>, ConfigError> {
        const HOURS: &str = "a number of hours from 1 to 8760";
        let hours = self.number("LINK_HOURS", 72, HOURS)?;
        if !(1..=8760).contains(&hours) {
            return Err(ConfigError::Malformed {
                name: "LINK_HOURS",
                value: hours.to_string(),
                expected: HOURS,
            });
        }
        let Some(viewer) = self.address("VIEWER_URL")? else {
            return Ok(None);
        };
        Ok(Some(PageSettings {
            viewer: viewer.trim_end_matches('/').to_owned(),
            secret: self.link_secret()?,
            open_secs: hours * 60 * 60,
        }))
    }

    fn rules(&self, alert_kinds: &[AlertKind]) -> Result<Rules, ConfigError> {
        const MINUTES: &str = "a number of minutes from 2 up, 0 for off";
        let threshold = |name, default| {
            // Less is no silence: heartbeats come once a minute, and so does the sweeper.
            match self.number(name, default, MINUTES)? {
                0 => Ok(None),
                1 => Err(ConfigError::Malformed {
                    name,
                    value: "1".to_owned(),
                    expected: MINUTES,
                }),
                minutes => Ok(Some(minutes * 60 * 1000)),
            }
        };
        Ok(Rules::new(
            alert_kinds,
            threshold("SESSION_SILENT_MINUTES", 5)?,
            threshold("UPLOAD_UNCONFIRMED_MINUTES", 30)?,
        ))
    }

    fn number(
        &self,
        name: &'static str,
        default: u64,
        expected: &'static str,
    ) -> Result<u64, ConfigError> {
        match self.get(name) {
            None => Ok(default),
            Some(value) => match value.trim().parse::<u32>() {
                Ok(number) => Ok(u64::from(number)),
                Err(_) => Err(ConfigError::Malformed {
                    name,
                    value,
                    expected,
                }),
            },
        }
    }
}

impl Config {
    /// Reads the configuration. `lookup` gives the value of a variable; an empty value counts as
    /// not set.
    ///
    /// # Errors
    /// The first variable that is missing or malformed.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        const DAYS: &str = "a number of days from 3 up";
        let variables = Variables(lookup);
        let retention_days = match variables.number("RETENTION_DAYS", 90, DAYS)? {
            days @ 0..=2 => {
                return Err(ConfigError::Malformed {
                    name: "RETENTION_DAYS",
                    value: days.to_string(),
                    expected: DAYS,
                });
            }
            days => days,
        };
        let alert_kinds = alert_kinds(variables.get("ALERT_KINDS"))?;
        let event_bus_name = variables.bus("EVENT_BUS_NAME")?;
        let rules = Rules {
            tells_end: event_bus_name.is_some(),
            ..variables.rules(&alert_kinds)?
        };
        Ok(Self {
            table_name: variables.required("TABLE_NAME")?,
            alert_topic_arn: variables.required("ALERT_TOPIC_ARN")?,
            critical_topic_arn: variables.get("CRITICAL_TOPIC_ARN"),
            event_bus_name,
            runbook_url: variables.address("RUNBOOK_URL")?,
            recording_bucket: variables.bucket("RECORDING_BUCKET")?,
            pages: variables.pages()?,
            retention_secs: retention_days * 24 * 60 * 60,
            alert_kinds,
            rules,
            log: variables.log()?,
        })
    }
}

impl Viewing {
    /// Reads the viewer's settings; `lookup` as in [`Config::read`].
    ///
    /// # Errors
    /// The first variable that is missing or malformed.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let variables = Variables(lookup);
        Ok(Self {
            table_name: variables.required("TABLE_NAME")?,
            link_secret: variables.link_secret()?,
            rules: variables.rules(&alert_kinds(variables.get("ALERT_KINDS"))?)?,
            recording_bucket: variables.bucket("RECORDING_BUCKET")?,
            log: variables.log()?,
        })
    }
}

impl Admission {
    /// Reads the receiver's settings; `lookup` as in [`Config::read`].
    ///
    /// # Errors
    /// The first variable that is missing or malformed.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let variables = Variables(lookup);
        let secret = match (
            variables.get("AGORA_SECRET_ID"),
            variables.get("AGORA_SECRET"),
        ) {
            (Some(id), _) => SecretSource::SecretsManager(id.trim().to_owned()),
            (None, secret) => SecretSource::Environment(secrets(&secret.unwrap_or_default())?),
        };
        let max_age_hours = variables.number(
            "MAX_CALLBACK_AGE_HOURS",
            24,
            "a number of hours, 0 for no limit",
        )?;
        Ok(Self {
            secret,
            require_signature_v2: variables.flag("REQUIRE_SIGNATURE_V2", false)?,
            unsigned_check: unsigned_check(variables.get("UNSIGNED_CHECK"))?,
            max_callback_age_ms: (max_age_hours > 0).then_some(max_age_hours * 60 * 60 * 1000),
        })
    }
}

fn secrets(list: &str) -> Result<Vec<Secret>, ConfigError> {
    let secrets: Vec<_> = list
        .split(',')
        .map(str::trim)
        .filter(|secret| !secret.is_empty())
        .map(Secret::new)
        .collect();
    if secrets.is_empty() {
        return Err(ConfigError::NoSecret);
    }
    Ok(secrets)
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
        return Ok(AlertKind::by_default());
    };
    if value.trim() == "all" {
        return Ok(AlertKind::configurable());
    }
    let configurable = AlertKind::configurable();
    let read = |word: &str| {
        let kind = AlertKind::read(word.trim());
        kind.filter(|kind| configurable.contains(kind))
    };
    let kinds: Option<Vec<_>> = value.split(',').map(read).collect();
    kinds.ok_or(ConfigError::Kinds { value })
}

fn listed(kinds: &[AlertKind]) -> String {
    let words: Vec<_> = kinds.iter().map(|kind| kind.as_str()).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(changes: &[(&str, &str)]) -> Result<(Config, Admission), ConfigError> {
        let base = [
            ("TABLE_NAME", "t"),
            ("ALERT_TOPIC_ARN", "arn"),
            ("AGORA_SECRET", "new, old"),
        ];
        let lookup = |name: &str| {
            changes
                .iter()
                .chain(&base)
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        };
        Ok((Config::read(lookup)?, Admission::read(lookup)?))
    }

    #[test]
    fn the_defaults_are_those_of_the_readme() {
        let (config, admission) = read(&[]).unwrap();
        assert!(
            matches!(admission.secret, SecretSource::Environment(secrets) if secrets.len() == 2)
        );
        assert_eq!(admission.unsigned_check, UnsignedCheck::Test);
        assert_eq!(admission.max_callback_age_ms, Some(86_400_000));
        assert!(!admission.require_signature_v2);
        assert_eq!(
            config.rules,
            Rules {
                silent_ms: Some(300_000),
                unconfirmed_ms: Some(1_800_000),
                backup: true,
                abnormal_exit: true,
                fatal_error: true,
                does_failure_ring: true,
                expects_heartbeats: false,
                tells_end: false,
            }
        );
        assert_eq!(config.event_bus_name, None);
        assert_eq!(config.retention_secs, 90 * 86_400);
        assert_eq!(config.alert_kinds, AlertKind::by_default());
        assert_eq!(config.critical_topic_arn, None);
        assert_eq!(config.runbook_url, None);
        assert_eq!(config.recording_bucket, None);
        assert!(config.pages.is_none());
    }

    #[test]
    fn every_variable_is_read() {
        let (config, admission) = read(&[
            ("AGORA_SECRET_ID", "recordings/agora"),
            ("LOG_LEVEL", "warn"),
            ("AWS_LAMBDA_LOG_FORMAT", "Text"),
            ("AWS_LAMBDA_FUNCTION_NAME", "callback"),
            ("LOG_DETAIL", "true"),
            ("LOG_HEARTBEATS", "false"),
            ("SESSION_SILENT_MINUTES", "7"),
            ("UPLOAD_UNCONFIRMED_MINUTES", "9"),
            ("REQUIRE_SIGNATURE_V2", "TRUE"),
            ("UNSIGNED_CHECK", "never"),
            ("MAX_CALLBACK_AGE_HOURS", "0"),
            ("RETENTION_DAYS", "7"),
            ("ALERT_KINDS", "failover, session_silent"),
            ("CRITICAL_TOPIC_ARN", "arn:critical"),
            ("RUNBOOK_URL", "https://wiki.example.com/recordings#alerts"),
            ("RECORDING_BUCKET", "s3://lessons"),
            ("EVENT_BUS_NAME", "recordings"),
            ("VIEWER_URL", "https://x.lambda-url.eu-central-1.on.aws/"),
            ("LINK_SECRET_ID", "recordings/links"),
            ("LINK_HOURS", "24"),
        ])
        .unwrap();
        assert!(
            matches!(admission.secret, SecretSource::SecretsManager(id) if id == "recordings/agora")
        );
        assert!(admission.require_signature_v2);
        assert_eq!(admission.unsigned_check, UnsignedCheck::Never);
        assert_eq!(admission.max_callback_age_ms, None);
        assert_eq!(config.critical_topic_arn.as_deref(), Some("arn:critical"));
        assert_eq!(
            config.runbook_url.as_deref(),
            Some("https://wiki.example.com/recordings#alerts")
        );
        let bucket = config.recording_bucket.unwrap();
        assert_eq!(bucket.uri("a.mp4"), "s3://lessons/a.mp4");
        let pages = config.pages.unwrap();
        assert_eq!(pages.viewer, "https://x.lambda-url.eu-central-1.on.aws");
        assert_eq!(pages.open_secs, 86_400);
        let is_links = |id: &str| id == "recordings/links";
        assert!(matches!(pages.secret, SecretSource::SecretsManager(id) if is_links(&id)));
        // A rule whose alert nobody wants is off, too.
        assert_eq!(
            config.rules,
            Rules {
                silent_ms: Some(420_000),
                unconfirmed_ms: None,
                backup: false,
                abnormal_exit: false,
                fatal_error: false,
                does_failure_ring: false,
                expects_heartbeats: false,
                tells_end: true,
            }
        );
        assert_eq!(config.event_bus_name.as_deref(), Some("recordings"));
        let (off, _) = read(&[("SESSION_SILENT_MINUTES", "0")]).unwrap();
        assert_eq!(off.rules.silent_ms, None);
        let log = Log {
            level: Level::Warn,
            lambda_level: Level::Info,
            format: Format::Text,
            detail: true,
            heartbeats: false,
            function_name: "callback".to_owned(),
        };
        assert_eq!(config.log, log);
        assert_eq!(off.log.format, Format::Json);
        assert!(off.log.heartbeats);
        // What Lambda would drop isn't written; its finer levels are all below ours.
        for (ours, lambdas, level, lambda_level) in [
            ("", "ERROR", Level::Error, Level::Error),
            ("FATAL", "INFO", Level::Fatal, Level::Info),
            ("WARN", "FATAL", Level::Fatal, Level::Fatal),
            ("ERROR", "TRACE", Level::Error, Level::Info),
        ] {
            let settings = [("LOG_LEVEL", ours), ("AWS_LAMBDA_LOG_LEVEL", lambdas)];
            let log = read(&settings).unwrap().0.log;
            assert_eq!(
                (log.level, log.lambda_level),
                (level, lambda_level),
                "{settings:?}"
            );
        }
        assert_eq!(config.retention_secs, 7 * 86_400);
        assert_eq!(
            config.alert_kinds,
            [AlertKind::Failover, AlertKind::SessionSilent]
        );
        assert_eq!(
            read(&[("ALERT_KINDS", "all")]).unwrap().0.alert_kinds,
            AlertKind::configurable()
        );
    }

    #[test]
    fn links_need_a_viewer_a_key_and_hours() {
        let read = |settings: &[_]| read(settings).map(|(config, _)| config.pages);
        let viewer = ("VIEWER_URL", "https://x.example.com");
        let secret = ("LINK_SECRET_ID", "links");
        assert!(read(&[secret]).unwrap().is_none());
        let pages = read(&[viewer, secret]).unwrap().unwrap();
        assert_eq!(pages.open_secs, 72 * 60 * 60);
        assert_eq!(
            read(&[viewer]).unwrap_err(),
            ConfigError::Missing("LINK_SECRET_ID")
        );
        for hours in ["0", "8761", "x"] {
            assert!(read(&[viewer, secret, ("LINK_HOURS", hours)]).is_err());
        }
        let viewing = |name: &str| (name == "TABLE_NAME").then(|| "t".to_owned());
        assert_eq!(
            Viewing::read(viewing).unwrap_err(),
            ConfigError::Missing("LINK_SECRET_ID")
        );
    }

    #[test]
    fn what_is_missing_or_malformed_is_said_in_one_line_without_secrets() {
        for (changes, expected) in [
            (("TABLE_NAME", ""), "TABLE_NAME is not set"),
            (("ALERT_TOPIC_ARN", " "), "ALERT_TOPIC_ARN is not set"),
            (
                ("AGORA_SECRET", ""),
                "neither AGORA_SECRET_ID nor AGORA_SECRET is set",
            ),
            (
                ("AGORA_SECRET", " , "),
                "neither AGORA_SECRET_ID nor AGORA_SECRET is set",
            ),
            (
                ("SESSION_SILENT_MINUTES", "soon"),
                "SESSION_SILENT_MINUTES is \"soon\"; \
                 expected a number of minutes from 2 up, 0 for off",
            ),
            (
                ("UPLOAD_UNCONFIRMED_MINUTES", "1"),
                "UPLOAD_UNCONFIRMED_MINUTES is \"1\"; \
                 expected a number of minutes from 2 up, 0 for off",
            ),
            (
                ("REQUIRE_SIGNATURE_V2", "maybe"),
                "REQUIRE_SIGNATURE_V2 is \"maybe\"; expected true or false",
            ),
            (
                ("LOG_LEVEL", "quiet"),
                "LOG_LEVEL is \"quiet\"; expected INFO, WARN, ERROR or FATAL",
            ),
            (
                ("UNSIGNED_CHECK", "yes"),
                "UNSIGNED_CHECK is \"yes\"; expected test, any or never",
            ),
            (
                ("RUNBOOK_URL", "wiki/recordings"),
                "RUNBOOK_URL is \"wiki/recordings\"; expected an address that begins with https:// \
                 or http://, at most 1000 characters",
            ),
            (
                ("EVENT_BUS_NAME", "my bus"),
                "EVENT_BUS_NAME is \"my bus\"; expected the name of an event bus, or its ARN",
            ),
            (
                ("RECORDING_BUCKET", "lessons"),
                "RECORDING_BUCKET is \"lessons\"; \
                 expected an address as s3://bucket or s3://bucket/folder",
            ),
            (
                ("RETENTION_DAYS", "2"),
                "RETENTION_DAYS is \"2\"; expected a number of days from 3 up",
            ),
            (
                ("MAX_CALLBACK_AGE_HOURS", "-1"),
                "MAX_CALLBACK_AGE_HOURS is \"-1\"; expected a number of hours, 0 for no limit",
            ),
        ] {
            assert_eq!(read(&[changes]).unwrap_err().to_string(), expected);
        }
        let unknown = read(&[("ALERT_KINDS", "fatal_error,session_silent_resolved")])
            .unwrap_err()
            .to_string();
        assert!(
            unknown.starts_with("ALERT_KINDS is") && !unknown.contains('\n'),
            "{unknown}"
        );
    }

    /// Values of the template's parameters, which `tests/deploy/check_template.py` holds against
    /// their patterns and limits.
    #[derive(serde::Deserialize)]
    struct Samples {
        variable: String,
        accepted: Vec<String>,
        refused: Vec<String>,
        refused_by_template: Vec<String>,
    }

    #[test]
    fn the_template_accepts_what_is_accepted_here() {
        let samples = include_str!("../tests/deploy/parameters.json");
        let mut samples: std::collections::BTreeMap<String, Samples> =
            serde_json::from_str(samples).unwrap();
        // The secret itself comes by way of Secrets Manager.
        samples.remove("AgoraSecret").unwrap();
        for sample in samples.values() {
            let read = |value: &str| read(&[(&sample.variable, value)]);
            for value in sample.accepted.iter().chain(&sample.refused_by_template) {
                if let Err(error) = read(value) {
                    panic!("{error}");
                }
            }
            for value in &sample.refused {
                assert!(read(value).is_err(), "{}: {value:?}", sample.variable);
            }
        }
        let listed = &samples["AlertKinds"].accepted;
        for kind in AlertKind::configurable() {
            assert!(
                listed.iter().any(|kinds| kinds == kind.as_str()),
                "{kind:?} needs a sample"
            );
        }
    }
}
