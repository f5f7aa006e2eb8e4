//! A signed link opens the page of its recording until it expires, and nothing else; opening it, as
//! mail scanners do, changes nothing; and whatever is wrong is said in words, and nothing else with
//! it. The real viewer, its key in moto's Secrets Manager; without a `moto_server` these tests are
//! skipped, unless `MOTO_SERVER` says that there is one.

use crate::harness::{
    Binary, Fault, Function, Moto, Plan, Proxy, Which, World, callback, event, event_details,
    recordings_on_aws, tick,
};
use agora_recording_callbacks::clock::now_ms;
use agora_recording_callbacks::link::Place;
use agora_recording_callbacks::notification::Sid;
use agora_recording_callbacks::secrets::Secret;
use agora_recording_callbacks::store::Item;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use testkit::SESSIONS;
use testkit::visit;

const ID: &str = "recordings/links";
const SID: &str = "38f8e3cfdc474cd56fc1ceba380d7e1a";
const OTHER: &str = "5b2ab6a1eb4b4d0c8d6a9f5b8e0f4c11";

/// A viewer with a recording in its table, and another one.
struct Scene {
    world: World,
    moto: Moto,
    viewer: Function,
    key: Secret,
}

impl Scene {
    async fn new() -> Option<Self> {
        let moto = Moto::start().await?;
        moto.create(ID, "first key").await.unwrap();
        let world = World::new().await;
        let receiver = world.receiver();
        for sid in [SID, OTHER] {
            for (n, event_type) in [(0, 40), (1, 42), (2, 1)] {
                let body = callback(sid, "5", n, event_type, &event_details(event_type));
                world.deliver(&receiver, body.as_bytes()).await;
            }
        }
        let viewer = start(&world, &moto).await;
        Some(Self {
            world,
            moto,
            viewer,
            key: Secret::new("first key"),
        })
    }

    /// A link of ours, of an hour.
    fn link(&self, place: &Place) -> String {
        place.link(now_ms() / 1000 + 3600, &self.key)
    }

    async fn get(&self, link: &str) -> Value {
        self.ask("GET", link).await
    }

    async fn ask(&self, method: &str, link: &str) -> Value {
        let (path, query) = link.split_once('?').unwrap_or((link, ""));
        let answer = self.viewer.invoke(visit(method, path, query)).await;
        check_headers(&answer);
        answer
    }

    /// No line of the log says what was asked for.
    fn check_log(&self) {
        let log = self.viewer.log().join("\n");
        for secret in [SID, OTHER, "?e=", "&m=", "room-101-b"] {
            assert!(!log.contains(secret), "{log}");
        }
    }
}

async fn start(world: &World, moto: &Moto) -> Function {
    let settings = [
        ("LINK_SECRET_ID", ID),
        ("RECORDING_BUCKET", "s3://lessons"),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", moto.url.as_str()),
    ];
    Function::start_binary(Binary::Viewer, world, &settings).await
}

fn recording(sid: &str) -> Place {
    Place::Recording(Sid::new(sid).unwrap())
}

fn body(answer: &Value) -> &str {
    answer["body"].as_str().unwrap_or_default()
}

