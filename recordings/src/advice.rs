//! What to do about an error of AWS, for whoever typed the command. Looks at the words of its
//! causes: the SDK's types differ from call to call, its words don't.

/// A hint for an error and its causes in one line, as `error::chain` gives it; `None` if it speaks
/// for itself.
pub(crate) fn advice(error: &str) -> Option<&'static str> {
    let hints: [(&[&str], &str); 10] = [
        (
            &["KMS"],
            "The key of the table or the topic can't be used: its policy has to allow it.",
        ),
        (
            &["Signature expired", "RequestTimeTooSkewed"],
            "This machine's clock is wrong.",
        ),
        (
            &["no credentials found", "CredentialsNotLoaded"],
            "No AWS credentials: set AWS_PROFILE, or with SSO eval \"$(aws configure \
            export-credentials --format env)\"; or give --local for the local example.",
        ),
        (
            &["ExpiredToken", "expired credentials"],
            "The AWS credentials have expired: get new ones.",
        ),
        (
            &[
                "UnrecognizedClient",
                "InvalidClientTokenId",
                "InvalidSignature",
            ],
            "AWS doesn't know these credentials: is it the right account (`aws sts \
            get-caller-identity`)?",
        ),
        (
            &["the specified secret"],
            "No such secret here: check AWS_REGION and, without --stack, LINK_SECRET_ID. Where it \
            was deleted, ./deploy says what to do.",
        ),
        (
            &["ResourceNotFoundException", "Requested resource not found"],
            "No such table here: check --table and AWS_REGION; the stack's outputs name both.",
        ),
        (
            &["NotFoundException", "Topic does not exist"],
            "No such topic here: check --topic and AWS_REGION; the stack's outputs name both.",
        ),
        (
            &["AccessDenied", "AuthorizationError"],
            "Not allowed: attach the policy in the stack's output OperatorPolicyArn.",
        ),
        (
            &[
                "Connection refused",
                "dns error",
                "MissingRegion",
                "timed out",
                "Invalid endpoint",
            ],
            "Can't be reached: check AWS_REGION and the network; with --local, is `cargo run -p \
            local` running?",
        ),
    ];
    hints
        .iter()
        .find(|(words, _)| words.iter().any(|word| error.contains(word)))
        .map(|(_, hint)| *hint)
}

#[cfg(test)]
mod tests {
    use super::advice;

    #[test]
    fn an_error_that_speaks_for_itself_gets_no_advice() {
        assert_eq!(advice("abc is neither pending nor given up"), None);
        assert!(
            advice("service error: ResourceNotFoundException: Cannot do")
                .is_some_and(|hint| hint.contains("--table"))
        );
        let gone = "ResourceNotFoundException: Secrets Manager can't find the specified secret.";
        assert!(advice(gone).is_some_and(|hint| hint.contains("secret")));
        assert!(
            advice("AccessDeniedException: not authorized")
                .is_some_and(|hint| hint.contains("OperatorPolicyArn"))
        );
    }
}
