"""The wheel: what pip asks of one, and the same bytes each time."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from email import message_from_bytes

from harness import __version__
from harness.remote.wheel import build_wheel


def test_a_wheel_names_all_that_it_holds_with_hashes() -> None:
    name, content = build_wheel()
    assert name == f"dl_feasibility_harness-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        names = file.namelist()
        (record,) = [entry for entry in names if entry.endswith(".dist-info/RECORD")]
        rows = list(csv.reader(io.StringIO(file.read(record).decode())))
        assert [row[0] for row in rows] == names
        for entry, digest, size in rows[:-1]:
            data = file.read(entry)
            found = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            assert (digest, int(size)) == (f"sha256={found}", len(data))
        folder = record.rpartition("/")[0]
        about = message_from_bytes(file.read(f"{folder}/METADATA"))
        assert about["Version"] == __version__
        assert any(need.startswith("pydantic") for need in about.get_all("Requires-Dist") or [])
        assert b"harness.cli:main" in file.read(f"{folder}/entry_points.txt")
        assert "harness/workload/__main__.py" in names
        assert "harness/catalog/models.toml" in names or "harness/catalog/images.toml" in names
        assert any(entry.startswith("harness/_docker/requirements/") for entry in names)
        assert not [entry for entry in names if "__pycache__" in entry]


def test_the_same_files_make_the_same_wheel() -> None:
    assert build_wheel() == build_wheel()
