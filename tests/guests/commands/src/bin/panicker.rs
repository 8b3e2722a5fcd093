//! Panics three named calls deep.

fn main() {
    outer_story(std::env::args().count());
}

#[inline(never)]
fn outer_story(n: usize) {
    middle_story(std::hint::black_box(n));
}

#[inline(never)]
fn middle_story(n: usize) {
    inner_story(std::hint::black_box(n) + 1);
}

#[inline(never)]
fn inner_story(n: usize) {
    panic!("{} words were too many", std::hint::black_box(n));
}
