"""`python -m launch.pack_weights --run=runs/siknet-small --network=siknet --out=siknet.npz`: a run's best weights."""

import json
from pathlib import Path

from absl import app, flags

from handjax.checkpoint import read_variables
from handjax.weights import write_weights

RUN = flags.DEFINE_string("run", None, "Folder of a run, as launch.train_* leaves it.", required=True)
NETWORK = flags.DEFINE_string("network", None, "Which of the run's networks, if there are several.")
OUT = flags.DEFINE_string("out", None, "The .npz file.", required=True)


def main(arguments: list[str]) -> None:
    if len(arguments) > 1:
        raise SystemExit(f"flags are written --name=value, got {' '.join(arguments[1:])}")
    try:
        pack(Path(RUN.value), NETWORK.value, Path(OUT.value))
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from error
    print(f"{OUT.value}: {Path(OUT.value).stat().st_size / 1e6:.2f} MB")


def pack(run: Path, network: str | None, out: Path) -> None:
    """Writes one network of a run's best checkpoint, with the run's last evaluation if it came to its end.

    Parameters are their running average, where one was kept. network: None for the only one. Raises ValueError for a
    run without checkpoints or without that network, OSError where `out` cannot be written.
    """
    whole = read_variables(run / "checkpoints")
    if network is None and len(whole["params"]) == 1:
        (network,) = whole["params"]
    if network not in whole["params"]:
        raise ValueError(f"--network must be one of {', '.join(whole['params'])}, got {network!r}")
    variables = {kind: tree[network] for kind, tree in whole.items() if network in tree}
    result = run / "result.json"
    about = {"network": network, "result": json.loads(result.read_text("utf-8")) if result.is_file() else None}
    write_weights(out, variables, about)


if __name__ == "__main__":
    app.run(main)
