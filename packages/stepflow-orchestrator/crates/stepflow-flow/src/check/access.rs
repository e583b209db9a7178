//! Whether a path can lead anywhere in values of a schema. Only what the schema contradicts is reported: it may leave
//! open more than it names.

use serde_json::{Map, Value as Json};
use stepflow_protocol::Segment;

use crate::path::Path;
use crate::suggest;

/// Why a path leads nowhere.
pub(super) struct Contradiction {
    pub problem: String,
    pub near: Option<String>,
}

/// Keywords that make what a schema says depend on more than one place: nothing is concluded from them.
const OPEN: [&str; 8] =
    ["allOf", "anyOf", "oneOf", "not", "if", "patternProperties", "unevaluatedProperties", "$dynamicRef"];

/// The references that are followed for one value.
const MAX_REFERENCES: usize = 16;

/// What in the schema contradicts the path, when something does.
pub(super) fn contradiction(schema: &Json, path: &[Segment]) -> Option<Contradiction> {
    let mut here = resolved(schema, schema)?;
    for (depth, segment) in path.iter().enumerate() {
        let object = here.as_object()?;
        if OPEN.iter().any(|keyword| object.contains_key(*keyword)) {
            return None;
        }
        let so_far = Path::from(path[..depth].to_vec());
        let next = match segment {
            Segment::Field(name) => member(object, name, &so_far),
            Segment::Index(index) => element(object, *index, &so_far),
        };
        match next {
            Ok(next) => here = resolved(schema, next?)?,
            Err(contradiction) => return Some(contradiction),
        }
    }
    None
}

/// The schema that a reference inside the document leads to.
fn resolved<'s>(root: &'s Json, mut schema: &'s Json) -> Option<&'s Json> {
    for _ in 0..MAX_REFERENCES {
        let Some(reference) = schema.get("$ref") else { return Some(schema) };
        schema = root.pointer(reference.as_str()?.strip_prefix('#')?)?;
    }
    None
}

type Next<'s> = Result<Option<&'s Json>, Contradiction>;

fn member<'s>(schema: &'s Map<String, Json>, name: &str, at: &Path) -> Next<'s> {
    check_type(schema, "object", "members", at)?;
    let properties = schema.get("properties").and_then(Json::as_object);
    if let Some(property) = properties.and_then(|properties| properties.get(name)) {
        return Ok(Some(property));
    }
    let near = || {
        let names = properties.into_iter().flatten().map(|(name, _)| name.as_str());
        suggest::nearest(name, names).map(str::to_owned)
    };
    let problem = || format!("the schema of `{at}` does not name `{name}`");
    match schema.get("additionalProperties") {
        Some(Json::Bool(false)) => Err(Contradiction { problem: problem(), near: near() }),
        Some(other @ Json::Object(_)) => Ok(Some(other)),
        Some(_) => Ok(None),
        // An object may have more than its schema names; a near name tells that this was meant.
        None => near().map_or(Ok(None), |near| Err(Contradiction { problem: problem(), near: Some(near) })),
    }
}

fn element<'s>(schema: &'s Map<String, Json>, index: u64, at: &Path) -> Next<'s> {
    check_type(schema, "array", "elements", at)?;
    let first = schema.get("prefixItems").and_then(Json::as_array);
    let prefixed = first.and_then(|first| first.get(usize::try_from(index).ok()?));
    Ok(prefixed.or_else(|| schema.get("items")).filter(|next| next.is_object()))
}

fn check_type(schema: &Map<String, Json>, wanted: &str, what: &str, at: &Path) -> Result<(), Contradiction> {
    let types: Vec<&str> = match schema.get("type") {
        Some(Json::String(one)) => vec![one],
        Some(Json::Array(several)) => several.iter().filter_map(Json::as_str).collect(),
        _ => return Ok(()),
    };
    if types.contains(&wanted) {
        return Ok(());
    }
    let problem = format!("by its schema `{at}` is of type {}, which has no {what}", types.join(" or "));
    Err(Contradiction { problem, near: None })
}
