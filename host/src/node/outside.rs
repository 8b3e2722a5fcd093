//! Clients for the storage providers outside this host, one per definition.

use std::sync::{Arc, Mutex};

use wicket_buckets::OutsideS3;
use wicket_config::{ProviderId, Service, StorageProvider};
use wicket_core::ObjectError;

/// Clients made so far. A client keeps connections, so services with the same provider share one.
#[derive(Debug, Default)]
pub(crate) struct Outside {
    clients: Mutex<Vec<(StorageProvider, Arc<OutsideS3>)>>,
}

/// Most clients kept: definitions change, and the oldest unused ones may go.
const KEPT: usize = 64;

impl Outside {
    /// The client for a provider of this service.
    pub(crate) fn of(&self, service: &Service, id: &ProviderId) -> Result<Arc<OutsideS3>, ObjectError> {
        let definition = service.storage_providers.get(id).ok_or_else(|| {
            ObjectError::Refused(format!("service `{}` defines no storage provider `{}`", service.name, id.0))
        })?;
        let mut clients = self.clients.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((_, client)) = clients.iter().find(|(known, _)| known == definition) {
            return Ok(client.clone());
        }
        let client = Arc::new(OutsideS3::new(definition));
        if clients.len() == KEPT {
            clients.remove(0);
        }
        clients.push((definition.clone(), client.clone()));
        Ok(client)
    }
}
