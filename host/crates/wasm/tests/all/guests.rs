//! Guests, written by hand: small core modules, made into components of the test worlds.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// A component of one of the worlds in `guest.wit`.
pub(crate) fn component(world: &str, core: &str) -> Vec<u8> {
    let mut module = wat::parse_str(core).unwrap();
    let mut resolve = Resolve::default();
    resolve.push_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../guest-sdk/wit")).unwrap();
    let tests = resolve.push_str("guest.wit", include_str!("guest.wit")).unwrap();
    let world = resolve.select_world(&[tests], Some(world)).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
}

/// A memory, a bump allocator, and `$say`, which writes to a stream.
pub(crate) const BASE: &str = r#"
(memory (export "memory") 2)
(global $top (mut i32) (i32.const 4096))
(func $alloc (param i32 i32 i32 i32) (result i32)
  (global.set $top (i32.and (i32.add (global.get $top) (i32.const 15)) (i32.const -16)))
  (global.get $top)
  (global.set $top (i32.add (global.get $top) (local.get 3))))
"#;
pub(crate) const REALLOC: &str = r#"(export "cabi_realloc" (func $alloc))"#;

/// An HTTP handler. `body` may use `$request` and `$out`, and the functions below; `top` is put at the module's top.
pub(crate) fn http(top: &str, body: &str) -> Vec<u8> {
    http_with(REALLOC, top, body)
}

pub(crate) fn http_with(realloc: &str, top: &str, body: &str) -> Vec<u8> {
    component(
        "http",
        &format!(
            r#"(module
(import "wasi:http/types@0.2.0" "[constructor]fields" (func $fields (result i32)))
(import "wasi:http/types@0.2.0" "[method]fields.append" (func $append (param i32 i32 i32 i32 i32 i32)))
(import "wasi:http/types@0.2.0" "[constructor]outgoing-response" (func $response (param i32) (result i32)))
(import "wasi:http/types@0.2.0" "[method]outgoing-response.set-status-code" (func $status (param i32 i32) (result i32)))
(import "wasi:http/types@0.2.0" "[method]outgoing-response.body" (func $body (param i32 i32)))
(import "wasi:http/types@0.2.0" "[method]outgoing-body.write" (func $write (param i32 i32)))
(import "wasi:http/types@0.2.0" "[static]outgoing-body.finish" (func $finish (param i32 i32 i32 i32)))
(import "wasi:http/types@0.2.0" "[static]response-outparam.set"
  (func $set (param i32 i32 i32 i32 i64 i32 i32 i32 i32)))
(import "wasi:http/types@0.2.0" "[method]incoming-request.consume" (func $consume (param i32 i32)))
(import "wasi:http/types@0.2.0" "[method]incoming-body.stream" (func $stream (param i32 i32)))
(import "wasi:http/types@0.2.0" "[constructor]outgoing-request" (func $outgoing (param i32) (result i32)))
(import "wasi:http/types@0.2.0" "[method]outgoing-request.set-scheme"
  (func $set_scheme (param i32 i32 i32 i32 i32) (result i32)))
(import "wasi:http/types@0.2.0" "[method]outgoing-request.set-authority"
  (func $set_authority (param i32 i32 i32 i32) (result i32)))
(import "wasi:http/types@0.2.0" "[method]outgoing-request.set-path-with-query"
  (func $set_path (param i32 i32 i32 i32) (result i32)))
(import "wasi:http/types@0.2.0" "[method]future-incoming-response.subscribe" (func $subscribe (param i32) (result i32)))
(import "wasi:http/types@0.2.0" "[method]future-incoming-response.get" (func $get (param i32 i32)))
(import "wasi:http/types@0.2.0" "[method]incoming-response.status" (func $got (param i32) (result i32)))
(import "wasi:http/outgoing-handler@0.2.0" "handle" (func $send (param i32 i32 i32 i32)))
(import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush"
  (func $flush (param i32 i32 i32 i32)))
(import "wasi:io/streams@0.2.0" "[method]input-stream.blocking-read" (func $read (param i32 i64 i32)))
(import "wasi:io/streams@0.2.0" "[resource-drop]output-stream" (func $drop_stream (param i32)))
(import "wasi:http/types@0.2.0" "[resource-drop]outgoing-body" (func $drop_body (param i32)))
(import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))
(import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $after (param i64) (result i32)))
(import "wasi:random/random@0.2.0" "get-random-bytes" (func $random (param i64 i32)))
(import "wasi:cli/stderr@0.2.0" "get-stderr" (func $stderr (result i32)))
{BASE}
{realloc}
(global $said (mut i32) (i32.const 0))
;; Answers with a status; the body's stream stays open and is returned.
(func $answer (param $out i32) (param $code i32) (result i32)
  (local $r i32)
  (local.set $r (call $response (call $fields)))
  (drop (call $status (local.get $r) (local.get $code)))
  (call $body (local.get $r) (i32.const 16))
  (global.set $said (i32.load (i32.const 20)))
  (call $set (local.get $out) (i32.const 0) (local.get $r) (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0))
  (call $write (global.get $said) (i32.const 16))
  (i32.load (i32.const 20)))
(func $done (param $stream i32)
  (call $drop_stream (local.get $stream))
  (call $finish (global.get $said) (i32.const 0) (i32.const 0) (i32.const 64)))
{top}
(func $handle (param $request i32) (param $out i32) {body})
(export "wasi:http/incoming-handler@0.2.0#handle" (func $handle)))"#
        ),
    )
}

