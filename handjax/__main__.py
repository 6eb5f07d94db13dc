"""The command `handjax`: hands from photographs, a demo, and what is in a model file."""

import dataclasses
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from absl import flags

import handjax

FAILED, NOT_STARTED, STOPPED = 1, 2, 130


class Command(NamedTuple):
    """What follows `handjax`: its positional arguments in words, its flags, and what runs it."""

    arguments: str
    summary: str
    define: Callable[[flags.FlagValues], None]
    run: Callable[[list[str], flags.FlagValues], int]


class UsageError(ValueError):
    """A command line that cannot be run."""


def run() -> None:
    """The console entry."""
    sys.exit(main(sys.argv[1:]))


def main(argv: Sequence[str]) -> int:
    """Runs one command and returns its exit status: see EXIT_CODES."""
    if not argv or argv[0] in ("help", "--help", "-h", "--helpfull", "--helpshort"):
        print(_overview())
        return 0 if argv else NOT_STARTED
    if argv[0] == "--version":
        print(f"handjax {handjax.__version__}")
        return 0
    name, *rest = argv
    try:
        if name not in COMMANDS:
            raise UsageError(f"unknown command {name!r}: expected one of {', '.join(COMMANDS)}")
        return _run_command(name, rest)
    except (UsageError, flags.Error) as error:
        known = f" {name}" if name in COMMANDS else ""
        print(f"handjax: {error}\nSee handjax{known} --help", file=sys.stderr)
        return NOT_STARTED
    # What cannot start, for a reason that the user can mend.
    except (ValueError, OSError, ImportError) as error:
        print(f"handjax: {_reason(error)}", file=sys.stderr)
        return NOT_STARTED
    except KeyboardInterrupt:
        print("handjax: stopped", file=sys.stderr)
        return STOPPED


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _run_command(name: str, arguments: list[str]) -> int:
    command = COMMANDS[name]
    values = flags.FlagValues()
    command.define(values)
    flags.DEFINE_string(
        "cache", None, "Folder of compiled functions, or off. Default: $HANDJAX_CACHE, else the user's cache folder.",
        flag_values=values,
    )  # fmt: skip
    if {"--help", "-h", "--helpfull", "--helpshort"} & set(arguments):
        print(_command_help(name, command, values))
        return 0
    positional = values([f"handjax {name}", *arguments])[1:]
    # Imported here: jax takes a second, which --help should not.
    from handjax.compilation_cache import use_compilation_cache

    use_compilation_cache(values.cache)
    return command.run(positional, values)


def _one(positional: list[str], what: str) -> str:
    if len(positional) != 1:
        got = f"{len(positional)}: {' '.join(positional)}" if positional else "none"
        raise UsageError(f"{what} must be one path, got {got}")
    return positional[0]


def _predict(positional: list[str], values: flags.FlagValues) -> int:
    from handjax.predict import predict_files

    path = _one(positional, "IMAGE_OR_FOLDER_OR_VIDEO")
    return _report(predict_files(path, _settings(values)))


def _fit(positional: list[str], values: flags.FlagValues) -> int:
    from handjax.predict.keypoint_job import fit_file

    path = _one(positional, "KEYPOINTS")
    return _report(fit_file(path, _settings(values)))


def _demo(positional: list[str], values: flags.FlagValues) -> int:
    from handjax.demo import run_demo

    if positional:
        raise UsageError(f"demo takes no paths, got {' '.join(positional)}")
    if not values.out:
        raise UsageError("--out=DIR must be given")
    report = run_demo(values.out, values.seed, values.noise, values.overwrite)
    print("Against the hands that were drawn, by keypoints with noise:")
    for name, joints_mm, keypoints_px in report.errors:
        print(f"  {name:16} joints {joints_mm:5.1f} mm off (relative to the wrist), keypoints {keypoints_px:4.1f} px")
    return _report(report.job)


def _info(positional: list[str], values: flags.FlagValues) -> int:
    from handjax.model_info import model_info

    if len(positional) > 1:
        raise UsageError(f"MODEL must be one path or none, got {' '.join(positional)}")
    print(model_info(positional[0] if positional else None, values.side))
    return 0


