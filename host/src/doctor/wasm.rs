//! The engine, as a host would start it.

use wicket_wasm::{WasmConfig, WasmExecutor};

use super::{Finding, Verdict};

/// The pool of instances, and how they are wiped: tried for real, in a folder that is removed again.
pub(super) fn pool() -> Vec<Finding> {
    let check = "wasm engine";
    let started = tempfile::tempdir().map_err(|error| error.to_string()).and_then(|folder| {
        let (modules, cache) = (folder.path().join("modules"), folder.path().join("cache"));
        let executor = WasmExecutor::start(WasmConfig::new(modules, cache, rand::random()));
        executor.map(|executor| executor.stats().pool).map_err(|error| wicket_core::chain(&error))
    });
    let pool = match started {
        Ok(pool) => pool,
        Err(error) => return vec![Finding::new(check, Verdict::Impossible, error, "no function can run")],
    };
    let found =
        format!("a pool of {} instances, {} MiB of addresses each", pool.instances, pool.reservation >> 20);
    let space = match pool.fallback {
        None => Finding::good(check, found),
        Some(why) if pool.instances == 0 => Finding::new(
            check,
            Verdict::Slower,
            format!("no pool: {why}"),
            "each instance is made from nothing: some 10 times the start-up",
        ),
        Some(why) => {
            Finding::new(check, Verdict::Slower, format!("{found}: {why}"), "fewer functions run at once")
        }
    };
    let scan = if pool.pagemap_scan {
        Finding::good("PAGEMAP_SCAN", "the kernel tells which pages a guest touched")
    } else {
        let means = "instances are wiped page by page: start-up takes some 2 times as long; Linux 6.7 has it";
        Finding::new("PAGEMAP_SCAN", Verdict::Slower, "not in this kernel", means)
    };
    vec![space, scan]
}
