//! Instances that are kept for another request.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use wicket_config::{ByteSize, Service};
use wicket_wasm::{WasmConfig, WasmExecutor};

use crate::egress::{Server, granting};
use crate::guests;
use crate::kit::{Kit, body, config, deployment};

/// The number of `connection-limit-reached`, and 500.
const CONNECTION_LIMIT: u16 = 511;

fn reused(service: &mut Service) {
    service.instance_reuse = 100;
}

/// Answers with 200 and the number of the call; `also` runs before.
fn counts(also: &str) -> Vec<u8> {
    guests::http(
        "(global $n (mut i32) (i32.const 0))",
        &format!(
            "(global.set $n (i32.add (global.get $n) (i32.const 1))) {also}
            (call $done (call $answer (local.get $out) (i32.add (i32.const 200) (global.get $n))))"
        ),
    )
}

async fn status(kit: &Kit, guest: &Arc<wicket_core::Deployment>) -> u16 {
    kit.get(guest).await.0.unwrap().0
}

#[tokio::test]
async fn an_instance_serves_as_many_requests_as_its_service_asked_for() {
    let kit = Kit::start();
    let counts = guests::http(
        r#"(global $n (mut i32) (i32.const 0)) (data (i32.const 1024) "line\\n")"#,
        r"(global.set $n (i32.add (global.get $n) (i32.const 1)))
        (call $flush (call $stderr) (i32.const 1024) (i32.const 5) (i32.const 64))
        (if (i32.eq (global.get $n) (i32.const 9)) (then unreachable))
        (call $done (call $answer (local.get $out) (i32.add (i32.const 200) (global.get $n))))",
    );
    let statuses = async |reuse, calls| {
        let counts = kit.deploy_with(counts.clone(), |service| service.instance_reuse = reuse).await;
        let mut statuses = Vec::new();
        for _ in 0..calls {
            let (answer, report, log) = kit.call(&counts, body("")).await;
            statuses.push(answer.map_or(0, |answer| answer.status().as_u16()));
            assert!(report.await.unwrap().usage.cpu_us > 0);
            // Each call's lines are its own.
            assert_eq!(log.take().lines.len(), 1, "{statuses:?}");
        }
        statuses
    };
    assert_eq!(statuses(1, 3).await, [201, 201, 201]);
    assert_eq!(statuses(3, 7).await, [201, 202, 203, 201, 202, 203, 201]);
    // One that trapped is not used again.
    assert_eq!(statuses(100, 10).await, [201, 202, 203, 204, 205, 206, 207, 208, 0, 201]);
}

#[tokio::test]
async fn instances_that_wait_make_way_for_others() {
    let kit = Kit::start();
    let mut all = Vec::new();
    for _ in 0..60 {
        // Each is another deployment, so none takes another's instance; the pool has 50 places.
        all.push(kit.deploy_with(guests::hello(), |service| service.instance_reuse = 2).await);
        assert_eq!(kit.get(all.last().unwrap()).await.0.unwrap().0, 200);
    }
}

#[tokio::test]
async fn another_version_of_a_service_gets_an_instance_of_its_own() {
    let kit = Kit::start();
    let first = kit.deploy_with(counts(""), reused).await;
    assert_eq!((status(&kit, &first).await, status(&kit, &first).await), (201, 202));
    // The same module and the same name: another secret, or another grant, may be all that differs.
    let second = deployment(first.service.clone());
    assert_eq!((status(&kit, &second).await, status(&kit, &first).await), (201, 203));
}

#[tokio::test]
async fn a_kept_instance_has_new_time_and_the_memory_it_has() {
    let kit = Kit::start();
    let grows = counts(
        "(drop (memory.grow (i32.const 50)))
        (local.set $request (i32.const 20000000))
        (loop $l (br_if $l (local.tee $request (i32.sub (local.get $request) (i32.const 1)))))",
    );
    let grows = kit.deploy_with(grows, reused).await;
    let (mut cpu, mut peaks) = (0, Vec::new());
    for call in 1..=8 {
        let (answer, report) = kit.get(&grows).await;
        assert_eq!(answer.unwrap().0, 200 + call);
        cpu += report.usage.cpu_us;
        peaks.push(report.usage.peak_memory >> 16);
    }
    // 256 pages is its limit; a refused growth is no end.
    assert_eq!(peaks, [52, 102, 152, 202, 252, 252, 252, 252]);
    assert!(cpu > 10_000, "{cpu}");
}

#[tokio::test]
async fn a_guest_that_keeps_its_body_open_is_not_kept() {
    let kit = Kit::start();
    let open = counts(
        "(if (i32.eq (global.get $n) (i32.const 2)) (then (drop (call $answer (local.get $out) (i32.const 299))) (return)))",
    );
    let open = kit.deploy_with(open, reused).await;
    let mut all = Vec::new();
    for _ in 0..4 {
        all.push(status(&kit, &open).await);
    }
    assert_eq!(all, [201, 299, 201, 299]);
}

async fn kit_with(edit: impl FnOnce(&mut WasmConfig)) -> Kit {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    edit(&mut config);
    Kit { executor: WasmExecutor::start(config).unwrap(), dir }
}

