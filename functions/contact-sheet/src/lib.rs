//! Joins thumbnails into one contact sheet: a joined event in, `sheet.jpg` and `sheet.json` (what is where) out.
//! A part that cannot be read gets an empty cell and a note, for the others should not wait for it.

mod cell;
pub mod layout;

use std::io::Write as _;

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder as _, Rgb, RgbImage};
use serde::Serialize;
use wicket_sdk::{Event, Failure, Object, Output, info, warn};

use crate::layout::Layout;

/// Parts on one sheet.
pub const MOST_PARTS: usize = 4000;
/// Bytes of a thumbnail.
const LARGEST_PART: usize = 8 << 20;
const PAPER: Rgb<u8> = Rgb([24, 24, 24]);

/// What is in a cell.
#[derive(Debug, Serialize)]
struct Part {
    key: String,
    x: u32,
    y: u32,
    width: u32,
    height: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Sheet<'a> {
    group: &'a str,
    width: u32,
    height: u32,
    parts: Vec<Part>,
    /// Parts that found no room.
    left_out: usize,
}

wicket_sdk::function!(contact_sheet);

/// The function.
pub fn contact_sheet(event: Event) -> Result<String, Failure> {
    let mut objects = event.objects;
    if objects.is_empty() {
        return Err(Failure::never("a contact sheet is made of images, and this event has none"));
    }
    let left_out = objects.len().saturating_sub(MOST_PARTS);
    objects.truncate(MOST_PARTS);
    let layout = Layout::of(objects.len());
    let mut image = RgbImage::from_pixel(layout.width(), layout.height(), PAPER);
    // One thumbnail is in memory at a time.
    let draw = |(index, object)| draw(&mut image, &layout, index, object);
    let parts: Vec<Part> = objects.into_iter().enumerate().map(draw).collect();
    let broken = parts.iter().filter(|part| part.error.is_some()).count();

    let mut output = Output::create("sheet.jpg", Some("image/jpeg"));
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, 85)
        .write_image(&image, image.width(), image.height(), ExtendedColorType::Rgb8)
        .map_err(Failure::never)?;
    drop(image);
    output.write_all(&jpeg)?;
    output.finish()?;

    let group = event.subject.as_deref().unwrap_or_default();
    let said = format!("{} parts, {broken} of them empty, {left_out} left out", parts.len());
    let sheet = Sheet { group, width: layout.width(), height: layout.height(), parts, left_out };
    let mut output = Output::create("sheet.json", Some("application/json"));
    output.write_all(&serde_json::to_vec_pretty(&sheet).map_err(Failure::never)?)?;
    output.finish()?;
    info!("{said}");
    Ok(said)
}

fn draw(image: &mut RgbImage, layout: &Layout, index: usize, mut object: Object) -> Part {
    let (x, y) = layout.place(index);
    let drawn = object.read_all(LARGEST_PART).map_err(|error| error.to_string()).and_then(|bytes| {
        let small = cell::decode(&bytes, layout.cell)?;
        cell::paste(image, &small, (x, y), layout.cell);
        Ok(())
    });
    if let Err(error) = &drawn {
        warn!("{}: {error}", object.key());
        cell::cross(image, (x, y), layout.cell);
    }
    if layout.caption > 0 {
        cell::caption(image, object.name(), (x, y + layout.cell + 2), layout.cell);
    }
    Part { key: object.key().to_owned(), x, y, width: layout.cell, height: layout.cell, error: drawn.err() }
}

#[cfg(test)]
mod tests;
