"""Flows built in Python are the same documents as those written by hand, and mistakes are reported at once."""

import copy
import json
import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from stepflow.protocol import FlowBuilder, InvalidFlow, Value, flow_id
from stepflow.protocol.flow import (
    Backoff,
    BackoffConstant,
    BackoffExponential,
    BackoffFibonacci,
    ExhaustedUseDefault,
    Flow,
    OnErrorRetry,
    OnErrorUseDefault,
    to_json,
)


def document(builder: FlowBuilder) -> Any:
    return json.loads(builder.to_json())


def rendered(data: Any) -> Any:
    """Return how data is written in the document."""
    builder = FlowBuilder()
    builder.set_output(data)
    return document(builder).get("output")


def test_a_flow_of_two_steps() -> None:
    builder = FlowBuilder(name="shop", description="Adds up.", version="2", timeout="1h30m")
    rows = builder.add_step(
        id="rows", component="/python/rows", input_data={"day": Value.input()["day"]}
    )
    total = builder.add_step(
        id="total", component="/python/total", input_data={"prices": rows["rows"][0]["price"]}
    )
    builder.set_output({"total": total, "rows": Value.step(rows, "$.count")})
    assert document(builder) == {
        "name": "shop",
        "description": "Adds up.",
        "version": "2",
        "steps": [
            {"id": "rows", "component": "/python/rows", "input": {"day": {"$input": "$.day"}}},
            {
                "id": "total",
                "component": "/python/total",
                "input": {"prices": {"$step": "rows", "path": "$.rows[0].price"}},
            },
        ],
        "output": {"total": {"$step": "total"}, "rows": {"$step": "rows", "path": "$.count"}},
        "timeout": "1h30m",
    }


def test_every_member_of_a_step() -> None:
    builder = FlowBuilder()
    builder.add_step(
        id="fetch",
        component="/python/fetch",
        on_error=OnErrorRetry(max_retries=2, exhausted=ExhaustedUseDefault([1])),
        must_execute=True,
        timeout=30,
        metadata={"team": "data"},
    )
    assert document(builder)["steps"] == [
        {
            "id": "fetch",
            "component": "/python/fetch",
            "onError": {
                "action": "retry",
                "maxRetries": 2,
                "exhausted": {"action": "useDefault", "defaultValue": [1]},
            },
            "mustExecute": True,
            "metadata": {"team": "data"},
            "timeout": 30,
        }
    ]


def test_schemas_variables_examples_and_metadata() -> None:
    builder = FlowBuilder()
    price = builder.add_step(id="price", component="/python/price")
    builder.add_definition("Money", {"type": "number"})
    builder.add_input_schema({"type": "object"})
    builder.add_output_schema({"$ref": "#/schemas/$defs/Money"})
    builder.add_step_schema(price, {"type": "number"})
    builder.add_variable("rate", {"type": "number", "default": 1.0})
    builder.add_variable("token", {"type": "string", "is_secret": True}, required=True)
    builder.add_example("one", {"day": 1}, description="The first day.")
    builder.add_example("nothing", None)
    builder.add_metadata("owner", ["a", "b"])
    assert document(builder) == {
        "schemas": {
            "type": "object",
            "$defs": {"Money": {"type": "number"}},
            "properties": {
                "input": {"type": "object"},
                "output": {"$ref": "#/schemas/$defs/Money"},
                "variables": {
                    "type": "object",
                    "properties": {
                        "rate": {"type": "number", "default": 1.0},
                        "token": {"type": "string", "is_secret": True},
                    },
                    "required": ["token"],
                },
                "steps": {"type": "object", "properties": {"price": {"type": "number"}}},
            },
        },
        "steps": [{"id": "price", "component": "/python/price"}],
        "examples": [
            {"name": "one", "description": "The first day.", "input": {"day": 1}},
            {"name": "nothing", "input": None},
        ],
        "metadata": {"owner": ["a", "b"]},
    }


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Value.literal({"$input": "$"}), {"$literal": {"$input": "$"}}),
        (Value.input(), {"$input": "$"}),
        (Value.input("a.b"), {"$input": '$["a.b"]'}),
        (Value.input("$.rows['x y'][0]")["7"], {"$input": '$.rows["x y"][0]["7"]'}),
        (Value.variable("rate"), {"$variable": "$.rate"}),
        (Value.variable("$.user.name"), {"$variable": "$.user.name"}),
        (Value.variable("user", None)["name"], {"$variable": "$.user.name", "default": None}),
        (Value.if_(Value.input("ok"), 1), {"$if": {"$input": "$.ok"}, "then": 1}),
        (
            Value.if_(True, [Value.input()], None),
            {"$if": True, "then": [{"$input": "$"}], "else": None},
        ),
        (
            Value.coalesce(Value.variable("a", default=Value.input("b")), 0),
            {"$coalesce": [{"$variable": "$.a", "default": {"$input": "$.b"}}, 0]},
        ),
        ({"a": (1, 2.5, None, True, "x")}, {"a": [1, 2.5, None, True, "x"]}),
        ({"$input": "x y"}, {"$input": '$["x y"]'}),
    ],
)
def test_a_value_is_its_expression(value: Any, expected: Any) -> None:
    assert rendered(value) == expected


