"""From what a gesture asks for to joint angles: fingers bent so, the thumb's pulp on that nail, all round a bottle.

Contacts cannot be guessed in angles. They are found by least squares, inside the joint limits, near the angles given
and without fingers that sink into each other.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from scipy.optimize import least_squares

from handjax import mano
from handjax.mano import capsules
from launch.freehand.contact import contacts
from launch.freehand.skin_points import BONE_OF_POINT, SKIN_POINTS, bone_of_point, point_vertex

MOST_CONTACTS = 8
CONTACT_M, SINK_M = 0.001, 0.001
"""Scales of the residuals: a contact missed, and bodies that overlap."""

BODY_M, PULP_M = 0.001, 0.002
"""Overlap of capsules that is free, and more for bones that touch: they only keep fingers on their sides. What counts
is the skin."""

ENTRY_M, NEAR_M, ENTRIES, ROUNDS = 0.00025, 0.006, 160, 8
"""Skin inside other skin: scale of its residual, how far a triangle reaches, most vertices, how often looked for."""

FACING = 1.0
"""Weight of (1 + cosine) between the outward normals of skin that touches."""


class Round(NamedTuple):
    """A ball or an endless rod in the hand: radius in mm; where it is, is found. `near`: start, (3,) mm from the
    middle knuckle, towards the thumb's side, distal and dorsal; `along`: the rod's direction in the same axes."""

    radius: float
    points: tuple[str, ...]
    near: tuple[float, float, float] = (0.0, 15.0, -45.0)
    along: tuple[float, float, float] | None = None


class Request(NamedTuple):
    """What a pose asks for. degrees (5, 3, 3): where to start; slack (5, 3, 3): how far to go from it, degrees.

    touching: pairs of points and the gap between them in mm.
    """

    degrees: np.ndarray
    slack: np.ndarray
    touching: tuple[tuple[str, str, float], ...] = ()
    held: Round | None = None


class Problem(NamedTuple):
    """One request as arrays of fixed sizes, so that all are one compiled function."""

    start: np.ndarray  # (45,) degrees
    slack: np.ndarray  # (45,)
    first: np.ndarray  # (MOST_CONTACTS,) point ids
    second: np.ndarray
    gap: np.ndarray  # metres
    touching: np.ndarray  # 1 where there is a contact
    excused: np.ndarray  # (P,) metres by which a pair of capsules may overlap more
    on_round: np.ndarray  # (points,) 1 where the point lies on the held body
    radius: np.float32
    is_rod: np.float32
    has_round: np.float32
    round_start: np.ndarray  # (6,) centre and direction
    entered: np.ndarray  # (ENTRIES,) vertices that were inside other skin
    enters: np.ndarray  # (ENTRIES, 3) the triangle nearest to each, 0 0 0 if unused


class Solver:
    """Points, skin and capsules of a model, and the compiled residuals."""

    def __init__(self, model: mano.HandModel):
        self.model = model
        self.faces = np.asarray(model.faces)
        self.rest = 1000.0 * np.asarray(model.v_template, float)
        self.limits = np.rad2deg(np.asarray(model.joint_limits)).reshape(45, 2)
        ids = np.array([point_vertex(model, name) for name in SKIN_POINTS])
        problem = partial(residuals, model, ids, capsules.capsules_of(model))
        self._residuals = jax.jit(problem)
        self._jacobian = jax.jit(jax.jacfwd(problem))
        self._skin = jax.jit(lambda degrees: posed_skin(model, degrees))

    def solve(self, request: Request, near: np.ndarray | None = None) -> tuple[np.ndarray, dict[str, float]]:
        """-> (5, 3, 3) degrees inside the limits, and what is left, mm: of contacts, of what is held, of skin in skin.

        near (5, 3, 3): degrees to search from, the request's own if None. Skin that enters other skin is looked for
        after each solution and pushed out in the next.
        """
        problem = as_problem(self.model, request)
        degrees = np.ravel(request.degrees if near is None else near)
        unknowns = np.concatenate([np.clip(degrees, *self.limits.T), problem.round_start])
        known: dict[int, np.ndarray] = {}
        best, least, least_missed = unknowns, np.inf, np.inf
        for _ in range(ROUNDS):
            unknowns = self._minimise(problem, unknowns)
            unknowns[:45] = np.clip(np.round(unknowns[:45], 1), *self.limits.T)
            touched = contacts(1000.0 * self._posed(unknowns), self.faces, self.rest)
            inside = touched.distance < 0.0
            worst = -touched.distance.min(initial=0.0)
            missed = max(self._missed(unknowns, problem).values())
            if worst + 0.5 * missed < least + 0.5 * least_missed:
                best, least, least_missed = unknowns, worst, missed
            if worst < 0.4:
                break
            known |= dict(zip(touched.vertex[inside].tolist(), self.faces[touched.face[inside]], strict=True))
            problem = problem._replace(**listed(known))
        return best[:45].reshape(5, 3, 3), {**self._missed(best, problem), "entered_mm": float(least)}

    def entered_mm(self, degrees: np.ndarray) -> float:
        """How deep skin lies in other skin at joint angles (5, 3, 3)."""
        touched = contacts(1000.0 * self._posed(np.ravel(degrees)), self.faces, self.rest)
        return float(-touched.distance.min(initial=0.0))

    def _posed(self, unknowns: np.ndarray) -> np.ndarray:
        return np.asarray(self._skin(unknowns[:45].astype(np.float32)), float)

    def _minimise(self, problem: Problem, start: np.ndarray) -> np.ndarray:
        lower, upper = np.full(51, -np.inf), np.full(51, np.inf)
        lower[:45], upper[:45] = self.limits[:, 0] - 1e-3, self.limits[:, 1] + 1e-3
        found = least_squares(
            lambda x: np.asarray(self._residuals(x.astype(np.float32), problem), float),
            start,
            # scipy's annotations know only the names of schemes.
            lambda x: np.asarray(self._jacobian(x.astype(np.float32), problem), float),  # pyright: ignore[reportArgumentType]
            bounds=(lower, upper),
            x_scale=np.concatenate([np.full(45, 10.0), np.full(6, 0.1)]),
            max_nfev=40,
            ftol=1e-4,
            xtol=1e-4,
        )
        return found.x

    def _missed(self, unknowns: np.ndarray, problem: Problem) -> dict[str, float]:
        values = np.asarray(self._residuals(unknowns.astype(np.float32), problem))
        contacts, on_body = values[45 : 45 + MOST_CONTACTS], values[45 + MOST_CONTACTS :][: len(SKIN_POINTS)]
        return {
            "missed_mm": float(1000 * CONTACT_M * np.abs(contacts).max()),
            "held_mm": float(1000 * CONTACT_M * np.abs(on_body).max()),
        }


def listed(known: dict[int, np.ndarray]) -> dict[str, np.ndarray]:
    """The entries in the fixed sizes of `Problem`."""
    entered, enters = np.zeros(ENTRIES, int), np.zeros((ENTRIES, 3), int)
    for row, (vertex, triangle) in enumerate(list(known.items())[-ENTRIES:]):
        entered[row], enters[row] = vertex, triangle
    return {"entered": entered, "enters": enters}


def entry_depth(vertices: Array, entered: ArrayLike, enters: np.ndarray) -> Array:
    """(ENTRIES,) metres that each vertex lies behind the plane of its triangle."""
    first, second, third = (vertices[enters[:, corner]] for corner in range(3))
    normal = jnp.stack(
        [
            (second - first)[:, (axis + 1) % 3] * (third - first)[:, (axis + 2) % 3]
            - (second - first)[:, (axis + 2) % 3] * (third - first)[:, (axis + 1) % 3]
            for axis in range(3)
        ],
        -1,
    )
    normal = normal / jnp.sqrt((normal**2).sum(-1, keepdims=True) + 1e-24)
    behind = (first + second + third) / 3.0 - vertices[entered]
    depth = (behind * normal).sum(-1)
    aside = jnp.sqrt(((behind - depth[:, None] * normal) ** 2).sum(-1) + 1e-12)
    # A triangle's plane goes on behind other fingers: it counts only near the triangle.
    near = jnp.clip(2.0 - aside / NEAR_M, 0.0, 1.0)
    return jnp.where(enters[:, 0] != enters[:, 1], near * jnp.maximum(depth, 0.0), 0.0)


def pose_of(model: mano.HandModel, degrees: Array) -> Array:
    """(45,) degrees about the joints' axes -> (45,) axis-angle."""
    angles = jnp.deg2rad(degrees).reshape(15, 3)
    return jnp.einsum("jk,jkx->jx", angles, model.joint_axes, precision="highest").reshape(45)


