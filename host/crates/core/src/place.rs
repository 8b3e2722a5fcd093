//! Which variant of a service an attempt runs: a function of values.

use wicket_config::Variant;

use crate::{AttemptRecord, Failure, Limit};

/// The name of the executor that runs a variant, as receipts have it.
pub fn executor_of(variant: Variant) -> &'static str {
    match variant {
        Variant::Wasm => "wasm",
        Variant::Docker => "docker",
    }
}

/// The variant that comes next: the lightest at whose limits no attempt of this version has ended; the heaviest when
/// there is no such.
///
/// `variants` stand in the order of their weight, and there is at least one.
pub fn place(variants: &[Variant], version: u32, attempts: &[AttemptRecord]) -> Option<Variant> {
    let ended = |variant: Variant| {
        attempts.iter().any(|attempt| {
            attempt.version == version
                && attempt.executor == executor_of(variant)
                && attempt.failure.as_ref().is_some_and(moves_on)
        })
    };
    variants.iter().copied().find(|variant| !ended(*variant)).or_else(|| variants.last().copied())
}

/// Whether an attempt that failed so may succeed in a heavier variant. What a service may put out, log or take in is the
/// same in all of them.
pub fn moves_on(failure: &Failure) -> bool {
    match failure {
        Failure::Limit { limit, .. } => match limit {
            Limit::Memory
            | Limit::CpuTime
            | Limit::Timeout
            | Limit::TableElements
            | Limit::Stack
            | Limit::Handles
            | Limit::Outgoing => true,
            Limit::Concurrency | Limit::Output | Limit::Log | Limit::Body => false,
        },
        Failure::Function { .. }
        | Failure::Trap { .. }
        | Failure::Input { .. }
        | Failure::Host { .. }
        | Failure::Cancelled { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Timestamp, Usage};

    fn attempt(executor: &str, version: u32, failure: Failure) -> AttemptRecord {
        AttemptRecord {
            number: 1,
            version,
            executor: executor.into(),
            started: Timestamp(0),
            queue_us: 0,
            usage: Usage::default(),
            status: None,
            failure: Some(failure),
        }
    }

    fn limit(limit: Limit) -> Failure {
        Failure::Limit { limit, message: String::new() }
    }

    #[test]
    fn an_invocation_moves_on_where_it_ended_at_a_limit() {
        let both = [Variant::Wasm, Variant::Docker];
        assert_eq!(place(&both, 1, &[]), Some(Variant::Wasm));
        let host = Failure::Host { message: String::new() };
        assert_eq!(place(&both, 1, &[attempt("wasm", 1, host)]), Some(Variant::Wasm));
        let memory = attempt("wasm", 1, limit(Limit::Memory));
        assert_eq!(place(&both, 1, std::slice::from_ref(&memory)), Some(Variant::Docker));
        // Another version may have another limit.
        assert_eq!(place(&both, 2, std::slice::from_ref(&memory)), Some(Variant::Wasm));
        let both_ended = [memory, attempt("docker", 1, limit(Limit::Timeout))];
        assert_eq!(place(&both, 1, &both_ended), Some(Variant::Docker));
        assert_eq!(place(&both, 1, &[attempt("wasm", 1, limit(Limit::Output))]), Some(Variant::Wasm));
        assert_eq!(place(&[], 1, &[]), None);
    }
}
