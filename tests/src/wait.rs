//! Waiting for a state, never for a time.

use std::time::{Duration, Instant};

/// Asks until there is an answer, and panics with `what` when there is none within the deadline.
#[track_caller]
pub fn until<T>(
    what: &str,
    deadline: Duration,
    mut ask: impl AsyncFnMut() -> Option<T>,
) -> impl Future<Output = T> {
    let place = std::panic::Location::caller();
    async move {
        let end = Instant::now() + deadline;
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            assert!(Instant::now() < end, "{place}: {what}: not within {deadline:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
