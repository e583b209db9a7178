//! Places the boxes of a graph in layers from top to bottom. A library does this, and only this module uses it.

use dagre::graph::{Graph, GraphOptions};
use dagre::layout::types::LabelPos;
use dagre::{EdgeLabel, LayoutOptions, NodeLabel};

/// A width and a height, in pixels.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub width: f64,
    pub height: f64,
}

/// A position, in pixels from the upper left corner.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    pub x: f64,
    pub y: f64,
}

/// A connection between two boxes, with a label.
#[derive(Debug, Clone, Copy)]
pub struct Connection {
    pub from: usize,
    pub to: usize,
    pub label: Size,
}

/// A connection with its position.
#[derive(Debug)]
pub struct PlacedConnection {
    pub points: Vec<Point>,
    /// The middle of its label.
    pub label: Point,
}

/// The positions of all boxes and connections.
#[derive(Debug)]
pub struct Placement {
    /// The middle of each box.
    pub boxes: Vec<Point>,
    /// All connections; `None` for one that is not drawn.
    pub paths: Vec<Option<PlacedConnection>>,
}

/// Puts boxes into layers.
pub trait Layers {
    /// Places boxes so that none covers another, and connections lead downwards.
    fn place(&self, boxes: &[Size], connections: &[Connection]) -> Placement;
}

/// The crate `dagre`.
pub struct Dagre;

impl Layers for Dagre {
    fn place(&self, boxes: &[Size], connections: &[Connection]) -> Placement {
        let options = GraphOptions { directed: true, multigraph: false, compound: false };
        let mut graph = Graph::<NodeLabel, EdgeLabel>::with_options(options);
        for (index, Size { width, height }) in boxes.iter().copied().enumerate() {
            graph.set_node(index.to_string(), Some(NodeLabel { width, height, ..NodeLabel::default() }));
        }
        for Connection { from, to, label: Size { width, height } } in connections.iter().copied() {
            let label = EdgeLabel { width, height, labelpos: LabelPos::Center, ..EdgeLabel::default() };
            graph.set_edge(from.to_string(), to.to_string(), Some(label), None);
        }
        // Steps that may be in any order are in the order of the document.
        let spacing = LayoutOptions { nodesep: 18.0, edgesep: 14.0, ranksep: 48.0, ..LayoutOptions::default() };
        dagre::layout(&mut graph, Some(LayoutOptions { tie_keep_first: true, ..spacing }));

        let middle = |index: usize| {
            let node = graph.node(&index.to_string());
            let (x, y) = node.map_or((None, None), |node| (node.x, node.y));
            Point { x: x.unwrap_or_default(), y: y.unwrap_or_default() }
        };
        let path = |connection: &Connection| {
            let laid = graph.edge(&connection.from.to_string(), &connection.to.to_string(), None)?;
            let points = laid.points.iter().map(|point| Point { x: point.x, y: point.y }).collect();
            Some(PlacedConnection { points, label: Point { x: laid.x?, y: laid.y? } })
        };
        Placement { boxes: (0..boxes.len()).map(middle).collect(), paths: connections.iter().map(path).collect() }
    }
}
