//! The runtime and its HTTP layer: answers every request, reads nothing of it.

use lambda_http::{Body, Error, Request, Response, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(|_: Request| async {
        Ok::<_, Error>(Response::builder().body(Body::from("{}"))?)
    }))
    .await
}
