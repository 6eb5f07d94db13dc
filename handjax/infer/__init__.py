"""Networks on full images, in batches of a fixed size: crops or whole pictures in, hands in camera space out."""

from handjax.infer.boxes import BoxedHands, InferredHands, boxed
from handjax.infer.crop_hands import infer_bihand, infer_handtailor
from handjax.infer.crops import crop_image
from handjax.infer.detailed import DetailedHands, infer_deephandmesh
from handjax.infer.hamr import infer_hamr
from handjax.infer.multihand import FoundHands, infer_multihand
from handjax.infer.onnx import export_onnx
from handjax.infer.stablehlo import export_stablehlo

__all__ = [
    "BoxedHands",
    "DetailedHands",
    "FoundHands",
    "InferredHands",
    "boxed",
    "crop_image",
    "export_onnx",
    "export_stablehlo",
    "infer_bihand",
    "infer_deephandmesh",
    "infer_hamr",
    "infer_handtailor",
    "infer_multihand",
]
