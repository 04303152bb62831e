//! What makes room in the cache: pure, from what is known of each image that was fetched.

use std::time::SystemTime;

use blixard_rpc::{Result, Status};

use super::valid::Word;

/// An image that was fetched, as the cache sees it.
#[derive(Clone, Debug)]
pub(super) struct Cached {
    pub(super) hash: Word,
    /// What it takes, or will when it is all here.
    pub(super) bytes: u64,
    /// When it was used last.
    pub(super) used_at: SystemTime,
    /// It is in use or under way: it stays.
    pub(super) stays: bool,
}

/// What there is room in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// What all images that were fetched may take.
    pub(super) limit_bytes: u64,
    /// What the disk has left, without what it is to keep free.
    pub(super) free_bytes: u64,
}

/// Which images go, the least recently used first, so that another of this size fits; `on_disk` of it is there already.
///
/// # Errors
/// It does not fit, even if all go that may. Then none goes.
pub(super) fn evict(cached: &[Cached], room: Room, bytes: u64, on_disk: u64) -> Result<Vec<Word>> {
    let mut taken: u64 = cached.iter().map(|it| it.bytes).sum();
    let mut free = room.free_bytes;
    let missing = bytes.saturating_sub(on_disk);
    let mut going: Vec<&Cached> = cached.iter().filter(|it| !it.stays).collect();
    going.sort_by_key(|it| (it.used_at, it.hash));
    let mut evicted = Vec::new();
    let mut going = going.into_iter();
    loop {
        if taken.saturating_add(bytes) <= room.limit_bytes && missing <= free {
            return Ok(evicted);
        }
        let Some(next) = going.next() else { break };
        taken -= next.bytes;
        free = free.saturating_add(next.bytes);
        evicted.push(next.hash);
    }
    let stay = cached.iter().filter(|it| it.stays).count();
    Err(Status::resource_exhausted(
        if taken.saturating_add(bytes) > room.limit_bytes {
            format!(
                "the image has {bytes} bytes, and the cache at most {}, of which {taken} are taken by {stay} images that are in use or under way: raise its limit, or remove images",
                room.limit_bytes
            )
        } else {
            format!(
                "the disk is full: the image needs {missing} bytes more, and {free} could be free; make room, nothing was changed"
            )
        },
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn cached(name: u8, bytes: u64, used: u64, stays: bool) -> Cached {
        Cached {
            hash: [name; 32],
            bytes,
            used_at: SystemTime::UNIX_EPOCH + Duration::from_secs(used),
            stays,
        }
    }

    fn check(limit: u64, free: u64, bytes: u64, on_disk: u64, expected: Option<&[u8]>) {
        let all = [
            cached(1, 10, 30, false),
            cached(2, 10, 10, false),
            cached(3, 10, 0, true),
            cached(4, 10, 20, false),
        ];
        let room = Room {
            limit_bytes: limit,
            free_bytes: free,
        };
        let evicted = evict(&all, room, bytes, on_disk);
        let evicted = evicted.map(|all| all.iter().map(|it| it[0]).collect::<Vec<_>>());
        match expected {
            Some(expected) => assert_eq!(evicted.unwrap(), expected),
            None => {
                let status = evicted.unwrap_err();
                assert_eq!(status.code(), blixard_rpc::Code::ResourceExhausted);
            }
        }
    }

    #[test]
    fn the_least_recently_used_go_first_and_what_is_in_use_never() {
        check(50, 100, 10, 0, Some(&[]));
        check(50, 100, 11, 0, Some(&[2]));
        check(50, 100, 25, 0, Some(&[2, 4]));
        check(50, 100, 40, 0, Some(&[2, 4, 1]));
        check(50, 100, 41, 0, None);
        check(u64::MAX, 5, 10, 0, Some(&[2]));
        check(u64::MAX, 5, 10, 5, Some(&[]));
        check(u64::MAX, 5, 36, 0, None);
        check(u64::MAX, 0, u64::MAX, 0, None);
    }
}
