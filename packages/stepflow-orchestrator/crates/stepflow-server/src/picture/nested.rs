//! Writes a graph as text with a line for each node and edge, and with the graph of an inner flow between two lines. The
//! languages that do this differ in how they write a line.

use super::graph::{Edge, Graph, Node, StepNode};

/// How a language writes nodes and edges. A text of several lines is indented as a whole.
pub trait Notation {
    /// A node for the flow's input, variables or output.
    fn value(name: &str, label: &str) -> String;

    /// A step without an inner flow.
    fn step(name: &str, step: &StepNode) -> String;

    /// What comes before the graph of a step's inner flow.
    fn open(name: &str, step: &StepNode) -> String;

    /// What comes after it.
    const CLOSE: &str;

    /// An edge between two nodes.
    fn edge(from: &str, to: &str, edge: &Edge) -> String;
}

/// Appends a graph. The names of its nodes begin with `prefix`.
pub fn write<N: Notation>(out: &mut String, graph: &Graph, prefix: &str, depth: usize) {
    for (place, node) in graph.nodes.iter().enumerate() {
        let name = format!("{prefix}{place}");
        match node {
            Node::Input => push(out, depth, &N::value(&name, "input")),
            Node::Variables => push(out, depth, &N::value(&name, "variables")),
            Node::Output => push(out, depth, &N::value(&name, "output")),
            Node::Step(step) => match &step.inner {
                None => push(out, depth, &N::step(&name, step)),
                Some(inner) => {
                    push(out, depth, &N::open(&name, step));
                    write::<N>(out, inner, &format!("{name}_"), depth + 1);
                    push(out, depth, N::CLOSE);
                }
            },
        }
    }
    for edge in &graph.edges {
        push(out, depth, &N::edge(&format!("{prefix}{}", edge.from), &format!("{prefix}{}", edge.to), edge));
    }
}

fn push(out: &mut String, depth: usize, text: &str) {
    for line in text.lines() {
        out.push_str(&"  ".repeat(depth));
        out.push_str(line);
        out.push('\n');
    }
}
