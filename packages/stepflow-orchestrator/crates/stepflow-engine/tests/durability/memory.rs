//! The content of memory: values larger than the cache, contents that were missing, and nothing of runs that have
//! ended.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};
use stepflow_engine::event::Record;
use stepflow_engine::machine::Machine;
use stepflow_engine::ports::{Blob, Blobs as _};
use stepflow_engine::{Options, Submission};
use stepflow_protocol::{BlobType, RunId, Value, content_id};

use super::naive::Outcome::Success;
use super::openings::{new, offered, one, one_of, started};
use super::store::{Fate, Store};
use super::story::{Story, submission};

#[test]
fn values_that_are_larger_than_the_cache_together_are_read_again() {
    super::panics::watch();
    let mut story = Story::new(1, Options { cache_bytes: 1 << 20, max_concurrency: 4, ..Options::default() });
    let large = "x".repeat(300_000);
    let steps: Vec<Json> = (0..8)
        .map(|step| {
            let before = if step == 0 { json!({"$input": "$"}) } else { json!({"$step": format!("s{}", step - 1)}) };
            json!({"id": format!("s{step}"), "component": "/t/echo", "input": before})
        })
        .collect();
    let output: Vec<Json> = (0..8).map(|step| json!({"$step": format!("s{step}")})).collect();
    let flow = json!({"steps": steps, "output": output});
    let inputs: Vec<Json> = (0..3).map(|item| json!(format!("{item}{large}"))).collect();
    let root = story.begin(submission(&flow, &inputs));
    for round in 0..7 {
        for _ in 0..15 {
            story.happen();
        }
        if let Some(root) = story.store.queued().first().copied() {
            story.store.deal(root, if round == 1 { Fate::Refuse } else { Fate::Doubt });
        }
    }
    story.crash();
    story.finish(root);
    story.check(root);
    let expected: Vec<_> = inputs.iter().map(|input| Success(Json::from(vec![input.clone(); 8]))).collect();
    assert_eq!(story.results(root), expected);
}

#[test]
fn values_and_flows_that_are_in_memory_are_not_read() {
    let (mut story, root) = offered("/t/wrap");
    let mut flow = one("/t/wrap");
    flow["steps"].as_array_mut().unwrap().push(json!({"id": "b", "component": "/t/echo", "input": {"$step": "a"}}));
    flow["output"] = json!([{"$step": "b"}, {"$input": "$"}]);
    let other = story.begin(submission(&flow, &[json!({"large": "x".repeat(10_000)}), json!(2)]));
    story.finish(root);
    story.finish(other);
    assert_eq!(story.store.lock().contents_asked, 0);
    story.check(other);
}

#[test]
fn a_content_that_was_not_there_is_looked_for_again_by_a_later_step() {
    let mut story = new();
    let sub = json!({"steps": [{"id": "x", "component": "/t/echo", "input": 7}], "output": {"$step": "x"}});
    let document = Value::from_json(&sub).canonical();
    let id = content_id(document.as_bytes()).to_string();
    let eval = |name: &str, after: Json| {
        let input = json!({"flow_id": id, "input": after});
        json!({"id": name, "component": "/t/eval", "input": input, "onError": {"action": "useDefault", "defaultValue": {"result": "none"}}})
    };
    let flow = json!({"steps": [
        eval("first", json!(1)),
        {"id": "put", "component": "/t/wrap", "input": {"$step": "first"}},
        eval("second", json!({"$step": "put"}))],
        "output": [{"$step": "first"}, {"$step": "second", "path": "$.result"}]});
    let root = story.begin(submission(&flow, &[json!({})]));
    story.store_all();
    story.job("/wrap");
    let put = story.store.durable.put(Blob { data: document, blob_type: BlobType::Data });
    story.life.runtime.block_on(put).unwrap();
    story.finish(root);
    story.check(root);
    match &story.results(root)[..] {
        [Success(found)] => {
            assert_eq!(found[0], json!({"result": "none"}));
            assert_eq!(found[1], json!({"outcome": "success", "result": 7}));
        }
        _ => panic!("{:?}", story.results(root)),
    }
}

