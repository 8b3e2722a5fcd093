//! Who wears a mask.

use image::RgbImage;
use vision::faces::Mask;
use vision::fit;
use vision::rect::Found;
use vision::tensor::{Format, Layout};
use wicket_sdk::Failure;
use wicket_sdk::nn::{Model, Tensor};

/// Sides of what the classifier takes.
const SIDE: u32 = 128;
/// Pixels of the shorter side of a face: below, the classifier guesses.
const SMALLEST: f32 = 20.0;
/// Faces of one call.
const BATCH: usize = 16;
/// What is shown around a face's box, which ends at the chin.
const MARGIN: f32 = 0.1;
const PIXELS: Format = Format::signed(Layout::Nchw);

/// A mask or none for each face; of a face that is too small, nothing.
pub(crate) fn classify(
    model: &Model,
    image: &RgbImage,
    found: &[Found],
) -> Result<Vec<Option<Mask>>, Failure> {
    let mut masks = vec![None; found.len()];
    let cuts: Vec<(usize, RgbImage)> = found
        .iter()
        .enumerate()
        .filter(|(_, one)| one.rect.width().min(one.rect.height()) >= SMALLEST)
        .filter_map(|(index, one)| Some((index, fit::cut(image, &one.rect.grown(MARGIN), SIDE, SIDE)?)))
        .collect();
    for batch in cuts.chunks(BATCH) {
        let mut numbers = Vec::new();
        for (_, cut) in batch {
            PIXELS.append(cut, &mut numbers);
        }
        let input = Tensor::from_f32(&[batch.len() as u32, 3, SIDE, SIDE], numbers)?;
        let output = model.run(&[("input", &input)])?.get("probabilities")?;
        let shares = output.f32s()?;
        if shares.len() != 2 * batch.len() {
            let why = format!(
                "model `{}` answers with {} numbers for {} faces",
                model.name(),
                shares.len(),
                batch.len()
            );
            return Err(Failure::never(why));
        }
        for ((index, _), share) in batch.iter().zip(shares.chunks_exact(2)) {
            let worn = share[0] >= share[1];
            masks[*index] = Some(Mask { worn, score: if worn { share[0] } else { share[1] } });
        }
    }
    Ok(masks)
}
