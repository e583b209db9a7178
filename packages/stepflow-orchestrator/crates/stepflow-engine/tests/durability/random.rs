//! Random flows over a store that fails, and a server that dies, at any append.

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use stepflow_engine::Options;

use super::flows::{Case, case};
use super::store::{Fate, Store};
use super::story::{Story, of_case};
use super::{naive, panics};

/// How many flows have one mishap at a random append, and how many have one at each append.
fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

fn seeds(name: &str, usual: u64) -> std::ops::Range<u64> {
    match std::env::var("STEPFLOW_DURABILITY_SEED") {
        Ok(seed) => {
            let seed = seed.parse().unwrap();
            seed..seed + 1
        }
        Err(_) => 0..number(name, usual),
    }
}

fn case_of(seed: u64) -> Case {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    case().new_tree(&mut runner).unwrap().current()
}

/// A mishap.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mishap {
    None,
    Append(Fate),
    Crash,
    Restart,
}

const MISHAPS: [Mishap; 4] =
    [Mishap::Append(Fate::Refuse), Mishap::Append(Fate::Doubt), Mishap::Crash, Mishap::Restart];

/// Runs the case with these mishaps at these appends. Returns how many appends it took.
fn run(seed: u64, case: &Case, mishaps: &[(u64, Mishap)]) -> u64 {
    panics::watch();
    let mut options = Options { max_server_crashes: 0, ..Options::default() };
    if seed % 3 == 1 {
        (options.park_after, options.idle_bytes) = (std::time::Duration::ZERO, 0);
    }
    let drivers = 1 + u8::from(seed % 7 == 6);
    let mut story = Story::with(seed, options, Store::new(10_000), drivers);
    story.store.set(|state| (state.instant, state.ahead) = (seed % 4 == 3, seed % 5 < 3));
    let mut ends = Vec::new();
    for (at, mishap) in mishaps {
        match mishap {
            Mishap::Append(fate) => drop(story.fates.insert(*at, *fate)),
            Mishap::Crash | Mishap::Restart => ends.push((*at, *mishap)),
            Mishap::None => {}
        }
    }
    // The creation is the first append, and it succeeds.
    let root = story.begin(of_case(case));
    story.rough = seed.is_multiple_of(2);
    for (at, end) in ends {
        for _ in 0..5_000 {
            if story.store.lock().dealt >= at || story.is_ended(root) {
                break;
            }
            story.happen();
        }
        if end == Mishap::Restart { story.restart() } else { story.crash() }
    }
    let cancels = mishaps.len() > 1 && seed.is_multiple_of(5);
    if cancels && let Some((at, _)) = mishaps.last() {
        // It is cancelled some time later, and the caller may not get the answer.
        while story.store.lock().dealt <= *at && !story.is_ended(root) {
            story.happen();
        }
        let engine = story.life.engine.clone();
        drop(story.ask(async move { engine.cancel(root, "a test", None).await }));
    }
    story.finish(root);
    story.check(root);
    if !cancels {
        assert_eq!(story.results(root), naive::results(case));
    }
    story.store.lock().dealt
}

/// The same. If it fails, it prints the case.
fn tried(seed: u64, case: &Case, mishaps: &[(u64, Mishap)]) -> u64 {
    let run = std::panic::AssertUnwindSafe(|| run(seed, case, mishaps));
    std::panic::catch_unwind(run).unwrap_or_else(|panic| {
        eprintln!("STEPFLOW_DURABILITY_SEED={seed} with {mishaps:?}: {}", case.flow);
        std::panic::resume_unwind(panic)
    })
}

#[test]
fn whatever_happens_at_a_random_append_the_result_is_the_same() {
    for seed in seeds("STEPFLOW_DURABILITY_FLOWS", 2_000) {
        let case = case_of(seed);
        let appends = tried(seed, &case, &[(0, Mishap::None)]);
        let mut random = super::story::Random(seed ^ 0xD0_0D);
        let mut mishap = || {
            let at = 1 + random.below(appends as usize) as u64;
            (at, MISHAPS[random.below(MISHAPS.len())])
        };
        let mut mishaps: Vec<(u64, Mishap)> = (0..2 + seed % 3).map(|_| mishap()).collect();
        mishaps.sort_by_key(|(at, _)| *at);
        tried(seed, &case, &mishaps);
    }
}

#[test]
fn whatever_happens_at_each_append_the_result_is_the_same() {
    for seed in seeds("STEPFLOW_DURABILITY_EVERY", 40) {
        let case = case_of(seed);
        let appends = tried(seed, &case, &[(0, Mishap::None)]);
        for at in 1..=appends {
            for mishap in MISHAPS {
                tried(seed, &case, &[(at, mishap)]);
            }
        }
    }
}
