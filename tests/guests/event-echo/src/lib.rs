//! Does what its inline data says (`again WHY`, `never WHY`, `panic`, `spin`, `log TEXT`, `forget` an output); else it
//! copies every object to an output of the same name, and answers with what it saw.

use std::io::Write as _;

use wicket_sdk::{Event, Failure, Output, error, info};

wicket_sdk::function!(echo);

fn echo(event: Event) -> Result<String, Failure> {
    let data = String::from_utf8_lossy(&event.data).into_owned();
    match data.split_once(' ').unwrap_or((&data, "")) {
        ("again", why) => return Err(Failure::again(why)),
        ("never", why) => return Err(Failure::never(why)),
        ("panic", why) => panic!("{why}"),
        ("spin", _) => loop {
            std::hint::black_box(0);
        },
        ("log", text) => {
            info!("{text}");
            error!("{text}");
        }
        ("forget", _) => {
            let mut output = Output::create("forgotten.txt", None);
            output.write_all(b"never finished")?;
        }
        _ => {}
    }
    let mut said =
        format!("{} {} {:?} attempt {}\n", event.kind, event.source, event.subject, event.attempt.number);
    for mut object in event.objects {
        let content_type = object.content_type().map(str::to_owned);
        let mut output = Output::create(object.name(), content_type.as_deref());
        let copied = std::io::copy(&mut object, &mut output)?;
        output.finish()?;
        said += &format!("{}/{} {copied} bytes\n", object.bucket(), object.key());
    }
    Ok(said + &data)
}
