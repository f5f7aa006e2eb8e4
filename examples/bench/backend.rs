//! DynamoDB and SNS with canned answers, counted: every write succeeds, every item is missing.

use crate::AnyError;
use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::serve::{Listener, ListenerExt};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PKCS_RSA_SHA256};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
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

/// The endpoint of both.
pub(crate) struct Backend {
    pub(crate) url: String,
    /// The roots to trust: the system's, and with TLS its own.
    pub(crate) roots: PathBuf,
    requests: Arc<AtomicU64>,
    _directory: tempfile::TempDir,
}

impl Backend {
    pub(crate) async fn start(tls: bool, latency: Duration) -> Result<Self, AnyError> {
        let directory = tempfile::tempdir()?;
        let roots = directory.path().join("roots.pem");
        let mut bundle = BUNDLES
            .iter()
            .find_map(|file| std::fs::read_to_string(file).ok())
            .unwrap_or_default();
        let requests = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&requests);
        let router = Router::new().fallback(move |headers: HeaderMap, _: Bytes| {
            counter.fetch_add(1, Ordering::Relaxed);
            async move {
                if !latency.is_zero() {
                    tokio::time::sleep(latency).await;
                }
                answer(&headers)
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let url = if tls {
            let (config, root) = certificates()?;
            bundle.push_str(&root);
            let listener = Tls {
                listener,
                acceptor: TlsAcceptor::from(Arc::new(config)),
            };
            tokio::spawn(async move { axum::serve(listener, router).await });
            format!("https://localhost:{port}")
        } else {
            tokio::spawn(async move { axum::serve(listener, router).await });
            format!("http://127.0.0.1:{port}")
        };
        std::fs::write(&roots, bundle)?;
        Ok(Self {
            url,
            roots,
            requests,
            _directory: directory,
        })
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.requests)
    }
}

fn answer(headers: &HeaderMap) -> Response {
    if headers.contains_key("x-amz-target") {
        return ([("content-type", "application/x-amz-json-1.0")], "{}").into_response();
    }
    ([("content-type", "text/xml")], PUBLISHED).into_response()
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
