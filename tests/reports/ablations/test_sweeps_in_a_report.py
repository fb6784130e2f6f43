"""A report with sweeps: sections beside the boards, verified like them, and nothing for who has none."""

import json
import re
import shutil
from html.parser import HTMLParser

import pandas as pd
import pytest

from reports.ablations.declared import read_sweeps
from reports.record import read_records
from reports.report import build_report, verify_report
from reports.sweep_files import sweep_files
from suite.home import Home
from suite.reporting import make_report, recompute
from tasks.errors import RequestError


@pytest.fixture(scope="session")
def _built(_depth, tmp_path_factory):
    """A report of the records and the declaration on disk."""
    root = tmp_path_factory.mktemp("home")
    shutil.copytree(_depth.root / "records", root / "records")
    folder = root / "sweeps" / "0123456789abcdef"
    folder.mkdir(parents=True)
    (folder / "sweep.json").write_text(json.dumps(_depth.said()))
    build_report(root / "records", root / "report", sweeps=read_sweeps(root / "sweeps"))
    return root


@pytest.fixture
def home(_built, tmp_path):
    """A copy of it that a test may damage."""
    return shutil.copytree(_built, tmp_path / "home")


@pytest.fixture
def plain(home):
    """The same with a report without figures, which is quick to verify."""
    build_report(
        home / "records", home / "report", formats=("md", "csv"), sweeps=read_sweeps(home / "sweeps")
    )
    return home


def contents(folder):
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


