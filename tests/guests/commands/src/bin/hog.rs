//! Takes memory until there is no more; says on stderr how much it got. With an argument: so many MiB, and it ends
//! well.

fn main() {
    let most = std::env::args().nth(1).and_then(|mib| mib.parse().ok()).unwrap_or(usize::MAX);
    let mut held: Vec<Vec<u8>> = Vec::new();
    while held.len() < most {
        // Written to: memory that nobody touches is not there.
        held.push(vec![held.len() as u8 | 1; 1 << 20]);
        eprintln!("{} MiB", held.len());
    }
    println!("{}", held.iter().map(|mib| usize::from(mib[4096])).sum::<usize>());
}