def posed_skin(model: mano.HandModel, degrees: Array) -> Array:
    """(45,) degrees -> (V, 3) metres."""
    return mano.forward(model, mano.zero_params(model)._replace(hand_pose=pose_of(model, degrees))).vertices


def residuals(
    model: mano.HandModel, ids: np.ndarray, bodies: capsules.Capsules, unknowns: Array, problem: Problem
) -> Array:
    """(51,) degrees, then centre and direction of the held body -> residuals, about 1 each where they matter."""
    hand_pose = pose_of(model, unknowns[:45])
    vertices = posed_skin(model, unknowns[:45])
    placed = vertices[ids]
    apart = placed[problem.first] - placed[problem.second]
    distance = jnp.sqrt((apart**2).sum(-1) + 1e-10)
    sunk = jnp.maximum(capsules.penetration(bodies, hand_pose) - problem.excused - BODY_M, 0.0)
    start, end = capsules.segments(bodies, hand_pose)
    outward = placed - 0.5 * (start + end)[BONE_OF_POINT]
    axis = (end - start)[BONE_OF_POINT]
    axis = axis / jnp.sqrt((axis**2).sum(-1, keepdims=True) + 1e-12)
    outward = outward - (outward * axis).sum(-1, keepdims=True) * axis
    outward = outward / jnp.sqrt((outward**2).sum(-1, keepdims=True) + 1e-12)
    facing = 1.0 + (outward[problem.first] * outward[problem.second]).sum(-1)
    centre, along = unknowns[45:48], unknowns[48:51]
    along = along / jnp.sqrt((along**2).sum() + 1e-12)

    def depth(at: Array) -> Array:
        offset = at - centre
        offset = offset - problem.is_rod * (offset @ along)[..., None] * along
        return problem.radius - jnp.sqrt((offset**2).sum(-1) + 1e-10)

    inside = jnp.stack([depth(start + share * (end - start)) + bodies.radii for share in (0.2, 0.5, 0.8)])
    return jnp.concatenate(
        [
            (unknowns[:45] - problem.start) / problem.slack,
            problem.touching * (distance - problem.gap) / CONTACT_M,
            problem.has_round * problem.on_round * depth(placed) / CONTACT_M,
            sunk / SINK_M,
            entry_depth(vertices, problem.entered, problem.enters) / ENTRY_M,
            FACING * problem.touching * facing,
            problem.has_round * jnp.maximum(inside - SINK_M, 0.0).ravel() / (2.0 * SINK_M),
            0.1 * (unknowns[45:] - problem.round_start) / jnp.array([0.02] * 3 + [0.3] * 3),
        ]
    )


