//! Modules.

use http::{Method, StatusCode};
use sha2::{Digest, Sha256};
use wicket_tests::guests;

use super::Target;
use super::garble::{each, garbled};

fn seeds() -> Vec<Vec<u8>> {
    let names = ["hello", "echo-p1", "event-echo", "exit"];
    names.iter().map(|name| std::fs::read(guests::path(name)).expect("a guest")).collect()
}

/// Words of the binary format.
const WORDS: &[&str] = &[
    "\0asm\u{1}\0\0\0",
    "\0asm\r\0\u{1}\0",
    "\u{7f}\u{7f}\u{7f}\u{7f}\u{f}",
    "\u{1}\u{4}\u{1}`\0\0",
    "_start",
    "memory",
    "wasi:http/incoming-handler@0.2.0",
    "wasi_snapshot_preview1",
    "cabi_realloc",
    "\0\0\0\0\0\0\0\0",
];

/// Modules that are well-formed and mean nothing here, or too much.
fn odd() -> Vec<(&'static str, Vec<u8>)> {
    let wat = |text: &str| wat::parse_str(text).expect("a module");
    let start = |body: &str| {
        wat(&format!(r#"(module {body} (memory (export "memory") 1) (func (export "_start")))"#))
    };
    let deep = |n: usize| format!("{}{}", "(block ".repeat(n), ")".repeat(n));
    let mut nested = "(component)".to_owned();
    for _ in 0..60 {
        nested = format!("(component {nested})");
    }
    vec![
        ("nothing", Vec::new()),
        ("a head", b"\0asm".to_vec()),
        ("another version", b"\0asm\x02\0\0\0".to_vec()),
        ("text", b"(module)".to_vec()),
        ("an ELF file", std::fs::read("/proc/self/exe").expect("this test")[..100_000].to_vec()),
        ("an empty module", wat("(module)")),
        ("an empty component", wat("(component)")),
        ("components in components", wat(&nested)),
        (
            "a start with arguments",
            wat(r#"(module (memory (export "memory") 1) (func (export "_start") (param i32)))"#),
        ),
        ("a start that is a memory", wat(r#"(module (memory (export "_start") 1))"#)),
        ("no memory", wat(r#"(module (func (export "_start")))"#)),
        (
            "an import that nobody has",
            wat(r#"(module (import "a" "b" (func)) (memory (export "memory") 1) (func (export "_start")))"#),
        ),
        (
            "an import of another type",
            wat(
                r#"(module (import "wasi_snapshot_preview1" "fd_write" (func)) (memory (export "memory") 1) (func (export "_start")))"#,
            ),
        ),
        ("a memory of 64 bits", start("(memory $m i64 1)")),
        ("a shared memory", start("(memory $m 1 1 shared)")),
        ("a memory of all there is", start("(memory $m 65536)")),
        ("a table of all there is", start("(table 4294967295 funcref)")),
        ("a struct", start("(type $s (struct (field i32)))")),
        ("an exception", start("(tag $e)")),
        (
            "an exception that is thrown",
            wat(r#"(module (tag $e) (memory (export "memory") 1) (func (export "_start") (throw $e)))"#),
        ),
        ("vectors", start("(func (result v128) (v128.const i64x2 0 0))")),
        ("fifty thousand locals", start(&format!("(func {})", "(local i64)".repeat(49_999)))),
        ("a deep function", start(&format!("(func {})", deep(2_000)))),
        ("many functions", start(&"(func)".repeat(50_000))),
        ("a thousand memories", start(&"(memory 0)".repeat(90))),
        ("a large section of its own", start(&format!(r#"(@custom "x" "{}")"#, "y".repeat(1 << 20)))),
        ("names of other alphabets", start(r#"(func (export "\u{202e}\u{0}é"))"#)),
        ("data where no memory is", start(r#"(data (i32.const -1) "xyz")"#)),
    ]
}

/// What `inspect` says of a file: what it is, or that it is nothing.
fn inspected(target: &Target, bytes: &[u8]) {
    let file = target.host.scratch().join("odd.wasm");
    std::fs::write(&file, bytes).expect("the temporary folder is writable");
    let said = target.host.cli(&["inspect", file.to_str().expect("text")]);
    assert!([0, 3].contains(&said.code) && !said.stderr.contains("panicked"), "{said:?}");
    assert!(said.code == 0 || !said.stderr.is_empty(), "{said:?}");
}

/// Uploads and deploys a module, and runs it when that worked.
fn deployed(target: &Target, bytes: &[u8]) -> bool {
    let digest: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let stored = target.admin(Method::PUT, &format!("/system/modules/{digest}"), &[], bytes);
    assert!(stored.status.is_success(), "{stored:?}");
    let service = serde_json::json!({
        "name": "odd", "wasm": digest, "limits": { "cpu_time": "200ms", "timeout": "2s", "memory": "64MiB" },
    });
    let created = target.admin(Method::POST, "/system/services", &[], service.to_string().as_bytes());
    if created.status != StatusCode::CREATED {
        assert_eq!(created.status, StatusCode::BAD_REQUEST, "{created:?}");
        return false;
    }
    let run = target.admin(Method::POST, "/run/odd", &[], b"input");
    let known = [200, 400, 413, 502, 504];
    assert!(known.contains(&run.status.as_u16()), "{run:?}");
    let gone = target.admin(Method::DELETE, "/system/services/odd", &[], b"");
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    true
}

#[test]
fn a_garbled_module_is_refused_or_runs_within_its_limits() {
    let target = Target::start();
    each(150, garbled(seeds(), WORDS), |bytes| inspected(&target, &bytes));
    let ran = std::cell::Cell::new(0);
    each(40, garbled(seeds(), WORDS), |bytes| ran.set(ran.get() + u32::from(deployed(&target, &bytes))));
    // Its digest is checked, so a module that was garbled on its way does not come in at all.
    let wrong = target.admin(Method::PUT, &format!("/system/modules/{}", "0".repeat(64)), &[], b"\0asm");
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST, "{wrong:?}");
    assert!(ran.get() > 0, "none was close enough to a module to run");
    target.unharmed();
}

#[test]
fn an_odd_module_is_refused_by_name_or_runs() {
    let target = Target::start();
    for (_what, bytes) in odd() {
        inspected(&target, &bytes);
        deployed(&target, &bytes);
    }
    target.unharmed();
}
