//! What `function!` expands to, and the bindings below it. Not for hands.

pub use self::bindings::export_function;
pub use self::bindings::exports::wicketgate::function::handler::Guest;
pub use self::bindings::wicketgate::function::types;
use crate::{Answer, Attempt, Event, Failure, Object};

#[expect(missing_docs, reason = "generated from the WIT")]
#[expect(clippy::all, reason = "generated from the WIT")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "wit",
        inline: "
            package wicketgate:sdk;
            world sdk {
                include wicketgate:function/function@0.1.0;
                include wicketgate:function/bucket-reader@0.1.0;
                include wasi:nn/ml@0.2.0-rc-2024-10-28;
            }
        ",
        world: "wicketgate:sdk/sdk",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_function",
    });
}

/// Runs a function on what the host handed over.
pub fn call<A: Answer>(
    handle: impl FnOnce(Event) -> Result<A, Failure>,
    event: types::Event,
    objects: Vec<types::Object>,
    attempt: types::Attempt,
) -> Result<Vec<u8>, types::Failure> {
    let event = Event {
        id: event.id,
        source: event.source,
        kind: event.kind,
        subject: event.subject,
        time: event.time,
        content_type: event.content_type,
        data: event.data,
        extensions: event.extensions,
        verbatim: event.verbatim,
        objects: objects.into_iter().map(Object::from_host).collect(),
        attempt: Attempt { invocation: attempt.invocation, number: attempt.number, service: attempt.service },
    };
    handle(event).map(Answer::into_bytes).map_err(|failure| match failure {
        Failure::Again(why) => types::Failure::Again(why),
        Failure::Never(why) => types::Failure::Never(why),
    })
}
