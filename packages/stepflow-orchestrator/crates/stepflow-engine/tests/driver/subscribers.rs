//! What subscribers are told who come late.

use stepflow_engine::Notice;
use stepflow_engine::event::{Event, Outcome, ValueRef};

use super::bench::{ECHO, bench, submission, worker};

#[tokio::test]
async fn whoever_subscribes_later_sees_everything_once_and_in_order() {
    let bench = bench();
    let run = bench.run(submission(ECHO, &["1", "2"])).await;
    let mut news = bench.engine.subscribe(run, 2);
    let mut seqs = Vec::new();
    let mut outputs = 0;
    while let Some(Notice::Record(record)) = news.next().await.unwrap() {
        seqs.push(record.seq);
        if let Event::ItemEnded(ended) = &record.event {
            assert!(matches!(ended.result, Outcome::Success(ValueRef::Row(_))));
            outputs += 1;
        }
    }
    assert_eq!(seqs, (3..=seqs.last().copied().unwrap()).collect::<Vec<_>>());
    assert_eq!(outputs, 2);
}

#[tokio::test]
async fn whoever_subscribes_later_is_told_what_workers_have() {
    let bench = bench();
    let flow = "{name: h, steps: [{id: a, component: /hold}], output: {$step: a}}";
    let run = bench.engine.submit(submission(flow, &["{}"])).await.unwrap();
    // An answer to a second run: then the host knows the start of the first one.
    bench.run(submission(ECHO, &["1"])).await;
    let mut news = bench.engine.subscribe(run, 2);
    assert!(matches!(news.next().await.unwrap(), Some(Notice::Started { instance, .. }) if instance == Some(worker())));
}
