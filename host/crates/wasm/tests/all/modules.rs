//! Modules: stored, checked, compiled, kept.

use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use wicket_config::ByteSize;
use wicket_wasm::{Compiler, FileError, ModuleError, Shape, WasmExecutor, inspect};

use crate::guests;
use crate::kit::{CHILD_MARK, Kit, config, deployment, digest, module, service, stream};

impl Kit {
    fn artefacts(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.dir.path().join("cache")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "cwasm")).collect()
    }

    /// The same folders, as after a restart.
    fn again(self, key: [u8; 32]) -> Self {
        let Self { executor, dir } = self;
        drop(executor);
        let config = wicket_wasm::WasmConfig { cache_key: key, ..config(dir.path()) };
        Self { executor: WasmExecutor::start(config).unwrap(), dir }
    }
}

/// Files of a folder that are not complete.
fn drafts(dir: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(".tmp")).collect()
}

#[tokio::test]
async fn a_module_is_stored_under_the_digest_of_its_bytes_only() {
    let kit = Kit::start();
    let hello = guests::hello();
    let wrong = digest(b"other");
    let refused = kit.executor.store_module(&wrong, stream(hello.clone()), ByteSize::mib(1)).await;
    assert!(matches!(refused, Err(FileError::Digest { .. })));
    assert!(!kit.executor.has_module(&wrong).await);
    let right = digest(&hello);
    let refused = kit.executor.store_module(&right, stream(hello.clone()), ByteSize(100)).await;
    assert!(matches!(refused, Err(FileError::TooLarge { .. })));
    let stored = kit.executor.store_module(&right, stream(hello.clone()), ByteSize::mib(1)).await.unwrap();
    assert!(stored.new);
    let again = kit.executor.store_module(&right, stream(hello), ByteSize::mib(1)).await.unwrap();
    assert!(!again.new);
    assert_eq!(kit.executor.modules().await.unwrap().len(), 1);
    assert!(kit.executor.remove_module(&right).await.unwrap());
    assert!(!kit.executor.remove_module(&right).await.unwrap());
}

#[test]
fn inspection_tells_shape_imports_and_needs() {
    let hello = inspect(&guests::hello()).unwrap();
    assert_eq!(hello.shape, Shape::Http);
    assert_eq!(hello.exports, ["wasi:http/incoming-handler@0.2.0"]);
    assert!(hello.imports.contains(&"wasi:http/types@0.2.0".to_owned()));
    assert_eq!(inspect(&guests::preview1("", "")).unwrap().shape, Shape::Preview1);
    assert_eq!(inspect(&guests::event("", "(i32.const 0)")).unwrap().shape, Shape::Event);
    let calls = guests::http("", "(call $send (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))");
    assert!(inspect(&calls).unwrap().needs.iter().any(|need| need.contains("grants.http")));
    let lists = guests::component(
        "reader",
        r#"(module
        (import "wicketgate:function/buckets@0.1.0" "open" (func (param i32 i32 i32 i32 i32)))
        (memory (export "memory") 1)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (unreachable))
        (func (export "wasi:cli/run@0.2.0#run") (result i32) (i32.const 0)))"#,
    );
    assert!(inspect(&lists).unwrap().needs.iter().any(|need| need.contains("grants.read_buckets")));
    let near = wat::parse_str(r#"(module (func (export "_start_later")))"#).unwrap();
    assert!(matches!(inspect(&near), Err(ModuleError::NoShape(_))));
}

