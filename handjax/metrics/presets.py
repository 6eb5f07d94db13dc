"""The benchmarks' protocols by name."""

from handjax.metrics.protocols import Protocol, Range

_TWENTY = Range(0.0, 0.05, 20)
# hand3d drops its first eight thresholds, so that its "20-50" starts at 21.05 mm.
_HAND3D_RANGES = (_TWENTY, _TWENTY._replace(first=8))
_HAND3D = "hand3d (Zimmermann and Brox 2017), eval_full.py"
_BIHAND = "BiHand (Yang et al. 2020)"
_FREIHAND = Protocol(
    "freihand",
    "FreiHAND's eval.py",
    alignments=("none", "similarity"),
    mesh_alignments=("none", "similarity"),
    f_thresholds=(0.005, 0.015),
    samples=3960,
)
_HO3D = _FREIHAND._replace(
    name="ho3d",
    source="HO-3D's eval.py, version v2",
    alignments=("none", "scale_translation", "similarity"),
    samples=11524,
    order="ho3d",
    frame="opengl",
)
_RHD = Protocol(
    "rhd",
    f"{_HAND3D}, on RHD, for predictions in metres",
    alignments=("root", "scale_translation"),
    ranges=_HAND3D_RANGES,
    bone=(9, 10),
    palm=(0, 9),
    visible_only=True,
    medians=True,
    samples=2728,
)
# STB's own joint 0 is the palm already.
_STB = _RHD._replace(name="stb", source=f"{_HAND3D}, on STB, for predictions in metres", palm=(), samples=6000)
_ONE_BONE = Protocol(
    "rhd_bihand",
    f"{_BIHAND}, on RHD",
    alignments=("scale_translation",),
    ranges=(Range(0.02, 0.05, 20),),
    root=(9,),
    bone=(0, 9),
    pck=(0.02, 0.03, 0.04),
    medians=True,
    samples=2728,
)
_ALL = (
    _FREIHAND,
    _HO3D,
    _HO3D._replace(name="ho3d_v2"),
    _HO3D._replace(name="ho3d_v3", source="HO-3D's eval.py, version v3", samples=20137),
    _RHD,
    _RHD._replace(
        name="rhd_hand3d",
        source=f"{_HAND3D}, on RHD, for predictions relative to the root in lengths of the bone",
        alignments=("given_scale",),
        predicts_palm=True,
    ),
    _ONE_BONE,
    _STB,
    _STB._replace(
        name="stb_hand3d",
        source=f"{_HAND3D}, on STB, for predictions relative to the root in lengths of the bone",
        alignments=("given_scale",),
    ),
    _ONE_BONE._replace(name="stb_bihand", source=f"{_BIHAND}, on STB's 3,000 SK pictures, 2.2 wrist", samples=3000),
    Protocol(
        "interhand",
        "InterHand2.6M's dataset.py",
        alignments=("root",),
        ranges=(),
        mesh_alignments=("root",),
        two_hands=True,
    ),
    Protocol("dexycb", "DexYCB's hand pose evaluation", alignments=("none", "root", "similarity"), absent=-1.0),
    Protocol(
        "dexter_object",
        "fingertips as Minimal-Hand aligns them; there is no official alignment",
        alignments=("centroid_scale",),
        ranges=(Range(0.0, 0.1, 100),),
        joints=(4, 8, 12, 16, 20),
        fewest=2,
    ),
)
PROTOCOLS: dict[str, Protocol] = {protocol.name: protocol for protocol in _ALL}
"""`ho3d` is `ho3d_v2`: the versions differ in their pictures alone."""
