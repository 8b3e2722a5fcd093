//! `wicketgate:function/handler`: a typed event in, streamed objects in and out.

mod host;

use std::sync::Arc;

use wicket_core::{Attempt, Data, Event, Failure, Limit, Redactor, Reply, Report};

use self::bindings::OfferPre;
use self::bindings::wicketgate::function::types;
use crate::meter::{Meter, Metered};
use crate::state::State;
use crate::stdio::LARGEST_REPLY;
use crate::{WasmExecutor, trap};

pub(crate) mod bindings {
    wasmtime::component::bindgen!({
        path: "../../../guest-sdk/wit",
        // What the host offers: the event shape's world, and what functions of every shape may import.
        inline: "
            package wicket:host;
            world offer {
                include wicketgate:function/function@0.1.0;
                import wicketgate:function/buckets@0.1.0;
            }
        ",
        world: "wicket:host/offer",
        imports: {
            "wicketgate:function/log.line": trappable,
            default: async | trappable,
        },
        exports: { default: async },
        require_store_data_send: true,
        with: {
            "wicketgate:function/types.object": crate::shapes::event::host::Object,
            "wicketgate:function/outputs.output": crate::shapes::event::host::Output,
        },
    });
}

/// Runs an attempt on an event handler.
pub(crate) async fn run(executor: &WasmExecutor, pre: &OfferPre<State>, attempt: Attempt) -> Report {
    let meter = Meter::new(&attempt.deployment.service.limits);
    let guest = Box::pin(call(executor, pre, &attempt, meter.clone()));
    let guest = Metered { guest, meter: meter.clone(), ticker: executor.ticker.clone() };
    let result = match tokio::time::timeout_at(meter.deadline().into(), guest).await {
        Ok(result) => result,
        Err(_) => {
            meter.trip(Limit::Timeout);
            Err(meter.failure(Limit::Timeout))
        }
    };
    Report { result, usage: meter.usage() }
}

async fn call(
    executor: &WasmExecutor,
    pre: &OfferPre<State>,
    attempt: &Attempt,
    meter: Arc<Meter>,
) -> Result<Reply, Failure> {
    let mut state = State::new(&attempt.deployment, &attempt.log, &meter);
    state.objects = Some(attempt.objects.clone());
    state.outputs = Some(attempt.outputs.clone());
    state.models.clone_from(&executor.models);
    let mut store = state.into_store(pre.engine());
    let answered = async {
        let function = pre.instantiate_async(&mut store).await?;
        meter.started();
        let mut objects = Vec::new();
        for object in attempt.invocation.event.objects() {
            objects.push(store.data_mut().table.push(host::Object::new(object.clone()))?);
        }
        let about = types::Attempt {
            invocation: attempt.invocation.id.to_string(),
            number: attempt.number,
            service: attempt.deployment.service.name.to_string(),
        };
        let event = event(&attempt.invocation.event);
        function.wicketgate_function_handler().call_handle(&mut store, &event, &objects, &about).await
    }
    .await;
    match answered {
        Ok(Ok(body)) => {
            if body.len() > LARGEST_REPLY {
                return Err(meter.failure(meter.reply_too_large().0));
            }
            meter.wrote(body.len() as u64).map_err(|tripped| meter.failure(tripped.0))?;
            Ok(Reply { body: body.into(), ..Reply::default() })
        }
        Ok(Err(failed)) => {
            let (message, permanent) = match failed {
                types::Failure::Again(message) => (message, false),
                types::Failure::Never(message) => (message, true),
            };
            let message = Redactor::of(&attempt.deployment).words(format_args!("{message}"));
            Err(Failure::Function { message, permanent })
        }
        Err(error) => Err(trap::failure(&error, &meter)),
    }
}

fn event(event: &Event) -> types::Event {
    let data = match &event.data {
        Data::Inline(bytes) => bytes.to_vec(),
        Data::None | Data::Object(_) | Data::Parts(_) => Vec::new(),
    };
    types::Event {
        id: event.id.0.clone(),
        source: event.source.clone(),
        kind: event.kind.clone(),
        subject: event.subject.clone(),
        time: event.time.to_string(),
        content_type: event.content_type.clone(),
        data,
        extensions: event.extensions.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        verbatim: event.verbatim.as_ref().map(|bytes| bytes.to_vec()),
    }
}
