//! A piece of work on its way through the writer, and the answer on its way back.

use tokio::sync::oneshot;

use crate::{StoreError, Tx};

/// A piece of work whose result type the writer need not know.
pub(crate) trait Job: Send {
    /// Whether nobody waits for the answer any more: then it need not run.
    fn is_cancelled(&self) -> bool;
    /// Whether the answer promises that it survives a power cut.
    fn is_durable(&self) -> bool;
    /// Runs the work and keeps its result.
    fn run(&mut self, tx: &mut Tx<'_>);
    /// Why it came to nothing, where it did.
    fn error(&self) -> Option<&StoreError>;
    /// Hands out the result that was kept.
    fn answer(self: Box<Self>);
    /// The group is lost: hands out the work's own error where it has one, and this one otherwise.
    fn fail(self: Box<Self>, error: StoreError);
}

/// The work, its result once it ran, and who waits for it.
pub(crate) struct Typed<T, F> {
    work: Option<F>,
    durable: bool,
    result: Result<T, StoreError>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Typed<T, F> {
    pub(crate) fn new(work: F, durable: bool) -> (Self, oneshot::Receiver<Result<T, StoreError>>) {
        let (reply, answer) = oneshot::channel();
        // Until it has run, the answer is that it did not end: what a panic leaves behind.
        (Self { work: Some(work), durable, result: Err(StoreError::Panicked), reply }, answer)
    }
}

impl<T, F> Job for Typed<T, F>
where
    T: Send,
    F: FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send,
{
    fn is_cancelled(&self) -> bool {
        self.reply.is_closed()
    }

    fn is_durable(&self) -> bool {
        self.durable
    }

    fn run(&mut self, tx: &mut Tx<'_>) {
        if let Some(work) = self.work.take() {
            self.result = work(tx);
        }
    }

    fn error(&self) -> Option<&StoreError> {
        self.result.as_ref().err()
    }

    fn answer(self: Box<Self>) {
        // An error means that the asker left meanwhile; the work stands all the same.
        self.reply.send(self.result).ok();
    }

    fn fail(self: Box<Self>, error: StoreError) {
        let ran = self.work.is_none();
        let result = if ran { self.result.and(Err(error)) } else { Err(error) };
        self.reply.send(result).ok();
    }
}
