//! What is wrong with a document, where, and what to do about it. Codes are stable: tools match on them.

mod codes;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::json;

use crate::path::Path;
use crate::repair::{Fix, Repair};
use crate::secrets::Mask;
use crate::source::{Lines, Position, Span};

pub use codes::{Code, Level};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnostic {
    /// What kind of thing.
    pub code: Code,
    /// How serious it is.
    pub level: Level,
    /// What is wrong, in one sentence.
    pub message: String,
    /// Where in the document's tree, such as `$.steps[0].input`.
    pub path: String,
    /// Where in the document's text; `None` when the document has none, such as a flow that was built by a program.
    pub span: Option<Span>,
    /// The same as line and column, once the text is known.
    pub position: Option<Position>,
    /// A text beside the underlined place, where it says more than the message.
    pub label: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
    /// The changes to the text that repair it, where only one repair is right.
    pub fix: Option<Fix>,
    /// The repair, before the text is known.
    pub(crate) repair: Option<Repair>,
}

impl Diagnostic {
    /// A diagnostic without a place in the text.
    #[must_use]
    pub fn new(code: Code, path: &Path, message: impl Into<String>) -> Self {
        Self {
            code,
            level: code.level(),
            message: message.into(),
            path: path.to_string(),
            span: None,
            position: None,
            label: None,
            help: None,
            fix: None,
            repair: None,
        }
    }

    /// The same with this place in the text.
    #[must_use]
    pub fn at(mut self, span: Option<Span>) -> Self {
        self.span = span;
        self
    }

    /// The same with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with a text beside the underlined place.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// The diagnostic as JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let mut json = json!({
            "kind": self.code.kind(),
            "code": self.code.number(),
            "level": self.level.name(),
            "formatted": self.message,
            "path": self.path,
        });
        let position = self.position;
        let optional = [
            ("line", position.map(|position| json!(position.line))),
            ("column", position.map(|position| json!(position.column))),
            ("help", self.help.as_ref().map(|help| json!(help))),
            ("fix", self.fix.as_ref().map(|fix| json!(fix.edits))),
        ];
        if let Some(members) = json.as_object_mut() {
            members.extend(optional.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
        }
        json
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]: {}", self.level.word(), self.code.number(), self.message)?;
        if let Some(Position { line, column }) = self.position {
            write!(f, " (line {line}, column {column})")?;
        }
        Ok(())
    }
}

/// Everything that is wrong with a document, in the order of its text. Of each kind the first hundred are kept, and the
/// others are counted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Diagnostics {
    kept: Vec<Diagnostic>,
    /// How many of a kind are not kept, because there are too many.
    left_out: BTreeMap<Code, usize>,
}

/// The most diagnostics of one kind that are kept: a document may have millions of mistakes, too many to read.
const MOST_OF_A_KIND: usize = 100;

