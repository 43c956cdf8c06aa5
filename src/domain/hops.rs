//! How often a change went round: out to somebody who writes back, in again as a write, and out with that.
//!
//! A message says how many such rounds led to it. Who writes because of it says the number again, and the request's
//! id keeps it beside the change.

/// The header that says it.
pub const HEADER: &str = "contactd-hops";
/// More rounds than that are none that anybody wants.
pub const HOPS_MAX: u8 = 8;
/// Before the number, at the end of a request's id.
const MARK: &str = "/hops=";

/// The id of a request that came round so often.
pub fn marked(request_id: &str, hops: u8) -> String {
    let plain = request_id.split(MARK).next().unwrap_or_default();
    format!("{plain}{MARK}{hops}")
}

/// How often what a request of that id wrote had come round.
pub fn of(request_id: &str) -> u8 {
    let said = request_id.rsplit_once(MARK).and_then(|(_, hops)| hops.parse().ok());
    said.unwrap_or(0)
}

/// What a header says; what is no small number is too often.
pub fn said(header: &[u8]) -> u8 {
    std::str::from_utf8(header).ok().and_then(|text| text.parse().ok()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_keeps_one_number_however_often_it_came_round() {
        assert_eq!((of("abc-1"), of(&marked("abc-1", 3)), of("x/hops=y")), (0, 3, 0));
        assert_eq!(marked(&marked("abc-1", 3), 4), "abc-1/hops=4");
        assert_eq!((said(b"2"), said(b"many"), said(b"999")), (2, u8::MAX, u8::MAX));
    }
}
