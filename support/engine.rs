//! A DynamoDB engine in this process, behind a loopback port, with the table of the design in it.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, TimeToLiveSpecification,
};
use std::error::Error;
use tokio::net::TcpListener;

/// The boxed error of everything here.
pub(crate) type AnyError = Box<dyn Error + Send + Sync>;

/// Serves `database` on `listener` and returns the endpoint's URL.
pub(crate) fn serve(
    listener: TcpListener,
    database: dynoxide::Database,
) -> Result<String, AnyError> {
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(dynoxide::server::serve_on(listener, database));
    Ok(url)
}

/// A client for an endpoint on this machine; an engine may keep the tables of each access key apart.
pub(crate) fn client(endpoint: &str, access_key: &str) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new(access_key, "local", None, None, "local"))
        .endpoint_url(endpoint)
        .build();
    Client::from_conf(config)
}

/// Creates the table of the design, if it isn't there.
pub(crate) async fn create_table(client: &Client, name: &str) -> Result<(), AnyError> {
    let existing = client.list_tables().send().await?;
    if existing.table_names().iter().any(|table| table == name) {
        return Ok(());
    }
    let attribute = |name: &str, kind| {
        AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(kind)
            .build()
    };
    let key = |name: &str, kind| {
        KeySchemaElement::builder()
            .attribute_name(name)
            .key_type(kind)
            .build()
    };
    let keys_only = Projection::builder()
        .projection_type(ProjectionType::KeysOnly)
        .build();
    let index = |name: &str, partition: &str, sort: &str| -> Result<_, AnyError> {
        Ok(GlobalSecondaryIndex::builder()
            .index_name(name)
            .key_schema(key(partition, KeyType::Hash)?)
            .key_schema(key(sort, KeyType::Range)?)
            .projection(keys_only.clone())
            .build()?)
    };
    client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute("sid", ScalarAttributeType::S)?)
        .attribute_definitions(attribute("item", ScalarAttributeType::S)?)
        .attribute_definitions(attribute("watch_shard", ScalarAttributeType::S)?)
        .attribute_definitions(attribute("watch_at", ScalarAttributeType::N)?)
        .attribute_definitions(attribute("cname", ScalarAttributeType::S)?)
        .attribute_definitions(attribute("first_sendts", ScalarAttributeType::N)?)
        .key_schema(key("sid", KeyType::Hash)?)
        .key_schema(key("item", KeyType::Range)?)
        .global_secondary_indexes(index("watch", "watch_shard", "watch_at")?)
        .global_secondary_indexes(index("channel", "cname", "first_sendts")?)
        .send()
        .await?;
    let ttl = TimeToLiveSpecification::builder()
        .enabled(true)
        .attribute_name("expires_at")
        .build()?;
    client
        .update_time_to_live()
        .table_name(name)
        .time_to_live_specification(ttl)
        .send()
        .await?;
    Ok(())
}
