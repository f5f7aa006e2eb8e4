//! Every answer of the viewer as an HTTP response. A page is for the holder of its link alone: no
//! cache keeps it, no search engine lists it, and no other site is told its address.

use super::refusal::Refusal;
use crate::link::Place;
use crate::report::{message_page, served_policy};
use lambda_http::http::{HeaderValue, Method, Response, StatusCode, header};
use serde_json::json;

/// What a request is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A page.
    Page(String),
    /// What is on a page, for programs.
    Json(String),
    /// Neither, and why.
    Refused {
        /// Why.
        refusal: Refusal,
        /// What was asked for.
        form: Form,
    },
}

/// What somebody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A page.
    Page,
    /// JSON.
    Json,
}

impl Form {
    pub(super) fn of(place: &Place) -> Self {
        match place {
            Place::Json(_) => Self::Json,
            Place::Recording(_) | Place::Watched | Place::Channel(_) => Self::Page,
        }
    }
}

impl Answer {
    /// A refusal. What a forged link asked for isn't looked at: its answer is always the same.
    pub(super) fn refusal(refusal: Refusal, form: Form) -> Self {
        Self::Refused { refusal, form }
    }

    /// The HTTP status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Page(_) | Self::Json(_) => 200,
            Self::Refused { refusal, .. } => refusal.status(),
        }
    }

    /// The answer in a word, for the log.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Page(_) => "page",
            Self::Json(_) => "json",
            Self::Refused { refusal, .. } => refusal.as_str(),
        }
    }

    /// The answer as HTTP has it, with the body of whichever library sends it; none for HEAD.
    #[must_use]
    pub fn into_response<B: From<String>>(self, method: &Method) -> Response<B> {
        let status = StatusCode::from_u16(self.status());
        let (content_type, body, more) = match self {
            Self::Page(page) => (HTML, page, None),
            Self::Json(json) => (JSON, json, None),
            Self::Refused { refusal, form } => {
                let words = refusal.words();
                let more = match refusal.status() {
                    405 => Some((header::ALLOW, "GET, HEAD")),
                    503 => Some((header::RETRY_AFTER, "5")),
                    _ => None,
                };
                match form {
                    Form::Page => (
                        HTML,
                        message_page(words.title, words.what, words.steps),
                        more,
                    ),
                    Form::Json => {
                        let words = json!({
                            "error": words.title, "what": words.what, "steps": words.steps,
                        });
                        (JSON, words.to_string(), more)
                    }
                }
            }
        };
        let body = if *method == Method::HEAD {
            String::new()
        } else {
            body
        };
        let mut response = Response::new(B::from(body));
        *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        for (name, value) in [
            (header::CONTENT_TYPE, content_type),
            (header::CACHE_CONTROL, "no-store"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ]
        .into_iter()
        .chain(more)
        {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.insert(
            "x-robots-tag",
            HeaderValue::from_static("noindex, nofollow"),
        );
        if let Ok(policy) = HeaderValue::from_str(&served_policy()) {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        response
    }
}

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
