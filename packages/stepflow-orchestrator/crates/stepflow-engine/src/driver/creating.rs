//! Root runs: how they enter the store.

use futures_util::FutureExt as _;
use stepflow_protocol::{RunId, Value};

use super::tree::{Creation, Tree};
use super::{Driver, SEMANTICS, timers};
use crate::command::{Command, Made};
use crate::event::RunCreated;
use crate::machine::{Input, Machine};
use crate::ports::{Append, AppendRef, Created, NewRun, StoreError};
use crate::shard::shard_of;
use crate::submission::{Error, Submission};

/// How often a run gets another id because its shard belongs to another owner.
const MOST_IDS: u32 = 3;

/// How often an id is drawn until it is of another shard. There may be no other.
const MOST_DRAWS: usize = 16;

impl Driver {
    pub(super) fn submit(&mut self, submission: Submission, reply: Made) {
        let root = self.new_root();
        let Submission { plan, inputs, variables, overrides, max_concurrency, idempotency_key } = submission;
        let created = RunCreated {
            run: root,
            root,
            parent: None,
            parent_run: None,
            key: None,
            nested: None,
            flow_id: plan.flow_id,
            items: u32::try_from(inputs.len()).unwrap_or(u32::MAX),
            inputs: None,
            variables,
            overrides,
            limit: max_concurrency.unwrap_or(self.max_concurrency).max(1),
            deadline_at: plan.timeout.map(|timeout| timers::after(self.ports.clock.now(), timeout)),
            semantics: SEMANTICS,
        };
        self.waiters.when_made(root, reply);
        self.create(created, inputs, Creation { plan, idempotency_key, fenced: 0 });
    }

    fn new_root(&mut self) -> RunId {
        RunId::from_uuid(self.shards.own(self.ids.draw(self.ports.clock.now())))
    }

    /// Begins a tree with this run.
    fn create(&mut self, created: RunCreated, inputs: Vec<Value>, creation: Creation) {
        let root = created.root;
        let mut tree = Tree::new(self.next_incarnation());
        tree.machine = Some(Machine::new(root));
        tree.flows.insert(creation.plan.flow_id, creation.plan.without_overrides());
        tree.creating = Some(creation);
        self.trees.insert(root, tree);
        self.feed(root, Input::Submitted(Box::new(created), inputs));
    }

    /// Has a tree's first events stored.
    pub(super) fn store(&mut self, creation: Creation, append: Append, written: AppendRef) {
        let Creation { plan, idempotency_key, .. } = creation;
        let mut stored = self.ports.journal.create(NewRun { plan, idempotency_key, stage: None, append });
        match (&mut stored).now_or_never() {
            Some(created) => self.created(written, created),
            None => {
                let commands = self.commands.clone();
                self.tasks.spawn(async move {
                    let _ = commands.send(Command::Created(written, stored.await));
                });
            }
        }
    }

    /// What has become of a tree's beginning.
    pub(super) fn created(&mut self, written: AppendRef, created: Result<Created, StoreError>) {
        let root = written.root;
        let creation = self.trees.get_mut(&root).and_then(|tree| tree.creating.take());
        match created {
            Ok(Created::New) => self.committed(written),
            Ok(Created::Existing(run)) => {
                self.waiters.made(root, &Ok(run));
                self.let_go(root);
            }
            Err(why @ StoreError::Fenced { .. }) => {
                match creation.filter(|creation| creation.fenced < MOST_IDS && self.stopping.is_none()) {
                    Some(creation) => self.create_again(root, creation),
                    None => {
                        self.waiters.made(root, &Err(why.into()));
                        self.let_go(root);
                    }
                }
            }
            Err(why) => {
                // It may be durable all the same: then the journal says so, and the run goes on.
                self.waiters.made(root, &Err(why.into()));
                self.rebuild_in_time(root);
            }
        }
    }

    /// Begins the tree with another id: the shard of this one belongs to another owner.
    fn create_again(&mut self, root: RunId, creation: Creation) {
        let Some(tree) = self.trees.get_mut(&root) else { return };
        let submitted = tree.kept.drain(..).find_map(|kept| match kept.input {
            Input::Submitted(created, inputs) if created.run == root => Some((created, inputs)),
            _ => None,
        });
        let replies = self.waiters.take_made(root);
        self.let_go(root);
        let Some((created, inputs)) = submitted else {
            return replies.into_iter().for_each(|reply| drop(reply.send(Err(Error::NotOpen))));
        };
        let mut other = self.new_root();
        for _ in 0..MOST_DRAWS {
            if shard_of(other) != shard_of(root) {
                break;
            }
            other = self.new_root();
        }
        replies.into_iter().for_each(|reply| self.waiters.when_made(other, reply));
        let created = RunCreated { run: other, root: other, ..*created };
        self.create(created, inputs, Creation { fenced: creation.fenced + 1, ..creation });
    }
}
