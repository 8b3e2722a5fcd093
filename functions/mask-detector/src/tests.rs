use image::{Rgb, RgbImage};
use serde_json::{Value, json};
use wicket_sdk::{Object, testing};

use super::*;

fn run(about: &Value) -> testing::Ran {
    let event = Event::about([Object::from_bytes("video", "blurred/a.avi/00004.5s.json", about.to_string())]);
    testing::run(mask_detector, event)
}

fn about(frame: &str) -> Value {
    let rect = |left: u32| json!({"left": left, "top": 60, "right": left + 40, "bottom": 110});
    json!({"frame": frame, "time": 4.5, "width": 320, "height": 240, "faces": [
        {"rect": rect(20), "score": 0.9, "mask": {"worn": true, "score": 0.98}},
        {"rect": rect(120), "score": 0.8, "mask": {"worn": false, "score": 0.91}},
        {"rect": rect(220), "score": 0.4},
    ]})
}

fn put_frame() {
    let frame = picture::to_jpeg(&RgbImage::from_pixel(320, 240, Rgb([90; 3])), 90).unwrap();
    testing::put("video", "blurred/a.avi/00004.5s.jpg", frame);
}

#[test]
fn each_face_gets_its_label_and_is_counted() {
    put_frame();
    let ran = run(&about("00004.5s.jpg"));
    let said = "00004.5s.jpg: 1 with a mask, 1 without, 1 unknown";
    assert_eq!(ran.answer(), Ok(said.into()));
    let image = picture::decode(&ran.output("00004.5s.jpg").unwrap().bytes).unwrap();
    let edge = |x: u32| image.get_pixel(x, 85).0;
    let [green, red, grey] = [edge(20), edge(120), edge(220)];
    assert!(green[1] > 130 && green[0] < 70, "{green:?}");
    assert!(red[0] > 160 && red[1] < 80, "{red:?}");
    assert!(grey.iter().all(|c| (100..160).contains(c)), "{grey:?}");
    let json: Value = serde_json::from_slice(&ran.output("00004.5s.json").unwrap().bytes).unwrap();
    assert_eq!((&json["with_mask"], &json["unknown"]), (&json!(1), &json!(1)));
    assert_eq!(json["faces"][1]["mask"]["worn"], false);
}

#[test]
fn a_frame_that_is_not_there_is_tried_again() {
    let ran = run(&about("00009.0s.jpg"));
    let Err(Failure::Again(why)) = ran.result else { panic!("{:?}", ran.result) };
    assert!(why.contains("00009.0s.jpg"), "{why}");
}

#[test]
fn nonsense_is_named_and_never_tried_again() {
    put_frame();
    for (text, named) in [
        (
            json!({"frame": "../../secret.jpg", "time": null, "width": 1, "height": 1, "faces": []}),
            "not beside it",
        ),
        (json!({"frames": 3}), "missing field `frame`"),
        (json!([]), "00004.5s.json"),
    ] {
        let ran = run(&text);
        let Err(Failure::Never(why)) = &ran.result else { panic!("{:?}", ran.result) };
        assert!(why.contains(named), "{why}");
    }
    let mut wild = about("00004.5s.jpg");
    wild["faces"][0]["rect"] = json!({"left": -1e30, "top": 1e30, "right": 5, "bottom": -3});
    assert!(run(&wild).result.is_ok());
}
