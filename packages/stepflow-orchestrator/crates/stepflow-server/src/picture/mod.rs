//! A flow as a picture: what flows from where to where, laid out in layers, and written as SVG, Mermaid or DOT.

mod dot;
mod graph;
mod layout;
mod mermaid;
mod svg;
mod text;

use stepflow_flow::Flow;

use crate::cli::PictureFormat;
use graph::Graph;

/// The picture of a flow, as the text of a file.
#[must_use]
pub fn draw(flow: &Flow, format: PictureFormat) -> String {
    let graph = Graph::of(flow);
    match format {
        PictureFormat::Svg => svg::write(flow.name.as_deref(), &layout::lay_out(&graph)),
        PictureFormat::Mermaid => mermaid::write(&graph),
        PictureFormat::Dot => dot::write(&graph),
    }
}
