"""What is in the wheels, before anyone installs them."""

import re
import zipfile
from pathlib import Path


def test_no_wheel_has_a_module_in_the_namespace(wheels: dict[str, Path]) -> None:
    for name, wheel in wheels.items():
        files = zipfile.ZipFile(wheel).namelist()
        assert f"stepflow/{name}/__init__.py" in files
        assert f"stepflow/{name}/py.typed" in files
        assert [file for file in files if re.fullmatch(r"stepflow/[^/]+", file)] == []


def test_metadata_can_be_published(wheels: dict[str, Path]) -> None:
    for wheel in wheels.values():
        archive = zipfile.ZipFile(wheel)
        (metadata,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        text = archive.read(metadata).decode()
        assert re.search(r"^Metadata-Version: 2\.4$", text, re.MULTILINE)
        assert "License-Expression: Apache-2.0" in text
        # Our other packages are required by a range of versions, and not by a path in the workspace.
        for sibling in re.findall(r"^Requires-Dist: (stepflow-.*)$", text, re.MULTILINE):
            assert re.fullmatch(r"stepflow-\w+(<0\.2,>=0\.1|>=0\.1,<0\.2)", sibling)


def test_the_server_is_a_binary_and_not_a_shim(wheels: dict[str, Path]) -> None:
    archive = zipfile.ZipFile(wheels["orchestrator"])
    scripts = [name for name in archive.namelist() if ".data/scripts/" in name]
    assert sorted(Path(name).name for name in scripts) == ["stepflow", "stepflow-server"]
    (server,) = [name for name in scripts if name.endswith("stepflow-server")]
    assert archive.read(server)[:4] in (b"\x7fELF", b"\xcf\xfa\xed\xfe")
