//! Runs cases in an engine in memory. The mocks of a case replace components of the configuration.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use stepflow_engine::event::{Event, StepRef};
use stepflow_engine::ports::{StepRow, StoreError};
use stepflow_engine::{Error, ItemMisfit, Notice, Submission};
use stepflow_flow::{Capped, Diagnostics, Overrides, Plan, Source};
use stepflow_hosts::MockOverlay;
use stepflow_protocol::{ExecutionStatus, FlowResult, RunId};

use super::suite::Case;
use crate::commands::workers;
use crate::config::Config;
use crate::exit::Failure;
use crate::service::{Needs, Service};
use crate::store::Store;

/// How long a case may take. A case that takes longer probably waits for something that never happens.
const CASE_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs the cases of one file, one after the other.
pub struct CaseRunner {
    service: Service,
    overlay: Arc<MockOverlay>,
}

/// The result of a case.
pub enum Observed {
    /// The flow cannot run, or not with these overrides. The diagnostics of the flow and these tell why.
    Invalid(Diagnostics),
    /// Inputs or variables do not fit, so no run was created.
    Refused(Capped<ItemMisfit>),
    /// The items, by index.
    Ran(Vec<ItemRun>),
    /// The run did not end.
    Stuck(String),
}

/// The result of an item.
pub struct ItemRun {
    pub status: ExecutionStatus,
    pub result: FlowResult,
    pub steps: Vec<StepRow>,
}

impl CaseRunner {
    /// Starts the workers of the components that the cases do not mock.
    pub async fn new(config: &Config, cases: &[&Case]) -> Result<Self, Failure> {
        let mut overlay = None;
        let service = Service::with_host(config, Store::default(), workers::GRACE, |router, inbox| {
            let mocked = Arc::new(MockOverlay::new(router, inbox));
            overlay = Some(Arc::clone(&mocked));
            mocked
        })
        .map_err(|error| Failure::outside(error.to_string()))?;
        let Some(overlay) = overlay else { return Err(Failure::outside("the service has no component host")) };
        let paths: BTreeSet<&str> = cases.iter().flat_map(|case| unmocked(case)).collect();
        if let Err(errors) = service.start(Needs::Paths(&paths)).await {
            service.shutdown().await;
            return Err(workers::failure(&errors));
        }
        Ok(Self { service, overlay })
    }

    pub async fn run(&self, case: &Case) -> Observed {
        let Some(plan) = &case.subject.plan else { return Observed::Invalid(Diagnostics::default()) };
        let plan = match overridden(plan, case.overrides.as_ref()) {
            Ok(plan) => plan,
            Err(wrong) => return Observed::Invalid(wrong),
        };
        if !case.has_run() {
            return Observed::Invalid(Diagnostics::default());
        }
        self.overlay.set(case.mocks.clone());
        let submission = Submission {
            overrides: case.overrides.as_ref().and_then(|overrides| stepflow_flow::read_value(overrides).ok()),
            plan,
            inputs: case.inputs.clone(),
            variables: case.variables.clone(),
            max_concurrency: case.max_concurrency,
            idempotency_key: None,
        };
        let run = match self.service.engine.submit(submission).await {
            Ok(run) => run,
            Err(Error::InvalidInput(misfits)) => return Observed::Refused(misfits),
            Err(error) => return Observed::Stuck(error.to_string()),
        };
        if let Some(step) = &case.cancel {
            self.cancel_at(run, step).await;
        }
        self.service.wait_for(run, CASE_TIMEOUT).await;
        self.observed(run).await.unwrap_or_else(|error| Observed::Stuck(error.to_string()))
    }

    /// The state of a run now.
    async fn observed(&self, run: RunId) -> Result<Observed, StoreError> {
        let store = &self.service.store;
        let status = store.queries.run(run).await?.map(|row| row.status);
        if status.is_none_or(|status| status == ExecutionStatus::Running) {
            let _ = self.service.engine.cancel(run, "test", Some("the case takes too long")).await;
            return Ok(Observed::Stuck(format!("it has not ended after {CASE_TIMEOUT:?}")));
        }
        let mut items = Vec::new();
        for row in store.items(run).all().await? {
            let steps = store.queries.steps(run, row.item).await?;
            items.extend(row.result.map(|result| ItemRun { status: row.status, result, steps }));
        }
        Ok(Observed::Ran(items))
    }

    /// Cancels the run as soon as this step runs.
    async fn cancel_at(&self, run: RunId, step: &str) {
        let plan = self.service.store.queries.plan(run).await;
        let Some(place) = plan.ok().flatten().and_then(|plan| plan.step_index(step)) else { return };
        let is_wanted = |at: &StepRef| at.run == run && at.step as usize == place;
        let mut notices = self.service.engine.subscribe(run, 0);
        while let Ok(Some(notice)) = notices.next().await {
            let has_started = match &notice {
                Notice::Started { step, .. } => is_wanted(step),
                Notice::Record(record) => match &record.event {
                    Event::TimerStarted(timer) => is_wanted(&timer.step),
                    Event::RunCreated(created) => created.parent.as_ref().is_some_and(is_wanted),
                    _ => false,
                },
            };
            if has_started {
                // The run may have just ended. Then the case fails and reports it.
                let _ = self.service.engine.cancel(run, "test", None).await;
                return;
            }
        }
    }

    pub async fn shutdown(self) {
        self.service.shutdown().await;
    }
}

fn overridden(plan: &Arc<Plan>, overrides: Option<&Source>) -> Result<Arc<Plan>, Diagnostics> {
    let Some(overrides) = overrides else { return Ok(Arc::clone(plan)) };
    let (overrides, _) = Overrides::load(overrides)?;
    let (patched, _) = overrides.apply(&plan.flow)?;
    plan.patched(patched).map(Arc::new)
}

fn unmocked(case: &Case) -> impl Iterator<Item = &str> {
    let steps = case.subject.plan.iter().flat_map(|plan| &plan.steps);
    steps.map(|step| step.component.as_str()).filter(|path| !case.mocked.iter().any(|mocked| mocked == path))
}
