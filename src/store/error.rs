//! Why a request to the table failed, and what an answer of it means.
//!
//! Must not know: which items there are.

use crate::store::attribute::Item;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use std::error::Error;

/// Why something isn't stored. What to do next is the same for all of them: come again.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A request failed: unreachable, refused.
    #[error("{call} failed")]
    Call {
        /// Which request.
        call: &'static str,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A request was throttled, however often it was tried.
    #[error("{call} failed")]
    Throttled {
        /// Which request.
        call: &'static str,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The table didn't answer in time, however often it was asked.
    #[error("{call} failed")]
    Timeout {
        /// Which request.
        call: &'static str,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Others kept writing the same item.
    #[error("{what} was written by others {tries} times in a row")]
    Conflict {
        /// Which item.
        what: &'static str,
        /// How often it was tried.
        tries: u32,
    },
}

/// The item that is there, if the condition didn't hold; an error for everything else.
pub(super) fn refused<E, R>(
    call: &'static str,
    error: SdkError<E, R>,
) -> Result<Option<Item>, StoreError>
where
    E: Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
    aws_sdk_dynamodb::Error: From<SdkError<E, R>>,
{
    match aws_sdk_dynamodb::Error::from(error) {
        aws_sdk_dynamodb::Error::ConditionalCheckFailedException(refusal) => Ok(refusal.item),
        other => Err(StoreError::Call {
            call,
            source: Box::new(other),
        }),
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

pub(super) fn failed<E, R>(call: &'static str, error: SdkError<E, R>) -> StoreError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let is_slow = match &error {
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
    let source = Box::new(error);
    match (is_slow, is_throttled) {
        (true, _) => StoreError::Timeout { call, source },
        (false, true) => StoreError::Throttled { call, source },
        (false, false) => StoreError::Call { call, source },
    }
}
