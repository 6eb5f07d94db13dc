"""Hands followed through a video by where they are, each with one side for all of its frames."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from handjax.detect import LEFT, RIGHT, Detection, keypoint_distance

MAX_GAP = 15
"""Frames that a hand may be gone before it counts as another one."""

MAX_MOVE = 1.0
"""How far a hand may have moved when it is next seen, in box sides."""

OTHER_SIDE = 0.3
"""Box sides that a change of side counts as: detectors mistake sides more often than hands swap places."""

MIN_FRAMES = 3
"""Hands seen in fewer frames are taken for mistakes of the detector, unless the video is shorter itself."""


class Track(NamedTuple):
    """One hand: frames (n,), rising, as places in the list that `follow` was given, and what was seen there."""

    frames: list[int]
    detections: list[Detection]


def follow(frames: Sequence[Sequence[Detection]]) -> tuple[list[Track], int]:
    """Hands of each frame -> the tracks, in order of appearance, and how many brief ones were left out.

    Of all pairs of a track and a hand in the next frame, the nearest are joined first. A track's side is that of the
    greater summed score.
    """
    tracks: list[Track] = []
    for number, detections in enumerate(frames):
        open_tracks = [track for track in tracks if number - track.frames[-1] <= MAX_GAP]
        pairs = sorted(
            (
                (_cost(track.detections[-1], hand), i, k)
                for i, track in enumerate(open_tracks)
                for k, hand in enumerate(detections)
            ),
        )
        free_tracks, free_hands = set(range(len(open_tracks))), set(range(len(detections)))
        for cost, i, k in pairs:
            if cost < MAX_MOVE and i in free_tracks and k in free_hands:
                free_tracks.remove(i)
                free_hands.remove(k)
                open_tracks[i].frames.append(number)
                open_tracks[i].detections.append(detections[k])
        tracks += [Track([number], [detections[k]]) for k in sorted(free_hands)]
    kept = [track for track in tracks if len(track.frames) >= min(MIN_FRAMES, len(frames))]
    return [_one_sided(track) for track in kept], len(tracks) - len(kept)


def _cost(last: Detection, hand: Detection) -> float:
    return keypoint_distance(last, hand) + OTHER_SIDE * (last.side != hand.side)


def _one_sided(track: Track) -> Track:
    votes = np.zeros(2)
    for hand in track.detections:
        votes[int(hand.side)] += hand.score
    side = RIGHT if votes[RIGHT] >= votes[LEFT] else LEFT
    return track._replace(detections=[hand._replace(side=side) for hand in track.detections])
