//! How much work it is to check a value, counted before it is done. A schema that is used in two places may be checked
//! twice as often as the one around it. Forty of them inside each other make 2⁴⁰ checks: such a schema is small, and
//! nothing inside the validator stops it.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::secrets::{SchemaGraph, schema_graph};

/// The most checks of one part of a value, where each schema counts as often as it is checked.
const MOST_AT_ONE_PLACE: u64 = 10_000;

/// The most checks for each part of a value on average, after the first millions.
const MOST_ON_AVERAGE: u64 = 256;

const FIRST: u64 = 5_000_000;

/// The schemas that a check goes through. Only for a schema in which a part is used more than once: for every other,
/// the work grows only with the value.
pub(super) struct Effort {
    graph: SchemaGraph,
    /// The position of each schema in the order: after those that lead to it for the same value.
    turns: Vec<usize>,
    /// The schemas in this order.
    schemas: Vec<usize>,
}

/// The work so far.
#[derive(Default)]
struct Spent {
    checks: u64,
    values: u64,
}

impl Effort {
    /// `None` when no part of the schema is used more than once.
    pub fn of(schema: &Json) -> Option<Self> {
        let graph = schema_graph(schema);
        graph.has_shared_schemas().then(|| {
            let schemas = graph.in_order();
            let mut turns = vec![0; schemas.len()];
            schemas.iter().enumerate().for_each(|(turn, schema)| turns[*schema] = turn);
            Self { graph, turns, schemas }
        })
    }

    /// Whether a check of this value ends in reasonable time.
    pub fn allows(&self, value: &Json) -> bool {
        self.spend(value, [(0, 1)], &mut Spent::default())
    }

    /// Counts the checks of a value against these schemas, each with how often it is checked. `false` when there are
    /// too many.
    fn spend(&self, value: &Json, start: impl IntoIterator<Item = (usize, u64)>, spent: &mut Spent) -> bool {
        let Some(here) = self.at_one_place(start) else { return false };
        spent.values += 1;
        spent.checks += here.iter().map(|(_, times)| times).sum::<u64>();
        if spent.checks > FIRST.saturating_add(spent.values.saturating_mul(MOST_ON_AVERAGE)) {
            return false;
        }
        let inside = |next: &dyn Fn(usize) -> Vec<usize>| -> Vec<(usize, u64)> {
            here.iter().flat_map(|(schema, times)| next(*schema).into_iter().map(|next| (next, *times))).collect()
        };
        match value {
            Json::Object(members) => {
                members.iter().all(|(name, value)| self.spend(value, inside(&|at| self.graph.member(at, name)), spent))
            }
            Json::Array(elements) => elements
                .iter()
                .enumerate()
                .all(|(index, value)| self.spend(value, inside(&|at| self.graph.element(at, index)), spent)),
            _ => true,
        }
    }

    /// The schemas against which a part of a value is checked when it is checked against these. `None` when there are
    /// too many.
    fn at_one_place(&self, start: impl IntoIterator<Item = (usize, u64)>) -> Option<Vec<(usize, u64)>> {
        let mut open: BTreeMap<usize, u64> = BTreeMap::new();
        for (schema, times) in start {
            *open.entry(self.turns[schema]).or_default() += times;
        }
        let (mut here, mut total) = (Vec::new(), 0_u64);
        while let Some((turn, times)) = open.pop_first() {
            let schema = self.schemas[turn];
            here.push((schema, times));
            total = total.saturating_add(times);
            if total > MOST_AT_ONE_PLACE {
                return None;
            }
            // A schema that leads back to an earlier one would be followed for ever: the validator itself refuses that.
            let next = self.graph.same(schema).map(|next| self.turns[next]).filter(|next| *next > turn);
            next.for_each(|next| *open.entry(next).or_default() += times);
        }
        Some(here)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// `a0` is two of `a1`, and so on.
    fn doubled(levels: usize, keyword: &str) -> Json {
        let definitions = (0..levels).map(|level| {
            let next = json!({"$ref": format!("#/$defs/a{}", level + 1)});
            (format!("a{level}"), json!({keyword: [next, next]}))
        });
        let last = (format!("a{levels}"), json!({"type": "string"}));
        json!({"$defs": definitions.chain([last]).collect::<serde_json::Map<_, _>>(), "$ref": "#/$defs/a0"})
    }

    #[test]
    fn what_doubles_a_few_times_is_checked_and_what_doubles_often_is_not() {
        for keyword in ["anyOf", "allOf", "oneOf"] {
            let allows = |levels| Effort::of(&doubled(levels, keyword)).is_none_or(|effort| effort.allows(&json!(1)));
            assert_eq!([1, 8, 14, 60].map(allows), [true, true, false, false], "{keyword}");
        }
    }

    #[test]
    fn a_recursive_schema_may_be_as_deep_as_it_does_not_branch_at_one_place() {
        let node = |left: Json| json!({"$ref": "#/$defs/node", "$defs": {"node": {"properties": {"l": left, "r": {"$ref": "#/$defs/node"}}}}});
        let reference = json!({"$ref": "#/$defs/node"});
        let plain = Effort::of(&node(reference.clone())).unwrap();
        let branching =
            Effort::of(&node(json!({"anyOf": [reference, {"allOf": [reference]}, {"type": "string"}]}))).unwrap();
        let deep = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!({"l": inner, "r": 1}));
        assert_eq!([5, 100].map(|levels| plain.allows(&deep(levels))), [true, true]);
        assert_eq!([5, 100].map(|levels| branching.allows(&deep(levels))), [true, false]);
    }

    #[test]
    fn a_schema_in_which_nothing_is_used_twice_costs_nothing() {
        let schema =
            json!({"properties": {"a": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/n"}]}}, "$defs": {"n": {}}});
        assert!(Effort::of(&schema).is_none());
    }

    #[test]
    fn many_values_may_be_checked_against_many_schemas() {
        let schema =
            json!({"items": {"anyOf": vec![json!({"$ref": "#/$defs/n"}); 40]}, "$defs": {"n": {"type": "string"}}});
        assert!(Effort::of(&schema).unwrap().allows(&Json::Array(vec![json!("x"); 100_000])));
    }
}
