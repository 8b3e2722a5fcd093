//! Misbehaves as its data or its object's key says; see `hostile`. Beside that: `flood` (endless output), `hoard` (makes
//! outputs without end). Anything else: it says `fine`.

use std::io::Write as _;

use wicket_sdk::{Event, Failure, Output};

wicket_sdk::function!(misbehave);

fn misbehave(event: Event) -> Result<&'static str, Failure> {
    let mut text = String::from_utf8_lossy(&event.data).into_owned();
    text.extend(event.objects.iter().map(|object| object.key()));
    hostile::misbehave(&text);
    if text.contains("flood") {
        let mut output = Output::create("flood", None);
        loop {
            output.write_all(&[b'x'; 4096])?;
        }
    } else if text.contains("hoard") {
        let mut held = Vec::new();
        loop {
            held.push(Output::create("hoard", None));
        }
    }
    Ok("fine")
}
