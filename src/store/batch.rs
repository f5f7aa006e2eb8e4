//! Items read by the hundred. Eventually consistent that is half a read unit each, however many
//! attributes are wanted.

use crate::notification::Sid;
use crate::store::Store;
use crate::store::attribute::key::{ItemKey, SID};
use crate::store::attribute::{Item, read_text};
use crate::store::error::{StoreError, Why, failed, unmade};
use aws_sdk_dynamodb::types::KeysAndAttributes;
use std::collections::HashMap;
use std::time::Duration;

/// `BatchGetItem` takes this many keys.
pub const BATCH: usize = 100;
/// Keys that the table gives back unread are asked for again this often.
const MAX_ASKS: u32 = 8;
/// Base of the pause before keys are asked for again: about this, times 2^asks.
const PAUSE: Duration = Duration::from_millis(25);

/// How items are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Reads {
    /// As they are now.
    Consistent,
    /// Perhaps a moment old, for half the price.
    Eventual,
}

/// Which attributes are wanted.
#[derive(Clone, Debug)]
pub(in crate::store) struct Projection {
    expression: String,
    names: HashMap<String, String>,
}

impl Projection {
    /// These attributes. Many of their names are words of DynamoDB's own.
    pub(in crate::store) fn of<'a>(attributes: impl Iterator<Item = &'a str>) -> Self {
        let names: HashMap<_, _> = attributes
            .enumerate()
            .map(|(n, name)| (format!("#{n}"), name.to_owned()))
            .collect();
        let mut placeholders: Vec<_> = names.keys().cloned().collect();
        placeholders.sort_unstable();
        Self {
            expression: placeholders.join(", "),
            names,
        }
    }
}

impl Store {
    /// The items of at most [`BATCH`] sessions, by `sid`; those that are gone aren't among them.
    pub(in crate::store) async fn session_items(
        &self,
        sids: &[Sid],
        projection: Option<&Projection>,
    ) -> Result<HashMap<Sid, Item>, StoreError> {
        let keys = sids.iter().map(|sid| ItemKey::Session.of(sid.as_str()));
        let items = self.items(keys.collect(), projection, Reads::Eventual);
        let items = items.await?.into_iter();
        let by_sid = items.filter_map(|item| Some((Sid::new(read_text(&item, SID)?)?, item)));
        Ok(by_sid.collect())
    }

    /// The items under at most [`BATCH`] keys; those that are gone aren't among them.
    pub(in crate::store) async fn items(
        &self,
        keys: Vec<Item>,
        projection: Option<&Projection>,
        reads: Reads,
    ) -> Result<Vec<Item>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut items = Vec::with_capacity(keys.len());
        let wanted = KeysAndAttributes::builder()
            .set_keys(Some(keys))
            .set_consistent_read((reads == Reads::Consistent).then_some(true))
            .set_projection_expression(projection.map(|wanted| wanted.expression.clone()))
            .set_expression_attribute_names(projection.map(|wanted| wanted.names.clone()))
            .build()
            .map_err(|error| unmade("BatchGetItem", error))?;
        let mut wanted = Some(HashMap::from([(self.table.clone(), wanted)]));
        for ask in 0..MAX_ASKS {
            let Some(request) = wanted.take().filter(|wanted| !wanted.is_empty()) else {
                break;
            };
            if ask > 0 {
                let pause = PAUSE * (1 << ask);
                tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
            }
            let got = self
                .client
                .batch_get_item()
                .set_request_items(Some(request))
                .send()
                .await
                .map_err(|error| failed("BatchGetItem", error))?;
            let answers = got.responses.into_iter().flatten();
            items.extend(answers.flat_map(|(_, items)| items));
            wanted = got.unprocessed_keys;
        }
        if wanted.is_some_and(|left| !left.is_empty()) {
            return Err(StoreError::Call {
                call: "BatchGetItem",
                why: Why::Throttled,
                source: "the table is throttled: keys were left unprocessed".into(),
            });
        }
        Ok(items)
    }
}
