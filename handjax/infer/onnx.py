"""Networks and pipelines as ONNX, checked by their numbers before they are handed out."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import Array

from handjax.infer.outputs import check_same, named_outputs

OPSET = 21
"""Of the ONNX operators."""


def export_onnx(function: Callable[..., Any], *examples: Any, tolerance: float = 1e-4, opset: int = OPSET) -> bytes:
    """`function` of arrays, for arrays of the examples' shapes and types: the bytes of an ONNX file.

    Inputs are named `input_0`, `input_1`, ...; outputs by their names in the result ("params.betas"). Networks'
    variables and hand models belong into `function`, by a lambda or `functools.partial`: they are stored with it.

    What was made is run by onnxruntime on the examples and held against `function`; raises ValueError as
    `export_stablehlo` does. Raises NotImplementedError for an operation that jax2onnx has no translation of, and
    ImportError without it: `pip install 'handjax[onnx]'`.
    """
    try:
        import jax2onnx  # pyright: ignore[reportMissingImports]  an extra
        import onnxruntime  # pyright: ignore[reportMissingImports]  an extra
    except ImportError as error:
        raise ImportError(
            f"export_onnx needs jax2onnx and onnxruntime: pip install 'handjax[onnx]' ({error})"
        ) from error

    named = named_outputs(function)
    expected = jax.jit(named)(*examples)
    names = list(expected)

    def ordered(*arrays: Any) -> tuple[Array, ...]:
        found = named(*arrays)
        return tuple(found[name] for name in names)

    inputs = [f"input_{index}" for index in range(len(examples))]
    shapes = [jax.ShapeDtypeStruct(np.shape(example), jax.numpy.result_type(example)) for example in examples]
    model = jax2onnx.to_onnx(ordered, shapes, opset=opset, input_names=inputs, output_names=names)
    stored = model.SerializeToString()
    session = onnxruntime.InferenceSession(stored, providers=["CPUExecutionProvider"])
    given = {name: np.asarray(example) for name, example in zip(inputs, examples, strict=True)}
    check_same(dict(zip(names, session.run(names, given), strict=True)), expected, tolerance)
    return stored
