//! One rule of a route: for which inputs and components it counts, and where it leads.

use stepflow_engine::event::Route;
use stepflow_flow::Path;
use stepflow_protocol::Value;

use crate::pattern::Pattern;

/// One rule of a route.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rule {
    /// The plugin's name in the config.
    pub plugin: String,
    /// The component's path at the plugin, with the pattern's names in braces; `/{component}` when absent.
    pub component: Option<String>,
    /// Conditions on the step's input. All must hold.
    pub conditions: Vec<Condition>,
    /// The only components that it leads to, by the plugin's names; all when absent.
    pub component_allow: Option<Vec<String>>,
    /// Components that it does not lead to, even if `component_allow` lists them.
    pub component_deny: Vec<String>,
}

/// A condition on a part of a step's input.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The path of the part. Where the input has none, the condition does not hold.
    pub path: Path,
    /// The value that it must have: the same JSON, in any order of its keys.
    pub value: Value,
}

impl Rule {
    /// A rule that leads to this plugin for every input.
    #[must_use]
    pub fn to(plugin: impl Into<String>) -> Self {
        Self { plugin: plugin.into(), ..Self::default() }
    }
}

/// A rule whose template has been parsed.
pub(super) struct CompiledRule {
    rule: Rule,
    template: ComponentTemplate,
}

impl CompiledRule {
    /// Compiles the rule of a route with this pattern; the error says what is wrong with its component.
    pub(super) fn new(rule: Rule, pattern: &Pattern) -> Result<Self, String> {
        let template = ComponentTemplate::parse(rule.component.as_deref(), pattern)?;
        Ok(Self { rule, template })
    }

    /// The rule's target; `None` when its lists do not allow that component.
    pub(super) fn target(&self, captures: &[(&str, &str)]) -> Option<Route> {
        let component = self.template.fill(captures);
        // Published configs write components both ways, `udf` and `/udf`.
        let names_it = |listed: &String| listed.trim_start_matches('/') == component.trim_start_matches('/');
        let allowed = self.rule.component_allow.as_ref().is_none_or(|allow| allow.iter().any(names_it));
        let denied = self.rule.component_deny.iter().any(names_it);
        (allowed && !denied).then(|| Route { plugin: self.rule.plugin.clone(), component })
    }

    /// Whether the input meets all conditions.
    pub(super) fn applies_to(&self, input: &Value) -> bool {
        self.rule.conditions.iter().all(|condition| condition.holds(input))
    }
}

impl Condition {
    fn holds(&self, input: &Value) -> bool {
        input.lookup(self.path.segments()).is_some_and(|found| same_json(&found, &self.value))
    }
}

/// Whether two values are the same JSON, however it is spelled.
fn same_json(left: &Value, right: &Value) -> bool {
    left == right || matches!((left.to_json(), right.to_json()), (Ok(left), Ok(right)) if left == right)
}

/// The component's path at the plugin: literal text and captured names, in their order.
struct ComponentTemplate(Vec<Piece>);

enum Piece {
    Text(String),
    Captured(String),
}

impl ComponentTemplate {
    fn parse(text: Option<&str>, pattern: &Pattern) -> Result<Self, String> {
        let Some(text) = text else {
            return match pattern.names().any(|name| name == "component") {
                true => Ok(Self(vec![Piece::Text("/".to_owned()), Piece::Captured("component".to_owned())])),
                false => {
                    Err("it captures no `{component}`, so its rules have to say which `component` is meant".to_owned())
                }
            };
        };
        if !text.starts_with('/') {
            return Err(format!("the component `{text}` does not begin with `/`"));
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) =
                after.split_once('}').ok_or_else(|| format!("the component `{text}` has an open `{{`"))?;
            let name = name.trim_start_matches('*');
            if !pattern.names().any(|captured| captured == name) {
                return Err(format!("the component `{text}` uses `{name}`, which the pattern does not capture"));
            }
            pieces.extend([Piece::Text(before.to_owned()), Piece::Captured(name.to_owned())]);
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self(pieces))
    }

    fn fill(&self, captures: &[(&str, &str)]) -> String {
        let captured = |name: &str| captures.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value);
        self.0.iter().fold(String::new(), |path, piece| match piece {
            Piece::Text(text) => path + text,
            Piece::Captured(name) => path + captured(name),
        })
    }
}
