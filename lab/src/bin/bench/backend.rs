//! DynamoDB, SNS and Secrets Manager, counted. To measure time, DynamoDB's answers are canned:
//! every write succeeds, every item is missing. To measure units, they are an engine's.

use crate::AnyError;
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
use std::time::Duration;
use testkit::counted::{Counted, Counts};
use testkit::engine;
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
    <RequestId>d74b8436-ae13-5ab4-a9ff-ce54dfea72a0</RequestId></ResponseMetadata></PublishResponse>";

/// The endpoints of all three.
pub(crate) struct Backend {
    /// Each has a port of its own, as they are hosts of their own: no connection serves two of
    /// them.
    pub(crate) urls: Urls,
    /// The roots to trust: the system's, and with TLS its own.
    pub(crate) roots: PathBuf,
    /// Its answers don't depend on what was there before.
    pub(crate) is_canned: bool,
    counts: Arc<Mutex<Counts>>,
    _directory: tempfile::TempDir,
}

pub(crate) struct Urls {
    pub(crate) dynamodb: String,
    pub(crate) sns: String,
    pub(crate) secrets_manager: String,
}

/// The table that functions are told to write to.
pub(crate) const TABLE: &str = "recordings";

impl Backend {
    /// With canned answers, `latency` after the question.
    pub(crate) async fn canned(tls: bool, latency: Duration) -> Result<Self, AnyError> {
        Self::start(tls, latency, None).await
    }

    /// With an engine that has the table.
    pub(crate) async fn engine() -> Result<Self, AnyError> {
        let backend = Self::start(false, Duration::ZERO, Some(Counted::new()?)).await?;
        engine::create_table(&engine::client(&backend.urls.dynamodb, "local"), TABLE).await?;
        Ok(backend)
    }

    async fn start(
        tls: bool,
        latency: Duration,
        engine: Option<Counted>,
    ) -> Result<Self, AnyError> {
        let directory = tempfile::tempdir()?;
        let roots = directory.path().join("roots.pem");
        let mut bundle = BUNDLES
            .iter()
            .find_map(|file| std::fs::read_to_string(file).ok())
            .unwrap_or_default();
        let is_canned = engine.is_none();
        let counts = Arc::new(Mutex::new(Counts::default()));
        let (counter, engine) = (Arc::clone(&counts), Arc::new(engine));
        let router = Router::new().fallback(move |headers: HeaderMap, body: Bytes| {
            let (counter, engine) = (Arc::clone(&counter), Arc::clone(&engine));
            async move {
                if !latency.is_zero() {
                    // Tokio's own clock goes by whole milliseconds.
                    let wait = move || std::thread::sleep(latency);
                    let _ = tokio::task::spawn_blocking(wait).await;
                }
                let (answer, units) = answer(engine.as_ref().as_ref(), &headers, &body);
                let mut counts = counter.lock().unwrap_or_else(PoisonError::into_inner);
                counts.add(units);
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
            _directory: directory,
        })
    }

    /// What was asked so far; goes on counting.
    pub(crate) fn counts(&self) -> Arc<Mutex<Counts>> {
        Arc::clone(&self.counts)
    }
}

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

/// An answer, and the write units that it cost.
fn answer(engine: Option<&Counted>, headers: &HeaderMap, body: &[u8]) -> (Response, f64) {
    let json = |status: u16, text: String| {
        let status = StatusCode::from_u16(status).expect("a status of HTTP");
        let content_type = [("content-type", "application/x-amz-json-1.0")];
        (status, content_type, text).into_response()
    };
    let target = headers.get("x-amz-target");
    match (target.and_then(|target| target.to_str().ok()), engine) {
        (None, _) => (
            ([("content-type", "text/xml")], PUBLISHED).into_response(),
            0.0,
        ),
        // A secret that was never rotated has no previous version.
        (Some("secretsmanager.GetSecretValue"), _) if holds(body, b"AWSPREVIOUS") => {
            let error = r#"{"__type": "ResourceNotFoundException"}"#;
            (json(400, error.to_owned()), 0.0)
        }
        (Some("secretsmanager.GetSecretValue"), _) => {
            let secret = json!({"Name": "agora", "VersionId": "1", "SecretString": LOCAL_SECRET});
            (json(200, secret.to_string()), 0.0)
        }
        (Some(_), None) => (json(200, "{}".to_owned()), 0.0),
        (Some(target), Some(engine)) => {
            let (status, text, units) = engine.carry_out(target, body);
            (json(status, text), units)
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
