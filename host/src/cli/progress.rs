//! Progress on standard error: only on a terminal, and only for what takes longer than a blink.

use std::io::IsTerminal as _;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What is done sooner needs no bar.
const SHOW_AFTER: Duration = Duration::from_secs(1);

/// A bar that appears when the work takes long, and goes with its last clone. All clones are one bar.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    bar: Arc<Clears>,
    begun: Instant,
}

/// A bar, and whether it can be seen.
#[derive(Debug)]
struct Clears {
    bar: ProgressBar,
    shown: AtomicBool,
}

impl Drop for Clears {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Progress {
    /// A bar of bytes; without a total it counts what went.
    pub(super) fn bytes(what: &str, total: Option<u64>) -> Self {
        let style = match total {
            Some(_) => "{msg} {bar:30} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}",
            None => "{spinner} {msg} {decimal_bytes} {decimal_bytes_per_sec}",
        };
        Self::new(total, style, what)
    }

    /// Something whose length nobody knows.
    pub(super) fn spinner(what: &str) -> Self {
        Self::new(None, "{spinner} {msg} {elapsed}", what)
    }

    fn new(total: Option<u64>, style: &str, what: &str) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.set_message(super::table::shown(what));
        Self { bar: Arc::new(Clears { bar, shown: AtomicBool::new(false) }), begun: Instant::now() }
    }

    /// So many more bytes went.
    pub(super) fn add(&self, n: u64) {
        self.bar.bar.inc(n);
        if self.begun.elapsed() > SHOW_AFTER {
            self.show();
        }
    }

    /// Does the work, and shows the bar when it takes long.
    pub(super) async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(SHOW_AFTER) => self.show(),
        }
        work.await
    }

    /// The same, and meanwhile says what `ask` answers now and then.
    pub(super) async fn telling<T>(
        &self,
        work: impl Future<Output = T>,
        mut ask: impl AsyncFnMut() -> Option<String>,
    ) -> T {
        let mut work = pin!(self.during(work));
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(SHOW_AFTER) => {}
            }
            // Asked while the work goes on.
            let said = tokio::select! {
                done = &mut work => return done,
                said = ask() => said,
            };
            if let Some(said) = said {
                self.bar.bar.set_message(super::table::shown(&said));
            }
        }
    }

    fn show(&self) {
        let Clears { bar, shown } = &*self.bar;
        if !shown.swap(true, Ordering::Relaxed) && std::io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.enable_steady_tick(Duration::from_millis(120));
        }
    }
}
