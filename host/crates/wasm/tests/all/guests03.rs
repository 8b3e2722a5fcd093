//! Guests of WASI 0.3, written by hand like those of 0.2.

use crate::guests::{BASE, REALLOC, component};

const HTTP: &str = r#"
(import "wasi:http/types@0.3.0" "[constructor]fields" (func $fields (result i32)))
(import "wasi:http/types@0.3.0" "[static]response.new" (func $response (param i32 i32 i32 i32 i32)))
(import "wasi:http/types@0.3.0" "[stream-new-0][static]response.new" (func $pipe (result i64)))
(import "wasi:http/types@0.3.0" "[async-lower][stream-write-0][static]response.new"
  (func $write_begin (param i32 i32 i32) (result i32)))
(import "wasi:http/types@0.3.0" "[stream-drop-writable-0][static]response.new" (func $close (param i32)))
(import "wasi:http/types@0.3.0" "[future-new-1][static]response.new" (func $trailers (result i64)))
(import "wasi:http/types@0.3.0" "[async-lower][future-write-1][static]response.new"
  (func $end_begin (param i32 i32) (result i32)))
(import "wasi:http/types@0.3.0" "[method]response.set-status-code" (func $status (param i32 i32) (result i32)))
(import "wasi:http/types@0.3.0" "[method]response.get-status-code" (func $got (param i32) (result i32)))
(import "wasi:http/types@0.3.0" "[future-new-0][static]request.consume-body" (func $read_result (result i64)))
(import "wasi:http/types@0.3.0" "[static]request.consume-body" (func $consume (param i32 i32 i32)))
(import "wasi:http/types@0.3.0" "[async-lower][stream-read-1][static]request.consume-body"
  (func $read_begin (param i32 i32 i32) (result i32)))
(import "wasi:http/types@0.3.0" "[static]request.new" (func $request_new (param i32 i32 i32 i32 i32 i32 i32)))
(import "wasi:http/types@0.3.0" "[method]request.set-scheme"
  (func $set_scheme (param i32 i32 i32 i32 i32) (result i32)))
(import "wasi:http/types@0.3.0" "[method]request.set-authority"
  (func $set_authority (param i32 i32 i32 i32) (result i32)))
(import "wasi:http/types@0.3.0" "[method]request.set-path-with-query"
  (func $set_path (param i32 i32 i32 i32) (result i32)))
(import "wasi:http/client@0.3.0" "send" (func $send (param i32 i32)))
(import "wasi:clocks/monotonic-clock@0.3.0" "wait-for" (func $wait (param i64)))
(import "[export]wasi:http/handler@0.3.0" "[task-return]handle"
  (func $return (param i32 i32 i32 i64 i32 i32 i32 i32)))
"#;

const WAITING: &str = r#"
(import "$root" "[waitable-set-new]" (func $set_new (result i32)))
(import "$root" "[waitable-set-wait]" (func $set_wait (param i32 i32) (result i32)))
(import "$root" "[waitable-set-drop]" (func $set_drop (param i32)))
(import "$root" "[waitable-join]" (func $join (param i32 i32)))
"#;

/// `$wait_for` waits where an operation on a stream or a future did not end at once; `$write` and `$read` do so.
const STREAMS: &str = r#"
(func $wait_for (param $on i32) (param $code i32) (result i32)
  (local $set i32)
  (if (i32.ne (local.get $code) (i32.const -1)) (then (return (local.get $code))))
  (local.set $set (call $set_new))
  (call $join (local.get $on) (local.get $set))
  (drop (call $set_wait (local.get $set) (i32.const 608)))
  (call $join (local.get $on) (i32.const 0))
  (call $set_drop (local.get $set))
  (i32.load (i32.const 612)))
(func $write (param i32 i32 i32) (result i32)
  (call $wait_for (local.get 0) (call $write_begin (local.get 0) (local.get 1) (local.get 2))))
(func $read (param i32 i32 i32) (result i32)
  (call $wait_for (local.get 0) (call $read_begin (local.get 0) (local.get 1) (local.get 2))))
"#;

/// Where nobody writes: an `ok(none)`, or an `ok`.
const OK: &str = "(i32.const 512)";

/// An HTTP handler that goes on after it answered. `body` may use `$request` and the functions above, and `$answer`,
/// which answers with a status and returns the body's writer.
pub(crate) fn http(top: &str, body: &str) -> Vec<u8> {
    component(
        "http03",
        &format!(
            r#"(module {HTTP} {WAITING} {BASE} {REALLOC} {STREAMS}
(global $rest (mut i32) (i32.const 0))
(func $answer (param $code i32) (result i32)
  (local $body i64) (local $end i64)
  (local.set $body (call $pipe))
  (local.set $end (call $trailers))
  (global.set $rest (i32.wrap_i64 (i64.shr_u (local.get $end) (i64.const 32))))
  (call $response (call $fields) (i32.const 1) (i32.wrap_i64 (local.get $body)) (i32.wrap_i64 (local.get $end))
    (i32.const 16))
  (drop (call $status (i32.load (i32.const 16)) (local.get $code)))
  (call $return (i32.const 0) (i32.load (i32.const 16)) (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0))
  (i32.wrap_i64 (i64.shr_u (local.get $body) (i64.const 32))))
;; Ends the body.
(func $done (param $body i32)
  (call $close (local.get $body))
  (drop (call $wait_for (global.get $rest) (call $end_begin (global.get $rest) {OK}))))
{top}
(func $handle (export "[async-lift]wasi:http/handler@0.3.0#handle") (param $request i32) (result i32)
  {body} (i32.const 0))
(func (export "[callback][async-lift]wasi:http/handler@0.3.0#handle") (param i32 i32 i32) (result i32)
  (unreachable)))"#
        ),
    )
}

