//! The graph that a picture shows: steps, input, variables and output, and which values go from one to another.

use std::collections::HashMap;

use stepflow_flow::path::Segment;
use stepflow_flow::subflow;
use stepflow_flow::{Expression, Flow, Path, Step};

/// The nodes of a flow and the edges between them.
#[derive(Debug, Default)]
pub struct Graph {
    pub nodes: Vec<Node>,
    pub edges: Vec<Edge>,
}

/// Something that provides or takes values.
#[derive(Debug)]
pub enum Node {
    /// The flow's input.
    Input,
    /// The flow's variables.
    Variables,
    /// A step.
    Step(Box<StepNode>),
    /// The flow's output.
    Output,
}

/// A step.
#[derive(Debug)]
pub struct StepNode {
    pub id: String,
    pub component: String,
    /// The number of its colour. Steps whose component paths begin with the same segment have the same colour.
    pub colour: usize,
    /// The flow in its input, for components that run flows.
    pub inner: Option<Graph>,
}

/// Values that go from one node to another.
#[derive(Debug)]
pub struct Edge {
    pub from: usize,
    pub to: usize,
    /// Which part of the value is taken, one label for each reference; never empty.
    pub labels: Vec<String>,
    /// Whether all references are in branches that may not be evaluated.
    pub conditional: bool,
}

impl Graph {
    /// The number of boxes, with those of inner flows.
    pub fn boxes(&self) -> usize {
        let inner = self.nodes.iter().filter_map(|node| match node {
            Node::Step(step) => step.inner.as_ref(),
            _ => None,
        });
        self.nodes.len() + inner.map(Self::boxes).sum::<usize>()
    }

    /// The graph of a flow. The input and the variables are in it only if something refers to them.
    pub fn of(flow: &Flow) -> Self {
        Self::with_colours(flow, &mut Vec::new())
    }

    fn with_colours(flow: &Flow, prefixes: &mut Vec<String>) -> Self {
        let mut builder = GraphBuilder::default();
        for step in &flow.steps {
            let place = builder.graph.nodes.len();
            builder.steps.insert(&step.id, place);
            builder.graph.nodes.push(Node::Step(Box::new(step_node(step, prefixes))));
        }
        let output = builder.graph.nodes.len();
        builder.graph.nodes.push(Node::Output);
        for (place, step) in flow.steps.iter().enumerate() {
            builder.expression(&step.input, place, Branch::Always);
        }
        builder.expression(&flow.output, output, Branch::Always);
        builder.graph
    }
}

fn step_node(step: &Step, prefixes: &mut Vec<String>) -> StepNode {
    let prefix = step.component.trim_start_matches('/').split('/').next().unwrap_or_default();
    let colour = prefixes.iter().position(|known| known == prefix).unwrap_or_else(|| {
        prefixes.push(prefix.to_owned());
        prefixes.len() - 1
    });
    let inner =
        subflow::flow(step, &subflow::by_default, &Path::root()).map(|(_, flow)| Graph::with_colours(&flow, prefixes));
    StepNode { id: step.id.clone(), component: step.component.clone(), colour, inner }
}

/// In which kind of branch of an expression a reference is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Branch {
    /// It is always evaluated.
    Always,
    /// In the condition of an `$if`.
    Condition,
    Then,
    Else,
    /// In a `$coalesce` after the first expression, or in the default of a variable.
    Or,
}

impl Branch {
    fn is_conditional(self) -> bool {
        matches!(self, Self::Then | Self::Else | Self::Or)
    }

    /// This branch inside another one. It is conditional when one of them is.
    fn inside(self, outer: Self) -> Self {
        if outer.is_conditional() && !self.is_conditional() { outer } else { self }
    }

    fn label(self, what: &str) -> String {
        let word = match self {
            Self::Always => return what.to_owned(),
            Self::Condition => "if",
            Self::Then => "then",
            Self::Else => "else",
            Self::Or => "or",
        };
        format!("{word} {what}")
    }
}

#[derive(Default)]
struct GraphBuilder<'a> {
    graph: Graph,
    steps: HashMap<&'a str, usize>,
    edges: HashMap<(usize, usize), usize>,
    input: Option<usize>,
    variables: Option<usize>,
}

