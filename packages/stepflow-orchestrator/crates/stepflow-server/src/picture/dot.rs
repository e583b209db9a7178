//! Writes a graph in the language of Graphviz, which offers other layouts.

use std::fmt::Write as _;

use super::graph::{Graph, Node};

/// The text of the file.
pub fn write(graph: &Graph) -> String {
    let mut out = String::from(
        "digraph flow {\n  rankdir=TB\n  compound=true\n  node [shape=box style=rounded fontname=monospace]\n  \
         edge [fontname=monospace fontsize=10]\n",
    );
    group(&mut out, graph, "n", 1);
    out.push_str("}\n");
    out
}

fn group(out: &mut String, graph: &Graph, prefix: &str, depth: usize) {
    let indent = "  ".repeat(depth);
    for (place, node) in graph.nodes.iter().enumerate() {
        let name = format!("{prefix}{place}");
        let _ = match node {
            Node::Input => writeln!(out, "{indent}{name} [label=input shape=oval]"),
            Node::Variables => writeln!(out, "{indent}{name} [label=variables shape=oval]"),
            Node::Output => writeln!(out, "{indent}{name} [label=output shape=oval]"),
            Node::Step(step) => {
                let label = quoted(&format!("{}\n{}", step.id, step.component));
                let Some(inner) = &step.inner else {
                    let _ = writeln!(out, "{indent}{name} [label={label}]");
                    continue;
                };
                // An edge must end at a node, so the cluster contains a node for the step itself.
                let _ = writeln!(out, "{indent}subgraph cluster_{name} {{\n{indent}  style=rounded");
                let _ = writeln!(out, "{indent}  {name} [label={label}]");
                group(out, inner, &format!("{name}_"), depth + 1);
                writeln!(out, "{indent}}}")
            }
        };
    }
    for edge in &graph.edges {
        let style = if edge.conditional { " style=dashed" } else { "" };
        let (from, to, label) = (edge.from, edge.to, quoted(&edge.labels.join("\n")));
        let _ = writeln!(out, "{indent}{prefix}{from} -> {prefix}{to} [label={label}{style}]");
    }
}

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{escaped}\"")
}
