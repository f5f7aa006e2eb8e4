//! Receives the callbacks of Agora Cloud Recording, keeps the state of every recording session in
//! DynamoDB, and sends an alert through SNS when a recording is in danger.
//!
//! # The path of a callback
//!
//! ```text
//! HTTP ─▶ lambda ─▶ receive ───▶ intake ────────▶ session, alert ─▶ store ─▶ topic ─▶ reply
//!         guard     signature:   notification:    what to write     table    SNS      status
//!                   Verified     Notification
//! clock ─▶ lambda ─▶ sweep ─▶ store ─▶ watchdog ─▶ store ─▶ topic
//!                             due      what it
//!                             items    means
//! link ──▶ lambda ─▶ viewer ─▶ link ─▶ store ─▶ report
//!          guard               mac     record   page
//! ```
//!
//! Data moves one way: no step calls an earlier one. [`lambda`] sets the deadline; [`receive`],
//! [`sweep`] and [`send`] keep it.
//!
//! | module | owns | must not know |
//! | --- | --- | --- |
//! | [`lambda`] | the events that Lambda may hand us, the log lines | what a callback means |
//! | [`receive`] | one request, who may send | what a callback says |
//! | [`signature`], [`secrets`] | HMACs, where the secrets come from | what a callback says |
//! | [`intake`] | the path of an authentic body | HTTP |
//! | [`invocation`] | id, clock and deadline of one invocation | what runs under it |
//! | [`notification`] | the callback's envelope, the name of a fact | the table |
//! | [`event`] | Agora's numbers and fields, and what they mean | sessions |
//! | [`session`] | recorders, registers, the ledger: how callbacks merge | clock, I/O, order of arrival |
//! | [`alert`] | what is alarming, and the words for it | clock, I/O, how callbacks merge |
//! | [`notice`] | what programs are told, and when | the table, the bus, the clock |
//! | [`watchdog`] | sessions that have gone quiet | clock, I/O |
//! | [`sweep`] | processing due items | HTTP, what a callback is |
//! | [`viewer`] | the pages behind links, and why a link shows none | what a page looks like |
//! | [`link`] | which place a link opens, and until when | what the places show |
//! | [`store`] | items and conditional writes | HTTP, SNS, EventBridge |
//! | [`send`], [`topic`], [`bus`] | publishing, while the lease lasts | what an alert is about |
//! | [`log`] | the form of a line, the names of its metrics | what makes them count |
//! | [`reply`] | outcome to status and body | why |
//! | [`record`] | what the table holds about a session, as data | the table, who reads it |
//! | [`files`] | a recording's files, from its callbacks | the table, who reads them |
//! | [`report`] | a session for a person: words, a picture, a page | the table, the clock |
//! | [`text`] | times for people, names from outside made harmless | what they are about |
//! | [`config`], [`aws`], [`clock`] | what enters at the top | callbacks |
//! | [`error`], [`hash`], `tolerant` | an error in a line, hashes, lenient reading of JSON | all others |
//!
//! # What always holds
//!
//! - A session's state depends on the set of its callbacks, never on their order, repetition or
//!   speed.
//! - Every write is conditional and idempotent: a crash at any point followed by a resend ends in
//!   the same items.
//! - 200 for a callback means that its event, its session and its alert are in the table.
//! - An alert is written down before it is sent, and only its owner sends it.
//! - A check of a session counts only if no callback came meanwhile, and is recorded together with
//!   what it found.
//! - Nothing authentic is dropped: what can't be stored as a callback is kept in quarantine.
//! - No panic on anything that comes from outside; no secret, body, header or channel name in a
//!   log.

pub mod alert;
pub mod aws;
pub mod bus;
pub mod clock;
pub mod config;
pub mod error;
pub mod event;
pub mod files;
pub mod hash;
pub mod intake;
pub mod invocation;
pub mod lambda;
pub mod link;
pub mod log;
pub mod notice;
pub mod notification;
pub mod receive;
pub mod record;
pub mod reply;
pub mod report;
pub mod secrets;
pub mod send;
pub mod session;
pub mod signature;
pub mod store;
pub mod sweep;
pub mod text;
mod tolerant;
pub mod topic;
pub mod viewer;

pub mod watchdog;
