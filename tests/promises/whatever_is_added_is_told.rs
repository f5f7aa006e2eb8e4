//! Whatever is added is told where people look for it, and sent where tests look at it: for each
//! kind of alert, variable, attribute, metric and event type the files that name it. What fails
//! here says which file lacks what.

use crate::harness::Schedule;
use agora_recording_callbacks::alert::AlertKind;
use agora_recording_callbacks::event::{Event, EventType};
use agora_recording_callbacks::log::Metric;
use agora_recording_callbacks::session::{Fact, RegisterName};
use fastrand::Rng;
use serde_json::json;
use std::collections::BTreeSet;

fn file(path: &str) -> String {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

/// What is in none of `files` that has to be, as `<file>: <word>`.
fn untold<'a>(files: &[&str], words: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let files: Vec<_> = files.iter().map(|path| (path, file(path))).collect();
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let names = files.iter().map(|(path, text)| {
        let names: BTreeSet<&str> = text.split(|c| !is_name(c)).collect();
        (path, names)
    });
    let names: Vec<_> = names.collect();
    let missing = words.into_iter().flat_map(|word| {
        let files = names.iter().filter(move |(_, names)| !names.contains(word));
        files.map(move |(path, _)| format!("{path}: {word}"))
    });
    missing.collect()
}

#[test]
fn each_kind_of_alert_is_in_its_documents() {
    let alarms = AlertKind::configurable();
    let told = [
        "template.yaml",
        "docs/alerts.md",
        "docs/operations.md",
        "docs/alert.schema.json",
    ];
    let missing = untold(&told, alarms.iter().map(|kind| kind.as_str()));
    assert_eq!(missing, Vec::<String>::new());
    let missing = untold(
        &["docs/alert.schema.json"],
        AlertKind::ALL.map(AlertKind::as_str),
    );
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn each_variable_is_in_the_configuration() {
    let code = file("src/config.rs");
    let (code, _) = code.split_once("#[cfg(test)]").unwrap();
    let is_variable = |text: &&str| {
        text.contains('_') && text.bytes().all(|c| c.is_ascii_uppercase() || c == b'_')
    };
    let variables: Vec<_> = code.split('"').filter(is_variable).collect();
    assert!(variables.len() > 20, "{variables:?}");
    let of_lambda = |name: &&str| name.starts_with("AWS_LAMBDA");
    let ours = variables.into_iter().filter(|name| !of_lambda(name));
    assert_eq!(
        untold(&["docs/configuration.md"], ours),
        Vec::<String>::new()
    );
}

#[test]
fn each_register_of_a_session_is_in_the_table_and_in_random_sessions() {
    let names = RegisterName::ALL.map(RegisterName::as_str);
    let table = file("docs/table.md");
    for name in names {
        assert!(
            table.contains(&format!("`{name}`")),
            "docs/table.md: {name}"
        );
    }
    let mut sent = BTreeSet::new();
    for seed in 0..200 {
        let schedule = Schedule::random(&mut Rng::with_seed(seed));
        for callback in &schedule.callbacks {
            let fact = Fact::of(&callback.notification());
            sent.extend(fact.registers.iter().map(|(name, _)| name.as_str()));
        }
    }
    for name in names {
        let file = "tests/promises/harness/schedule.rs";
        assert!(
            sent.contains(name),
            "{file} never sends what {name} is made of"
        );
    }
}

#[test]
fn the_metrics_of_a_deployment_are_counted_where_its_cost_is() {
    let all = Metric::ALL.into_iter();
    let of_a_bus = |metric: &Metric| metric.as_str().starts_with("Notices");
    let names = all.filter(|metric| !of_a_bus(metric)).count();
    let counted = format!("({names} names)");
    assert!(
        file("docs/cost.md").contains(&counted),
        "docs/cost.md: {counted}"
    );
}

/// Nobody knows what these have in their details, so there is nothing to show.
const WITHOUT_SAMPLE: [u32; 10] = [13, 46, 47, 60, 73, 80, 110, 111, 112, 113];

#[test]
fn each_event_type_has_a_sample() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/events");
    let names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for event_type in EventType::DOCUMENTED {
        let name = format!("{:02}-{}.json", event_type.0, event_type.name());
        let is_there = names.contains(&name);
        let has_none = WITHOUT_SAMPLE.contains(&event_type.0);
        assert!(is_there != has_none, "events/{name}");
        assert_ne!(
            Event::read(event_type.0, &json!({})),
            Event::Other,
            "{name}"
        );
    }
}
