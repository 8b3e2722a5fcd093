//! Files of services, and the operator's file.

use http::Method;

use super::Target;
use super::garble::{each, garbled};

/// Words that mean something somewhere.
const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    "- ",
    "\n",
    "\n  ",
    "\t",
    "'",
    "\"",
    "|",
    ">",
    "&a",
    "*a",
    "<<",
    "!!binary",
    "---",
    "...",
    "#",
    "%",
    "null",
    "~",
    "true",
    "-1",
    "1e999",
    "0x10",
    "18446744073709551616",
    "NaN",
    "..",
    "/",
    "\\u0000",
    "\u{0}",
    "é",
    "\u{feff}",
    "\u{202e}",
    "name",
    "wasm",
    "limits",
    "memory",
    "99999999Ti",
    "-5s",
    "http",
    "{*",
    "path",
    "join",
    "input",
    "secrets",
];

const FULL: &str = "\
functions:
  oscar:
  - local:
      name: thumbnail
      wasm: sha256:0000000000000000000000000000000000000000000000000000000000000000
      args: [--size, 320x320]
      instance_reuse: 1
      environment:
        variables: { FIT: cover }
        secrets: { API_KEY: not-shown-again }
      limits: { memory: 256MiB, cpu_time: 10s, timeout: 60s, concurrency: 64, output: 1GiB, log: 1MiB, body: 64MiB, handles: 256 }
      retry: { attempts: 3, backoff: 1s, max_backoff: 5m }
      input:
      - { storage_provider: minio.default, path: photos/in, prefix: [trip], suffix: [.jpg, .png] }
      output:
      - { storage_provider: s3.away, path: results/thumbs, keep_folders: true }
      events:
      - { type: org.example.photo, source: 'https://example.org/*', subject: front-door }
      http:
      - { host: photos.example.org, path: '/thumbs/{*name}', methods: [GET, HEAD] }
      join: { by: folder, count: 24, window: 3s }
      grants: { http: [api.example.org], networks: [10.0.0.0/8], read_buckets: [photos] }
      labels: { team: front-door }
storage_providers:
  s3:
    away: { endpoint: 'http://10.0.0.7:8333', access_key: K, secret_key: S, region: us-east-1, verify: true }
";

const OPERATOR: &str = "\
data = \"/tmp/x\"
listen = \"127.0.0.1:8080\"
[http]
header_timeout = \"30s\"
max_connections = 4096
[queue]
lease = \"30s\"
log_bytes = \"512MiB\"
[wasm]
max_instances = 1000
[drain]
deadline = \"30s\"
";

/// What a command says of a file: fine, or what is wrong with it and where.
fn checked(target: &Target, name: &str, text: &[u8]) {
    let file = target.host.scratch().join(name);
    std::fs::write(&file, text).expect("the temporary folder is writable");
    let said = target.host.cli(&["check", file.to_str().expect("text")]);
    let shown = String::from_utf8_lossy(text);
    assert!([0, 3].contains(&said.code), "{said:?} of\n{shown}");
    assert!(!said.stderr.contains("panicked"), "{said:?} of\n{shown}");
    assert_eq!(said.code == 3, !said.stderr.is_empty() && said.stderr.contains(name), "{said:?} of\n{shown}");
    assert!(
        said.stderr.len() < 20_000 + 20 * text.len(),
        "{} bytes of complaint about\n{shown}",
        said.stderr.len()
    );
}

#[test]
fn a_garbled_file_of_services_is_told_what_is_wrong_with_it() {
    let target = Target::start();
    checked(&target, "a.yaml", FULL.as_bytes());
    each(400, garbled(vec![FULL.into()], WORDS), |text| checked(&target, "a.yaml", &text));
    each(100, garbled(vec![OPERATOR.into()], WORDS), |text| checked(&target, "wicket.toml", &text));
    let nested = |open: &str, close: &str, n: usize| open.repeat(n) + &close.repeat(n);
    let long = "x".repeat(1 << 20);
    for odd in [
        String::new(),
        "\u{feff}".to_owned(),
        "functions".to_owned(),
        "functions:".to_owned(),
        "functions: {oscar: [{a: {name: a}}, {a: {name: a}}]}".to_owned(),
        "functions: {oscar: [{a: null}]}".to_owned(),
        "a: &a [*a]".to_owned(),
        "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]".to_owned(),
        "? [a, b]\n: c".to_owned(),
        "? {a: b}\n: c".to_owned(),
        "a: 1\na: 2".to_owned(),
        "--- a\n--- b".to_owned(),
        "!!map {a: b}".to_owned(),
        nested("[", "]", 60),
        nested("[", "]", 5_000),
        nested("{a: ", "}", 5_000),
        nested("- ", "", 5_000),
        format!("functions: {{oscar: [{{a: {{name: {long}}}}}]}}"),
        format!("{long}: a"),
        format!("# {long}"),
        format!("functions:\n  oscar:\n{}", "  - a: { nam: b }\n".repeat(2_000)),
    ] {
        checked(&target, "odd.yaml", odd.as_bytes());
    }
    target.unharmed();
}

#[test]
fn a_garbled_definition_is_refused_by_the_api() {
    let target = Target::start();
    let seed = serde_json::json!({
        "name": "thumbnail", "wasm": "0".repeat(64), "args": ["a"], "instance_reuse": 1,
        "environment": { "variables": { "FIT": "cover" }, "secrets": { "KEY": "hush-1" } },
        "limits": { "memory": "256MiB", "cpu_time": "10s", "concurrency": 64, "output": "1GiB" },
        "retry": { "attempts": 3, "backoff": "1s" },
        "input": [{ "storage_provider": "minio.default", "path": "photos/in", "suffix": [".jpg"] }],
        "output": [{ "storage_provider": "s3.away", "path": "results/thumbs" }],
        "events": [{ "type": "org.example.photo", "source": "x*" }],
        "http": [{ "host": "a.example.org", "path": "/thumbs/{*name}", "methods": ["GET"] }],
        "join": { "by": "folder", "count": 24, "window": "3s" },
        "grants": { "http": ["api.example.org"], "networks": ["10.0.0.0/8"], "read_buckets": ["photos"] },
        "storage_providers": { "s3": { "away": { "endpoint": "http://10.0.0.7:8333", "access_key": "K", "secret_key": "hush-2", "region": "r" } } },
    });
    each(400, garbled(vec![seed.to_string().into()], WORDS), |body| {
        // Its module is nowhere: nothing of it can be accepted.
        let answer =
            target.admin(Method::POST, "/system/services", &[("content-type", "application/json")], &body);
        assert!(answer.status.is_client_error(), "{answer:?}");
        assert!(!answer.text().contains("hush"), "a secret: {}", answer.text());
        target.admin(Method::PUT, "/system/services/thumbnail", &[], &body);
    });
    assert_eq!(target.admin(Method::GET, "/system/services", &[], b"").text(), "[]");
    target.unharmed();
}