/// What every answer has to say, whatever it is.
fn check_headers(answer: &Value) {
    let header = |name: &str| answer["headers"][name].as_str().unwrap_or_default();
    for (name, value) in [
        ("cache-control", "no-store"),
        ("x-robots-tag", "noindex, nofollow"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(header(name), value, "{answer}");
    }
    let policy = header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    assert!(!policy.contains("unsafe"), "{policy}");
    let content_type = header("content-type");
    let is_page = content_type == "text/html; charset=utf-8";
    assert!(is_page || content_type == "application/json", "{answer}");
    // The page says the same of itself.
    if is_page && !body(answer).is_empty() {
        let own = policy.replace("; frame-ancestors 'none'", "");
        assert!(body(answer).contains(&own.replace('\'', "&#39;")) || body(answer).contains(&own));
    }
}

#[tokio::test]
async fn a_link_shows_its_recording_and_leads_to_nothing_but_its_json() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    let page = scene.get(&scene.link(&recording(SID))).await;
    assert_eq!(page["statusCode"], 200);
    let html = body(&page);
    assert!(html.contains(SID) && html.contains("room-101-b"), "{html}");
    assert!(!html.contains(OTHER));
    // What happened and what to do come first, the picture and the rest after it.
    let places = ["What to do now", "files", "Picture", "Timeline"].map(|word| html.find(word));
    assert!(places.is_sorted() && places[0].is_some(), "{places:?}");
    // Every address on it: its own places in the timeline, and its JSON.
    let hrefs = html.split("href=\"").skip(1);
    let hrefs = hrefs.map(|rest| rest.split('"').next().unwrap().replace("&amp;", "&"));
    let led: BTreeSet<_> = hrefs.filter(|href| !href.starts_with('#')).collect();
    let led: Vec<_> = led.iter().filter(|href| *href != "data:,").collect();
    assert_eq!(led.len(), 1, "{led:?}");
    assert!(led[0].starts_with(&format!("/s/{SID}.json?e=")), "{led:?}");
    let json = scene.get(led[0]).await;
    assert_eq!(json["statusCode"], 200);
    assert_eq!(json["headers"]["content-type"], "application/json");
    let json: Value = serde_json::from_str(body(&json)).unwrap();
    assert_eq!(
        (&json["sid"], &json["schema"]),
        (&json!(SID), &json!(1)),
        "{json}"
    );
    // Its files have their addresses.
    let details = json!({"fileList": [{"fileName": "a/b.mp4", "isPlayable": true}]});
    let uploaded = callback(SID, "5", 3, 31, &details);
    let receiver = scene.world.receiver();
    scene.world.deliver(&receiver, uploaded.as_bytes()).await;
    let json = scene.get(led[0]).await;
    assert!(body(&json).contains("s3://lessons/a/b.mp4"), "{json}");
    // The other one's place with this one's mac, its JSON's with the page's, and the lists.
    let link = scene.link(&recording(SID));
    let query = link.split_once('?').unwrap().1;
    for path in [
        format!("/s/{OTHER}"),
        format!("/s/{SID}.json"),
        "/".to_owned(),
        "/c/cm9vbS0xMDEtYg".to_owned(),
    ] {
        let answer = scene.get(&format!("{path}?{query}")).await;
        assert_eq!(answer["statusCode"], 403, "{path}");
    }
    scene.check_log();
}

#[tokio::test]
async fn whatever_is_changed_in_a_link_the_answer_is_the_same_403() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    let forged = scene.get("/").await;
    assert_eq!(forged["statusCode"], 403);
    let link = scene.link(&recording(SID));
    let (path, query) = link.split_once('?').unwrap();
    let mut changed: Vec<(String, String)> = Vec::new();
    let flip = |text: &str, at: usize, bit: u8| -> String {
        let flipped = text.bytes().enumerate();
        // A byte is a character of its own, also beyond ASCII.
        flipped
            .map(|(n, byte)| char::from(if n == at { byte ^ (1 << bit) } else { byte }))
            .collect()
    };
    for bit in 0..8 {
        changed.extend((0..path.len()).map(|at| (flip(path, at, bit), query.to_owned())));
        changed.extend((0..query.len()).map(|at| (path.to_owned(), flip(query, at, bit))));
    }
    let mac = query.split_once("&m=").unwrap().1;
    let expiry = query.split_once("&m=").unwrap().0;
    for path in [
        format!("{path}/"),
        format!("{path}a"),
        format!("/{path}"),
        format!("{path}/../{SID}"),
        path.replace("38", "%33%38"),
        path.to_uppercase(),
    ] {
        changed.push((path, query.to_owned()));
    }
    for query in [
        String::new(),
        expiry.to_owned(),
        format!("m={mac}"),
        format!("{expiry}&m={mac}="),
        format!("{expiry}&m={mac}%3D"),
        format!("{expiry}&m={}", mac.replacen(&mac[..1], "%41", 1)),
        format!("{expiry}&m={mac}&m={mac}"),
        format!("{expiry}&{expiry}&m={mac}"),
        format!("{}&m={mac}", expiry.replace("e=", "e=0")),
        format!("{}&m={mac}", expiry.replace("e=", "e=%2B")),
        format!("{expiry}&m={}", mac.to_uppercase()),
        "a b".to_owned(),
    ] {
        changed.push((path.to_owned(), query));
    }
    for (path, query) in changed {
        let answer = scene.viewer.invoke(visit("GET", &path, &query)).await;
        assert_eq!(answer, forged, "{path}?{query}");
    }
    // The list's link, whose path is what an illegal one becomes on its way.
    let list = scene.link(&Place::Watched);
    let query = list.split_once('?').unwrap().1;
    for path in ["/%2e", "no path", "//", "/a b"] {
        let answer = scene.viewer.invoke(visit("GET", path, query)).await;
        assert_eq!(answer, forged, "{path}");
    }
    assert_eq!(scene.get(&link).await["statusCode"], 200);
    scene.check_log();
}

