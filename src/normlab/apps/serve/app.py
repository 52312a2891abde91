"""The playground as a web application: its tabs, its look, and what keeps it to itself.

Gradio asks the internet for fonts, news of its versions and statistics unless it is told otherwise: here it is told,
and the gate's policy forbids the browser what would be left.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from normlab.apps.serve.gate import App, Gate
from normlab.apps.serve.limits import Limits
from normlab.apps.serve.models import Models
from normlab.apps.serve.parts import Parts
from normlab.apps.serve.reports import Reports, WriteReport

QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_RUN_HISTORY": "False",
    "GRADIO_MCP_SERVER": "False",
    "GRADIO_SSR_MODE": "False",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
_CLEANING = (3600, 86400)  # every hour, uploads older than a day
_REPORT_HEADERS = {"content-security-policy": "sandbox allow-scripts allow-downloads allow-popups"}


def build_app(
    models: Models,
    *,
    write_report: WriteReport,
    resources: ExitStack,
    studies: Sequence[Path] = (),
    hosts: Collection[str] = ("localhost", "127.0.0.1"),
    addresses: bool = False,
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> App:
    """Return the playground as an ASGI application.

    Args:
        models: see `open_models`.
        write_report: how the report of a study is written.
        resources: closed by the caller when the server ends: temporary files, open databases.
        studies: folders or archives that the tab of studies offers.
        hosts, addresses: see `Gate`.
    """
    os.environ.update(QUIET)
    folder = Path(resources.enter_context(TemporaryDirectory(prefix="normlab-serve-")))
    os.environ["GRADIO_TEMP_DIR"] = str(folder / "uploads")
    import fastapi
    import gradio as gr

    parts = Parts(models, limits, folder, resources)
    reports = Reports(write_report, parts.folder_for("reports"), limits)
    server = fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @server.get("/reports/{name}")
    def report(name: str) -> Any:
        file = reports.file(name)
        if file is None:
            return fastapi.Response("normlab: no such report: open the study again\n", 404, media_type="text/plain")
        return fastapi.responses.FileResponse(file, media_type="text/html", headers=_REPORT_HEADERS)

    page = _page(parts, reports, studies)
    page.state_session_capacity = limits.pages
    mounted = gr.mount_gradio_app(
        server,
        page,
        path="/",
        footer_links=[],
        run_history=False,
        show_error=False,
        max_file_size=limits.upload,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        theme=_theme(),
        css_paths=Path(__file__).with_name("page.css"),
    )
    return Gate(mounted, {host.lower() for host in hosts}, addresses, limits)


_PRIVATE = "Everything is computed where `normlab serve` was started; nothing is sent anywhere else."


def _page(parts: Parts, reports: Reports, studies: Sequence[Path]) -> Any:
    import gradio as gr

    from normlab.apps.serve.database_tab import database_tab
    from normlab.apps.serve.image_tab import image_tab
    from normlab.apps.serve.study_tab import study_tab
    from normlab.apps.serve.text_tab import text_tab

    with gr.Blocks(
        title="normlab playground", analytics_enabled=False, delete_cache=_CLEANING, fill_width=True
    ) as page:
        gr.Markdown(f"# normlab playground\n{_PRIVATE}")
        with gr.Tab("Image", id="image"):
            image_tab(parts)
        with gr.Tab("Text", id="text"):
            text_tab(parts)
        with gr.Tab("Database", id="database"):
            database_tab(parts)
        with gr.Tab("Study", id="study"):
            study_tab(parts, reports, studies)
        for function, outputs in parts.loads:
            page.load(function, None, list(outputs), **parts.computing)
    page.queue(max_size=parts.limits.waiting, default_concurrency_limit=2, api_open=False)
    return page


def _theme() -> Any:
    """Return a theme whose fonts are those of the visitor's system."""
    import gradio as gr

    text = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "DejaVu Sans", "sans-serif")
    code = ("ui-monospace", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace")
    return gr.themes.Base(primary_hue="blue", neutral_hue="slate", font=list(text), font_mono=list(code))
