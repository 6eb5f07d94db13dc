"""The settings of a prediction job; its fields are the command's flags."""

import dataclasses
from typing import Any

FORMATS = ("overlay", "obj", "ply", "glb", "page")
ALWAYS = ("npz", "json")
DETECTORS = ("handjax", "mediapipe")
HELP = "help"


def setting(default: Any, text: str) -> Any:
    return dataclasses.field(default=default, metadata={HELP: text})


@dataclasses.dataclass(frozen=True)
class PredictSettings:
    """What `predict_files` does. Lengths in metres, pixels of the upright image."""

    out: str = setting("", "Folder for the results; made if missing.")
    keypoints: str | None = setting(None, "Keypoints of the hands: a JSON or npz file, or a folder of NAME.json.")
    side: str | None = setting(None, "left or right, for keypoints that name no side.")
    detector: str | None = setting(
        None,
        "Finds the hands: handjax, our own networks, or mediapipe (an extra). Default: handjax, unless --keypoints.",
    )
    detector_model: str | None = setting(None, "MediaPipe's file, hand_landmarker.task.")
    min_score: float | None = setting(None, "Least score, in [0, 1], of a hand that handjax finds. Default: its own.")
    small_hands: bool = setting(False, "handjax looks for small hands too, which takes longer.")
    model: str | None = setting(None, "A hand model of your own, such as MANO_RIGHT.pkl. Default: the free hand.")
    focal: float | None = setting(None, "Focal length in pixels. Default: the photo's EXIF, else assumed.")
    intrinsics: str | None = setting(None, "fx,fy,cx,cy in pixels, or a JSON file with them or a 3 x 3 matrix.")
    formats: tuple[str, ...] = setting(FORMATS, "Files beside NAME.npz and NAME.json, which are always written.")
    batch: int = setting(16, "Images fitted together.")
    threads: int = setting(0, "Threads that read and write files. 0: one a core.")
    overwrite: bool = setting(False, "Does finished images again.")

    def __post_init__(self) -> None:
        unknown = sorted(set(self.formats) - set(FORMATS) - set(ALWAYS))
        if unknown:
            raise ValueError(f"--formats must be of {', '.join(FORMATS)}, got {', '.join(unknown)}")
        if not self.out:
            raise ValueError("--out=DIR must be given")
        if self.batch < 1:
            raise ValueError(f"--batch must be at least 1, got {self.batch}")
        if self.threads < 0:
            raise ValueError(f"--threads must be at least 0, got {self.threads}")
        if self.detector not in (None, *DETECTORS):
            raise ValueError(f"--detector must be {' or '.join(DETECTORS)}, got {self.detector!r}")
        if self.min_score is not None and not 0 <= self.min_score <= 1:
            raise ValueError(f"--min_score must lie in [0, 1], got {self.min_score:g}")
        if self.side not in (None, "left", "right"):
            raise ValueError(f"--side must be left or right, got {self.side!r}")
