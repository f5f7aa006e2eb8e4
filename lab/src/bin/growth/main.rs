//! How costs grow with a session's age, with its participants and with the callbacks it loses: the
//! real receiver and store on a DynamoDB engine in this process, drawn to `docs/growth.svg`, and
//! printed as a table.
//!
//! Requests and units are the engine's own counts; times are those of this machine and this engine,
//! shown as ratios only.

#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a program for a terminal"
)]

mod picture;

use lab::recording::{Point, Session};
use testkit::engine::AnyError;

/// When the first callback is sent, ms since the epoch.
const START_MS: u64 = 1_772_460_000_000;

/// Heartbeats that are looked at together, or as many as there were.
const STRETCH: u64 = 100;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AnyError> {
    // What the first callbacks of a process cost is no session's doing.
    let mut session = Session::open(START_MS).await?;
    for _ in 0..STRETCH {
        session.heartbeat(false).await?;
    }
    let ages = over_age().await?;
    let participants = over_participants().await?;
    let losses = over_losses().await?;
    for (title, what, points) in [
        ("a session's age", "callbacks", &ages),
        ("participants", "streams", &participants),
        ("losses", "% lost", &losses),
    ] {
        println!(
            "\n| {what} | units | requests | item, bytes | time × |\n| --- | --- | --- | --- | \
            --- |"
        );
        for point in points {
            println!(
                "| {} | {:.2} | {:.2} | {} | {:.2} |",
                point.at,
                point.units,
                point.requests,
                point.bytes,
                point.ms / points[0].ms
            );
        }
        // A refused write is counted as one unit, which it is up to a KB.
        assert!(
            points.iter().all(|point| point.bytes <= 1024.0),
            "{title}: the item is too large"
        );
    }
    picture::draw("docs/growth.svg", [&ages, &participants, &losses])
}

/// Heartbeats from the tenth to the hundred thousandth, a number in twenty lost on the way.
async fn over_age() -> Result<Vec<Point>, AnyError> {
    let mut session = Session::open(START_MS).await?;
    let mut points = Vec::new();
    let ages = [10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000];
    let mut sent = 0;
    for age in ages {
        let stretch = STRETCH.min(age - sent);
        while sent < age - stretch {
            session.heartbeat(sent.is_multiple_of(20)).await?;
            sent += 1;
        }
        session.forget();
        while sent < age {
            session.heartbeat(sent.is_multiple_of(20)).await?;
            sent += 1;
        }
        points.push(session.point(f64::from(u32::try_from(age)?)).await?);
    }
    Ok(points)
}

/// Each participant's stream comes and goes (event 44), in turn, as often as makes enough callbacks
/// to count.
async fn over_participants() -> Result<Vec<Point>, AnyError> {
    let mut points = Vec::new();
    for streams in [1_u64, 3, 10, 30, 100, 300, 500] {
        let mut session = Session::open(START_MS).await?;
        for stream in 0..streams {
            session.stream(stream, 1).await?;
        }
        session.forget();
        for n in 0..STRETCH * 2 {
            session.stream(n % streams, n % 2).await?;
        }
        points.push(session.point(f64::from(u32::try_from(streams)?)).await?);
    }
    Ok(points)
}

/// Two thousand heartbeats of which some never come, spread by a hash; all are looked at.
async fn over_losses() -> Result<Vec<Point>, AnyError> {
    let mut points = Vec::new();
    for percent in [0_u32, 1, 2, 5, 10, 15, 20] {
        let mut session = Session::open(START_MS).await?;
        let mut random = fastrand::Rng::with_seed(6);
        session.forget();
        for _ in 0..2_000 {
            session.heartbeat(random.u32(..100) < percent).await?;
        }
        points.push(session.point(f64::from(percent)).await?);
    }
    Ok(points)
}
