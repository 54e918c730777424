"""The share of quality that each severity leaves on held-out images, beside the share that calibration measured.

    python benchmarks/severities.py tests/realdata/calibration.yaml --output build/severities.json

The images are those of the config's split `test`, which calibration never uses. The table has, for every type, the
share that is left of the label workers' mean true-class probability on pristine images, at severity 1 to 5.
"""

import argparse
import json
from pathlib import Path

from metrifier_core.config.run import load_config
from metrifier_core.distortions import default_severities, get_distortion, list_distortions, read_severities
from metrifier_core.stages.severity_calibration import open_meter


def main() -> None:
    """Print the table and write it as JSON, type by type."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--levels", type=Path, help="a file of `metrifier distort calibrate`; the package's by default")
    parser.add_argument("--split", default="test")
    parser.add_argument("--images", type=int, default=1000, help="use at most this many")
    parser.add_argument("--types", nargs="+", default=list_distortions())
    parser.add_argument("--output", type=Path, default=Path("build/severities.json"))
    arguments = parser.parse_args()

    table = default_severities() if arguments.levels is None else read_severities(arguments.levels)
    settings = load_config(arguments.config)
    rows: dict[str, list[float]] = {}
    largest = 0.0
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    with open_meter(settings, arguments.split, arguments.images) as meter:
        print(f"{meter.images} images of the split '{arguments.split}'; in brackets what calibration measured,")
        print("with * where it found the target out of reach\n")
        print("| distortion | " + " | ".join(f"{target:.0%}" for target in table.targets) + " |")
        print("| --- |" + " --- |" * len(table.targets))
        for name in arguments.types:
            entry = table.distortions[name]
            rows[name] = meter.shares(get_distortion(name), entry.levels)
            cells = []
            for severity, (share, promised) in enumerate(zip(rows[name], entry.tcp, strict=True), start=1):
                missed = severity in entry.unreachable
                largest = max(largest, abs(share - promised))
                cells.append(f"{share:.2f} ({promised:.2f}{'*' if missed else ''})")
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
            arguments.output.write_text(json.dumps({"images": meter.images, "shares": rows}, indent=2) + "\n")
    print(f"\nthe largest difference to the calibration is {largest:.3f}")


if __name__ == "__main__":
    main()
