"""The whole page: head, tabs, foot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from cyclegan import images
from cyclegan.demo.api import api
from cyclegan.demo.choice import choose_model
from cyclegan.demo.draw import draw_tab
from cyclegan.demo.guard import GuardedBlocks, guard
from cyclegan.demo.menu import Menu
from cyclegan.demo.model import model_tab
from cyclegan.demo.uploads import upload_tab
from cyclegan.demo.widgets import WEB, foot_line, message
from cyclegan.weights import WeightsError

PACKAGE = Path(__file__).parent
INSTALLED, CHECKED_OUT = PACKAGE / "examples", PACKAGE.parents[1] / "examples"
EXAMPLES = INSTALLED if INSTALLED.is_dir() else CHECKED_OUT
TEMPORARY_FILES_SECONDS = 3600  # as widgets.GONE says
EDIT_LINES = """(sketch, photo) =>
  document.dispatchEvent(new CustomEvent("edit-lines", { detail: { image: sketch.url, photo: photo?.url } }))"""


def build_demo(menu: Menu, examples: Path = EXAMPLES) -> gr.Blocks:
    """The whole page; if the default model cannot be loaded, it says so at the top and under each input."""
    try:
        model, problem = menu.get(), ""
    except WeightsError as error:
        model, problem = None, str(error)
    with GuardedBlocks(
        title="Sketch ↔ Photo",
        analytics_enabled=False,
        delete_cache=(TEMPORARY_FILES_SECONDS, TEMPORARY_FILES_SECONDS),
    ) as demo:
        gr.HTML(
            '<h1>Sketch ↔ Photo</h1><p class="lead">Draw something and watch it become a photo.</p>'
            '<p class="message" role="alert"></p>',
            elem_id="head", js_on_load=(WEB / "root_path.js").read_text(encoding="utf-8"),
        )  # fmt: skip
        if problem:
            gr.HTML(message(problem), elem_id="problem")
        foot = gr.HTML(foot_line(model and model.translator), render=False)
        choice = choose_model(menu, foot)
        with gr.Tabs() as tabs:
            with gr.Tab("Draw", id="draw"):
                draw_tab(menu, model, _files(examples / "sketches", "*.json"))
            with gr.Tab("Sketch → Photo"):
                upload_tab(menu, model, choice, "sketch_to_photo", _files(examples / "sketches", "*.png"), foot)
            with gr.Tab("Photo → Sketch"):
                photos = _files(examples / "photos", "*.jpg")
                drawn = upload_tab(menu, model, choice, "photo_to_sketch", photos, foot)
            with gr.Tab("Model"):
                model_tab(menu, choice)
        drawn.edit.click(None, [drawn.result, drawn.picture], js=EDIT_LINES)
        drawn.edit.click(lambda: gr.Tabs(selected="draw"), None, tabs, queue=False, api_visibility="private")
        foot.render()
        api(menu)

        gr.HTML('<p role="status"></p>', elem_id="status", js_on_load=(WEB / "names.js").read_text(encoding="utf-8"))
    return demo


def launch(demo: gr.Blocks, host: str, port: int, **options: Any) -> None:
    """Serves the page on `host`:`port`; nothing that it or the page does needs another host."""
    theme = gr.themes.Default(
        primary_hue="indigo",
        neutral_hue="zinc",
        font=("system-ui", "sans-serif"),
        font_mono=("ui-monospace", "monospace"),
    ).set(
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="*neutral_400",
        color_accent="*primary_600",  # 500 is too pale for letters, and for white ones on it
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
    )
    demo.launch(
        server_name=host,
        server_port=port,
        theme=theme,
        css_paths=[WEB / "style.css", WEB / "tabs.css"],
        footer_links=["api"],
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        max_file_size=images.MAX_FILE_BYTES,
        app_kwargs=guard(demo),
        **options,
    )


def _files(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.glob(pattern))
