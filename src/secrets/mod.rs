//! The secrets that are accepted now: configured in the environment, or kept in Secrets Manager and
//! fetched, cached and renewed here.
//!
//! From Secrets Manager both `AWSCURRENT` and `AWSPREVIOUS` are accepted; a previous version that
//! can't be read is logged and left out. They are fetched anew after five minutes, and when a
//! signature doesn't hold, which may mean that they have just been rotated. So that a flood of
//! false signatures doesn't become a flood of fetches, a fetch that brought nothing new is followed
//! by none for a minute. The last good secrets are kept when the service fails. Whoever doesn't
//! sign causes a fetch only while there is no secret at all, once a minute, and holds up nobody who
//! signs. Times are those of the callers, in ms since the epoch.

mod secret;

pub use secret::Secret;

use crate::error::chain;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::Builder;
use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use serde::Deserialize;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::timeout;
use zeroize::Zeroizing;

/// How long fetched secrets are good for without asking again, in ms.
const FRESH_MS: u64 = 5 * 60 * 1000;
/// How long nothing is fetched after a fetch that failed or brought nothing new, in ms.
const PAUSE_MS: u64 = 60 * 1000;
/// The same while there is no secret at all, in ms.
const EMPTY_PAUSE_MS: u64 = 1000;
/// How long a fetch may take.
const FETCH: Duration = Duration::from_secs(3);
/// How long fetching the previous version may take; without it the current one is enough.
const FETCH_PREVIOUS: Duration = Duration::from_secs(2);

/// Why there is no secret to check a signature with.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// Secrets Manager doesn't answer as it should.
    #[error("GetSecretValue failed")]
    Call(#[source] Box<dyn Error + Send + Sync>),
    /// Secrets Manager, or KMS for it, denies it.
    #[error(
        "GetSecretValue failed: allow this function's role secretsmanager:GetSecretValue on the \
         secret and, where a key of your own encrypts it, kms:Decrypt on that key"
    )]
    Denied(#[source] Box<dyn Error + Send + Sync>),
    /// There is no such secret, or none any more.
    #[error("GetSecretValue failed: check the secret's ARN, and whether it was deleted")]
    Missing(#[source] Box<dyn Error + Send + Sync>),
    /// Secrets Manager takes too long.
    #[error("GetSecretValue took too long")]
    Timeout,
    /// The secret is empty, or JSON of another shape.
    #[error(
        "the secret is neither a text nor {{\"secret\": …}} nor {{\"secrets\": […]}}: store it in \
         one of these forms"
    )]
    Unreadable,
    /// A fetch has just failed.
    #[error("there is no secret yet, and a fetch has just failed")]
    Waiting,
}

/// Where the secrets come from.
#[derive(Debug)]
pub enum Secrets {
    /// The environment.
    Fixed(Arc<[Secret]>),
    /// Secrets Manager.
    Managed(Box<Managed>),
}

/// A secret in Secrets Manager.
pub struct Managed {
    config: Builder,
    /// Made for the first fetch: the key of the links is needed for alerts only.
    client: OnceLock<Client>,
    id: String,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    fetched: Option<Fetched>,
    /// When the secrets were fetched.
    fetched_at: u64,
    /// When a fetch last failed or brought nothing new.
    backing_off_since: Option<u64>,
    /// When an unsigned request last caused a fetch.
    unsigned_fetch_at: Option<u64>,
}

#[derive(Clone)]
struct Fetched {
    secrets: Arc<[Secret]>,
    /// The versions they are from, which differ when they are new.
    versions: Vec<String>,
}

struct Version {
    id: String,
    secrets: Vec<Secret>,
}

impl fmt::Debug for Managed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Managed")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Secrets {
    /// The secrets given.
    #[must_use]
    pub fn fixed(secrets: Vec<Secret>) -> Self {
        Self::Fixed(secrets.into())
    }

    /// The secret `id` (a name or an ARN) of Secrets Manager.
    #[must_use]
    pub fn managed(config: Builder, id: String) -> Self {
        Self::Managed(Box::new(Managed {
            config,
            client: OnceLock::new(),
            id,
            cache: Mutex::default(),
        }))
    }

    /// Fetches ahead of the first request, which asks again if that fails.
    ///
    /// # Errors
    /// There is none, and none can be fetched.
    pub async fn warm(&self, now_ms: u64) -> Result<(), SecretsError> {
        let outcome = self.current(now_ms).await;
        if let (Self::Managed(managed), Err(_)) = (self, &outcome) {
            managed.cache.lock().await.backing_off_since = None;
        }
        outcome.map(|_| ())
    }

    /// The secrets that are accepted at `now_ms`.
    ///
    /// # Errors
    /// There is none, and none can be fetched.
    pub async fn current(&self, now_ms: u64) -> Result<Arc<[Secret]>, SecretsError> {
        match self {
            Self::Fixed(secrets) => Ok(Arc::clone(secrets)),
            Self::Managed(managed) => managed.current(FETCH, now_ms).await,
        }
    }

    /// Whether any secret was ever read, for a request that isn't signed.
    ///
    /// # Errors
    /// None was, and none can be fetched.
    pub async fn ever_read(&self, now_ms: u64) -> Result<(), SecretsError> {
        match self {
            Self::Fixed(_) => Ok(()),
            Self::Managed(managed) => managed.ever_read(now_ms).await,
        }
    }

    /// Like [`Secrets::current`], with a limit. After a timeout, calls fail at once for a while.
    ///
    /// # Errors
    /// There is none, and none can be fetched in time.
    pub async fn current_within(
        &self,
        limit: Duration,
        now_ms: u64,
    ) -> Result<Arc<[Secret]>, SecretsError> {
        match self {
            Self::Fixed(secrets) => Ok(Arc::clone(secrets)),
            Self::Managed(managed) => managed.current(limit, now_ms).await,
        }
    }

    /// Other secrets than those before, if there are any and it is time to ask again.
    pub async fn refreshed(&self, now_ms: u64) -> Option<Arc<[Secret]>> {
        match self {
            Self::Fixed(_) => None,
            Self::Managed(managed) => managed.refreshed(now_ms).await,
        }
    }
}

