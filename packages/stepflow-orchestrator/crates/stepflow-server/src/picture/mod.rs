//! A flow as a picture: what flows from where to where, laid out in layers, and written as SVG, Mermaid or DOT.

mod dot;
mod graph;
mod layers;
mod layout;
mod mermaid;
mod svg;
mod text;

use stepflow_flow::Flow;

use crate::cli::PictureFormat;
use graph::Graph;
use layers::Dagre;

/// The most boxes of a picture that is laid out here: the time for it grows with their square, and nobody reads it.
const MOST_BOXES: usize = 1_000;

/// A flow of which no SVG is drawn: it would have this many boxes.
pub struct TooLarge(pub usize);

/// The picture of a flow, as the text of a file.
///
/// # Errors
/// When it is to be laid out here and is too large for that.
pub fn draw(flow: &Flow, format: PictureFormat) -> Result<String, TooLarge> {
    let graph = Graph::of(flow);
    Ok(match format {
        PictureFormat::Svg => match graph.boxes() {
            boxes if boxes > MOST_BOXES => return Err(TooLarge(boxes)),
            _ => svg::write(flow.name.as_deref(), &layout::lay_out(&graph, &Dagre)),
        },
        PictureFormat::Mermaid => mermaid::write(&graph),
        PictureFormat::Dot => dot::write(&graph),
    })
}