pub(crate) fn hello() -> Vec<u8> {
    http(
        r#"(data (i32.const 1024) "hello")"#,
        r"(local $b i32)
        (local.set $b (call $answer (i32.const 200)))
        (drop (call $write (local.get $b) (i32.const 1024) (i32.const 5)))
        (call $done (local.get $b))",
    )
}

/// Consumes the request's body; `$in` is its reader, and the trailers' stands at 20.
pub(crate) const CONSUME: &str = r"
(call $consume (local.get $request) (i32.wrap_i64 (call $read_result)) (i32.const 16))
(local.set $in (i32.load (i32.const 16)))";

/// Answers with the request's own body: no byte passes through the guest.
pub(crate) fn mirror() -> Vec<u8> {
    http(
        "",
        &format!(
            r"(local $in i32) {CONSUME}
            (call $response (call $fields) (i32.const 1) (local.get $in) (i32.load (i32.const 20)) (i32.const 24))
            (call $return (i32.const 0) (i32.load (i32.const 24)) (i32.const 0) (i64.const 0) (i32.const 0)
              (i32.const 0) (i32.const 0) (i32.const 0))"
        ),
    )
}

/// Gets `http://{authority}/` and answers with the status it got, or with 500 and the number of the error code.
pub(crate) fn gets(authority: &str) -> Vec<u8> {
    http(
        &format!(r#"(data (i32.const 1024) "{authority}") (data (i32.const 1200) "/")"#),
        &format!(
            r"(local $r i32) (local $code i32) (local $end i64)
            (local.set $end (call $trailers))
            (call $request_new (call $fields) (i32.const 0) (i32.const 0) (i32.wrap_i64 (local.get $end))
              (i32.const 0) (i32.const 0) (i32.const 128))
            (local.set $r (i32.load (i32.const 128)))
            (drop (call $end_begin (i32.wrap_i64 (i64.shr_u (local.get $end) (i64.const 32))) {OK}))
            (drop (call $set_scheme (local.get $r) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)))
            (drop (call $set_authority (local.get $r) (i32.const 1) (i32.const 1024) (i32.const {})))
            (drop (call $set_path (local.get $r) (i32.const 1) (i32.const 1200) (i32.const 1)))
            (call $send (local.get $r) (i32.const 192))
            (local.set $code (if (result i32) (i32.load8_u (i32.const 192))
              (then (i32.add (i32.const 500) (i32.load8_u (i32.const 200))))
              (else (call $got (i32.load (i32.const 200))))))
            (call $done (call $answer (local.get $code)))",
            authority.len()
        ),
    )
}

/// A command. `body` leaves 0, or 1 for a failure; `$put` writes to standard output.
pub(crate) fn command(top: &str, body: &str) -> Vec<u8> {
    component(
        "command03",
        &format!(
            r#"(module
(import "wasi:cli/stdout@0.3.0" "write-via-stream" (func $stdout (param i32) (result i32)))
(import "wasi:cli/stdout@0.3.0" "[stream-new-0]write-via-stream" (func $pipe (result i64)))
(import "wasi:cli/stdout@0.3.0" "[async-lower][stream-write-0]write-via-stream"
  (func $write_begin (param i32 i32 i32) (result i32)))
(import "wasi:cli/stdin@0.3.0" "read-via-stream" (func $stdin (param i32)))
(import "wasi:cli/stdin@0.3.0" "[async-lower][stream-read-0]read-via-stream"
  (func $read_begin (param i32 i32 i32) (result i32)))
(import "wasi:cli/environment@0.3.0" "get-environment" (func $environment (param i32)))
(import "wasi:cli/exit@0.3.0" "exit-with-code" (func $exit (param i32)))
(import "wasi:clocks/monotonic-clock@0.3.0" "wait-for" (func $wait (param i64)))
{WAITING} {BASE} {REALLOC} {STREAMS}
(global $out (mut i32) (i32.const 0))
(func $put (param $at i32) (param $len i32)
  (local $p i64)
  (if (i32.eqz (global.get $out)) (then
    (local.set $p (call $pipe))
    (drop (call $stdout (i32.wrap_i64 (local.get $p))))
    (global.set $out (i32.wrap_i64 (i64.shr_u (local.get $p) (i64.const 32))))))
  (drop (call $write (global.get $out) (local.get $at) (local.get $len))))
{top}
(func (export "wasi:cli/run@0.3.0#run") (result i32) {body}))"#
        ),
    )
}
