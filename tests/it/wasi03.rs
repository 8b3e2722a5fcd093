//! Functions of WASI 0.3, made with a public toolchain.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use wicket_tests::{TestHost, until};

const SOON: Duration = Duration::from_secs(30);

const SERVICES: &str = "\
- node:
    name: echo
    wasm: {guest:echo-03}
    limits: { cpu_time: 200ms, timeout: 5s }
    http: { path: '/{*path}' }
- node:
    name: cat
    wasm: {guest:cat-03}
    input: [{ path: bench/in }]
    output: [{ path: bench/out }]";

#[tokio::test]
async fn a_handler_and_a_command_of_wasi_0_3_do_what_those_of_0_2_do() {
    let host = TestHost::start();
    host.apply(SERVICES);
    let sent = Bytes::from("0123456789".repeat(20_000));
    let answer = host.send(Method::POST, "/some/where?q=1", &[], sent.clone()).await;
    assert_eq!(
        (answer.status, &answer.headers["x-path"]),
        (StatusCode::OK, &"/some/where?q=1".parse().expect("a header"))
    );
    assert!(answer.body == sent, "{} bytes came back", answer.body.len());
    // The same limits, and the same grants: none.
    assert!(host.get("/x?spin").await.status.is_server_error());
    assert!(host.get("/x?fetch=127.0.0.1:1").await.status.is_server_error());
    until("a receipt with the limit", SOON, async || {
        host.wicket(&["invocations", "echo"]).stdout.contains("cpu_time").then_some(())
    })
    .await;

    host.put("bench", "in/a", "an object").await;
    let copied = until("the copy", SOON, async || host.object("bench", "out/copy").await).await;
    assert_eq!(copied, "an object");
}
