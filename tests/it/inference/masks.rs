//! `functions/mask.yaml`: from a video of people to blurred frames and who wears a mask.

use serde_json::json;
use wicket_tests::until;

use super::{SOON, deploy, host, made, python, sample, workflow};

#[tokio::test]
async fn a_video_of_people_becomes_blurred_frames_and_a_report_of_their_masks() {
    let host = host();
    deploy(&host, &workflow("mask.yaml"));
    host.put("people-private", "in/people.avi", sample("people.avi")).await;
    let report = made(&host, "people", "out/people.avi/report.json").await;
    // Two people in each of eight seconds; each wears a mask half of the time.
    assert_eq!((&report["frames"], &report["faces"]), (&json!(8), &json!(16)), "{report}");
    assert_eq!((&report["with_mask"], &report["without_mask"]), (&json!(8), &json!(8)), "{report}");
    until("the preview is there", SOON, async || host.object("people", "out/people.avi/preview.gif").await)
        .await;
    // No frame leaves the first stage as it was.
    let listed = host.buckets().list_objects_v2().bucket("people").send().await.expect("a list");
    let keys: Vec<&str> = listed.contents().iter().filter_map(|one| one.key()).collect();
    let blurred: Vec<&&str> =
        keys.iter().filter(|key| key.starts_with("blurred/") && key.ends_with(".jpg")).collect();
    assert_eq!(blurred.len(), 8, "{keys:?}");
    for key in blurred {
        let private = key.replacen("blurred/", "frames/", 1);
        let before = host.object("people-private", &private).await.expect("the frame that it was made of");
        let after = host.object("people", key).await.expect("it was listed");
        let faces = host.object("people", &key.replace(".jpg", ".json")).await.expect("its faces");
        let files =
            [("before.jpg", before), ("after.jpg", after), ("faces.json", faces)].map(|(name, bytes)| {
                let file = host.scratch().join(name);
                std::fs::write(&file, bytes).expect("the temporary folder is writable");
                file
            });
        let said = python(include_str!("blurred.py")).args(files).output().expect("python3 is there");
        let left = String::from_utf8_lossy(&said.stdout).trim().parse::<f64>();
        let left = left.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&said.stderr)));
        assert!(left < 0.5, "{key}: {left} of the detail of a face is left");
    }
}
