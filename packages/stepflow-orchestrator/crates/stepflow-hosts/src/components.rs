//! The components of one plugin: which paths it serves, and whether an input fits.

use std::collections::HashMap;
use std::sync::Arc;

use stepflow_flow::{Schema, suggest};
use stepflow_protocol::{ComponentInfo, ErrorKind, FlowError, Value};

use crate::pattern::Pattern;

/// A plugin's components with their compiled input schemas.
#[derive(Debug, Default)]
pub(crate) struct Components {
    infos: Vec<ComponentInfo>,
    exact: HashMap<String, Arc<Option<Schema>>>,
    /// Most specific first.
    patterns: Vec<(Pattern, Arc<Option<Schema>>)>,
}

impl Components {
    /// Compiles what a plugin says of itself. A schema that is none is logged, and its inputs are not checked.
    pub(crate) fn new(plugin: &str, infos: Vec<ComponentInfo>) -> Self {
        let mut components = Self::default();
        for info in &infos {
            let schema =
                Arc::new(info.input_schema.as_ref().and_then(|schema| compile(plugin, &info.component, schema)));
            match Pattern::parse(&info.component) {
                Ok(pattern) if pattern.names().next().is_some() => components.patterns.push((pattern, schema)),
                Ok(_) => _ = components.exact.insert(info.component.clone(), schema),
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

    /// What the plugin says of its components, in its own order.
    pub(crate) fn infos(&self) -> &[ComponentInfo] {
        &self.infos
    }

    /// Whether the plugin serves the path and the input fits.
    ///
    /// # Errors
    /// COMPONENT_NOT_FOUND (`data.nearest` holds the path that was probably meant) or INVALID_INPUT.
    pub(crate) fn check(&self, plugin: &str, path: &str, input: &Value) -> Result<(), FlowError> {
        let schema = self.find(path).ok_or_else(|| self.not_found(plugin, path))?;
        match schema.as_ref() {
            Some(schema) => fits(schema, plugin, path, input),
            None => Ok(()),
        }
    }

    fn find(&self, path: &str) -> Option<&Arc<Option<Schema>>> {
        self.exact.get(path).or_else(|| {
            self.patterns.iter().find(|(pattern, _)| pattern.captures(path).is_some()).map(|(_, schema)| schema)
        })
    }

    fn not_found(&self, plugin: &str, path: &str) -> FlowError {
        let message = format!("plugin `{plugin}` has no component `{path}`");
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

fn compile(plugin: &str, component: &str, schema: &Value) -> Option<Schema> {
    Schema::compile(schema)
        .inspect_err(|error| {
            tracing::warn!(plugin, component, %error, "the input schema is not usable: inputs are not checked");
        })
        .ok()
}

fn fits(schema: &Schema, plugin: &str, path: &str, input: &Value) -> Result<(), FlowError> {
    let Err(misfits) = schema.check(input) else { return Ok(()) };
    let Some(first) = misfits.first() else { return Ok(()) };
    let more = match misfits.len() - 1 {
        0 => String::new(),
        others => format!(" (and {others} more)"),
    };
    Err(FlowError::new(ErrorKind::InvalidInput, format!("the input of `{path}` does not fit: {first}{more}")).with([
        ("plugin", Value::string(plugin)),
        ("component", Value::string(path)),
        ("path", Value::string(&first.pointer)),
        ("expected", Value::string(&first.expected)),
        ("found", Value::string(&first.found)),
    ]))
}
