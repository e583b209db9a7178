//! `visualize`: draws a flow as a picture.

use std::path::Path;

use stepflow_flow::{Diagnostics, Level};

use crate::cli::{PictureFormat, VisualizeArgs};
use crate::document;
use crate::exit::{Exit, Failure};
use crate::output_file::OutputFile;
use crate::picture::{self, TooLarge};
use crate::stderr;

/// Draws a flow.
pub fn visualize(args: &VisualizeArgs) -> Result<Exit, Failure> {
    let loaded = stepflow_flow::load(document::read("flow", &args.flow.path())?);
    let Some(flow) = &loaded.flow else {
        let fatal = loaded.diagnostics.iter().filter(|one| one.level == Level::Fatal);
        let text = fatal.cloned().collect::<Diagnostics>().render(&loaded.source, stderr::color());
        return Err(
            Failure::text(Exit::Failed, text).hint("correct the fatal errors first; then the flow can be drawn")
        );
    };
    let text = picture::draw(flow, format(args)?).map_err(|TooLarge(boxes)| {
        let message = format!("a picture of this flow would have {boxes} boxes, which is too many for this layout");
        Failure::usage(message)
            .hint("`--format dot` and `--format mermaid` write it for programs that draw large graphs")
    })?;
    match &args.output {
        None => document::print(text.trim_end())?,
        Some(path) => OutputFile::write_whole("picture", path, text.as_bytes())?,
    }
    Ok(Exit::Success)
}

/// The format that was asked for, else the one of the output file's ending.
fn format(args: &VisualizeArgs) -> Result<PictureFormat, Failure> {
    if let Some(format) = args.format {
        return Ok(format);
    }
    let Some(path) = &args.output else { return Ok(PictureFormat::Svg) };
    let ending = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    match ending.as_deref() {
        Some("svg") => Ok(PictureFormat::Svg),
        Some("mmd" | "mermaid") => Ok(PictureFormat::Mermaid),
        Some("dot" | "gv") => Ok(PictureFormat::Dot),
        _ => Err(unknown(path)),
    }
}

fn unknown(path: &Path) -> Failure {
    Failure::usage(format!("the ending of `{}` does not tell the format of the picture", path.display()))
        .hint("name it `.svg`, `.mmd` or `.dot`, or add `--format`")
}