@pytest.mark.parametrize("name", ["", "ü", "0a", "a b", 'quo"te', "back\\slash", "]", "a.b", "\n"])
def test_names_that_are_no_plain_word_are_quoted_as_json(name: str) -> None:
    assert rendered(Value.input()[name]) == {"$input": f"$[{json.dumps(name, ensure_ascii=False)}]"}


def inner_flow() -> Flow:
    builder = FlowBuilder(name="inner")
    half = builder.add_step(id="half", component="/python/half", input_data=Value.input())
    builder.set_output(half["n"])
    return builder.build()


INNER = {
    "name": "inner",
    "steps": [{"id": "half", "component": "/python/half", "input": {"$input": "$"}}],
    "output": {"$step": "half", "path": "$.n"},
}


def test_a_flow_within_an_input_is_a_constant() -> None:
    builder = FlowBuilder()
    builder.add_step(
        id="each",
        component="/builtin/map",
        input_data={"workflow": inner_flow(), "items": Value.input("rows")},
    )
    assert document(builder)["steps"][0]["input"] == {
        "workflow": {"$literal": INNER},
        "items": {"$input": "$.rows"},
    }
    assert rendered(Value.literal([inner_flow()])) == {"$literal": [INNER]}


def test_what_is_built_is_typed_and_no_longer_changes() -> None:
    given = {"rows": [1]}
    builder = FlowBuilder(name="a")
    builder.add_step(
        id="a",
        component="/python/a",
        input_data=given,
        on_error=OnErrorUseDefault(default_value=0),
        timeout=1,
    )
    given["rows"].append(2)
    flow = builder.build()
    builder.add_step(id="b", component="/python/b")
    assert flow.steps is not None and len(flow.steps) == 1
    assert flow.steps[0].input == {"rows": [1]}
    assert flow.steps[0].on_error == OnErrorUseDefault(default_value=0)
    assert '"timeout":1}' in to_json(flow)


def test_json_is_one_line_unless_it_is_indented() -> None:
    builder = FlowBuilder(name="ä")
    builder.set_output({"b": 9007199254740993, "a": 1e16})
    assert builder.to_json() == '{"name":"ä","output":{"b":9007199254740993,"a":1e16}}'
    assert builder.to_json(indent=2).startswith('{\n  "name": "ä",\n')
    assert json.loads(builder.to_json(indent=2)) == document(builder)


def test_a_step_may_be_named_before_it_is_added() -> None:
    builder = FlowBuilder()
    builder.add_step(id="late", component="/python/a", input_data=Value.step("early", "$.x"))
    builder.add_step(id="early", component="/python/a")
    assert builder.build().output is None


# Mistakes