impl Diagnostics {
    /// Adds a diagnostic.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.keep(diagnostic);
    }

    /// Adds a diagnostic, and returns it if it is kept.
    pub(crate) fn keep(&mut self, diagnostic: Diagnostic) -> Option<&mut Diagnostic> {
        let code = diagnostic.code;
        if let Some(left_out) = self.left_out.get_mut(&code) {
            *left_out += 1;
            return None;
        }
        if self.kept.iter().filter(|kept| kept.code == code).count() == MOST_OF_A_KIND {
            self.left_out.insert(code, 1);
            return None;
        }
        self.kept.push(diagnostic);
        self.kept.last_mut()
    }

    /// Counts diagnostics that another list has not kept.
    pub(crate) fn leave_out(&mut self, code: Code, count: usize) {
        *self.left_out.entry(code).or_default() += count;
    }

    /// Adds all diagnostics of another part of the document.
    pub(crate) fn append(&mut self, other: Self) {
        for (code, count) in other.left_out {
            self.leave_out(code, count);
        }
        self.kept.extend(other.kept);
    }

    /// How many of each kind are not kept, because there are more than a hundred of it.
    pub fn left_out(&self) -> impl Iterator<Item = (Code, usize)> {
        self.left_out.iter().map(|(code, count)| (*code, *count))
    }

    /// The diagnostics in their order.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.kept.iter()
    }

    /// How many are kept, of all levels.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// How many are fatal.
    #[must_use]
    pub fn num_fatal(&self) -> usize {
        self.count(Level::Fatal)
    }

    /// How many are errors, without the fatal ones.
    #[must_use]
    pub fn num_error(&self) -> usize {
        self.count(Level::Error)
    }

    /// How many are warnings.
    #[must_use]
    pub fn num_warning(&self) -> usize {
        self.count(Level::Warning)
    }

    /// The same without any text of the document, which may hold secrets: only the kind of each mistake and its place.
    #[must_use]
    pub fn without_text(&self) -> Self {
        let kept = self.kept.iter().map(|one| Diagnostic {
            position: one.position,
            level: one.level,
            help: Some("the line is not shown, because the flow marks a part of this document as secret".to_owned()),
            ..Diagnostic::new(one.code, &Path::root(), one.code.in_any_text())
        });
        Self { kept: kept.collect(), left_out: self.left_out.clone() }
    }

    /// Removes these texts from all messages.
    pub(crate) fn hide(&mut self, mask: &Mask) {
        let Some(finder) = mask.finder() else { return };
        for one in &mut self.kept {
            one.message = finder.text(&one.message);
            one.label = one.label.as_deref().map(|label| finder.text(label));
            one.help = one.help.as_deref().map(|help| finder.text(help));
        }
    }

    /// The diagnostics as data for machines: `{diagnostics, numFatal, numError, numWarning}`.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        json!({
            "diagnostics": self.iter().map(Diagnostic::to_json).collect::<Vec<_>>(),
            "numFatal": self.num_fatal(),
            "numError": self.num_error(),
            "numWarning": self.num_warning(),
        })
    }

    /// Puts the diagnostics into the order of the text, and sets the line and column of each.
    pub(crate) fn settle(&mut self, text: &[u8]) {
        self.kept
            .sort_by_key(|diagnostic| (diagnostic.span.map(|span| span.start), std::cmp::Reverse(diagnostic.level)));
        let lines = Lines::of(text);
        let mut before = None;
        for diagnostic in &mut self.kept {
            if let Some(span) = diagnostic.span {
                before = Some(lines.position_after(span.start, before));
            }
            diagnostic.position = diagnostic.span.and(before).map(|(_, position)| position);
        }
    }

    /// Finds the changes to the text that repair mistakes, where only one repair is right.
    pub(crate) fn find_fixes(&mut self, text: &[u8]) {
        let Ok(text) = std::str::from_utf8(text) else { return };
        for diagnostic in &mut self.kept {
            let repair = diagnostic.repair.take();
            diagnostic.fix = repair.zip(diagnostic.span).and_then(|(repair, span)| repair.in_text(text, span));
        }
    }

    /// The level of the diagnostics of a kind that are not kept: the level of the kept ones, which may have been
    /// raised.
    pub(crate) fn level_of(&self, code: Code) -> Level {
        let kept = self.kept.iter().filter(|kept| kept.code == code).map(|kept| kept.level).max();
        kept.unwrap_or_else(|| code.level())
    }

    fn count(&self, level: Level) -> usize {
        let left_out = self.left_out.iter().filter(|(code, _)| self.level_of(**code) == level).map(|(_, count)| count);
        self.iter().filter(|diagnostic| diagnostic.level == level).count() + left_out.sum::<usize>()
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.kept.into_iter()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromIterator<Diagnostic> for Diagnostics {
    fn from_iter<I: IntoIterator<Item = Diagnostic>>(diagnostics: I) -> Self {
        let mut all = Self::default();
        all.extend(diagnostics);
        all
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<I: IntoIterator<Item = Diagnostic>>(&mut self, diagnostics: I) {
        diagnostics.into_iter().for_each(|diagnostic| self.push(diagnostic));
    }
}

/// One line for each diagnostic, for logs and error chains.
impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{diagnostic}")?;
        }
        for (code, count) in self.left_out() {
            write!(f, "\n{}[{}]: {count} more of these", self.level_of(code).word(), code.number())?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}
