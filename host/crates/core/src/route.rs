//! Which services an event starts: a function of the compiled configuration, and of nothing else.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wicket_config::{EventFilter, Input, JoinBy, Output, ProviderId, Service, ServiceName};

use crate::event::bucket_source;
use crate::{Delivery, Event, Invocation, JoinPart, ObjectRef, kinds};

/// Stages an event may pass. A workflow of more is a mistake, and a loop that was not found when it was made ends
/// here.
pub const MAX_HOPS: u32 = 32;

/// All routes of a node. Swapped whole when a service changes.
#[derive(Debug, Default)]
pub struct Router {
    services: Vec<Arc<Service>>,
    /// By provider and bucket: which services (by position) listen there. Most events touch one bucket of many.
    by_bucket: HashMap<(ProviderId, String), Vec<usize>>,
    /// Services with an event filter.
    by_event: Vec<usize>,
}

/// Whether a service is started by an event, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Which service.
    pub service: ServiceName,
    /// Whether it is started.
    pub matches: bool,
    /// One sentence for each of its inputs and filters.
    pub reasons: Vec<String>,
}

impl Router {
    /// Compiles the routes of these services.
    pub fn compile(services: Vec<Arc<Service>>) -> Self {
        let mut router = Self::default();
        for (idx, service) in services.iter().enumerate() {
            for input in &service.input {
                let place = (input.storage_provider.clone(), input.bucket.to_string());
                let listeners = router.by_bucket.entry(place).or_default();
                if listeners.last() != Some(&idx) {
                    listeners.push(idx);
                }
            }
            if !service.events.is_empty() {
                router.by_event.push(idx);
            }
        }
        Self { services, ..router }
    }

    /// What an event starts. Nothing, for one that has passed [`MAX_HOPS`] stages.
    pub fn route(&self, event: &Event) -> Vec<Delivery> {
        if event.hops > MAX_HOPS {
            let Event { id, source, subject, hops, .. } = event;
            tracing::warn!(%id, source, subject, hops, "an event starts nothing: is there a loop?");
            return Vec::new();
        }
        let mut started: Vec<usize> = Vec::new();
        if let Some(object) = created(event) {
            let place = (object.provider.clone(), object.bucket.to_string());
            let listeners = self.by_bucket.get(&place).map_or(&[][..], Vec::as_slice);
            let hit =
                |idx: &&usize| self.services[**idx].input.iter().any(|input| miss(input, object).is_none());
            started.extend(listeners.iter().filter(hit));
        }
        for &idx in &self.by_event {
            let hit = self.services[idx].events.iter().any(|filter| filter_miss(filter, event).is_none());
            if hit && !started.contains(&idx) {
                started.push(idx);
            }
        }
        started.into_iter().map(|idx| deliver(&self.services[idx], event)).collect()
    }

    /// The same decision for every service, with its reasons.
    pub fn explain(&self, event: &Event) -> Vec<Explanation> {
        self.services.iter().map(|service| explain(service, event)).collect()
    }
}

fn created(event: &Event) -> Option<&ObjectRef> {
    event.object().filter(|object| event.kind == kinds::OBJECT_CREATED && !object.key.is_folder_marker())
}

fn deliver(service: &Service, event: &Event) -> Delivery {
    match service.join.clone() {
        None => Delivery::Run(Invocation::of(&service.name, event.clone())),
        Some(rule) => Delivery::Part(JoinPart {
            service: service.name.clone(),
            group: group(rule.by, event),
            rule,
            event: event.clone(),
        }),
    }
}

fn group(by: JoinBy, event: &Event) -> String {
    match (by, event.object()) {
        (JoinBy::Folder, Some(object)) => format!("{}/{}", object.bucket, object.key.folder()),
        (JoinBy::Bucket, Some(object)) => object.bucket.to_string(),
        (JoinBy::Origin, _) => event.origin.to_string(),
        (JoinBy::Folder | JoinBy::Bucket, None) => event.source.clone(),
    }
}

/// `folder` and `key` in slash terms: the key below the folder, or none when it is elsewhere.
fn below<'k>(folder: &str, key: &'k str) -> Option<&'k str> {
    match folder {
        "" => Some(key),
        folder => key.strip_prefix(folder)?.strip_prefix('/'),
    }
}

/// Whether a service may be given this object by whoever may call it: one of its inputs takes the object, or it is granted
/// to read all of the bucket. Anything else would be read on behalf of somebody who only knows its name.
pub fn may_name(service: &Service, object: &ObjectRef) -> bool {
    let granted = object.provider.is_local() && service.grants.read_buckets.contains(&object.bucket);
    granted || service.input.iter().any(|input| miss(input, object).is_none())
}

/// Why this input does not take this object; none: it does.
fn miss(input: &Input, object: &ObjectRef) -> Option<String> {
    let (place, key) =
        (place(&input.storage_provider, input.bucket.as_str(), &input.folder), object.key.as_str());
    if input.storage_provider != object.provider || input.bucket != object.bucket {
        return Some(format!("{place}: the object is in {}/{}", object.provider.0, object.bucket));
    }
    if object.key.is_folder_marker() {
        return Some(format!("{place}: `{key}` only marks a folder"));
    }
    let Some(name) = below(&input.folder, key) else {
        return Some(format!("{place}: `{key}` is not in that folder"));
    };
    if !input.prefix.is_empty() && !input.prefix.iter().any(|prefix| name.starts_with(prefix)) {
        return Some(format!("{place}: `{name}` begins with none of {:?}", input.prefix));
    }
    if !input.suffix.is_empty() && !input.suffix.iter().any(|suffix| name.ends_with(suffix)) {
        return Some(format!("{place}: `{name}` ends with none of {:?}", input.suffix));
    }
    None
}

