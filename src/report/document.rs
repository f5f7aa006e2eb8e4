//! What all pages have in common: one document that needs nothing else, with inline style and
//! script and a policy that forbids the rest; and the pages that are only words. Pure.
//!
//! maud escapes every text and attribute. Nothing from outside stands in the script, in the style,
//! or in a link.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// How a page is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page<'a> {
    /// As a file of its own.
    File,
    /// By a program, at an address.
    Served(Served<'a>),
}

/// What a page that is served leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served<'a> {
    /// The address of the same for programs.
    pub json: Option<&'a str>,
    /// How often it fetches itself again, in seconds, while there is something to come.
    pub refresh: Option<u32>,
}

impl Page<'_> {
    pub(super) fn served(&self) -> Served<'_> {
        match self {
            Self::File => Served::default(),
            Self::Served(served) => *served,
        }
    }

    /// What the line below the title says of it.
    pub(super) fn refresh_words(&self) -> String {
        let refresh = self.served().refresh;
        refresh.map_or_else(String::new, |seconds| {
            format!(" · updates itself every {seconds} s")
        })
    }
}

/// The policy of pages that are served, for the header; it is in each of them, too, but for who may
/// frame it, which only a header can say.
#[must_use]
pub fn served_policy() -> String {
    format!("{}; frame-ancestors 'none'", policy(" connect-src 'self';"))
}

fn policy(connect: &str) -> String {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:;\
         {connect} base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

/// A page that says in words why there is nothing else on it, and what to do next.
#[must_use]
pub fn message_page(title: &str, what: &str, steps: &[&str]) -> String {
    let body = html! {
        div.head { h1 { (title) } }
        section.card.now {
            p { (what) }
            h2 { "What to do now" }
            ol { @for step in steps { li { (step) } } }
        }
    };
    document(title, Page::Served(Served::default()), &body)
}

pub(super) fn document(title: &str, page: Page<'_>, body: &Markup) -> String {
    let policy = match page {
        Page::File => policy(""),
        Page::Served(_) => policy(" connect-src 'self';"),
    };
    let refresh = page.served().refresh;
    let document = html! {
        (DOCTYPE)
        html lang="en" data-refresh=[refresh] {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                meta name="robots" content="noindex";
                // The script fetches the page without losing what is open in it.
                @if let Some(seconds) = refresh {
                    noscript { meta http-equiv="refresh" content=(seconds); }
                }
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main { (body) }
                div #tip role="tooltip" {}
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    document.into_string()
}
