//! The options of `visualize`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::FlowArgs;

/// `visualize`
#[derive(Debug, Args)]
pub struct VisualizeArgs {
    #[command(flatten)]
    pub flow: FlowArgs,
    /// Write the picture to this file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Format of the picture [default: the one of the output file's ending; svg on stdout]
    #[arg(long, value_enum)]
    pub format: Option<PictureFormat>,
}

/// The formats of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PictureFormat {
    /// An image
    Svg,
    /// A text that many Markdown viewers show as a diagram
    Mermaid,
    /// The language of Graphviz
    Dot,
}
