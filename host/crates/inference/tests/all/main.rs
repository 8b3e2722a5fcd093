//! Stories of the service: real workers, real models, both backends.
#![expect(clippy::print_stderr, reason = "a story reads it")]
#![expect(clippy::unwrap_used, reason = "clippy allows it in tests, and not in what only tests use")]

mod batches;
mod cancel;
mod crashes;
mod golden;
mod hostile;
mod kit;
mod memory;
mod onnx;
mod serves;

/// Not a test: a story starts this binary again as a host that it kills. It says which process its worker is.
#[tokio::test(flavor = "multi_thread")]
async fn the_host_to_be_killed() {
    if std::env::args().any(|arg| arg == kit::HOST_MARK) {
        let kit = kit::Kit::start();
        kit.inference.probe(wicket_inference::Target::Cpu).await.unwrap();
        eprintln!("worker {}", kit.process());
        std::future::pending::<()>().await;
    }
}

/// Not a test: the kit starts this binary again as its worker.
#[test]
fn the_inference_worker() {
    if std::env::args().any(|arg| arg == kit::CHILD_MARK) {
        let code = wicket_inference::worker_main();
        panic!("the worker ended by itself: {code:?}");
    }
}