#[test]
fn flows_that_are_not_stored_yet_stay_in_memory_however_many_others_there_are() {
    let (mut story, root, task) = started();
    let sub_run = story.request(&task, one("/t/null"));
    for other in 0..1_500 {
        let flow = json!({"steps": [{"id": "a", "component": "/t/nowhere", "input": other}], "output": {"$step": "a"}});
        drop(story.submit(submission(&flow, &[json!({})])));
    }
    story.store.deal(root, Fate::Refuse);
    story.store.deliver(false);
    story.store_all();
    let sub_run = story.answer(sub_run).unwrap();
    story.crash();
    story.finish(root);
    story.check(root);
    assert!(story.store.durable.run(sub_run).is_some());
}

#[test]
fn a_machine_takes_about_as_many_bytes_as_it_says() {
    let nap = json!({"id": "nap", "component": "/t/sleep", "input": {"duration_ms": 600_000, "note": "x".repeat(300)}});
    let sleeping = json!({"steps": [nap], "output": {"$step": "nap"}});
    let input = json!({"workflow": {"$literal": sleeping}, "items": vec![1; 30]});
    let map = json!({"steps": [{"id": "m", "component": "/t/map", "input": input}], "output": {"$step": "m"}});
    let mut chain = vec![json!({"id": "s0", "component": "/t/wrap", "input": 1})];
    chain.extend((1..20).map(
        |step| json!({"id": format!("s{step}"), "component": "/t/null", "input": {"$step": format!("s{}", step - 1)}}),
    ));
    chain.push(
        json!({"id": "nap", "component": "/t/sleep", "input": {"duration_ms": 600_000, "after": {"$step": "s19"}}}),
    );
    let chain = json!({"steps": chain, "output": {"$step": "nap"}});
    for (flow, items) in [(&sleeping, 1), (&sleeping, 40), (&map, 1), (&map, 20), (&chain, 1), (&chain, 30)] {
        let mut story = new();
        let root = story.begin(submission(flow, &vec![json!({}); items]));
        story.store_all();
        while let Some(task) = story.life.host.unstarted().first().copied() {
            story.start(task);
            story.life.host.answer(task, None);
            story.store_all();
        }
        let journal: Vec<String> =
            story.store.journal(root).iter().map(|record| serde_json::to_string(&**record).unwrap()).collect();
        // Each is made from a journal of its own, so that they share no values.
        let machine = |_| {
            let journal: Vec<Record> = journal.iter().map(|record| serde_json::from_str(record).unwrap()).collect();
            Machine::recovered(root, &journal)
        };
        let machines: Vec<Machine> = (0..20).map(machine).collect();
        let said: usize = machines.iter().map(Machine::size).sum();
        let before = BYTES.get();
        drop(machines);
        let taken = (before - BYTES.get()).unsigned_abs() - 20 * size_of::<Machine>();
        assert!(said > taken * 8 / 10 && said < taken * 3 / 2, "{said} said, {taken} taken by {items} items of {flow}");
    }
}

#[test]
fn long_work_does_not_run_far_ahead_of_the_store() {
    let mut story = new();
    let round = json!({"steps": [], "output": {"next": 1}});
    let input = json!({"flow": {"$literal": round}, "initial_input": 1, "max_iterations": 8_000});
    let flow = json!({"steps": [{"id": "i", "component": "/t/iterate", "input": input}], "output": {"$step": "i", "path": "$.iterations"}});
    drop(story.submit(submission(&flow, &[json!({})])));
    let root = story.store.first().unwrap();
    (0..100).for_each(|_| story.settle());
    let waiting = |story: &Story| {
        let state = story.store.lock();
        state.given - state.dealt
    };
    assert!((1..8).contains(&waiting(&story)), "{} appends wait", waiting(&story));
    // It goes on as the store does, also after a refused append.
    for fate in [Fate::Commit, Fate::Commit, Fate::Refuse, Fate::Commit] {
        story.store.deal(root, fate);
        story.store.deliver(false);
        story.settle();
        assert!((1..8).contains(&waiting(&story)), "{} appends wait", waiting(&story));
    }
    story.finish(root);
    assert!(matches!(&story.results(root)[..], [Success(iterations)] if *iterations == json!(8_000)));
}

/// Counts the bytes that this thread has allocated and not freed.
struct Counting;

thread_local! {
    static BYTES: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // A thread that ends frees its other values after this one.
    let _ = BYTES.try_with(|all| all.set(all.get() + bytes));
}

