//! Anything on a connection, answered by the real router: answers are whole, and never our fault.

#![no_main]

use contactd_fuzz::world::World;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static WORLD: World = World::new();
}

fuzz_target!(|data: &[u8]| {
    let answers = WORLD.with(|world| world.answer(data));
    let mut rest = answers.as_slice();
    while !rest.is_empty() {
        rest = one(rest);
    }
});

/// Checks the first answer; what is behind it.
fn one(bytes: &[u8]) -> &[u8] {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut answer = httparse::Response::new(&mut headers);
    let shown = || String::from_utf8_lossy(bytes).into_owned();
    let head = match answer.parse(bytes) {
        Ok(httparse::Status::Complete(head)) => head,
        other => panic!("{other:?} of {}", shown()),
    };
    assert_ne!(answer.code, Some(500), "{}", shown());
    let header = |name: &str| {
        let found = answer.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| std::str::from_utf8(header.value).expect("ASCII"))
    };
    let rest = &bytes[head..];
    // As of HEAD, and 100: without a body.
    if rest.is_empty() || rest.starts_with(b"HTTP/1.") {
        return rest;
    }
    if header("transfer-encoding").is_some() {
        return chunks(rest).unwrap_or_default();
    }
    // In HTTP/1.0 what has no end in sight goes on until the connection is closed.
    if answer.version == Some(0) && header("content-length").is_none() {
        return &[];
    }
    let len: usize = header("content-length").expect("a length").parse().expect("a number");
    let (body, rest) = rest.split_at_checked(len).unwrap_or_else(|| panic!("{}", shown()));
    let is_json = header("content-type").is_some_and(|kind| kind.ends_with("json"));
    if is_json && header("content-encoding").is_none() {
        serde_json::from_slice::<serde_json::Value>(body).expect("JSON");
    }
    rest
}

/// What is behind a chunked body; none: it goes on for ever.
fn chunks(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        let (at, len) = match httparse::parse_chunk_size(rest).expect("a chunk") {
            httparse::Status::Complete((at, len)) => (at, usize::try_from(len).expect("a length")),
            httparse::Status::Partial => return None,
        };
        rest = rest.get(at + len..)?.strip_prefix(b"\r\n")?;
        if len == 0 {
            return Some(rest);
        }
    }
}
