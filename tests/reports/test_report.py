"""A report: byte-stable, self-contained, and unable to hide a changed number."""

import html
import json
import re
import shutil
from html.parser import HTMLParser

import pandas as pd
import pytest

from reports.report import FORMATS, build_report, leaderboard, verify_report
from tasks.errors import RequestError
from tasks.registry import PROTOCOLS

PUBLISHED = [
    {"method": "AMVUR", "layout": "freihand", "metric": "pa_mpjpe_mm", "value": 6.2, "source": "Table <3>"}
]


def contents(folder):
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


@pytest.fixture(scope="session")
def _built(_sweep, tmp_path_factory):
    out = tmp_path_factory.mktemp("built") / "report"
    build_report(_sweep, out, PUBLISHED)
    return out


@pytest.fixture
def report(_built, tmp_path):
    """A report of ``records_root``, built once; a copy that a test may damage."""
    return shutil.copytree(_built, tmp_path / "report")


@pytest.fixture
def plain_report(records_root, tmp_path):
    """A report without figures, which is quick to verify."""
    build_report(records_root, tmp_path / "plain", PUBLISHED, formats=("md", "csv"))
    return tmp_path / "plain"


class Links(HTMLParser):
    """Collects everything that a page would load or link to, and checks that its tags close."""

    VOID = ("meta", "img", "circle", "path", "link", "br", "input")

    def __init__(self):
        super().__init__()
        self.targets, self.open = [], []

    def handle_starttag(self, tag, attrs):
        self.targets += [value for name, value in attrs if name in ("src", "href", "xlink:href", "data")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_same_records_give_the_same_bytes_wherever_they_lie(records_root, report, tmp_path):
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for folder in sorted(records_root.iterdir(), reverse=True):
        shutil.copytree(folder, moved / f"copy-{folder.name}")
    build_report(moved, tmp_path / "again", PUBLISHED)
    assert contents(tmp_path / "again") == contents(report)


def test_a_report_holds_every_format_and_names_its_files(records_root, tmp_path):
    report = tmp_path / "report"
    outcome = build_report(records_root, report, PUBLISHED)
    names = {path.name for path in outcome.paths}
    assert {
        "index.html",
        "leaderboard.md",
        "leaderboard.tex",
        "leaderboard.csv",
        "differences.csv",
        "sensitivity.csv",
        "report.json",
    } <= names
    assert set(contents(report)) == {str(path.relative_to(report)) for path in outcome.paths}
    assert outcome.leaderboard_text == leaderboard(records_root)


def test_the_page_is_whole_by_itself(report):
    page = (report / "index.html").read_text(encoding="utf-8")
    links = Links()
    links.feed(page)
    assert links.open == []
    assert all(target.startswith(("data:", "#")) for target in links.targets)
    assert "@import" not in page
    assert not re.search(r"url\(\s*['\"]?https?:", page)


def test_the_page_shows_what_a_reader_needs(report):
    page = (report / "index.html").read_text(encoding="utf-8")
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    protocol = PROTOCOLS["freihand"]
    for words in (
        "synthetic data",
        f"Protocol {protocol.label}.",
        html.escape(protocol.text).replace("&#x27;", "&#39;"),
        "Paired differences",
        "no texture head",
        "Published on real data",
        "Table &lt;3&gt;",
        "config.training.epochs",
        "regressor",
        "supervision=weak",
    ):
        assert words in text
    assert page.count("data:image/webp;base64,") == 4
    assert page.count("<svg") == 4


@pytest.mark.parametrize("name", ["index.html", "leaderboard.md", "leaderboard.tex", "leaderboard.csv"])
def test_every_format_says_that_the_data_are_synthetic(report, name):
    assert "synthetic" in (report / name).read_text(encoding="utf-8")


def test_names_from_records_are_text_and_never_markup(tmp_path, fabricate):
    fabricate(tmp_path / "records", method_title="<script>alert(1)</script>", variant="<b>x")
    build_report(tmp_path / "records", tmp_path / "report", formats=("html",))
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "<b>x" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_an_honest_report_verifies(report, records_root):
    assert verify_report(report, records_root) == []


def test_verify_finds_a_changed_number_in_any_file(report, records_root):
    shown = json.loads((report / "report.json").read_text())["numbers"][0]["text"]
    names = ["index.html", "leaderboard.csv", "leaderboard.md", "leaderboard.tex"]
    for name in names:
        text = (report / name).read_text(encoding="utf-8")
        digit = re.search(rf"{shown[:-1]}(\d)", text)
        assert digit
        changed = str((int(digit[1]) + 1) % 10)
        (report / name).write_text(text[: digit.start(1)] + changed + text[digit.end(1) :], encoding="utf-8")
    assert verify_report(report, records_root) == [f"{name} is not what the records give" for name in names]


def test_verify_finds_a_changed_number_in_the_index(plain_report, records_root):
    index = json.loads((plain_report / "report.json").read_text())
    index["numbers"][3]["low"] += 0.01
    (plain_report / "report.json").write_text(json.dumps(index))
    (problem,) = verify_report(plain_report, records_root)
    assert index["numbers"][3]["metric"] in problem
    assert "low is" in problem


def test_verify_finds_samples_that_changed_since(plain_report, records_root):
    file = sorted(records_root.glob("*/per_sample.parquet"))[0]
    table = pd.read_parquet(file)
    table.iloc[0, table.columns.get_loc("mpjpe_mm")] *= 1.001
    table.to_parquet(file)
    header = json.loads((file.parent / "record.json").read_text())
    header["files"]["per_sample.parquet"] = file.stat().st_size
    (file.parent / "record.json").write_text(json.dumps(header))
    problems = verify_report(plain_report, records_root)
    assert any(problem.startswith(f"record {file.parent.name}: mpjpe_mm: value is") for problem in problems)
    assert any(problem.startswith("leaderboard: ") for problem in problems)
    assert "leaderboard.csv is not what the records give" in problems


def test_verify_names_a_record_that_is_gone_and_ignores_new_ones(plain_report, records_root, fabricate):
    fabricate(records_root, method="newcomer", level=1.0)
    assert verify_report(plain_report, records_root) == []
    shutil.rmtree(records_root / json.loads((plain_report / "report.json").read_text())["cells"][0])
    problems = verify_report(plain_report, records_root)
    assert len(problems) == 1
    assert "missing or not whole" in problems[0]


def test_verify_finds_a_missing_file(records_root, tmp_path):
    build_report(records_root, tmp_path / "report", formats=("md",))
    (tmp_path / "report" / "leaderboard.md").unlink()
    assert verify_report(tmp_path / "report", records_root) == ["leaderboard.md is missing"]


def test_verifying_a_folder_without_a_report_is_a_clear_error(tmp_path, records_root):
    with pytest.raises(RequestError, match="holds no report"):
        verify_report(tmp_path, records_root)


def test_a_new_report_removes_what_only_the_old_one_had_and_nothing_else(report, records_root):
    (report / "notes.txt").write_text("mine")
    build_report(records_root, report, formats=("md",))
    assert not (report / "index.html").exists()
    assert (report / "notes.txt").read_text() == "mine"
    assert verify_report(report, records_root) == []


def test_formats_may_be_chosen(records_root, tmp_path):
    build_report(records_root, tmp_path / "report", formats=("csv",))
    assert {p.suffix for p in (tmp_path / "report").iterdir() if p.is_file()} == {".csv", ".json"}


def test_unknown_format_and_task_name_the_nearest(records_root, tmp_path):
    with pytest.raises(RequestError, match="did you mean 'html'"):
        build_report(records_root, tmp_path / "report", formats=("htm",))
    with pytest.raises(RequestError, match="did you mean 'single_hand'"):
        build_report(records_root, tmp_path / "report", task="single_hands")
    assert not (tmp_path / "report").exists()


def test_a_folder_that_cannot_be_written_is_a_clear_error(records_root, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match="give a writable folder"):
        build_report(records_root, tmp_path / "file" / "report", formats=("csv",))


def test_no_records_still_make_a_page_that_says_so(tmp_path):
    outcome = build_report(tmp_path / "records", tmp_path / "report")
    assert "No records yet" in (tmp_path / "report" / "index.html").read_text()
    assert "No records yet" in outcome.leaderboard_text
    assert verify_report(tmp_path / "report", tmp_path / "records") == []


def test_a_half_copied_record_is_left_out(records_root, tmp_path):
    broken = sorted(records_root.iterdir())[0]
    (broken / "per_sample.parquet").write_bytes(b"PAR1")
    build_report(records_root, tmp_path / "report", formats=("csv",))
    cells = json.loads((tmp_path / "report" / "report.json").read_text())["cells"]
    assert broken.name not in cells
    assert len(cells) == 5


def test_every_number_of_the_report_names_its_metric_and_records(report, records_root):
    numbers = json.loads((report / "report.json").read_text())["numbers"]
    cells = {folder.name for folder in records_root.iterdir()}
    assert {number["table"] for number in numbers} == {"leaderboard", "differences", "every-metric", "ladder"}
    assert all(set(number["cells"]) <= cells and number["metric"] for number in numbers)
    assert all(number["reference"] for number in numbers if number["table"] == "differences")


def test_all_formats_are_the_documented_ones():
    assert FORMATS == ("html", "md", "tex", "csv")
