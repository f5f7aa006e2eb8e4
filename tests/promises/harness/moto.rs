//! A Secrets Manager that isn't ours: `moto_server`, in a process of its own.

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, Region};
use std::process::Stdio;
use std::time::Duration;
use testkit::engine::AnyError;
use tokio::process::{Child, Command};

/// The server and a client for it.
pub(crate) struct Moto {
    process: Child,
    pub(crate) url: String,
    pub(crate) client: Client,
}

impl Moto {
    /// Starts `moto_server`: the one that `MOTO_SERVER` names, else the one on the path. `None`,
    /// which skips the test, only where that variable isn't set: the gate sets it.
    pub(crate) async fn start() -> Option<Self> {
        #[expect(clippy::disallowed_methods, reason = "a test's own setting")]
        let named = std::env::var("MOTO_SERVER").ok();
        let program = named.clone().unwrap_or_else(|| "moto_server".to_owned());
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap()
            .port();
        let process = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let process = match (process, named) {
            (Ok(process), _) => process,
            (Err(error), Some(name)) => panic!("MOTO_SERVER is {name}: {error}"),
            (Err(_), None) => {
                println!("skipped here: there is no moto_server (pip install 'moto[server]')");
                return None;
            }
        };
        let url = format!("http://127.0.0.1:{port}");
        let client = Client::from_conf(
            aws_sdk_secretsmanager::Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::new("eu-central-1"))
                .credentials_provider(Credentials::new("local", "local", None, None, "local"))
                .endpoint_url(&url)
                .build(),
        );
        let moto = Self {
            process,
            url,
            client,
        };
        for _ in 0..600 {
            if reqwest::get(format!("{}/moto-api/data.json", moto.url))
                .await
                .is_ok()
            {
                return Some(moto);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("moto_server doesn't answer");
    }

    /// Creates the secret.
    pub(crate) async fn create(&self, id: &str, text: &str) -> Result<(), AnyError> {
        let create = self.client.create_secret().name(id).secret_string(text);
        create.send().await?;
        Ok(())
    }

    /// Makes `text` the current version, and the current one the previous.
    pub(crate) async fn rotate(&self, id: &str, text: &str) -> Result<(), AnyError> {
        let put = self
            .client
            .put_secret_value()
            .secret_id(id)
            .secret_string(text);
        put.send().await?;
        Ok(())
    }

    /// Ends it.
    pub(crate) async fn stop(&mut self) {
        self.process.kill().await.unwrap();
    }
}
