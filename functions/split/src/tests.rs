//! Videos of a few coloured pictures, whole and damaged.

use std::io::Cursor;
use std::path::PathBuf;

use ::gif::{Encoder, Frame};
use ::image::{DynamicImage, ImageFormat, Rgb};
use proptest::prelude::*;

use super::*;

const RED: [u8; 3] = [250, 0, 0];
const BLUE: [u8; 3] = [0, 0, 250];

fn options(every: u64) -> Options {
    Options { every, most: 500, audio: true }
}

fn jpeg(color: [u8; 3]) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let image = DynamicImage::from(RgbImage::from_pixel(32, 24, Rgb(color)));
    image.write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}

fn chunk(id: &[u8; 4], bytes: &[u8]) -> Vec<u8> {
    let mut chunk = id.to_vec();
    chunk.extend((bytes.len() as u32).to_le_bytes());
    chunk.extend(bytes);
    chunk.resize(chunk.len().next_multiple_of(2), 0);
    chunk
}

fn list(id: &[u8; 4], kind: &[u8; 4], chunks: &[Vec<u8>]) -> Vec<u8> {
    chunk(id, &[kind.to_vec(), chunks.concat()].concat())
}

/// A stream's two headers: so many pictures in a second, of a codec.
fn stream(kind: &[u8; 4], codec: &[u8; 4], rate: u32) -> Vec<u8> {
    let mut head = [kind.to_vec(), codec.to_vec(), vec![0; 48]].concat();
    head[20..24].copy_from_slice(&1u32.to_le_bytes());
    head[24..28].copy_from_slice(&rate.to_le_bytes());
    let mut format = vec![0; 40];
    format[4..8].copy_from_slice(&32u32.to_le_bytes());
    format[8..12].copy_from_slice(&(-24i32).to_le_bytes());
    format[16..20].copy_from_slice(codec);
    list(b"LIST", b"strl", &[chunk(b"strh", &head), chunk(b"strf", &format)])
}

/// An AVI of these streams, and these pictures of the second one.
fn avi_of(streams: &[Vec<u8>], pictures: &[Vec<u8>]) -> Vec<u8> {
    let pictures: Vec<Vec<u8>> = pictures.iter().map(|picture| chunk(b"01dc", picture)).collect();
    // Half of them in a list of their own, as some cameras write them.
    let (first, second) = pictures.split_at(pictures.len() / 2);
    let movi = [first.concat(), list(b"LIST", b"rec ", second)];
    let header = [vec![chunk(b"avih", &[0; 56])], streams.to_vec()].concat();
    let junk = list(b"LIST", b"INFO", &[chunk(b"ISFT", b"odd")]);
    list(b"RIFF", b"AVI ", &[list(b"LIST", b"hdrl", &header), junk, list(b"LIST", b"movi", &movi)])
}

fn avi(pictures: &[Vec<u8>]) -> Vec<u8> {
    avi_of(&[stream(b"txts", b"subs", 1), stream(b"vids", b"MJPG", 10)], pictures)
}

/// A GIF that shows each colour for so many hundredths of a second.
fn gif(width: u16, height: u16, shown: &[([u8; 3], u16)]) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new(), width, height, &[]).unwrap();
    for (color, delay) in shown {
        let mut frame = Frame::from_rgb(8, 6, &color.repeat(48));
        frame.delay = *delay;
        encoder.write_frame(&frame).unwrap();
    }
    encoder.into_inner().unwrap()
}

