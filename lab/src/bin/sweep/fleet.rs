//! A table with a fleet of healthy recordings, as the sweeper sees it: it answers at once, from one
//! real item that stands for all of them, and knows of each whether its attributes were served.
//!
//! Whatever it doesn't understand is an error: so what is measured is what it seems to be.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use testkit::engine::AnyError;

/// The partitions of the index that have sessions.
const SHARDS: u32 = 8;
/// Entries of the index in a page, at most: what fits into the MB that DynamoDB reads at a time.
const PAGE: u32 = 10_000;
/// Keys that DynamoDB takes in one batch.
const BATCH: usize = 100;
/// One batch in this many isn't answered whole.
const CUT_SHORT: u64 = 50;
/// The keys of such a batch that are handed back.
const HANDED_BACK: usize = 10;

/// The table.
pub(crate) struct Fleet {
    sessions: u32,
    /// The item that all sessions share, but for `sid` and shard.
    item: Value,
    /// The `sid` in it, which the others are made from.
    sid: &'static str,
    /// Projections that were asked for, by shard and expression.
    cuts: Mutex<HashMap<(u32, String), Arc<Cut>>>,
    /// A bit for each session whose attributes were served.
    served: Vec<AtomicU64>,
    asked: Mutex<Asked>,
}

/// What was asked.
#[derive(Clone, Default)]
pub(crate) struct Asked {
    /// Requests by operation.
    pub(crate) requests: BTreeMap<String, u64>,
    /// Keys that were handed back unprocessed.
    pub(crate) handed_back: u64,
    /// Bytes of all answers.
    pub(crate) bytes: u64,
    /// The first request that wasn't understood.
    pub(crate) refused: Option<String>,
}

