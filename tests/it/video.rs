//! `functions/video.yaml`: from a video to its frames, its sheet, its preview and its index, in wasm and in a container.
//!
//! The clips are three seconds of ffmpeg's test picture, and of a tone: `ffmpeg -f lavfi -i testsrc=size=96x72:rate=5:duration=3
//! clip.avi` and the like.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde_json::Value;
use wicket_tests::{Engine, TestHost, guests, until};

const SOON: Duration = Duration::from_secs(60);
const GIF: &[u8] = include_bytes!("video/clip.gif");
const MJPEG: &[u8] = include_bytes!("video/clip.avi");
const MP4: &[u8] = include_bytes!("video/clip.mp4");

/// Applies the workflow as it stands in functions/, with a frame each second.
fn deploy(host: &TestHost, execution: &str) {
    let split = guests::path("split");
    let built = split.parent().expect("modules are in a folder");
    let functions = built.ancestors().nth(2).expect("target/guests is in the repository").join("functions");
    let text = std::fs::read_to_string(functions.join("video.yaml")).expect("the workflow is there");
    let changes = [
        ("../target/guests", built.to_str().expect("text")),
        ("split/split.sh", functions.join("split/split.sh").to_str().expect("text")),
        ("execution: auto", &format!("execution: {execution}")),
        ("FRAME_EVERY: '2'", "FRAME_EVERY: '1'"),
    ]
    .map(|(from, to)| (from.to_owned(), to.to_owned()));
    let text = changes.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    });
    let file = host.scratch().join("video.yaml");
    std::fs::write(&file, text).expect("the temporary folder is writable");
    host.wicket(&["apply", file.to_str().expect("text")]);
}

/// Uploads a video and waits for the receipt of `split` on it.
async fn split(host: &TestHost, key: &str, video: &'static [u8]) -> Value {
    host.put("video", &format!("in/{key}"), video).await;
    until(&format!("{key} is split, or not"), SOON, async || {
        let receipts = host.receipts("split").await;
        let ended = |receipt: &Value| matches!(receipt["state"].as_str(), Some("succeeded" | "failed"));
        let ours = |receipt: &Value| receipt["subject"] == format!("in/{key}") && ended(receipt);
        receipts.into_iter().find(ours)
    })
    .await
}

/// What `split` did: the executor of each attempt.
fn executors(receipt: &Value) -> Vec<&str> {
    let attempts = receipt["attempts"].as_array().expect("attempts").iter();
    attempts.map(|attempt| attempt["executor"].as_str().expect("a name")).collect()
}

/// Waits for an object.
async fn made(host: &TestHost, key: &str) -> Bytes {
    until(&format!("{key} is there"), SOON, async || host.object("video", key).await).await
}

/// Keys and sizes below a prefix.
fn listed(host: &TestHost, prefix: &str) -> Vec<String> {
    let listed = host.wicket(&["bucket", "ls", "--recursive", "--json", prefix]).json();
    let keys = listed.as_array().expect("a list").iter().map(|object| object["key"].as_str());
    keys.map(|key| key.expect("a key").to_owned()).collect()
}

/// All that the workflow makes of a clip; the index.
async fn all_of(host: &TestHost, key: &str) -> Value {
    let index: Value =
        serde_json::from_slice(&made(host, &format!("out/{key}/index.json")).await).expect("JSON");
    assert_eq!(index["video"].as_str(), Path::new(key).file_name().and_then(|name| name.to_str()), "{index}");
    assert_eq!(
        (&index["width"], &index["height"], &index["duration"]),
        (&96.into(), &72.into(), &3.0.into())
    );
    let times: Vec<f64> =
        index["frames"].as_array().expect("frames").iter().flat_map(|f| f["time"].as_f64()).collect();
    assert_eq!(times, [0.0, 1.0, 2.0], "{index}");
    for frame in index["frames"].as_array().expect("frames") {
        let jpeg = made(host, frame["key"].as_str().expect("a key")).await;
        assert!(jpeg.starts_with(b"\xff\xd8\xff") && jpeg.ends_with(b"\xff\xd9"), "{frame}");
    }
    let preview = made(host, &format!("out/{key}/preview.gif")).await;
    assert!(preview.starts_with(b"GIF89a\x60\x00\x48\x00"), "96 by 72 pixels");
    assert!(made(host, &format!("out/{key}/sheet.jpg")).await.starts_with(b"\xff\xd8\xff"));
    index
}