/// Names and colours.
type Pictures = Vec<(String, &'static str)>;

/// What `split` makes of a file: the names and colours of its pictures, and `video.json`.
fn made(bytes: &[u8], options: &Options) -> Result<(Pictures, serde_json::Value), Refusal> {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("video");
    fs::write(&input, bytes).unwrap();
    let output = folder.path().join("out/video");
    split(&input, &output, options)?;
    let mut files: Vec<PathBuf> = fs::read_dir(&output).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let about = serde_json::from_slice(&fs::read(files.pop().unwrap()).unwrap()).unwrap();
    let color = |file: &PathBuf| match ::image::open(file).unwrap().to_rgb8().get_pixel(2, 2).0 {
        [200..=255, ..100, ..100] => "red",
        [..100, ..100, 200..=255] => "blue",
        _ => "other",
    };
    let name = |file: &PathBuf| file.file_name().unwrap().to_string_lossy().into_owned();
    Ok((files.iter().map(|file| (name(file), color(file))).collect(), about))
}

fn refused(bytes: &[u8]) -> Refusal {
    made(bytes, &options(10)).unwrap_err()
}

#[test]
fn each_moment_of_an_avi_shows_what_is_on_the_screen_then() {
    // Ten pictures a second: one second of red, then of blue, the last half of which repeats itself.
    let pictures = [vec![jpeg(RED); 10], vec![jpeg(BLUE); 5], vec![Vec::new(); 5]].concat();
    let (pictures, about) = made(&avi(&pictures), &options(5)).unwrap();
    let wanted = [("00000.0s", "red"), ("00000.5s", "red"), ("00001.0s", "blue"), ("00001.5s", "blue")];
    assert_eq!(pictures, wanted.map(|(name, color)| (format!("{name}.jpg"), color)));
    let wanted = serde_json::json!({
        "width": 32, "height": 24, "duration": 2.0, "fps": 10.0, "has_audio": false, "every": 0.5, "frames": 4,
    });
    assert_eq!(about, wanted);
}

#[test]
fn each_moment_of_a_gif_shows_what_is_on_the_screen_then() {
    // 0 hundredths are 10.
    let (pictures, about) = made(&gif(8, 6, &[(RED, 0), (BLUE, 150), (RED, 40)]), &options(10)).unwrap();
    assert_eq!(pictures, [("00000.0s.jpg".to_owned(), "red"), ("00001.0s.jpg".to_owned(), "blue")]);
    assert_eq!((&about["duration"], &about["fps"]), (&2.0.into(), &1.5.into()));
    let few = Options { most: 1, ..options(1) };
    assert_eq!(made(&gif(8, 6, &[(RED, 100), (BLUE, 100)]), &few).unwrap().1["every"], 2.0);
}

#[test]
fn a_damaged_picture_is_left_out_and_a_video_without_a_sound_one_is_broken() {
    let (pictures, _) = made(&avi(&[vec![1, 2, 3], jpeg(RED)]), &options(1)).unwrap();
    assert_eq!(pictures, [("00000.1s.jpg".to_owned(), "red")]);
    let Refusal::Broken(why) = refused(&avi(&[vec![1, 2, 3], jpeg(RED)[..40].to_vec()])) else { panic!() };
    assert!(why.contains("none of 1 pictures can be decoded"), "{why}");
}

#[test]
fn what_is_broken_says_how() {
    let (whole, shown) = (avi(&[jpeg(RED), jpeg(BLUE)]), gif(8, 6, &[(RED, 10), (BLUE, 10)]));
    let mut still = avi(&[jpeg(RED)]);
    let rate = still.windows(4).rposition(|four| four == b"MJPG").unwrap() - 8 - 16 - 4 - 24;
    still[rate..rate + 4].copy_from_slice(&[0; 4]);
    for (bytes, words) in [
        (&b""[..], "the file is empty"),
        (&whole[..whole.len() - 300], "it breaks off: `RIFF` at byte 0 has"),
        (&whole[..12], "it breaks off"),
        (&avi(&[]), "there is no picture in it"),
        (&avi_of(&[stream(b"auds", b"PCM ", 1)], &[jpeg(RED)]), "there is no video stream"),
        (&shown[..shown.len() - 30], "it breaks off after"),
        (&shown[..8], "this GIF is damaged"),
        (&gif(20_000, 20_000, &[(RED, 10)]), "20000x20000 pixels are more than"),
        (&gif(0, 0, &[(RED, 10)]), "0x0 pixels is none"),
        (&gif(8, 6, &[]), "this GIF is damaged"),
        (&gif(8, 6, &[(RED, 65_000); 200]), "longer than a day"),
    ] {
        let Refusal::Broken(why) = refused(bytes) else { panic!("{words}") };
        assert!(why.contains(words), "{why}: {words}");
    }
}

#[test]
fn what_another_variant_reads_is_declined_by_its_name() {
    let sounding = avi_of(&[stream(b"auds", b"PCM ", 1), stream(b"vids", b"mjpg", 10)], &[jpeg(RED)]);
    for (bytes, words) in [
        (&b"\0\0\0\x20ftypisom"[..], "this is MP4"),
        (&[0x1a, 0x45, 0xdf, 0xa3, 1], "this is Matroska or WebM"),
        (b"Dear diary", "neither Motion-JPEG (AVI) nor GIF"),
        (&avi_of(&[stream(b"txts", b"subs", 1), stream(b"vids", b"XVID", 10)], &[jpeg(RED)]), "`XVID` video"),
        (&sounding, "it has sound"),
    ] {
        let Refusal::Declined(why) = refused(bytes) else { panic!("{words}") };
        assert!(why.contains(words) && why.contains("wicketgate/ffmpeg"), "{why}: {words}");
    }
    let (pictures, about) = made(&sounding, &Options { audio: false, ..options(10) }).unwrap();
    assert_eq!((pictures.len(), &about["has_audio"]), (1, &false.into()));
}

proptest! {
    /// Whatever a byte or a size says, there is an answer.
    #[test]
    fn no_bytes_make_it_panic(at in 0..700usize, bytes in prop::collection::vec(any::<u8>(), 1..6), of_gif: bool) {
        let mut video = match of_gif {
            true => gif(8, 6, &[(RED, 10), (BLUE, 20)]),
            false => avi(&[jpeg(RED), jpeg(BLUE)]),
        };
        let at = at % video.len();
        let end = (at + bytes.len()).min(video.len());
        video[at..end].copy_from_slice(&bytes[..end - at]);
        let _whatever = made(&video, &options(1));
    }
}