/// Some attributes of an item as JSON, cut where a `sid` belongs.
struct Cut {
    parts: Vec<String>,
    /// Whether there is more in it than the key.
    tells: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Query {
    #[serde(rename = "TableName")]
    _table: String,
    index_name: String,
    #[serde(rename = "KeyConditionExpression")]
    _condition: String,
    expression_attribute_values: HashMap<String, Value>,
    #[serde(default)]
    expression_attribute_names: BTreeMap<String, String>,
    projection_expression: Option<String>,
    exclusive_start_key: Option<Key>,
    limit: Option<u32>,
    #[serde(rename = "ScanIndexForward")]
    _forward: Option<bool>,
}

/// A key, with what the key of an index has besides.
#[derive(Deserialize)]
struct Key {
    sid: Text,
    item: Text,
}

#[derive(Deserialize)]
struct Text {
    #[serde(rename = "S")]
    text: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Get {
    #[serde(rename = "TableName")]
    _table: String,
    key: Key,
    #[serde(default)]
    expression_attribute_names: BTreeMap<String, String>,
    projection_expression: Option<String>,
    #[serde(rename = "ConsistentRead")]
    _consistent: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Batch {
    request_items: HashMap<String, Keys>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Keys {
    keys: Vec<Key>,
    #[serde(default)]
    expression_attribute_names: BTreeMap<String, String>,
    projection_expression: Option<String>,
    #[serde(rename = "ConsistentRead")]
    _consistent: Option<bool>,
}

impl Fleet {
    /// So many sessions with the item of `sid`, due since `due_at`.
    pub(crate) fn new(sessions: u32, mut item: Value, sid: &'static str, due_at: u64) -> Self {
        item["watch_at"] = json!({"N": due_at.to_string()});
        let words = sessions.div_ceil(u64::BITS);
        Self {
            sessions,
            item,
            sid,
            cuts: Mutex::default(),
            served: (0..words).map(|_| AtomicU64::new(0)).collect(),
            asked: Mutex::default(),
        }
    }

    /// How many sessions' attributes were served.
    pub(crate) fn served(&self) -> u32 {
        let words = self.served.iter();
        words
            .map(|word| word.load(Ordering::Relaxed).count_ones())
            .sum()
    }

    /// What was asked so far.
    pub(crate) fn asked(&self) -> Asked {
        let asked = self.asked.lock();
        asked.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Status and text of the answer to an operation.
    pub(crate) fn answer(&self, target: &str, body: &[u8]) -> (u16, String) {
        let operation = target.rsplit('.').next().unwrap_or_default();
        let answer = match operation {
            "Query" => self.query(body),
            "GetItem" => self.get(body),
            "BatchGetItem" => self.batch(body),
            "PutItem" | "UpdateItem" | "TransactWriteItems" => Ok("{}".to_owned()),
            _ => Err("it isn't known here".into()),
        };
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        *asked.requests.entry(operation.to_owned()).or_default() += 1;
        match answer {
            Ok(text) => {
                asked.bytes += text.len() as u64;
                (200, text)
            }
            Err(error) => {
                let error = format!("{operation}: {error}");
                asked.refused.get_or_insert(error.clone());
                let kind = "com.amazonaws.dynamodb.v20120810#ValidationException";
                (400, json!({"__type": kind, "message": error}).to_string())
            }
        }
    }

    fn query(&self, body: &[u8]) -> Result<String, AnyError> {
        let query: Query = serde_json::from_slice(body)?;
        if query.index_name != "watch" {
            return Err("of another index".into());
        }
        let mut values = query.expression_attribute_values.values();
        let shard = values.find_map(|value| value["S"].as_str()?.parse().ok());
        let Some(shard) = shard.filter(|shard| *shard < SHARDS) else {
            // No item is due, none has failed.
            return Ok(r#"{"Items":[],"Count":0,"ScannedCount":0}"#.to_owned());
        };
        let projection = query.projection_expression;
        let keys = self.cut(shard, "index", projection, query.expression_attribute_names)?;
        let whole = self.cut(shard, "index", None, BTreeMap::new())?;
        let first = match &query.exclusive_start_key {
            Some(key) => self.number(&key.sid.text).ok_or("from nowhere")? + SHARDS,
            None => shard,
        };
        let limit = query.limit.unwrap_or(PAGE).min(PAGE);
        let mut text = r#"{"Items":["#.to_owned();
        let (mut count, mut next, mut last) = (0, first, None);
        while next < self.sessions && count < limit {
            if count > 0 {
                text.push(',');
            }
            self.write(&keys, next, &mut text);
            last = Some(next);
            next += SHARDS;
            count += 1;
        }
        text.push_str(&format!(r#"],"Count":{count},"ScannedCount":{count}"#));
        if let Some(last) = last.filter(|_| next < self.sessions) {
            text.push_str(r#","LastEvaluatedKey":"#);
            self.write(&whole, last, &mut text);
        }
        text.push('}');
        Ok(text)
    }

    fn get(&self, body: &[u8]) -> Result<String, AnyError> {
        let get: Get = serde_json::from_slice(body)?;
        let Some(number) = self.session(&get.key) else {
            return Ok("{}".to_owned());
        };
        let projection = get.projection_expression;
        let names = get.expression_attribute_names;
        let cut = self.cut(number % SHARDS, "table", projection, names)?;
        let mut text = r#"{"Item":"#.to_owned();
        self.serve(&cut, number, &mut text);
        text.push('}');
        Ok(text)
    }

    fn batch(&self, body: &[u8]) -> Result<String, AnyError> {
        let batch: Batch = serde_json::from_slice(body)?;
        let (table, asked) = batch.request_items.iter().next().ok_or("of nothing")?;
        let mut doubles = HashSet::new();
        let is_double = |key: &Key| !doubles.insert((key.sid.text.clone(), key.item.text.clone()));
        let keys = &asked.keys;
        if batch.request_items.len() > 1 || keys.len() > BATCH || keys.iter().any(is_double) {
            return Err("too many tables or keys, or a key twice".into());
        }
        let (keys, handed_back) = match self.is_cut_short() && keys.len() > HANDED_BACK {
            true => keys.split_at(keys.len() - HANDED_BACK),
            false => keys.split_at(keys.len()),
        };
        let mut text = format!(r#"{{"Responses":{{"{table}":["#);
        let mut is_first = true;
        // In another order than asked, as DynamoDB may.
        for number in keys.iter().rev().filter_map(|key| self.session(key)) {
            if !is_first {
                text.push(',');
            }
            is_first = false;
            let projection = asked.projection_expression.clone();
            let names = asked.expression_attribute_names.clone();
            let cut = self.cut(number % SHARDS, "table", projection, names)?;
            self.serve(&cut, number, &mut text);
        }
        let mut unprocessed = json!({});
        if !handed_back.is_empty() {
            let whole: Value = serde_json::from_slice(body)?;
            let mut again = whole["RequestItems"][table].clone();
            let key = |key: &Key| json!({"sid": {"S": key.sid.text}, "item": {"S": key.item.text}});
            again["Keys"] = handed_back.iter().map(key).collect();
            unprocessed[table] = again;
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            asked.handed_back += handed_back.len() as u64;
        }
        text.push_str(&format!(r#"]}},"UnprocessedKeys":{unprocessed}}}"#));
        Ok(text)
    }

    fn is_cut_short(&self) -> bool {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let batches = asked.requests.get("BatchGetItem").copied();
        batches.unwrap_or_default() % CUT_SHORT == CUT_SHORT - 1
    }

    /// Attributes of an item of a shard, cut; made once.
    fn cut(
        &self,
        shard: u32,
        of: &str,
        projection: Option<String>,
        names: BTreeMap<String, String>,
    ) -> Result<Arc<Cut>, AnyError> {
        let asked_by = format!("{of} {projection:?} {names:?}");
        let mut cuts = self.cuts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cut) = cuts.get(&(shard, asked_by.clone())) {
            return Ok(Arc::clone(cut));
        }
        let mut item = self.item.clone();
        item["watch_shard"] = json!({"S": shard.to_string()});
        let keys = "sid, item, watch_shard, watch_at".to_owned();
        if of == "index" {
            item = project(&item, &keys, &BTreeMap::new())?;
        }
        if let Some(projection) = &projection {
            item = project(&item, projection, &names)?;
        }
        let attributes = item.as_object().into_iter().flat_map(Map::keys);
        let cut = Arc::new(Cut {
            tells: attributes.into_iter().any(|name| !keys.contains(&**name)),
            parts: item
                .to_string()
                .split(self.sid)
                .map(str::to_owned)
                .collect(),
        });
        cuts.insert((shard, asked_by), Arc::clone(&cut));
        Ok(cut)
    }

    fn serve(&self, cut: &Cut, number: u32, text: &mut String) {
        if cut.tells {
            let bit = 1 << (number % u64::BITS);
            self.served[(number / u64::BITS) as usize].fetch_or(bit, Ordering::Relaxed);
        }
        self.write(cut, number, text);
    }

    fn write(&self, cut: &Cut, number: u32, text: &mut String) {
        let own = format!("{number:08x}");
        let (first, others) = cut.parts.split_first().expect("a text has a part");
        text.push_str(first);
        for part in others {
            text.push_str(&own);
            text.push_str(&self.sid[own.len()..]);
            text.push_str(part);
        }
    }

    /// The number of a session, if the key is one's.
    fn session(&self, key: &Key) -> Option<u32> {
        (key.item.text == "session")
            .then(|| self.number(&key.sid.text))
            .flatten()
    }

    fn number(&self, sid: &str) -> Option<u32> {
        let (number, rest) = sid.split_at_checked(8)?;
        let number = u32::from_str_radix(number, 16).ok()?;
        (number < self.sessions && rest == &self.sid[8..]).then_some(number)
    }
}

/// What a projection leaves of an item.
fn project(
    item: &Value,
    projection: &str,
    names: &BTreeMap<String, String>,
) -> Result<Value, AnyError> {
    let mut left = json!({});
    for path in projection.split(',').map(str::trim) {
        if path.contains('[') {
            return Err("a projection into a list".into());
        }
        let named = |step: &str| names.get(step).cloned().unwrap_or(step.to_owned());
        let steps: Vec<String> = path.split('.').map(named).collect();
        copy(item, &mut left, &steps);
    }
    Ok(left)
}

/// Copies what is at the end of a path, with the maps on the way.
fn copy(from: &Value, to: &mut Value, path: &[String]) {
    let Some((step, rest)) = path.split_first() else {
        return;
    };
    let Some(value) = from.get(step) else { return };
    if rest.is_empty() {
        to[step] = value.clone();
    } else if let Some(map) = value.get("M") {
        if to.get(step).is_none() {
            to[step] = json!({"M": {}});
        }
        copy(map, &mut to[step]["M"], rest);
    }
}
