//! `wicket`, the command.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    wicket::cli::run(wicket::cli::Args::parse())
}
