"""The mesh of the mean hand: the implicit surface, meshed to exactly 778 vertices and an open wrist of 16."""

import fast_simplification
import numpy as np
import trimesh
from skimage.measure import marching_cubes

from launch.freehand.anatomy import ACROSS, FINGERS, THUMB
from launch.freehand.remesh import Field, collapse_to_count, relax, remesh
from launch.freehand.settle import close_fingers, spread_transforms
from launch.freehand.skeleton import Hand, posed_hand
from launch.freehand.skinning import distance_to_segment
from launch.freehand.surface import hand_field, web_ends
from launch.freehand.topology import boundary_vertices, edges, face_normals, neighbour_sets, without_slivers

VERTEX_COUNT, WRIST_COUNT = 778, 16
WRIST_CUT = -26.0  # mm; the forearm ends here
FINGER_EDGES = (6.6, 5.6, 5.2)  # mm along proximal, middle, distal
TIP_EDGE, WEB_EDGE, KNUCKLE_EDGE, PALM_EDGE, WRIST_EDGE = 3.6, 5.2, 5.5, 10.4, 12.5


def template_mesh(flat: Hand) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (778, 3) mm and faces (1538, 3) of the flat hand, counter-clockwise from outside."""
    hand = posed_hand(flat, spread_transforms(flat))

    def surface(points):
        return hand_field(points, hand)

    vertices, faces = even_wrist(*open_wrist(*marched(hand)), surface)
    scale = 1.0
    for attempt in range(12):
        vertices, faces = remesh(vertices, faces, surface, scaled_sizes(hand, scale), rounds=2 if attempt else 5)
        if VERTEX_COUNT <= len(vertices) <= VERTEX_COUNT + 16:
            break
        # An area is covered by vertices in proportion to 1 / scale^2.
        scale *= np.sqrt(len(vertices) / (VERTEX_COUNT + 8))
    vertices, faces = collapse_to_count(vertices, faces, VERTEX_COUNT, scaled_sizes(hand, scale))
    vertices = relax(vertices, faces, surface, iterations=12)
    return close_fingers(vertices, faces, flat), faces


def marched(hand: Hand, step: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """The zero level of the hand by marching cubes, about 1,500 vertices; open where the grid ends, at the cut."""
    low, high = np.array([-95.0, WRIST_CUT, -58.0]), np.array([105.0, 212.0, 38.0])
    axes = [np.arange(start, end, step) for start, end in zip(low, high, strict=True)]
    plane = np.stack(np.meshgrid(*axes[1:], indexing="ij"), axis=-1).reshape(-1, 2)
    slabs = [hand_field(np.column_stack([np.full(len(plane), x), plane]), hand) for x in axes[0]]
    volume = np.stack(slabs).reshape([len(axis) for axis in axes])
    vertices, faces = marching_cubes(volume, 0.0)[:2]
    mesh = trimesh.Trimesh(vertices * step + low, faces, process=True)
    mesh = max(mesh.split(only_watertight=False), key=lambda part: len(part.vertices))
    simplified = fast_simplification.simplify(
        mesh.vertices.view(np.ndarray), mesh.faces.view(np.ndarray), target_count=3000
    )
    vertices, faces = simplified[0].astype(float), simplified[1].astype(int)
    return vertices, outward(vertices, faces)


def outward(vertices, faces) -> np.ndarray:
    """Faces turned so that the enclosed volume is positive."""
    volume = (vertices[faces[:, 0]] * face_normals(vertices, faces)).sum()
    return faces if volume > 0.0 else faces[:, ::-1]


def open_wrist(vertices, faces):
    """Merges edges of the cut until its loop has 16."""
    while len(loop := boundary_vertices(faces)) > WRIST_COUNT:
        pairs, counts = edges(faces)
        neighbours = neighbour_sets(pairs)
        rim = pairs[counts == 1]
        length = np.linalg.norm(vertices[rim[:, 0]] - vertices[rim[:, 1]], axis=1)
        for first, second in rim[np.argsort(length, kind="stable")].tolist():
            if len(neighbours[first] & neighbours[second]) == 1:
                vertices[first] = vertices[[first, second]].mean(axis=0)
                faces = without_slivers(np.where(faces == second, first, faces))
                break
        else:
            raise RuntimeError(f"the wrist loop cannot be reduced below {len(loop)} vertices")
    return vertices, faces


def even_wrist(vertices, faces, surface):
    """Puts the loop's vertices at equal angles on the surface in the plane of the cut."""
    loop = boundary_vertices(faces)
    centre = np.array([vertices[loop, 0].mean(), WRIST_CUT, vertices[loop, 2].mean()])
    offset = vertices[loop] - centre
    loop = loop[np.argsort(np.arctan2(offset[:, 2], offset[:, 0]))]
    angles = np.arctan2(*(vertices[loop[0]] - centre)[[2, 0]]) + 2.0 * np.pi * np.arange(WRIST_COUNT) / WRIST_COUNT
    rays = np.stack([np.cos(angles), np.zeros(WRIST_COUNT), np.sin(angles)], axis=1)
    near, far = np.full(WRIST_COUNT, 5.0), np.full(WRIST_COUNT, 60.0)
    for _ in range(40):
        middle = (near + far) / 2.0
        inside = surface(centre + middle[:, None] * rays) < 0.0
        near, far = np.where(inside, middle, near), np.where(inside, far, middle)
    vertices = vertices.copy()
    vertices[loop] = centre + near[:, None] * rays
    return vertices, faces


def scaled_sizes(hand: Hand, scale: float) -> Field:
    return lambda points: scale * size_field(points, hand)


def size_field(points: np.ndarray, hand: Hand) -> np.ndarray:
    """Wanted edge length, mm: fine at tips and knuckles, coarse on palm and wrist."""
    wanted = np.where(points[:, 1] < -5.0, WRIST_EDGE, PALM_EDGE)
    for finger in ACROSS:
        offset = points - hand.skeleton.joints[finger, 0]
        distance = np.linalg.norm(offset / [1.0, 1.3, 1.0], axis=1)
        near = np.clip((distance - 14.0) / 12.0, 0.0, 1.0)
        dorsal = points[:, 2] > 0.0
        wanted = np.where(dorsal, np.minimum(wanted, KNUCKLE_EDGE + near * (PALM_EDGE - KNUCKLE_EDGE)), wanted)
    for first, second in zip(ACROSS[:-1], ACROSS[1:], strict=True):
        near_web = distance_to_segment(points, *web_ends(hand, first, second)) < 10.0
        wanted = np.where(near_web, np.minimum(wanted, WEB_EDGE), wanted)
    for finger in range(len(FINGERS)):
        for bone in range(finger == THUMB, 3):
            wanted = np.minimum(wanted, bone_edges(points, hand, finger, bone))
    return wanted


def bone_edges(points, hand: Hand, finger: int, bone: int) -> np.ndarray:
    """Wanted edge length near one phalanx, infinite elsewhere."""
    start, end = hand.skeleton.joints[finger, bone : bone + 2]
    along = (points - start) @ (end - start) / ((end - start) @ (end - start))
    distance = distance_to_segment(points, start, end)
    wanted = np.where(along > 0.55, TIP_EDGE, FINGER_EDGES[2]) if bone == 2 else FINGER_EDGES[bone]
    return np.where(distance < 0.62 * hand.size.sections[finger, 0, 0], wanted, np.inf)
