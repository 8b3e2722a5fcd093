//! Write a Wicketgate function in ten lines.
//!
//! A function takes an [`Event`], reads its [`Object`]s, writes [`Output`]s and answers. This one counts the words of
//! every text uploaded to its bucket:
//!
//! ```
//! use std::io::Write as _;
//! use wicket_sdk::{Event, Failure, Output, info};
//!
//! wicket_sdk::function!(count);
//!
//! fn count(mut event: Event) -> Result<String, Failure> {
//!     let text = event.object()?.read_text(1 << 20)?;
//!     let words = text.split_whitespace().count();
//!     info!("{words} words");
//!     let mut output = Output::create("words.txt", Some("text/plain"));
//!     writeln!(output, "{words}")?;
//!     output.finish()?;
//!     Ok(words.to_string())
//! }
//! ```
//!
//! Build it for `wasm32-wasip2` as a `cdylib` (`rustup target add wasm32-wasip2`; without rustup, `cargo xtask guests`
//! prints the folder of a `--sysroot` that it made); `wicket apply` does the rest. The same code builds natively, where
//! [`testing`] stands in for the host:
//!
//! ```
//! use wicket_sdk::{Event, Failure, Object, testing};
//! # fn count(mut event: Event) -> Result<String, Failure> {
//! #     Ok(event.object()?.read_text(100)?.split_whitespace().count().to_string())
//! # }
//!
//! let event = Event::about([Object::from_bytes("texts", "in/a.txt", "one two three")]);
//! let ran = testing::run(count, event);
//! assert_eq!(ran.answer(), Ok("3".into()));
//! ```
//!
//! Read in this order: [`Event`], [`Object`], [`Output`], [`Failure`], [`buckets`] (granted buckets) and [`nn`]
//! (inference), both from functions of any shape, [`testing`].

pub mod buckets;
mod event;
mod failure;
mod log;
pub mod nn;
mod object;
mod output;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod wasm;

pub use event::{Attempt, Event};
pub use failure::{Answer, Failure};
pub use log::Level;
#[doc(hidden)]
pub use log::line;
pub use object::Object;
pub use output::Output;

/// Makes a function, `fn(Event) -> Result<impl Answer, Failure>`, the one that the host calls. Once in a crate.
///
/// ```
/// use wicket_sdk::{Event, Failure};
///
/// wicket_sdk::function!(|event: Event| -> Result<String, Failure> { Ok(event.kind) });
/// ```
#[macro_export]
macro_rules! function {
    ($handle:expr) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            struct Function;
            impl $crate::wasm::Guest for Function {
                fn handle(
                    event: $crate::wasm::types::Event,
                    objects: Vec<$crate::wasm::types::Object>,
                    attempt: $crate::wasm::types::Attempt,
                ) -> Result<Vec<u8>, $crate::wasm::types::Failure> {
                    $crate::wasm::call($handle, event, objects, attempt)
                }
            }
    $crate::wasm::export_function!(Function with_types_in $crate::wasm::bindings);
        };
        #[cfg(not(target_family = "wasm"))]
        const _: () = {
            fn takes<A: $crate::Answer>(_: impl FnOnce($crate::Event) -> Result<A, $crate::Failure>) {}
            #[expect(dead_code, reason = "it is here to be type-checked")]
            fn check() {
                takes($handle);
            }
        };
    };
}
