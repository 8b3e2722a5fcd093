//! What was not shown when a service was read need not be sent when it is written.

use std::collections::BTreeMap;

use wicket_config::Service;
use wicket_config::fdl::HIDDEN;
use wicket_core::Deployment;

use crate::api::error::ApiError;

/// Puts the stored values where the definition only says that there is one. Everything that has none is told at once.
pub(super) fn restore(
    service: &mut Service,
    secrets: &mut BTreeMap<String, String>,
    stored: Option<&Deployment>,
) -> Result<(), ApiError> {
    let mut missing = Vec::new();
    for (name, value) in secrets.iter_mut() {
        let kept = stored.and_then(|stored| stored.secrets.get(name));
        match (value.as_str(), kept) {
            ("" | HIDDEN, Some(kept)) => *value = kept.reveal().to_owned(),
            (HIDDEN, None) => missing.push(format!("environment.secrets.{name}")),
            _ => {}
        }
    }
    for (id, provider) in &mut service.storage_providers {
        if provider.secret_key != HIDDEN {
            continue;
        }
        match stored.and_then(|stored| stored.service.storage_providers.get(id)) {
            Some(kept) => provider.secret_key.clone_from(&kept.secret_key),
            None => missing.push(format!("storage_providers.{}.secret_key", id.0)),
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let line = |place: String| {
        format!("{place}: reads `{HIDDEN}`, and no value is stored that this could stand for")
    };
    let lines: Vec<String> = missing.into_iter().map(line).collect();
    Err(ApiError::bad("bad_definition", lines.join("\n")).help("send the value itself"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wicket_config::fdl;
    use wicket_core::Secret;

    fn read(json: &serde_json::Value) -> (Service, BTreeMap<String, String>) {
        fdl::read_service(json.to_string().as_bytes()).unwrap().resolve().unwrap()
    }

    fn definition(secret: &str, key: &str) -> serde_json::Value {
        serde_json::json!({
            "name": "a", "wasm": "0".repeat(64),
            "environment": {"secrets": {"TOKEN": secret}},
            "storage_providers": {"minio": {"other": {"endpoint": "http://h", "access_key": "k", "secret_key": key}}},
            "output": [{"storage_provider": "minio.other", "path": "photos/out"}],
        })
    }

    fn deployed() -> Deployment {
        let (service, secrets) = read(&definition("deep secret", "deep key"));
        let secrets = secrets.into_iter().map(|(name, value)| (name, Secret::new(value))).collect();
        Deployment { service, version: 1, secrets }
    }

    #[test]
    fn what_was_read_can_be_sent_back() {
        let stored = deployed();
        let shown = fdl::wire(&stored.service);
        assert!(!shown.to_string().contains("deep "), "{shown}");
        let (mut service, mut secrets) = read(&shown);
        restore(&mut service, &mut secrets, Some(&stored)).unwrap();
        assert_eq!(service, stored.service);
        assert_eq!(secrets["TOKEN"], "deep secret");
    }

    #[test]
    fn a_new_value_goes_before_the_stored_one() {
        let (mut service, mut secrets) = read(&definition("new", "new key"));
        restore(&mut service, &mut secrets, Some(&deployed())).unwrap();
        assert_eq!(secrets["TOKEN"], "new");
        assert_eq!(service.storage_providers.values().next().unwrap().secret_key, "new key");
    }

    #[test]
    fn nothing_stands_for_what_was_never_stored() {
        let (mut service, mut secrets) = read(&definition(HIDDEN, HIDDEN));
        let error = restore(&mut service, &mut secrets, None).unwrap_err();
        assert_eq!(error.detail().message.lines().count(), 2, "{error:?}");
    }
}
