//! The vocabulary of the host, its seams and its decisions. No socket, no file, no task, no tokio.
//!
//! Read in this order: an [`Event`] arrives; the [`Router`] turns it into [`Delivery`]s; each is an [`Invocation`] in
//! the [`Queue`], taken as a [`Lease`] and run as an [`Attempt`] by an [`Executor`]; [`judge()`] says what follows from
//! its [`Report`]; all of it stands in one [`Receipt`].

mod chain;
mod event;
mod executor;
mod experience;
mod fetches;
mod id;
mod invocation;
mod judge;
mod lines;
mod place;
mod queue;
mod receipt;
mod redact;
mod route;

pub use chain::chain;
pub use event::{Data, Event, ObjectRef, kinds};
pub use executor::{
    Attempt, Blob, ByteStream, Deployment, Executor, ObjectEntry, ObjectError, Objects, Opened, OutputName,
    Outputs, Reply, Report, Secret, StagedObject,
};
pub use experience::Experience;
pub use fetches::{Fetch, Fetches, Fetching};
pub use id::{EventId, InvocationId, NotATime, NotAnId, Timestamp};
pub use invocation::{Delivery, Invocation, JoinPart};
pub use judge::{Verdict, judge};
pub use lines::LogLines;
pub(crate) use place::is_limit_of_variant;
pub use place::{Asked, Lack, Passed, Placed, Placement, Why, executor_of, moves_on, place};
pub use queue::{Depth, Filter, Forget, Lease, Pushed, Queue, QueueError, Retention, Settled};
pub use receipt::{
    AttemptRecord, Failure, Inferred, Limit, Log, LogLine, LogSink, LogStream, Receipt, State, Trigger,
    Usage, Waiting,
};
pub use redact::Redactor;
pub use route::{Cycle, Explanation, MAX_HOPS, Router, find_cycle, may_name};