#[tokio::test]
async fn what_cannot_run_is_refused_with_its_reason() {
    let kit = Kit::start();
    let hello = guests::hello();
    let cases: [(Vec<u8>, &str); 8] = [
        (Vec::new(), "malformed"),
        (b"#!/bin/sh\n".to_vec(), "malformed"),
        (b"\0asm\x09\0\0\0".to_vec(), "malformed"),
        (hello[..hello.len() / 2].to_vec(), "malformed"),
        (wat::parse_str("(module)").unwrap(), "exports no"),
        (wat::parse_str("(component)").unwrap(), "exports no"),
        (
            wat::parse_str(r#"(module (import "env" "magic" (func)) (func (export "_start")))"#).unwrap(),
            "imports env::magic, which this host does not grant",
        ),
        (
            guests::component(
                "strange",
                r#"(module (import "wasi:keyvalue/store@0.2.0" "get" (func $get (result i32)))
                (func (export "wasi:cli/run@0.2.0#run") (result i32) (call $get)))"#,
            ),
            "imports wasi:keyvalue/store@0.2.0, which this host does not grant",
        ),
    ];
    for (wasm, expected) in cases {
        let error = kit.refusal(wasm).await.to_string();
        assert!(error.contains(expected), "{error}");
    }
    let missing = kit.executor.prepare(&digest(b"nowhere")).await.unwrap_err();
    assert!(matches!(missing, ModuleError::Missing(_)));
}

#[tokio::test]
async fn bytes_changed_anywhere_are_an_error_and_no_crash() {
    let kit = Kit::start();
    let hello = guests::hello();
    for at in (8..hello.len()).step_by(97) {
        let mut broken = hello.clone();
        broken[at] ^= 0x55;
        // Some changes are harmless: a name, a constant.
        drop(inspect(&broken));
        let service = service(kit.upload(broken).await);
        drop(kit.executor.prepare(module(&service)).await);
    }
    let works = kit.deploy(hello).await;
    assert_eq!(kit.get(&works).await.0.unwrap().0, 200);
}

#[tokio::test]
async fn a_compile_bomb_ends_at_its_limits_and_leaves_the_host_alone() {
    let dir = tempfile::tempdir().unwrap();
    let limited = wicket_wasm::WasmConfig {
        compile_memory: ByteSize::mib(300),
        compile_time: std::time::Duration::from_secs(3),
        ..config(dir.path())
    };
    let kit = Kit { executor: WasmExecutor::start(limited).unwrap(), dir };
    // One function of very many blocks.
    let blocks = "(if (local.get 0) (then (local.set 0 (call $f (local.get 0)))))".repeat(150_000);
    let bomb = format!(
        r#"(module (func $f (param i32) (result i32) {blocks} (local.get 0)) (func (export "_start")))"#
    );
    let error = kit.refusal(wat::parse_str(bomb).unwrap()).await;
    assert!(matches!(error, ModuleError::Compile(_) | ModuleError::Malformed(_)), "{error}");
    let works = kit.deploy(guests::hello()).await;
    assert_eq!(kit.get(&works).await.0.unwrap().0, 200);
}

#[tokio::test]
async fn a_compiler_that_is_killed_may_have_had_too_little_memory() {
    let dir = tempfile::tempdir().unwrap();
    let compiler = Compiler { program: "/bin/sh".into(), args: vec!["-c".into(), "kill -9 $$".into()] };
    let killed = wicket_wasm::WasmConfig { compiler, ..config(dir.path()) };
    let kit = Kit { executor: WasmExecutor::start(killed).unwrap(), dir };
    let error = kit.refusal(guests::hello()).await.to_string();
    assert!(error.contains("short of memory"), "{error}");
}

#[tokio::test]
async fn a_restart_loads_what_was_compiled_before() {
    let kit = Kit::start();
    let hello = kit.deploy(guests::hello()).await;
    let written = std::fs::metadata(&kit.artefacts()[0]).unwrap().modified().unwrap();
    let kit = kit.again([7; 32]);
    assert_eq!(kit.executor.stats().loaded, 0);
    assert_eq!(kit.get(&hello).await.0.unwrap().0, 200);
    assert_eq!(std::fs::metadata(&kit.artefacts()[0]).unwrap().modified().unwrap(), written);
}

