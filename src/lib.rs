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
//! A module uses those further down in this table, and none above it; `.ci/floors` holds that.
//!
//! | module | owns | must not know |
//! | --- | --- | --- |
//! | [`lambda`] | the events that Lambda may hand us, the log lines | what a callback means |
//! | [`aws`] | the clients of AWS's services, made once | callbacks |
//! | [`viewer`] | the pages behind links, and why a link shows none | what a page looks like |
//! | [`sweep`] | processing due items | HTTP, what a callback is |
//! | [`receive`] | one request, who may send | what a callback says |
//! | [`intake`] | the path of an authentic body | HTTP |
//! | [`send`] | publishing, while the lease lasts | what an alert is about |
//! | [`store`] | items and conditional writes | how requests come, SNS, EventBridge |
//! | [`topic`], [`bus`] | requests to SNS, to EventBridge | the table |
//! | [`config`] | every variable, and its default | callbacks, the environment |
//! | [`report`] | a session for a person: words, a picture, a page | the table, the clock |
//! | [`watchdog`] | sessions that have gone quiet | clock, I/O |
//! | [`notice`] | what programs are told, and when | requests to the table or the bus, the clock |
//! | [`files`] | a recording's files, from its callbacks | the table, who reads them |
//! | [`record`] | what the table holds about a session, as data | requests to the table, who reads it |
//! | [`alert`] | what is alarming, and the words for it | clock, I/O, how callbacks merge |
//! | [`session`] | recorders, registers, the ledger: how callbacks merge | clock, I/O, order of arrival |
//! | [`reply`] | outcome to status and body | why |
//! | [`link`] | which place a link opens, and until when | what the places show |
//! | [`notification`] | the callback's envelope, the name of a fact | the table |
//! | [`event`] | Agora's numbers and fields, and what they mean | sessions |
//! | [`signature`], [`secrets`] | HMACs, where the secrets come from | what a callback says |
//! | [`log`] | the form of a line, the names of its metrics | what makes them count |
//! | [`invocation`] | id, clock and deadline of one invocation | what runs under it |
//! | [`text`] | times for people, names from outside made harmless | what they are about |
//! | [`clock`], [`error`], [`hash`], `tolerant`, `named` | the time, an error in a line, hashes, lenient reading of JSON, enums of words | all others |
//!
//! # What always holds
//!
//! - A session's state depends on the set of its callbacks, never on their order, repetition or
//!   speed.
//! - Every write is conditional and idempotent: a crash at any point followed by a resend ends in
//!   the same items.
//! - 200 for a callback means that its event, its session and its alert are in the table.
//! - An alert is written down before it is sent, and only its owner sends it. The exception: a
//!   critical one that the table doesn't take is published all the same.
//! - A look at a session counts only if no callback came meanwhile, and is noted together with what
//!   it found.
//! - Nothing authentic is dropped: what can't be stored as a callback is kept in quarantine.
//! - No panic on anything that comes from outside; no secret, body or header in a log, and no
//!   channel name unless `LOG_DETAIL` asks for it.

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
mod named;
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
