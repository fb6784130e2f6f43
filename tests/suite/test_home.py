"""The home folder: where it is, and what is said when it cannot be."""

import os

import pytest

from suite.home import Home, read_json, write_json
from tasks.errors import RequestError


def test_the_home_folder_is_runs_unless_the_environment_says_otherwise(monkeypatch, tmp_path):
    monkeypatch.delenv("PALMARES_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    assert Home.from_environment().root == tmp_path / "runs"
    monkeypatch.setenv("PALMARES_HOME", str(tmp_path / "elsewhere"))
    assert Home.from_environment().root == tmp_path / "elsewhere"


def test_a_uri_is_refused(monkeypatch):
    monkeypatch.setenv("PALMARES_HOME", "s3://bucket/home")
    with pytest.raises(RequestError, match="expected a folder"):
        Home.from_environment()


def test_a_home_that_cannot_be_written_is_refused_with_its_name(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(RequestError, match=r"file.*cannot be written"):
        Home(blocked / "home").require_writable()


def test_json_is_written_whole_and_leaves_nothing_beside(tmp_path):
    write_json(tmp_path / "a" / "x.json", {"b": 1})
    assert read_json(tmp_path / "a" / "x.json") == {"b": 1}
    assert os.listdir(tmp_path / "a") == ["x.json"]


@pytest.mark.parametrize("content", ["", '{"cut": ', "\x00"])
def test_a_damaged_json_file_reads_as_nothing(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    assert read_json(tmp_path / "x.json") is None
