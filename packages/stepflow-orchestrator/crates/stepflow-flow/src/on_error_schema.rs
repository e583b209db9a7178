//! The JSON Schema of `onError`. [`crate::retry`] has what is read; the types here only describe what an author may
//! write.

use schemars::JsonSchema;
use serde_json::Value as Json;
use stepflow_protocol::ErrorKind;

use crate::duration::TimeSpan;

/// What a step does when its component fails.
#[derive(JsonSchema)]
#[schemars(rename = "OnError", title = "OnError", tag = "action", rename_all = "camelCase")]
#[expect(dead_code, reason = "describes a document, never read into")]
pub(crate) enum OnErrorSchema {
    /// The step fails.
    #[schemars(title = "OnErrorFail")]
    Fail,
    /// The step ends with a value instead.
    #[schemars(title = "OnErrorUseDefault")]
    UseDefault {
        /// A constant, never an expression; `null` when absent.
        #[schemars(rename = "defaultValue", default)]
        default_value: Json,
    },
    /// The step tries again.
    #[schemars(title = "OnErrorRetry")]
    Retry {
        /// Retries after the first attempt; 3 when absent.
        #[schemars(rename = "maxRetries")]
        max_retries: Option<u32>,
        /// How long to wait before each; the server's own setting when absent.
        backoff: Option<BackoffSchema>,
        /// The kinds of failure that are worth another attempt.
        #[schemars(rename = "retryOn")]
        retry_on: Option<Vec<ErrorKind>>,
        /// What happens when no retry is left; by default the step fails.
        exhausted: Option<ExhaustedSchema>,
    },
}

/// What a step does when its retries are used up.
#[derive(JsonSchema)]
#[schemars(rename = "Exhausted", title = "Exhausted", tag = "action", rename_all = "camelCase")]
#[expect(dead_code, reason = "describes a document, never read into")]
pub(crate) enum ExhaustedSchema {
    /// The step fails with the last failure.
    #[schemars(title = "ExhaustedFail")]
    Fail,
    /// The step ends with a value instead.
    #[schemars(title = "ExhaustedUseDefault")]
    UseDefault {
        /// A constant; `null` when absent.
        #[schemars(rename = "defaultValue", default)]
        default_value: Json,
    },
}

/// How long to wait before a retry.
#[derive(JsonSchema)]
#[schemars(rename = "Backoff", title = "Backoff", tag = "type", rename_all = "camelCase")]
#[expect(dead_code, reason = "describes a document, never read into")]
pub(crate) enum BackoffSchema {
    /// Always the same time.
    #[schemars(title = "BackoffConstant")]
    Constant {
        /// The time; 1 s when absent.
        delay: Option<TimeSpan>,
        /// The published spelling, in milliseconds.
        #[schemars(rename = "delayMs")]
        delay_ms: Option<u64>,
    },
    /// Each time longer by a factor.
    #[schemars(title = "BackoffExponential")]
    Exponential {
        /// Before the first retry; 1 s when absent.
        initial: Option<TimeSpan>,
        /// The longest; 10 s when absent.
        max: Option<TimeSpan>,
        /// At least 1; 2 when absent.
        factor: Option<f64>,
        /// Whether the wait is drawn between half of it and all of it; true when absent.
        jitter: Option<bool>,
        /// The published spelling of `initial`, in milliseconds.
        #[schemars(rename = "minDelayMs")]
        min_delay_ms: Option<u64>,
        /// The published spelling of `max`, in milliseconds.
        #[schemars(rename = "maxDelayMs")]
        max_delay_ms: Option<u64>,
    },
    /// 1, 1, 2, 3, 5, 8, … times the first.
    #[schemars(title = "BackoffFibonacci")]
    Fibonacci {
        /// Before the first retry; 1 s when absent.
        initial: Option<TimeSpan>,
        /// The longest; 10 s when absent.
        max: Option<TimeSpan>,
        /// The published spelling of `initial`, in milliseconds.
        #[schemars(rename = "minDelayMs")]
        min_delay_ms: Option<u64>,
        /// The published spelling of `max`, in milliseconds.
        #[schemars(rename = "maxDelayMs")]
        max_delay_ms: Option<u64>,
    },
}
