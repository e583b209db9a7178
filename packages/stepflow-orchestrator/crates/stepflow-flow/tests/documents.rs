//! The conformance documents: broken flows, each with the code and the place of every mistake. None of them may take
//! long or much memory.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up has failed")]

mod effort;

use std::path::{Path, PathBuf};

use effort::{Clock, LONGEST, MOST_MEMORY, most_memory};
use serde::Deserialize;
use stepflow_flow::{Diagnostics, Overrides, Source, load, read_value};

/// Warnings that every small flow has: the name and the description are missing, and a step is not used. Compared only
/// where a case expects one of them.
const USUAL: [u16; 3] = [1000, 1001, 1002];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rule: String,
    cases: Vec<Case>,
}

/// A document and what is wrong with it. The document is a `text`, bytes in base64, or pieces that are repeated.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default)]
    format: Format,
    text: Option<String>,
    base64: Option<String>,
    pieces: Option<Vec<Piece>>,
    /// Overrides of the document's flow. The flow has no mistakes then, and the diagnostics are those of the overrides.
    overrides: Option<String>,
    expect: Expected,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Yaml,
    Json,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Piece {
    text: String,
    times: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    diagnostics: Vec<Wrong>,
}

#[derive(Deserialize, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
struct Wrong {
    code: u16,
    path: String,
    line: Option<usize>,
    column: Option<usize>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../conformance/documents")
}

fn files() -> Vec<(PathBuf, File)> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let source = Source::yaml(path.display().to_string(), std::fs::read(&path).unwrap());
            let value = read_value(&source).unwrap_or_else(|wrong| panic!("{}: {wrong}", path.display()));
            let file = value.deserialize().unwrap_or_else(|wrong| panic!("{}: {wrong}", path.display()));
            (path, file)
        })
        .collect()
}

impl Case {
    fn document(&self) -> Vec<u8> {
        match (&self.text, &self.base64, &self.pieces) {
            (Some(text), None, None) => text.clone().into_bytes(),
            (None, Some(base64), None) => decoded(base64),
            (None, None, Some(pieces)) => {
                pieces.iter().map(|piece| piece.text.repeat(piece.times)).collect::<String>().into_bytes()
            }
            _ => panic!("{}: a case has one of `text`, `base64` and `pieces`", self.name),
        }
    }

    fn diagnostics(&self, document: Vec<u8>) -> Diagnostics {
        let source = match self.format {
            Format::Yaml => Source::yaml("flow.yaml", document),
            Format::Json => Source::json("flow.json", document),
        };
        let loaded = load(source);
        let Some(overrides) = &self.overrides else { return loaded.diagnostics };
        let flow = loaded.flow.unwrap_or_else(|| panic!("{}: {}", self.name, loaded.diagnostics));
        let source = Source::yaml("overrides.yaml", overrides.as_str());
        let read = Overrides::load(&source);
        read.and_then(|(overrides, _)| overrides.apply(&flow)).expect_err("the overrides are to be refused")
    }
}

/// The bytes of a base64 text with padding.
fn decoded(base64: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for digit in base64.trim_end_matches('=').bytes() {
        let six = DIGITS.iter().position(|known| *known == digit).expect("a base64 digit");
        (bits, count) = ((bits << 6) | u32::try_from(six).unwrap(), count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xff).unwrap());
        }
    }
    bytes
}

fn found(diagnostics: &Diagnostics, expected: &[Wrong]) -> Vec<Wrong> {
    let usual = expected.iter().any(|wrong| USUAL.contains(&wrong.code));
    diagnostics
        .iter()
        .filter(|one| usual || !USUAL.contains(&one.code.number()))
        .map(|one| Wrong {
            code: one.code.number(),
            path: one.path.clone(),
            line: one.position.map(|position| position.line),
            column: one.position.map(|position| position.column),
        })
        .collect()
}

#[test]
fn every_broken_document_is_refused_at_the_place_of_its_mistake() {
    let (mut cases, mut failures) = (0, Vec::new());
    for (path, file) in files() {
        assert!(!file.rule.is_empty(), "{}", path.display());
        for case in file.cases {
            cases += 1;
            let document = case.document();
            let begun = Clock::start();
            let diagnostics = case.diagnostics(document);
            let took = begun.elapsed();
            let found = found(&diagnostics, &case.expect.diagnostics);
            let name = format!("{}: {}", path.file_name().unwrap().display(), case.name);
            if found != case.expect.diagnostics {
                failures.push(format!("{name}\n  expected {:?}\n  found    {found:?}", case.expect.diagnostics));
            }
            if took > *LONGEST {
                failures.push(format!("{name} took {took:?}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(cases >= 120, "{cases} cases");
    if let Some(memory) = most_memory() {
        assert!(memory <= MOST_MEMORY, "{memory} KiB");
    }
}
