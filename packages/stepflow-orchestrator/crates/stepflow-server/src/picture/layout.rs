//! Computes the positions of all boxes and labels: boxes in layers from top to bottom, with labels between them, so that
//! nothing overlaps. The inner flow of a step is laid out first, because the step must have room for it.

use super::graph::{Edge, Graph, Node, StepNode};
pub use super::layers::Point;
use super::layers::{Connection, Layers, Size};
use super::text::{shortened, width};

/// The font size of a step's id.
pub const ID_SIZE: f64 = 14.0;
/// The font size of all other texts.
pub const TEXT_SIZE: f64 = 11.0;
/// The height of a line of a label.
pub const LINE: f64 = 14.0;
/// The space between the edge of a box and its text.
const PADDING: f64 = 14.0;
/// The height of a step without an inner flow, and of the head of a step with one.
pub const HEAD: f64 = 48.0;
const TERMINAL: f64 = 32.0;
const MARGIN: f64 = 24.0;
/// The space around an inner flow.
const INSET: f64 = 10.0;
const MAX_ID: u32 = 28;
const MAX_COMPONENT: u32 = 34;
const MAX_LABEL: u32 = 24;
/// The largest space between two lines at the same side of a box.
const MAX_GAP: f64 = 22.0;
/// How many labels of an edge are shown.
const SHOWN: usize = 3;

/// A graph with all positions. They are in pixels from its own upper left corner.
#[derive(Debug, Default)]
pub struct Drawing<'a> {
    pub width: f64,
    pub height: f64,
    pub boxes: Vec<Placed<'a>>,
    pub lines: Vec<Arrow<'a>>,
}

/// A rectangle.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rect {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

/// A node with its position.
#[derive(Debug)]
pub struct Placed<'a> {
    pub rect: Rect,
    pub look: Look<'a>,
}

/// How a node is drawn.
#[derive(Debug)]
pub enum Look<'a> {
    /// The input, the variables or the output.
    Terminal(&'static str),
    /// A step.
    Step(Box<StepLook<'a>>),
}

/// How a step is drawn.
#[derive(Debug)]
pub struct StepLook<'a> {
    pub step: &'a StepNode,
    pub id: String,
    pub component: String,
    /// The inner flow, and the position of its corner.
    pub inner: Option<(Drawing<'a>, Point)>,
}

/// An edge with its position.
#[derive(Debug)]
pub struct Arrow<'a> {
    pub edge: &'a Edge,
    pub points: Vec<Point>,
    pub label: Rect,
    pub words: Vec<String>,
}

/// Computes all positions.
pub fn lay_out<'g>(graph: &'g Graph, layers: &dyn Layers) -> Drawing<'g> {
    let looks: Vec<(Look<'g>, Size)> = graph.nodes.iter().map(|node| look(node, layers)).collect();
    let words: Vec<Vec<String>> = graph.edges.iter().map(words).collect();
    let boxes: Vec<Size> = looks.iter().map(|(_, size)| *size).collect();
    let connections: Vec<Connection> = graph
        .edges
        .iter()
        .zip(&words)
        .map(|(edge, words)| Connection { from: edge.from, to: edge.to, label: label_size(words) })
        .collect();
    let placement = layers.place(&boxes, &connections);

    let boxes = looks.into_iter().zip(placement.boxes);
    let boxes = boxes.map(|((look, size), middle)| Placed { rect: Rect::around(middle, size), look });
    let lines = graph.edges.iter().zip(words).zip(placement.paths).filter_map(|((edge, words), path)| {
        let path = path?;
        let label = Rect::around(path.label, label_size(&words));
        Some(Arrow { edge, points: path.points, label, words })
    });
    let mut drawing = Drawing { boxes: boxes.collect(), lines: lines.collect(), ..Drawing::default() };
    drawing.spread_ends();
    drawing.cross_layers_vertically();
    drawing.move_to_margin();
    drawing
}

/// How a node is drawn, and its size.
fn look<'g>(node: &'g Node, layers: &dyn Layers) -> (Look<'g>, Size) {
    let name = match node {
        Node::Step(step) => return step_look(step, layers),
        Node::Input => "input",
        Node::Variables => "variables",
        Node::Output => "output",
    };
    (Look::Terminal(name), Size { width: width(name, ID_SIZE) + 2.0 * PADDING, height: TERMINAL })
}

fn step_look<'g>(step: &'g StepNode, layers: &dyn Layers) -> (Look<'g>, Size) {
    let (id, component) = (shortened(&step.id, MAX_ID), shortened(&step.component, MAX_COMPONENT));
    let words = width(&id, ID_SIZE).max(width(&component, TEXT_SIZE)) + 2.0 * PADDING;
    let mut look = StepLook { step, id, component, inner: None };
    let Some(inner) = step.inner.as_ref().map(|inner| lay_out(inner, layers)) else {
        return (Look::Step(Box::new(look)), Size { width: words, height: HEAD });
    };
    let size = Size { width: words.max(inner.width + 2.0 * INSET), height: HEAD + inner.height + INSET };
    let corner = Point { x: (size.width - inner.width) / 2.0, y: HEAD };
    look.inner = Some((inner, corner));
    (Look::Step(Box::new(look)), size)
}

