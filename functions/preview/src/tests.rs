use std::io::Cursor;

use image::codecs::gif::GifDecoder;
use image::{AnimationDecoder as _, DynamicImage, ImageFormat, Rgb, RgbImage};
use wicket_sdk::testing;

use super::*;

fn jpeg(width: u32, height: u32, color: [u8; 3]) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let image = DynamicImage::from(RgbImage::from_pixel(width, height, Rgb(color)));
    image.write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}

fn parts(frames: impl IntoIterator<Item = Vec<u8>>) -> Event {
    let frame = |(second, bytes)| {
        Object::from_bytes("video", &format!("split/trip/cat.avi/{second:05}.0s.jpg"), bytes)
    };
    let about = r#"{"width":640,"height":360,"duration":3.5,"fps":25,"has_audio":true,"every":1,"frames":2}"#;
    let mut objects: Vec<Object> = frames.into_iter().enumerate().map(frame).collect();
    objects.push(Object::from_bytes("video", "split/trip/cat.avi/video.json", about));
    Event::about(objects)
}

fn screens(gif: &[u8]) -> Vec<RgbImage> {
    let frames = GifDecoder::new(Cursor::new(gif)).unwrap().into_frames();
    frames.map(|frame| DynamicImage::from(frame.unwrap().into_buffer()).to_rgb8()).collect()
}

#[test]
fn a_preview_shows_the_frames_in_order_and_the_index_says_when_they_are() {
    let frames = [jpeg(640, 360, [250, 0, 0]), jpeg(640, 360, [0, 0, 250]), jpeg(100, 100, [0, 250, 0])];
    let ran = testing::run(preview, parts(frames));
    assert_eq!(ran.answer(), Ok("3 pictures, 3 in the preview".into()));
    let screens = screens(&ran.output("preview.gif").unwrap().bytes);
    assert!(screens.iter().all(|screen| screen.dimensions() == (320, 180)));
    let middle: Vec<[u8; 3]> = screens.iter().map(|screen| screen.get_pixel(160, 90).0).collect();
    assert!(middle[0][0] > 200 && middle[1][2] > 200 && middle[2][1] > 200, "{middle:?}");
    // The third is smaller, and in the middle.
    assert_eq!(screens[2].get_pixel(5, 5).0, [0, 0, 0]);
    let index: serde_json::Value = serde_json::from_slice(&ran.output("index.json").unwrap().bytes).unwrap();
    assert_eq!((&index["video"], &index["audio"]), (&"cat.avi".into(), &"audio.wav".into()));
    assert_eq!((&index["duration"], &index["every"]), (&3.5.into(), &1.0.into()));
    assert_eq!(index["frames"][2]["time"], 2.0);
    assert_eq!(index["frames"][1]["key"], "split/trip/cat.avi/00001.0s.jpg");
}

#[test]
fn a_long_video_is_thinned_out_evenly() {
    let ran = testing::run(preview, parts((0..200).map(|n| jpeg(8, 8, [n, n, n]))));
    let screens = screens(&ran.output("preview.gif").unwrap().bytes);
    assert_eq!(screens.len(), MOST_SHOWN);
    let greys: Vec<u8> = screens.iter().map(|screen| screen.get_pixel(4, 4).0[0]).collect();
    assert!(greys.windows(2).all(|two| (3..=6).contains(&(two[1] - two[0]))), "{greys:?}");
    for of in 1..300 {
        let shown = (0..of).filter(|number| is_shown(*number, of)).count();
        assert_eq!(shown, of.min(MOST_SHOWN), "{of}");
    }
}

#[test]
fn a_broken_frame_is_in_the_index_and_not_in_the_preview() {
    let ran = testing::run(preview, parts([b"no picture".to_vec(), jpeg(8, 8, [250, 0, 0])]));
    assert_eq!(ran.answer(), Ok("2 pictures, 1 in the preview".into()));
    let index: serde_json::Value = serde_json::from_slice(&ran.output("index.json").unwrap().bytes).unwrap();
    assert!(index["frames"][0]["error"].is_string() && index["frames"][1].get("error").is_none());
    let none = testing::run(preview, parts([b"no picture".to_vec()]));
    assert!(none.output("preview.gif").is_none());
    let index: serde_json::Value = serde_json::from_slice(&none.output("index.json").unwrap().bytes).unwrap();
    assert_eq!(index["preview"], serde_json::Value::Null);
}

#[test]
fn an_event_without_pictures_will_never_do() {
    let ran = testing::run(preview, parts([]));
    assert!(matches!(ran.result, Err(Failure::Never(_))));
    assert!(ran.outputs.is_empty());
}
