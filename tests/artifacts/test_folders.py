"""How files are uploaded; all else about folders is tested through the store."""

from __future__ import annotations

import pytest

from palio.artifacts.folders import part_bytes


@pytest.mark.parametrize("size_bytes", [0, 1, 5 << 30, (5 << 40) - 1, 5 << 40])
def test_a_file_has_no_more_parts_than_s3_takes(size_bytes: int) -> None:
    # Amazon S3 user guide, "multipart upload limits": 10,000 parts, 5 MiB to 5 GiB each
    part = part_bytes(size_bytes)
    assert 5 << 20 <= part <= 5 << 30
    assert size_bytes <= 10_000 * part


def test_most_files_go_in_small_parts() -> None:
    assert part_bytes(100 << 30) == 16 << 20
