//! How values stand in the table: items and their attributes, keys, and what was received kept
//! whole. Pure.
//!
//! Must not know: requests.

pub(super) mod body;
pub(super) mod details;
pub(super) mod key;

use aws_sdk_dynamodb::types::AttributeValue;
use std::collections::HashMap;

/// An item of the table.
pub type Item = HashMap<String, AttributeValue>;

pub(in crate::store) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(in crate::store) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

/// An attribute as a number from 0 up.
pub(in crate::store) fn read_number(item: &Item, name: &str) -> Option<u64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// An attribute as a text.
pub(in crate::store) fn read_text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

pub(in crate::store) fn read_int(value: &AttributeValue) -> Option<u64> {
    value.as_n().ok()?.parse().ok()
}

/// The size of an item as DynamoDB counts it, in bytes.
#[must_use]
pub fn size(item: &Item) -> usize {
    item.iter()
        .map(|(name, value)| name.len() + value_size(value))
        .sum()
}

pub(in crate::store) fn value_size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(number) => number_size(number),
        AttributeValue::Ns(numbers) => numbers.iter().map(|number| number_size(number)).sum(),
        AttributeValue::Ss(texts) => texts.iter().map(String::len).sum(),
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::Bs(all) => all.iter().map(|bytes| bytes.as_ref().len()).sum(),
        AttributeValue::L(values) => {
            3 + values
                .iter()
                .map(|value| 1 + value_size(value))
                .sum::<usize>()
        }
        AttributeValue::M(map) => {
            3 + map
                .iter()
                .map(|(name, value)| 1 + name.len() + value_size(value))
                .sum::<usize>()
        }
        _ => 1,
    }
}

/// One byte for two digits, one more, one more if negative; leading and trailing zeros are free.
pub(in crate::store) fn number_size(number: &str) -> usize {
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    let zeros = number.len() - number.trim_end_matches('0').len();
    digits.saturating_sub(zeros).div_ceil(2) + 1 + usize::from(number.starts_with('-'))
}
