//! The part of Lambda's API that the operator's tool asks: the configuration of one function.

use crate::engine::AnyError;
use axum::Router;
use axum::http::StatusCode;
use axum::http::Uri;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

/// The endpoint.
pub struct Lambda {
    url: String,
}

impl Lambda {
    /// Serves the environment of a function; every other function is unknown.
    pub async fn start(function: &str, environment: &[(&str, &str)]) -> Result<Self, AnyError> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let path = format!("/2015-03-31/functions/{function}/configuration");
        let variables: Map<String, Value> = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).into()))
            .collect();
        let known = json!({"FunctionName": function, "Environment": {"Variables": variables}});
        let router = Router::new().fallback(move |uri: Uri| {
            let answer = if uri.path() == path {
                (StatusCode::OK, "", known.to_string())
            } else {
                let error = "ResourceNotFoundException";
                (
                    StatusCode::NOT_FOUND,
                    error,
                    json!({"Message": "no such function"}).to_string(),
                )
            };
            async move {
                let (status, error, body) = answer;
                (status, [("x-amzn-errortype", error)], body)
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { url })
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }
}
