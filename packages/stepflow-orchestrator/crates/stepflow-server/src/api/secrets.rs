//! What may be shown of a run: secrets to nobody, because no token says otherwise.

use schemars::JsonSchema;
use serde::Deserialize;
use stepflow_flow::Plan;
use stepflow_protocol::FlowResult;
use stepflow_store::ItemRow;

use super::error::Error;

/// The query of a route that shows values of a run and asks nothing else.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SecretsQuery {
    /// With secret values as they are: for a token that may read them.
    pub secrets: Option<bool>,
}

/// Refuses a request for secret values. They are for tokens with `secrets: true`, and a server has none before `auth` is
/// built.
pub fn refuse(asked: Option<bool>) -> Result<(), Error> {
    if asked.unwrap_or(false) { Err(Error::secrets_without_tokens()) } else { Ok(()) }
}

/// Items with their outputs as they may be shown.
pub fn redacted(plan: &Plan, items: Vec<ItemRow>) -> Vec<ItemRow> {
    let secrets = plan.output_secrets();
    if secrets.is_none() {
        return items;
    }
    let shown = |result| match result {
        FlowResult::Success(output) => FlowResult::Success(secrets.redact(&output)),
        failed @ FlowResult::Failed(_) => failed,
    };
    items.into_iter().map(|item| ItemRow { result: item.result.map(shown), ..item }).collect()
}
