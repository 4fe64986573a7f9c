"""The house's rules, read off the imports."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "vae_core"
FLOORS = [
    {
        "errors", "version", "images", "progress", "scratch", "npz", "settings", "data", "model", "loss",
        "sketch", "pictures", "latent_space", "mixture", "evaluated", "class_words", "passwords",
        "generation",
    },
    {"run_record", "run_folder", "run_results", "runs", "inference", "export"},
    {"engine"},
    {"evaluation", "training"},
    {"quality", "benchmark", "parity", "archives"},
    {"jobs"},
    {"ui"},
    {"cli", "__main__"},
]  # fmt: skip
"""Files and folders of vae_core, from the ground up, as CONTRIBUTING.md lists them."""
SOURCES = sorted(path for path in PACKAGE.rglob("*.py"))


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not followed here"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_ui_knows_gradio_and_plotly(path: Path) -> None:
    roots = {name.split(".")[0] for name in imports_of(path)}
    if "ui" not in path.relative_to(PACKAGE).parts:
        assert not roots & {"gradio", "plotly", "fastapi", "uvicorn"}
        is_its_command = path == PACKAGE / "cli" / "app.py"
        assert is_its_command or not any(name.startswith("vae_core.ui") for name in imports_of(path))
    assert not roots & {"pickle", "marshal", "shelve"}


def test_a_file_imports_only_from_its_floor_and_those_below_and_never_in_a_circle() -> None:
    floor_of = {name: number for number, names in enumerate(FLOORS) for name in names}
    modules = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in SOURCES}
    assert {module.split(".")[0] for module in modules} == set(floor_of) | {"__init__"}
    graph: dict[str, set[str]] = {}
    for module, path in modules.items():
        graph[module] = imported = {name.removeprefix("vae_core.") for name in imports_of(path)} & set(
            modules
        )
        if module != "__init__":
            floor = floor_of[module.split(".")[0]]
            for below in imported:
                assert floor_of[below.split(".")[0]] <= floor, f"{module} imports {below}"
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_importing_the_package_and_listing_runs_needs_no_torch() -> None:
    code = (
        "import sys, vae_core, vae_core.runs, vae_core.__main__;"
        "assert not {'torch', 'gradio', 'plotly', 'torchvision', 'mlxtend', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PACKAGE.parent)


def test_the_page_answers_before_the_heavy_imports() -> None:
    code = "import sys, vae_core.ui.page; assert not {'torch', 'plotly', 'sklearn'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PACKAGE.parent)


def test_the_engine_works_on_a_cpu_without_gradio_plotly_pytorchs_compiler_and_its_kernels(
    small_mnist: Path,
) -> None:
    """Of which the compiler takes longer to import than all the rest of PyTorch, see adam.py."""
    code = (
        "import sys; sys.modules['gradio'] = sys.modules['plotly'] = sys.modules['torch._dynamo'] = None;"
        "from vae_core import VAE, Settings, elbo_loss, load_mnist, load_run, train; VAE()\n"
        f"images = load_mnist('train', {str(small_mnist)!r})\n"
        "for recipe in ('adam', 'soap'):"
        "    [*train(Settings(epochs=1, limit=256, device='cpu', optimizer=recipe), images)]\n"
        "assert 'vae_core.engine.kernels' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PACKAGE.parent)
