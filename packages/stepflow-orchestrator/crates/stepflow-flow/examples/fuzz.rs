//! Searches for documents that make the language panic or take long: changes the conformance documents at random until
//! the time is over. `cargo run --release --example fuzz -p stepflow-flow -- --seconds 60 [--seed N]`

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use stepflow_flow::{Format, Mask, Node, Overrides, Plan, Source, load, read_node, read_value};

/// The longest that a document may take.
const LONGEST: Duration = Duration::from_secs(2);

/// The longest document that is made by mutation, in bytes.
const MAX_LENGTH: usize = 1024 * 1024;

/// Pieces of flows that are inserted whole: random changes of bytes rarely make one.
const PIECES: [&str; 16] = [
    "$step",
    "$input",
    "$variable",
    "$literal",
    "$if",
    "$coalesce",
    "$ref",
    "&a ",
    "*a",
    "!!int ",
    "1e400",
    "\u{feff}",
    "\\u0000",
    "---\n",
    "? ",
    "{\"$type\": \"json_patch\", \"value\": []}",
];

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<ExitCode, Failure> {
    let (time, seed) = arguments()?;
    let seeds = conformance_documents()?;
    println!("{} documents, seed {seed}, {} s", seeds.len(), time.as_secs());
    let mut random = Random(seed);
    let (begun, mut tried, mut found) = (Instant::now(), 0_u64, 0);
    while begun.elapsed() < time {
        tried += 1;
        let document = mutated(&seeds, &mut random);
        if let Some(wrong) = wrong_with(&document, &seeds[random.below(seeds.len())]) {
            found += 1;
            let file = std::env::temp_dir().join(format!("stepflow-fuzz-{seed}-{tried}"));
            std::fs::write(&file, &document)?;
            println!("{wrong}: {}", file.display());
        }
    }
    println!("{tried} documents in {:.0} s, {found} found", begun.elapsed().as_secs_f64());
    Ok(if found == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The time and the seed.
fn arguments() -> Result<(Duration, u64), Failure> {
    let (mut seconds, mut seed) = (60, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("`{name}` needs a number"))?.parse()?;
        match name.as_str() {
            "--seconds" => seconds = value,
            "--seed" => seed = Some(value),
            _ => return Err(format!("there is no option `{name}`; the options are --seconds and --seed").into()),
        }
    }
    let seed = match seed {
        Some(seed) => seed,
        None => SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
    };
    Ok((Duration::from_secs(seconds), seed))
}

/// The texts and flows of all cases, and their overrides.
fn conformance_documents() -> Result<Vec<Vec<u8>>, Failure> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../conformance");
    let mut paths = Vec::<PathBuf>::new();
    for part in ["documents", "runs"] {
        for entry in std::fs::read_dir(folder.join(part))? {
            paths.push(entry?.path());
        }
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    let mut texts = Vec::new();
    for path in paths {
        let tree = read_node(&Source::yaml(path.display().to_string(), std::fs::read(&path)?))?;
        let groups = if tree.elements().is_empty() { std::slice::from_ref(&tree) } else { tree.elements() };
        let cases = groups.iter().flat_map(|group| group.get("cases").map_or(&[][..], Node::elements));
        for holder in groups.iter().chain(cases) {
            let members = ["text", "flow", "overrides"].into_iter().filter_map(|key| holder.get(key));
            texts.extend(members.map(|member| match member.as_str() {
                Some(text) => text.as_bytes().to_vec(),
                None => member.to_value().as_bytes().to_vec(),
            }));
        }
    }
    if texts.is_empty() { Err("there are no conformance documents".into()) } else { Ok(texts) }
}

/// A document with some random changes.
fn mutated(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut document = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(8) {
        mutate(&mut document, &seeds[random.below(seeds.len())], random);
    }
    document.truncate(MAX_LENGTH);
    document
}

fn mutate(document: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(document.len() + 1);
    let end = at + random.below(document.len() - at + 1);
    match random.below(6) {
        0 if at < document.len() => document[at] ^= 1 << random.below(8),
        1 => document.truncate(at),
        2 => drop(document.drain(at..end)),
        3 => {
            let times = 1 << random.below(if end - at < 16 { 14 } else { 4 });
            let copies = document[at..end].repeat(times);
            document.splice(at..at, copies);
        }
        4 => {
            let from = random.below(other.len() + 1);
            let to = from + random.below(other.len() - from + 1);
            document.splice(at..end, other[from..to].iter().copied());
        }
        _ => drop(document.splice(at..at, PIECES[random.below(PIECES.len())].bytes())),
    }
}

/// What a document does that none may do: panic or take long. `None` when it is fine.
fn wrong_with(document: &[u8], other: &[u8]) -> Option<String> {
    let longest = catch_unwind(AssertUnwindSafe(|| {
        [Format::Yaml, Format::Json].into_iter().map(|format| longest_use(document, other, format)).max()
    }));
    match longest {
        Err(_) => Some("a panic".to_owned()),
        Ok(took) => took.filter(|took| *took > LONGEST).map(|took| format!("{took:?}")),
    }
}

/// Uses the document in every way, and returns the longest time. Results are ignored: the tests check them.
fn longest_use(document: &[u8], other: &[u8], format: Format) -> Duration {
    let source = |text: &[u8]| Source::new("document", text, format);
    let mut longest = Duration::ZERO;
    let loaded = timed(&mut longest, || load(source(document)));
    timed(&mut longest, || drop(loaded.diagnostics.render(&loaded.source, true)));
    timed(&mut longest, || drop(loaded.diagnostics.without_text().render(&loaded.source, true)));
    timed(&mut longest, || drop(read_value(&source(document))));
    let overrides = timed(&mut longest, || Overrides::load(&source(document)));
    let overridden = loaded.flow.clone().or_else(|| load(source(other)).flow);
    if let (Ok((overrides, _)), Some(flow)) = (overrides, overridden) {
        timed(&mut longest, || drop(overrides.apply(&flow)));
    }
    if let Some(flow) = loaded.flow {
        let plan = timed(&mut longest, || Plan::compile(flow));
        if let (Ok(plan), Ok(value)) = (plan, read_value(&source(other))) {
            timed(&mut longest, || drop(plan.check_input(&value)));
            timed(&mut longest, || drop(plan.input_secrets().redact(&value)));
            timed(&mut longest, || Mask::default().add(plan.output_secrets(), &value));
        }
    }
    longest
}

fn timed<T>(longest: &mut Duration, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let result = work();
    *longest = begun.elapsed().max(*longest);
    result
}

/// SplitMix64: the same seed makes the same documents everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % (bound.max(1) as u64)).unwrap_or_default()
    }
}
