"""`python -m launch.bench --out=DIR`: handjax-bench, 3,000 drawn test hands by the papers' protocols (docs/results.md).

The pictures are drawn from fixed keys at the first run and kept in --data. OUT gets result.json and, for each method, a
sheet of its worst hands. Methods whose networks have no weights are an error: choose others by --methods.
"""

import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from absl import flags

from handjax.compilation_cache import use_compilation_cache
from handjax.export import write_bytes
from handjax.predict.progress import Progress
from launch.bench_figures import Figures, Tested, compared, figures, pooled, together
from launch.bench_methods import METHODS, Method, methods
from launch.bench_pictures import AT_ONCE, PARTS, Digest, Draw, Picture, draw_batch, pictures
from launch.bench_report import ALL, About, PartResult, as_json, report
from launch.bench_sheet import Shown, sheet, shown, worst

NOT_STARTED, STOPPED = 2, 130
JPEG_QUALITY = 90


def main(arguments: Sequence[str] | None = None, draw: Draw = draw_batch) -> int:
    """Runs the command and returns its exit status: 0, 2 if it could not start or go on, 130 if it was stopped."""
    arguments = sys.argv[1:] if arguments is None else arguments
    values = _flags()
    if {"--help", "-h", "--helpfull", "--helpshort"} & set(arguments):
        print(_help(values))
        return 0
    try:
        if stray := values(["bench", *arguments])[1:]:
            raise ValueError(f"all arguments are flags, got {' '.join(stray)}")
        return _run(values, draw)
    except (flags.Error, ValueError, OSError) as error:
        print(f"bench: {_reason(error)}\nSee python -m launch.bench --help", file=sys.stderr)
        return NOT_STARTED
    except KeyboardInterrupt:
        print("bench: stopped; what was drawn is kept", file=sys.stderr)
        return STOPPED


def _flags() -> flags.FlagValues:
    values = flags.FlagValues()
    flags.DEFINE_string("out", None, "Folder for the results.", flag_values=values)
    text = "Whose networks: default, or a folder with hand_finder.npz and crop_hand.npz, packed from `small` runs."
    flags.DEFINE_string("model", "default", text, flag_values=values)
    flags.DEFINE_list("parts", list(PARTS), "Which pictures.", flag_values=values)
    flags.DEFINE_list("methods", list(METHODS), "What is measured.", flag_values=values)
    text = "Hands of each part at most, for a trial; else 3,000 in all."
    flags.DEFINE_integer("count", None, text, flag_values=values)
    text = "true: the camera is given to every method. assumed: it is guessed from the picture's size."
    flags.DEFINE_enum("camera", "true", ["true", "assumed"], text, flag_values=values)
    text = "Folder in which drawn pictures are kept, less than 0.5 GB; several runs may share it."
    flags.DEFINE_string("data", "runs/bench-pictures", text, flag_values=values)
    return values


def _run(values: flags.FlagValues, draw: Draw) -> int:
    if not values.out:
        raise ValueError("--out=DIR must be given")
    _check_names("parts", values.parts, PARTS)
    _check_names("methods", values.methods, METHODS)
    fewest = max(PARTS[name].fewest for name in values.parts)
    if values.count is not None and values.count < fewest:
        raise ValueError(f"--count must be at least {fewest} for these parts, got {values.count}")
    out = Path(values.out)
    out.mkdir(parents=True, exist_ok=True)
    about = About(values.model, values.camera, values.methods)
    use_compilation_cache()
    ways = methods(values.methods, values.model, values.camera == "assumed")
    results, by_part = {}, {}
    for name in values.parts:
        hands = min(values.count or PARTS[name].hands, PARTS[name].hands)
        results[name] = run_part(name, hands, Path(values.data), ways, draw)
        by_part[name] = {method: figures(tests) for method, tests in results[name].hands.items()}
    if len(results) > 1:
        by_part[ALL] = {method: _pooled(method, results, by_part) for method in ways}
    text = "\n\n".join(report(about, results, by_part))
    print(text)
    write_bytes(out / "result.txt", (text + "\n").encode())
    for method in ways:
        hands = [hand for result in results.values() for hand in result.worst[method]]
        _write_jpeg(out / f"worst_{method}.jpg", sheet(hands))
    write_bytes(out / "result.json", as_json(about, results, by_part))
    print(f"\nWrote {out / 'result.json'}, result.txt and worst_*.jpg")
    return 0


def run_part(name: str, hands: int, folder: Path, ways: Mapping[str, Method], draw: Draw) -> PartResult:
    """Every method on the same pictures, `AT_ONCE` together; of these the median is the time."""
    digest = Digest()
    tests: dict[str, list[Tested]] = {method: [] for method in ways}
    seconds: dict[str, list[float]] = {method: [] for method in ways}
    kept: dict[str, list[Shown]] = {method: [] for method in ways}
    done, progress = 0, Progress(hands)
    for some in _in_groups(digest.watch(pictures(name, hands, folder, draw)), AT_ONCE):
        count = sum(len(picture.side) for picture in some)
        for method, way in ways.items():
            start = time.perf_counter()
            found = way(some)
            seconds[method].append((time.perf_counter() - start) / count)
            new = [compared(picture, each) for picture, each in zip(some, found, strict=True)]
            tests[method] += new
            hands_seen = [hand for pair in zip(some, new, strict=True) for hand in shown(*pair)]
            kept[method] = worst([*kept[method], *hands_seen])
        done += count
        progress.say(f"{name}: {done} of {hands} hands")
    progress.close()
    medians = {method: float(np.median(times)) for method, times in seconds.items()}
    return PartResult({method: together(each) for method, each in tests.items()}, kept, medians, digest)


def _in_groups(stream: Iterable[Picture], size: int) -> Iterator[list[Picture]]:
    group: list[Picture] = []
    for picture in stream:
        group.append(picture)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _pooled(method: str, results: Mapping[str, PartResult], by_part: Mapping[str, Mapping[str, Figures]]) -> Figures:
    parts = {name: result.hands[method] for name, result in results.items()}
    return pooled(parts, {name: by_part[name][method] for name in parts})


def _write_jpeg(path: Path, picture: np.ndarray) -> None:
    _, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    write_bytes(path, data.tobytes())


def _check_names(flag: str, names: Sequence[str], known: Iterable[str]) -> None:
    unknown = [name for name in names if name not in known]
    if unknown or not names or len(set(names)) < len(names):
        got = ", ".join(names) or "none"
        raise ValueError(f"--{flag} must name some of {', '.join(known)}, each once, got {got}")


def _help(values: flags.FlagValues) -> str:
    lines = [str(__doc__), ""]
    for name in sorted(values):
        lines += [f"  --{name}", f"      {values[name].help} Default: {values[name].value}"]
    lines += ["", *(f"part {name}: {part.hands} hands" for name, part in PARTS.items())]
    return "\n".join([*lines, *(f"method {name}: {way.about}" for name, way in METHODS.items())])


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
