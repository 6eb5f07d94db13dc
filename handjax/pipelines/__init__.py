"""Networks and hand model together, as pure functions: crops in, meshes in the frames of their cameras out."""

from handjax.pipelines.bihand import PRESETS as BIHAND_PRESETS
from handjax.pipelines.bihand import BiHand, root_depth_of, run_bihand
from handjax.pipelines.handtailor import run_handtailor
from handjax.pipelines.place import PlacedHands

__all__ = ["BIHAND_PRESETS", "BiHand", "PlacedHands", "root_depth_of", "run_bihand", "run_handtailor"]
