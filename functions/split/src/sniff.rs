//! What a file is by its first bytes.

/// The format's name; none for what is no video that we know of. Its extension is not believed.
pub(crate) fn format(head: &[u8]) -> Option<&'static str> {
    let at = |offset: usize, magic: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    Some(match () {
        () if at(0, b"GIF87a") || at(0, b"GIF89a") => "GIF",
        () if at(0, b"RIFF") && at(8, b"AVI ") => "AVI",
        () if at(4, b"ftypqt") => "QuickTime (MOV)",
        () if at(4, b"ftyp") => "MP4",
        () if at(0, &[0x1a, 0x45, 0xdf, 0xa3]) => "Matroska or WebM",
        () if at(0, b"OggS") => "Ogg",
        () if at(0, b"FLV") => "FLV",
        () if at(0, &[0x30, 0x26, 0xb2, 0x75]) => "ASF (WMV)",
        () if at(0, &[0, 0, 1, 0xba]) => "MPEG",
        () if at(0, &[0x47]) && at(188, &[0x47]) => "MPEG transport stream",
        () if at(0, b"RIFF") && at(8, b"WEBP") => "WebP",
        () => return None,
    })
}