def excused_pairs(touching) -> np.ndarray:
    """(P,) 1 for the pairs of bones that a request makes touch."""
    bones = {frozenset((bone_of_point(first), bone_of_point(second))) for first, second, _ in touching}
    return np.array([frozenset(pair) in bones for pair in capsules.PAIRS.tolist()], np.float32)


def as_problem(model: mano.HandModel, request: Request) -> Problem:
    count = len(request.touching)
    if count > MOST_CONTACTS:
        raise ValueError(f"touching must have at most {MOST_CONTACTS} pairs, got {count}")
    pairs = [*request.touching, *[(SKIN_POINTS[0], SKIN_POINTS[0], 0.0)] * (MOST_CONTACTS - count)]
    held = Round(1.0, ()) if request.held is None else request.held
    radial, dorsal, distal = np.asarray(model.joint_axes)[3]
    palm = np.stack([radial, distal, dorsal])
    centre = np.asarray(model.joint_template)[4] + 0.001 * np.array(held.near) @ palm
    along = np.array((1.0, 0.0, 0.0) if held.along is None else held.along) @ palm
    return Problem(
        start=request.degrees.reshape(45).astype(np.float32),
        slack=request.slack.reshape(45).astype(np.float32),
        first=np.array([SKIN_POINTS.index(first) for first, _, _ in pairs]),
        second=np.array([SKIN_POINTS.index(second) for _, second, _ in pairs]),
        gap=np.array([0.001 * gap for _, _, gap in pairs], np.float32),
        touching=(np.arange(MOST_CONTACTS) < count).astype(np.float32),
        excused=PULP_M * excused_pairs(request.touching),
        on_round=np.isin(SKIN_POINTS, held.points).astype(np.float32),
        radius=np.float32(0.001 * held.radius),
        is_rod=np.float32(held.along is not None),
        has_round=np.float32(request.held is not None),
        round_start=np.concatenate([centre, along]).astype(np.float32),
        **listed({}),
    )
