//! [`Budget`]: how many bytes a server holds of requests that have not come whole, over all its connections.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// How many bytes of requests that have not come whole are held at once, and how many may be.
#[derive(Debug)]
pub(super) struct Budget {
    used: AtomicUsize,
    limit_bytes: usize,
}

impl Budget {
    pub(super) const fn new(limit_bytes: usize) -> Self {
        Self {
            used: AtomicUsize::new(0),
            limit_bytes,
        }
    }
}

/// What one call holds; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Held {
    pub(super) const fn nothing(budget: Arc<Budget>) -> Self {
        Self { budget, bytes: 0 }
    }

    /// Holds so much from now on.
    ///
    /// # Errors
    /// The limit, if that is more than there is left.
    pub(super) fn hold(&mut self, bytes: usize) -> Result<(), usize> {
        let used = &self.budget.used;
        if let Some(more) = bytes.checked_sub(self.bytes) {
            let before = used.fetch_add(more, Ordering::Relaxed);
            if before + more > self.budget.limit_bytes {
                used.fetch_sub(more, Ordering::Relaxed);
                return Err(self.budget.limit_bytes);
            }
        } else {
            used.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_within_the_limit_and_is_given_back() {
        let budget = Arc::new(Budget::new(10));
        let mut one = Held::nothing(Arc::clone(&budget));
        let mut two = Held::nothing(Arc::clone(&budget));
        assert_eq!(one.hold(6), Ok(()));
        assert_eq!(two.hold(5), Err(10));
        assert_eq!(two.hold(4), Ok(()));
        assert_eq!(one.hold(7), Err(10));
        assert_eq!(one.hold(1), Ok(()));
        assert_eq!(two.hold(9), Ok(()));
        drop((one, two));
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
    }
}
