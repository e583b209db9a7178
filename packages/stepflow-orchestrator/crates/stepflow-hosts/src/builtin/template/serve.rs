//! The main function of a renderer: a process that fills in templates, one after the other, under limits that the
//! system enforces. A frame is its length as eight bytes, lowest first, and then JSON: a step's input one way, the
//! result the other.

use std::io::{self, Read, Write};
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::fill::fill;
use super::{MAX_MEMORY, MAX_SECONDS};

/// The only argument with which a renderer is started.
pub const RENDER_TEMPLATES: &str = "render-templates";

/// Renders templates from stdin to stdout until stdin ends. For a process that does nothing else: it sets limits on
/// itself.
#[must_use]
pub fn render_templates() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("a renderer of templates ends: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    limit(Resource::As, MAX_MEMORY as u64)?;
    limit(Resource::Core, 0)?;
    let (mut stdin, mut stdout) = (io::stdin().lock(), io::stdout().lock());
    while let Some(input) = read_frame(&mut stdin)? {
        limit_processor_time()?;
        let reply = serde_json::to_vec(&fill(&input))?;
        stdout.write_all(&(reply.len() as u64).to_le_bytes())?;
        stdout.write_all(&reply)?;
        stdout.flush()?;
    }
    Ok(())
}

/// The next input; `None` when there are no more.
fn read_frame(from: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 8];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let length = u64::from_le_bytes(length);
    let mut frame = Vec::new();
    from.take(length).read_to_end(&mut frame)?;
    Ok(Some(frame))
}

/// Sets a limit for this process, or a lower one where the system allows only less.
fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let least = |now: Option<u64>| Some(now.map_or(most, |now| now.min(most)));
    let now = getrlimit(resource);
    Ok(setrlimit(resource, Rlimit { current: least(now.current), maximum: least(now.maximum) })?)
}

/// Moves the limit on for the next template: it counts the time of the whole process.
fn limit_processor_time() -> io::Result<()> {
    let used = u64::try_from(clock_gettime(ClockId::ProcessCPUTime).tv_sec).unwrap_or_default();
    let now = getrlimit(Resource::Cpu);
    let most = now.maximum.unwrap_or(u64::MAX).min(used + MAX_SECONDS + 1);
    Ok(setrlimit(Resource::Cpu, Rlimit { current: Some(most), ..now })?)
}
