//! Needs sixteen times the memory of its input, and puts the input's size out as `size`.

fn main() -> std::io::Result<()> {
    let input = std::fs::read(std::env::var("INPUT_FILE_PATH").expect("it was uploaded"))?;
    let copies: Vec<Vec<u8>> = (0..16).map(|_| input.clone()).collect();
    let bytes = std::hint::black_box(copies).iter().map(Vec::len).max().unwrap_or(0);
    let folder = std::env::var("TMP_OUTPUT_DIR").expect("a command has one");
    std::fs::write(format!("{folder}/size"), bytes.to_string())
}
