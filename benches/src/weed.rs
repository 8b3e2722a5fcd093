//! SeaweedFS, all of its parts in one process.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use wicket_tests::tools;

use crate::{Connection, Keys, Payload, scratch};

/// It takes seconds to start, more on a busy machine.
const START: Duration = Duration::from_secs(120);

/// A running store with a bucket `bench`. Killed when dropped.
#[derive(Debug)]
pub struct Weed {
    child: Child,
    _folder: tempfile::TempDir,
    /// Where it speaks S3: `host:port`.
    pub address: String,
    /// What it lets in.
    pub keys: Keys,
}

impl Weed {
    /// Starts one. It does not wait for the disk by default; with `fsync` the content of every object is synced before
    /// it is acknowledged (a setting of its filer; the directory entry in LevelDB is not synced in either case).
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub async fn start(fsync: bool) -> Self {
        let folder = scratch();
        let keys = Keys { access: "weedaccess".to_owned(), secret: "weedsecret".to_owned() };
        let identity = serde_json::json!({ "identities": [{
            "name": "bench",
            "credentials": [{ "accessKey": keys.access, "secretKey": keys.secret }],
            "actions": ["Admin", "Read", "List", "Tagging", "Write"],
        }] });
        std::fs::write(folder.path().join("s3.json"), identity.to_string()).expect("a file in target/");
        std::fs::create_dir(folder.path().join("data")).expect("a folder in target/");
        // Held together, so that they differ.
        let free: [TcpListener; 8] =
            std::array::from_fn(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
        let ports = free.map(|listener| listener.local_addr().expect("it is bound").port());
        let [master, volume, filer, s3, master_grpc, volume_grpc, filer_grpc, s3_grpc] = ports;
        let child = tools::weed()
            .current_dir(folder.path())
            .args(["server", "-dir=data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"])
            .args(["-s3.config=s3.json", "-volume.max=100", "-master.volumeSizeLimitMB=2000"])
            .args([format!("-master.port={master}"), format!("-master.port.grpc={master_grpc}")])
            .args([format!("-volume.port={volume}"), format!("-volume.port.grpc={volume_grpc}")])
            .args([format!("-filer.port={filer}"), format!("-filer.port.grpc={filer_grpc}")])
            .args([format!("-s3.port={s3}"), format!("-s3.port.grpc={s3_grpc}")])
            // Its two catalogs have ports of their own: a second store on this machine would not start.
            .args(["-s3.port.iceberg=0", "-s3.port.lance=0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("SeaweedFS starts");
        let mut weed = Self { child, _folder: folder, address: format!("127.0.0.1:{s3}"), keys };
        weed.ready().await;
        if fsync {
            let shell = tools::weed()
                .args(["shell", &format!("-master=127.0.0.1:{master}.{master_grpc}")])
                .args([format!("-filer=127.0.0.1:{filer}.{filer_grpc}")])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn();
            configure(shell.expect("its shell starts"));
        }
        let mut connection = Connection::open(&weed.address, &weed.keys).await;
        connection.put("/bench", &Payload::of(0)).await;
        weed
    }

    async fn ready(&mut self) {
        let end = Instant::now() + START;
        loop {
            let ended = self.child.try_wait().expect("a child can be asked");
            assert!(ended.is_none() && Instant::now() < end, "SeaweedFS does not answer: {ended:?}");
            let listens = tokio::net::TcpStream::connect(&self.address).await.is_ok();
            if listens && Connection::open(&self.address, &self.keys).await.answers().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

fn configure(mut shell: Child) {
    let mut stdin = shell.stdin.take().expect("piped");
    stdin
        .write_all(b"fs.configure -locationPrefix=/buckets/ -fsync -apply\nexit\n")
        .expect("the shell reads");
    drop(stdin);
    let output = shell.wait_with_output().expect("the shell ends");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("\"fsync\":"), "SeaweedFS did not take the setting: {said}");
}

impl Drop for Weed {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _status = self.child.wait();
    }
}
