"""The page: the header with its choice of model, the five tabs, the API; and the server they live on."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI
from gradio.utils import LRUCache
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount

from vae_core.errors import DataError, RunError
from vae_core.passwords import read_passwords
from vae_core.run_record import RunInfo
from vae_core.runs import list_runs, tidy
from vae_core.settings import PRESETS
from vae_core.ui import api
from vae_core.ui.gate.guard import Access, Guard
from vae_core.ui.gate.login import Doorman, visitor
from vae_core.ui.gate.uploads import MOST_UPLOAD_BYTES
from vae_core.ui.lesson import TABS, Lesson, read_lesson
from vae_core.ui.parts import STATIC, ask_first, call, head_script, markup, part
from vae_core.ui.routes import add_routes
from vae_core.ui.routes.missing import nothing_here
from vae_core.ui.studio import Studio
from vae_core.ui.tabs import draw, errors, explore, generate, train
from vae_core.ui.theme import studio_theme
from vae_core.version import __version__

TEMPORARY_FILES_SECONDS = 3600
LEAST_PACKED_BYTES = 2048
PACKING = 5
"""Level of gzip: higher ones take longer than they save."""
MOST_QUEUED = 60
"""Calls of the named endpoints that wait; who comes then is told that the queue is full."""
MOST_SESSIONS = 200
"""Callers and open pages that Gradio remembers; a caller of one endpoint is a new one each time."""
QUEUE_SECONDS = 0.02
"""How long what is pressed or called may lie in Gradio's queue before it is seen."""