def _convert(positional: list[str], values: flags.FlagValues) -> int:
    from handjax import mano
    from handjax.convert import convert_model, convert_result

    if len(positional) != 2:
        raise UsageError(f"convert needs FILE and OUT.npz, got {' '.join(positional) or 'nothing'}")
    conventions = {"order": values.joints, "frame": values.frame, "unit": values.unit}
    asked = {name: value for name, value in conventions.items() if value is not None}
    if asked:
        convert_result(*positional, **asked, model=None if values.model is None else mano.load(values.model))
    else:
        convert_model(*positional, side=values.side, fix_left_shapedirs=values.fix_left_shapedirs, mirror=values.mirror)
    print(f"Wrote {positional[1]}")
    return 0


_ORDER = ("group", "pose", "side", "resolution", "skin", "texture_size", "closed")


def _hand(positional: list[str], values: flags.FlagValues) -> int:
    from handjax import mano
    from handjax.hand_file import HandOrder, write_hand

    if positional:
        raise UsageError(f"hand takes no paths but --out, got {' '.join(positional)}")
    if values.list_poses:
        for group, names in mano.POSE_GROUPS.items():
            print(f"{group}: {' '.join(names)}")
        return 0
    if not values.out:
        raise UsageError("--out=FILE.glb must be given (or .obj, .ply, .npz)")
    chosen: dict[str, Any] = {field: values[field].value for field in _ORDER}
    made = write_hand(HandOrder(measures=_measures(values.measure), **chosen), values.out)
    for name, size in made.got_mm.items():
        asked = f"   asked {made.asked_mm[name]:.1f}" if name in made.asked_mm else ""
        print(f"  {name:14} {size:6.1f} mm{asked}")
    for remark in made.remarks:
        print(f"Note: {remark}")
    print(f"Wrote {values.out}")
    return 0


def _measures(pairs: list[str]) -> dict[str, float]:
    measures = {}
    for pair in pairs:
        name, equals, size = pair.partition("=")
        try:
            measures[name.strip()] = float(size)
        except ValueError:
            equals = ""
        if not equals:
            raise UsageError(f"--measure must be NAME=MILLIMETRES, ..., got {pair!r}")
    return measures


def _report(report) -> int:
    parts = [_count(report.inputs, "file"), f"{_count(report.hands, 'hand')} in {report.with_hands} of them"]
    parts += [f"none in {report.without_hands}"] if report.without_hands else []
    parts += [f"{report.skipped} finished before"] if report.skipped else []
    parts += [_count(len(report.problems), "problem")] if report.problems else []
    print("; ".join(parts))
    print(f"Results: {report.out}" if report.page is None else f"Open {report.page}")
    return FAILED if report.problems else 0


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' if number != 1 else ''}"


def _settings(values: flags.FlagValues):
    from handjax.predict.settings import PredictSettings

    chosen: dict[str, Any] = {}
    for field in dataclasses.fields(PredictSettings):
        if field.name in values:
            value = values[field.name].value
            chosen[field.name] = tuple(value) if isinstance(value, list) else value
    try:
        return PredictSettings(**chosen)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _define_predict(values: flags.FlagValues) -> None:
    _define_settings(values, leave_out=())


def _define_fit(values: flags.FlagValues) -> None:
    _define_settings(values, leave_out=("keypoints", "detector", "detector_model", "min_score", "small_hands"))
    values["formats"].value = ["glb"]


def _define_settings(values: flags.FlagValues, leave_out: Sequence[str]) -> None:
    from handjax.predict.settings import HELP, PredictSettings

    define = {
        "str": flags.DEFINE_string,
        "int": flags.DEFINE_integer,
        "float": flags.DEFINE_float,
        "bool": flags.DEFINE_boolean,
        "tuple": flags.DEFINE_list,
    }
    for field in dataclasses.fields(PredictSettings):
        if field.name not in leave_out:
            kind = getattr(field.type, "__name__", str(field.type)).split(" ")[0].split("[")[0]
            default: Any = field.default
            default = list(default) if kind == "tuple" else default
            define[kind](field.name, default, field.metadata[HELP], flag_values=values)


def _define_demo(values: flags.FlagValues) -> None:
    flags.DEFINE_string("out", "demo_out", "Folder for the pictures and the results.", flag_values=values)
    flags.DEFINE_integer("seed", 0, "Of the noise.", flag_values=values)
    flags.DEFINE_float("noise", 2.0, "Standard deviation of the keypoints' noise, pixels.", flag_values=values)
    flags.DEFINE_boolean("overwrite", False, "Does finished pictures again.", flag_values=values)


