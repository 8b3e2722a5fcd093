//! What follows from how an attempt went: a function of values.

use std::time::Duration;

use wicket_config::Retry;

use crate::{Failure, Limit, Reply};

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is done.
    Done,
    /// Try again after this long.
    Retry(Duration),
    /// Give it up.
    Bury,
}

/// Judges attempt number `attempt` (from 1). `jitter` in 0..1 spreads the retries of many.
///
/// Traps, limits other than the wall clock, and inputs that are gone would fail again in the same way: no retry.
pub fn judge(result: &Result<Reply, Failure>, retry: &Retry, attempt: u32, jitter: f64) -> Verdict {
    let Err(failure) = result else {
        return Verdict::Done;
    };
    let hopeless = match failure {
        Failure::Function { permanent, .. } => *permanent,
        Failure::Trap { .. } | Failure::Input { .. } => true,
        Failure::Limit { limit, .. } => !matches!(limit, Limit::Timeout | Limit::Concurrency),
        // Where no other variant is left, an exit status like others.
        Failure::Declined { .. }
        | Failure::Unavailable { .. }
        | Failure::Host { .. }
        | Failure::Cancelled { .. } => false,
    };
    if hopeless || attempt >= retry.attempts {
        return Verdict::Bury;
    }
    let doubled = 2u32.saturating_pow(attempt.saturating_sub(1).min(30));
    let wait = retry.backoff.0.saturating_mul(doubled).min(retry.max_backoff.0);
    // Half of the wait is kept, the other half is spread.
    Verdict::Retry(wait.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no(message: &str) -> Result<Reply, Failure> {
        Err(Failure::Function { message: message.into(), permanent: false })
    }

    #[test]
    fn waits_double_until_the_cap_and_the_last_attempt_is_the_last() {
        let retry = Retry { attempts: 12, ..Retry::default() };
        let waits: Vec<u64> = (1..12)
            .map(|attempt| match judge(&no("x"), &retry, attempt, 1.0) {
                Verdict::Retry(wait) => wait.as_secs(),
                verdict => panic!("{verdict:?}"),
            })
            .collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(judge(&no("x"), &retry, 12, 1.0), Verdict::Bury);
        assert_eq!(judge(&no("x"), &retry, u32::MAX, 1.0), Verdict::Bury);
    }

    #[test]
    fn what_would_fail_again_is_not_tried_again() {
        let retry = Retry::default();
        let trap = Failure::Trap { message: String::new(), backtrace: Vec::new() };
        let memory = Failure::Limit { limit: Limit::Memory, message: String::new() };
        let timeout = Failure::Limit { limit: Limit::Timeout, message: String::new() };
        assert_eq!(judge(&Err(trap), &retry, 1, 0.0), Verdict::Bury);
        assert_eq!(judge(&Err(memory), &retry, 1, 0.0), Verdict::Bury);
        assert_eq!(judge(&Err(timeout), &retry, 1, 0.0), Verdict::Retry(Duration::from_millis(500)));
    }
}