/// Gets `http://{authority}/` and answers with the status it got, or with 500 and the number of the error code.
pub(crate) fn gets(authority: &str) -> Vec<u8> {
    http(
        &format!(r#"(data (i32.const 1024) "{authority}") (data (i32.const 1200) "/")"#),
        &format!(
            r"(local $r i32) (local $code i32)
            (local.set $r (call $outgoing (call $fields)))
            (drop (call $set_scheme (local.get $r) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)))
            (drop (call $set_authority (local.get $r) (i32.const 1) (i32.const 1024) (i32.const {})))
            (drop (call $set_path (local.get $r) (i32.const 1) (i32.const 1200) (i32.const 1)))
            (call $send (local.get $r) (i32.const 0) (i32.const 0) (i32.const 128))
            (local.set $r (i32.load (i32.const 136)))
            (call $block (call $subscribe (local.get $r)))
            (call $get (local.get $r) (i32.const 192))
            (local.set $code (if (result i32) (i32.load8_u (i32.const 208))
              (then (i32.add (i32.const 500) (i32.load8_u (i32.const 216))))
              (else (call $got (i32.load (i32.const 216))))))
            (call $done (call $answer (local.get $out) (local.get $code)))",
            authority.len()
        ),
    )
}

/// Answers `hello` to everything.
pub(crate) fn hello() -> Vec<u8> {
    http(
        r#"(data (i32.const 1024) "hello")"#,
        r"(local $s i32)
        (local.set $s (call $answer (local.get $out) (i32.const 200)))
        (call $flush (local.get $s) (i32.const 1024) (i32.const 5) (i32.const 64))
        (call $done (local.get $s))",
    )
}

/// A preview-1 module.
pub(crate) fn preview1(top: &str, body: &str) -> Vec<u8> {
    wat::parse_str(format!(
        r#"(module
(import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
(import "wasi_snapshot_preview1" "path_open"
  (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "path_symlink" (func $path_symlink (param i32 i32 i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "path_create_directory" (func $mkdir (param i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "path_unlink_file" (func $unlink (param i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
(memory (export "memory") 2)
;; Writes bytes to a descriptor.
(func $put (param $fd i32) (param $at i32) (param $len i32)
  (i32.store (i32.const 0) (local.get $at))
  (i32.store (i32.const 4) (local.get $len))
  (drop (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))
;; Opens a path below a preopened folder: to read, or (flags 1) to create and write. The descriptor, or -1.
(func $open (param $dir i32) (param $at i32) (param $len i32) (param $flags i32) (result i32)
  (if (result i32) (call $path_open (local.get $dir) (i32.const 0) (local.get $at) (local.get $len) (local.get $flags)
      (select (i64.const 0x40) (i64.const 2) (local.get $flags)) (i64.const 0) (i32.const 0) (i32.const 12))
    (then (i32.const -1))
    (else (i32.load (i32.const 12)))))
;; Bytes read from a descriptor to an address.
(func $take (param $fd i32) (param $at i32) (param $len i32) (result i32)
  (i32.store (i32.const 0) (local.get $at))
  (i32.store (i32.const 4) (local.get $len))
  (drop (call $fd_read (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
  (i32.load (i32.const 8)))
{top}
(func $main (export "_start") {body}))"#
    ))
    .unwrap()
}

/// An event handler; `body` leaves the address of its result.
pub(crate) fn event(top: &str, body: &str) -> Vec<u8> {
    component(
        "event",
        &format!(
            r#"(module
(import "wicketgate:function/types@0.1.0" "[method]object.read" (func $read (param i32 i32 i32)))
(import "wicketgate:function/types@0.1.0" "[method]object.key" (func $key (param i32 i32)))
(import "wicketgate:function/types@0.1.0" "[method]object.content-type" (func $type (param i32 i32)))
(import "wicketgate:function/outputs@0.1.0" "[constructor]output"
  (func $output (param i32 i32 i32 i32 i32) (result i32)))
(import "wicketgate:function/outputs@0.1.0" "[method]output.write" (func $write (param i32 i32 i32 i32)))
(import "wicketgate:function/outputs@0.1.0" "[method]output.finish" (func $finish (param i32 i32)))
(import "wicketgate:function/log@0.1.0" "line" (func $log (param i32 i32 i32)))
{BASE}
{REALLOC}
{top}
(func $handle (param $args i32) (result i32) {body})
(export "wicketgate:function/handler@0.1.0#handle" (func $handle)))"#
        ),
    )
}