HIDDEN: Any = Value.input()
LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("value", "at", "problem"),
    [
        ({"a": [{1, 2}]}, "$.steps[0].input.a[0]", "`set`"),
        ({"a": b"x"}, "$.steps[0].input.a", "`bytes`"),
        ({"a": math.nan}, "$.steps[0].input.a", "nan"),
        ({"a": [-math.inf]}, "$.steps[0].input.a[0]", "inf"),
        ({1: 2}, "$.steps[0].input", "the key 1"),
        ({"a b": "\ud800"}, '$.steps[0].input["a b"]', "surrogate"),
        (10**400, "$.steps[0].input", "too large"),
        (LOOP, "$.steps[0]", "nested more than 128 deep"),
        (Value.literal([HIDDEN]), '$.steps[0].input["$literal"][0]', "inside a constant"),
        (Value.if_(Value.literal(object()), 1), "$literal", "`object`"),  # type: ignore[arg-type]
        ({"$input": "$x"}, "$.steps[0].input", "`$x` is not a path"),
        ({"$variable": "$[0]"}, "$.steps[0].input", "name of a variable"),
        ({"$if": True}, "$.steps[0].input", "`then`"),
        ({"$coalesce": 1}, "$.steps[0].input", "takes an array"),
        ({"$step": 1}, "$.steps[0].input", "the id of a step"),
        ({"$from": {"step": "a"}, "path": "x"}, "$.steps[0].input", "old spelling"),
    ],
)
def test_what_cannot_be_in_a_document_is_refused_where_it_is_given(
    value: Any, at: str, problem: str
) -> None:
    with pytest.raises(InvalidFlow) as refused:
        FlowBuilder().add_step(id="a", component="/python/a", input_data=value)
    assert at in refused.value.at
    assert problem in refused.value.problem


@pytest.mark.parametrize(
    ("give", "at"),
    [
        (lambda builder, wrong: FlowBuilder(name=wrong), "$.name"),
        (lambda builder, wrong: FlowBuilder(version=wrong), "$.version"),
        (lambda builder, wrong: FlowBuilder(description=wrong), "$.description"),
        (lambda builder, wrong: builder.add_step(id=wrong, component="/a"), "$.steps[0].id"),
        (lambda builder, wrong: builder.add_step(id="a", component=wrong), "$.steps[0].component"),
        (lambda builder, wrong: builder.add_definition(wrong, {}), "$.schemas"),
        (lambda builder, wrong: builder.add_variable(wrong, {}), "$.schemas"),
        (lambda builder, wrong: builder.add_step_schema(wrong, {}), "$.schemas"),
        (lambda builder, wrong: builder.add_example(wrong, 1), "$.examples"),
        (lambda builder, wrong: builder.add_example("a", 1, description=wrong), "$.examples[0]"),
        (lambda builder, wrong: builder.add_metadata(wrong, 1), "$.metadata"),
        (lambda builder, wrong: Value.variable(wrong), "$variable"),
        (lambda builder, wrong: Value.step(wrong), "$step"),
        (lambda builder, wrong: Value.step("a", wrong), "path"),
        (lambda builder, wrong: Value.input(wrong), "path"),
    ],
)
def test_what_is_no_text_is_refused_where_a_text_belongs(
    give: Callable[[FlowBuilder, Any], object], at: str
) -> None:
    for wrong, problem in [(5, "a text belongs here, not a `int`"), ("\ud800", "surrogate")]:
        with pytest.raises(InvalidFlow) as refused:
            give(FlowBuilder(), wrong)
        assert refused.value.at.startswith(at)
        assert problem in refused.value.problem


def test_what_is_no_object_is_refused_where_an_object_belongs() -> None:
    wrong: Any = 5
    builder = FlowBuilder()
    gives: list[tuple[Callable[[], object], str]] = [
        (lambda: builder.add_step(id="a", component="/a", must_execute=wrong), "mustExecute"),
        (lambda: builder.add_step(id="a", component="/a", metadata=wrong), "metadata"),
        (lambda: builder.add_input_schema(wrong), "input"),
        (lambda: builder.add_variable("v", wrong), "v"),
        (lambda: builder.add_definition("d", wrong), "d"),
    ]
    for give, at in gives:
        with pytest.raises(InvalidFlow, match="belongs here") as refused:
            give()
        assert refused.value.at.endswith(at)
    assert builder.build().steps in (None, [])


def test_half_a_surrogate_pair_is_no_part_of_a_value() -> None:
    with pytest.raises(InvalidFlow, match="surrogate"):
        Value.step("a")["\ud800"]


