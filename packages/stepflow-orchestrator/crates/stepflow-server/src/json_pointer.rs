//! JSON Pointers (RFC 6901), by which the API and the schemas name places in a document.

/// One member or element, as it is written in a pointer: `/rows`, `/0`.
pub fn segment(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}
