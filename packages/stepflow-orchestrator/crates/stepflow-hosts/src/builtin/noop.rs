//! `/noop`: returns its input. For tests, and to give a value a name.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use serde_json::{Value as Json, json};
use stepflow_engine::ports::{Failure, Purity};
use stepflow_protocol::Value;

use super::{About, Builtin, Resources};

pub(super) struct Noop;

impl Builtin for Noop {
    fn about(&self) -> About {
        About { path: "/noop", description: "Hands its input on.", purity: Purity::Pure }
    }

    fn input_schema(&self) -> Json {
        json!({})
    }

    fn output_schema(&self) -> Json {
        json!({})
    }

    fn run(&self, input: Value, _resources: Arc<Resources>) -> BoxFuture<'static, Result<Value, Failure>> {
        ready(Ok(input)).boxed()
    }
}