def test_ordering_a_value_speaks_of_less_and_greater() -> None:
    with pytest.raises(TypeError, match="what a `Value` is less or greater than"):
        Value.input()["n"] < 1  # type: ignore[operator]  # noqa: B015


def test_a_component_needs_its_slash() -> None:
    with pytest.raises(
        InvalidFlow, match=r"\$\.steps\[0\]\.component: .*\nhint: write `/python/a`"
    ):
        FlowBuilder().add_step(id="a", component="python/a")


@pytest.mark.parametrize(
    ("component", "hint"),
    [
        (" /a", "write `/a`"),
        ("\t//a/b ", "write `/a/b`"),
        ("a", "write `/a`"),
        (" ", "write a path such as `/python/greet`"),
        ("", "write a path such as `/python/greet`"),
    ],
)
def test_the_path_that_is_advised_is_one(component: str, hint: str) -> None:
    with pytest.raises(InvalidFlow, match=rf"\nhint: {hint}$"):
        FlowBuilder().add_step(id="a", component=component)


@pytest.mark.parametrize(
    ("value", "form", "key"),
    [
        ({"$literal": 1, "a": 2}, "$literal", "a"),
        ({"a": 2, "$literal": 1}, "$literal", "a"),
        ({"$if": True, "then": 1, "otherwise": 2}, "$if", "otherwise"),
        ({"$coalesce": [1], "default": 2}, "$coalesce", "default"),
        ({"$step": "a", "$path": "$.x"}, "$step", "$path"),
        ({"$input": "$", "path": "$.x"}, "$input", "path"),
        ({"$variable": "v", "path": None}, "$variable", "path"),
        ({"$literal": 1, "$input": "$"}, "$literal", "$input"),
    ],
)
def test_a_key_that_a_form_does_not_take_is_refused_where_it_is_given(
    value: Any, form: str, key: str
) -> None:
    builder = FlowBuilder()
    for give, at in (
        (lambda: builder.set_output({"x": [value]}), "$.output.x[0]"),
        (lambda: builder.add_step(id="a", component="/a", input_data=value), "$.steps[0].input"),
        (lambda: builder.set_output(Value.if_(True, value)), "$.output.then"),
    ):
        with pytest.raises(InvalidFlow) as refused:
            give()
        assert refused.value.at == at
        assert f"`{key}` stands beside `{form}`" in refused.value.problem
    assert flow_id({"output": value}) == flow_id({"output": _without(value, key)})


def _without(value: dict[str, object], key: str) -> Any:
    return {name: each for name, each in value.items() if name != key}


def test_two_steps_of_one_id_are_refused_and_a_blank_one() -> None:
    builder = FlowBuilder()
    builder.add_step(id="a", component="/python/a")
    with pytest.raises(InvalidFlow, match="another step `a`"):
        builder.add_step(id="a", component="/python/b")
    with pytest.raises(InvalidFlow, match="blank"):
        builder.add_step(id=" ", component="/python/b")


def test_two_parts_of_one_name_are_refused() -> None:
    builder = FlowBuilder()
    builder.add_variable("rate", {})
    with pytest.raises(InvalidFlow, match="another variable `rate`"):
        builder.add_variable("rate", {})
    builder.add_input_schema({})
    with pytest.raises(
        InvalidFlow, match=r"\$\.schemas\.properties\.input: another|another schema"
    ):
        builder.add_input_schema({})


def test_the_handle_of_another_flow_is_refused_at_once() -> None:
    handle = FlowBuilder().add_step(id="a", component="/python/a")
    builder = FlowBuilder()
    builder.add_step(id="a", component="/python/a")
    with pytest.raises(InvalidFlow, match="belongs to another flow"):
        builder.set_output({"deep": [handle["x"]]})


def test_a_step_that_does_not_exist_is_named_with_a_near_one() -> None:
    builder = FlowBuilder()
    builder.add_step(id="fetch", component="/python/a")
    builder.set_output([Value.literal({"$step": "no matter"}), Value.step("fecth")])
    with pytest.raises(InvalidFlow, match=r"^\$\.output\[1\]: .*`fecth`\nhint: .*`fetch`"):
        builder.build()


