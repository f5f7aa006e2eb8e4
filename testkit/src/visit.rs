//! Somebody who opens a page, as a function URL hands it over.

use serde_json::{Value, json};

/// A function-URL event of somebody who opens an address.
pub fn visit(method: &str, path: &str, query: &str) -> Value {
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"accept": "text/html", "host": "x.lambda-url.eu-central-1.on.aws"},
        "requestContext": {
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.24", "userAgent": "Mozilla/5.0"},
            "requestId": "r", "routeKey": "$default", "stage": "$default",
            "domainName": "x.lambda-url.eu-central-1.on.aws",
            "timeEpoch": 1_772_460_000_000_u64,
        },
        "isBase64Encoded": false,
    })
}
