//! Which service answers.

use bytes::Bytes;
use http::{Method, StatusCode};
use wicket_tests::TestHost;

/// Services that echo, and so tell what they were asked.
const SERVICES: &str = "\
- node:
    name: any
    wasm: {guest:hello}
    http: { path: '/items/{id}', methods: [GET] }
- node:
    name: post
    wasm: {guest:echo-http}
    http: { path: '/items/{id}', methods: [POST, PUT] }
- node:
    name: named
    wasm: {guest:echo-http}
    http: { host: Items.example.org, path: '/items/{id}' }
- node:
    name: cafe
    wasm: {guest:echo-http}
    http: { path: '/café/{*rest}' }
- node:
    name: all
    wasm: {guest:echo-http}
    http: { host: all.example.org, path: '/{*rest}' }";

#[tokio::test]
async fn a_request_finds_its_service_by_host_path_and_method() {
    let host = TestHost::start();
    host.apply(SERVICES);
    let ask = async |method: Method, name: &str, path: &str| {
        host.send(method, path, &[("host", name)], Bytes::new()).await
    };
    let who = async |method: Method, name: &str, path: &str| {
        let answer = ask(method, name, path).await;
        let receipt = host.receipt(answer.invocation()).await;
        receipt["service"].as_str().expect("a name").to_owned()
    };
    assert_eq!(who(Method::GET, "x", "/items/7?a=b").await, "any");
    assert_eq!(who(Method::POST, "x:8080", "/items/7").await, "post");
    assert_eq!(who(Method::DELETE, "items.example.org:8080", "/items/7").await, "named");
    assert_eq!(who(Method::GET, "ITEMS.example.org.", "/items/7").await, "named");
    assert_eq!(who(Method::GET, "x", "/caf%c3%A9/a%20b").await, "cafe");
    assert_eq!(who(Method::GET, "x", "/%69tems/%37").await, "any");
    assert_eq!(
        who(Method::from_bytes(b"PROPFIND").expect("a method"), "all.example.org", "/x/y").await,
        "all"
    );

    // A function sees what was asked, as it was asked.
    let echoed = ask(Method::GET, "x", "/caf%c3%A9/a%2Fb%20c?q=%20").await;
    assert_eq!(echoed.headers["x-path"], "/caf%c3%A9/a%2Fb%20c?q=%20");

    // HEAD is GET without the body.
    let head = ask(Method::HEAD, "x", "/items/7").await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    let receipt = host.receipt(head.invocation()).await;
    assert_eq!(
        (receipt["service"].as_str(), receipt["state"].as_str()),
        (Some("any"), Some("succeeded")),
        "{receipt}"
    );

    let other = ask(Method::DELETE, "x", "/items/7").await;
    assert_eq!(
        (other.status, &other.headers["allow"]),
        (StatusCode::METHOD_NOT_ALLOWED, &"GET, HEAD, OPTIONS, POST, PUT".parse().expect("text"))
    );
    assert_eq!(other.json()["error"]["code"], "method_not_allowed");
    let options = ask(Method::OPTIONS, "x", "/items/7").await;
    assert_eq!(
        (options.status, &options.headers["allow"]),
        (StatusCode::NO_CONTENT, &other.headers["allow"])
    );
    let nothing = ask(Method::GET, "x", "/items/7/8").await;
    assert_eq!(
        (nothing.status, &nothing.json()["error"]["code"]),
        (StatusCode::NOT_FOUND, &"no_route".into())
    );
}

#[tokio::test]
async fn no_spelling_of_a_path_leads_around_the_routes() {
    let host = TestHost::start();
    host.apply(SERVICES);
    let ask = async |path: &str| {
        let mut wire = host.connect().await;
        wire.send(format!("GET {path} HTTP/1.1\r\nhost: all.example.org\r\n\r\n")).await;
        wire.answer().await.expect("an answer")
    };
    // The host's own paths belong to no service, however they are written.
    for own in ["/system/info", "/%73ystem/info", "/system", "/run/all", "/%72un/all", "/health", "/metrics"]
    {
        let answer = ask(own).await;
        assert!(!answer.headers.contains_key("x-path"), "{own}: {answer:?}");
    }
    assert_eq!(ask("/system/info").await.status, StatusCode::UNAUTHORIZED);
    // The other way round: what does not begin with them is a service's alone.
    for other in ["//system/info", "/system%2Finfo", "/system%252Finfo", "/SYSTEM/info", "/systems"] {
        assert_eq!(ask(other).await.headers["x-path"], other);
    }
    for dots in
        ["/a/../system/info", "/../x", "/a/%2e%2e/x", "/a/.%2E", "/./x", "/health/..", "/system/%2e%2e/x"]
    {
        let answer = ask(dots).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (StatusCode::BAD_REQUEST, &"bad_path".into()),
            "{dots}"
        );
    }
    for bad in ["/%", "/%zz", "/x%2"] {
        assert_eq!(ask(bad).await.status, StatusCode::BAD_REQUEST, "{bad}");
    }
    for fine in ["/.well-known/a", "/a..b/...", "/%00%ff", "/a%5C..%5Cb", "/a;b=c/@:,", "/a//b/"] {
        assert_eq!(ask(fine).await.headers["x-path"], fine);
    }
}
