//! Models served to functions: loaded once per device, shared by all services, batched, bounded, cancellable, fair.
//!
//! [`Inference`] is the service. It runs no model itself: each device (`cpu`, `gpu:0` …) has a child process, started
//! when it is first needed, so that a fault in native code or a poisoned model costs one call and not the host. Tensors
//! lie in memory that both processes see ([`Buffer`]); what is sent between them is small.
//!
//! In reading order: [`Tensor`], [`Model`], [`Inference`]; then `device` (who runs next, and what is loaded), `wire`
//! (what is sent), `worker` (what the child does).
//!
//! ```no_run
//! # async fn f(path: std::path::PathBuf) -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::{Duration, Instant};
//! use wicket_inference::{Call, Dtype, Inference, InputKey, Model, Settings};
//!
//! let inference = Inference::start(Settings::default());
//! let model = Model::new("9f86d0…", path);
//! let input = inference.tensor(Dtype::F32, &[1, 2], &[0; 8])?;
//! let call = Call { service: "thumbnail".into(), deadline: Instant::now() + Duration::from_secs(5) };
//! let answer = inference.infer(&model, vec![(InputKey::Index(0), input)], call).await?;
//! println!("{} took {:?}", answer.outputs[0].0, answer.used.inference);
//! # Ok(()) }
//! ```

mod device;
mod error;
mod link;
mod memory;
mod model;
mod queue;
mod service;
mod settings;
mod tensor;
mod wire;
mod worker;

pub use device::{DeviceStatus, ModelStatus};
pub use error::{InferenceError, Stage};
pub use memory::{Buffer, BufferMut};
pub use model::{Backend, Batch, Digest, Format, Model, ModelInfo, Port, Target};
pub use service::{Answer, Call, Inference, InputKey, Used};
pub use settings::{Settings, Worker};
pub use tensor::{Dtype, MAX_RANK, Tensor};
pub use worker::worker_main;
