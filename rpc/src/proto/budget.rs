//! [`Budget`]: how deep, and into how much memory, one message may decode. Nothing here knows a format.

use super::DecodeError;

/// How deep messages may lie in one another, the outermost not counted; the same as prost's limit.
///
/// A boxed message that holds itself is as deep as its sender likes, and each level takes stack.
pub const MAX_DEPTH: u32 = 100;

/// How many bytes of memory a message may decode to for each of its bytes on the wire, past [`MEMORY_FLOOR_BYTES`].
///
/// Honest messages come to it rarely: an empty `String` takes 24 bytes for the one or two that it has on the wire, the emptiest
/// `Option<Vec<_>>` the same. A struct that is much larger than it is on the wire, because most of it is absent, should be boxed.
pub const MEMORY_FACTOR: usize = 32;

/// What any message may decode to, however short it is: a tenth of the longest message.
///
/// It lets short lists of large, mostly empty structs through, and adds little to what a peer may make this side hold anyway.
pub const MEMORY_FLOOR_BYTES: usize = 1 << 20;

/// What is left of the depth and the memory that one message may take while it is decoded.
///
/// The memory is what elements, entries, strings and boxes take on the heap, charged before it is allocated. Collections grow by
/// doubling: what the allocator hands out can be up to twice what was charged.
#[derive(Debug)]
pub struct Budget {
    depth: u32,
    memory: usize,
}

impl Budget {
    /// The budget of a message of this length.
    #[must_use]
    pub const fn for_message(len: usize) -> Self {
        Self {
            depth: MAX_DEPTH,
            memory: len
                .saturating_mul(MEMORY_FACTOR)
                .saturating_add(MEMORY_FLOOR_BYTES),
        }
    }

    /// Takes memory.
    ///
    /// # Errors
    /// There is not as much left.
    #[inline]
    pub fn charge(&mut self, bytes: usize) -> Result<(), DecodeError> {
        match self.memory.checked_sub(bytes) {
            Some(left) => {
                self.memory = left;
                Ok(())
            }
            None => Err(too_large()),
        }
    }

    /// Takes memory for `count` values of type `T`; a value without a size still costs a byte, for the work.
    ///
    /// # Errors
    /// There is not as much left.
    #[inline]
    pub fn charge_many<T>(&mut self, count: usize) -> Result<(), DecodeError> {
        self.charge(count.saturating_mul(size_of::<T>().max(1)))
    }

    /// Goes one level deeper.
    ///
    /// # Errors
    /// It is deep enough.
    #[inline]
    pub fn enter(&mut self) -> Result<(), DecodeError> {
        match self.depth.checked_sub(1) {
            Some(left) => {
                self.depth = left;
                Ok(())
            }
            None => Err(too_deep()),
        }
    }

    /// Comes back from [`enter`](Self::enter).
    #[inline]
    pub const fn leave(&mut self) {
        self.depth += 1;
    }
}

#[cold]
fn too_large() -> DecodeError {
    DecodeError::exceeded(format!(
        "it would take more memory than {MEMORY_FACTOR} times its length and {MEMORY_FLOOR_BYTES} bytes: box what is large and \
         mostly absent, or send less at once"
    ))
}

#[cold]
fn too_deep() -> DecodeError {
    DecodeError::exceeded(format!("its parts lie more than {MAX_DEPTH} levels deep"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_the_floor_and_a_multiple() {
        let mut budget = Budget::for_message(10);
        budget.charge(MEMORY_FLOOR_BYTES + 320).unwrap();
        assert!(budget.charge(1).is_err());
        assert!(
            Budget::for_message(5)
                .charge_many::<()>(u32::MAX as usize)
                .is_err()
        );
        assert!(Budget::for_message(usize::MAX).charge(usize::MAX).is_ok());
    }

    #[test]
    fn depth_comes_back() {
        let mut budget = Budget::for_message(0);
        for _ in 0..3 {
            for _ in 0..MAX_DEPTH {
                budget.enter().unwrap();
            }
            assert!(budget.enter().is_err());
            for _ in 0..MAX_DEPTH {
                budget.leave();
            }
        }
    }
}
