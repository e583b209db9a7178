//! The news of a run tree that subscribers get.

use std::sync::Arc;

use crate::event::{Instance, Record, StepRef, TaskRef};

/// One piece of news.
#[derive(Debug, Clone)]
pub enum Notice {
    /// An event, now durable.
    Record(Arc<Record>),
    /// A worker has an attempt. This is not in the journal, because it is not a part of the run's state.
    Started {
        /// The step.
        step: StepRef,
        /// The attempt.
        task: TaskRef,
        /// The worker; `None` for a component of this process.
        instance: Option<Arc<Instance>>,
    },
}

impl Notice {
    /// The worker, if it names one.
    pub(crate) fn into_instance(self) -> Option<Arc<Instance>> {
        match self {
            Self::Record(_) => None,
            Self::Started { instance, .. } => instance,
        }
    }
}
