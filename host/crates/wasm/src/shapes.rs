//! The three ways a function can be written, and what each gets of an event.

pub(crate) mod command;
pub(crate) mod event;
pub(crate) mod http;
