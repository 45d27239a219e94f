"""The engine that a process keeps."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest

from rowcast.engine import kept_engine, run
from rowcast.wiring import scratch

MB = 100


def test_the_engine_is_started_once_for_all_folders_beside(tmp_path: Path) -> None:
    with kept_engine(tmp_path / "first", MB) as first:
        pass
    with kept_engine(tmp_path / "second", MB) as second:
        assert second is first
        assert run(second, "SELECT 1") == [(1,)]


def test_after_an_error_another_one_is_started(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="in between"), kept_engine(tmp_path / "first", MB) as first:
        raise RuntimeError("in between")
    with pytest.raises(duckdb.ConnectionException):
        run(first, "SELECT 1")
    with kept_engine(tmp_path / "second", MB) as second:
        assert run(second, "SELECT 1") == [(1,)]


def test_who_needs_one_meanwhile_gets_another(tmp_path: Path) -> None:
    with kept_engine(tmp_path / "first", MB) as first, kept_engine(tmp_path / "second", MB) as second:
        assert first is not second
        spills = {run(each, "SELECT current_setting('temp_directory')")[0][0] for each in (first, second)}
        assert len(spills) == 2


def test_it_reads_and_writes_in_no_other_folder(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    (inside / "first").mkdir(parents=True)
    with kept_engine(inside / "first", MB) as connection:
        run(connection, f"COPY (SELECT 1) TO '{inside / 'first' / 'file.parquet'}'")
        with pytest.raises(duckdb.PermissionException):
            run(connection, f"COPY (SELECT 1) TO '{tmp_path / 'file.parquet'}'")


def test_scratch_folders_outlive_one_who_tidies_the_temporary_folder() -> None:
    with scratch() as folder:
        home = Path(folder).parent
    shutil.rmtree(home)
    with scratch() as folder, kept_engine(Path(folder), MB) as connection:
        assert Path(folder).parent == home
        run(connection, f"COPY (SELECT 1) TO '{folder}/file.parquet'")
