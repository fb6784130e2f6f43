import fcntl
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from tasks.errors import RequestError
from tasks.synthesis.unfinished import Unfinished, unfinished

REQUEST = {
    "generator": "palmares toys", "generator_version": 3, "seed": 5, "size": 7, "hand": "open",
    "hand_fingerprint": "0123456789abcdef",
}  # fmt: skip
NAME = ".out.toys-v3-01234567-s5-n7.unfinished"


@dataclass(frozen=True)
class Part:
    root: Path
    text: str


def make(part: Part) -> list[str]:
    (part.root / "deep").mkdir()
    (part.root / "deep" / f"{part.text}.txt").write_text(part.text)
    return [part.text]


def stop_after(out: Path, error: type[BaseException], *texts: str, **more: object) -> None:
    """Make these parts and stop by an error."""
    with unfinished(out, {**REQUEST, **more}) as work:
        for text in texts:
            work.finish(text, make, Part(Path(), text))
        raise error


def contents(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


def test_the_set_appears_when_all_is_done(tmp_path: Path) -> None:
    with unfinished(tmp_path / "deep" / "out", REQUEST) as work:
        work.finish("a", make, Part(Path(), "a"))
        (work.root / "last").write_text("1")
        assert not (tmp_path / "deep" / "out").exists()
        assert [path.name for path in (tmp_path / "deep").iterdir()] == [NAME]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]
    assert contents(tmp_path / "deep" / "out") == {"deep/a.txt": "a", "last": "1"}


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with unfinished(tmp_path / "out", REQUEST) as work:
        (work.root / "a").touch()
    assert (tmp_path / "out" / "a").exists()


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_a_failure_before_anything_is_finished_leaves_nothing(
    tmp_path: Path, error: type[BaseException]
) -> None:
    with pytest.raises(error):
        stop_after(tmp_path / "out", error)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_what_is_finished_is_there_for_the_next_call(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error):
        stop_after(tmp_path / "out", error, "a", "b")
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    with unfinished(tmp_path / "out", REQUEST) as work:
        assert [work.is_finished(key) for key in "abc"] == [True, True, False]
        assert work.result("b") == ["b"]
        work.finish("c", make, Part(Path(), "c"))
    assert contents(tmp_path / "out") == {f"deep/{text}.txt": text for text in "abc"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    "other", [{"seed": 6}, {"size": 8}, {"generator_version": 4}, {"hand_fingerprint": "1" * 16}]
)
def test_another_request_takes_nothing_of_it(tmp_path: Path, other: dict) -> None:
    with pytest.raises(KeyboardInterrupt):
        stop_after(tmp_path / "out", KeyboardInterrupt, "a")
    with unfinished(tmp_path / "out", {**REQUEST, **other}) as work:
        assert not work.is_finished("a")
    assert contents(tmp_path / "out") == {}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]  # the place is taken


def test_what_is_unfinished_elsewhere_stays(tmp_path: Path) -> None:
    for name in ("out.more", "other"):
        with pytest.raises(KeyboardInterrupt):
            stop_after(tmp_path / name, KeyboardInterrupt, "a")
    before = {path.name for path in tmp_path.iterdir()}
    with unfinished(tmp_path / "out", REQUEST):
        pass
    assert {path.name for path in tmp_path.iterdir()} == before | {"out"}


def damage_note(folder: Path) -> None:
    note = folder / "parts" / "a.json"
    note.write_text(note.read_text()[:-3])


def damage_file(folder: Path) -> None:
    (folder / "set" / "deep" / "a.txt").write_text("")


def remove_file(folder: Path) -> None:
    (folder / "set" / "deep" / "a.txt").unlink()


def empty_note(folder: Path) -> None:
    (folder / "parts" / "a.json").write_text(json.dumps([]))


@pytest.mark.parametrize("damage", [damage_note, damage_file, remove_file, empty_note])
def test_a_damaged_part_is_not_finished(tmp_path: Path, damage) -> None:
    with pytest.raises(KeyboardInterrupt):
        stop_after(tmp_path / "out", KeyboardInterrupt, "a", "b")
    damage(tmp_path / NAME)
    with unfinished(tmp_path / "out", REQUEST) as work:
        assert [work.is_finished(key) for key in "ab"] == [False, True]
        work.finish("a", make, Part(Path(), "a"))
        assert work.is_finished("a")
    assert contents(tmp_path / "out") == {"deep/a.txt": "a", "deep/b.txt": "b"}


def test_a_part_that_was_being_written_leaves_nothing_in_the_set(tmp_path: Path) -> None:
    def fail(part: Part) -> None:
        make(part)
        raise KeyboardInterrupt

    def write() -> None:
        with unfinished(tmp_path / "out", REQUEST) as work:
            work.finish("a", make, Part(Path(), "a"))
            work.finish("b", fail, Part(Path(), "b"))

    with pytest.raises(KeyboardInterrupt):
        write()
    assert contents(tmp_path / NAME / "set") == {"deep/a.txt": "a"}
    with unfinished(tmp_path / "out", REQUEST) as work:
        assert not work.is_finished("b")
        assert not list((tmp_path / NAME / "doing").iterdir())


def test_a_second_process_is_told_that_the_set_is_being_made(tmp_path: Path) -> None:
    with unfinished(tmp_path / "out", REQUEST) as work:
        work.finish("a", make, Part(Path(), "a"))
        with (
            pytest.raises(RequestError, match="out is being made by another process: wait for it"),
            unfinished(tmp_path / "out", REQUEST),
        ):
            pass
        assert work.is_finished("a")
    assert contents(tmp_path / "out") == {"deep/a.txt": "a"}


def test_a_folder_that_vanished_while_its_lock_was_taken_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first process finishes between our opening of its lock and our getting it."""
    flock, taken = fcntl.flock, []

    def finish_first(file, how: int) -> None:
        if not taken:
            taken.append((tmp_path / NAME / "lock").unlink())
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", finish_first)
    with unfinished(tmp_path / "out", REQUEST) as work:
        assert (work.folder / "lock").exists()
        work.finish("a", make, Part(Path(), "a"))
    assert contents(tmp_path / "out") == {"deep/a.txt": "a"}


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RequestError("too bad."), r"^too bad\. What is finished is kept: the same command goes on"),
        (OSError(28, "No space", "/full"), r"^cannot write /full: No space\. What is finished is kept"),
    ],
)
def test_errors_say_that_what_is_finished_is_kept(tmp_path: Path, error: Exception, said: str) -> None:
    def write() -> None:
        with unfinished(tmp_path / "out", REQUEST) as work:
            work.finish("a", make, Part(Path(), "a"))
            raise error

    with pytest.raises(RequestError, match=said):
        write()


def test_a_full_folder_and_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(RequestError, match="is not empty"), unfinished(tmp_path, REQUEST):
        pass
    with pytest.raises(RequestError, match="is a file"), unfinished(tmp_path / "a", REQUEST):
        pass


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(RequestError, match=r"cannot write .*a"), unfinished(tmp_path / "a" / "out", REQUEST):
        pass


def test_data_that_appeared_meanwhile_are_kept(tmp_path: Path) -> None:
    def write() -> None:
        with unfinished(tmp_path / "out", REQUEST):
            (tmp_path / "out").mkdir()
            (tmp_path / "out" / "theirs").touch()

    with pytest.raises(RequestError, match="is not empty"):
        write()
    assert (tmp_path / "out" / "theirs").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_folder_of_a_set_is_a_value(tmp_path: Path) -> None:
    """Processes get it by pickle."""
    assert Unfinished(tmp_path).root == tmp_path / "set"