#[tokio::test]
async fn motion_jpeg_and_gif_become_sheets_previews_and_indexes_without_an_engine() {
    let host = TestHost::start();
    deploy(&host, "wasm");
    for (key, clip) in [("trip/clip.avi", MJPEG), ("clip.gif", GIF)] {
        let receipt = split(&host, key, clip).await;
        assert_eq!(
            (receipt["state"].as_str(), executors(&receipt)),
            (Some("succeeded"), vec!["wasm"]),
            "{receipt}"
        );
        let index = all_of(&host, key).await;
        assert_eq!((&index["audio"], &index["fps"]), (&Value::Null, &5.0.into()));
        // One run of each on all frames of a video, and nothing else is left there.
        let out = ["index.json", "preview.gif", "sheet.jpg"].map(|name| format!("out/{key}/{name}"));
        assert_eq!(listed(&host, &format!("video/out/{key}/")), out);
    }
    assert_eq!(host.receipts("video-preview").await.len(), 2);
    assert_eq!(host.receipts("video-sheet").await.len(), 2);
}

#[tokio::test]
async fn ffmpeg_in_a_container_makes_the_same_of_them_and_takes_the_sound_of_others() {
    let engine = Engine::find().await;
    let host = engine.host();
    deploy(&host, "container");
    for (key, clip) in [("clip.avi", MJPEG), ("clip.gif", GIF), ("a %d \"b.mp4", MP4)] {
        let receipt = split(&host, key, clip).await;
        assert_eq!(
            (receipt["state"].as_str(), executors(&receipt)),
            (Some("succeeded"), vec!["docker"]),
            "{receipt}"
        );
        let index = all_of(&host, key).await;
        assert_eq!(index["audio"].is_string(), key.ends_with("mp4"), "{index}");
    }
    let wav = made(&host, "out/a %d \"b.mp4/audio.wav").await;
    assert!(wav.starts_with(b"RIFF") && wav[8..16] == *b"WAVEfmt ");
    // One channel, 16,000 samples a second, two bytes each: three seconds, and a header.
    assert_eq!((&wav[22..24], &wav[24..28]), (&[1, 0][..], &16_000u32.to_le_bytes()[..]));
    assert!((95_000..100_000).contains(&wav.len()), "{} bytes", wav.len());
    let receipt = split(&host, "notes.gif", b"Dear diary").await;
    let message = receipt["attempts"][0]["failure"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("exit status 2: split: notes.gif: ffmpeg finds no video in it"), "{receipt}");
    until("nothing is left", SOON, async || (engine.left(&host).await == 0).then_some(())).await;
}

#[tokio::test]
async fn what_the_module_declines_goes_on_in_the_container() {
    let engine = Engine::find().await;
    let host = engine.host();
    deploy(&host, "auto");
    let receipt = split(&host, "clip.gif", GIF).await;
    assert_eq!(
        (receipt["state"].as_str(), executors(&receipt)),
        (Some("succeeded"), vec!["wasm"]),
        "{receipt}"
    );
    let receipt = split(&host, "clip.mp4", MP4).await;
    assert_eq!(
        (receipt["state"].as_str(), executors(&receipt)),
        (Some("succeeded"), vec!["wasm", "docker"]),
        "{receipt}"
    );
    assert_eq!(all_of(&host, "clip.mp4").await["audio"], "audio.wav");
    until("nothing is left", SOON, async || (engine.left(&host).await == 0).then_some(())).await;
}

#[tokio::test]
async fn what_is_no_video_is_a_dead_letter_that_says_why_and_leaves_nothing() {
    let host = TestHost::start();
    deploy(&host, "wasm");
    let mut huge = GIF.to_vec();
    // The size of its screen: 20,000 by 20,000.
    huge[6..10].copy_from_slice(&[0x20, 0x4e, 0x20, 0x4e]);
    for (key, bytes, status, words) in [
        ("cut-off.avi", &MJPEG[..20_000], 2, "this AVI is damaged: it breaks off"),
        ("cut-off.gif", &GIF[..9000], 2, "this GIF is damaged: it breaks off after"),
        ("huge.gif", huge.leak(), 2, "20000x20000 pixels are more than"),
        ("empty.avi", b"", 2, "the file is empty"),
        ("notes.gif", b"Dear diary", 69, "neither Motion-JPEG (AVI) nor GIF"),
        (
            "film.mp4",
            MP4,
            69,
            "this is MP4, neither Motion-JPEG nor GIF: the variant in a container takes it",
        ),
    ] {
        let receipt = split(&host, key, bytes).await;
        assert_eq!(receipt["state"], "failed", "{receipt}");
        let message = receipt["attempts"][0]["failure"]["message"].as_str().unwrap_or_default();
        for wanted in [&format!("exit status {status}"), &format!("split: {key}: "), words] {
            assert!(message.contains(wanted), "{wanted}: {message}");
        }
    }
    let dead = host.admin(Method::GET, "/system/dead-letters", "").await.json();
    assert_eq!(dead.as_array().map(Vec::len), Some(6), "{dead}");
    assert_eq!(listed(&host, "video/frames/"), [""; 0]);
}
