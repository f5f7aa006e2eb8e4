//! Everything on a laptop: a DynamoDB engine, endpoints of SNS and EventBridge, and the receiver
//! behind HTTP; no account, nothing to install.
//!
//! Replays the sample sessions through the HTTP door, shows the outcome of each, then keeps
//! listening.

#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a program for a terminal, on samples"
)]

mod door;
mod pages;
mod show;

use crate::pages::Pages;
use agora_recording_callbacks::alert::AlertKind;
use agora_recording_callbacks::aws;
use agora_recording_callbacks::clock::now_ms;
use agora_recording_callbacks::config::{Admission, Config};
use agora_recording_callbacks::intake::Intake;
use agora_recording_callbacks::invocation::Invocation;
use agora_recording_callbacks::receive::Receiver;
use agora_recording_callbacks::secrets::{Secret, Secrets};
use agora_recording_callbacks::send::{Outbox, PageKeys};
use agora_recording_callbacks::store::Store;
use agora_recording_callbacks::sweep::Sweeper;
use agora_recording_callbacks::viewer::Viewer;
use agora_recording_callbacks::watchdog::Rules;
use clap::Parser;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use testkit::bus::Bus;
use testkit::engine::{self, AnyError};
use testkit::local::setting;
use testkit::sns::Sns;
use testkit::{SESSIONS, sign};
use tokio::net::TcpListener;
use tokio::time::Instant;

/// The table.
const TABLE: &str = setting("TABLE_NAME");
/// The topic of all alerts.
const TOPIC: &str = setting("ALERT_TOPIC_ARN");
/// The bus on which programs are told.
const BUS: &str = "agora-recordings";

