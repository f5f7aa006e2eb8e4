//! One conditional `UpdateItem` for a signed callback, as the documentation shows it: default
//! features, default profile.

use lambda_http::{Error, run, service_fn};
use reference::Receiver;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
    let receiver = Receiver::new(aws_sdk_dynamodb::Client::new(&config))?;
    run(service_fn(|request| receiver.receive(request))).await
}
