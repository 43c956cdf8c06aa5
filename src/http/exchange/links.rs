//! The `Link` header: the same question for another page (RFC 8288).

use axum::http::{HeaderValue, Uri};

/// A page, by the parameter that leads to it; without one it is the first.
pub(crate) type Target = Option<(&'static str, String)>;

/// Links to pages by their relation; none where there is no page to link to.
pub(crate) fn links(uri: &Uri, pages: &[(&str, Option<Target>)]) -> Option<HeaderValue> {
    let is_place = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default();
        name == "cursor" || name == "offset"
    };
    let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let kept: Vec<&str> = pairs.filter(|pair| !is_place(pair)).collect();
    let link = |(relation, target): &(&str, Option<Target>)| {
        let place = target.as_ref()?.as_ref().map(|(name, value)| format!("{name}={value}"));
        let pairs: Vec<&str> = kept.iter().copied().chain(place.as_deref()).collect();
        let mark = if pairs.is_empty() { "" } else { "?" };
        Some(format!("<{}{mark}{}>; rel=\"{relation}\"", uri.path(), pairs.join("&")))
    };
    let links: Vec<String> = pages.iter().filter_map(link).collect();
    (!links.is_empty()).then(|| HeaderValue::from_maybe_shared(links.join(", ")).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_is_kept_and_the_place_is_not() {
        let uri = Uri::from_static("/api/contacts?q=a%26b&cursor=old&&limit=2&offset=4");
        let next = Some(Some(("cursor", "new".to_owned())));
        let value = links(&uri, &[("next", next), ("prev", None), ("first", Some(None))]);
        assert_eq!(
            value.unwrap(),
            "</api/contacts?q=a%26b&limit=2&cursor=new>; rel=\"next\", \
             </api/contacts?q=a%26b&limit=2>; rel=\"first\""
        );
        let bare = Uri::from_static("/api/contacts?offset=4");
        assert_eq!(
            links(&bare, &[("first", Some(None))]).unwrap(),
            "</api/contacts>; rel=\"first\""
        );
        assert_eq!(links(&bare, &[("next", None)]), None);
    }
}
