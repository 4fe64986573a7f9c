"""`parity`: the reference recipe beside the MathWorks example."""

from __future__ import annotations

import dataclasses
import json

from rich.markup import escape
from rich.table import Table

from vae_core.cli.options import AsJson, DataDir
from vae_core.cli.output import load, out


def parity(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Compare the reference recipe with the MathWorks example, line by line, as this code really does it."""
    from vae_core.parity import parity as compare

    lines = compare(load(data_dir, quiet=as_json))
    if as_json:
        print(json.dumps({"lines": [dataclasses.asdict(line) for line in lines]}))
        return
    agreeing = sum(line.agrees for line in lines)
    table = Table("", "MathWorks example", "here", "", title=f"{agreeing} of {len(lines)} lines agree")
    for line in lines:
        here = line.here if line.agrees or not line.note else f"{line.here}\n{line.note}"
        table.add_row(
            escape(f"{line.part}: {line.what}"), escape(line.mathworks), escape(here),
            "agrees" if line.agrees else "differs",
        )  # fmt: skip
    out.print(table)
