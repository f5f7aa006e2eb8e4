//! An SNS endpoint that answers `Publish`, shows what was published, and can be told to misbehave.

use crate::endpoint::{self, Kept, locked};
use crate::engine::AnyError;
use axum::http::StatusCode;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

/// One published message.
#[derive(Clone, Debug)]
pub struct Published {
    /// When it was published, by the clock that simulations set.
    pub at: Instant,
    pub topic_arn: String,
    pub subject: String,
    pub email: String,
    pub sms: String,
    pub default: serde_json::Value,
    pub attributes: BTreeMap<String, String>,
}

/// A subscription of every topic.
#[derive(Clone, Debug)]
pub struct Subscriber {
    pub protocol: String,
    pub endpoint: String,
    pub is_confirmed: bool,
}

/// How the endpoint answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// As it should.
    Well,
    /// 500, and nothing is published.
    Down,
    /// Never, and nothing is published.
    Hanging,
    /// Never, though it has published.
    Mute,
    /// 500, though it has published.
    Lost,
    /// As it should, but for alerts of recordings whose `sid` begins with `bad`: those it doesn't
    /// like.
    Choosy,
    /// As it should, but the topic of critical alerts is gone.
    WithoutCritical,
    /// As it should, but the topic of all alerts is gone.
    WithoutAll,
    /// As it should, but publishing to the topic of critical alerts is never answered, and does
    /// nothing.
    CriticalHangs,
    /// The same of the topic of all alerts.
    AllHangs,
}

/// The endpoint.
#[derive(Clone)]
pub struct Sns {
    state: Arc<State>,
}

struct State {
    published: Kept<Published, Mood>,
    /// The questions about topics: the action, and the topic.
    actions: Mutex<Vec<(String, String)>>,
    /// By topic.
    subscribers: Mutex<BTreeMap<String, Vec<Subscriber>>>,
}

impl Default for Sns {
    fn default() -> Self {
        Self::new()
    }
}

impl Sns {
    /// An endpoint that nobody can reach yet.
    pub fn new() -> Self {
        let state = State {
            published: Kept::new(Mood::Well),
            actions: Mutex::default(),
            subscribers: Mutex::default(),
        };
        Self {
            state: Arc::new(state),
        }
    }

    /// Serves on `listener` and returns the endpoint and its URL.
    pub fn serve(listener: TcpListener) -> Result<(Self, String), AnyError> {
        let sns = Self::new();
        let endpoint = sns.clone();
        let url = endpoint::serve(listener, "text/xml", move |body| {
            let endpoint = endpoint.clone();
            async move { endpoint.answer(&body).await }
        })?;
        Ok((sns, url))
    }

    /// Everything published so far.
    pub fn published(&self) -> Vec<Published> {
        self.state.published.all()
    }

    /// Tells the endpoint how to answer from now on.
    pub fn set_mood(&self, mood: Mood) {
        self.state.published.set_mood(mood);
    }

    /// The questions about topics since the last call: the action, and the topic.
    pub fn take_actions(&self) -> Vec<(String, String)> {
        std::mem::take(&mut *locked(&self.state.actions))
    }

    /// Lets somebody subscribe to a topic.
    pub fn subscribe(&self, topic_arn: &str, subscriber: Subscriber) {
        locked(&self.state.subscribers)
            .entry(topic_arn.to_owned())
            .or_default()
            .push(subscriber);
    }

    fn subscribers(&self, topic_arn: &str) -> Vec<Subscriber> {
        let subscribers = locked(&self.state.subscribers);
        subscribers.get(topic_arn).cloned().unwrap_or_default()
    }

    /// Waits until somebody asks to publish.
    pub async fn asked(&self) {
        self.state.published.asked().await;
    }

    /// Every message from now on, as it is published.
    pub fn listen(&self) -> UnboundedReceiver<Published> {
        self.state.published.listen()
    }

