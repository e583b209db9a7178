"""`stepflow visualize`: everything in the picture is readable."""

from pathlib import Path

import pytest

from tests.cli.conftest import Stepflow
from tests.cli.flows import BUILTIN
from tests.cli.pictures import Picture, read

DEMO = Path(__file__).parents[2] / "examples" / "seattle-weather"

MAP = """\
name: each
steps:
  - id: each
    component: /builtin/map
    input:
      items: {$input: $.items}
      workflow:
        $literal:
          steps:
            - {id: first, component: /python/first, input: {$input: $}}
            - {id: second, component: /python/second, input: {$step: first}}
          output: {$step: second}
  - id: sum
    component: /python/sum
    input: {$step: each, path: $.results}
output: {$step: sum}
"""


def generated(steps: int) -> str:
    """Return a flow with this many steps: short and long ids, near and far references, some conditional ones."""
    ids = [
        f"s{n}" if n % 7 else f"a_step_whose_id_is_really_far_too_long_{n}" for n in range(steps)
    ]
    ids[5] = "天气预报-天气预报-天气预报-天气预报"
    lines = ["name: generated", "steps:"]
    for n, name in enumerate(ids):
        component = (
            "/python/clean",
            "/builtin/load_file",
            "/tools/a/path/that/goes/on/and/on/and/on",
        )[n % 3]
        members = {
            f"v{back}": f'{{$step: {ids[n - back]}, path: "$.rows[{n}].<&>"}}'
            for back in (1, 4)
            if back <= n and n % 5
        }
        if n % 8 == 0:
            members["item"] = "{$input: $.item}"
        if n % 9 == 0 and n:
            members["maybe"] = (
                f"{{$if: {{$step: {ids[n - 3]}}}, then: {{$step: {ids[n // 2]}}}, else: {{$variable: $.v, default: 1}}}}"
            )
        inner = ", ".join(f"{key}: {value}" for key, value in members.items())
        lines += [f"  - id: {name}", f"    component: {component}", f"    input: {{{inner}}}"]
    last = ", ".join(f"{{$step: {name}}}" for name in ids[-7:])
    return "\n".join([*lines, f"output: [{last}]", ""])


def check(picture: Picture) -> None:
    """Check what is true for every picture."""
    assert picture.overlapping() == []
    assert picture.spilling() == []
    assert all(picture.size.holds(box.rect) for box in [*picture.nodes, *picture.labels])
    assert len(picture.labels) == len(picture.lines) > 0
    assert all(label.texts and all(label.texts) for label in picture.labels)


def test_the_picture_of_the_demo_can_be_read(stepflow: Stepflow) -> None:
    ended = stepflow("visualize", str(DEMO / "flow.yaml"))
    assert ended.code == 0, ended.stderr
    picture = read(ended.stdout)
    check(picture)
    steps = [box.texts[0] for box in picture.nodes if box.kind == "step"]
    assert len(steps) == 13
    assert {"load", "clean", "winter", "year_2015", "report"} <= set(steps)
    assert {box.texts for box in picture.nodes if box.kind == "terminal"} == {
        ("input",),
        ("output",),
    }


def test_the_picture_in_the_demo_is_that_of_its_flow(stepflow: Stepflow) -> None:
    drawn = stepflow("visualize", str(DEMO / "flow.yaml")).stdout
    assert (DEMO / "flow.svg").read_text(encoding="utf-8") == drawn
    assert "flow.svg" in (DEMO / "README.md").read_text(encoding="utf-8")


def test_the_picture_of_a_large_flow_can_be_read(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=generated(60))
    ended = stepflow("visualize", "flow.yaml")
    assert ended.code == 0, ended.stderr
    picture = read(ended.stdout)
    check(picture)
    assert sum(box.kind == "step" for box in picture.nodes) == 60
    assert any(
        text.startswith(("if ", "then ")) for label in picture.labels for text in label.texts
    )
    assert 'class="edge maybe"' in ended.stdout


def test_a_text_that_is_cut_is_complete_in_its_title(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=generated(60))
    picture = read(stepflow("visualize", "flow.yaml").stdout)
    cut = [box for box in picture.nodes if box.texts[0].endswith("…")]
    assert cut
    assert any("a_step_whose_id_is_really_far_too_long_7" in box.title for box in cut)


def test_the_flow_of_a_map_is_inside_its_step(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=MAP)
    picture = read(stepflow("visualize", "flow.yaml").stdout)
    check(picture)
    steps = {box.texts[0]: box.rect for box in picture.nodes if box.kind == "step"}
    assert steps["each"].holds(steps["first"])
    assert steps["each"].holds(steps["second"])
    assert not steps["each"].meets(steps["sum"])


@pytest.mark.parametrize(
    ("output", "begins"),
    [
        ("flow.svg", "<svg "),
        ("flow.mmd", "flowchart TD\n"),
        ("flow.dot", "digraph flow {\n"),
        ("FLOW.SVG", "<svg "),
    ],
)
def test_the_name_of_the_output_says_which_picture(
    stepflow: Stepflow, output: str, begins: str
) -> None:
    stepflow.write(flow_yaml=MAP)
    ended = stepflow("visualize", "flow.yaml", "--output", output)
    assert (ended.code, ended.stdout) == (0, ""), ended.stderr
    assert (stepflow.folder / output).read_text(encoding="utf-8").startswith(begins)


def test_mermaid_shows_steps_edges_and_inner_flows(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=MAP)
    drawn = stepflow("visualize", "flow.yaml", "--format", "mermaid").stdout
    assert 'subgraph n0["each<br/>/builtin/map"]' in drawn
    assert 'n0_1["second<br/>/python/second"]' in drawn
    assert 'n0 -->|"$.results"| n1' in drawn


def test_an_output_without_a_known_ending_needs_a_format(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=BUILTIN)
    ended = stepflow("visualize", "flow.yaml", "--output", "picture")
    assert ended.code == 2
    assert "--format" in ended.stderr
    told = " ".join(stepflow("visualize", "--help").stdout.split())
    assert "the one of the output file's ending; svg on stdout" in told


def test_an_invalid_flow_is_not_drawn(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=BUILTIN.replace("$step: copy", "$step: cpoy"))
    ended = stepflow("visualize", "flow.yaml")
    assert (ended.code, ended.stdout) == (1, "")
    assert "error[3003]" in ended.stderr


def test_a_flow_that_cannot_be_read_is_a_wrong_command_line(stepflow: Stepflow) -> None:
    assert stepflow("visualize", "nowhere.yaml").code == 2


def test_a_flow_that_is_too_large_for_a_picture_is_still_written_for_others(
    stepflow: Stepflow,
) -> None:
    steps = "\n".join(f"- {{id: s{n}, component: /x, input: {{$input: $}}}}" for n in range(1_001))
    stepflow.write(flow_yaml=f"name: wide\nsteps:\n{steps}\noutput: {{$step: s1}}\n")
    refused = stepflow("visualize", "flow.yaml")
    assert (refused.code, refused.stdout) == (2, "")
    assert "would have 1003 boxes" in refused.stderr
    assert "--format dot" in refused.stderr
    assert stepflow("visualize", "flow.yaml", "--format", "dot").code == 0
