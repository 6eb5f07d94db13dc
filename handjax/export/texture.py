"""A picture wrapped on a mesh, as files need it."""

from typing import NamedTuple

import cv2
import numpy as np

from handjax.checks import check_shape


class MeshTexture(NamedTuple):
    """uv (T, 2) in [0, 1] from the picture's top left; uv_faces (F, 3) rows of uv at the corners of each face.

    color (H, W, 3) uint8 sRGB. normal (H, W, 3) uint8: unit normals in the tangent frame as (n + 1) / 2, x along u, y
    against v (glTF's and OpenGL's convention), z out of the skin; or None.
    """

    uv: np.ndarray
    uv_faces: np.ndarray
    color: np.ndarray
    normal: np.ndarray | None = None


def checked_texture(texture: MeshTexture, faces: np.ndarray) -> tuple[MeshTexture, np.ndarray]:
    """-> the texture as float32, int32 and uint8, and (T,) the vertex that each row of uv belongs to.

    Raises ValueError or TypeError for wrong shapes, rows that two vertices share or none has.
    """
    check_shape("texture.uv", texture.uv, ("T", 2))
    check_shape("texture.uv_faces", texture.uv_faces, faces.shape)
    uv, uv_faces = np.asarray(texture.uv, np.float32), np.asarray(texture.uv_faces)
    if not np.issubdtype(uv_faces.dtype, np.integer):
        raise TypeError(f"texture.uv_faces must be integers, got {uv_faces.dtype}")
    if not ((uv >= 0) & (uv <= 1)).all():
        raise ValueError(f"texture.uv must lie in [0, 1], got [{uv.min()}, {uv.max()}]")
    if uv_faces.size and not (uv_faces.min() >= 0 and uv_faces.max() < len(uv)):
        raise ValueError(f"texture.uv_faces must lie in [0, {len(uv)}), got [{uv_faces.min()}, {uv_faces.max()}]")
    owner = np.full(len(uv), -1)
    owner[uv_faces.ravel()] = faces.ravel()
    if (owner < 0).any() or (owner[uv_faces] != faces).any():
        raise ValueError("texture.uv_faces must use every row of texture.uv, each for one vertex")
    for name in ("color", "normal"):
        picture = getattr(texture, name)
        if picture is not None:
            check_shape(f"texture.{name}", picture, ("H", "W", 3))
            if np.asarray(picture).dtype != np.uint8:
                raise TypeError(f"texture.{name} must be uint8, got {np.asarray(picture).dtype}")
    return texture._replace(uv=uv, uv_faces=uv_faces.astype(np.int32)), owner


def tangents(vertices: np.ndarray, normals: np.ndarray, texture: MeshTexture) -> np.ndarray:
    """Vertices and normals (T, 3) at the rows of uv -> (T, 4): where u grows on the skin, and the sign of the third
    axis, w cross(normal, tangent), which goes up the picture (glTF 2.0, 3.7.2.1).
    """
    corners, picture = vertices[texture.uv_faces], texture.uv[texture.uv_faces].astype(float)
    edges, steps = corners[:, 1:] - corners[:, :1], picture[:, 1:] - picture[:, :1]
    # Each face's gradients of place by u and by v, times twice its area in the picture, which weights its vote.
    by_u = edges[:, 0] * steps[:, 1, 1, None] - edges[:, 1] * steps[:, 0, 1, None]
    by_v = edges[:, 1] * steps[:, 0, 0, None] - edges[:, 0] * steps[:, 1, 0, None]
    area = steps[:, 0, 0] * steps[:, 1, 1] - steps[:, 0, 1] * steps[:, 1, 0]
    by_u, by_v = (by * np.sign(area)[:, None] for by in (by_u, by_v))
    along, down = np.zeros_like(vertices, float), np.zeros_like(vertices, float)
    np.add.at(along, texture.uv_faces, by_u[:, None])
    np.add.at(down, texture.uv_faces, by_v[:, None])
    along -= normals * (normals * along).sum(axis=1, keepdims=True)
    length = np.linalg.norm(along, axis=1, keepdims=True)
    # Where the picture is crushed to a point any direction in the surface will do.
    other = np.cross(normals, np.eye(3)[np.abs(normals).argmin(axis=1)])
    along = np.where(length > 1e-12, along / np.maximum(length, 1e-12), other / np.linalg.norm(other, axis=1)[:, None])
    sign = np.where((np.cross(normals, along) * down).sum(axis=1) > 0, -1.0, 1.0)
    return np.column_stack([along, sign]).astype("<f4")


def png_bytes(picture: np.ndarray) -> bytes:
    """(H, W, 3) uint8 RGB."""
    written, data = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))
    if not written:
        raise ValueError(f"a picture of shape {picture.shape} cannot be written as PNG")
    return data.tobytes()
