//! What is on its way here from elsewhere: images, models.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

type All = BTreeMap<u64, Fetch>;

/// All that is being fetched now.
#[derive(Clone, Debug, Default)]
pub struct Fetches(Arc<Mutex<All>>);

/// Something that is being fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetch {
    /// `image ghcr.io/org/name:1`.
    pub what: String,
    /// Bytes that are here.
    pub here: u64,
    /// Bytes in all, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole: Option<u64>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub struct Fetching {
    all: Fetches,
    id: u64,
}

impl Fetches {
    /// Something begins to come.
    pub fn begin(&self, what: String) -> Fetching {
        let mut all = self.lock();
        let id = all.keys().next_back().map_or(0, |last| last + 1);
        all.insert(id, Fetch { what, here: 0, whole: None });
        drop(all);
        Fetching { all: self.clone(), id }
    }

    /// All of this moment, the oldest first.
    pub fn now(&self) -> Vec<Fetch> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fetching {
    /// So much is here.
    pub fn is_at(&self, here: u64, whole: Option<u64>) {
        if let Some(fetch) = self.all.lock().get_mut(&self.id) {
            (fetch.here, fetch.whole) = (here, whole);
        }
    }

    /// So much more is here.
    pub fn add(&self, n: u64) {
        if let Some(fetch) = self.all.lock().get_mut(&self.id) {
            fetch.here += n;
        }
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        self.all.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_fetched_is_shown_until_it_is_here() {
        let all = Fetches::default();
        let (image, model) = (all.begin("image a".to_owned()), all.begin("model b".to_owned()));
        image.is_at(5, Some(9));
        model.add(3);
        model.add(4);
        let fetch = |what: &str, here, whole| Fetch { what: what.to_owned(), here, whole };
        assert_eq!(all.now(), [fetch("image a", 5, Some(9)), fetch("model b", 7, None)]);
        drop(image);
        assert_eq!(all.now(), [fetch("model b", 7, None)]);
        drop(model);
        assert!(all.now().is_empty());
    }
}
