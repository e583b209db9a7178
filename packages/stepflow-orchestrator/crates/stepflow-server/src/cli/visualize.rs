//! `visualize`

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `visualize`
#[derive(Debug, Args)]
pub struct VisualizeArgs {
    /// The flow's file
    #[arg(value_name = "FLOW", required_unless_present = "flow_option", conflicts_with = "flow_option")]
    flow: Option<PathBuf>,
    /// The flow's file, named
    #[arg(long = "flow", id = "flow_option", value_name = "FILE")]
    flow_option: Option<PathBuf>,
    /// Write the picture to this file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Which kind of picture [default: what the output's name ends with, else svg]
    #[arg(long, value_enum)]
    pub format: Option<PictureFormat>,
}

impl VisualizeArgs {
    /// The flow's file.
    pub fn flow(&self) -> PathBuf {
        self.flow.as_ref().or(self.flow_option.as_ref()).cloned().unwrap_or_default()
    }
}

/// The kinds of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PictureFormat {
    /// An image that needs nothing else
    Svg,
    /// Text that many readers of Markdown draw
    Mermaid,
    /// The language of Graphviz
    Dot,
}
