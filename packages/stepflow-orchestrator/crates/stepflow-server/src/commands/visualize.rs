//! `visualize`: a flow as a picture.

use std::fs;
use std::path::Path;

use stepflow_flow::{Diagnostics, Level};

use crate::cli::{PictureFormat, VisualizeArgs};
use crate::document;
use crate::exit::{Exit, Failure, reason};
use crate::picture;
use crate::stderr;

/// Draws a flow.
pub fn visualize(args: &VisualizeArgs) -> Result<Exit, Failure> {
    let loaded = stepflow_flow::load(document::read("flow", &args.flow())?);
    let Some(flow) = &loaded.flow else {
        let fatal = loaded.diagnostics.iter().filter(|one| one.level == Level::Fatal);
        let text = fatal.cloned().collect::<Diagnostics>().render(&loaded.source, stderr::color());
        return Err(Failure::text(Exit::Failed, text).hint("a flow is drawn once nothing in it is fatal"));
    };
    let text = picture::draw(flow, format(args)?);
    match &args.output {
        None => document::print(text.trim_end())?,
        Some(path) => fs::write(path, text).map_err(|error| {
            Failure::usage(format!("cannot write the picture `{}`: {}", path.display(), reason(&error)))
                .hint("`--output` takes the path of a file in a folder that exists")
        })?,
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