def test_steps_that_need_each_other_are_refused() -> None:
    builder = FlowBuilder()
    for id, needed in (("a", "b"), ("b", "c"), ("c", "a")):
        builder.add_step(id=id, component="/python/x", input_data={"x": Value.step(needed)})
    with pytest.raises(InvalidFlow, match=r"dependency cycle: .*`a` → `b`"):
        builder.build()


def test_a_step_that_needs_itself_is_refused() -> None:
    builder = FlowBuilder()
    builder.add_step(id="a", component="/python/x", input_data=Value.step("a"))
    with pytest.raises(InvalidFlow, match="dependency cycle: `a` → `a`"):
        builder.build()


def test_members_of_a_wrong_type_are_refused() -> None:
    with pytest.raises(InvalidFlow, match=r"\$\.steps\[0\]\.onError"):
        FlowBuilder().add_step(id="a", component="/a", on_error=OnErrorRetry(max_retries=-1))


@pytest.mark.parametrize("path", ["$x", "$[", "$[-1]", "$[x]", '$["x]', "$['x'", "$[0]x", "$ .a"])
def test_a_path_that_is_none_is_refused_at_once(path: str) -> None:
    for make in (Value.input, Value.variable, lambda path: Value.step("a", path)):
        with pytest.raises(InvalidFlow, match="is not a path"):
            make(path)


def test_a_variable_needs_a_name() -> None:
    for name in ("$", "", "$[0]"):
        with pytest.raises(InvalidFlow, match="name of a variable"):
            Value.variable(name)


@pytest.mark.parametrize(
    "mistake",
    [
        lambda value: value == 1,
        lambda value: value != value["other"],
        lambda value: None == value,
        lambda value: value < 1,
        lambda value: 1 <= value,
        lambda value: max(value, 1),
        lambda value: value in [1, 2],
        lambda value: Value.if_(value == 1, "one"),
        lambda value: {1: 2} == {1: value},
    ],
)
def test_comparing_a_value_raises_with_advice(mistake: Callable[[Any], object]) -> None:
    with pytest.raises(
        TypeError, match=r'compare in a component .* `Value\.if_\(check\["is_one"\]'
    ):
        mistake(Value.step("count")["n"])


@pytest.mark.parametrize(
    "mistake",
    [
        lambda value: f"{value}",
        lambda value: f"{value:>10}",
        lambda value: str(value),
        lambda value: format(value),
        lambda value: "{}".format(value),  # noqa: UP032
        lambda value: "%s" % value,  # noqa: UP031
        lambda value: print(value),
    ],
)
def test_formatting_a_value_raises_with_advice(mistake: Callable[[Any], object]) -> None:
    for value in (Value.input()["name"], Value.if_(True, 1)):
        with pytest.raises(TypeError, match="have `/builtin/template` write it"):
            mistake(value)


@pytest.mark.parametrize(
    "mistake",
    [
        lambda value: value + 1,
        lambda value: "a" + value,
        lambda value: value * 2,
        lambda value: value % 2,
        lambda value: 2**value,
        lambda value: -value,
        lambda value: abs(value),
        lambda value: round(value, 2),
        lambda value: int(value),
        lambda value: float(value),
        lambda value: [1, 2][value],
        lambda value: value & True,
        lambda value: sum([value]),
        lambda value: range(value),
    ],
)
def test_computing_with_a_value_is_refused(mistake: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError, match="do it in a component"):
        mistake(Value.input()["n"])


@pytest.mark.parametrize(
    "mistake",
    [
        bool,
        lambda value: value and 1,
        lambda value: not value,
        lambda value: 1 if value else 2,
    ],
)
def test_a_value_has_no_truth_outside_of_if(mistake: Callable[[Any], object]) -> None:
    for value in (Value.input()["ok"], Value.coalesce(1)):
        with pytest.raises(TypeError, match=r"Value\.if_"):
            mistake(value)


@pytest.mark.parametrize(
    "mistake",
    [
        list,
        len,
        reversed,
        lambda value: [each for each in value],
        lambda value: "a" in value,
        lambda value: {"a": 1, "b": [*value]},
        lambda value: dict(value),
    ],
)
def test_python_cannot_iterate_over_a_value(mistake: Callable[[Any], object]) -> None:
    for value in (Value.input()["rows"], Value.literal([1])):
        with pytest.raises(TypeError, match="/builtin/map"):
            mistake(value)


