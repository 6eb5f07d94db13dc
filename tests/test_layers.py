"""Who may import whom: each module only what lies below it, and the library no package that it does not need."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = [
    {"checks"},
    {"rotations"},
    {"mano", "camera"},
    {"render", "conventions"},
    {"skin", "losses", "metrics"},
    {"optim"},
]
"""From the bottom. Modules that are not named stand together above these, and `__main__` above all."""

EDGE, COMMAND = len(LAYERS), len(LAYERS) + 1
OUTSIDE = {
    **dict.fromkeys(range(5), {"jax", "numpy", "flax"}),
    5: {"jax", "numpy", "flax", "optax"},
    EDGE: {"jax", "numpy", "flax", "optax", "orbax", "cv2", "mediapipe", "jax2onnx", "onnxruntime"},
    COMMAND: {"jax", "numpy", "absl"},
}
IMAGE_FILES = {"images", "video", "overlay", "skeleton", "mediapipe_detector", "export/page", "export/texture"}
IMAGE_FILES |= {"predict/files", "predict/video_files", "detector/views"}
"""Where pictures are read, drawn or encoded: the only users of OpenCV."""

OF_TRAINING = ("objective", "_scores", "_pictures")
"""Ends of the names of files beside the models that are objectives, or what they are measured and shown by."""

FILES = sorted((ROOT / "handjax").rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT / "handjax").with_suffix("").as_posix()


def layer_of(part: str) -> int:
    if part == "__main__":
        return COMMAND
    return next((index for index, layer in enumerate(LAYERS) if part in layer), EDGE)


def imported(path: Path) -> list[str]:
    """Dotted names of all imports of a file, those inside functions too."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            module = node.module or ""
            # `from handjax import camera` names a module; `from handjax.camera import Camera` does already.
            names += [f"handjax.{alias.name}" for alias in node.names] if module == "handjax" else [module]
    return names


def part_of(name: str) -> str:
    """The module or folder at the top: "models" of "models/hamr". Objectives lie in the folder of their models, but
    stand above targets, which read models."""
    first, *rest = name.split("/")
    return "objectives" if first == "models" and rest and rest[0].endswith(OF_TRAINING) else first


def own_parts(path: Path) -> set[str]:
    """The parts of handjax that a file imports."""
    names = (name.removeprefix("handjax.") for name in imported(path) if name.startswith("handjax."))
    return {part_of(name.replace(".", "/")) for name in names}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_module_imports_only_what_lies_below_it(path):
    part = part_of(name_of(path))
    if part == "__init__":
        # Importing the package must cost nothing: its modules are imported by name.
        assert own_parts(path) <= set().union(*LAYERS[:4])
        return
    layer = layer_of(part)
    for other in own_parts(path) - {part}:
        below = layer_of(other) < layer or layer_of(other) == layer == EDGE
        assert below, f"{part} (layer {layer}) imports {other} (layer {layer_of(other)})"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_module_imports_no_package_that_its_layer_does_not_have(path):
    layer = layer_of(name_of(path).split("/")[0])
    outside = {name.split(".")[0] for name in imported(path)} - sys.stdlib_module_names - {"handjax"}
    assert outside <= OUTSIDE[layer], f"layer {layer} may not import {sorted(outside - OUTSIDE[layer])}"


def test_opencv_is_imported_only_where_pictures_are_read_or_drawn():
    users = {name_of(path) for path in FILES if any(name.split(".")[0] == "cv2" for name in imported(path))}
    assert users <= IMAGE_FILES, users - IMAGE_FILES


def test_modules_at_the_edge_do_not_import_each_other_in_a_circle():
    edges = {}
    for path in FILES:
        part = part_of(name_of(path))
        if layer_of(part) == EDGE:
            edges.setdefault(part, set()).update(own_parts(path) - {part})
    done: set[str] = set()
    while ready := {part for part in edges if part not in done and edges[part] & edges.keys() <= done}:
        done |= ready
    assert done == edges.keys(), f"a circle among {sorted(edges.keys() - done)}"


def test_the_table_sees_a_forbidden_import(tmp_path):
    file = tmp_path / "bad.py"
    file.write_text(
        "import scipy.sparse as s\ndef f():\n    from handjax import optim\n    from handjax.images import read\n"
    )
    assert imported(file) == ["scipy.sparse", "handjax.optim", "handjax.images"]
    assert own_parts(file) == {"optim", "images"}
    assert layer_of("optim") > layer_of("rotations")
