from pathlib import Path

import pytest

from tasks.errors import RequestError
from tasks.synthesis.atomic_folder import atomic_folder


def test_the_folder_appears_when_all_is_done(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "deep" / "out") as partial:
        (partial / "a").write_text("1")
        assert not (tmp_path / "deep" / "out").exists()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]
    assert (tmp_path / "deep" / "out" / "a").read_text() == "1"


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with atomic_folder(tmp_path / "out") as partial:
        (partial / "a").touch()
    assert (tmp_path / "out" / "a").exists()


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def write() -> None:
        with atomic_folder(tmp_path / "out") as partial:
            (partial / "a").touch()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert list(tmp_path.iterdir()) == []


def test_a_full_folder_and_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(RequestError, match="is not empty"), atomic_folder(tmp_path):
        pass
    with pytest.raises(RequestError, match="is a file"), atomic_folder(tmp_path / "a"):
        pass


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(RequestError, match=r"cannot write .*a"), atomic_folder(tmp_path / "a" / "out"):
        pass


def test_data_that_appeared_meanwhile_are_kept(tmp_path: Path) -> None:
    def write() -> None:
        with atomic_folder(tmp_path / "out"):
            (tmp_path / "out").mkdir()
            (tmp_path / "out" / "theirs").touch()

    with pytest.raises(RequestError, match="is not empty"):
        write()
    assert (tmp_path / "out" / "theirs").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