    /// Status and text of the answer to a request's body.
    pub async fn answer(&self, body: &[u8]) -> (StatusCode, String) {
        let form: BTreeMap<String, String> = form_urlencoded::parse(body).into_owned().collect();
        let topic_arn = form.get("TopicArn").map_or("", String::as_str);
        let action = form.get("Action").map(String::as_str);
        locked(&self.state.actions)
            .push((action.unwrap_or_default().to_owned(), topic_arn.to_owned()));
        match action {
            Some("ListSubscriptionsByTopic") => {
                return (StatusCode::OK, listed(&self.subscribers(topic_arn)));
            }
            Some("GetTopicAttributes") => {
                return (StatusCode::OK, counted(&self.subscribers(topic_arn)));
            }
            Some(_) | None => {}
        }
        let published = &self.state.published;
        let mood = published.mood();
        let failure = || (StatusCode::INTERNAL_SERVER_ERROR, error("InternalError"));
        match mood {
            Mood::Well
            | Mood::Mute
            | Mood::Lost
            | Mood::Choosy
            | Mood::WithoutAll
            | Mood::WithoutCritical
            | Mood::AllHangs
            | Mood::CriticalHangs => {}
            Mood::Down => {
                published.note_asked();
                return failure();
            }
            Mood::Hanging => {
                published.note_asked();
                std::future::pending().await
            }
        }
        let Some(message) = parse(&form) else {
            return (StatusCode::BAD_REQUEST, error("InvalidParameter"));
        };
        let sid = &message.default["metadata"]["threadId"];
        if mood == Mood::Choosy && sid.as_str().is_some_and(|sid| sid.starts_with("bad")) {
            return (StatusCode::BAD_REQUEST, error("InvalidParameter"));
        }
        let (gone, silent) = if message.topic_arn.contains("critical") {
            (Mood::WithoutCritical, Mood::CriticalHangs)
        } else {
            (Mood::WithoutAll, Mood::AllHangs)
        };
        if mood == gone {
            return (StatusCode::NOT_FOUND, error("NotFound"));
        }
        if mood == silent {
            published.note_asked();
            std::future::pending().await
        }
        let id = format!("00000000-0000-4000-8000-{:012}", published.take(message));
        published.note_asked();
        match mood {
            Mood::Well
            | Mood::Down
            | Mood::Hanging
            | Mood::Choosy
            | Mood::WithoutAll
            | Mood::WithoutCritical
            | Mood::AllHangs
            | Mood::CriticalHangs => {}
            Mood::Mute => std::future::pending().await,
            Mood::Lost => return failure(),
        }
        let answer = format!(
            "<PublishResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishResult><MessageId>{id}</MessageId>\
             </PublishResult><ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata>\
             </PublishResponse>"
        );
        (StatusCode::OK, answer)
    }
}

fn error(code: &str) -> String {
    format!(
        "<ErrorResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><Error><Type>Sender</Type><Code>{code}</Code>\
         <Message>as told</Message></Error><RequestId>0</RequestId></ErrorResponse>"
    )
}

fn listed(subscribers: &[Subscriber]) -> String {
    let members = subscribers.iter().map(|subscriber| {
        let arn = if subscriber.is_confirmed {
            "arn:aws:sns:eu-central-1:000000000000:alerts:0"
        } else {
            "PendingConfirmation"
        };
        format!(
            "<member><SubscriptionArn>{arn}</SubscriptionArn><Protocol>{}</Protocol>\
             <Endpoint>{}</Endpoint></member>",
            subscriber.protocol, subscriber.endpoint
        )
    });
    let members: String = members.collect();
    answered(
        "ListSubscriptionsByTopic",
        &format!("<Subscriptions>{members}</Subscriptions>"),
    )
}

fn counted(subscribers: &[Subscriber]) -> String {
    let confirmed = subscribers.iter().filter(|one| one.is_confirmed).count();
    let attribute = |name, value| format!("<entry><key>{name}</key><value>{value}</value></entry>");
    let attributes = attribute("SubscriptionsConfirmed", confirmed)
        + &attribute("SubscriptionsPending", subscribers.len() - confirmed);
    answered(
        "GetTopicAttributes",
        &format!("<Attributes>{attributes}</Attributes>"),
    )
}

fn answered(action: &str, result: &str) -> String {
    format!(
        "<{action}Response xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><{action}Result>\
         {result}</{action}Result><ResponseMetadata><RequestId>0</RequestId></ResponseMetadata>\
         </{action}Response>"
    )
}

/// Reads a `Publish` request and checks what SNS would check.
fn parse(form: &BTreeMap<String, String>) -> Option<Published> {
    if form.get("Action")? != "Publish" || form.get("MessageStructure")? != "json" {
        return None;
    }
    let subject = form.get("Subject")?.clone();
    if subject.is_empty()
        || subject.len() >= 100
        || !subject.bytes().all(|byte| (b' '..=b'~').contains(&byte))
    {
        return None;
    }
    let texts: BTreeMap<String, String> = serde_json::from_str(form.get("Message")?).ok()?;
    let attributes = (1..=10)
        .map_while(|n| {
            let name = form.get(&format!("MessageAttributes.entry.{n}.Name"))?;
            let value = form.get(&format!("MessageAttributes.entry.{n}.Value.StringValue"))?;
            Some((name.clone(), value.clone()))
        })
        .collect();
    Some(Published {
        at: Instant::now(),
        topic_arn: form.get("TopicArn")?.clone(),
        subject,
        email: texts.get("email")?.clone(),
        sms: texts.get("sms")?.clone(),
        default: serde_json::from_str(texts.get("default")?).ok()?,
        attributes,
    })
}