#[tokio::test]
async fn an_expired_link_says_so_only_if_it_was_ours() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    let forged = scene.get("/").await;
    let now_s = now_ms() / 1000;
    let expired = recording(SID).link(now_s - 1, &scene.key);
    let answer = scene.get(&expired).await;
    assert_eq!(answer["statusCode"], 410);
    assert!(body(&answer).contains("recordings link"), "{answer}");
    assert!(!body(&answer).contains(SID));
    let json = Place::Json(Sid::new(SID).unwrap()).link(now_s - 1, &scene.key);
    let answer = scene.get(&json).await;
    assert_eq!(answer["statusCode"], 410);
    let json: Value = serde_json::from_str(body(&answer)).unwrap();
    assert!(
        json["steps"]
            .as_array()
            .is_some_and(|steps| !steps.is_empty())
    );
    let later = expired.replace(&format!("e={}", now_s - 1), &format!("e={}", now_s + 999));
    let of_others = recording(SID).link(now_s - 1, &Secret::new("another key"));
    for link in [later, of_others] {
        assert_eq!(scene.get(&link).await, forged);
    }
}

#[tokio::test]
async fn a_key_can_be_rotated_and_is_refused_when_it_is_rotated_twice() {
    let Some(mut scene) = Scene::new().await else {
        return;
    };
    let old = scene.link(&recording(SID));
    scene.moto.rotate(ID, "second key").await.unwrap();
    // A viewer that has the first key only learns of the second by a link made with it.
    scene.key = Secret::new("second key");
    let new = scene.link(&recording(SID));
    for link in [&new, &old] {
        assert_eq!(scene.get(link).await["statusCode"], 200);
    }
    scene.moto.rotate(ID, "third key").await.unwrap();
    // Another process: this one asks again after five minutes.
    scene.viewer = start(&scene.world, &scene.moto).await;
    let forged = scene.get("/").await;
    assert_eq!(scene.get(&new).await["statusCode"], 200);
    assert_eq!(scene.get(&old).await, forged);
}

#[tokio::test]
async fn a_thousand_visits_of_mail_scanners_change_nothing() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    let sid = Sid::new(SID).unwrap();
    let links = [
        recording(SID),
        Place::Json(sid),
        Place::Watched,
        Place::Channel("room-101-b".to_owned()),
        recording("nobody"),
    ]
    .map(|place| scene.link(&place));
    let sorted = |mut items: Vec<Item>| {
        items.sort_by_key(|item| format!("{:?} {:?}", item["sid"], item["item"]));
        items
    };
    let before = sorted(scene.world.scan().await);
    scene.world.proxy.take();
    for n in 0..1_000 {
        let method = if n % 2 == 0 { "GET" } else { "HEAD" };
        let answer = scene.ask(method, &links[n / 2 % links.len()]).await;
        assert!([200, 404].map(Value::from).contains(&answer["statusCode"]));
        assert!(method == "GET" || body(&answer).is_empty());
    }
    let exchanges = scene.world.proxy.take().into_iter();
    let operations: BTreeSet<_> = exchanges.map(|one| one.operation).collect();
    assert_eq!(
        operations,
        ["BatchGetItem", "Query"].map(str::to_owned).into()
    );
    assert_eq!(sorted(scene.world.scan().await), before);
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = scene.ask(method, &links[0]).await;
        assert_eq!(answer["statusCode"], 405);
        assert_eq!(answer["headers"]["allow"], "GET, HEAD");
    }
    assert_eq!(sorted(scene.world.scan().await), before);
    scene.check_log();
}

