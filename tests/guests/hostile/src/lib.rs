//! How the hostile guests misbehave, whatever their shape.

use std::time::Duration;

/// Does what the first of these words that stands in the text says, and returns when none does: `spin`, `hog` (takes
/// memory), `sleep`, `recurse`, `panic`, `chatter` (logs without end).
pub fn misbehave(text: &str) {
    let said = |word: &str| text.contains(word);
    if said("spin") {
        loop {
            std::hint::black_box(0);
        }
    } else if said("hog") {
        let mut held = Vec::new();
        loop {
            held.push(vec![1_u8; 1 << 20]);
            std::hint::black_box(&held);
        }
    } else if said("sleep") {
        std::thread::sleep(Duration::from_secs(3600));
    } else if said("recurse") {
        std::hint::black_box(recurse(text.len()));
    } else if said("panic") {
        panic!("the input said so");
    } else if said("chatter") {
        // Lines of 1 KiB: the log is full long before the CPU time is used up, on a slow machine too.
        let line = "and another thing ".repeat(57);
        loop {
            eprintln!("{line}");
        }
    }
}

#[inline(never)]
#[expect(unconditional_recursion, reason = "that is what it is for")]
fn recurse(n: usize) -> usize {
    let frame = [std::hint::black_box(n); 64];
    recurse(frame[n % 64] + 1) + frame[0]
}
