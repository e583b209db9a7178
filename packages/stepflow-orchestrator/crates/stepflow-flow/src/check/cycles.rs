//! Finds steps that wait for each other. Does not recurse: a flow may be a chain of many thousand steps.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};

use super::{Finding, Need};
use crate::diagnostics::Code;
use crate::document::Flow;
use crate::evaluate::StepIndex;

/// One finding for each group of steps that wait for each other: a shortest loop through its first step.
pub(super) fn find(flow: &Flow, needs: &[Vec<Need>]) -> Vec<Finding> {
    let group = groups(needs);
    let mut size: HashMap<usize, usize> = HashMap::new();
    for group in &group {
        *size.entry(*group).or_default() += 1;
    }
    let mut reported = HashSet::new();
    let mut findings = Vec::new();
    for step in 0..needs.len() {
        if size.get(&group[step]).is_some_and(|size| *size > 1) && reported.insert(group[step]) {
            findings.extend(finding(flow, needs, &group, step));
        }
    }
    findings
}

/// How many steps of a loop are named, an even number: half from its start and half from its end.
const MAX_NAMED: usize = 16;

fn finding(flow: &Flow, needs: &[Vec<Need>], group: &[usize], first: StepIndex) -> Option<Finding> {
    let way = shortest_loop(needs, group, first)?;
    let mut names: Vec<String> = way.iter().map(|step| format!("`{}`", flow.steps[*step].id)).collect();
    let second = *way.get(1)?;
    let need = needs[first].iter().find(|need| need.step == second)?;
    let label = format!("{} needs {}", names.first()?, names.get(1)?);
    if names.len() > MAX_NAMED {
        let left_out = names.len() - MAX_NAMED;
        names.splice(MAX_NAMED / 2..names.len() - MAX_NAMED / 2, [format!("({left_out} more)")]);
    }
    let message = format!("dependency cycle: {}", names.join(" → "));
    let mut finding = Finding::new(Code::DependencyCycle, need.path.clone(), message)
        .help("break the loop, or pass the value through the flow's input");
    finding.diagnostic.label = Some(label);
    finding.related = Some(super::step_path(second, "id"));
    Some(finding)
}

/// The steps of a shortest loop from `first` back to itself, with `first` at both ends.
fn shortest_loop(needs: &[Vec<Need>], group: &[usize], first: StepIndex) -> Option<Vec<StepIndex>> {
    let mut came_from: HashMap<StepIndex, StepIndex> = HashMap::new();
    let mut queue = VecDeque::from([first]);
    while let Some(step) = queue.pop_front() {
        for need in needs[step].iter().filter(|need| group[need.step] == group[first]) {
            if need.step == first {
                let mut way = vec![first, step];
                while let Some(before) = way.last().filter(|last| **last != first).and_then(|last| came_from.get(last))
                {
                    way.push(*before);
                }
                way.reverse();
                return Some(way);
            }
            if let Entry::Vacant(unseen) = came_from.entry(need.step) {
                unseen.insert(step);
                queue.push_back(need.step);
            }
        }
    }
    None
}

/// A step on the path of the search, and which of its needs comes next.
struct Visit {
    step: StepIndex,
    next: usize,
}

const UNSEEN: usize = usize::MAX;

/// The group of each step; steps in one group reach each other (Tarjan's algorithm with an explicit stack).
fn groups(needs: &[Vec<Need>]) -> Vec<usize> {
    let mut order = vec![UNSEEN; needs.len()];
    let mut low = vec![UNSEEN; needs.len()];
    let mut group = vec![UNSEEN; needs.len()];
    let (mut open, mut visits, mut counter, mut found) = (Vec::new(), Vec::new(), 0, 0);
    for root in 0..needs.len() {
        if order[root] == UNSEEN {
            visits.push(Visit { step: root, next: 0 });
        }
        while let Some(visit) = visits.last_mut() {
            let step = visit.step;
            if visit.next == 0 && order[step] == UNSEEN {
                (order[step], low[step]) = (counter, counter);
                counter += 1;
                open.push(step);
            }
            if let Some(need) = needs[step].get(visit.next) {
                visit.next += 1;
                if order[need.step] == UNSEEN {
                    visits.push(Visit { step: need.step, next: 0 });
                } else if group[need.step] == UNSEEN {
                    low[step] = low[step].min(order[need.step]);
                }
                continue;
            }
            visits.pop();
            if let Some(parent) = visits.last() {
                low[parent.step] = low[parent.step].min(low[step]);
            }
            if low[step] == order[step] {
                while let Some(member) = open.pop() {
                    group[member] = found;
                    if member == step {
                        break;
                    }
                }
                found += 1;
            }
        }
    }
    group
}
