//! Why a request to the table failed, and what its refusals mean.
//!
//! Must not know: which items there are.

use crate::store::attribute::Item;
use aws_sdk_dynamodb::error::{BuildError, ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::CancellationReason;
use std::error::Error;

/// Why something isn't read or stored. What to do next is the same for all of them: come again.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A request failed, however often it was tried.
    #[error("{call} failed")]
    Call {
        /// The request.
        call: &'static str,
        /// What kind of failure it was.
        why: Why,
        /// Its cause.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Others kept writing the same item.
    #[error("{what} was written by others {tries} times in a row")]
    Conflict {
        /// The item.
        what: &'static str,
        /// How often it was tried.
        tries: u32,
    },
}

/// What kind of failure a request met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The table was unreachable, or refused it.
    Failed,
    /// The table throttled it.
    Throttled,
    /// The table didn't answer in time.
    TimedOut,
}

impl Why {
    fn of<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> Self {
        let is_slow = match error {
            SdkError::TimeoutError(_) => true,
            SdkError::DispatchFailure(failure) => failure.is_timeout(),
            _ => false,
        };
        let is_throttled = matches!(
            error.code(),
            Some(
                "ProvisionedThroughputExceededException"
                    | "ThrottlingException"
                    | "RequestLimitExceeded"
            )
        );
        match (is_slow, is_throttled) {
            (true, _) => Self::TimedOut,
            (false, true) => Self::Throttled,
            (false, false) => Self::Failed,
        }
    }
}

/// The error of a request that failed.
pub(super) fn failed<E, R>(call: &'static str, error: SdkError<E, R>) -> StoreError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    StoreError::Call {
        call,
        why: Why::of(&error),
        source: Box::new(error),
    }
}

/// The item that is there, if the condition didn't hold; an error for everything else.
pub(super) fn refused<E, R>(
    call: &'static str,
    error: SdkError<E, R>,
) -> Result<Option<Item>, StoreError>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
    aws_sdk_dynamodb::Error: From<SdkError<E, R>>,
{
    let why = Why::of(&error);
    match aws_sdk_dynamodb::Error::from(error) {
        aws_sdk_dynamodb::Error::ConditionalCheckFailedException(refusal) => Ok(refusal.item),
        other => Err(StoreError::Call {
            call,
            why,
            source: Box::new(other),
        }),
    }
}

/// The error of a transaction that failed: throttled where one of its writes was.
pub(super) fn undone<R>(
    call: &'static str,
    error: SdkError<TransactWriteItemsError, R>,
) -> StoreError
where
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let is_throttled = |reason: &CancellationReason| {
        matches!(
            reason.code(),
            Some("ProvisionedThroughputExceeded" | "ThrottlingError")
        )
    };
    let why = if reasons(&error).iter().any(is_throttled) {
        Why::Throttled
    } else {
        Why::of(&error)
    };
    StoreError::Call {
        call,
        why,
        source: Box::new(aws_sdk_dynamodb::Error::from(error)),
    }
}

/// Why a transaction was cancelled, one reason a write; empty if it wasn't.
pub(super) fn reasons<R>(error: &SdkError<TransactWriteItemsError, R>) -> &[CancellationReason] {
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
            cancelled.cancellation_reasons()
        }
        _ => &[],
    }
}

/// The error of a request that can't be made.
pub(super) fn unmade(call: &'static str, error: BuildError) -> StoreError {
    StoreError::Call {
        call,
        why: Why::Failed,
        source: Box::new(error),
    }
}

/// True if an attribute of the item isn't what the request needs: somebody edited it by hand, or a
/// later version wrote it. Trying again won't help.
pub(super) fn is_invalid<E, R>(error: &SdkError<E, R>) -> bool
where
    E: ProvideErrorMetadata,
{
    let service = error.as_service_error();
    service.is_some_and(|error| error.code() == Some("ValidationException"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_dynamodb::error::ErrorMetadata;
    use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
    use aws_sdk_dynamodb::types::error::TransactionCanceledException;

    fn why(error: &StoreError) -> Option<Why> {
        match error {
            StoreError::Call { why, .. } => Some(*why),
            StoreError::Conflict { .. } => None,
        }
    }

    #[test]
    fn throttling_is_told_of_reads_conditional_writes_and_transactions_alike() {
        for (code, expected) in [
            ("ProvisionedThroughputExceededException", Why::Throttled),
            ("ThrottlingException", Why::Throttled),
            ("RequestLimitExceeded", Why::Throttled),
            ("AccessDeniedException", Why::Failed),
        ] {
            let error = || {
                let metadata = ErrorMetadata::builder().code(code).build();
                SdkError::service_error(UpdateItemError::generic(metadata), ())
            };
            assert_eq!(why(&failed("x", error())), Some(expected), "{code}");
            let refused = refused("x", error()).unwrap_err();
            assert_eq!(why(&refused), Some(expected), "{code}");
        }
        for (code, expected) in [
            ("ProvisionedThroughputExceeded", Why::Throttled),
            ("ThrottlingError", Why::Throttled),
            ("TransactionConflict", Why::Failed),
        ] {
            let reasons =
                ["None", code].map(|code| CancellationReason::builder().code(code).build());
            let cancelled = TransactionCanceledException::builder()
                .set_cancellation_reasons(Some(reasons.to_vec()))
                .build();
            let error = TransactWriteItemsError::TransactionCanceledException(cancelled);
            let error = SdkError::service_error(error, ());
            assert_eq!(why(&undone("x", error)), Some(expected), "{code}");
        }
    }
}
