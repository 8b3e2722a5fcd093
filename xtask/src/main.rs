//! Set-up, demo and checks: `cargo xtask`.

mod apt;
mod demo;
mod engine;
mod guests;
mod image;
mod models;
mod python;
mod run;
mod say;
mod supervisor;
mod test;
mod toolchain;
mod tools;

use std::process::ExitCode;

use clap::Parser;

/// Sets Wicketgate up, shows it and checks it. Leaves the system's configuration alone.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Command {
    /// Makes sure that guests can be compiled for wasm32-wasip2 and wasm32-wasip1.
    ///
    /// What rustc has is taken; else rustup adds it (not with NO_RUSTUP=1); else std is built from Debian's rust-src
    /// of rustc's version; else Debian's own rustc and std are unpacked into the cache folder.
    /// WICKET_GUEST_TOOLCHAIN=own|rustup|source|prebuilt chooses one.
    Setup,
    /// Builds the functions and the test guests into target/guests/.
    Guests(guests::Options),
    /// Fetches what tests and benches talk to (S3 clients, an S3 server, a Batch, ONNX Runtime; 228 MB) into the cache
    /// folder.
    Tools,
    /// Fetches ONNX Runtime, models and samples (314 MB), converts them, and links target/onnxruntime/, target/models/
    /// and target/samples/ to them in the cache folder.
    Models(models::Options),
    /// Starts a container engine for the stories, and keeps it (Linux; root, where none of this machine's answers).
    Engine,
    /// Makes an image that functions run in, without a registry, on this machine's container engine.
    Image(image::Options),
    /// Builds the program that batch jobs run beside a function into target/supervisor/: static, for any image.
    Supervisor,
    /// From an upload to its result: photographs to thumbnails to a contact sheet, served by HTTP; videos to
    /// sheets and animated previews.
    Demo(demo::Options),
    /// Everything: guests, S3 clients, a container engine, the functions' own tests, the workspace, doc tests.
    Test(test::Options),
}

fn main() -> ExitCode {
    match run(Command::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::line(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Setup => toolchain::Toolchain::ready().map(|toolchain| say::line(&toolchain.to_string())),
        Command::Guests(options) => guests::build(&options),
        Command::Tools => tools::ready(),
        Command::Models(options) => models::ready(options),
        Command::Engine => engine::keep(),
        Command::Image(options) => image::on_own_engine(&options),
        Command::Supervisor => supervisor::build().map(drop),
        Command::Demo(options) => demo::demo(&options),
        Command::Test(options) => test::test(&options),
    }
}