#[tokio::test]
async fn what_an_earlier_host_left_unfinished_is_removed_at_the_start() {
    let kit = Kit::start();
    let hello = kit.deploy(guests::hello()).await;
    let [modules, cache] = ["modules", "cache"].map(|name| kit.dir.path().join(name));
    // An upload and a compile that never end, and a process that dies with them: nobody cleans up.
    let never = Box::pin(
        futures::stream::once(async { Ok(guests::hello().into()) }).chain(futures::stream::pending()),
    );
    let module = digest(b"another");
    let mut upload = Box::pin(kit.executor.store_module(&module, never, ByteSize::mib(1)));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while drafts(&modules).is_empty() {
        assert!(std::time::Instant::now() < deadline, "no upload begins");
        let _ = futures::poll!(&mut upload);
        tokio::task::yield_now().await;
    }
    std::mem::forget(upload);
    let draft = drafts(&modules).remove(0);
    std::fs::copy(&draft, cache.join(draft.file_name().unwrap())).unwrap();
    let kit = kit.again([7; 32]);
    assert!(drafts(&modules).is_empty() && drafts(&cache).is_empty());
    assert_eq!(kit.get(&hello).await.0.unwrap().0, 200);
}

#[tokio::test]
async fn an_altered_or_foreign_artefact_is_compiled_again() {
    let kit = Kit::start();
    let hello = kit.deploy(guests::hello()).await;
    let path = kit.artefacts().remove(0);
    let good = std::fs::read(&path).unwrap();
    let mut altered = good.clone();
    let middle = altered.len() / 2;
    altered[middle] ^= 1;
    std::fs::write(&path, &altered).unwrap();
    let kit = kit.again([7; 32]);
    assert_eq!(kit.get(&hello).await.0.unwrap().0, 200);
    assert!(std::fs::read(&path).unwrap() != altered, "it was kept");
    // A host with another key believes neither file.
    let signature = path.with_extension("mac");
    let before = std::fs::read(&signature).unwrap();
    let kit = kit.again([8; 32]);
    assert_eq!(kit.get(&hello).await.0.unwrap().0, 200);
    assert!(std::fs::read(&signature).unwrap() != before);
    // Another module's file under this one's name.
    let other = kit.deploy(guests::preview1("", "")).await;
    let others = kit.artefacts().into_iter().find(|one| *one != path).unwrap();
    std::fs::copy(others.with_extension("mac"), &signature).unwrap();
    std::fs::copy(&others, &path).unwrap();
    let kit = kit.again([8; 32]);
    assert_eq!(kit.get(&hello).await.0.unwrap().0, 200);
    assert!(kit.run(&other).await.report.result.is_ok());
}

#[tokio::test]
async fn another_engine_compiles_again_and_clears_away_what_the_old_one_made() {
    let kit = Kit::start();
    let hello = kit.deploy(guests::hello()).await;
    // What a host before an upgrade left: the same module, for an engine of another name.
    let path = kit.artefacts().remove(0);
    let digest = module(&hello.service).as_str();
    for extension in ["cwasm", "mac"] {
        let old = path.with_file_name(format!("{digest}-0000000000000000.{extension}"));
        std::fs::rename(path.with_extension(extension), old).unwrap();
    }
    let kit = kit.again([7; 32]);
    assert_eq!(kit.get(&hello).await.0.unwrap().0, 200);
    assert_eq!(kit.artefacts(), [path]);
    assert!(kit.executor.remove_module(module(&hello.service)).await.unwrap());
    assert!(kit.artefacts().is_empty());
}

#[tokio::test]
async fn a_module_that_was_altered_on_disk_is_not_compiled() {
    let kit = Kit::start();
    let digest = kit.upload(guests::hello()).await;
    std::fs::write(kit.dir.path().join(format!("modules/{digest}.wasm")), guests::preview1("", "")).unwrap();
    let error = kit.executor.prepare(&digest).await.unwrap_err();
    assert!(matches!(error, ModuleError::File(FileError::Digest { .. })), "{error}");
}

