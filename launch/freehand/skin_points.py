"""Places on a hand's skin by name: thumb.pulp, index.middle.radial, palm.centre."""

import numpy as np

from handjax import mano
from handjax.mano import capsules

BONES = {finger: ("proximal", "middle", "distal") for finger in capsules.CHAINS}
BONES["thumb"] = ("metacarpal", "proximal", "distal")
SIDES = ("palmar", "dorsal", "radial", "ulnar")
ENDS = {"pulp": ("palmar", 0.55), "tip": ("palmar", 0.95), "radial_tip": ("radial", 0.6)}
"""Places on a last bone: its side, and how far along it. Elsewhere the middle of a bone is meant."""

PALM = {"centre": (0.55, 0.0), "radial": (0.85, 0.4)}
"""Share of the way from wrist to middle knuckle, and aside from there to the index finger's knuckle."""


def _names() -> tuple[str, ...]:
    names = [f"{finger}.{bone}.{side}" for finger, bones in BONES.items() for bone in bones for side in SIDES]
    names += [f"{finger}.{end}" for finger in BONES for end in ENDS]
    return (*names, *(f"palm.{place}" for place in PALM))


def bone_of_point(name: str) -> int:
    """The capsule on which a place lies."""
    finger, place = name.split(".", 1)
    if finger == "palm":
        return 15 + capsules.CHAINS.index("middle")
    bone = place.split(".")[0]
    return 3 * capsules.CHAINS.index(finger) + (2 if bone in ENDS else BONES[finger].index(bone))


SKIN_POINTS = _names()
BONE_OF_POINT = np.array([bone_of_point(name) for name in SKIN_POINTS])


def point_vertex(model: mano.HandModel, name: str) -> int:
    """The vertex nearest to a named place of a right hand."""
    finger, place = name.split(".", 1)
    joints, vertices = np.asarray(model.joint_template), np.asarray(model.v_template)
    if finger == "palm":
        share, aside = PALM[place]
        inside = joints[0] + share * (joints[4] - joints[0]) + aside * (joints[1] - joints[4])
        outwards = -np.asarray(model.joint_axes)[3, 1]
        return int(straight_out(vertices - inside, outwards, 4.0).argmax())
    side, share = ENDS.get(place, (place.split(".")[-1], 0.5))
    joint = 1 + bone_of_point(name)
    chain, bone = divmod(joint - 1, 3)
    tip = vertices[model.fingertip_ids[capsules.TIP_KEYPOINTS[chain]]]
    end = tip if bone == 2 else joints[joint + 1]
    flexion, dorsal, _ = np.asarray(model.joint_axes)[joint - 1]
    outwards = {"palmar": -dorsal, "dorsal": dorsal, "radial": flexion, "ulnar": -flexion}[side]
    offset = vertices - (joints[joint] + share * (end - joints[joint]))
    owned = np.asarray(model.lbs_weights).argmax(axis=1) == joint
    return int(np.where(owned, straight_out(offset, outwards, 1.5), -np.inf).argmax())


def straight_out(offset: np.ndarray, outwards: np.ndarray, strictness: float) -> np.ndarray:
    """(V, 3), (3,) -> (V,): how far out each lies, less `strictness` times how far off that line."""
    return offset @ outwards - strictness * np.linalg.norm(np.cross(offset, outwards), axis=1)
