//! Calls that wait, fair between services: each takes its turn, whatever the others have queued.

use std::collections::VecDeque;
use std::sync::Arc;

/// A queue for each service, in the order of their turns.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    services: VecDeque<Service<T>>,
    len: usize,
}

#[derive(Debug)]
struct Service<T> {
    name: Arc<str>,
    /// Never empty.
    calls: VecDeque<T>,
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        Self { services: VecDeque::new(), len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many calls of this service wait.
    pub(crate) fn len_of(&self, service: &str) -> usize {
        self.services.iter().find(|one| &*one.name == service).map_or(0, |one| one.calls.len())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.services.iter().flat_map(|service| &service.calls)
    }

    /// Behind the calls of its service. A service that had none has its turn last.
    pub(crate) fn push(&mut self, service: &Arc<str>, call: T) {
        self.of(service).calls.push_back(call);
        self.len += 1;
    }

    /// Before the calls of its service: it had its turn already.
    pub(crate) fn push_front(&mut self, service: &Arc<str>, call: T) {
        self.of(service).calls.push_front(call);
        self.len += 1;
    }

    /// The first call that can go, of the service whose turn it is; a service none of whose calls can go keeps its turn.
    pub(crate) fn next(&mut self, mut can_go: impl FnMut(&T) -> bool) -> Option<T> {
        let (turn, at) =
            self.services.iter().enumerate().find_map(|(turn, service)| {
                service.calls.iter().position(&mut can_go).map(|at| (turn, at))
            })?;
        let mut service = self.services.remove(turn)?;
        let call = service.calls.remove(at);
        if !service.calls.is_empty() {
            self.services.push_back(service);
        }
        self.len -= 1;
        call
    }

    /// Takes out all calls for which this is so.
    pub(crate) fn remove(&mut self, mut is: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut removed = Vec::new();
        for service in &mut self.services {
            let (gone, kept): (VecDeque<T>, _) =
                std::mem::take(&mut service.calls).into_iter().partition(&mut is);
            service.calls = kept;
            removed.extend(gone);
        }
        self.services.retain(|service| !service.calls.is_empty());
        self.len -= removed.len();
        removed
    }

    fn of(&mut self, name: &Arc<str>) -> &mut Service<T> {
        let at = self.services.iter().position(|service| service.name == *name).unwrap_or_else(|| {
            self.services.push_back(Service { name: name.clone(), calls: VecDeque::new() });
            self.services.len() - 1
        });
        &mut self.services[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(calls: &[(&str, u32)]) -> Queue<u32> {
        let mut queue = Queue::new();
        for (service, call) in calls {
            queue.push(&Arc::from(*service), *call);
        }
        queue
    }

    #[test]
    fn services_take_turns_whatever_each_has_queued() {
        let mut queue = queue(&[("greedy", 1), ("greedy", 2), ("greedy", 3), ("b", 4), ("c", 5), ("b", 6)]);
        let order: Vec<u32> = std::iter::from_fn(|| queue.next(|_| true)).collect();
        assert_eq!(order, [1, 4, 5, 2, 6, 3]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn a_service_whose_model_is_not_there_yet_keeps_its_turn() {
        let mut queue = queue(&[("a", 1), ("a", 2), ("b", 3), ("b", 4)]);
        assert_eq!(queue.next(|call| *call >= 3), Some(3));
        assert_eq!(queue.next(|_| true), Some(1));
        assert_eq!(queue.next(|call| *call == 2), Some(2));
    }

    #[test]
    fn what_is_removed_is_counted_no_more() {
        let mut queue = queue(&[("a", 1), ("a", 2), ("b", 3)]);
        assert_eq!(queue.remove(|call| *call != 2), [1, 3]);
        assert_eq!((queue.len(), queue.len_of("a"), queue.len_of("b")), (1, 1, 0));
        queue.push_front(&Arc::from("a"), 9);
        assert_eq!(queue.next(|_| true), Some(9));
    }
}
