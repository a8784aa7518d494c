"""The choice of a model on the page, seen where there is more than one.

Every question carries the name of its model, so that the server need not know who has chosen what.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import gradio as gr

from cyclegan.demo.menu import Menu
from cyclegan.demo.widgets import foot_line, message
from cyclegan.weights import THREE_WAYS, WeightsError

TELL_THE_CANVAS = """(model) => document.dispatchEvent(new CustomEvent("choose-model", { detail: model }))"""


class Choice(NamedTuple):
    """What the tabs have to connect."""

    menu: gr.Dropdown
    """Its value is a name: what a question carries."""
    chosen: gr.State
    """The same once that model is loaded: its change is the moment to ask anew."""


def choose_model(menu: Menu, foot: gr.HTML) -> Choice:
    """The menu; a model that cannot be loaded is said, and the former stays."""
    with gr.Row(elem_classes="menu", visible=len(menu.names) > 1):
        dropdown = gr.Dropdown(menu.names, value=menu.default, label="Model", filterable=False)
        alert = gr.HTML(elem_classes="alert")
    chosen = gr.State(menu.default)

    def choose(name: Any, former: str) -> dict[Any, Any]:
        try:
            translator = menu.get(name).translator
        except WeightsError as error:
            return {dropdown: former, alert: message(str(error).removesuffix(THREE_WAYS))}
        return {chosen: name, alert: "", foot: foot_line(translator)}

    dropdown.input(
        choose, [dropdown, chosen], [dropdown, chosen, alert, foot], preprocess=False, show_progress_on=dropdown,
        trigger_mode="always_last", api_visibility="private",
    ).then(None, dropdown, js=TELL_THE_CANVAS)  # fmt: skip
    return Choice(dropdown, chosen)
