//! Whether a path can lead anywhere in a value of a schema. A path is reported only if the schema contradicts it: a
//! value may have more members than its schema names.

use serde_json::{Map, Value as Json};
use stepflow_protocol::Segment;

use crate::path::Path;
use crate::schema::document::{Document, Subschema};
use crate::suggest;

/// Why a path leads nowhere.
pub(super) struct Contradiction {
    pub problem: String,
    pub near: Option<String>,
}

/// Keywords whose meaning depends on more than one place in the schema: nothing is concluded when one is there.
const OPEN: [&str; 8] =
    ["allOf", "anyOf", "oneOf", "not", "if", "patternProperties", "unevaluatedProperties", "$dynamicRef"];

/// What in the schema contradicts the path, if anything does.
pub(super) fn contradiction(schema: &Document, path: &[Segment]) -> Option<Contradiction> {
    let mut here = schema.root()?.followed()?;
    for (depth, segment) in path.iter().enumerate() {
        let object = here.contents().as_object()?;
        if OPEN.iter().any(|keyword| object.contains_key(*keyword)) {
            return None;
        }
        let so_far = Path::from(path[..depth].to_vec());
        let next = match segment {
            Segment::Field(name) => member(&here, object, name, &so_far),
            Segment::Index(index) => element(&here, object, *index, &so_far),
        };
        match next {
            Ok(next) => here = next?.followed()?,
            Err(contradiction) => return Some(contradiction),
        }
    }
    None
}

type Next<'s> = Result<Option<Subschema<'s>>, Contradiction>;

fn member<'s>(schema: &Subschema<'s>, object: &Map<String, Json>, name: &str, at: &Path) -> Next<'s> {
    check_type(object, "object", "members", at)?;
    if let Some(property) = schema.property(name) {
        return Ok(Some(property));
    }
    let near = || {
        let properties = object.get("properties").and_then(Json::as_object);
        let names = properties.into_iter().flatten().map(|(name, _)| name.as_str());
        suggest::nearest(name, names).map(str::to_owned)
    };
    let problem = || format!("the schema of `{at}` does not name `{name}`");
    match object.get("additionalProperties") {
        Some(Json::Bool(false)) => Err(Contradiction { problem: problem(), near: near() }),
        Some(_) => Ok(schema.keyword("additionalProperties").filter(|next| next.contents().is_object())),
        // An object may have more members than its schema names; but if a name is near, that one was probably meant.
        None => near().map_or(Ok(None), |near| Err(Contradiction { problem: problem(), near: Some(near) })),
    }
}

fn element<'s>(schema: &Subschema<'s>, object: &Map<String, Json>, index: u64, at: &Path) -> Next<'s> {
    check_type(object, "array", "elements", at)?;
    let prefixed = usize::try_from(index).ok().and_then(|index| schema.prefix_item(index));
    Ok(prefixed.or_else(|| schema.keyword("items")).filter(|next| next.contents().is_object()))
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