impl Managed {
    async fn current(&self, limit: Duration, now_ms: u64) -> Result<Arc<[Secret]>, SecretsError> {
        let mut cache = self.cache.lock().await;
        match &cache.fetched {
            Some(fetched)
                if now_ms < cache.fetched_at.saturating_add(FRESH_MS)
                    || cache.is_backing_off(now_ms, PAUSE_MS) =>
            {
                return Ok(Arc::clone(&fetched.secrets));
            }
            None if cache.is_backing_off(now_ms, EMPTY_PAUSE_MS) => {
                return Err(SecretsError::Waiting);
            }
            Some(_) | None => {}
        }
        let outcome = self.renew(&mut cache, limit, now_ms).await;
        match (&cache.fetched, outcome) {
            (Some(fetched), _) => Ok(Arc::clone(&fetched.secrets)),
            (None, Err(error)) => Err(error),
            (None, Ok(_)) => Err(SecretsError::Waiting),
        }
    }

    async fn ever_read(&self, now_ms: u64) -> Result<(), SecretsError> {
        let mut cache = self.cache.lock().await;
        if cache.fetched.is_some() {
            return Ok(());
        }
        let last = cache.unsigned_fetch_at;
        if last.is_some_and(|last| now_ms < last.saturating_add(PAUSE_MS)) {
            return Err(SecretsError::Waiting);
        }
        cache.unsigned_fetch_at = Some(now_ms);
        let backing_off_since = cache.backing_off_since;
        let outcome = self.renew(&mut cache, FETCH, now_ms).await;
        if outcome.is_err() {
            // Whoever signs may ask at once.
            cache.backing_off_since = backing_off_since;
        }
        outcome.map(|_| ())
    }

    async fn refreshed(&self, now_ms: u64) -> Option<Arc<[Secret]>> {
        let mut cache = self.cache.lock().await;
        if cache.is_backing_off(now_ms, PAUSE_MS) {
            return None;
        }
        match self.renew(&mut cache, FETCH, now_ms).await {
            Ok(true) => Some(Arc::clone(&cache.fetched.as_ref()?.secrets)),
            Ok(false) | Err(_) => None,
        }
    }

    /// Fetches; true if that brought other secrets.
    async fn renew(
        &self,
        cache: &mut Cache,
        limit: Duration,
        now_ms: u64,
    ) -> Result<bool, SecretsError> {
        let fetched = match timeout(limit, self.fetch()).await {
            Ok(Ok(fetched)) => fetched,
            Ok(Err(error)) => {
                cache.backing_off_since = Some(now_ms);
                return Err(error);
            }
            Err(_) => {
                cache.backing_off_since = Some(now_ms);
                return Err(SecretsError::Timeout);
            }
        };
        let is_new = cache
            .fetched
            .as_ref()
            .is_none_or(|known| known.versions != fetched.versions);
        cache.backing_off_since = (!is_new).then_some(now_ms);
        cache.fetched = Some(fetched);
        cache.fetched_at = now_ms;
        Ok(is_new)
    }

    async fn fetch(&self) -> Result<Fetched, SecretsError> {
        let previous = timeout(FETCH_PREVIOUS, self.version("AWSPREVIOUS"));
        let (current, previous) = tokio::join!(self.version("AWSCURRENT"), previous);
        let Version { id, mut secrets } = current?.ok_or(SecretsError::Unreadable)?;
        let mut versions = vec![id];
        match previous.unwrap_or(Err(SecretsError::Timeout)) {
            Ok(Some(previous)) => {
                versions.push(previous.id);
                secrets.extend(previous.secrets);
            }
            Ok(None) => {}
            // What Agora signs with now is enough to go on.
            Err(error) => eprintln!("secret: AWSPREVIOUS is left out: {}", chain(&error)),
        }
        Ok(Fetched {
            secrets: secrets.into(),
            versions,
        })
    }

