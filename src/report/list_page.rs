//! The page of a list of recordings. Pure.

use super::Row;
use super::document::{Page, document};
use crate::text::{ago, utc};
use maud::html;

/// A list of recordings, as a page shows it.
#[derive(Debug)]
pub struct List<'a> {
    /// What is listed.
    pub title: &'a str,
    /// What has to be said beside it, such as that there are more.
    pub note: &'a str,
    /// The recordings, each with the address of its page.
    pub rows: &'a [(Row, String)],
    /// What else can be listed: a word and an address.
    pub other: Option<(&'a str, &'a str)>,
    /// The moment it is looked at from, ms since the epoch.
    pub now_ms: u64,
}

/// The page of a list.
#[must_use]
pub fn list_page(list: &List<'_>, page: Page<'_>) -> String {
    let now_ms = list.now_ms;
    let body = html! {
        div.head { h1 { (list.title) } }
        p.meta {
            (list.rows.len()) " shown, as of " (utc(now_ms)) (page.refresh_words())
            @if !list.note.is_empty() { br; (list.note) }
            @if let Some((word, address)) = list.other { br; a href=(address) { (word) } }
        }
        section.card {
            @if list.rows.is_empty() {
                p.empty { "There is none." }
            } @else {
                div.rows tabindex="0" role="group" aria-label="the list" {
                    table {
                        thead { tr {
                            th { "channel" } th { "state" } th.num.opt { "progress" } th { "files" }
                            th.opt { "began" } th.opt { "newest callback" }
                        } }
                        tbody {
                            @for (row, address) in list.rows {
                                tr data-sid=(row.sid) {
                                    td {
                                        a href=(address) {
                                            @if row.cname.is_empty() { "(unknown)" }
                                            @else { (row.cname) }
                                        }
                                    }
                                    td { span class={ "badge " (row.tone.as_str()) }
                                        { (row.state) } }
                                    td.num.opt { (row.progress) }
                                    td { (row.files) }
                                    td.opt { (utc(row.began)) }
                                    td.opt { (ago(row.newest, now_ms)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    };
    document(list.title, page, &body)
}