def test_a_part_is_taken_only_with_brackets() -> None:
    value = Value.input()["rows"]
    for key in (-1, True, 1.5, None):
        with pytest.raises(TypeError, match="the name of a member"):
            value[key]  # type: ignore[index]
    with pytest.raises(AttributeError, match=r"taken by `\['name'\]`"):
        value.name  # noqa: B018
    with pytest.raises(TypeError):
        Value.literal({"a": 1})["a"]  # type: ignore[index]


def test_a_value_has_a_repr_and_can_be_kept_in_collections() -> None:
    step = FlowBuilder().add_step(id="a", component="/a")
    assert repr(step["n"]) == "<StepReference {'$step': 'a', 'path': '$.n'}>"
    assert {step: 1}[step] == 1
    assert step in [step]
    assert copy.deepcopy([step["n"]])[0]._form == step["n"]._form
    assert not hasattr(step, "n")


@pytest.mark.parametrize(
    "written", ["", "soon", "30", "1.5s", "30m1h", "1h2h", "-5s", "٣s", -1, math.nan, True, [1]]
)
def test_an_invalid_duration_is_refused_at_once(written: Any) -> None:
    with pytest.raises(InvalidFlow, match=r"^\$\.timeout: .* is not a duration; write `500ms`"):
        FlowBuilder(timeout=written)
    with pytest.raises(InvalidFlow, match=r"^\$\.steps\[0\]\.timeout: "):
        FlowBuilder().add_step(id="a", component="/a", timeout=written)


@pytest.mark.parametrize("written", ["40000d", f"{'9' * 5000}d", 1e300, math.inf])
def test_a_duration_has_a_limit(written: str | float) -> None:
    with pytest.raises(InvalidFlow, match="longer than a hundred years"):
        FlowBuilder(timeout=written)


@pytest.mark.parametrize(
    ("written", "in_document"),
    [
        ("1d2h3m4s5ms", "1d2h3m4s5ms"),
        (" 30s ", " 30s "),
        ("0s", "0s"),
        (0.25, 0.25),
        (30, 30),
        (timedelta(minutes=1), 60),
        (timedelta(milliseconds=1500), 1.5),
    ],
)
def test_a_duration_is_written_as_it_was_given(written: Any, in_document: object) -> None:
    builder = FlowBuilder(timeout=written)
    builder.add_step(id="a", component="/a", timeout=written)
    assert document(builder)["timeout"] == document(builder)["steps"][0]["timeout"] == in_document


@pytest.mark.parametrize(
    ("backoff", "at"),
    [
        (BackoffConstant(delay="fast"), "delay"),
        (BackoffConstant(delay_ms=-1), "delayMs"),
        (BackoffExponential(initial=-1), "initial"),
        (BackoffExponential(max="1.5s"), "max"),
        (BackoffExponential(factor=0.5), "factor"),
        (BackoffExponential(factor="2"), "factor"),  # type: ignore[arg-type]
        (BackoffFibonacci(max="5m1h"), "max"),
    ],
)
def test_a_backoff_is_checked_at_once(backoff: Backoff, at: str) -> None:
    with pytest.raises(InvalidFlow) as refused:
        FlowBuilder().add_step(id="a", component="/a", on_error=OnErrorRetry(backoff=backoff))
    assert refused.value.at == f"$.steps[0].onError.backoff.{at}"


@pytest.mark.parametrize(
    ("retry", "at"),
    [
        (OnErrorRetry(max_retries=-1), "maxRetries"),
        (OnErrorRetry(max_retries="3"), "maxRetries"),  # type: ignore[arg-type]
        (OnErrorRetry(retry_on=["NEVER"]), "retryOn[0]"),  # type: ignore[list-item]
    ],
)
def test_retries_are_checked_at_once(retry: OnErrorRetry, at: str) -> None:
    with pytest.raises(InvalidFlow) as refused:
        FlowBuilder().add_step(id="a", component="/a", on_error=retry)
    assert refused.value.at == f"$.steps[0].onError.{at}"