/// The lines of an edge's label.
fn words(edge: &Edge) -> Vec<String> {
    let mut words: Vec<String> = edge.labels.iter().take(SHOWN).map(|label| shortened(label, MAX_LABEL)).collect();
    if edge.labels.len() > SHOWN {
        words.push(format!("+{} more", edge.labels.len() - SHOWN));
    }
    words
}

/// The first or last point of a line, with the horizontal position of the point next to it.
fn end(points: &mut [Point], leaving: bool) -> Option<(f64, &mut Point)> {
    let next = if leaving { points.get(1) } else { points.len().checked_sub(2).and_then(|place| points.get(place)) }?.x;
    let point = if leaving { points.first_mut() } else { points.last_mut() };
    point.map(|point| (next, point))
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

fn label_size(words: &[String]) -> Size {
    let widest = words.iter().map(|word| width(word, TEXT_SIZE)).fold(0.0, f64::max);
    Size { width: widest + 10.0, height: count(words.len()) * LINE + 3.0 }
}

impl Drawing<'_> {
    /// Lines start at the bottom of a box and end at the top, side by side, in the order of their next points. With
    /// straight lines to the middle of a box, many lines would overlap at its corners.
    fn spread_ends(&mut self) {
        for (place, placed) in self.boxes.iter().enumerate() {
            for leaving in [true, false] {
                let mut ends: Vec<(f64, &mut Point)> = self
                    .lines
                    .iter_mut()
                    .filter(|line| place == if leaving { line.edge.from } else { line.edge.to })
                    .filter_map(|line| end(&mut line.points, leaving))
                    .collect();
                ends.sort_by(|(left, _), (right, _)| left.total_cmp(right));
                let gap = (placed.rect.width - 2.0 * PADDING) / count(ends.len() + 1);
                let gap = gap.min(MAX_GAP);
                let first = placed.rect.middle() - gap * count(ends.len().saturating_sub(1)) / 2.0;
                let y = placed.rect.y + if leaving { placed.rect.height } else { 0.0 };
                for (index, (_, point)) in ends.into_iter().enumerate() {
                    *point = Point { x: first + gap * count(index), y };
                }
            }
        }
    }

    /// Lines go straight down through a layer and bend only between layers. A layer is as high as its highest box, so a
    /// line that bends inside a layer could cross a box.
    fn cross_layers_vertically(&mut self) {
        let layers = self.layers();
        for line in &mut self.lines {
            let last = line.points.len().saturating_sub(1);
            let points = line.points.iter().enumerate().flat_map(|(place, point)| {
                let layer = layers.iter().find(|(top, bottom)| (*top..=*bottom).contains(&point.y));
                let (top, bottom) = layer.copied().unwrap_or((point.y, point.y));
                let ys = if place == 0 {
                    [point.y, bottom]
                } else if place == last {
                    [top, point.y]
                } else {
                    [top, bottom]
                };
                ys.map(|y| Point { x: point.x, y })
            });
            let mut points: Vec<Point> = points.collect();
            points.dedup();
            line.points = points;
        }
    }

    /// The top and the bottom of each layer. The middles of all boxes of a layer are on one horizontal line.
    fn layers(&self) -> Vec<(f64, f64)> {
        let mut layers: Vec<(f64, f64)> = Vec::new();
        for rect in self.boxes.iter().map(|placed| placed.rect) {
            let (top, bottom) = (rect.y, rect.y + rect.height);
            let middle = f64::midpoint(top, bottom);
            match layers.iter_mut().find(|(top, bottom)| (f64::midpoint(*top, *bottom) - middle).abs() < 1.0) {
                Some(layer) => *layer = (layer.0.min(top), layer.1.max(bottom)),
                None => layers.push((top, bottom)),
            }
        }
        layers
    }

    /// Moves everything to the margin, and sets the width and height of the drawing.
    fn move_to_margin(&mut self) {
        let rects = || self.boxes.iter().map(|placed| placed.rect).chain(self.lines.iter().map(|line| line.label));
        let points = || self.lines.iter().flat_map(|line| line.points.iter());
        let left = rects().map(|rect| rect.x).chain(points().map(|point| point.x)).fold(f64::INFINITY, f64::min);
        let top = rects().map(|rect| rect.y).chain(points().map(|point| point.y)).fold(f64::INFINITY, f64::min);
        let right = rects().map(|rect| rect.x + rect.width).chain(points().map(|point| point.x)).fold(left, f64::max);
        let bottom = rects().map(|rect| rect.y + rect.height).chain(points().map(|point| point.y)).fold(top, f64::max);
        (self.width, self.height) = (right - left + 2.0 * MARGIN, bottom - top + 2.0 * MARGIN);
        let (dx, dy) = (MARGIN - left, MARGIN - top);
        self.boxes.iter_mut().for_each(|placed| placed.rect.shift(dx, dy));
        for line in &mut self.lines {
            line.label.shift(dx, dy);
            line.points.iter_mut().for_each(|point| *point = Point { x: point.x + dx, y: point.y + dy });
        }
    }
}