#[tokio::test]
async fn a_list_has_what_is_watched_or_one_channel_and_its_links_open() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    let receiver = scene.world.receiver();
    for session in &SESSIONS {
        for line in session.ordered.lines() {
            scene.world.deliver(&receiver, line.as_bytes()).await;
        }
    }
    let healthy = callback("healthy", "5", 0, 42, &event_details(42));
    scene.world.deliver(&receiver, healthy.as_bytes()).await;
    let listed = |page: &Value| -> Vec<String> {
        let rows = body(page).split("data-sid=\"").skip(1);
        rows.map(|row| row.split('"').next().unwrap().to_owned())
            .collect()
    };
    let watched = scene.link(&Place::Watched);
    let page = scene.get(&watched).await;
    assert_eq!(page["statusCode"], 200);
    // Those that failed stand first.
    let sids = listed(&page);
    let failed = listed(&scene.get(&format!("{watched}&failed=1")).await);
    assert!(failed.iter().any(|sid| sid == SID), "{failed:?}");
    assert!(sids.starts_with(&failed) && !failed.iter().any(|sid| sid == "healthy"));
    assert!(sids.iter().any(|sid| sid == "healthy"), "{sids:?}");
    // The rows' links open, and expire with the list's.
    let expiry = watched.split_once("?e=").unwrap().1;
    let expiry = expiry.split_once('&').unwrap().0;
    for sid in &sids {
        let (_, row) = body(&page)
            .split_once(&format!("href=\"/s/{sid}?"))
            .unwrap();
        let query = row.split('"').next().unwrap().replace("&amp;", "&");
        assert!(query.starts_with(&format!("e={expiry}&m=")), "{query}");
        let answer = scene.get(&format!("/s/{sid}?{query}")).await;
        assert_eq!(answer["statusCode"], 200);
        assert!(body(&answer).contains(sid.as_str()));
    }
    // The channel has what is over, too, and nothing of other channels.
    let channel = scene.link(&Place::Channel("room-101-b".to_owned()));
    let page = scene.get(&channel).await;
    let of_channel: BTreeSet<_> = listed(&page).into_iter().collect();
    assert_eq!(
        of_channel,
        [SID, OTHER, "healthy"].map(str::to_owned).into()
    );
    let failed = listed(&scene.get(&format!("{channel}&failed=1")).await);
    assert_eq!(failed.len(), 2);
    let empty = scene
        .get(&scene.link(&Place::Channel("nobody".to_owned())))
        .await;
    assert_eq!(empty["statusCode"], 200);
    assert!(listed(&empty).is_empty());
}

#[tokio::test]
async fn what_goes_wrong_has_a_page_of_its_own_that_says_what_to_do() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    let mut pages = BTreeSet::new();
    let mut note = |answer: &Value, status: u16| {
        assert_eq!(answer["statusCode"], status, "{answer}");
        assert!(body(answer).contains("What to do now"), "{answer}");
        assert!(!body(answer).contains(SID) && !body(answer).contains(OTHER));
        assert!(
            pages.insert(body(answer).to_owned()),
            "said before: {answer}"
        );
    };
    note(&scene.get(&scene.link(&recording("nobody"))).await, 404);
    note(&scene.get("/").await, 403);
    let link = scene.link(&recording(SID));
    for fault in [Fault::Throttled, Fault::AccessDenied, Fault::Hang] {
        scene.world.proxy.plan(Some(Plan {
            operation: "Query",
            key: "",
            fault,
            which: Which::Always,
            seen: 0,
        }));
        let answer = scene.get(&link).await;
        note(&answer, 503);
        assert_eq!(answer["headers"]["retry-after"], "5");
    }
    scene.world.proxy.plan(None);
    assert_eq!(scene.get(&link).await["statusCode"], 200);
    // Without a key nothing is read at all.
    let nowhere = [
        ("LINK_SECRET_ID", "nothing"),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", scene.moto.url.as_str()),
    ];
    let keyless = Function::start_binary(Binary::Viewer, &scene.world, &nowhere).await;
    let (path, query) = link.split_once('?').unwrap();
    let answer = keyless.invoke(visit("GET", path, query)).await;
    check_headers(&answer);
    note(&answer, 503);
    scene.check_log();
}

