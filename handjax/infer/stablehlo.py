"""Any of the pipelines as StableHLO that runs without this package, checked by its numbers before it is handed out."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax import export

from handjax.infer.outputs import check_same, named_outputs


def export_stablehlo(
    function: Callable[..., Any],
    *examples: Any,
    platforms: Sequence[str] | None = None,
    tolerance: float = 1e-4,
) -> bytes:
    """`function` of arrays, for arrays of the examples' shapes and types: what `jax.export.deserialize` reads.

    The arrays come back as a dict by their names in the result ("params.betas"); `.call(*arrays)` runs it,
    `.mlir_module_serialized` is StableHLO for other runtimes. Networks' variables and hand models belong into
    `function`, by a lambda or `functools.partial`: they are stored with it.

    platforms: "cpu", "cuda", "rocm", "tpu"; by default the one that runs here. If it is among them, what was stored is
    read again, run on the examples and held against `function`; raises ValueError where an output differs by more than
    `tolerance` of its largest value, or is not finite where `function`'s is. Raises ImportError
    without flatbuffers, which jax needs for it: `pip install 'handjax[export]'`.
    """
    here = jax.default_backend().replace("gpu", "cuda")
    platforms = [here] if platforms is None else list(platforms)
    compiled = jax.jit(named_outputs(function))
    stored = bytes(export.export(compiled, platforms=platforms)(*examples).serialize())
    if here in platforms:
        found: Any = export.deserialize(bytearray(stored)).call(*examples)
        check_same(found, compiled(*examples), tolerance)
    return stored
