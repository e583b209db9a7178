//! Writes a graph in the language of Graphviz, which offers other layouts.

use super::graph::{Edge, Graph, StepNode};
use super::nested::{self, Notation};

/// The text of the file.
pub fn write(graph: &Graph) -> String {
    let mut out = String::from(
        "digraph flow {\n  rankdir=TB\n  compound=true\n  node [shape=box style=rounded fontname=monospace]\n  \
         edge [fontname=monospace fontsize=10]\n",
    );
    nested::write::<Dot>(&mut out, graph, "n", 1);
    out.push_str("}\n");
    out
}

struct Dot;

impl Notation for Dot {
    fn value(name: &str, label: &str) -> String {
        format!("{name} [label={label} shape=oval]")
    }

    fn step(name: &str, step: &StepNode) -> String {
        format!("{name} [label={}]", quoted(&format!("{}\n{}", step.id, step.component)))
    }

    fn open(name: &str, step: &StepNode) -> String {
        // An edge must end at a node, so the cluster contains a node for the step itself.
        format!("subgraph cluster_{name} {{\n  style=rounded\n  {}", Self::step(name, step))
    }

    const CLOSE: &str = "}";

    fn edge(from: &str, to: &str, edge: &Edge) -> String {
        let style = if edge.conditional { " style=dashed" } else { "" };
        format!("{from} -> {to} [label={}{style}]", quoted(&edge.labels.join("\n")))
    }
}

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{escaped}\"")
}
