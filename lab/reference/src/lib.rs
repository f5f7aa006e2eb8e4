//! The least that a receiver of signed callbacks does: checks the signature, and writes once, on a
//! condition.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue::{N, S};
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure::AllOld;
use hmac::{Hmac, KeyInit, Mac};
use lambda_http::{Body, Error, Request, Response};
use serde::Deserialize;
use sha2::Sha256;
use std::borrow::Cow;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Callback<'a> {
    event_type: u32,
    notify_ms: u64,
    #[serde(borrow)]
    payload: Payload<'a>,
}

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    sid: Cow<'a, str>,
    #[serde(borrow)]
    cname: Cow<'a, str>,
    sequence: u64,
}

pub struct Receiver {
    pub client: Client,
    pub table: String,
    pub secret: String,
}

impl Receiver {
    pub fn new(client: Client) -> Result<Self, Error> {
        Ok(Self {
            client,
            table: std::env::var("TABLE_NAME")?,
            secret: std::env::var("AGORA_SECRET")?,
        })
    }

    pub async fn receive(&self, request: Request) -> Result<Response<Body>, Error> {
        let body = request.body().as_ref();
        let signature = request.headers().get("agora-signature-v2");
        if !signature.is_some_and(|hex| is_signed(self.secret.as_bytes(), body, hex.as_bytes())) {
            return Ok(Response::builder().status(401).body(Body::Empty)?);
        }
        let callback: Callback<'_> = serde_json::from_slice(body)?;
        let written = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("sid", S(callback.payload.sid.into_owned()))
            .key("item", S("session".to_owned()))
            .update_expression(
                "SET notify_ms = :at, event_type = :type, cname = :cname, \
                last_sequence = :n ADD version :one",
            )
            .condition_expression("attribute_not_exists(sid) OR last_sequence < :n")
            .expression_attribute_values(":at", N(callback.notify_ms.to_string()))
            .expression_attribute_values(":type", N(callback.event_type.to_string()))
            .expression_attribute_values(":cname", S(callback.payload.cname.into_owned()))
            .expression_attribute_values(":n", N(callback.payload.sequence.to_string()))
            .expression_attribute_values(":one", N("1".to_owned()))
            .return_values_on_condition_check_failure(AllOld)
            .send()
            .await;
        match written {
            Ok(_) => {}
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|e| e.is_conditional_check_failed_exception()) => {}
            Err(error) => return Err(Box::new(error)),
        }
        Ok(Response::builder().body(Body::from("{}"))?)
    }
}

fn is_signed(secret: &[u8], body: &[u8], hex: &[u8]) -> bool {
    let digit = |byte: u8| {
        (byte as char)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let bytes: Option<Vec<u8>> = hex
        .chunks(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?))
        .collect();
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else {
        return false;
    };
    mac.update(body);
    bytes.is_some_and(|bytes| mac.verify_slice(&bytes).is_ok())
}
