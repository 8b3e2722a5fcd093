//! What guests can import. Whether a guest may use it is decided at the call, by its grants.

use wasmtime::Engine;
use wasmtime::component::{HasData, HasSelf, Linker, ResourceTable};
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView as _};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::{LinkOptions, cli, clocks, filesystem, random, sockets};
use wasmtime_wasi::random::WasiRandom;
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsView as _};
use wasmtime_wasi::{WasiView as _, p1};
use wasmtime_wasi_io::bindings::wasi::io;

use crate::nn;
use crate::shapes::event::bindings;
use crate::state::State;

struct Table;

impl HasData for Table {
    type Data<'a> = &'a mut ResourceTable;
}

/// Imports of components: WASI 0.2, and 0.3 where the engine can run it.
pub(crate) fn component(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::<State>::new(engine);
    let l = &mut linker;
    // wasmtime-wasi would make its whole context for the table alone, on every call of these three.
    io::error::add_to_linker::<_, Table>(l, |state| &mut state.table)?;
    io::poll::add_to_linker::<_, Table>(l, |state| &mut state.table)?;
    io::streams::add_to_linker::<_, Table>(l, |state| &mut state.table)?;

    clocks::wall_clock::add_to_linker::<_, WasiClocks>(l, State::clocks)?;
    clocks::monotonic_clock::add_to_linker::<_, WasiClocks>(l, State::clocks)?;
    random::random::add_to_linker::<_, WasiRandom>(l, |state| state.ctx().ctx.random())?;
    random::insecure::add_to_linker::<_, WasiRandom>(l, |state| state.ctx().ctx.random())?;
    random::insecure_seed::add_to_linker::<_, WasiRandom>(l, |state| state.ctx().ctx.random())?;
    cli::exit::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::environment::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::stdin::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::stdout::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::stderr::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(l, State::cli)?;
    filesystem::preopens::add_to_linker::<_, WasiFilesystem>(l, State::filesystem)?;
    filesystem::types::add_to_linker::<_, WasiFilesystem>(l, State::filesystem)?;

    // Many toolchains import sockets that nobody uses: they link, and every use of one is refused.
    let options = (&LinkOptions::default()).into();
    sockets::network::add_to_linker::<_, WasiSockets>(l, &options, State::sockets)?;
    sockets::instance_network::add_to_linker::<_, WasiSockets>(l, State::sockets)?;
    sockets::ip_name_lookup::add_to_linker::<_, WasiSockets>(l, State::sockets)?;
    sockets::tcp::add_to_linker::<_, WasiSockets>(l, State::sockets)?;
    sockets::tcp_create_socket::add_to_linker::<_, WasiSockets>(l, State::sockets)?;
    sockets::udp::add_to_linker::<_, WasiSockets>(l, State::sockets)?;
    sockets::udp_create_socket::add_to_linker::<_, WasiSockets>(l, State::sockets)?;

    wasmtime_wasi_http::p2::add_only_http_to_linker_async(l)?;
    if engine.get_concurrency_support() {
        wasmtime_wasi::p3::add_to_linker(l)?;
        wasmtime_wasi_http::p3::add_to_linker(l)?;
    }
    bindings::Offer::add_to_linker::<_, HasSelf<State>>(l, |state| state)?;
    nn::component::add_to_linker(l)?;
    Ok(linker)
}

/// Imports of preview-1 core modules.
pub(crate) fn module(engine: &Engine) -> wasmtime::Result<wasmtime::Linker<State>> {
    let mut linker = wasmtime::Linker::<State>::new(engine);
    p1::add_to_linker_async(&mut linker, |state: &mut State| {
        state.p1.as_deref_mut().expect("the command shape gives every preview-1 module a context")
    })?;
    nn::preview1::add_to_linker(&mut linker)?;
    Ok(linker)
}
