//! A DynamoDB engine in this process, asked in the words of its HTTP API.

use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Lets the engine do it; status and text of its answer.
pub fn carry_out(database: &Database, operation: &str, body: &[u8]) -> (u16, String) {
    fn on<Q: DeserializeOwned, A: Serialize>(
        body: &[u8],
        run: impl FnOnce(Q) -> Result<A, DynoxideError>,
    ) -> (u16, String) {
        let request = serde_json::from_slice(body).expect("the engine knows the request");
        match run(request) {
            Ok(answer) => (
                200,
                serde_json::to_string(&answer).expect("an answer is JSON"),
            ),
            Err(error) => (error.status_code(), error.to_json()),
        }
    }
    match operation {
        "PutItem" => on(body, |request| database.put_item(request)),
        "GetItem" => on(body, |request| database.get_item(request)),
        "BatchGetItem" => on(body, |request| database.batch_get_item(request)),
        "UpdateItem" => on(body, |request| database.update_item(request)),
        "DeleteItem" => on(body, |request| database.delete_item(request)),
        "Scan" => on(body, |request| database.scan(request)),
        "Query" => on(body, |request| database.query(request)),
        "TransactWriteItems" => on(body, |request| database.transact_write_items(request)),
        "CreateTable" => on(body, |request| database.create_table(request)),
        "ListTables" => on(body, |request| database.list_tables(request)),
        "UpdateTimeToLive" => on(body, |request| database.update_time_to_live(request)),
        other => panic!("the engine isn't asked for {other} here"),
    }
}
