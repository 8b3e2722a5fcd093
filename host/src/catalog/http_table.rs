//! Which service answers an HTTP request: by host, path pattern and method.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Semaphore;
use wicket_config::{HttpRoute, Service, ServiceName};
use wicket_core::Deployment;

use crate::trigger::http::decoded;

/// HTTP routes of all services.
#[derive(Default)]
pub(crate) struct HttpTable {
    /// Routes for one host name, in lower case.
    by_host: HashMap<String, matchit::Router<Vec<Arc<Endpoint>>>>,
    /// Routes for any host.
    any_host: matchit::Router<Vec<Arc<Endpoint>>>,
}

/// One route and what answers there.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// Empty: all methods.
    methods: Vec<String>,
    /// The service.
    pub(crate) deployment: Arc<Deployment>,
    /// What bounds its attempts.
    pub(crate) permits: Arc<Semaphore>,
}

/// What a request meets.
#[derive(Debug)]
pub(crate) enum Lookup {
    /// This.
    Found(Arc<Endpoint>),
    /// The path is there, for these other methods.
    OtherMethods(Vec<String>),
    /// Nothing.
    Nothing,
}

/// Two routes that cannot be told apart, or a path that is no pattern.
#[derive(Debug, thiserror::Error)]
#[error("service `{service}` cannot take the HTTP route `{path}`: {reason}")]
pub(crate) struct RouteClash {
    /// Whose.
    pub(crate) service: ServiceName,
    /// Which.
    path: String,
    /// Why.
    reason: String,
}

impl std::fmt::Debug for HttpTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpTable").field("hosts", &self.by_host.keys()).finish_non_exhaustive()
    }
}

impl HttpTable {
    /// Compiles routes that [`HttpTable::check`] has passed.
    pub(crate) fn compile(
        deployments: &[Arc<Deployment>],
        permits: &HashMap<ServiceName, Arc<Semaphore>>,
    ) -> Self {
        let mut routes: HashMap<Place, Vec<Arc<Endpoint>>> = HashMap::new();
        for deployment in deployments {
            let Some(permits) = permits.get(&deployment.service.name) else { continue };
            for route in &deployment.service.http {
                let endpoint = Endpoint {
                    methods: route.methods.clone(),
                    deployment: deployment.clone(),
                    permits: permits.clone(),
                };
                routes.entry(place(route)).or_default().push(Arc::new(endpoint));
            }
        }
        let mut table = Self::default();
        for ((host, path), endpoints) in routes {
            let router = match host {
                Some(host) => table.by_host.entry(host).or_default(),
                None => &mut table.any_host,
            };
            if let Err(error) = router.insert(path.as_str(), endpoints) {
                tracing::error!(path, %error, "http route could not be placed");
            }
        }
        table
    }

    /// Whether these services can stand beside each other.
    pub(crate) fn check<'s>(services: impl Iterator<Item = &'s Service>) -> Result<(), RouteClash> {
        let mut routers: HashMap<Option<String>, matchit::Router<()>> = HashMap::new();
        // By place: who answers there, for which methods.
        let mut taken: HashMap<Place, Vec<(ServiceName, Vec<String>)>> = HashMap::new();
        for service in services {
            for route in &service.http {
                let clash = |reason: String| RouteClash {
                    service: service.name.clone(),
                    path: route.path.clone(),
                    reason,
                };
                let (host, path) = place(route);
                let place = (host.clone(), path.clone());
                let others = taken.get(&place).map_or(&[][..], Vec::as_slice);
                for (other, methods) in others {
                    let free = |m: &String| !methods.contains(m);
                    if route.methods.is_empty() || methods.is_empty() || !route.methods.iter().all(free) {
                        return Err(clash(format!("service `{other}` has it for the same method")));
                    }
                }
                if others.is_empty() {
                    let router = routers.entry(host.clone()).or_default();
                    if let Err(error) = router.insert(path.clone(), ()) {
                        let matchit::InsertError::Conflict { with } = &error else {
                            return Err(clash(error.to_string()));
                        };
                        let owner = taken.get(&(host, with.clone())).and_then(|others| others.first());
                        let owner = owner.map_or(&service.name, |(owner, _)| owner);
                        return Err(clash(format!("it cannot be told from `{with}` of service `{owner}`")));
                    }
                }
                taken.entry((host, path)).or_default().push((service.name.clone(), route.methods.clone()));
            }
        }
        Ok(())
    }

    /// What answers this request.
    pub(crate) fn find(&self, host: Option<&str>, path: &str, method: &str) -> Lookup {
        let mut others = Vec::new();
        let named = host.and_then(|host| {
            if self.by_host.is_empty() {
                return None;
            }
            let name = host.rsplit_once(':').map_or(host, |(name, port)| {
                if port.bytes().all(|b| b.is_ascii_digit()) { name } else { host }
            });
            self.by_host.get(&name.trim_end_matches('.').to_ascii_lowercase())
        });
        for router in named.into_iter().chain([&self.any_host]) {
            let Ok(found) = router.at(path) else { continue };
            let has = |endpoint: &Endpoint, method: &str| endpoint.methods.iter().any(|own| own == method);
            let exact =
                found.value.iter().find(|endpoint| endpoint.methods.is_empty() || has(endpoint, method));
            // Who answers GET answers HEAD: the same without the body.
            let head = || found.value.iter().find(|endpoint| method == "HEAD" && has(endpoint, "GET"));
            if let Some(endpoint) = exact.or_else(head) {
                return Lookup::Found(endpoint.clone());
            }
            others.extend(found.value.iter().flat_map(|endpoint| endpoint.methods.iter().cloned()));
        }
        if others.is_empty() { Lookup::Nothing } else { Lookup::OtherMethods(others) }
    }
}

