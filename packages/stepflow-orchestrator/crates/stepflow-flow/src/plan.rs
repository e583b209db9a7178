//! A flow that is ready to run: its expressions and schemas are compiled, and its references are step indices. It is
//! made once for each flow, and all its runs share it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use stepflow_protocol::{FlowId, Value};

use crate::capped::Capped;
use crate::check;
use crate::diagnostics::{Code, Diagnostic, Diagnostics, Level};
use crate::document::Flow;
use crate::evaluate::{Choice, Expr, ExprNode, StepIndex, VariableRef};
use crate::expression::Expression;
use crate::overrides::Overrides;
use crate::path::Path;
use crate::retry::OnError;
use crate::schema::{Misfit, Schema};
use crate::secrets::{Mask, Secrets, Sources};
use crate::subflow;
use crate::variables::Variables;

/// A flow that is ready to run.
#[derive(Debug)]
pub struct Plan {
    /// The flow's id; with overrides, the id of the flow without them.
    pub flow_id: FlowId,
    /// The flow that this plan was made from.
    pub flow: Arc<Flow>,
    /// The steps, in the order of the document.
    pub steps: Vec<PlannedStep>,
    /// The flow's output.
    pub output: Expr,
    /// How long a whole run may take.
    pub timeout: Option<Duration>,
    index: HashMap<Arc<str>, StepIndex>,
    input_schema: Option<Schema>,
    variables_schema: Option<Schema>,
    variables: Variables,
    secrets: Sources,
    output_secrets: Secrets,
    /// The plan without the overrides, if this one has some.
    base: Option<Arc<Plan>>,
}

/// A step that is ready to run.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedStep {
    /// The step's id.
    pub id: String,
    /// The path of its component.
    pub component: String,
    /// Its input.
    pub input: Expr,
    /// What to do when the component fails.
    pub on_error: OnError,
    /// Whether it runs even when nothing needs its result.
    pub must_execute: bool,
    /// How long one attempt may take.
    pub timeout: Option<Duration>,
    /// The secrets in its input, known from the expression: the parts that come from secret parts of the flow's input
    /// or variables.
    pub secrets: Secrets,
}

impl Plan {
    /// Makes a flow ready to run.
    ///
    /// # Errors
    /// The flow's fatal diagnostics. A flow that [`crate::load`] has returned has none.
    pub fn compile(flow: Arc<Flow>) -> Result<Self, Diagnostics> {
        let id = flow.id();
        Self::compile_as(id, flow)
    }

    /// The plan of the same flow with changes to its steps. It keeps the flow id, because that is the flow that was
    /// asked for and that the run's record names: [`Plan::with_overrides`] makes the same plan from a record.
    ///
    /// # Errors
    ///
    /// The patched flow's fatal diagnostics. A flow that [`crate::Overrides::apply`] has returned has none.
    pub fn patched(self: &Arc<Self>, patched: Flow) -> Result<Self, Diagnostics> {
        let base = self.without_overrides();
        Ok(Self { base: Some(base), ..Self::compile_as(self.flow_id, Arc::new(patched))? })
    }

    /// The plan of the same flow with a run's overrides, as its record has them.
    ///
    /// # Errors
    /// When they cannot be read or do not fit the flow, or when the patched flow cannot run.
    pub fn with_overrides(self: &Arc<Self>, overrides: &Value) -> Result<Self, Diagnostics> {
        let base = self.without_overrides();
        let (overrides, _) = Overrides::from_value(overrides)?;
        let (patched, _) = overrides.apply(&base.flow)?;
        base.patched(patched)
    }

    /// The plan of the flow as its author wrote it.
    #[must_use]
    pub fn without_overrides(self: &Arc<Self>) -> Arc<Self> {
        Arc::clone(self.base.as_ref().unwrap_or(self))
    }

    fn compile_as(flow_id: FlowId, flow: Arc<Flow>) -> Result<Self, Diagnostics> {
        let found =
            check::check(&flow, None, subflow::NO_TAKERS).into_kept().into_iter().map(|finding| finding.diagnostic);
        let fatal: Diagnostics = found.filter(|diagnostic| diagnostic.level == Level::Fatal).collect();
        if !fatal.is_empty() {
            return Err(fatal);
        }
        let names: Vec<Arc<str>> = flow.steps.iter().map(|step| Arc::from(step.id.as_str())).collect();
        let index = names.iter().enumerate().map(|(place, name)| (Arc::clone(name), place)).collect();
        let variables = Variables::of(&flow.schemas);
        let secrets = Sources {
            input: Secrets::of_flow(&flow.schemas, "input"),
            variables: Secrets::of_flow(&flow.schemas, "variables"),
        };
        let compiler = Compiler { index: &index, variables: &variables, secrets: &secrets };
        let steps = flow.steps.iter().map(|step| planned(step, &compiler)).collect::<Result<_, _>>()?;
        let output = compiler.expr(&flow.output)?;
        let output_secrets = secrets.of(&flow.output).and(Secrets::of_flow(&flow.schemas, "output"));
        let schema = |part: &str| {
            Schema::of_flow(&flow.schemas, part).map_err(|error| {
                let path = Path::root().field("schemas").field("properties").field(part);
                alone(Diagnostic::new(Code::InvalidSchema, &path, error.message))
            })
        };
        Ok(Self {
            flow_id,
            steps,
            output,
            timeout: flow.timeout.as_ref().map(crate::duration::TimeSpan::duration),
            input_schema: schema("input")?,
            variables_schema: schema("variables")?,
            variables,
            secrets,
            output_secrets,
            base: None,
            index,
            flow,
        })
    }

