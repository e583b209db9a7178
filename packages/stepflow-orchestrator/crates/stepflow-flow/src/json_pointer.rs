//! JSON Pointers (RFC 6901): how schemas, patches and the API name a place in a document.

/// One member or element, as it is written in a pointer: `/rows`, `/0`.
#[must_use]
pub fn segment(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The names of the members and elements that a pointer goes through, from the outside in.
pub fn names(pointer: &str) -> impl Iterator<Item = String> + '_ {
    // `~1` first: `~01` is the name `~1`.
    pointer.split('/').skip(1).map(|segment| segment.replace("~1", "/").replace("~0", "~"))
}
