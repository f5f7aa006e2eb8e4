//! A write that meets a transaction on the same item: DynamoDB refuses it at once, and by itself
//! the SDK doesn't try again. Nothing is wrong and the item is free in a moment, so it is tried
//! again like a throttled request, with the SDK's jitter, wherever in the store it happens.

use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction};

/// Tells the SDK to try again.
#[derive(Debug)]
pub(in crate::store) struct MeetsTransaction;

impl ClassifyRetry for MeetsTransaction {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let error = match context.output_or_error() {
            Some(Err(error)) => error.as_operation_error(),
            Some(Ok(_)) | None => None,
        };
        let is_conflict = error.is_some_and(|error| {
            error
                .downcast_ref::<UpdateItemError>()
                .is_some_and(UpdateItemError::is_transaction_conflict_exception)
                || error
                    .downcast_ref::<PutItemError>()
                    .is_some_and(PutItemError::is_transaction_conflict_exception)
                || error
                    .downcast_ref::<DeleteItemError>()
                    .is_some_and(DeleteItemError::is_transaction_conflict_exception)
        });
        if is_conflict {
            RetryAction::throttling_error()
        } else {
            RetryAction::NoActionIndicated
        }
    }

    fn name(&self) -> &'static str {
        "a write that meets a transaction"
    }
}
