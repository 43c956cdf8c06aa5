//! The page's files in the binary, with their hashes, plain and gzipped.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::LazyLock;

use axum::body::Bytes;
use axum::http::HeaderValue;
use flate2::Compression;
use flate2::write::GzEncoder;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// Names the version of this build, whatever its hash; not cached.
pub(super) const CURRENT: &str = "current";

const DOCUMENT: &str = include_str!("assets/index.html");
/// Where the document names the folder of the others.
const FOLDER: &str = "{page}";

macro_rules! files {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_bytes!(concat!("assets/", $name)) as &[u8])),+]
    };
}

const FILES: &[(&str, &[u8])] = files![
    "advice.js",
    "api.js",
    "app.js",
    "bytes.js",
    "caret.svg",
    "chart.js",
    "connection.js",
    "connections.js",
    "contact.js",
    "contact_form.js",
    "contact_history.js",
    "contacts.js",
    "dialogs.js",
    "dom.js",
    "favicon.svg",
    "feed.js",
    "followers.js",
    "format.js",
    "health.js",
    "history.js",
    "keys.js",
    "letter.js",
    "letters.js",
    "merge.js",
    "overview.js",
    "overview_verdicts.js",
    "page.css",
    "palette.js",
    "redrive.js",
    "redrives.js",
    "router.js",
    "rows.js",
    "session.js",
    "sign_in.js",
    "sign_ins.js",
    "simulator.js",
    "stream.js",
    "theme.js",
    "tokens.css",
    "ui.js",
];

/// One file, as it is sent.
pub(super) struct Served {
    pub(super) plain: Bytes,
    pub(super) gzip: Bytes,
    pub(super) media_type: &'static str,
    pub(super) etag: HeaderValue,
    /// The same as it is sent: plain or gzipped, it is one tag.
    pub(super) weak_etag: HeaderValue,
}

impl Served {
    fn new(plain: Bytes, media_type: &'static str) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let gzip = encoder.write_all(&plain).and_then(|()| encoder.finish());
        // What is not smaller is not sent.
        let gzip = gzip.map_or_else(|_| plain.clone(), Bytes::from);
        let hash = xxh3_64(&plain);
        let tag = |text: String| {
            let tag = HeaderValue::from_maybe_shared(text);
            tag.unwrap_or(HeaderValue::from_static("\"\""))
        };
        let etag = tag(format!("\"{hash:016x}\""));
        let weak_etag = tag(format!("W/\"{hash:016x}\""));
        Self { plain, gzip, media_type, etag, weak_etag }
    }
}

/// The whole page.
pub(super) struct Page {
    pub(super) document: Served,
    /// A hash of all files but the document.
    version: String,
    files: BTreeMap<&'static str, Served>,
}

static PAGE: LazyLock<Page> = LazyLock::new(|| {
    let mut hash = Xxh3::new();
    for (name, bytes) in FILES {
        hash.update(name.as_bytes());
        hash.update(bytes);
    }
    let version = format!("{:016x}", hash.digest());
    let document = DOCUMENT.replace(FOLDER, &format!("page/{version}"));
    let files = FILES
        .iter()
        .map(|(name, bytes)| (*name, Served::new(Bytes::from_static(bytes), media_type(name))));
    Page {
        document: Served::new(Bytes::from(document), "text/html; charset=utf-8"),
        version,
        files: files.collect(),
    }
});

/// Made when it is first asked for.
pub(super) fn page() -> &'static Page {
    &PAGE
}

/// A file of this build's version.
pub(super) fn asset(version: &str, name: &str) -> Option<&'static Served> {
    let page = page();
    (version == CURRENT || version == page.version).then(|| page.files.get(name)).flatten()
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/javascript; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Together, gzipped: what a slow line has to carry at most.
    const GZIP_BYTES_MAX: usize = 120 * 1024;
    const LINES_MAX: usize = 500;

    #[test]
    fn every_file_of_the_folder_is_in_the_binary_and_none_is_long() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/page/assets");
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            assert!(text.lines().count() <= LINES_MAX, "{name} has more than {LINES_MAX} lines");
            names.push(name);
        }
        names.retain(|name| name != "index.html");
        names.sort();
        assert_eq!(names, FILES.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>());
    }

    #[test]
    fn the_whole_page_is_small() {
        let page = page();
        let gzipped: usize = page.files.values().map(|file| file.gzip.len()).sum();
        let all = gzipped + page.document.gzip.len();
        assert!(all <= GZIP_BYTES_MAX, "{all} bytes");
    }

    #[test]
    fn nothing_in_it_makes_markup_of_data_or_asks_another_host() {
        for (name, bytes) in FILES {
            let text = std::str::from_utf8(bytes).unwrap();
            for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("]
            {
                assert!(!text.contains(word), "{name} has {word}");
            }
            let text = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("http://") && !text.contains("https://"), "{name}");
        }
        assert!(!DOCUMENT.contains("style=") && !DOCUMENT.contains("<script>"));
    }

    #[test]
    fn dark_by_choice_is_dark_by_the_system() {
        let (_, tokens) = FILES.iter().find(|(name, _)| *name == "tokens.css").unwrap();
        let tokens = std::str::from_utf8(tokens).unwrap();
        let block = |from: &str| {
            let rest = tokens.split(from).nth(1).unwrap();
            let block = rest.split('{').nth(1).unwrap().split('}').next().unwrap();
            block.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let (by_system, by_choice) =
            (":root:not([data-theme=\"light\"])", ":root[data-theme=\"dark\"]");
        assert_eq!(block(by_system), block(by_choice));
    }
}
