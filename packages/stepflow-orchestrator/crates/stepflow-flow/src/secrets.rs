//! Which parts of a value are secret: the parts that a schema marks with `is_secret`, followed through the expressions
//! that build a step's input. A value is shown only in its redacted form.

mod cut;
mod graph;
mod mask;
mod reading;
mod schema;
mod spelling;
mod written;

use std::sync::Arc;

use serde_json::Value as Json;
use stepflow_protocol::{Kind, Segment, Value};

use crate::document::Schemas;
use crate::expression::Expression;
use crate::path::Path;

pub(crate) use graph::Graph as SchemaGraph;
pub use mask::Mask;
pub(crate) use reading::graph as schema_graph;
pub use written::WrittenSecrets;

/// The text in the place of a secret.
pub const REDACTED: &str = "[REDACTED]";

/// From this length on, a secret is hidden inside words as well. Shorter ones would hide half of every text.
const LONG: usize = 4;

/// The secret parts of values of one shape. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Secrets(Tree);

#[derive(Debug, Clone, PartialEq, Default)]
enum Tree {
    /// Nothing is secret.
    #[default]
    None,
    /// What a schema marks.
    Marked(schema::Marked),
    /// An object with these members.
    Members(Arc<[(String, Secrets)]>),
    /// An array with these elements.
    Elements(Arc<[Secrets]>),
    /// The secrets of all of these.
    Either(Arc<[Secrets]>),
}

impl Secrets {
    /// No secrets.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The value as a whole.
    fn all() -> Self {
        Self::of_document(serde_json::json!({"is_secret": true}))
    }

    /// What a JSON Schema marks with `is_secret: true`: values, members of objects, elements of arrays. References
    /// inside the schema are followed, and of alternatives (`anyOf`, `oneOf`, …) each counts.
    #[must_use]
    pub fn of_schema(schema: &Value) -> Self {
        schema.to_json().map(Self::of_document).unwrap_or_default()
    }

    /// What the schema of a part of a flow (`input`, `output`, `variables`) marks.
    #[must_use]
    pub fn of_flow(schemas: &Schemas, part: &str) -> Self {
        let whole = schemas.part(part).and_then(|schema| schemas.around(&schema).to_json().ok());
        whole.map(Self::of_document).unwrap_or_default()
    }

    /// These, in the member of this name.
    #[must_use]
    pub fn in_member(self, name: &str) -> Self {
        if self.is_none() { self } else { Self(Tree::Members([(name.to_owned(), self)].into())) }
    }

    fn of_document(schema: Json) -> Self {
        schema::Marked::of(&schema).map_or_else(Self::none, |marked| Self(Tree::Marked(marked)))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        match &self.0 {
            Tree::None => true,
            Tree::Marked(marked) => !marked.leads_to_a_secret(),
            _ => false,
        }
    }

    /// Whether the whole value is secret.
    #[must_use]
    pub fn is_all(&self) -> bool {
        match &self.0 {
            Tree::Marked(marked) => marked.is_secret(),
            Tree::Either(several) => several.iter().any(Self::is_all),
            Tree::None | Tree::Members(_) | Tree::Elements(_) => false,
        }
    }

    /// Whether the names of members are secret, too.
    fn hides_names(&self) -> bool {
        match &self.0 {
            Tree::Marked(marked) => marked.hides_names(),
            Tree::Either(several) => several.iter().any(Self::hides_names),
            Tree::None | Tree::Members(_) | Tree::Elements(_) => false,
        }
    }

    /// The secrets in the member of this name.
    #[must_use]
    pub fn field(&self, name: &str) -> Self {
        if self.is_all() {
            return self.clone();
        }
        match &self.0 {
            Tree::None | Tree::Elements(_) => Self::none(),
            Tree::Marked(marked) => Self(Tree::Marked(marked.field(name))),
            Tree::Members(members) => {
                members.iter().find(|(key, _)| key == name).map_or_else(Self::none, |(_, secrets)| secrets.clone())
            }
            Tree::Either(several) => Self::either(several.iter().map(|one| one.field(name))),
        }
    }

    /// The secrets in the element at this place, counted from 0.
    #[must_use]
    pub fn element(&self, index: usize) -> Self {
        if self.is_all() {
            return self.clone();
        }
        match &self.0 {
            Tree::None | Tree::Members(_) => Self::none(),
            Tree::Marked(marked) => Self(Tree::Marked(marked.element(index))),
            Tree::Elements(elements) => elements.get(index).cloned().unwrap_or_default(),
            Tree::Either(several) => Self::either(several.iter().map(|one| one.element(index))),
        }
    }

    /// The secrets in what the path leads to.
    #[must_use]
    pub fn at(&self, path: &Path) -> Self {
        path.segments().iter().fold(self.clone(), |secrets, segment| match segment {
            Segment::Field(name) => secrets.field(name),
            Segment::Index(index) => secrets.element(usize::try_from(*index).unwrap_or(usize::MAX)),
        })
    }

    /// The value with `"[REDACTED]"` in the place of each secret.
    #[must_use]
    pub fn redact(&self, value: &Value) -> Value {
        if self.is_none() {
            return value.clone();
        }
        if self.is_all() {
            return Value::string(REDACTED);
        }
        match value.kind() {
            Kind::Object => Value::object(value.members().into_iter().map(|(key, member)| {
                let shown = self.field(&key).redact(&member);
                (key, shown)
            })),
            Kind::Array => Value::array(
                value.elements().iter().enumerate().map(|(index, element)| self.element(index).redact(element)),
            ),
            _ => value.clone(),
        }
    }

    /// These and the others.
    #[must_use]
    pub fn and(self, others: Self) -> Self {
        Self::either([self, others])
    }

    fn either(several: impl IntoIterator<Item = Self>) -> Self {
        let mut some: Vec<Self> = several.into_iter().filter(|secrets| !secrets.is_none()).collect();
        match some.len() {
            0 => Self::none(),
            1 => some.remove(0),
            _ => Self(Tree::Either(some.into())),
        }
    }
}

/// The secrets of a run's input and variables: expressions get them from there.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Sources {
    pub input: Secrets,
    pub variables: Secrets,
}

impl Sources {
    /// The secrets in the value of an expression. What a component returns is not secret.
    pub fn of(&self, expression: &Expression) -> Secrets {
        if self.input.is_none() && self.variables.is_none() {
            return Secrets::none();
        }
        match expression {
            Expression::Literal(_) | Expression::Escaped(_) | Expression::Step { .. } => Secrets::none(),
            Expression::Input(path) => self.input.at(path),
            Expression::Variable { name, path, default } => Secrets::either(
                [self.variables.field(name).at(path)]
                    .into_iter()
                    .chain(default.as_deref().map(|default| self.of(default))),
            ),
            Expression::If { then, otherwise, .. } => {
                Secrets::either([then].into_iter().chain(otherwise).map(|branch| self.of(branch)))
            }
            Expression::Coalesce(items) => Secrets::either(items.iter().map(|item| self.of(item))),
            Expression::Array(items) => {
                let elements: Arc<[Secrets]> = items.iter().map(|item| self.of(item)).collect();
                match elements.iter().all(Secrets::is_none) {
                    true => Secrets::none(),
                    false => Secrets(Tree::Elements(elements)),
                }
            }
            Expression::Object(members) => {
                let members = members.iter().map(|(key, member)| (key.clone(), self.of(member)));
                let some: Vec<(String, Secrets)> = members.filter(|(_, secrets)| !secrets.is_none()).collect();
                if some.is_empty() { Secrets::none() } else { Secrets(Tree::Members(some.into())) }
            }
        }
    }
}