    /// The index of the step with this id.
    #[must_use]
    pub fn step_index(&self, id: &str) -> Option<StepIndex> {
        self.index.get(id).copied()
    }

    /// The steps that run even when nothing needs them.
    pub fn must_execute(&self) -> impl Iterator<Item = StepIndex> {
        self.steps.iter().enumerate().filter(|(_, step)| step.must_execute).map(|(place, _)| place)
    }

    /// The variables that the flow declares.
    #[must_use]
    pub fn variables(&self) -> &Variables {
        &self.variables
    }

    /// The secrets in an item's input.
    #[must_use]
    pub fn input_secrets(&self) -> &Secrets {
        &self.secrets.input
    }

    /// The secrets in a run's variables, an object of their values by name.
    #[must_use]
    pub fn variable_secrets(&self) -> &Secrets {
        &self.secrets.variables
    }

    /// Hides the secrets of a run's variables: of the given ones, and of the declared defaults.
    pub fn hide_variables(&self, given: Option<&Value>, mask: &mut Mask) {
        let secrets = self.variable_secrets();
        given.iter().for_each(|given| mask.add(secrets, given));
        for (name, variable) in self.variables.iter().filter(|(_, variable)| variable.is_secret) {
            variable.default.iter().for_each(|default| mask.add(&secrets.field(name), default));
        }
    }

    /// The secrets in an item's output. Some are parts of the input and the variables that no component has processed.
    /// Others are marked by the schema of the flow's output.
    #[must_use]
    pub fn output_secrets(&self) -> &Secrets {
        &self.output_secrets
    }

    /// The same for a run that has inherited variables with these secrets.
    #[must_use]
    pub fn output_secrets_with(&self, inherited: Secrets) -> Secrets {
        let inherited = Sources { input: Secrets::none(), variables: inherited };
        self.output_secrets.clone().and(inherited.of(&self.flow.output))
    }

    /// Checks an item's input against `schemas.properties.input`.
    ///
    /// # Errors
    /// The first places in which it does not fit.
    pub fn check_input(&self, input: &Value) -> Result<(), Capped<Misfit>> {
        checked(self.input_schema.as_ref(), input, &self.secrets.input)
    }

    /// Checks a run's variables, an object, against `schemas.properties.variables`. A required variable that was not
    /// given and has a `default` counts as given.
    ///
    /// # Errors
    /// The first places in which they do not fit.
    pub fn check_variables(&self, variables: &Value) -> Result<(), Capped<Misfit>> {
        let variables = self.variables.with_required_defaults(variables);
        checked(self.variables_schema.as_ref(), &variables, &self.secrets.variables)
    }
}

fn checked(schema: Option<&Schema>, value: &Value, secrets: &Secrets) -> Result<(), Capped<Misfit>> {
    let Some(schema) = schema else { return Ok(()) };
    schema.check(value).map_err(|misfits| misfits.map(|misfit| misfit.without(secrets)))
}

fn alone(diagnostic: Diagnostic) -> Diagnostics {
    std::iter::once(diagnostic).collect()
}

fn planned(step: &crate::document::Step, compiler: &Compiler<'_>) -> Result<PlannedStep, Diagnostics> {
    Ok(PlannedStep {
        id: step.id.clone(),
        component: step.component.clone(),
        input: compiler.expr(&step.input)?,
        on_error: step.on_error.as_ref().map(|handling| handling.policy.clone()).unwrap_or_default(),
        must_execute: step.must_execute.unwrap_or(false),
        timeout: step.timeout.as_ref().map(crate::duration::TimeSpan::duration),
        secrets: compiler.secrets.of(&step.input),
    })
}

/// Turns expressions as written into expressions to evaluate.
struct Compiler<'a> {
    index: &'a HashMap<Arc<str>, StepIndex>,
    variables: &'a Variables,
    secrets: &'a Sources,
}

impl Compiler<'_> {
    fn expr(&self, expression: &Expression) -> Result<Expr, Diagnostics> {
        Ok(Expr(match expression {
            Expression::Literal(value) | Expression::Escaped(value) => ExprNode::Literal(value.clone()),
            Expression::Input(path) => ExprNode::Input(path.clone()),
            Expression::Step { step, path } => self.step(step, path)?,
            Expression::Variable { name, path, default } => ExprNode::Variable(Box::new(VariableRef {
                name: name.clone(),
                path: path.clone(),
                declared: self.variables.default_of(name).cloned(),
                default: default.as_ref().map(|default| self.expr(default)).transpose()?,
            })),
            Expression::If { condition, then, otherwise } => ExprNode::If(Box::new(Choice {
                condition: self.expr(condition)?,
                then: self.expr(then)?,
                otherwise: otherwise.as_ref().map(|otherwise| self.expr(otherwise)).transpose()?,
            })),
            Expression::Coalesce(items) => ExprNode::Coalesce(self.all(items)?),
            Expression::Array(items) => ExprNode::Array(self.all(items)?),
            Expression::Object(members) => ExprNode::Object(
                members
                    .iter()
                    .map(|(key, member)| Ok((key.clone(), self.expr(member)?)))
                    .collect::<Result<_, Diagnostics>>()?,
            ),
        }))
    }

    fn all(&self, items: &[Expression]) -> Result<Vec<Expr>, Diagnostics> {
        items.iter().map(|item| self.expr(item)).collect()
    }

    fn step(&self, id: &str, path: &Path) -> Result<ExprNode, Diagnostics> {
        let (name, step) = self.index.get_key_value(id).ok_or_else(|| {
            alone(Diagnostic::new(Code::UndefinedStepReference, &Path::root(), format!("there is no step `{id}`")))
        })?;
        Ok(ExprNode::Step { step: *step, id: Arc::clone(name), path: path.clone() })
    }
}
