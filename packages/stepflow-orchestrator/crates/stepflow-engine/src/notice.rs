//! What subscribers are told of a run tree.

use std::sync::Arc;

use crate::event::{Instance, Record, StepRef, TaskRef};

/// One piece of news.
#[derive(Debug, Clone)]
pub enum Notice {
    /// An event, now durable.
    Record(Arc<Record>),
    /// A worker has an attempt. Not in the journal: it says nothing about the run's fate.
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
    /// The worker that it names.
    pub(crate) fn into_instance(self) -> Option<Arc<Instance>> {
        match self {
            Self::Record(_) => None,
            Self::Started { instance, .. } => instance,
        }
    }
}
