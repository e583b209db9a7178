//! `/load_file`: reads a JSON, YAML, CSV or text file of the working directory.

mod confine;
mod csv_rows;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use stepflow_engine::ports::{Failure, Purity};
use stepflow_flow::{Source, read_value};
use stepflow_protocol::{ErrorKind, FlowError, Value, ValueError};

use super::{About, Builtin, BuiltinOptions, Resources, read};
use csv_rows::Delimiter;

const MIB: usize = 1024 * 1024;

/// The largest file that is read.
const MAX_FILE: usize = 64 * MIB;

pub(super) struct LoadFile;

#[derive(Deserialize)]
struct Input {
    path: PathBuf,
    format: Option<Format>,
    delimiter: Option<Delimiter>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    Json,
    Yaml,
    Csv,
    Text,
}

impl Builtin for LoadFile {
    fn about(&self) -> About {
        About {
            path: "/load_file",
            description: "Reads a file of the working directory: JSON, YAML, CSV with a header row (a list of objects), or text.",
            purity: Purity::Read,
        }
    }

    fn input_schema(&self) -> Json {
        json!({
            "type": "object",
            "properties": {
                "path": {"type": "string", "description": "Relative paths start at the working directory."},
                "format": {"enum": ["json", "yaml", "csv", "text", null], "description": "By the path's extension when absent."},
                "delimiter": {"enum": [",", ";", "\t", "|", null], "description": "Of CSV: told from the text when absent."},
            },
            "required": ["path"],
            "additionalProperties": false,
        })
    }

    fn output_schema(&self) -> Json {
        json!({
            "type": "object",
            "properties": {
                "data": {},
                "metadata": {
                    "type": "object",
                    "properties": {
                        "resolved_path": {"type": "string"},
                        "size_bytes": {"type": "integer"},
                        "format": {"enum": ["json", "yaml", "csv", "text"]},
                    },
                },
            },
            "required": ["data", "metadata"],
        })
    }

    fn run(&self, input: Value, resources: Arc<Resources>) -> BoxFuture<'static, Result<Value, Failure>> {
        async move {
            let input: Input = read(&input)?;
            let reading = tokio::task::spawn_blocking(move || load(&input, &resources.options));
            let loaded =
                reading.await.map_err(|error| FlowError::new(ErrorKind::OrchestratorError, error.to_string()))?;
            Ok(loaded?)
        }
        .boxed()
    }
}

fn load(input: &Input, options: &BuiltinOptions) -> Result<Value, FlowError> {
    let (file, resolved) = confine::open(&input.path, options)?;
    let format = match input.format {
        Some(format) => format,
        None => Format::of(&input.path)?,
    };
    let bytes = content(&file).map_err(|error| unreadable(&input.path, &resolved, &error))?;
    if bytes.len() > MAX_FILE {
        return Err(invalid(&input.path, &format!("it is larger than {} MiB", MAX_FILE / MIB)));
    }
    let size = bytes.len() as u64;
    let bytes = without_mark(bytes, &input.path)?;
    let data = match format {
        Format::Json => Value::parse(bytes).map_err(|error| misread(&input.path, &error))?,
        Format::Yaml => yaml(&bytes, &input.path)?,
        Format::Csv => csv_rows::read(&bytes, input.delimiter, &input.path)?,
        Format::Text => text(bytes, &input.path)?,
    };
    let metadata = Value::object([
        ("resolved_path", Value::string(&resolved.to_string_lossy())),
        ("size_bytes", Value::from(size)),
        ("format", Value::string(format.name())),
    ]);
    Ok(Value::object([("data", data), ("metadata", metadata)]))
}

/// The file's bytes. When there are too many, one byte more than allowed.
fn content(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text without the byte order mark that some editors put before UTF-8. A mark of UTF-16 is an error that says what
/// to do.
fn without_mark(mut bytes: Vec<u8>, path: &Path) -> Result<Vec<u8>, FlowError> {
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    }
    let is_utf16 = match bytes[..] {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => true,
        // There is no mark: in UTF-16, every other byte of Latin letters is zero.
        [a, b, c, d, ..] => (a == 0) != (b == 0) && (a == 0) == (c == 0) && (b == 0) == (d == 0),
        _ => false,
    };
    if is_utf16 { Err(invalid(path, "it is UTF-16: save it as UTF-8")) } else { Ok(bytes) }
}

impl Format {
    fn of(path: &Path) -> Result<Self, FlowError> {
        let extension =
            path.extension().map(|extension| extension.to_string_lossy().to_lowercase()).unwrap_or_default();
        match extension.as_str() {
            "json" => Ok(Self::Json),
            "yaml" | "yml" => Ok(Self::Yaml),
            "csv" => Ok(Self::Csv),
            "txt" | "text" | "md" | "log" => Ok(Self::Text),
            _ => Err(invalid(
                path,
                "its extension does not tell the format: say `format: json`, `yaml`, `csv` or `text`",
            )),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Yaml => "yaml",
            Self::Csv => "csv",
            Self::Text => "text",
        }
    }
}

/// YAML 1.2, read as flows are: `on` and `no` are strings, integers keep their digits.
fn yaml(bytes: &[u8], path: &Path) -> Result<Value, FlowError> {
    read_value(&Source::yaml("", bytes)).map_err(|wrong| {
        let Some(first) = wrong.iter().next() else { return invalid(path, "it is not YAML") };
        let place = first.position.map_or_else(String::new, |at| format!(":{}:{}", at.line, at.column));
        let message = format!("{}{place}: {}", path.display(), first.message);
        FlowError::new(ErrorKind::InvalidInput, message).with(at(path))
    })
}

fn text(bytes: Vec<u8>, path: &Path) -> Result<Value, FlowError> {
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Value::string(&text)),
        Err(error) => Err(invalid(path, &format!("it is not UTF-8 text (byte {})", error.utf8_error().valid_up_to()))),
    }
}

fn misread(path: &Path, error: &ValueError) -> FlowError {
    match error {
        ValueError::NotJson(error) => {
            let place = format!("{}:{}:{}", path.display(), error.line(), error.column());
            FlowError::new(ErrorKind::InvalidInput, format!("{place}: {error}")).with(at(path))
        }
        other => invalid(path, &other.to_string()),
    }
}

fn unreadable(path: &Path, resolved: &Path, error: &io::Error) -> FlowError {
    let reason = match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => error.to_string(),
    };
    let message = format!("`{}` cannot be read ({}): {reason}", path.display(), resolved.display());
    FlowError::new(ErrorKind::ComponentFailed, message).with(at(path))
}

/// INVALID_INPUT about this file.
fn invalid(path: &Path, problem: &str) -> FlowError {
    FlowError::new(ErrorKind::InvalidInput, format!("`{}`: {problem}", path.display())).with(at(path))
}

fn at(path: &Path) -> [(&'static str, Value); 1] {
    [("file", Value::string(&path.to_string_lossy()))]
}