#[tokio::test]
async fn an_alert_leads_to_its_page_or_leaves_without_a_link_rather_than_late() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    let (secrets, url) = Proxy::start(scene.moto.url.clone(), "local").await.unwrap();
    let settings = [
        ("VIEWER_URL", "https://viewer.example.com/"),
        ("LINK_SECRET_ID", ID),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", url.as_str()),
    ];
    let function = Function::start(&scene.world, &settings).await;
    for event_type in [33, 40, 42, 43] {
        let n = u64::from(event_type);
        let body = callback("alarming", "5", n, event_type, &event_details(event_type));
        assert_eq!(function.invoke(event(&body)).await["statusCode"], 200);
    }
    assert!(secrets.take().is_empty(), "nothing has been alarming yet");
    // The sweeper has it before it needs it.
    let sweeper = Function::start_binary(Binary::Sweeper, &scene.world, &settings).await;
    assert_eq!(sweeper.invoke(tick()).await["errors"], 0);
    assert_eq!(secrets.take().len(), 2);
    let alarm = |sid: &str, n| callback(sid, "5", n, 1, &event_details(1));
    // Its key in time, and then not at all: the alert leaves all the same.
    let published = |sid: &str| {
        let mut all = scene.world.sns.published().into_iter();
        let of = |message: &testkit::sns::Published| {
            message.default["metadata"]["additionalContext"]["sid"] == sid
        };
        all.rfind(of).unwrap()
    };
    function.invoke(event(&alarm("alarming", 50))).await;
    assert_eq!(
        secrets.take().len(),
        2,
        "the current and the previous version"
    );
    let message = published("alarming");
    let context = &message.default["metadata"]["additionalContext"];
    let address = context["viewUrl"].as_str().unwrap();
    assert!(
        message
            .email
            .contains(&format!("\n{address}\nrecordings show alarming\n"))
    );
    assert!(message.sms.ends_with(address), "{}", message.sms);
    let link = address.strip_prefix("https://viewer.example.com").unwrap();
    let page = scene.get(link).await;
    assert_eq!(page["statusCode"], 200);
    assert!(body(&page).contains("alarming"));
    let hours = link.split_once("?e=").unwrap().1;
    let expires_at: u64 = hours.split_once('&').unwrap().0.parse().unwrap();
    assert!((expires_at - now_ms() / 1000).abs_diff(72 * 3600) < 60);

    secrets.hang(true);
    let slow = Function::start(&scene.world, &settings).await;
    let answer = slow.invoke(event(&alarm("unlinked", 1))).await;
    assert_eq!(answer["statusCode"], 200);
    let message = published("unlinked");
    let context = &message.default["metadata"]["additionalContext"];
    assert_eq!(context.get("viewUrl"), None);
    assert!(!message.email.contains("https://viewer") && message.sms.len() <= 140);
}

#[tokio::test]
async fn the_tool_prints_links_that_open() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    let settings = [
        ("VIEWER_URL", "https://viewer.example.com"),
        ("LINK_SECRET_ID", ID),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", scene.moto.url.as_str()),
    ];
    for (arguments, expected) in [
        (&["link"][..], "Recordings that are watched"),
        (&["link", SID, "--hours", "1"], SID),
        (&["link", "--channel", "room-101-b"], SID),
    ] {
        let (printed, ok) = recordings_on_aws(arguments, &settings).await;
        assert!(ok, "{printed}");
        let link = printed.trim().strip_prefix("https://viewer.example.com");
        let page = scene.get(link.unwrap()).await;
        assert_eq!(page["statusCode"], 200, "{printed}");
        assert!(body(&page).contains(expected), "{page}");
    }
    let (printed, ok) = recordings_on_aws(&["link"], &[]).await;
    assert!(!ok && printed.contains("no viewer"), "{printed}");
}

#[tokio::test]
async fn hostile_names_stay_text() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    let receiver = scene.world.receiver();
    let hostile = "</script><script>alert(1)</script>\"'<img src=x onerror=alert(1)>";
    let details = json!({
        "errorLevel": 5, "module": 1, "errorCode": 47, "errorMsg": hostile,
        "fileList": hostile, "fileName": hostile, "streamUid": hostile, "newUid": hostile,
    });
    for (n, event_type) in [(0, 40), (1, 1), (2, 4), (3, 43), (4, 45), (5, 12), (6, 999)] {
        let body = callback("hostile", "5", n, event_type, &details);
        let mut body: Value = serde_json::from_str(&body).unwrap();
        body["payload"]["cname"] = json!(hostile);
        body["payload"]["uid"] = json!(hostile);
        let body = body.to_string();
        let outcome = scene.world.deliver(&receiver, body.as_bytes()).await;
        assert_eq!(outcome.reply.status(), 200);
    }
    for place in [
        recording("hostile"),
        Place::Watched,
        Place::Channel(hostile.to_owned()),
    ] {
        let page = scene.get(&scene.link(&place)).await;
        assert_eq!(page["statusCode"], 200);
        let html = body(&page);
        assert_eq!(html.matches("<script").count(), 1, "ours");
        assert!(!html.contains("<img") && html.contains("&lt;img"), "{html}");
    }
}
