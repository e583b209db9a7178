//! `visualize`: a flow as a picture.

use std::path::Path;

use stepflow_flow::{Diagnostics, Level};

use crate::cli::{PictureFormat, VisualizeArgs};
use crate::document;
use crate::exit::{Exit, Failure};
use crate::picture::{self, TooLarge};
use crate::stderr;
use crate::written::Written;

/// Draws a flow.
pub fn visualize(args: &VisualizeArgs) -> Result<Exit, Failure> {
    let loaded = stepflow_flow::load(document::read("flow", &args.flow())?);
    let Some(flow) = &loaded.flow else {
        let fatal = loaded.diagnostics.iter().filter(|one| one.level == Level::Fatal);
        let text = fatal.cloned().collect::<Diagnostics>().render(&loaded.source, stderr::color());
        return Err(Failure::text(Exit::Failed, text).hint("a flow is drawn once nothing in it is fatal"));
    };
    let text = picture::draw(flow, format(args)?).map_err(|TooLarge(boxes)| {
        let message = format!("a picture of this flow would have {boxes} boxes, too many to be laid out");
        Failure::usage(message)
            .hint("`--format dot` and `--format mermaid` write it for programs that draw large graphs")
    })?;
    match &args.output {
        None => document::print(text.trim_end())?,
        Some(path) => Written::whole("picture", path, text.as_bytes())?,
    }
    Ok(Exit::Success)
}

/// The format that was asked for, else the one that the output's name ends with.
fn format(args: &VisualizeArgs) -> Result<PictureFormat, Failure> {
    if let Some(format) = args.format {
        return Ok(format);
    }
    let Some(path) = &args.output else { return Ok(PictureFormat::Svg) };
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("svg") => Ok(PictureFormat::Svg),
        Some("mmd" | "mermaid") => Ok(PictureFormat::Mermaid),
        Some("dot" | "gv") => Ok(PictureFormat::Dot),
        _ => Err(unknown(path)),
    }
}

fn unknown(path: &Path) -> Failure {
    Failure::usage(format!("`{}` does not say which kind of picture it is to be", path.display()))
        .hint("name it `.svg`, `.mmd` or `.dot`, or add `--format`")
}