    /// The version under a stage; none if there is none.
    async fn version(&self, stage: &str) -> Result<Option<Version>, SecretsError> {
        let client = self
            .client
            .get_or_init(|| Client::from_conf(self.config.clone().build()));
        let value = client
            .get_secret_value()
            .secret_id(&self.id)
            .version_stage(stage)
            .send()
            .await
            .map_err(aws_sdk_secretsmanager::Error::from);
        let value = match value {
            Ok(value) => value,
            Err(error) => match error.code() {
                // A secret that was never rotated has no previous version.
                Some("ResourceNotFoundException") if stage == "AWSPREVIOUS" => return Ok(None),
                Some("ResourceNotFoundException" | "InvalidRequestException") => {
                    return Err(SecretsError::Missing(Box::new(error)));
                }
                Some("AccessDeniedException" | "DecryptionFailure") => {
                    return Err(SecretsError::Denied(Box::new(error)));
                }
                Some(_) | None => return Err(SecretsError::Call(Box::new(error))),
            },
        };
        let text = Zeroizing::new(value.secret_string.unwrap_or_default());
        Ok(Some(Version {
            id: value.version_id.unwrap_or_default(),
            secrets: read_secrets(&text).ok_or(SecretsError::Unreadable)?,
        }))
    }
}

impl Cache {
    /// True if a fetch that failed or brought nothing new is less than `pause_ms` ago.
    fn is_backing_off(&self, now_ms: u64, pause_ms: u64) -> bool {
        self.backing_off_since
            .is_some_and(|backing_off_since| now_ms < backing_off_since.saturating_add(pause_ms))
    }
}

/// A secret's text: the secret itself, or JSON with one or several.
fn read_secrets(text: &str) -> Option<Vec<Secret>> {
    #[derive(Deserialize)]
    struct Document {
        secret: Option<Zeroizing<String>>,
        #[serde(default)]
        secrets: Vec<Zeroizing<String>>,
    }
    let text = text.trim();
    let secrets: Vec<_> = if text.starts_with('{') {
        let document: Document = serde_json::from_str(text).ok()?;
        let all = document.secret.iter().chain(&document.secrets);
        all.map(|secret| secret.trim())
            .filter(|secret| !secret.is_empty())
            .map(Secret::new)
            .collect()
    } else if text.is_empty() || text.starts_with(['[', '"']) {
        // JSON of a shape that isn't known. Agora's secrets are letters and digits.
        Vec::new()
    } else {
        vec![Secret::new(text)]
    };
    (!secrets.is_empty()).then_some(secrets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_a_text_or_json() {
        for (text, expected) in [
            ("hunter2", Some(vec!["hunter2"])),
            (" hunter2\n", Some(vec!["hunter2"])),
            ("one,two", Some(vec!["one,two"])),
            (r#"{"secret": "one"}"#, Some(vec!["one"])),
            (r#"{"secrets": ["one", "two"]}"#, Some(vec!["one", "two"])),
            (
                r#"{"secret": "one", "secrets": ["two"], "note": 5}"#,
                Some(vec!["one", "two"]),
            ),
            ("", None),
            (r#"["one"]"#, None),
            (r#""one""#, None),
            ("{}", None),
            (r#"{"agora": "one"}"#, None),
            (r#"{"secret": ""}"#, None),
            (r#"{"secret": 5}"#, None),
            (r#"{"secrets": "one"}"#, None),
            ("{broken", None),
        ] {
            let secrets = read_secrets(text);
            let keys = secrets.as_ref().map(|secrets| {
                let keys = secrets.iter().map(Secret::key);
                keys.map(|key| std::str::from_utf8(key).unwrap())
                    .collect::<Vec<_>>()
            });
            assert_eq!(keys, expected, "{text}");
        }
    }

    #[test]
    fn the_template_lets_nothing_into_a_secret_that_isnt_read_as_it_is() {
        let samples = include_str!("../../tests/deploy/parameters.json");
        let samples: serde_json::Value = serde_json::from_str(samples).unwrap();
        for (list, is_read) in [("accepted", true), ("refused", false)] {
            for sample in samples["AgoraSecret"][list].as_array().unwrap() {
                let sample = sample.as_str().unwrap();
                let secrets = read_secrets(sample).unwrap_or_default();
                let keys: Vec<_> = secrets.iter().map(Secret::key).collect();
                assert_eq!(keys == [sample.as_bytes()], is_read, "{sample:?}");
            }
        }
    }

    #[test]
    fn nothing_of_a_secret_is_in_a_debug_or_an_error() {
        let fixed = Secrets::fixed(vec![Secret::new("hunter2")]);
        assert!(!format!("{fixed:?}").contains("hunter2"));
        assert!(!SecretsError::Unreadable.to_string().contains("hunter2"));
    }
}