class Page(HTMLParser):
    """What a page would load or link to, its headings, and whether its tags close."""

    VOID = ("meta", "img", "circle", "path", "link", "br", "input")

    def __init__(self, text):
        super().__init__()
        self.targets, self.open, self.headings = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.targets += [value for name, value in attrs if name in ("src", "href", "xlink:href", "data")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_data(self, data):
        if self.open and self.open[-1] in ("h2", "h3") and data.strip():
            self.headings.append(data.strip())

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_every_format_has_a_section_of_ablations(home):
    report = home / "report"
    for name in ("index.html", "leaderboard.md", "leaderboard.tex", "ablations.csv"):
        text = re.sub(r"<[^>]+>|\\", "", (report / name).read_text(encoding="utf-8"))
        assert "4 is clearly better than 0 and 1" in text
    assert (report / "figures" / "sweep-0123456789abcdef-depth.png").is_file()
    assert (report / "figures" / "sweep-0123456789abcdef-depth.svg").is_file()


def test_the_page_stays_whole_by_itself_and_shows_each_question_with_its_figure(home):
    page = (home / "report" / "index.html").read_text(encoding="utf-8")
    found = Page(page)
    assert found.open == []
    assert all(target.startswith(("data:", "#")) for target in found.targets)
    assert found.headings[-3:] == ["amvur: depth", "Questions", "depth"]
    assert 'download="ablations.csv"' in page
    for words in ("What does depth do?", "the paper", "confirmed", "3/3", "reference", "could show"):
        assert words.lower() in page.lower()


def test_a_report_with_sweeps_verifies_and_names_its_numbers(home):
    assert verify_report(home / "report", home / "records") == []
    index = json.loads((home / "report" / "report.json").read_text())
    mine = [number for number in index["numbers"] if number["board"] == "sweep-0123456789abcdef"]
    assert {number["column"] for number in mine} == {"mpjpe_mm", "mpjpe_mm-difference"}
    assert len(mine) == 5
    difference = next(number for number in mine if number["column"] == "mpjpe_mm-difference")
    assert {
        "value",
        "low",
        "high",
        "n",
        "p",
        "p_holm",
        "sd",
        "sample_low",
        "sample_high",
        "detectable",
    } <= set(difference)
    assert difference["reference"]


@pytest.mark.parametrize("part", ["low", "p_holm", "detectable", "sd"])
def test_verify_finds_a_changed_number_of_a_sweep_in_the_index(plain, part):
    file = plain / "report" / "report.json"
    index = json.loads(file.read_text())
    number = next(number for number in index["numbers"] if number["column"] == "mpjpe_mm-difference")
    number[part] *= 1.01
    file.write_text(json.dumps(index))
    (problem,) = verify_report(plain / "report", plain / "records")
    assert problem.startswith(f"depth: 0, mpjpe_mm: {part} is")


def test_verify_finds_a_changed_number_of_a_sweep_in_its_csv_file(plain):
    file = plain / "report" / "ablations.csv"
    file.write_text(file.read_text().replace("clearly worse", "no clear difference"))
    assert verify_report(plain / "report", plain / "records") == [
        "ablations.csv is not what the records give"
    ]


def test_verify_finds_samples_that_changed_since(plain):
    file = sorted((plain / "records").glob("*/per_sample.parquet"))[0]
    table = pd.read_parquet(file)
    table.iloc[0, table.columns.get_loc("mpjpe_mm")] *= 1.001
    table.to_parquet(file)
    header = json.loads((file.parent / "record.json").read_text())
    header["files"]["per_sample.parquet"] = file.stat().st_size
    (file.parent / "record.json").write_text(json.dumps(header))
    problems = verify_report(plain / "report", plain / "records")
    assert any(problem.startswith("depth: ") for problem in problems)
    assert "ablations.csv is not what the records give" in problems


def test_records_that_came_later_change_nothing_of_what_verifies(plain, fabricate):
    fabricate(plain / "records", method="newcomer", level=1.0)
    assert verify_report(plain / "report", plain / "records") == []


def test_without_sweeps_a_report_says_nothing_of_them(home):
    build_report(home / "records", home / "plain")
    files = contents(home / "plain")
    assert "ablations.csv" not in files
    assert "sweeps" not in json.loads(files["report.json"])
    assert not any(
        b"study" in files[name] or b"Questions" in files[name] for name in ("index.html", "leaderboard.md")
    )


def test_a_report_of_one_task_has_the_sweeps_of_that_task_alone(home):
    sweeps = read_sweeps(home / "sweeps")
    build_report(home / "records", home / "other", task="two_hands", formats=("csv",), sweeps=sweeps)
    assert "ablations.csv" not in contents(home / "other")
    build_report(home / "records", home / "same", task="single_hand", formats=("csv",), sweeps=sweeps)
    assert "ablations.csv" in contents(home / "same")


def test_what_is_no_declaration_is_a_clear_error(home):
    with pytest.raises(RequestError, match="declaration of a sweep lacks"):
        build_report(home / "records", home / "none", sweeps=[{"task": "single_hand"}])


def test_one_sweep_by_itself_has_its_page_tables_and_figures(depth):
    records = read_records(depth.root / "records")
    files = sweep_files(depth.said(), records)
    assert set(files) == {
        "ablation.html", "ablation.md", "ablation.tex", "ablation.csv", "depth.svg", "depth.png",
    }  # fmt: skip
    assert files == sweep_files(depth.said(), reversed(records))
    assert files["depth.png"].startswith(b"\x89PNG")
    found = Page(files["ablation.html"].decode())
    assert found.open == []
    assert all(target.startswith(("data:", "#")) for target in found.targets)
    assert found.headings == ["amvur: depth", "Questions", "depth"]


def test_one_sweep_says_the_same_as_the_report(home, depth):
    files = sweep_files(depth.said(), read_records(home / "records"))
    assert files["ablation.csv"] == (home / "report" / "ablations.csv").read_bytes()
    tables = files["ablation.md"].decode().partition("\n\n")[2]
    assert (home / "report" / "leaderboard.md").read_text(encoding="utf-8").endswith(tables)


def test_a_sweep_without_any_record_has_tables_that_say_so_and_no_figures(depth):
    files = sweep_files(depth.said(), [])
    assert set(files) == {"ablation.html", "ablation.md", "ablation.tex", "ablation.csv"}
    assert "0/3" in files["ablation.md"].decode()


def test_names_from_declarations_are_text_and_never_markup(sweep):
    sweep.default().axis("depth", "layers", {"<b>deep": 12.0})
    sweep.axes[0]["question"] = "<script>alert(1)</script>?"
    files = sweep_files(sweep.said(), read_records(sweep.root / "records"))
    page = files["ablation.html"].decode()
    assert "<script>alert" not in page
    assert "<b>deep" not in page
    assert "&lt;b&gt;deep" in page


def test_the_command_reads_the_sweeps_beside_the_records(home):
    make_report(Home(home), home / "commanded", None, ("md", "csv"))
    files = contents(home / "commanded")
    assert files["ablations.csv"] == (home / "report" / "ablations.csv").read_bytes()
    assert recompute(Home(home), home / "commanded") == []
