//! A server in this process, used through its API, with a Python worker that asks for runs (`workers/asking.py`). A second
//! worker of the same kind, `late`, starts only when a flow needs it.
#![allow(dead_code)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use serde_json::{Value, json};
use stepflow_engine::Notice;
use stepflow_engine::event::Event;
use stepflow_flow::Source;
use stepflow_server::access::Access;
use stepflow_server::api::router;
use stepflow_server::config;
use stepflow_server::service::{Needs, Service};
use stepflow_server::store::Store;
use tower::ServiceExt as _;

/// How long a test waits for something that must happen.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A flow that runs another one for each element of its input. The inner flow does not end by itself.
pub const FLOW_OF: &str = "{name: m, steps: [{id: each, component: /builtin/map, input: {items: {$input: $}, workflow: {$literal: \
    {name: s, steps: [{id: h, component: /python/hold}], output: {$step: h}}}}}], output: {$step: each}}";

/// A flow of one step, whose output is the flow's.
pub fn flow(component: &str, input: &str) -> String {
    format!("{{name: one, steps: [{{id: a, component: {component}, input: {input}}}], output: {{$step: a}}}}")
}

/// A server in this process, without a port.
pub struct TestServer {
    service: Arc<Service>,
    api: Router,
}

impl TestServer {
    /// Starts it with a worker that has these arguments and this many slots for executes.
    pub async fn start(args: &[&str], capacity: u32) -> Self {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        let args: Vec<String> = std::iter::once(tests.join("workers/asking.py").display().to_string())
            .chain(args.iter().map(|arg| (*arg).to_owned()))
            .collect();
        let wire = tests.join("../../stepflow-hosts/tests/workers");
        let worker = json!({
            "type": "stepflow", "command": "python3", "args": args, "maxConcurrency": capacity,
            "env": {"WIRE": wire, "CAPACITY": capacity.to_string(), "PYTHONDONTWRITEBYTECODE": "1"},
        });
        let text = json!({
            "plugins": {"builtin": {"type": "builtin"}, "python": worker, "late": worker},
            "routes": {
                "/builtin/{*component}": [{"plugin": "builtin"}],
                "/python/{*component}": [{"plugin": "python"}],
                "/late/{*component}": [{"plugin": "late"}],
            },
        });
        let config = config::read(Source::yaml("config.yml", text.to_string()), PathBuf::from("/")).unwrap();
        let service = Arc::new(Service::new(&config, Store::default(), Duration::ZERO).unwrap());
        service.start(Needs::Paths(&BTreeSet::from(["/python/ask"]))).await.unwrap();
        Self { api: router(Arc::clone(&service), Access::default()), service }
    }

    async fn call(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        let request = request.header("content-type", "application/json").body(Body::from(body.to_string())).unwrap();
        let answered = tokio::time::timeout(TIMEOUT, self.api.clone().oneshot(request));
        let (head, body) = answered.await.expect("the server does not answer").unwrap().into_parts();
        (head.status.as_u16(), serde_json::from_slice(&to_bytes(body, usize::MAX).await.unwrap()).unwrap())
    }

    /// Stores a flow and returns its id.
    pub async fn store(&self, flow: &str) -> Value {
        let (_, stored) = self.call("POST", "/flows", &json!({"flow": flow})).await;
        assert_eq!(stored["stored"], true, "{stored}");
        stored["flowId"].clone()
    }

    /// Runs a flow to its end.
    pub async fn run(&self, flow: &str, input: Value) -> Value {
        self.run_with(flow, input, json!({})).await
    }

    /// The same, with more in the request.
    pub async fn run_with(&self, flow: &str, input: Value, more: Value) -> Value {
        let mut request = json!({"flow": flow, "input": [input], "wait": true});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, run) = self.call("POST", "/runs", &request).await;
        assert_eq!(status, 200, "{run}");
        run
    }

    /// Runs a flow that succeeds, and returns its output.
    pub async fn output(&self, flow: &str, input: Value) -> Value {
        let run = self.run(flow, input).await;
        assert_eq!(run["result"]["outcome"], "success", "{run}");
        run["result"]["result"].clone()
    }

    /// A run whose only step sends this request. Its output is the reply.
    pub async fn ask(&self, method: &str, params: Value) -> Value {
        let run = self.run(&flow("/python/ask", "{$input: $}"), json!({"method": method, "params": params})).await;
        assert!(run["result"]["result"].get("result").is_some(), "{run}");
        run
    }

    /// The error with which a request is refused.
    pub async fn error(&self, method: &str, params: Value) -> Value {
        let run = self.run(&flow("/python/ask", "{$input: $}"), json!({"method": method, "params": params})).await;
        assert!(run["result"]["result"].get("error").is_some(), "{run}");
        run["result"]["result"]["error"].clone()
    }

    /// Submits a run and returns its id.
    pub async fn submit(&self, flow: &str, input: Value) -> Value {
        let (status, run) = self.call("POST", "/runs", &json!({"flow": flow, "input": [input]})).await;
        assert_eq!(status, 202, "{run}");
        run["runId"].clone()
    }

    /// A run as it is now.
    pub async fn show(&self, run: &Value) -> Value {
        self.call("GET", &format!("/runs/{}", run.as_str().unwrap()), &Value::Null).await.1
    }

    /// The items or the steps of a run.
    pub async fn part(&self, run: &Value, part: &str) -> Value {
        self.call("GET", &format!("/runs/{}/{part}", run.as_str().unwrap()), &Value::Null).await.1
    }

    /// A run when it has ended.
    pub async fn ended(&self, run: &Value) -> Value {
        self.call("GET", &format!("/runs/{}?wait=true", run.as_str().unwrap()), &Value::Null).await.1
    }

    /// The HTTP status of a cancellation.
    pub async fn cancel(&self, run: &Value) -> u16 {
        self.call("POST", &format!("/runs/{}/cancel", run.as_str().unwrap()), &json!({})).await.0
    }

    /// The first run below a root, once a worker has its step.
    pub async fn sub_run_of(&self, root: &Value) -> Value {
        let id = self.wait_for_notice(root, |notice, root| match notice {
            Notice::Started { step, .. } if step.run != root => Some(step.run.to_string()),
            Notice::Record(record) => match &record.event {
                Event::RunEnded(ended) if ended.run != root => Some(ended.run.to_string()),
                _ => None,
            },
            Notice::Started { .. } => None,
        });
        json!(id.await)
    }

    /// Waits until a worker has a step of the run.
    pub async fn running(&self, run: &Value) {
        self.wait_for_notice(run, |notice, _| matches!(notice, Notice::Started { .. }).then_some(())).await;
    }

    async fn wait_for_notice<T>(
        &self,
        root: &Value,
        wanted: impl Fn(&Notice, stepflow_protocol::RunId) -> Option<T>,
    ) -> T {
        let root = root.as_str().unwrap().parse().unwrap();
        let mut notices = self.service.engine.subscribe(root, 0);
        let found = async {
            loop {
                let notice = notices.next().await.unwrap().expect("the run has ended");
                if let Some(found) = wanted(&notice, root) {
                    return found;
                }
            }
        };
        tokio::time::timeout(TIMEOUT, found).await.expect("the notice did not come")
    }
}