impl Rect {
    fn around(centre: Point, Size { width, height }: Size) -> Self {
        Self { x: centre.x - width / 2.0, y: centre.y - height / 2.0, width, height }
    }

    /// The horizontal position of its middle.
    pub fn middle(&self) -> f64 {
        self.x + self.width / 2.0
    }

    fn shift(&mut self, dx: f64, dy: f64) {
        self.x += dx;
        self.y += dy;
    }
}

#[cfg(test)]
mod tests {
    use stepflow_flow::Source;

    use super::*;
    use crate::picture::layers::Dagre;

    fn graph(yaml: &str) -> Graph {
        Graph::of(&stepflow_flow::load(Source::yaml("flow.yaml", yaml)).flow.unwrap())
    }

    /// A flow in which step `n` takes from `n - 1`, `n - 3` and `n - 7`.
    fn connected(steps: usize) -> Graph {
        let input = |n: usize| {
            let taken = [1, 3, 7].into_iter().filter(|back| *back <= n);
            taken.map(|back| format!("{{$step: s{}, path: $.p{back}}}", n - back)).collect::<Vec<_>>().join(", ")
        };
        let steps: String = (0..steps)
            .map(|n| format!("- {{id: s{n}, component: /python/{}, input: [{}]}}\n", "x".repeat(n % 40), input(n)))
            .collect();
        graph(&format!("steps:\n{steps}output: {{$step: s0}}\n"))
    }

    fn rects<'a>(drawing: &'a Drawing<'_>) -> Vec<&'a Rect> {
        let boxes = drawing.boxes.iter().map(|placed| &placed.rect);
        boxes.chain(drawing.lines.iter().map(|line| &line.label)).collect()
    }

    fn overlap(one: &Rect, other: &Rect) -> bool {
        one.x < other.x + other.width
            && other.x < one.x + one.width
            && one.y < other.y + other.height
            && other.y < one.y + one.height
    }

    #[test]
    fn no_box_and_no_label_lies_over_another() {
        for steps in [1, 2, 9, 40] {
            let graph = connected(steps);
            let drawing = lay_out(&graph, &Dagre);
            let rects = rects(&drawing);
            for (place, one) in rects.iter().enumerate() {
                assert!(rects[place + 1..].iter().all(|other| !overlap(one, other)), "{steps} steps: {one:?}");
                assert!(one.x >= 0.0 && one.x + one.width <= drawing.width, "{one:?}");
                assert!(one.y >= 0.0 && one.y + one.height <= drawing.height, "{one:?}");
            }
        }
    }

    #[test]
    fn a_value_flows_downwards() {
        let graph = connected(20);
        let drawing = lay_out(&graph, &Dagre);
        for line in &drawing.lines {
            let (from, to) = (drawing.boxes[line.edge.from].rect, drawing.boxes[line.edge.to].rect);
            assert!(from.y + from.height < line.label.y && line.label.y + line.label.height < to.y, "{line:?}");
            assert!(line.points.is_sorted_by(|above, below| above.y <= below.y), "{line:?}");
        }
    }

    #[test]
    fn a_step_is_as_large_as_the_flow_in_it() {
        let graph = graph(
            "steps:\n- id: each\n  component: /builtin/map\n  input: {workflow: {$literal: {steps: [{id: one, \
             component: /python/one}, {id: two, component: /python/two}], output: [{$step: one}, {$step: two}]}}}\n\
             output: {$step: each}\n",
        );
        let drawing = lay_out(&graph, &Dagre);
        let Look::Step(each) = &drawing.boxes[0].look else { panic!("no step") };
        let (inner, corner) = each.inner.as_ref().unwrap();
        assert!(corner.x >= 0.0 && corner.x + inner.width <= drawing.boxes[0].rect.width);
        assert!(corner.y >= HEAD && corner.y + inner.height <= drawing.boxes[0].rect.height);
    }

    #[test]
    fn a_flow_without_steps_has_a_picture() {
        assert_eq!(lay_out(&graph("output: 1\nsteps: []\n"), &Dagre).boxes.len(), 1);
    }

    #[test]
    fn the_same_graph_is_always_laid_out_in_the_same_way() {
        assert_eq!(format!("{:?}", lay_out(&connected(30), &Dagre)), format!("{:?}", lay_out(&connected(30), &Dagre)));
    }
}
