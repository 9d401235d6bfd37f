//! Memory that the allocator keeps although nobody uses it.

#![allow(unsafe_code, reason = "no library offers malloc_trim(3) otherwise")]

use std::thread;

use super::observe::joined;

/// Gives back to the kernel every page of free memory below the last piece in use, which glibc does not do by itself. Other
/// allocators are left alone.
pub fn give_back() {
    // SAFETY: it takes no pointer, locks each arena that it looks at, and touches free memory only.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Does `work` in a thread of its own. glibc takes the memory for a thread from an arena that no other thread uses at that time:
/// what is copied there lies side by side.
pub fn apart(work: impl FnOnce() + Send) {
    thread::scope(|scope| joined(scope.spawn(work)));
}

#[cfg(all(test, target_env = "gnu"))]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    /// Pages of this process that are in memory.
    fn resident() -> usize {
        let text = std::fs::read_to_string("/proc/self/statm").unwrap();
        text.split(' ').nth(1).unwrap().parse().unwrap()
    }

    #[test]
    fn what_was_freed_below_a_piece_in_use_is_given_back() {
        let before = resident();
        let pieces: Vec<Box<[u8]>> = (0..100_000).map(|_| vec![1; 400].into_boxed_slice()).collect();
        let last = vec![1_u8; 400].into_boxed_slice();
        let most = resident() - before;
        drop(pieces);
        let kept = resident() - before;
        give_back();
        let left = resident().saturating_sub(before);
        assert!(left * 4 < kept && kept * 2 > most, "{most}, {kept}, {left} pages");
        drop(last);
    }
}
