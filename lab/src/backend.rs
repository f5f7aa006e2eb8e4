//! DynamoDB, SNS and Secrets Manager, counted. To measure time, DynamoDB's answers are canned:
//! every write succeeds, every item is missing and each alert is the first of its minute, unless
//! the caller gives answers of its own. To measure units, they are an engine's.

use crate::wire::TABLE;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::serve::{Listener, ListenerExt};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PKCS_RSA_SHA256};
use serde_json::json;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use testkit::counted::{Answer, Counted, Counts};
use testkit::engine::{self, AnyError};
use testkit::sign::LOCAL_SECRET;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::server::TlsStream;

/// Where Linux distributions keep their roots in one file.
const BUNDLES: [&str; 2] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
];
const PUBLISHED: &str = "<PublishResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishResult>\
    <MessageId>567910cd-659e-55d4-8ccb-5aaf14679dc0</MessageId></PublishResult><ResponseMetadata>\
    <RequestId>d74b8436-ae13-5ab4-a9ff-ce54dfea72a0</RequestId></ResponseMetadata>\
    </PublishResponse>";

/// What a request to the counter of a minute has, and what an alert that may leave hears.
const COUNTER: &[u8] = b"minute#";
const FIRST_OF_ITS_MINUTE: &str = r#"{"Attributes":{"alerts":{"N":"1"}}}"#;

/// The endpoints of all three.
pub struct Backend {
    /// Each has a port of its own, as they are hosts of their own: no connection serves two of
    /// them.
    pub urls: Urls,
    /// The roots to trust: the system's, and with TLS its own.
    pub roots: PathBuf,
    /// Its answers don't depend on what was there before.
    pub is_canned: bool,
    counts: Arc<Mutex<Counts>>,
    waits: Arc<Mutex<Vec<Duration>>>,
    _directory: tempfile::TempDir,
}

pub struct Urls {
    pub dynamodb: String,
    pub sns: String,
    pub secrets_manager: String,
}

/// What DynamoDB says to an operation and a body.
type DynamoDb = dyn Fn(&str, &[u8]) -> Answer + Send + Sync;

impl Backend {
    /// With canned answers, `latency` after the question.
    pub async fn canned(tls: bool, latency: Duration) -> Result<Self, AnyError> {
        Self::answering(tls, latency, |_, body| {
            let counts = body.windows(COUNTER.len()).any(|part| part == COUNTER);
            let text = if counts { FIRST_OF_ITS_MINUTE } else { "{}" };
            (200, text.to_owned())
        })
        .await
    }

    /// With these answers of DynamoDB, `latency` after the question.
    pub async fn answering(
        tls: bool,
        latency: Duration,
        answer: impl Fn(&str, &[u8]) -> (u16, String) + Send + Sync + 'static,
    ) -> Result<Self, AnyError> {
        let dynamodb = move |target: &str, body: &[u8]| {
            let (status, text) = answer(target, body);
            Answer {
                status,
                text,
                counts: ONE,
            }
        };
        Self::start(tls, latency, true, Arc::new(dynamodb)).await
    }

    /// With an engine that has the table.
    pub async fn engine() -> Result<Self, AnyError> {
        let engine = Counted::new()?;
        let dynamodb = move |target: &str, body: &[u8]| engine.carry_out(target, body);
        let backend = Self::start(false, Duration::ZERO, false, Arc::new(dynamodb)).await?;
        engine::create_table(&engine::client(&backend.urls.dynamodb, "local"), TABLE).await?;
        Ok(backend)
    }

