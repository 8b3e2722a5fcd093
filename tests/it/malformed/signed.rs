//! A request for the buckets that is signed as it should be, whatever else is wrong with it.

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use wicket_tests::TestHost;

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key will do");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A whole request: `target` is a path and a query whose parameters are sorted and encoded as in a signature.
pub(super) fn request(
    host: &TestHost,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Vec<u8> {
    let keys = std::fs::read_to_string(host.data().join("s3-keys.json")).expect("the host wrote its keys");
    let keys: serde_json::Value = serde_json::from_str(&keys).expect("keys are JSON");
    let key = |name: &str| keys[name].as_str().expect("a key").to_owned();
    let now = time::OffsetDateTime::now_utc();
    let date = format!("{:04}{:02}{:02}", now.year(), u8::from(now.month()), now.day());
    let time = format!("{date}T{:02}{:02}{:02}Z", now.hour(), now.minute(), now.second());
    let address = host.s3.trim_start_matches("http://");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let names = "host;x-amz-content-sha256;x-amz-date";
    let canonical = format!(
        "{method}\n{path}\n{query}\nhost:{address}\nx-amz-content-sha256:UNSIGNED-PAYLOAD\nx-amz-date:{time}\n\n{names}\nUNSIGNED-PAYLOAD"
    );
    let scope = format!("{date}/us-east-1/s3/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let secret = format!("AWS4{}", key("secret_key")).into_bytes();
    let derived =
        [&*date, "us-east-1", "s3", "aws4_request"].iter().fold(secret, |key, part| hmac(&key, part));
    let signature = hex(&hmac(&derived, &text));
    let mut bytes = format!(
        "{method} {target} HTTP/1.1\r\nhost: {address}\r\nx-amz-date: {time}\r\nx-amz-content-sha256: UNSIGNED-PAYLOAD\r\n\
        authorization: AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}\r\n\
        connection: close\r\ncontent-length: {}\r\n",
        key("access_key"),
        body.len()
    )
    .into_bytes();
    for (name, value) in headers {
        bytes.extend(format!("{name}: {value}\r\n").bytes());
    }
    bytes.extend(b"\r\n");
    bytes.extend(body);
    bytes
}
