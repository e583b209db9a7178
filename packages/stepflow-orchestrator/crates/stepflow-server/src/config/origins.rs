//! Which variables of the environment stand where in a file. What they hold may be secret: a mistake names the variable,
//! never its value.

use std::collections::{BTreeMap, BTreeSet};

use stepflow_flow::{Diagnostic, Span};

use crate::wording::name_list;

/// The variables of each string, by where the string begins.
#[derive(Debug, Default)]
pub struct Origins(BTreeMap<usize, BTreeSet<String>>);

impl Origins {
    /// The string at `span` names these variables.
    pub fn add<'n>(&mut self, span: Span, names: impl Iterator<Item = &'n str>) {
        let names = names.map(str::to_owned).collect::<BTreeSet<_>>();
        if !names.is_empty() {
            self.0.entry(span.start).or_default().extend(names);
        }
    }

    /// Says of a value, or of one with parts, which variables fill it in; `None` when it stands in the file as it is.
    pub fn said(&self, span: Span) -> Option<String> {
        let within = self.0.range(span.start..span.end.max(span.start + 1));
        let names: BTreeSet<&str> = within.flat_map(|(_, names)| names.iter().map(String::as_str)).collect();
        (!names.is_empty()).then(|| format!("filled in from {}", name_list(names)))
    }

    /// A mistake that was found by somebody who knows nothing of variables: without a word of theirs when it is about them.
    /// Its place still says which key it is.
    pub fn without_values(&self, about: Span, mut mistake: Diagnostic) -> Diagnostic {
        if let Some(origin) = self.said(about) {
            mistake.message = format!("`{}` cannot be used as it is {origin}", mistake.path);
            mistake.label = None;
            mistake.help = Some("look at the value: it is not shown, because it may be secret".to_owned());
        }
        mistake
    }
}