/// Run the receiver on this machine, with a DynamoDB engine and endpoints of SNS and EventBridge of
/// its own.
#[derive(Parser)]
struct Options {
    /// The port of the receiver
    #[arg(long, default_value_t = 9000)]
    port: u16,
    /// The port of the DynamoDB engine, for `aws dynamodb --endpoint-url`
    #[arg(long, default_value_t = 8000)]
    dynamodb_port: u16,
    /// The port of the SNS endpoint
    #[arg(long, default_value_t = 8001)]
    sns_port: u16,
    /// The port of the EventBridge endpoint
    #[arg(long, default_value_t = 8002)]
    bus_port: u16,
    /// Don't replay the sample sessions
    #[arg(long)]
    no_replay: bool,
    /// Keep the table in this folder; without it, it is gone with the process
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Sweep this often, in seconds: send due alerts, check sessions that have gone quiet; 0 for
    /// never
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    sweep_every: u64,
    /// How old the last heartbeat may be before a session counts as silent, in seconds; 0 for no
    /// limit
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    silent_after: u64,
    /// How long after its end a session's upload may take, in seconds; 0 for no limit
    #[arg(long, value_name = "SECONDS", default_value_t = 1800)]
    unconfirmed_after: u64,
    /// Stop after the replay, with a failure if the sessions aren't what they should be
    #[arg(long)]
    exit: bool,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<ExitCode, AnyError> {
    let world = World::start(&options).await?;
    println!(
        "receiver   http://{}/  (secret: {})",
        world.door,
        sign::LOCAL_SECRET
    );
    println!("DynamoDB   {}  (table: {TABLE})", world.urls.dynamodb);
    println!("SNS        {}", world.urls.sns);
    println!("bus        {}  (name: {BUS})\n", world.urls.bus);
    let mut as_expected = true;
    if !options.no_replay {
        as_expected &= replay(&world, options.data_dir.is_none()).await?;
    }
    if options.exit {
        return Ok(if as_expected {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        });
    }
    world.loud.store(true, Ordering::Relaxed);
    println!(
        "Listening; Ctrl-C stops. See the recordings at http://{}/ or by `recordings --local list`, or send one:\n  {}\n",
        world.door,
        show::curl(&world.door)
    );
    let mut alerts = world.sns.listen();
    let mut events = world.bus.listen();
    let pause = Duration::from_secs(options.sweep_every.max(1));
    let mut sweeps = tokio::time::interval(pause);
    loop {
        tokio::select! {
            Some(alert) = alerts.recv() => {
                let topic = if alert.topic_arn == TOPIC { "ALERT" } else { "CRITICAL" };
                println!("{topic:<10} {}", alert.subject);
                let context = &alert.default["metadata"]["additionalContext"];
                println!("{:10} {}", "", context["viewUrl"].as_str().unwrap_or_default());
            }
            Some(event) = events.recv() => println!("{:<10} {}", "NOTICE", show::notice(&event)),
            _ = sweeps.tick(), if options.sweep_every > 0 => sweep(&world.sweeper).await,
            result = tokio::signal::ctrl_c() => {
                result?;
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
}

/// One sweep, and a line if it did anything.
async fn sweep(sweeper: &Sweeper) {
    let now_ms = now_ms();
    let deadline = Instant::now() + Duration::from_secs(30);
    let sweep = sweeper
        .sweep(Invocation::new("local-sweep", now_ms, deadline))
        .await;
    for remark in &sweep.remarks {
        let error = remark.error.as_deref().unwrap_or_default();
        println!(
            "SWEEP      {} {} {}: {error}",
            remark.outcome, remark.sid, remark.item
        );
    }
    if sweep.looked + sweep.published + sweep.deferred + sweep.held > 0 {
        println!(
            "SWEEP      {} sessions looked at, {} closed; alerts: {} found, {} published, {} \
            still pending; notices: {} sent",
            sweep.looked,
            sweep.closed,
            sweep.found,
            sweep.published,
            sweep.deferred + sweep.held,
            sweep.notices_sent
        );
    }
}

/// Where the parts listen.
struct Urls {
    dynamodb: String,
    sns: String,
    bus: String,
}

/// The parts that run.
struct World {
    door: SocketAddr,
    dynamodb: aws_sdk_dynamodb::Client,
    sns: Sns,
    bus: Bus,
    urls: Urls,
    sweeper: Sweeper,
    rules: Rules,
    /// Whether the door prints a line for every callback.
    loud: Arc<AtomicBool>,
}

impl World {
    async fn start(options: &Options) -> Result<Self, AnyError> {
        let door = listen(options.port, "--port").await?;
        let database = match &options.data_dir {
            None => dynoxide::Database::memory()?,
            Some(folder) => open_database(folder)?,
        };
        let dynamodb_url = engine::serve(
            listen(options.dynamodb_port, "--dynamodb-port").await?,
            database,
        )?;
        let dynamodb = engine::client(&dynamodb_url, "local");
        engine::create_table(&dynamodb, TABLE).await?;
        let (sns, sns_url) = Sns::serve(listen(options.sns_port, "--sns-port").await?)?;
        let (bus, bus_url) = Bus::serve(listen(options.bus_port, "--bus-port").await?)?;
        let urls = Urls {
            dynamodb: dynamodb_url,
            sns: sns_url,
            bus: bus_url,
        };
        let rules = rules(options);
        let (store, outbox) = clients(&urls, "").await?;
        let address = door.local_addr()?;
        let receiver = Arc::new(receiver(store, with_links(outbox, address))?);
        let (store, _) = clients(&urls, "").await?;
        let (pages_store, _) = clients(&urls, "").await?;
        let key = Secret::new(sign::LOCAL_SECRET);
        let keys = Secrets::fixed(vec![key.clone()]);
        let pages = Pages {
            store,
            viewer: Viewer::new(pages_store, keys, rules).with_refresh(pages::REFRESH_SECS),
            key,
            rules,
        };
        let (store, outbox) = clients(&urls, "").await?;
        let loud = Arc::new(AtomicBool::new(false));
        let door = door::serve(door, receiver, Some(pages), Arc::clone(&loud))?;
        Ok(Self {
            door,
            dynamodb,
            sns,
            bus,
            urls,
            sweeper: Sweeper::new(rules, store, with_links(outbox, address)),
            rules,
            loud,
        })
    }
}

/// The watchdog's rules, in the seconds of a laptop.
fn rules(options: &Options) -> Rules {
    let ms = |seconds: u64| (seconds > 0).then_some(seconds * 1000);
    Rules {
        tells_end: true,
        ..Rules::new(
            &AlertKind::by_default(),
            ms(options.silent_after),
            ms(options.unconfirmed_after),
        )
    }
}

/// Clients of a table, its topics and its bus; `suffix` tells them from others.
async fn clients(urls: &Urls, suffix: &str) -> Result<(Store, Outbox), AnyError> {
    let config = Config::read(|name| match name {
        "TABLE_NAME" => Some(format!("{TABLE}{suffix}")),
        "ALERT_TOPIC_ARN" => Some(format!("{TOPIC}{suffix}")),
        "CRITICAL_TOPIC_ARN" => Some(format!("{}{suffix}", setting("CRITICAL_TOPIC_ARN"))),
        "EVENT_BUS_NAME" => Some(format!("{BUS}{suffix}")),
        _ => None,
    })?;
    let on = |url: &str| aws::load_local(url.to_owned());
    let (sns, bus) = (on(&urls.sns).await, on(&urls.bus).await);
    let store = aws::store(&on(&urls.dynamodb).await, &config);
    Ok((store, aws::outbox_on(&sns, &bus, &config)))
}

/// Lets alerts lead to the pages at `door`.
fn with_links(outbox: Outbox, door: SocketAddr) -> Outbox {
    let keys = Secrets::fixed(vec![Secret::new(sign::LOCAL_SECRET)]);
    let keys = PageKeys::new(format!("http://{door}"), keys, pages::OPEN_SECS);
    outbox.with_pages(Some(keys))
}

/// A receiver configured as in `events/local.env`.
fn receiver(store: Store, outbox: Outbox) -> Result<Receiver, AnyError> {
    let admission = Admission::read(|name| match name {
        "AGORA_SECRET" | "MAX_CALLBACK_AGE_HOURS" => Some(setting(name).to_owned()),
        _ => None,
    })?;
    let secrets = Secrets::fixed(vec![Secret::new(sign::LOCAL_SECRET)]);
    let intake = Intake::new(store, outbox, AlertKind::by_default());
    Ok(Receiver::new(admission, secrets, intake))
}

async fn listen(port: u16, flag: &str) -> Result<TcpListener, AnyError> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let listener = TcpListener::bind(address).await;
    listener.map_err(|error| {
        format!("can't listen on {address}: {error}; choose another port with {flag}").into()
    })
}

fn open_database(folder: &PathBuf) -> Result<dynoxide::Database, AnyError> {
    let unusable = |error: &dyn std::fmt::Display| {
        format!("can't keep the table in {}: {error}", folder.display())
    };
    std::fs::create_dir_all(folder).map_err(|error| unusable(&error))?;
    let file = folder.join("table.sqlite");
    Ok(dynoxide::Database::new(&file.to_string_lossy()).map_err(|error| unusable(&error))?)
}

/// Sends every sample session through the door, in order; then, to a table of its own, doubled and
/// shuffled. True if all came out as they should.
async fn replay(world: &World, is_new: bool) -> Result<bool, AnyError> {
    let started = now_ms();
    const SHUFFLED: &str = "-shuffled";
    let shuffled_table = format!("{TABLE}{SHUFFLED}");
    let shuffled_topic = format!("{TOPIC}{SHUFFLED}");
    engine::create_table(&world.dynamodb, &shuffled_table).await?;
    let (store, outbox) = clients(&world.urls, SHUFFLED).await?;
    let (sweep_store, sweep_outbox) = clients(&world.urls, SHUFFLED).await?;
    let shuffled_sweeper = Sweeper::new(world.rules, sweep_store, sweep_outbox);
    let shuffled = door::serve(
        TcpListener::bind("127.0.0.1:0").await?,
        Arc::new(receiver(store, outbox)?),
        None,
        Arc::default(),
    )?;

    let mut rows = Vec::new();
    let mut as_expected = true;
    let mut callbacks = 0;
    for session in &SESSIONS {
        for (door, lines) in [(world.door, session.ordered), (shuffled, session.shuffled)] {
            for line in lines.lines() {
                door::post(door, line).await?;
                callbacks += 1;
            }
        }
        // What is over three alerts a minute.
        for sweeper in [&world.sweeper, &shuffled_sweeper] {
            let deadline = Instant::now() + Duration::from_secs(30);
            let invocation = Invocation::new("replay", now_ms(), deadline);
            sweeper.send_due(invocation).await;
        }
        let row = show::Row::read(world, session, TABLE, TOPIC).await?;
        let other = show::Row::read(world, session, &shuffled_table, &shuffled_topic).await?;
        let mut problems = row.problems(session, is_new);
        problems.extend(
            other
                .problems(session, is_new)
                .into_iter()
                .map(|problem| format!("shuffled: {problem}")),
        );
        if row.items != other.items {
            problems.push("the shuffled delivery gave other items".to_owned());
        }
        for problem in &problems {
            eprintln!("{}: {problem}", session.name);
        }
        as_expected &= problems.is_empty();
        rows.push(row);
    }
    println!("{}", show::table(&rows));
    println!(
        "{callbacks} callbacks in {:.1} s: each session in order, and once more doubled and \
        shuffled into a second table.",
        Duration::from_millis(now_ms() - started).as_secs_f64()
    );
    println!(
        "{}\n",
        if as_expected {
            "Both tables hold the same, and the alerts are the right ones."
        } else {
            "NOT as it should be."
        }
    );
    if let Some(alert) = world
        .sns
        .published()
        .into_iter()
        .find(|alert| alert.topic_arn == TOPIC)
    {
        println!(
            "The first alert, as an email:\n\n  Subject: {}\n\n{}",
            alert.subject,
            show::indent(&alert.email)
        );
    }
    Ok(as_expected)
}
