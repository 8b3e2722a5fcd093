//! The invocation's log.

use std::fmt;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For whoever looks for a mistake.
    Debug,
    /// What went on.
    Info,
    /// Not as it should be.
    Warn,
    /// It failed.
    Error,
}

/// Writes a line; the macros [`debug!`](crate::debug), [`info!`](crate::info), [`warn!`](crate::warn) and
/// [`error!`](crate::error) call it.
pub fn line(level: Level, text: fmt::Arguments<'_>) {
    let text = text.to_string();
    #[cfg(target_family = "wasm")]
    {
        use crate::wasm::bindings::wicketgate::function::log;
        let level = match level {
            Level::Debug => log::Level::Debug,
            Level::Info => log::Level::Info,
            Level::Warn => log::Level::Warn,
            Level::Error => log::Level::Error,
        };
        log::line(level, &text);
    }
    #[cfg(not(target_family = "wasm"))]
    crate::testing::logged(level, text);
}

/// Logs a line for whoever looks for a mistake, formatted as by `format!`.
#[macro_export]
macro_rules! debug {
    ($($text:tt)+) => { $crate::line($crate::Level::Debug, format_args!($($text)+)) };
}

/// Logs what went on, formatted as by `format!`.
#[macro_export]
macro_rules! info {
    ($($text:tt)+) => { $crate::line($crate::Level::Info, format_args!($($text)+)) };
}

/// Logs what is not as it should be, formatted as by `format!`.
#[macro_export]
macro_rules! warn {
    ($($text:tt)+) => { $crate::line($crate::Level::Warn, format_args!($($text)+)) };
}

/// Logs what failed, formatted as by `format!`.
#[macro_export]
macro_rules! error {
    ($($text:tt)+) => { $crate::line($crate::Level::Error, format_args!($($text)+)) };
}