def _define_info(values: flags.FlagValues) -> None:
    flags.DEFINE_string("side", None, "left or right, for a file that does not tell.", flag_values=values)


def _define_convert(values: flags.FlagValues) -> None:
    _define_info(values)
    flags.DEFINE_boolean("mirror", False, "Writes the hand of the other side.", flag_values=values)
    text = "Mirrors the shapedirs of the released MANO_LEFT.pkl, which has the right hand's."
    flags.DEFINE_boolean("fix_left_shapedirs", False, text, flag_values=values)
    flags.DEFINE_string("joints", None, "A result's joints in this order: mano, rhd, stb, ...", flag_values=values)
    flags.DEFINE_string("frame", None, "A result's points in these axes: opencv, opengl, blender.", flag_values=values)
    flags.DEFINE_string("unit", None, "A result's lengths in m, cm or mm.", flag_values=values)
    flags.DEFINE_string("model", None, "The model a result was made with. Default: the free hand.", flag_values=values)


def _define_hand(values: flags.FlagValues) -> None:
    text = "NAME=MILLIMETRES, comma-separated: length, breadth, palm_length, index, wrist_girth, ..."
    flags.DEFINE_list("measure", [], text, flag_values=values)
    text = "Whose mean decides what was not measured: adults, women, men, children, elderly."
    flags.DEFINE_string("group", "adults", text, flag_values=values)
    flags.DEFINE_string("pose", "flat", "One of --list_poses.", flag_values=values)
    flags.DEFINE_boolean("list_poses", False, "Prints the names of the poses.", flag_values=values)
    flags.DEFINE_string("side", "right", "left or right.", flag_values=values)
    flags.DEFINE_string("resolution", "medium", "low (778 vertices, as MANO), medium or high.", flag_values=values)
    text = "none, very_light, light, medium, tan, brown or dark: a texture in .glb, vertex colours in .obj and .ply."
    flags.DEFINE_string("skin", "light", text, flag_values=values)
    flags.DEFINE_integer("texture_size", 512, "128, 256, 512 or 1024 texels a side.", flag_values=values)
    flags.DEFINE_boolean("closed", False, "Puts a lid on the open wrist.", flag_values=values)
    flags.DEFINE_string(
        "out", None, "FILE.glb (rigged, for Blender and game engines), .obj, .ply or .npz.", flag_values=values
    )


COMMANDS = {
    "predict": Command(
        "IMAGE_OR_FOLDER_OR_VIDEO --out=DIR", "3D hands from photos or videos", _define_predict, _predict
    ),
    "fit": Command("KEYPOINTS --out=DIR", "the same from keypoints alone, without pictures", _define_fit, _fit),
    "demo": Command("--out=DIR", "draws three hands and finds them again; needs no download", _define_demo, _demo),
    "hand": Command(
        "--measure=length=190,breadth=85 --pose=pinch --out=FILE.glb",
        "a hand made to measure, in a pose, as a file",
        _define_hand,
        _hand,
    ),
    "info": Command("[MODEL]", "what is in a hand model file; without one, the free hand", _define_info, _info),
    "convert": Command(
        "FILE OUT.npz", "a model as a plain npz, or a result in other conventions", _define_convert, _convert
    ),
}

EXIT_CODES = "Exit status: 0; 1 if a file failed, the others being done; 2 if the command could not start."


def _overview() -> str:
    lines = [f"handjax {handjax.__version__}: 3D hands from ordinary images", ""]
    lines += [f"  handjax {name} {command.arguments}\n      {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join([*lines, "", "handjax COMMAND --help lists the flags.", EXIT_CODES])


def _command_help(name: str, command: Command, values: flags.FlagValues) -> str:
    lines = [f"handjax {name} {command.arguments}", f"  {command.summary}", ""]
    for flag_name in sorted(values):
        flag = values[flag_name]
        default = ",".join(flag.value) if isinstance(flag.value, list) else flag.value
        shown = "" if default in (None, "") else f" [{default}]"
        lines += [f"  --{flag_name}{shown}", f"      {flag.help}"]
    return "\n".join([*lines, "", EXIT_CODES])


if __name__ == "__main__":
    run()
