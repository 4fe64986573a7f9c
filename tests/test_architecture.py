"""The house's rules, read off the imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "vae_core"
FLOORS = [
    {"errors", "version", "progress"},
    {"npz", "scratch", "kernels", "adam"},
    {
        "settings", "model", "loss", "data", "sketch", "pictures", "evaluated", "advice", "latent_space",
        "mixture", "soap", "class_words", "passwords", "generation",
    },
    {"run_record", "inference", "export"},
    {"run_folder"},
    {"runs"},
    {"jobs", "evaluation"},
    {"gradients", "classifier", "inspection", "distributed", "machine_slot", "devices", "training_state"},
    {"cuda_graph", "fused_step", "failures", "stop_signals", "placement"},
    {"training"},
    {"following", "previews"},
    {"recording", "sample_quality", "benchmark", "parity", "archives"},
    {"assessment"},
    {"training_desk"},
    {"worker", "__main__"},
]  # fmt: skip
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


def test_a_file_imports_only_from_floors_below() -> None:
    floor_of = {name: number for number, names in enumerate(FLOORS) for name in names}
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert modules == set(floor_of)
    for module in modules:
        for name in imports_of(PACKAGE / f"{module}.py"):
            package, _, below = name.partition(".")
            below = below.split(".")[0]
            if package == "vae_core" and below in modules:
                assert floor_of[below] < floor_of[module], f"{module} imports {below}"
            assert not name.startswith("vae_core.cli") or module == "__main__", f"{module} imports {name}"


def test_importing_the_package_and_listing_runs_needs_no_torch() -> None:
    code = (
        "import sys, vae_core, vae_core.runs, vae_core.__main__;"
        "assert not {'torch', 'gradio', 'plotly', 'torchvision', 'mlxtend', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PACKAGE.parent)


def test_the_page_answers_before_the_heavy_imports() -> None:
    code = "import sys, vae_core.ui.page; assert not {'torch', 'plotly', 'sklearn'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PACKAGE.parent)


def test_the_engine_works_without_gradio_plotly_and_pytorchs_compiler(small_mnist: Path) -> None:
    """Of which the compiler takes longer to import than all the rest of PyTorch, see adam.py."""
    code = (
        "import sys; sys.modules['gradio'] = sys.modules['plotly'] = sys.modules['torch._dynamo'] = None;"
        "from vae_core import VAE, Settings, elbo_loss, load_mnist, load_run, train; VAE()\n"
        f"images = load_mnist('train', {str(small_mnist)!r})\n"
        "for recipe in ('adam', 'soap'):"
        "    [*train(Settings(epochs=1, limit=256, device='cpu', optimizer=recipe), images)]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PACKAGE.parent)
