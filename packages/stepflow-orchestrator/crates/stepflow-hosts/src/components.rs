//! The components of one plugin: which paths it serves, and whether inputs and outputs fit.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use stepflow_engine::ports::Answer;
use stepflow_flow::visible::quoted;
use stepflow_flow::{Schema, suggest};
use stepflow_protocol::{ComponentInfo, ErrorKind, FlowError, Value};

use crate::pattern::Pattern;

/// A plugin's components with their compiled schemas.
#[derive(Debug, Default)]
pub(crate) struct Components {
    infos: Vec<ComponentInfo>,
    exact: HashMap<String, Arc<Schemas>>,
    /// Most specific first.
    patterns: Vec<(Pattern, Arc<Schemas>)>,
    validate_outputs: bool,
}

/// The compiled schemas of one component, as far as they are checked.
#[derive(Debug)]
struct Schemas {
    /// The component's path or pattern.
    component: String,
    input: Option<Schema>,
    output: Option<Schema>,
}

impl Components {
    /// Compiles what a plugin says about its components. An invalid schema is logged, and nothing is checked against
    /// it. The output schemas are used only with `validate_outputs`.
    pub(crate) fn new(plugin: &str, infos: Vec<ComponentInfo>, validate_outputs: bool) -> Self {
        let mut components = Self { validate_outputs, ..Self::default() };
        for info in &infos {
            let read = |part, schema: &Option<Value>| compile(plugin, &info.component, part, schema.as_ref()?);
            let schemas = Arc::new(Schemas {
                component: info.component.clone(),
                input: read("input", &info.input_schema),
                output: validate_outputs.then(|| read("output", &info.output_schema)).flatten(),
            });
            match Pattern::parse(&info.component) {
                Ok(pattern) if pattern.names().next().is_some() => components.patterns.push((pattern, schemas)),
                Ok(_) => _ = components.exact.insert(info.component.clone(), schemas),
                Err(problem) => {
                    tracing::warn!(
                        plugin,
                        component = info.component,
                        problem,
                        "this component's path cannot be called"
                    );
                }
            }
        }
        components.patterns.sort_by(|(left, _), (right, _)| left.specificity(right));
        components.infos = infos;
        components
    }

    /// The components of several workers of one plugin. The first list that has a component describes it.
    pub(crate) fn union<'c>(lists: impl IntoIterator<Item = &'c Arc<Self>>) -> Self {
        let mut union = Self::default();
        for list in lists {
            let known: HashSet<String> = union.infos.iter().map(|info| info.component.clone()).collect();
            let is_new = |component: &str| !known.contains(component);
            union.infos.extend(list.infos.iter().filter(|info| is_new(&info.component)).cloned());
            union
                .exact
                .extend(list.exact.iter().filter(|(path, _)| is_new(path)).map(|(p, s)| (p.clone(), Arc::clone(s))));
            union.patterns.extend(list.patterns.iter().filter(|(_, schemas)| is_new(&schemas.component)).cloned());
            union.validate_outputs |= list.validate_outputs;
        }
        union.patterns.sort_by(|(left, _), (right, _)| left.specificity(right));
        union
    }

    /// What the plugin says about its components, in its own order.
    pub(crate) fn infos(&self) -> &[ComponentInfo] {
        &self.infos
    }

    /// Whether the plugin serves the path and the input fits.
    ///
    /// # Errors
    ///
    /// COMPONENT_NOT_FOUND (`data.nearest` holds the path that was probably meant) or INVALID_INPUT.
    pub(crate) fn check(&self, plugin: &str, path: &str, input: &Value) -> Result<(), FlowError> {
        let schemas = self.find(path).ok_or_else(|| self.not_found(plugin, path))?;
        let schema = schemas.input.as_ref();
        match schema.and_then(|schema| misfit(ErrorKind::InvalidInput, schema, path, "input", input)) {
            Some(error) => Err(error.with([("plugin", Value::string(plugin))])),
            None => Ok(()),
        }
    }

    /// The component that serves the path, as the plugin spells it.
    pub(crate) fn serving(&self, path: &str) -> Option<&str> {
        Some(self.find(path)?.component.as_str())
    }

    /// Whether outputs are checked, so that one may become a failure.
    pub(crate) fn validates_outputs(&self) -> bool {
        self.validate_outputs
    }

    /// The answer for an output: a failure when outputs are checked and this one does not fit.
    pub(crate) fn answer(&self, plugin: &str, path: &str, output: Value) -> Answer {
        let schema = self.find(path).and_then(|schemas| schemas.output.as_ref());
        match schema.and_then(|schema| output_misfit(schema, path, &output)) {
            Some(error) => Answer::Failed(error.with([("plugin", Value::string(plugin))]).into()),
            None => Answer::Success(output),
        }
    }

    fn find(&self, path: &str) -> Option<&Arc<Schemas>> {
        self.exact.get(path).or_else(|| {
            self.patterns.iter().find(|(pattern, _)| pattern.captures(path).is_some()).map(|(_, schemas)| schemas)
        })
    }

    fn not_found(&self, plugin: &str, path: &str) -> FlowError {
        let message = format!("plugin {plugin} has no component `{path}`", plugin = quoted(plugin));
        let data = [("plugin", Value::string(plugin)), ("component", Value::string(path))];
        match suggest::nearest(path, self.exact.keys().map(String::as_str)) {
            None => FlowError::new(ErrorKind::ComponentNotFound, message).with(data),
            Some(nearest) => {
                FlowError::new(ErrorKind::ComponentNotFound, format!("{message}: did you mean `{nearest}`?"))
                    .with(data)
                    .with([("nearest", Value::string(nearest))])
            }
        }
    }
}

fn compile(plugin: &str, component: &str, part: &str, schema: &Value) -> Option<Schema> {
    Schema::compile(schema)
        .inspect_err(|error| {
            tracing::warn!(plugin, component, %error, "the {part} schema is not usable: the {part} is not checked");
        })
        .ok()
}

/// Why an output does not fit the component's declared schema. It is a failure of the component like any other.
pub(crate) fn output_misfit(schema: &Schema, path: &str, output: &Value) -> Option<FlowError> {
    misfit(ErrorKind::ComponentFailed, schema, path, "output", output)
}

/// The first place that does not fit. Tells the value's type, never the value.
fn misfit(kind: ErrorKind, schema: &Schema, path: &str, part: &str, value: &Value) -> Option<FlowError> {
    let misfits = schema.check(value).err()?;
    let first = misfits.first()?;
    let more = match misfits.total() - 1 {
        0 => String::new(),
        others => format!(" (and {others} more)"),
    };
    let error = FlowError::new(kind, format!("the {part} of `{path}` does not fit: {first}{more}"));
    Some(error.with([
        ("component", Value::string(path)),
        ("path", Value::string(&first.pointer)),
        ("expected", Value::string(&first.expected)),
        ("found", Value::string(&first.found)),
    ]))
}
