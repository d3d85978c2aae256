"""Start engage and run the reference clients and audits from npm against it. Needs Node.js 20 or later, with npm."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.e2e.programs import dev_running

FOLDER = Path(__file__).parent


def main() -> int:
    """Answers the exit code: 0 when all of it passed."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        sys.stderr.write("This needs Node.js 20 or later, with npm.\n")
        return 1
    subprocess.run([npm, "ci", "--ignore-scripts", "--silent"], cwd=FOLDER, check=True)
    suites = sys.argv[1:] or sorted(path.name for path in FOLDER.glob("*.test.mjs"))
    with tempfile.TemporaryDirectory() as place, dev_running(Path(place) / "dev") as dev:
        under_test = json.dumps({"url": dev.info["url"], "tokens": dev.info["tokens"]})
        environment = os.environ | {"ENGAGE_UNDER_TEST": under_test}
        return subprocess.run([node, "--test", *suites], cwd=FOLDER, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
