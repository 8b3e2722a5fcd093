//! A log while it is written.

use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use wicket_core::{InvocationId, Log, Queue, QueueError, State};

use crate::node::Node;

/// How often a log that is written is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How long the receipt of a call that has ended may take to be stored.
const STORED: u32 = 15;

/// In the place of a number of lines: all of an ended attempt.
const TOLD: usize = usize::MAX;

/// What was sent so far.
struct Follower {
    node: Arc<Node>,
    id: InvocationId,
    /// The newest attempt that was looked at, and how many of its lines were sent.
    attempt: u32,
    sent: usize,
    /// Attempts that had ended at the last look.
    ended: usize,
    /// Looks at an invocation of which nothing is to be found.
    nothing: u32,
    done: bool,
}

/// JSON lines, each once, from the first on, until the invocation has ended or the host stops.
pub(super) fn lines(
    node: Arc<Node>,
    id: InvocationId,
) -> impl Stream<Item = Result<String, QueueError>> + Send {
    let follower = Follower { node, id, attempt: 0, sent: 0, ended: 0, nothing: 0, done: false };
    futures::stream::try_unfold(follower, async |mut follower| {
        while !follower.done {
            let text = follower.look().await?;
            if !text.is_empty() {
                return Ok(Some((text, follower)));
            }
            if follower.done {
                break;
            }
            tokio::select! {
                () = follower.node.stop.cancelled() => break,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        Ok(None)
    })
}

impl Follower {
    /// What is new.
    async fn look(&mut self) -> Result<String, QueueError> {
        let mut text = String::new();
        // In this order: what ends between two steps is found by a later one, or at the next look.
        let receipt = self.node.receipts().await.receipt(self.id).await?;
        let running = self.node.running.log(self.id);
        // Logs come with the end of an attempt: as long as none has ended, they are those that were read before.
        let ended = receipt.as_ref().map_or(0, |receipt| receipt.attempts.len());
        if ended != self.ended {
            for (attempt, log) in self.node.receipts().await.logs(self.id).await? {
                self.tell(&mut text, attempt, log);
            }
            self.ended = ended;
        }
        if let Some((attempt, sink)) = &running {
            let from = if *attempt == self.attempt { self.sent } else { 0 };
            let log = Log { lines: sink.since(from).lines, dropped: 0 };
            if *attempt >= self.attempt && !log.lines.is_empty() {
                super::write(&mut text, *attempt, &log);
                (self.attempt, self.sent) = (*attempt, from + log.lines.len());
            }
        }
        self.nothing = if receipt.is_none() && running.is_none() { self.nothing + 1 } else { 0 };
        let ended = receipt.is_some_and(|receipt| matches!(receipt.state, State::Succeeded | State::Failed));
        self.done = ended || self.nothing > STORED;
        Ok(text)
    }

    /// Writes the lines of an ended attempt that were not sent while it ran.
    fn tell(&mut self, text: &mut String, attempt: u32, log: Log) {
        let from = if attempt == self.attempt { self.sent } else { 0 };
        if attempt < self.attempt || from == TOLD {
            return;
        }
        let rest = Log { lines: log.lines.get(from..).unwrap_or_default().to_vec(), dropped: log.dropped };
        super::write(text, attempt, &rest);
        (self.attempt, self.sent) = (attempt, TOLD);
    }
}