def build_app(
    runs_dir: Path,
    data_dir: str | None = None,
    device: str = "auto",
    access: Access | None = None,
    lesson: str | None = None,
    root_path: str | None = None,
) -> FastAPI:
    """The whole app, ready to be served.

    Args:
        runs_dir: where new runs go, read beside the shipped ones.
        data_dir: as `--data-dir` of the command line.
        device: where trainings compute unless a setting says otherwise.
        access: who may do what; by default everyone everything.
        lesson: what holds where an address does not say it, as it stands in one: see vae_core/ui/lesson.py.
        root_path: where a proxy serves the app, such as "/vae"; None at a site's root.

    Raises:
        RunError, DataError, SettingsError: a folder or the device cannot be what was named.
        LessonError: the lesson names something that is not there.
        PasswordError: the auth file cannot be read.
    """
    access = access or Access()
    doorman = None if access.auth_file is None else Doorman(read_passwords(access.auth_file))
    studio = Studio(runs_dir, data_dir, device, access.read_only)
    taught = Lesson() if lesson is None else read_lesson(lesson, list_runs(studio.runs_dir))
    app = FastAPI(title="VAE Studio", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    who = None if doorman is None else lambda request: visitor(request, gradio_app(app))
    add_routes(app, studio)
    page = build_page(studio, taught).queue(max_size=MOST_QUEUED, api_open=False)
    # Gradio keeps an entry of each call for ever, though the messages only of the newest 2000 sessions.
    page._queue.pending_event_ids_session = LRUCache(page._queue.pending_messages_per_session.max_size)
    # And its two loops look for work a thousand and a hundred times a second, a fifteenth of a core for ever.
    page._queue.sleep_when_free = page._queue.progress_update_sleep_when_free = QUEUE_SECONDS
    # Of each caller it keeps a copy of the page's description, 0.2 MB, of which nothing of ours may need more
    # than it began with.
    page.state_session_capacity = MOST_SESSIONS
    gr.mount_gradio_app(
        app,
        page,
        path="/",
        theme=studio_theme(),
        css_paths=[STATIC / "studio.css"],
        head=head_script("theme") + taught.head,
        footer_links=["api"],
        run_history=False,
        ssr_mode=False,
        max_file_size=MOST_UPLOAD_BYTES,
        root_path=root_path,
        show_error=False,  # a user's mistakes are shown all the same; what breaks is told to the log only
        auth=doorman and doorman.lets_in,
        auth_message=markup("login"),
    )
    # Gradio checks where a caller's files lie only in an app that was launched, which this one, mounted, is
    # not: without this line it copies any file of this machine to where it can be fetched.
    page.has_launched = True
    gradio_app(app).add_exception_handler(404, nothing_here(root_path))
    app.add_middleware(Guard, access=access, visitor=who, gradio=lambda: gradio_app(app))
    # Gradio packs its own scripts; the page, ours and the map are half a megabyte before they are packed.
    app.add_middleware(GZipMiddleware, minimum_size=LEAST_PACKED_BYTES, compresslevel=PACKING)
    threading.Thread(target=_get_ready, args=(studio,), daemon=True).start()
    return app


def gradio_app(app: FastAPI) -> Any:
    """The app of Gradio's that ours has taken in: the last thing mounted."""
    return next(route.app for route in reversed(app.routes) if isinstance(route, Mount))


def build_page(studio: Studio, lesson: Lesson) -> gr.Blocks:
    """The Gradio page."""
    with gr.Blocks(
        title="VAE Studio",
        analytics_enabled=False,
        fill_width=True,
        delete_cache=(TEMPORARY_FILES_SECONDS, TEMPORARY_FILES_SECONDS),
    ) as page:
        with gr.Row(elem_id="studio-header", equal_height=True):
            part("header", elem_id="studio-title")
            part("guide", elem_id="guide", is_worded=False)
            part("share", elem_id="share", is_worded=False)
            model = gr.Dropdown(
                label="Model",
                choices=_choices(studio),
                value=studio.first_model(),
                elem_id="model-choice",
                interactive=True,
                scale=0,
                min_width=310,
            )
        news = part("models", elem_id="models-news", is_worded=False, is_seen=False)
        link = part("link", elem_id="link", is_worded=False, is_seen=False)
        with gr.Tabs(overflow_behavior="wrap") as tabs:
            with _tab("explore") as explore_tab:
                explore.build()
            with _tab("draw") as draw_tab:
                draw.build()
            with _tab("train") as train_tab:
                preset = train.build(studio)
            with _tab("errors") as errors_tab:
                errors.build()
            with _tab("generate") as generate_tab:
                generate.build()
        part("theme", is_worded=False)
        api.build(studio)

        for tab in (explore_tab, draw_tab, train_tab, errors_tab, generate_tab):
            shown = call("link", "tabShown", str(tab.id))
            tab.select(None, None, None, js=shown, queue=False, api_visibility="private")
        link.change(
            None, None, tabs, js=ask_first("link", "tabToOpen"), queue=False, api_visibility="private"
        )
        link.input(
            None, None, model, js=ask_first("link", "modelOfNow"), queue=False, api_visibility="private"
        )

        model.change(
            None, model, None, js=call("studio", "chooseModel"), queue=False, api_visibility="private"
        )

        def opening(request: gr.Request) -> list[Any]:
            said = request.query_params
            choices = _choices(studio)
            model = lesson.of(said, "model", [name for _, name in choices])
            return [_refreshed(choices, model), lesson.of(said, "preset", PRESETS) or gr.skip()]

        page.load(
            opening, None, [model, preset], queue=False, show_progress="hidden", api_visibility="private"
        ).then(None, model, None, js=call("studio", "chooseModel"), api_visibility="private")  # fmt: skip
        news.change(
            lambda wanted: _refreshed(_choices(studio), wanted),
            model, model, js=ask_first("models", "modelToShow"),
            preprocess=False,  # which would look among the choices of when the app was started
            queue=False, show_progress="hidden", api_visibility="private",
        )  # fmt: skip
        train_tab.select(
            studio.desk.warm_up, None, None, queue=False, show_progress="hidden", api_visibility="private"
        )
    return page


def _tab(name: str) -> gr.Tab:
    return gr.Tab(TABS[name], id=name, elem_id=f"tab-{name}")


def _choices(studio: Studio) -> list[tuple[str, str]]:
    return [(_words(info), info.name) for info in studio.models()]


def _refreshed(choices: list[tuple[str, str]], chosen: str | None) -> gr.Dropdown:
    """With the choices of now; "" leaves the chosen one, and one that is gone gives way to the first."""
    if chosen == "":
        return gr.Dropdown(choices=choices)
    names = [name for _, name in choices]
    return gr.Dropdown(choices=choices, value=chosen if chosen in names else next(iter(names), None))


def _words(info: RunInfo) -> str:
    """A model as the choice names it; one that was stopped at once has learnt next to nothing."""
    unfinished = " · under 1 epoch" if info.epoch == 0 else ""
    state = " · training" if info.state == "running" else unfinished
    return f"{info.name}{state} · {info.settings.latent_dim} latents"  # what is cut off is its end


def _get_ready(studio: Studio) -> None:
    """Tidies up and loads the first model, while the browser still opens the page."""
    if not studio.read_only:
        tidy(studio.runs_dir)
    with suppress(RunError):  # damaged: said to whoever opens it
        if (name := studio.first_model()) is not None:
            studio.load(name)
    with suppress(DataError):  # said where images are needed
        studio.dataset()