#[tokio::test]
async fn instances_are_let_go_when_nobody_asks_for_them() {
    let kit = kit_with(|config| config.idle_time = Duration::from_millis(50)).await;
    let counts = kit.deploy_with(counts(""), reused).await;
    for _ in 0..3 {
        assert_eq!(status(&kit, &counts).await, 201);
        assert_eq!((kit.executor.stats().instances, kit.executor.stats().idle), (1, 1));
        let deadline = std::time::Instant::now() + Duration::from_secs(5);
        while kit.executor.stats().instances > 0 {
            assert!(std::time::Instant::now() < deadline, "it is still there");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn kept_instances_are_bounded_in_number_and_in_memory() {
    let kit = kit_with(|config| config.idle_instances = 3).await;
    let sleeps = counts("(call $block (call $after (i64.const 20000000)))");
    let sleeps = kit.deploy_with(sleeps, reused).await;
    join_all((0..8).map(|_| kit.get(&sleeps))).await;
    assert_eq!(kit.executor.stats().idle, 3);
    let kit = kit_with(|config| config.idle_memory = ByteSize::mib(10)).await;
    let large = kit.deploy_with(counts("(drop (memory.grow (i32.const 62)))"), reused).await;
    let more = kit
        .deploy_with(counts("(drop (memory.grow (i32.const 62)))"), |service| service.instance_reuse = 99)
        .await;
    let most = kit.deploy_with(counts("(drop (memory.grow (i32.const 200)))"), reused).await;
    for (guest, idle) in [(&large, 1), (&more, 2), (&large, 1), (&most, 0)] {
        assert!(kit.get(guest).await.0.is_ok());
        assert_eq!(kit.executor.stats().idle, idle);
    }
}

#[tokio::test]
async fn one_that_comes_back_gives_its_place_to_a_call_that_waits() {
    let kit = kit_with(|config| {
        config.max_instances = 1;
        config.queue_wait = Duration::from_secs(4);
    })
    .await;
    let sleeps = kit.deploy_with(counts("(call $block (call $after (i64.const 100000000)))"), reused).await;
    let hello = kit.deploy(guests::hello()).await;
    let began = std::time::Instant::now();
    let (first, second) = tokio::join!(status(&kit, &sleeps), status(&kit, &hello));
    assert_eq!((first, second), (201, 200));
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_client_that_leaves_takes_the_kept_instance_with_it() {
    let kit = Kit::start();
    let waits = counts(
        "(if (i32.eq (global.get $n) (i32.const 2)) (then (call $block (call $after (i64.const 3600000000000)))))",
    );
    let waits = kit.deploy_with(waits, reused).await;
    assert_eq!(status(&kit, &waits).await, 201);
    let gone = tokio::time::timeout(Duration::from_millis(50), kit.call(&waits, body(""))).await;
    assert!(gone.is_err());
    kit.empty().await;
    assert_eq!(status(&kit, &waits).await, 201);
}

#[tokio::test]
async fn what_an_earlier_call_left_open_outside_counts_for_the_next() {
    let (kit, server) = (Kit::start(), Server::saying("").await);
    let at = format!("127.0.0.1:{}", server.port);
    // Sends a request at each call and leaves it; at the third, which is over the limit, it looks what came of it.
    let leaves = guests::http(
        &format!(
            r#"(global $n (mut i32) (i32.const 0)) (data (i32.const 1024) "{at}") (data (i32.const 1200) "/")"#
        ),
        &format!(
            r"(local $r i32)
            (global.set $n (i32.add (global.get $n) (i32.const 1)))
            (local.set $r (call $outgoing (call $fields)))
            (drop (call $set_scheme (local.get $r) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)))
            (drop (call $set_authority (local.get $r) (i32.const 1) (i32.const 1024) (i32.const {})))
            (drop (call $set_path (local.get $r) (i32.const 1) (i32.const 1200) (i32.const 1)))
            (call $send (local.get $r) (i32.const 0) (i32.const 0) (i32.const 128))
            (if (i32.lt_u (global.get $n) (i32.const 3)) (then
              (call $done (call $answer (local.get $out) (i32.add (i32.const 200) (global.get $n)))) (return)))
            (local.set $r (i32.load (i32.const 136)))
            (call $block (call $subscribe (local.get $r)))
            (call $get (local.get $r) (i32.const 192))
            (call $done (call $answer (local.get $out)
              (i32.add (i32.const 500) (i32.load8_u (i32.const 216)))))",
            at.len()
        ),
    );
    let leaves = kit
        .deploy_with(leaves, |service| {
            granting(vec![at], &["127.0.0.1/32"])(service);
            reused(service);
        })
        .await;
    for expected in [201, 202, CONNECTION_LIMIT] {
        assert_eq!(status(&kit, &leaves).await, expected);
    }
}

#[tokio::test]
async fn a_drained_executor_keeps_none() {
    let kit = Kit::start();
    let counts = kit.deploy_with(counts(""), reused).await;
    assert_eq!((status(&kit, &counts).await, kit.executor.stats().idle), (201, 1));
    kit.executor.drain().await;
    assert_eq!((kit.executor.stats().instances, kit.executor.stats().idle), (0, 0));
}