/// Host (none: any) and path pattern of a route.
type Place = (Option<String>, String);

fn place(route: &HttpRoute) -> Place {
    let host = route.host.as_ref().map(|host| host.trim_end_matches('.').to_ascii_lowercase());
    // As the paths of requests are: a pattern may be written encoded too.
    let path = decoded(&route.path).map_or_else(|_| route.path.clone(), Cow::into_owned);
    (host, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(name: &str, routes: &[(Option<&str>, &str, &[&str])]) -> Arc<Deployment> {
        let http: Vec<_> = routes
            .iter()
            .map(|(host, path, methods)| serde_json::json!({"host": host, "path": path, "methods": methods}))
            .collect();
        let json = serde_json::json!({"name": name, "wasm": "0".repeat(64), "http": http});
        let service = serde_json::from_value(json).unwrap();
        Arc::new(Deployment { service, version: 1, secrets: Default::default() })
    }

    fn table(deployments: &[Arc<Deployment>]) -> HttpTable {
        HttpTable::check(deployments.iter().map(|d| &d.service)).unwrap();
        let permits =
            deployments.iter().map(|d| (d.service.name.clone(), Arc::new(Semaphore::new(1)))).collect();
        HttpTable::compile(deployments, &permits)
    }

    #[track_caller]
    fn check(table: &HttpTable, (host, path, method): (Option<&str>, &str, &str), expected: &str) {
        let found = match table.find(host, path, method) {
            Lookup::Found(endpoint) => endpoint.deployment.service.name.to_string(),
            Lookup::OtherMethods(methods) => methods.join(","),
            Lookup::Nothing => String::new(),
        };
        assert_eq!(found, expected, "{method} {host:?} {path}");
    }

    #[test]
    fn a_request_finds_its_service_by_host_path_and_method() {
        let table = table(&[
            deployment("any", &[(None, "/items/{id}", &["GET"])]),
            deployment("post", &[(None, "/items/{id}", &["POST", "PUT"])]),
            deployment("named", &[(Some("Example.org"), "/items/{id}", &[])]),
            deployment("rest", &[(None, "/files/{*rest}", &[])]),
            deployment("encoded", &[(None, "/caf%C3%A9/{id}", &[])]),
        ]);
        check(&table, (None, "/items/7", "GET"), "any");
        check(&table, (Some("else.org:8080"), "/items/7", "PUT"), "post");
        check(&table, (Some("example.ORG:8080"), "/items/7", "PUT"), "named");
        check(&table, (Some("[::1]:8080"), "/items/7", "DELETE"), "GET,POST,PUT");
        check(&table, (Some("example.org."), "/items/7", "PUT"), "named");
        check(&table, (None, "/items/7", "HEAD"), "any");
        check(&table, (None, "/items/7", "OPTIONS"), "GET,POST,PUT");
        check(&table, (None, "/files/a/b", "GET"), "rest");
        check(&table, (None, "/café/1", "GET"), "encoded");
        check(&table, (None, "/items", "GET"), "");
    }

    #[test]
    fn two_services_cannot_have_one_route() {
        let clash =
            |a, b| HttpTable::check([&deployment("a", a).service, &deployment("b", b).service].into_iter());
        let error = clash(&[(None, "/x", &[])], &[(None, "/x", &["GET"])]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "service `b` cannot take the HTTP route `/x`: service `a` has it for the same method"
        );
        clash(&[(None, "/x", &["GET"])], &[(None, "/x", &["POST"])]).unwrap();
        clash(&[(None, "/x/{a}", &["GET"])], &[(None, "/x/{b}", &["POST"])]).unwrap_err();
    }
}
