//! The endpoint by itself, to try clients on: `endpoint FOLDER [ADDRESS]`, keys `access` and `secret`.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use wicket_buckets::{Keys, LocalBuckets, PART, S3Endpoint};
use wicket_core::Event;
use wicket_store::{Announce, Store, StoreError, Tx};

/// Nobody listens to what is uploaded.
#[derive(Debug)]
struct Nobody;

impl Announce for Nobody {
    fn created(&self, _: &mut Tx<'_>, _: &Event) -> Result<(), StoreError> {
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let folder = PathBuf::from(args.next().ok_or("usage: endpoint FOLDER [ADDRESS]")?);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:0".to_owned());
    std::fs::create_dir_all(&folder)?;
    let store = Store::open(&folder.join("wicket.db"), &[PART])?;
    let buckets = LocalBuckets::open(store.clone(), &folder.join("objects"), Arc::new(Nobody)).await?;
    buckets.sweep().await?;
    let listener = tokio::net::TcpListener::bind(address).await?;
    writeln!(std::io::stdout(), "http://{}", listener.local_addr()?)?;
    let stop = CancellationToken::new();
    let serving = S3Endpoint::new(buckets, Keys::new("access", "secret")).serve(listener, stop.clone());
    let interrupted = async {
        // An error: there is no signal to wait for, so it runs until it is killed.
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.cancel();
        }
    };
    tokio::join!(serving, interrupted);
    store.close().await;
    Ok(())
}
