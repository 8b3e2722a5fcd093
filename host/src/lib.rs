//! The host `wicket`. Read in this order: [`cli`] starts `app`, which puts a `node` together out of its parts;
//! events come in through `trigger` and the buckets, `dispatch` runs what they start, `attempt` is what a
//! function works with; `catalog` knows what is deployed; `api` and `client` are the two ends of the HTTP API.

mod api;
mod app;
mod attempt;
mod auth;
mod catalog;
pub mod cli;
mod client;
mod dispatch;
mod doctor;
mod env;
mod node;
mod notification;
mod trigger;