    async fn start(
        tls: bool,
        latency: Duration,
        is_canned: bool,
        dynamodb: Arc<DynamoDb>,
    ) -> Result<Self, AnyError> {
        let directory = tempfile::tempdir()?;
        let roots = directory.path().join("roots.pem");
        let mut bundle = BUNDLES
            .iter()
            .find_map(|file| std::fs::read_to_string(file).ok())
            .unwrap_or_default();
        let counts = Arc::new(Mutex::new(Counts::default()));
        let waits = Arc::new(Mutex::new(Vec::new()));
        let (counter, waited) = (Arc::clone(&counts), Arc::clone(&waits));
        let router = Router::new().fallback(move |headers: HeaderMap, body: Bytes| {
            let (counter, waited) = (Arc::clone(&counter), Arc::clone(&waited));
            let dynamodb = Arc::clone(&dynamodb);
            async move {
                let asked = Instant::now();
                if !latency.is_zero() {
                    // Tokio's own clock goes by whole milliseconds.
                    let wait = move || std::thread::sleep(latency);
                    let _ = tokio::task::spawn_blocking(wait).await;
                }
                let (answer, cost) = answer(&*dynamodb, &headers, &body);
                let mut counts = counter.lock().unwrap_or_else(PoisonError::into_inner);
                counts.add(cost);
                let mut waits = waited.lock().unwrap_or_else(PoisonError::into_inner);
                waits.push(asked.elapsed());
                answer
            }
        });
        let acceptor = if tls {
            let (config, root) = certificates()?;
            bundle.push_str(&root);
            Some(TlsAcceptor::from(Arc::new(config)))
        } else {
            None
        };
        std::fs::write(&roots, bundle)?;
        Ok(Self {
            urls: Urls {
                dynamodb: serve(router.clone(), acceptor.clone()).await?,
                sns: serve(router.clone(), acceptor.clone()).await?,
                secrets_manager: serve(router, acceptor).await?,
            },
            roots,
            is_canned,
            counts,
            waits,
            _directory: directory,
        })
    }

    /// What was asked so far; goes on counting.
    pub fn counts(&self) -> Arc<Mutex<Counts>> {
        Arc::clone(&self.counts)
    }

    /// How long the requests since the last call waited for their answers.
    #[must_use]
    pub fn waits(&self) -> Vec<Duration> {
        std::mem::take(&mut *self.waits.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A request that cost nothing else.
const ONE: Counts = Counts {
    requests: 1.0,
    units: 0.0,
    read_units: 0.0,
};

/// Serves on a port of its own; its URL.
async fn serve(router: Router, acceptor: Option<TlsAcceptor>) -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    match acceptor {
        Some(acceptor) => {
            let listener = Tls { listener, acceptor };
            tokio::spawn(async move { axum::serve(listener, router).await });
            Ok(format!("https://localhost:{port}"))
        }
        None => {
            tokio::spawn(async move { axum::serve(listener, router).await });
            Ok(format!("http://127.0.0.1:{port}"))
        }
    }
}

/// An answer, and what it cost.
fn answer(dynamodb: &DynamoDb, headers: &HeaderMap, body: &[u8]) -> (Response, Counts) {
    let json = |status: u16, text: String| {
        let status = StatusCode::from_u16(status).expect("a status of HTTP");
        let content_type = [("content-type", "application/x-amz-json-1.0")];
        (status, content_type, text).into_response()
    };
    let target = headers.get("x-amz-target");
    match target.and_then(|target| target.to_str().ok()) {
        None => {
            let published = ([("content-type", "text/xml")], PUBLISHED);
            (published.into_response(), ONE)
        }
        // A secret that was never rotated has no previous version.
        Some("secretsmanager.GetSecretValue") if holds(body, b"AWSPREVIOUS") => {
            let error = r#"{"__type": "ResourceNotFoundException"}"#;
            (json(400, error.to_owned()), ONE)
        }
        Some("secretsmanager.GetSecretValue") => {
            let secret = json!({"Name": "agora", "VersionId": "1", "SecretString": LOCAL_SECRET});
            (json(200, secret.to_string()), ONE)
        }
        Some(target) => {
            let Answer {
                status,
                text,
                counts,
            } = dynamodb(target, body);
            (json(status, text), counts)
        }
    }
}

fn holds(body: &[u8], word: &[u8]) -> bool {
    body.windows(word.len()).any(|bytes| bytes == word)
}

/// A root, and a server with an RSA certificate of that root, as AWS's are.
fn certificates() -> Result<(ServerConfig, String), AnyError> {
    let root_key = KeyPair::generate_for(&PKCS_RSA_SHA256)?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = params.self_signed(&root_key)?;
    let issuer = Issuer::new(params, root_key);
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256)?;
    let leaf = CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &issuer)?;
    let private = PrivateKeyDer::try_from(key.serialize_der())?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], private)?;
    Ok((config, root.pem()))
}

struct Tls<L> {
    listener: L,
    acceptor: TlsAcceptor,
}

impl<L: Listener<Io = TcpStream, Addr = SocketAddr>> Listener for Tls<L> {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.listener.accept().await;
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}
