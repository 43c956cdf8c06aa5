//! The page's files, as they are described.

use crate::http::description::operation::{Answer, Header, Operation, Param, Tag};
use crate::http::exchange::error::Code;

pub(super) fn file() -> Operation {
    let version = "As the page at `/` names it, a hash of all its files; or `current`.";
    Operation::new("getPageFile", "Get a file of the page at /")
        .of(Tag::Documents)
        .about("404 where `page.enabled` is false.")
        .param(Param::path("version", "current", version))
        .param(Param::path("file", "favicon.svg", "The file's name."))
        .answers(
            Answer::text(200, "The file.", "image/svg+xml", None)
                .or_text("text/javascript", None)
                .or_text("text/css", None)
                .with(&[Header::ETag]),
        )
        .answers(
            Answer::empty(304, "It is the one that If-None-Match names.").with(&[Header::ETag]),
        )
        .fails(&[Code::RouteNotFound])
}
