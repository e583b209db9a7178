//! What machines are told, and what is done with what they decide.

use std::collections::BTreeSet;
use std::sync::Arc;

use stepflow_protocol::RunId;

use super::Driver;
use super::surroundings::DriverSurroundings;
use super::tree::Kept;
use crate::command::Command;
use crate::machine::Input;
use crate::submission::Error;

impl Driver {
    /// Tells a machine, and has what it decides recorded.
    pub(super) fn feed(&mut self, root: RunId, input: Input) {
        self.unpark(root);
        let Some(tree) = self.trees.get_mut(&root) else { return };
        tree.touched += 1;
        // Whether the owner has changed is seen from the journal each time that it is read.
        if !matches!(input, Input::Continue | Input::OwnerChanged(_)) {
            tree.kept.push_back(Kept { input: input.clone(), upto: None });
        }
        self.apply(root, input);
    }

    /// Has the machine decide, and appends what it does.
    fn apply(&mut self, root: RunId, input: Input) {
        let Some(tree) = self.trees.get_mut(&root) else { return };
        let Some(machine) = &mut tree.machine else { return };
        self.at_work_on = Some(root);
        tree.flows.values().for_each(|plan| drop(self.plans.add(Arc::clone(plan))));
        let mut world = DriverSurroundings {
            root,
            ports: &self.ports,
            rules: &self.rules,
            values: &self.values,
            at_hand: &mut tree.at_hand,
            plans: &mut self.plans,
            ids: &mut self.ids,
            inputs: std::mem::take(&mut tree.inputs),
            undecided: BTreeSet::new(),
        };
        let applied = machine.apply(input, &mut world);
        let DriverSurroundings { inputs, undecided, .. } = world;
        tree.inputs = inputs;
        let let_back = machine.take_let_back();
        let (upto, is_waiting) = (machine.state().seq, machine.is_waiting());
        // What is left without inputs follows from the state. A new machine would find it again.
        if !machine.has_inputs() {
            tree.decided(upto);
        }
        if !is_waiting {
            tree.at_hand.release(root, &mut self.values);
        }
        self.let_back(root, let_back);
        self.look_for(root, undecided);
        self.append(root, applied.records);
        self.run_ahead(root);
        for run in applied.refused {
            self.waiters.made(run, &Err(Error::NotOpen));
        }
        if applied.hangs {
            return self.give_up(root, "its journal speaks of a run that is not there".to_owned());
        }
        if applied.more {
            self.has_more = true;
            self.tell_again(root);
        }
        self.need(root, applied.missing);
        self.settle(root);
    }

    /// Finds out where the components of these paths are.
    fn look_for(&mut self, root: RunId, paths: BTreeSet<String>) {
        let Some(tree) = self.trees.get_mut(&root) else { return };
        for path in paths {
            if tree.undecided.insert(path.clone()) {
                let (known, commands) = (self.ports.host.decided(&path), self.commands.clone());
                self.tasks.spawn(async move {
                    known.await;
                    let _ = commands.send(Command::Decided(root, path));
                });
            }
        }
    }
}