impl GraphBuilder<'_> {
    fn expression(&mut self, expression: &Expression, to: usize, branch: Branch) {
        match expression {
            Expression::Literal(_) | Expression::Escaped(_) => {}
            Expression::Input(path) => {
                let from = self.input();
                self.edge(from, to, branch, &path.to_string());
            }
            Expression::Step { step, path } => {
                // A step that does not exist is reported as a diagnostic.
                if let Some(from) = self.steps.get(step.as_str()).copied() {
                    self.edge(from, to, branch, &path.to_string());
                }
            }
            Expression::Variable { name, path, default } => {
                let from = self.variables();
                let whole = std::iter::once(Segment::Field(name.clone())).chain(path.segments().iter().cloned());
                let whole = Path::from(whole.collect::<Vec<_>>()).to_string();
                self.edge(from, to, branch, &whole);
                if let Some(default) = default {
                    self.expression(default, to, Branch::Or.inside(branch));
                }
            }
            Expression::If { condition, then, otherwise } => {
                self.expression(condition, to, Branch::Condition.inside(branch));
                self.expression(then, to, Branch::Then);
                if let Some(otherwise) = otherwise {
                    self.expression(otherwise, to, Branch::Else);
                }
            }
            Expression::Coalesce(items) => {
                for (place, item) in items.iter().enumerate() {
                    self.expression(item, to, if place == 0 { branch } else { Branch::Or });
                }
            }
            Expression::Array(items) => items.iter().for_each(|item| self.expression(item, to, branch)),
            Expression::Object(members) => {
                members.iter().for_each(|(_, member)| self.expression(member, to, branch));
            }
        }
    }

    fn edge(&mut self, from: usize, to: usize, branch: Branch, path: &str) {
        let edges = &mut self.graph.edges;
        let place = *self.edges.entry((from, to)).or_insert_with(|| {
            edges.push(Edge { from, to, labels: Vec::new(), conditional: true });
            edges.len() - 1
        });
        let (edge, label) = (&mut edges[place], branch.label(path));
        edge.conditional &= branch.is_conditional();
        if !edge.labels.contains(&label) {
            edge.labels.push(label);
        }
    }

    fn input(&mut self) -> usize {
        let nodes = &mut self.graph.nodes;
        *self.input.get_or_insert_with(|| add(nodes, Node::Input))
    }

    fn variables(&mut self) -> usize {
        let nodes = &mut self.graph.nodes;
        *self.variables.get_or_insert_with(|| add(nodes, Node::Variables))
    }
}

fn add(nodes: &mut Vec<Node>, node: Node) -> usize {
    nodes.push(node);
    nodes.len() - 1
}

#[cfg(test)]
mod tests {
    use stepflow_flow::Source;

    use super::*;

    fn graph(yaml: &str) -> Graph {
        Graph::of(&stepflow_flow::load(Source::yaml("flow.yaml", yaml)).flow.unwrap())
    }

    fn edge(graph: &Graph, from: usize, to: usize) -> &Edge {
        graph.edges.iter().find(|edge| (edge.from, edge.to) == (from, to)).unwrap()
    }

    #[test]
    fn references_between_the_same_two_nodes_are_one_edge_with_their_paths() {
        let graph = graph(
            "steps:\n- {id: a, component: /x/a, input: {$input: $.n}}\n- {id: b, component: /x/b, input: [{$step: a}, \
             {$step: a, path: $.rows}, {$step: a}]}\noutput: {$step: b}\n",
        );
        assert_eq!(edge(&graph, 0, 1).labels, ["$", "$.rows"]);
        assert_eq!(graph.edges.len(), 3);
    }

    #[test]
    fn branches_are_conditional_and_conditions_are_not() {
        let graph = graph(
            "steps:\n- {id: a, component: /x/a}\n- {id: b, component: /x/b}\n- {id: c, component: /x/c}\n\
             - {id: d, component: /x/d}\n\
             output: {$if: {$step: a}, then: {$step: b}, else: {$coalesce: [{$step: c}, {$step: d}]}}\n",
        );
        let output = 4;
        let said: Vec<(&str, bool)> = (0..4)
            .map(|step| edge(&graph, step, output))
            .map(|edge| (edge.labels[0].as_str(), edge.conditional))
            .collect();
        assert_eq!(said, [("if $", false), ("then $", true), ("else $", true), ("or $", true)]);
    }

    #[test]
    fn a_literal_flow_is_inside_its_step() {
        let graph = graph(
            "steps:\n- id: each\n  component: /builtin/map\n  input:\n    items: {$input: $}\n    workflow:\n      \
             $literal: {steps: [{id: one, component: /python/one, input: {$input: $}}], output: {$step: one}}\n\
             output: {$step: each}\n",
        );
        let Node::Step(each) = &graph.nodes[0] else { panic!("no step") };
        let inner = each.inner.as_ref().unwrap();
        assert_eq!(inner.nodes.len(), 3);
        let Node::Step(one) = &inner.nodes[0] else { panic!("no step") };
        assert_ne!(one.colour, each.colour);
    }

    #[test]
    fn a_variable_is_labelled_with_its_name() {
        let graph = graph(
            "schemas: {properties: {variables: {properties: {key: {type: object}}}}}\n\
             steps:\n- {id: a, component: /x/a, input: {$variable: $.key.id}}\noutput: {$step: a}\n",
        );
        assert!(graph.edges.iter().any(|edge| edge.labels == ["$.key.id"]));
    }
}
