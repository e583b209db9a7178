//! Draws a flow: which values go from where to where, in layers, as SVG, Mermaid or DOT.

mod dot;
mod graph;
mod layers;
mod layout;
mod mermaid;
mod nested;
mod svg;
mod text;

use stepflow_flow::Flow;

use crate::cli::PictureFormat;
use graph::Graph;
use layers::Dagre;

/// The largest number of boxes in an SVG. The time of the layout grows with its square, and a larger picture is not
/// readable.
const MAX_BOXES: usize = 1_000;

/// The error for a flow whose SVG would have this many boxes.
pub struct TooLarge(pub usize);

/// The picture of a flow, as the text of a file.
///
/// # Errors
/// When the format is SVG and the flow is too large.
pub fn draw(flow: &Flow, format: PictureFormat) -> Result<String, TooLarge> {
    let graph = Graph::of(flow);
    Ok(match format {
        PictureFormat::Svg => match graph.boxes() {
            boxes if boxes > MAX_BOXES => return Err(TooLarge(boxes)),
            _ => svg::write(flow.name.as_deref(), &layout::lay_out(&graph, &Dagre)),
        },
        PictureFormat::Mermaid => mermaid::write(&graph),
        PictureFormat::Dot => dot::write(&graph),
    })
}
