"""The mesh of a hand: its implicit surface, meshed anew at each resolution to exact counts and an open wrist."""

from typing import NamedTuple

import fast_simplification
import numpy as np
from scipy.ndimage import zoom
from skimage.measure import label, marching_cubes

from launch.freehand.edge_lengths import edge_lengths
from launch.freehand.remesh import Field, apart, collapse_to_count, flip_to_delaunay, relax, remesh, shortened
from launch.freehand.settle import close_fingers, spread_transforms
from launch.freehand.skeleton import Hand, posed_hand
from launch.freehand.surface import hand_field
from launch.freehand.topology import (
    adjacency,
    boundary_loop,
    compact,
    edge_table,
    face_normals,
    vertex_normals,
    without_slivers,
)


class Resolution(NamedTuple):
    vertices: int
    rim: int  # vertices of the open wrist's loop
    nail: float  # edges there as a share of their neighbours'


RESOLUTIONS = {
    "low": Resolution(778, 16, 1.0),
    "medium": Resolution(3000, 32, 0.9),
    "high": Resolution(12000, 64, 0.75),
}
WRIST_CUT = -26.0  # mm; the forearm ends here
GRID_LOW, GRID_HIGH = np.array([-104.0, WRIST_CUT, -72.0]), np.array([124.0, 218.0, 48.0])
BALANCE = 0.35  # mm at most in each of two rounds; single vertices on tips would stick out
COARSE, FINE = 5.0, 1.25  # mm between samples: everywhere, and beside the surface


