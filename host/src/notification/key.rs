//! Is a key URL-encoded, or is it as it is? No sender says; there is evidence.

use percent_encoding::percent_decode_str;

/// The key of a record. `source` is its `eventSource`, `outer` the body's own `Key` (`bucket/key`), which MinIO writes
/// as it is beside the encoded one.
pub(super) fn decode(text: &str, bucket: &str, source: Option<&str>, outer: Option<&str>) -> String {
    let raw = || text.to_owned();
    let Some(decoded) = unquote(text) else { return raw() };
    let outer = outer.and_then(|outer| outer.strip_prefix(bucket)?.strip_prefix('/'));
    if outer == Some(text) {
        return raw();
    }
    if outer == Some(&decoded) {
        return decoded;
    }
    // These two never encode.
    let plain = source.is_some_and(|source| source.starts_with("ceph:") || source.starts_with("wicketgate:"));
    // An encoder leaves none of these behind.
    let unencoded = text
        .bytes()
        .any(|byte| !byte.is_ascii_graphic() || matches!(byte, b'"' | b'<' | b'>' | b'`' | b'{' | b'}'));
    if plain || unencoded { raw() } else { decoded }
}

/// `+` is a space and `%2F` a slash; none when this cannot have been encoded.
fn unquote(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut escapes = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%');
    let legal = |(idx, _): (usize, &u8)| {
        bytes.get(idx + 1..idx + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !escapes.all(legal) {
        return None;
    }
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, source: Option<&str>, outer: Option<&str>, expected: &str) {
        assert_eq!(decode(text, "b", source, outer), expected, "{text} {source:?} {outer:?}");
    }

    #[test]
    fn a_key_is_decoded_when_its_sender_encodes() {
        let (aws, minio, ceph) = (Some("aws:s3"), Some("minio:s3"), Some("ceph:s3"));
        check("in/a.jpg", None, None, "in/a.jpg");
        check("in%2Fa.jpg", minio, None, "in/a.jpg");
        check("red+flower.jpg", aws, None, "red flower.jpg");
        check("%C3%A9+%2B.jpg", aws, None, "é +.jpg");
        check("a+b%20c", ceph, None, "a+b%20c");
        check("a b+c", aws, None, "a b+c");
        check("é+c", aws, None, "é+c");
        check("100%+sure", aws, None, "100%+sure");
        check("%FF", aws, None, "%FF");
        check("a%", minio, None, "a%");
    }

    #[test]
    fn the_outer_key_decides() {
        check("a%2Bb+c", Some("minio:s3"), Some("b/a+b c"), "a+b c");
        check("a%2Bb+c", Some("aws:s3"), Some("b/a%2Bb+c"), "a%2Bb+c");
        check("a+c", None, Some("other/a+c"), "a c");
    }
}
