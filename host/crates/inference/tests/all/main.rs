//! Stories of the service: real workers, real models, both backends.
#![expect(clippy::unwrap_used, reason = "clippy allows it in tests, and not in what only tests use")]

mod batches;
mod cancel;
mod crashes;
mod hostile;
mod kit;
mod memory;
mod onnx;
mod serves;

/// Not a test: the kit starts this binary again as its worker.
#[test]
fn the_inference_worker() {
    if std::env::args().any(|arg| arg == kit::CHILD_MARK) {
        let code = wicket_inference::worker_main();
        panic!("the worker ended by itself: {code:?}");
    }
}
