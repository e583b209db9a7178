//! Which strings of a file were filled in from which variables of the environment. The values may be secret, so a message
//! names the variable and never shows its value.

use std::collections::{BTreeMap, BTreeSet};

use stepflow_flow::{Diagnostic, Span};

use crate::wording::name_list;

/// The variables of each string, by where the string begins.
#[derive(Debug, Default)]
pub struct Origins(BTreeMap<usize, BTreeSet<String>>);

impl Origins {
    /// Notes that the string at `span` names these variables.
    pub fn add<'n>(&mut self, span: Span, names: impl Iterator<Item = &'n str>) {
        let names = names.map(str::to_owned).collect::<BTreeSet<_>>();
        if !names.is_empty() {
            self.0.entry(span.start).or_default().extend(names);
        }
    }

    /// Tells which variables a value, or a part of it, was filled in from; `None` when there are none.
    pub fn describe(&self, span: Span) -> Option<String> {
        let within = self.0.range(span.start..span.end.max(span.start + 1));
        let names: BTreeSet<&str> = within.flat_map(|(_, names)| names.iter().map(String::as_str)).collect();
        (!names.is_empty()).then(|| format!("filled in from {}", name_list(names)))
    }

    /// A mistake that other code has found, which knows nothing about variables. When it is about a value that was filled
    /// in, its text is replaced; its path still tells which key it is.
    pub fn without_values(&self, about: Span, mut mistake: Diagnostic) -> Diagnostic {
        if let Some(origin) = self.describe(about) {
            mistake.message = format!("`{}` cannot be used as it is {origin}", mistake.path);
            mistake.label = None;
            mistake.help = Some("look at the value: it is not shown, because it may be secret".to_owned());
        }
        mistake
    }
}
