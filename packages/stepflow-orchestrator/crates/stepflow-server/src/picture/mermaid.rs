//! Writes a graph as Mermaid, which many Markdown viewers show as a diagram.

use std::fmt::Write as _;

use super::graph::{Graph, Node};

/// The text of the file.
pub fn write(graph: &Graph) -> String {
    let mut out = String::from("flowchart TD\n");
    group(&mut out, graph, "n", 1);
    out
}

fn group(out: &mut String, graph: &Graph, prefix: &str, depth: usize) {
    let indent = "  ".repeat(depth);
    for (place, node) in graph.nodes.iter().enumerate() {
        let name = format!("{prefix}{place}");
        let _ = match node {
            Node::Input => writeln!(out, "{indent}{name}([input])"),
            Node::Variables => writeln!(out, "{indent}{name}([variables])"),
            Node::Output => writeln!(out, "{indent}{name}([output])"),
            Node::Step(step) => {
                let text = format!("{}<br/>{}", quoted(&step.id), quoted(&step.component));
                match &step.inner {
                    None => writeln!(out, "{indent}{name}[\"{text}\"]"),
                    Some(inner) => {
                        let _ = writeln!(out, "{indent}subgraph {name}[\"{text}\"]");
                        group(out, inner, &format!("{name}_"), depth + 1);
                        writeln!(out, "{indent}end")
                    }
                }
            }
        };
    }
    for edge in &graph.edges {
        let arrow = if edge.conditional { "-.->" } else { "-->" };
        let label: Vec<String> = edge.labels.iter().map(|label| quoted(label)).collect();
        let (from, to) = (edge.from, edge.to);
        let _ = writeln!(out, "{indent}{prefix}{from} {arrow}|\"{}\"| {prefix}{to}", label.join("<br/>"));
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