def template_mesh(flat: Hand, resolution: str = "low") -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) mm and faces (2 V - 2 - rim, 3) of the flat hand, counter-clockwise from outside.

    Raises ValueError for a resolution that is not in `RESOLUTIONS`.
    """
    if resolution not in RESOLUTIONS:
        raise ValueError(f"resolution must be one of {', '.join(RESOLUTIONS)}, got {resolution!r}")
    wanted = RESOLUTIONS[resolution]
    hand = posed_hand(flat, spread_transforms(flat))

    def surface(points):
        return hand_field(points, hand)

    vertices, faces = simplified(*marched(surface), round(1.6 * wanted.vertices) + 300)
    vertices, faces = open_wrist(vertices, faces, wanted.rim)
    vertices = even_wrist(vertices, faces, surface)
    vertices, faces = remesh_to_count(vertices, faces, surface, hand, wanted)

    def flat_surface(points):
        return hand_field(points, flat)

    vertices = close_fingers(vertices, faces, flat)
    for _ in range(2):  # the webs come back squeezed
        faces = flip_to_delaunay(vertices, faces)
        vertices = relax(vertices, faces, flat_surface, iterations=6, limit=0.5)
    return balanced(vertices, faces, flat_surface), faces


def remesh_to_count(vertices, faces, surface: Field, hand: Hand, wanted: Resolution):
    """Exactly as many vertices as `wanted`, by edges all longer or all shorter than the size field says."""
    scale = np.sqrt(RESOLUTIONS["low"].vertices / wanted.vertices)
    spare = max(32, wanted.vertices // 50)
    for attempt in range(12):
        lengths = scaled_lengths(hand, wanted.nail, scale)
        vertices, faces = remesh(vertices, faces, surface, lengths, rounds=2 if attempt else 4)
        if wanted.vertices <= len(vertices) <= wanted.vertices + spare:
            break
        # An area is covered by vertices in proportion to 1 / scale^2.
        scale *= np.sqrt(len(vertices) / (wanted.vertices + spare / 2))
    vertices, faces = collapse_to_count(vertices, faces, wanted.vertices, scaled_lengths(hand, wanted.nail, scale))
    if len(vertices) != wanted.vertices:
        raise RuntimeError(f"the mesh must have {wanted.vertices} vertices, got {len(vertices)}")
    return relax(vertices, faces, surface, iterations=12), faces


def scaled_lengths(hand: Hand, nail: float, scale: float) -> Field:
    return lambda points: scale * edge_lengths(points, hand, nail)


def marched(surface: Field) -> tuple[np.ndarray, np.ndarray]:
    """The zero level by marching cubes, sampled finely beside it only; open where the grid ends, at the cut."""
    cells = np.ceil((GRID_HIGH - GRID_LOW) / COARSE).astype(int)
    coarse = surface(grid_points(cells + 1, COARSE)).reshape(cells + 1)
    shape = cells * round(COARSE / FINE) + 1
    volume = np.asarray(zoom(coarse, shape / np.array(coarse.shape), order=1, grid_mode=False))
    near = np.abs(volume) < 1.3 * COARSE
    points = GRID_LOW + FINE * np.argwhere(near)
    volume[near] = np.concatenate([surface(block) for block in np.array_split(points, 1 + len(points) // 20000)])
    volume = largest_part(volume)
    vertices, faces = marching_cubes(volume, 0.0, allow_degenerate=False)[:2]
    vertices, faces = compact(vertices.astype(float) * FINE + GRID_LOW, faces)
    return vertices, outward(vertices, faces)


def simplified(vertices, faces, count: int):
    """About `count` vertices, by quadric error; a start for the remesher, which works better downwards."""
    simple = fast_simplification.simplify(
        vertices.astype(np.float32), faces.astype(np.int32), target_count=min(2 * count, len(faces))
    )
    return compact(simple[0].astype(float), simple[1].astype(int))


def grid_points(counts, step: float) -> np.ndarray:
    axes = [low + step * np.arange(count) for low, count in zip(GRID_LOW, counts, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


def largest_part(volume: np.ndarray) -> np.ndarray:
    """The volume with every solid outside but the largest."""
    parts = np.asarray(label(volume < 0.0, connectivity=1))
    largest = np.bincount(parts[parts > 0]).argmax()
    return np.where((parts > 0) & (parts != largest), np.abs(volume) + 0.1, volume)


def outward(vertices, faces) -> np.ndarray:
    """Faces turned so that the enclosed volume is positive."""
    volume = (vertices[faces[:, 0]] * face_normals(vertices, faces)).sum()
    return faces if volume > 0.0 else faces[:, ::-1]


def open_wrist(vertices, faces, count: int):
    """Merges the shortest edges of the cut until its loop has `count`."""
    while (size := len(boundary_loop(faces))) > count:
        vertices, faces, merged = merge_rim_edges(vertices, faces, size - count)
        if not merged:
            raise RuntimeError(f"the wrist loop cannot be reduced below {size} vertices")
    return vertices, faces


def merge_rim_edges(vertices, faces, most: int):
    """Merges the ends of the shortest rim edges that do not meet; returns the mesh and how many."""
    table = edge_table(faces)
    rim = np.flatnonzero(~table.inner)
    beside = adjacency(faces, len(vertices))
    shared = beside[table.ends[rim, 0]].multiply(beside[table.ends[rim, 1]]).sum(axis=1)
    rim = rim[np.asarray(shared).ravel() == 1]
    ends = table.ends[rim]
    length = np.linalg.norm(vertices[ends[:, 0]] - vertices[ends[:, 1]], axis=1)
    rank = np.argsort(np.argsort(length, kind="stable"), kind="stable")
    chosen = np.flatnonzero(apart(rim, rank, table, faces, len(vertices)))
    chosen = chosen[np.argsort(rank[chosen], kind="stable")[:most]]
    kept, dropped = ends[chosen].T
    renamed = np.arange(len(vertices))
    renamed[dropped] = kept
    moved = vertices.copy()
    moved[kept] = vertices[ends[chosen]].mean(axis=1)
    return *compact(moved, without_slivers(renamed[faces])), len(chosen)


def even_wrist(vertices, faces, surface: Field) -> np.ndarray:
    """Puts the loop's vertices at equal angles on the surface in the plane of the cut, the first towards +X."""
    loop = boundary_loop(faces)
    centre = np.array([vertices[loop, 0].mean(), WRIST_CUT, vertices[loop, 2].mean()])
    angles = np.unwrap(np.arctan2(*(vertices[loop] - centre)[:, [2, 0]].T))
    step = 2.0 * np.pi / len(loop) * np.sign(angles[-1] - angles[0])
    start = step * np.round(np.mean(angles - step * np.arange(len(loop))) / step)
    angles = start + step * np.arange(len(loop))
    rays = np.stack([np.cos(angles), np.zeros(len(loop)), np.sin(angles)], axis=1)
    near, far = np.full(len(loop), 5.0), np.full(len(loop), 60.0)
    for _ in range(40):
        middle = (near + far) / 2.0
        inside = surface(centre + middle[:, None] * rays) < 0.0
        near, far = np.where(inside, middle, near), np.where(inside, far, middle)
    vertices = vertices.copy()
    vertices[loop] = centre + near[:, None] * rays
    return vertices


def balanced(vertices, faces, surface: Field) -> np.ndarray:
    """Vertices moved out until faces lie as much outside the surface as inside.

    Faces between vertices on a round surface are chords: a coarse finger would be 2 % thinner than the real one.
    """
    rim, shares = boundary_loop(faces), np.array([[1.0, 1.0, 1.0], [4.0, 1.0, 1.0], [1.0, 4.0, 1.0], [1.0, 1.0, 4.0]])
    shares /= shares.sum(axis=1, keepdims=True)
    for _ in range(2):
        points = np.einsum("sc,fcx->sfx", shares, vertices[faces])
        depth = surface(points.reshape(-1, 3)).reshape(points.shape[:2]).mean(axis=0)
        area = np.linalg.norm(face_normals(vertices, faces), axis=1)
        total, weight = np.zeros(len(vertices)), np.zeros(len(vertices))
        np.add.at(total, faces, (area * depth)[:, None])
        np.add.at(weight, faces, area[:, None])
        shift = -(total / weight)[:, None] * vertex_normals(vertices, faces)
        shift[rim, 1] = 0.0
        vertices = vertices + shortened(shift, BALANCE)
    return vertices
