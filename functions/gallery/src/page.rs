//! Which request asks for what, and the page.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use wicket_sdk::buckets::Entry;

/// What is left as it is in a path.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The list of all sheets.
    List,
    /// A file of a sheet, by its key below the folder of the sheets.
    File(String),
    /// Nothing that there is.
    Nothing,
}

/// Where the sheets are.
#[derive(Clone, Debug)]
pub struct Place {
    /// Their bucket.
    pub bucket: String,
    /// Their folder, with a slash at its end; or empty.
    pub folder: String,
    /// The path under which this function answers, without a slash at its end.
    pub route: String,
}

impl Place {
    /// What a path asks for.
    pub fn wanted(&self, path: &str) -> Wanted {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let Some(rest) = path.strip_prefix(self.route.as_str()) else { return Wanted::Nothing };
        match rest {
            "" | "/" => Wanted::List,
            rest => match rest.strip_prefix('/').map(|rest| percent_decode_str(rest).decode_utf8()) {
                Some(Ok(key)) if is_shown(&key) => Wanted::File(key.into_owned()),
                _ => Wanted::Nothing,
            },
        }
    }

    /// The page with all sheets, the newest first.
    pub fn page(&self, mut entries: Vec<Entry>) -> String {
        entries.retain(|entry| entry.key.ends_with("sheet.jpg"));
        entries.sort_by(|a, b| b.modified.cmp(&a.modified));
        let mut page = String::from(
            "<!doctype html><meta charset=utf-8><title>Contact sheets</title>\
             <style>body{font:1rem sans-serif;margin:2rem}img{max-width:100%}</style><h1>Contact sheets</h1>\n",
        );
        if entries.is_empty() {
            page.push_str("<p>None yet: upload photographs.</p>\n");
        }
        for entry in entries {
            let below = entry.key.strip_prefix(&self.folder).unwrap_or(&entry.key);
            let folder = below.rsplit_once('/').map_or("all", |(folder, _)| folder);
            let link = utf8_percent_encode(below, PATH);
            // Writing into a String cannot fail.
            let _ok = writeln!(
                page,
                "<h2>{}</h2><p>{} <a href=\"{}/{link}\"><img alt=\"\" src=\"{}/{link}\"></a>",
                escaped(folder),
                escaped(&entry.modified),
                self.route,
                self.route
            );
        }
        page
    }
}

/// Only what `contact-sheet` makes is served.
fn is_shown(key: &str) -> bool {
    matches!(key.rsplit('/').next(), Some("sheet.jpg" | "sheet.json"))
}

/// Media type of a file of a sheet.
pub fn media_type(key: &str) -> &'static str {
    if key.ends_with(".json") { "application/json" } else { "image/jpeg" }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place { bucket: "photos".into(), folder: "sheets/".into(), route: "/gallery".into() }
    }

    #[test]
    fn paths_ask_for_the_list_a_sheet_or_nothing() {
        let wanted = |path| place().wanted(path);
        assert_eq!(wanted("/gallery"), Wanted::List);
        assert_eq!(wanted("/gallery/?a=b"), Wanted::List);
        assert_eq!(wanted("/gallery/my%20trip/sheet.jpg"), Wanted::File("my trip/sheet.jpg".into()));
        for nothing in ["/", "/galleryx", "/gallery/a.jpg", "/gallery/%ff/sheet.jpg"] {
            assert_eq!(wanted(nothing), Wanted::Nothing, "{nothing}");
        }
    }

    #[test]
    fn the_page_shows_the_newest_first_and_believes_no_name() {
        let entry = |key: &str, modified: &str| Entry { key: key.into(), size: 1, modified: modified.into() };
        let entries = vec![
            entry("sheets/old/sheet.jpg", "2026-01-01"),
            entry("sheets/<b>/sheet.jpg", "2026-02-01"),
            entry("sheets/old/sheet.json", "2026-03-01"),
        ];
        let page = place().page(entries);
        assert!(page.find("&lt;b&gt;").unwrap() < page.find("old").unwrap());
        assert!(page.contains("src=\"/gallery/%3Cb%3E/sheet.jpg\"") && !page.contains("<b>"));
        assert!(!page.contains("json"));
        assert!(place().page(Vec::new()).contains("None yet"));
    }
}