#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller's layout is passed on as it is.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: it was allocated by `alloc` with this layout.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A short run with a sub-run, a timeout, a waiter, a subscriber, a refused append and sometimes a cancel.
fn short_run(story: &mut Story, number: u64) {
    let mut flow = one(["/t/calls", "/t/wrap", "/t/lost", "/t/fail"][number as usize % 4]);
    flow["timeout"] = json!("1h");
    flow["steps"][0]["timeout"] = json!("30m");
    let asked = story.submit(submission(&flow, &[json!({})]));
    let root = story.store.queued()[0];
    story.store_all();
    story.answer(asked).unwrap();
    let mut news = story.life.engine.subscribe(root, 0);
    story.life.runtime.spawn(async move { while let Ok(Some(_)) = news.next().await {} });
    let waits = story.wait(root);
    // One who does not wait for the answer.
    story.wait(root).abort();
    match number % 5 {
        0 => {
            drop(story.cancel(root));
            story.store_all();
        }
        1 => {
            let dealt = story.store.lock().dealt;
            story.fates.insert(dealt + number % 3, if number.is_multiple_of(2) { Fate::Refuse } else { Fate::Doubt });
        }
        _ => {}
    }
    story.finish(root);
    story.answer(waits);
    story.fates.clear();
    story.life.host.offers.lock().unwrap().clear();
}

#[test]
fn short_runs_leave_nothing_behind() {
    super::panics::watch();
    let store = Store::new(5);
    let mut story = Story::with(3, Options { cache_bytes: 64 << 10, ..Options::default() }, Arc::clone(&store), 1);
    let mut bytes = Vec::new();
    let rounds = std::env::var("STEPFLOW_DURABILITY_SHORT").map_or(120, |text| text.parse().unwrap());
    for round in 0..7 {
        (0..rounds).for_each(|number| short_run(&mut story, number));
        // After that time all waits are over, such as the one before an idle tree leaves memory.
        story.pass(Duration::from_secs(7_200));
        story.store_all();
        if round > 0 {
            bytes.push(BYTES.get());
        }
    }
    assert_eq!(story.store.violations(), Vec::<String>::new());
    // The sizes of caches and tables go up and down. Memory that is never freed would only go up.
    let grown = bytes[3..].iter().min().unwrap() - bytes[..3].iter().max().unwrap();
    assert!(grown < 16 << 10, "{bytes:?}: {grown} bytes more after {} more runs", 3 * rounds);
    assert!(story.clock.sleepers() <= 2);
    let other = story.begin(one_of("/t/wrap"));
    story.finish(other);
}

/// How many more bytes are taken after this was done a thousand times more.
fn grows_by(story: &mut Story, mut work: impl FnMut(&mut Story, u64)) -> isize {
    let mut bytes = |numbers: Range<u64>| {
        numbers.for_each(|number| work(story, number));
        // The clock forgets sleepers that have gone only when it is asked.
        story.clock.sleepers();
        BYTES.get()
    };
    let before = bytes(0..1_000);
    bytes(1_000..2_000) - before
}

#[test]
fn questions_whose_askers_have_gone_leave_nothing_behind() {
    let (mut story, root) = offered("/t/wrap");
    let waits = grows_by(&mut story, |story, _| story.wait(root).abort());
    let unknown = |number: u64| RunId::from_uuid(uuid::Uuid::from_u128(u128::from(number)));
    let subscribers = grows_by(&mut story, |story, number| {
        drop(story.life.engine.subscribe(unknown(number), 0));
        story.settle();
    });
    assert!(waits < 16 << 10 && subscribers < 64 << 10, "{waits} and {subscribers} bytes more");
    story.finish(root);
}

#[test]
fn requests_for_a_run_that_exists_leave_nothing_behind() {
    let mut story = new();
    let named = || Submission { idempotency_key: Some("n".to_owned()), ..one_of("/t/wrap") };
    let root = story.begin(named());
    story.store_all();
    let grown = grows_by(&mut story, |story, _| {
        let asked = story.submit(named());
        story.store_all();
        assert_eq!(story.answer(asked).unwrap(), root);
    });
    assert!(grown < 16 << 10, "{grown} bytes more");
    story.finish(root);
}
