//! A DynamoDB engine in this process, behind a loopback port, and the table of `table.json` in it.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, Projection,
    TimeToLiveSpecification,
};
use serde::Deserialize;
use std::error::Error;
use tokio::net::TcpListener;

/// The boxed error of everything here.
pub type AnyError = Box<dyn Error + Send + Sync>;

/// The table, as `CreateTable` and `UpdateTimeToLive` want it; the template is checked against the
/// same file.
const TABLE: &str = include_str!("table.json");

/// Serves `database` on `listener` and returns the endpoint's URL.
pub fn serve(listener: TcpListener, database: dynoxide::Database) -> Result<String, AnyError> {
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(dynoxide::server::serve_on(listener, database));
    Ok(url)
}

/// A client for an endpoint on this machine. Some engines keep the tables of each access key apart.
#[must_use]
pub fn client(endpoint: &str, access_key: &str) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new(access_key, "local", None, None, "local"))
        .endpoint_url(endpoint)
        .build();
    Client::from_conf(config)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Table {
    attribute_definitions: Vec<Attribute>,
    key_schema: Vec<Key>,
    global_secondary_indexes: Vec<Index>,
    billing_mode: String,
    time_to_live_specification: TimeToLive,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attribute {
    attribute_name: String,
    attribute_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Key {
    attribute_name: String,
    key_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Index {
    index_name: String,
    key_schema: Vec<Key>,
    projection: Projected,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Projected {
    projection_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TimeToLive {
    attribute_name: String,
    enabled: bool,
}

/// Creates the table under `name`, unless it is there.
pub async fn create_table(client: &Client, name: &str) -> Result<(), AnyError> {
    let existing = client.list_tables().send().await?;
    if existing.table_names().iter().any(|table| table == name) {
        return Ok(());
    }
    let table: Table = serde_json::from_str(TABLE)?;
    let mut create = client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::from(table.billing_mode.as_str()))
        .set_key_schema(Some(keys(&table.key_schema)?));
    for attribute in &table.attribute_definitions {
        let definition = AttributeDefinition::builder()
            .attribute_name(&attribute.attribute_name)
            .attribute_type(attribute.attribute_type.as_str().into())
            .build()?;
        create = create.attribute_definitions(definition);
    }
    for index in &table.global_secondary_indexes {
        let projection = Projection::builder()
            .projection_type(index.projection.projection_type.as_str().into())
            .build();
        let index = GlobalSecondaryIndex::builder()
            .index_name(&index.index_name)
            .set_key_schema(Some(keys(&index.key_schema)?))
            .projection(projection)
            .build()?;
        create = create.global_secondary_indexes(index);
    }
    create.send().await?;
    let ttl = TimeToLiveSpecification::builder()
        .enabled(table.time_to_live_specification.enabled)
        .attribute_name(table.time_to_live_specification.attribute_name)
        .build()?;
    client
        .update_time_to_live()
        .table_name(name)
        .time_to_live_specification(ttl)
        .send()
        .await?;
    Ok(())
}

fn keys(keys: &[Key]) -> Result<Vec<KeySchemaElement>, AnyError> {
    let element = |key: &Key| {
        KeySchemaElement::builder()
            .attribute_name(&key.attribute_name)
            .key_type(key.key_type.as_str().into())
            .build()
    };
    Ok(keys.iter().map(element).collect::<Result<_, _>>()?)
}
