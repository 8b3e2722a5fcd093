use image::{DynamicImage, ImageFormat};
use wicket_sdk::testing;

use super::*;

fn jpeg(color: [u8; 3]) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let image = DynamicImage::from(RgbImage::from_pixel(320, 200, Rgb(color)));
    image.write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}

fn event(parts: impl IntoIterator<Item = (&'static str, Vec<u8>)>) -> Event {
    Event::about(parts.into_iter().map(|(key, bytes)| Object::from_bytes("photos", key, bytes)))
}

#[test]
fn a_sheet_shows_every_part_in_its_place() {
    let parts = [("thumbs/trip/a.jpg", jpeg([250, 0, 0])), ("thumbs/trip/b.jpg", jpeg([0, 0, 250]))];
    let ran = testing::run(contact_sheet, event(parts));
    assert_eq!(ran.answer(), Ok("2 parts, 0 of them empty, 0 left out".into()));
    let sheet = image::load_from_memory(&ran.output("sheet.jpg").unwrap().bytes).unwrap().to_rgb8();
    let layout = Layout::of(2);
    assert_eq!((sheet.width(), sheet.height()), (layout.width(), layout.height()));
    let middle = |index| {
        let (x, y) = layout.place(index);
        sheet.get_pixel(x + layout.cell / 2, y + layout.cell / 2).0
    };
    assert!(middle(0)[0] > 200 && middle(1)[2] > 200);
    let list: serde_json::Value = serde_json::from_slice(&ran.output("sheet.json").unwrap().bytes).unwrap();
    assert_eq!(list["parts"][1]["key"], "thumbs/trip/b.jpg");
    assert!(list["parts"][0].get("error").is_none());
}

#[test]
fn a_broken_part_does_not_spoil_the_sheet() {
    let parts = [("t/a.jpg", jpeg([250, 0, 0])), ("t/ünï文.jpg", b"no image".to_vec())];
    let ran = testing::run(contact_sheet, event(parts));
    assert_eq!(ran.answer(), Ok("2 parts, 1 of them empty, 0 left out".into()));
    assert!(ran.log.iter().any(|(_, line)| line.contains("t/ünï文.jpg")));
    let list: serde_json::Value = serde_json::from_slice(&ran.output("sheet.json").unwrap().bytes).unwrap();
    assert!(list["parts"][1]["error"].is_string());
}

#[test]
fn more_parts_than_fit_are_counted() {
    let small = b"no image".to_vec();
    let ran = testing::run(contact_sheet, event((0..MOST_PARTS + 3).map(|_| ("t/a", small.clone()))));
    assert!(ran.answer().unwrap().ends_with("3 left out"));
    assert!(!ran.output("sheet.jpg").unwrap().bytes.is_empty());
}

#[test]
fn an_event_without_images_will_never_do() {
    let ran = testing::run(contact_sheet, event([]));
    assert!(matches!(ran.result, Err(Failure::Never(_))));
    assert!(ran.outputs.is_empty());
}
