//! Writes a graph as Mermaid, which many Markdown viewers show as a diagram.

use std::fmt::Write as _;

use super::graph::{Edge, Graph, StepNode};
use super::nested::{self, Notation};

/// The text of the file.
pub fn write(graph: &Graph) -> String {
    let mut out = String::from("flowchart TD\n");
    nested::write::<Mermaid>(&mut out, graph, "n", 1);
    out
}

struct Mermaid;

impl Notation for Mermaid {
    fn value(name: &str, label: &str) -> String {
        format!("{name}([{label}])")
    }

    fn step(name: &str, step: &StepNode) -> String {
        format!("{name}[\"{}<br/>{}\"]", quoted(&step.id), quoted(&step.component))
    }

    fn open(name: &str, step: &StepNode) -> String {
        format!("subgraph {}", Self::step(name, step))
    }

    const CLOSE: &str = "end";

    fn edge(from: &str, to: &str, edge: &Edge) -> String {
        let arrow = if edge.conditional { "-.->" } else { "-->" };
        let label: Vec<String> = edge.labels.iter().map(|label| quoted(label)).collect();
        format!("{from} {arrow}|\"{}\"| {to}", label.join("<br/>"))
    }
}

/// The text with the characters escaped that have a meaning in Mermaid.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '#' | '<' | '>' | '&' | '`' | '\\' => _ = write!(out, "#{};", u32::from(character)),
            control if control.is_control() => out.push(' '),
            other => out.push(other),
        }
    }
    out
}
