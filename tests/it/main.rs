//! The stories, one binary.

mod api;
mod attack;
mod batch;
mod cli;
mod clients;
mod containers;
mod crash;
mod disk;
mod events;
mod hostile;
mod http;
mod inference;
mod lifecycle;
mod malformed;
mod outside;
mod swap;
mod video;
mod wasi03;
mod workflow;
