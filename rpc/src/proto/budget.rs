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

/// What a value of a list or a map costs at least: even where it takes no memory and no byte of the message, it takes time.
pub const MIN_VALUE_BYTES: usize = 8;

/// How large all messages may be together that lie in one another while they are read, the outermost not counted.
///
/// They are on the stack then, and a build without optimizations has each many times there (26 times were measured). So a message
/// that holds itself reaches [`MAX_DEPTH`] if it takes no more than about 300 bytes; larger ones should box their parts.
pub const MAX_NESTED_BYTES: usize = 32 << 10;

/// What is left of the depth and the memory that one message may take while it is decoded.
///
/// The memory is what elements, entries, strings and boxes take on the heap, charged before it is allocated. Collections grow by
/// doubling: what the allocator hands out can be up to twice what was charged.
#[derive(Debug)]
pub struct Budget {
    depth: u32,
    nested: usize,
    memory: usize,
}

impl Budget {
    /// The budget of a message of this length.
    #[must_use]
    pub const fn for_message(len: usize) -> Self {
        Self {
            depth: MAX_DEPTH,
            nested: MAX_NESTED_BYTES,
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

    /// Takes memory for `count` values of type `T`, each at least [`MIN_VALUE_BYTES`].
    ///
    /// # Errors
    /// There is not as much left.
    #[inline]
    pub fn charge_many<T>(&mut self, count: usize) -> Result<(), DecodeError> {
        self.charge(count.saturating_mul(size_of::<T>().max(MIN_VALUE_BYTES)))
    }

    /// Goes one level deeper, to read a `T`.
    ///
    /// # Errors
    /// It is deep enough.
    #[inline]
    pub fn enter<T>(&mut self) -> Result<(), DecodeError> {
        match (
            self.depth.checked_sub(1),
            self.nested.checked_sub(size_of::<T>()),
        ) {
            (Some(depth), Some(nested)) => {
                self.depth = depth;
                self.nested = nested;
                Ok(())
            }
            _ => Err(too_deep(self.depth)),
        }
    }

    /// Comes back from [`enter`](Self::enter).
    #[inline]
    pub const fn leave<T>(&mut self) {
        self.depth += 1;
        self.nested += size_of::<T>();
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
fn too_deep(left: u32) -> DecodeError {
    DecodeError::exceeded(if left == 0 {
        format!("its parts lie more than {MAX_DEPTH} levels deep")
    } else {
        format!(
            "its parts that lie in one another take more than {MAX_NESTED_BYTES} bytes of the stack: box what is large"
        )
    })
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
                budget.enter::<u64>().unwrap();
            }
            assert!(budget.enter::<u64>().is_err());
            for _ in 0..MAX_DEPTH {
                budget.leave::<u64>();
            }
        }
    }

    #[test]
    fn large_messages_lie_less_deep() {
        type Large = [u8; MAX_NESTED_BYTES / 4];
        let mut budget = Budget::for_message(0);
        for _ in 0..4 {
            budget.enter::<Large>().unwrap();
        }
        assert!(budget.enter::<u8>().is_err());
        budget.leave::<Large>();
        budget.enter::<u8>().unwrap();
    }
}
