"""Make `<version>.db` and `<version>.events` here: the small run as this build writes it. Once per release.

python tests/store/old/make.py
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from small_runs import read, written  # noqa: E402

from tunesmith import __version__  # noqa: E402


def main() -> None:
    target = HERE / f"{__version__}.db"
    if target.exists():
        sys.exit(f"{target} is there already: an old journal is never made anew.")
    with tempfile.TemporaryDirectory() as folder:
        written(Path(folder))
        target.write_bytes((Path(folder) / "journal.db").read_bytes())
        lines = [f"{event!r}\n" for event in read(Path(folder))]
    target.with_suffix(".events").write_text("".join(lines))


if __name__ == "__main__":
    main()
