//! What a caller who waits has sent: an event, with a file beside it when that is large.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::BytesMut;
use futures::StreamExt as _;
use tokio::io::AsyncWriteExt as _;
use wicket_config::{ObjectKey, ProviderId, ServiceName};
use wicket_core::{ByteStream, Data, Deployment, Event, EventId, ObjectRef, kinds};

use super::run::source;
use super::{Node, RunError};
use crate::attempt::Scratch;

/// Bodies up to this size travel in the event; larger ones wait in a file.
const INLINE: usize = 64 << 10;

/// What a caller posted.
pub(crate) struct Posted {
    /// Its media type.
    pub(crate) content_type: Option<String>,
    /// Its bytes.
    pub(crate) body: ByteStream,
    /// What a client of DEEPaaS says beside it; none: it came as it is.
    pub(crate) prediction: Option<Prediction>,
}

/// What is asked of a model, besides the file that it looks at.
pub(crate) struct Prediction {
    /// What the file is called, where it has a name.
    pub(crate) file: Option<String>,
    /// A JSON object.
    pub(crate) arguments: String,
}

impl Posted {
    /// The event that this is, its data not yet in it.
    fn event(&mut self, service: &ServiceName) -> Event {
        let kind = if self.prediction.is_some() { kinds::PREDICT } else { kinds::POSTED };
        let mut event = Event::new(source(service), kind, EventId::random());
        event.content_type = self.content_type.take();
        if let Some(prediction) = self.prediction.take() {
            event.source = model_source(service);
            event.subject = prediction.file;
            event.extensions.insert(kinds::ARGUMENTS.to_owned(), prediction.arguments);
        }
        event
    }
}

/// Where a client of DEEPaaS asks something of a service.
pub(crate) fn model_source(service: &ServiceName) -> String {
    format!("/v2/models/{service}")
}

fn body() -> ObjectKey {
    "body".parse().expect("a key")
}

impl Node {
    /// The event of a posted body, and the file it waits in when it is large.
    pub(super) async fn receive<E: From<RunError>>(
        &self,
        deployment: &Arc<Deployment>,
        scratch: &Scratch,
        posted: impl Future<Output = Result<Posted, E>> + Send,
    ) -> Result<(Event, Option<PathBuf>), E> {
        let mut posted = posted.await?;
        let service = &deployment.service;
        let limit = service.limits.body;
        let mut event = posted.event(&service.name);
        let mut head = BytesMut::new();
        let mut spool: Option<(PathBuf, tokio::fs::File)> = None;
        let mut size = 0u64;
        while let Some(piece) = posted.body.next().await {
            let piece = piece.map_err(RunError::Body)?;
            size += piece.len() as u64;
            if size > limit.0 {
                return Err(self.too_large(deployment).into());
            }
            match &mut spool {
                None if head.len() + piece.len() <= INLINE => head.extend_from_slice(&piece),
                None => {
                    let path = scratch.path().join("posted");
                    let mut file = tokio::fs::File::create(&path).await.map_err(RunError::Scratch)?;
                    file.write_all(&head).await.map_err(RunError::Scratch)?;
                    file.write_all(&piece).await.map_err(RunError::Scratch)?;
                    spool = Some((path, file));
                }
                Some((_, file)) => file.write_all(&piece).await.map_err(RunError::Scratch)?,
            }
        }
        let Some((path, mut file)) = spool else {
            event.bring(head.freeze());
            return Ok((event, None));
        };
        file.flush().await.map_err(RunError::Scratch)?;
        event.data = Data::Object(ObjectRef {
            provider: ProviderId(ObjectRef::POSTED.to_owned()),
            bucket: "posted".parse().expect("a bucket name"),
            key: event.subject.as_deref().and_then(|name| name.parse().ok()).unwrap_or_else(body),
            size: Some(size),
            etag: None,
        });
        Ok((event, Some(path)))
    }
}
