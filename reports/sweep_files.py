"""The files of one sweep by itself: its ablations as a page, Markdown, LaTeX, CSV and figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reports.record import Record


def sweep_files(
    said: Mapping[str, Any], records: Iterable[Record], published: Sequence[Mapping[str, Any]] = ()
) -> dict[str, bytes]:
    """File name -> bytes: ``ablation.html``, ``.md``, ``.tex``, ``.csv``; ``AXIS.svg`` and ``AXIS.png`` of each axis.

    ``said`` is what ``sweep.json`` says; of the records, those that the sweep asked for are used, and what it asked for
    beyond them is shown as not measured yet. The same records give the same bytes. Raises RequestError for what is no
    declaration.
    """
    from reports.ablations.figures import ablation_figures
    from reports.ablations.long import ablations_csv
    from reports.ablations.study import make_study
    from reports.ablations.tables import study_tables
    from reports.site.page import render_sweep_page, view_study
    from reports.table import to_latex, to_markdown

    study = make_study(said, {record.cell: record for record in records})
    drawings = {ablation: ablation_figures(ablation, published) for ablation in study.ablations}
    tables, csv = list(study_tables(study, published)), ablations_csv([study], published)
    page = render_sweep_page(view_study(study, published, drawings), {"ablation.csv": csv})
    texts = {
        "ablation.html": page,
        "ablation.md": "\n".join(["# Palmares ablations\n", *map(to_markdown, tables)]),
        "ablation.tex": "\n".join(["% Needs \\usepackage{booktabs,graphicx}.\n", *map(to_latex, tables)]),
        "ablation.csv": csv,
    }
    drawn = [drawing for some in drawings.values() for drawing in some]
    texts |= {f"{drawing.name}.svg": drawing.svg for drawing in drawn}
    files = {name: text.encode() for name, text in texts.items()}
    return files | {f"{drawing.name}.png": drawing.png for drawing in drawn}