/// Runs a test of this binary in a process with so many KiB of address space.
fn with_address_space(kib: u64, test: &str) -> String {
    let binary = std::env::current_exe().unwrap();
    let command = format!(
        "ulimit -v {kib}; exec '{}' --exact {test} --nocapture --skip {CHILD_MARK}",
        binary.display()
    );
    let output = std::process::Command::new("sh").args(["-c", &command]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[test]
fn where_address_space_is_short_the_pool_is_smaller_or_there_is_none_and_that_is_said() {
    for (kib, expected) in [(14 << 20, "16 instances"), (3 << 20, "0 instances")] {
        let said = with_address_space(kib, "modules::the_host_with_little_room");
        assert!(said.contains(expected) && said.contains("a pool of 50 instances was refused"), "{said}");
    }
}

/// Not a test by itself: see above.
#[tokio::test]
async fn the_host_with_little_room() {
    if !std::env::args().any(|arg| arg == CHILD_MARK) {
        return;
    }
    let kit = Kit::start();
    let pool = kit.executor.stats().pool;
    #[expect(clippy::print_stdout, reason = "the test that started this process reads it")]
    {
        println!("{} instances: {}", pool.instances, pool.fallback.unwrap());
    }
    for guest in [guests::hello(), crate::guests03::hello()] {
        let hello = kit.deploy(guest).await;
        for _ in 0..30 {
            assert_eq!(kit.get(&hello).await.0.unwrap().0, 200);
        }
    }
}

#[tokio::test]
async fn idle_modules_make_room_and_come_back_when_called() {
    let dir = tempfile::tempdir().unwrap();
    let few = wicket_wasm::WasmConfig { loaded_modules: 2, ..config(dir.path()) };
    let kit = Kit { executor: WasmExecutor::start(few).unwrap(), dir };
    let mut all = Vec::new();
    for n in 0..4 {
        let code = format!("(call $exit (i32.const {n}))");
        all.push(kit.deploy(guests::preview1("", &code)).await);
    }
    assert_eq!(kit.executor.stats().loaded, 2);
    for deployment in &all {
        kit.run(deployment).await;
    }
    assert_eq!(kit.executor.stats().loaded, 2);
    let run = kit.run(&all[3]).await;
    assert_eq!(run.failure().to_string(), "the function failed: exit status 3");
}

#[tokio::test]
async fn a_module_that_comes_back_is_not_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let one = wicket_wasm::WasmConfig { loaded_modules: 1, ..config(dir.path()) };
    let kit = Kit { executor: WasmExecutor::start(one).unwrap(), dir };
    let hello = kit.deploy(guests::hello()).await;
    kit.deploy(guests::preview1("", "")).await;
    // What it is and what was compiled of it is known; its bytes serve for nothing else.
    std::fs::remove_file(kit.dir.path().join(format!("modules/{}.wasm", module(&hello.service)))).unwrap();
    assert_eq!(kit.get(&hello).await.0.unwrap().0, 200);
}

#[tokio::test]
async fn what_is_compiled_already_does_not_wait_for_compiles() {
    let kit = Kit::start();
    let hello = kit.deploy(guests::hello()).await;
    let Kit { executor, dir } = kit;
    drop(executor);
    // A compiler that does not come to an end.
    let compiler = Compiler { program: "/bin/sleep".into(), args: vec!["60".into()] };
    let stuck = wicket_wasm::WasmConfig { compiler, ..config(dir.path()) };
    let kit = Kit { executor: WasmExecutor::start(stuck).unwrap(), dir };
    let mut others = Vec::new();
    for n in 0..5 {
        let code = format!("(call $exit (i32.const {n}))");
        others.push(service(kit.upload(guests::preview1("", &code)).await));
    }
    let cache = kit.dir.path().join("cache");
    let compiles = futures::future::join_all(others.iter().map(|one| kit.executor.prepare(module(one))));
    let loads = async {
        // When two compiles have begun, and the others wait for them.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while drafts(&cache).len() < 2 {
            assert!(std::time::Instant::now() < deadline, "no compile begins");
            tokio::task::yield_now().await;
        }
        tokio::time::timeout(std::time::Duration::from_secs(10), kit.get(&hello)).await.expect("an answer")
    };
    tokio::select! {
        biased;
        _ = compiles => panic!("the compiler came to an end"),
        loaded = loads => assert_eq!(loaded.0.unwrap().0, 200),
    }
}

#[tokio::test]
async fn the_wrong_shape_for_an_http_trigger_is_said() {
    let kit = Kit::start();
    let command = deployment(service(kit.upload(guests::preview1("", "")).await));
    let (answer, _) = kit.get(&command).await;
    assert!(answer.unwrap_err().contains("no HTTP handler"));
}