fn place(provider: &ProviderId, bucket: &str, folder: &str) -> String {
    let slash = if folder.is_empty() { "" } else { "/" };
    format!("{}/{bucket}{slash}{folder}", provider.0)
}

/// Why this filter does not take this event; none: it does.
fn filter_miss(filter: &EventFilter, event: &Event) -> Option<String> {
    let attributes = [
        ("type", &filter.kind, Some(event.kind.as_str())),
        ("source", &filter.source, Some(event.source.as_str())),
        ("subject", &filter.subject, event.subject.as_deref()),
    ];
    for (attribute, pattern, value) in attributes {
        let Some(pattern) = pattern else { continue };
        if !value.is_some_and(|value| takes(pattern, value)) {
            let found = value.map_or_else(|| "missing".to_owned(), |value| format!("`{value}`"));
            return Some(format!("events: {attribute} is {found}, not `{pattern}`"));
        }
    }
    None
}

/// Whether a pattern, which may end in `*`, takes a value.
fn takes(pattern: &str, value: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => value.starts_with(start),
        None => value == pattern,
    }
}

fn explain(service: &Service, event: &Event) -> Explanation {
    let mut matches = false;
    let mut reasons = Vec::new();
    let mut say = |missed: Option<String>, hit: String| {
        matches |= missed.is_none();
        reasons.push(missed.unwrap_or(hit));
    };
    if event.hops > MAX_HOPS {
        reasons.push(format!(
            "the event has passed {} stages, more than {MAX_HOPS}: is there a loop?",
            event.hops
        ));
        return Explanation { service: service.name.clone(), matches, reasons };
    }
    for input in &service.input {
        let place = place(&input.storage_provider, input.bucket.as_str(), &input.folder);
        match event.object() {
            Some(object) if event.kind == kinds::OBJECT_CREATED => {
                say(miss(input, object), format!("{place}: takes `{}`", object.key));
            }
            Some(_) | None => say(Some(format!("{place}: the event is no new object")), String::new()),
        }
    }
    for filter in &service.events {
        say(filter_miss(filter, event), "events: all attributes match".to_owned());
    }
    if service.input.is_empty() && service.events.is_empty() {
        reasons.push("it listens to no bucket and no event".to_owned());
    }
    if let (true, Some(join)) = (matches, &service.join) {
        reasons.push(format!("it waits in the join `{}`", group(join.by, event)));
    }
    Explanation { service: service.name.clone(), matches, reasons }
}

/// Services that feed each other in a circle: an output of each may start the next, and the last the first.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the services would start each other for ever: {}", .0.iter().map(ServiceName::as_str).collect::<Vec<_>>().join(" → "))]
pub struct Cycle(pub Vec<ServiceName>);

/// Finds a circle of services, so that it is refused when it is made and not found in a storm.
///
/// Folders and suffixes that can never meet break a circle; what cannot be told apart counts as meeting.
pub fn find_cycle(services: &[Arc<Service>]) -> Option<Cycle> {
    let feeds = |from: &Service, to: &Service| {
        from.output.iter().any(|output| {
            to.input.iter().any(|input| may_meet(output, input))
                || to.events.iter().any(|filter| may_match(output, filter))
        })
    };
    let next: Vec<Vec<usize>> = services
        .iter()
        .map(|from| (0..services.len()).filter(|&to| feeds(from, &services[to])).collect())
        .collect();
    // Depth first with an explicit path: 0 not seen, 1 on the path, 2 done.
    let mut state = vec![0u8; services.len()];
    for start in 0..services.len() {
        let mut path = vec![(start, 0)];
        if state[start] != 0 {
            continue;
        }
        state[start] = 1;
        while let Some(&mut (at, ref mut step)) = path.last_mut() {
            let Some(&to) = next[at].get(*step) else {
                state[at] = 2;
                path.pop();
                continue;
            };
            *step += 1;
            if state[to] == 1 {
                let begin = path.iter().position(|&(idx, _)| idx == to).unwrap_or(0);
                let mut names: Vec<ServiceName> =
                    path[begin..].iter().map(|&(idx, _)| services[idx].name.clone()).collect();
                names.push(services[to].name.clone());
                return Some(Cycle(names));
            }
            if state[to] == 0 {
                state[to] = 1;
                path.push((to, 0));
            }
        }
    }
    None
}

fn may_meet(output: &Output, input: &Input) -> bool {
    if output.storage_provider != input.storage_provider || output.bucket != input.bucket {
        return false;
    }
    // Outputs land below the output's folder; the input sees what is below its own.
    let inside = below(&input.folder, format!("{}/x", output.folder).trim_start_matches('/')).is_some();
    let above = below(&output.folder, format!("{}/x", input.folder).trim_start_matches('/')).is_some();
    let suffixes_meet = output.suffix.is_empty()
        || input.suffix.is_empty()
        || output.suffix.iter().any(|o| input.suffix.iter().any(|i| o.ends_with(i) || i.ends_with(o)));
    (inside || above) && suffixes_meet
}

/// Whether a filter may take the event of an output becoming visible.
fn may_match(output: &Output, filter: &EventFilter) -> bool {
    if !output.storage_provider.is_local() {
        return false;
    }
    let may =
        |pattern: &Option<String>, value: &str| pattern.as_ref().is_none_or(|pattern| takes(pattern, value));
    // Of the subject, the key, only the folder is known.
    let below = |pattern: &String| {
        let start = pattern.strip_suffix('*').unwrap_or(pattern);
        start.starts_with(&output.folder) || output.folder.starts_with(start)
    };
    may(&filter.kind, kinds::OBJECT_CREATED)
        && may(&filter.source, &bucket_source(&output.bucket))
        && filter.subject.as_ref().is_none_or(below)
}

#[cfg(test)]
mod tests;
