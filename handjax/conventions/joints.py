"""Joint orders by name: how others number the joints of a hand, to and from our 21 keypoints."""

import numpy as np

from handjax.checks import check_choice
from handjax.mano.types import MANO_KEYPOINT_IDS

_SAME = tuple(range(21))
_MANO = MANO_KEYPOINT_IDS
_TIPS = (4, 8, 12, 16, 20)
_ABSENT = -1

JOINT_ORDERS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(["handjax", "freihand", "hanco", "dexycb", "openpose", "mediapipe", "coco_wholebody"], _SAME),
    **dict.fromkeys(["hint", "hamer", "manopth"], _SAME),
    # MANO's 16 joints (little before ring), then the tips of thumb, index, middle, ring, little.
    **dict.fromkeys(["mano", "ho3d", "h2o3d", "arctic"], _MANO),
    # The same without tips: what `smplx` returns.
    **dict.fromkeys(["mano_16", "smplx"], tuple(i if i < 16 else _ABSENT for i in _MANO)),
    # HandMesh appends its tips as index, middle, little, ring, thumb.
    "handmesh": (0, 13, 14, 15, 20, 1, 2, 3, 16, 4, 5, 6, 17, 10, 11, 12, 19, 7, 8, 9, 18),
    "rhd": (0, 4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17),
    # Joint 0 is the middle of the palm. It is handed on, but is no wrist.
    "stb": (0, 17, 18, 19, 20, 13, 14, 15, 16, 9, 10, 11, 12, 5, 6, 7, 8, 1, 2, 3, 4),
    **dict.fromkeys(
        ["interhand", "assemblyhands", "deephandmesh"],
        (20, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 19, 18, 17, 16),
    ),
    # 24 joints, of which 1 and 18 (carpal ends of thumb and little finger) and 23 (forearm) have no counterpart.
    "reinterhand": (0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 19, 20, 21, 22),
    "fphab": (0, 1, 6, 7, 8, 2, 9, 10, 11, 3, 12, 13, 14, 4, 15, 16, 17, 5, 18, 19, 20),
    **dict.fromkeys(
        ["dexter_object", "egodexter"], tuple(_TIPS.index(k) if k in _TIPS else _ABSENT for k in range(21))
    ),
}
"""For each order, which of its joints is our keypoint 0, 1, ... 20; -1 where it has none."""

_JOINT_COUNTS = {"reinterhand": 24}
HAND_BLOCKS = {
    "rhd": ("left", "right"),
    **dict.fromkeys(["interhand", "assemblyhands", "reinterhand"], ("right", "left")),
}
"""Which hand comes first where both stand in one array: RHD's order is not InterHand2.6M's."""


def joint_count(order: str) -> int:
    """How many joints one hand has in `order`."""
    check_choice("order", order, tuple(JOINT_ORDERS))
    return _JOINT_COUNTS.get(order, max(JOINT_ORDERS[order]) + 1)


def to_common(order: str, joints):
    """One hand's joints (..., n, d) in a named order -> ours (..., 21, d); zeros where `common_valid` is False.

    NumPy in, NumPy out. Raises ValueError for an unknown order or another number of joints than it has.
    """
    joints = _checked("joints", joints, joint_count(order))
    ids = np.array(JOINT_ORDERS[order])
    return _taken(joints, np.maximum(ids, 0), ids != _ABSENT)


def from_common(order: str, joints):
    """Ours (..., 21, d) -> the named order (..., n, d); zeros for joints that ours does not have.

    STB's palm is given the wrist: make it as that data set does where it matters.
    """
    ids, count = np.array(JOINT_ORDERS.get(order, ())), joint_count(order)
    joints = _checked("joints", joints, len(_SAME))
    inverse = np.full(count, _ABSENT)
    inverse[ids[ids != _ABSENT]] = np.flatnonzero(ids != _ABSENT)
    return _taken(joints, np.maximum(inverse, 0), inverse != _ABSENT)


def common_valid(order: str) -> np.ndarray:
    """(21,) bool: which of our keypoints the order really has."""
    check_choice("order", order, tuple(JOINT_ORDERS))
    valid = np.array(JOINT_ORDERS[order]) != _ABSENT
    if order == "stb":
        valid[0] = False
    return valid


def one_hand(order: str, joints, side: str):
    """Both hands' joints (..., 2 n, d) as `order` stacks them -> those of one side (..., n, d)."""
    check_choice("order", order, tuple(HAND_BLOCKS))
    check_choice("side", side, ("left", "right"))
    count = joint_count(order)
    joints = _checked("joints", joints, 2 * count)
    first = HAND_BLOCKS[order].index(side) * count
    return joints[..., first : first + count, :]


def both_hands(order: str, *, left, right):
    """The inverse of `one_hand`."""
    check_choice("order", order, tuple(HAND_BLOCKS))
    count = joint_count(order)
    hands = {"left": _checked("left", left, count), "right": _checked("right", right, count)}
    ordered = [hands[side] for side in HAND_BLOCKS[order]]
    return ordered[0].__array_namespace__().concat(ordered, axis=-2)


def _checked(name: str, joints, count: int):
    joints = joints if hasattr(joints, "__array_namespace__") else np.asarray(joints)
    if joints.ndim < 2 or joints.shape[-2] != count:
        raise ValueError(f"{name} must have shape (..., {count}, d), got {joints.shape}")
    return joints


def _taken(joints, ids: np.ndarray, present: np.ndarray):
    # A `where`, as a product would keep the NaN of a joint that was never there.
    taken = joints[..., ids, :]
    namespace = taken.__array_namespace__()
    mask = namespace.broadcast_to(present[:, None], taken.shape)
    return namespace.where(mask, taken, namespace.zeros_like(taken))
