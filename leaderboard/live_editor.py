"""A text area that tells its text while one types; Streamlit's own tells it when it is left."""

import streamlit as st

PAUSE = 400  # milliseconds without a key before the text is told

HTML = '<label for="spec">Spec (YAML)</label><textarea id="spec" rows="22" spellcheck="false" wrap="off"></textarea>'
CSS = """
label { display: block; font: 14px var(--st-font); color: var(--st-text-color); margin-bottom: 0.25rem }
textarea { width: 100%; box-sizing: border-box; resize: vertical; padding: 0.5rem; font: 14px/1.5 var(--st-code-font);
  color: var(--st-text-color); background: var(--st-secondary-background-color);
  border: 1px solid var(--st-border-color); border-radius: var(--st-base-radius) }
textarea:focus { outline: 2px solid var(--st-primary-color) }
"""
# The text is set as a value, never as HTML. It is replaced from Python only with a new version: otherwise what is
# typed while an answer is on its way would be lost.
JS = """
export default function ({ parentElement, data, setStateValue }) {
  const area = parentElement.querySelector("textarea");
  if (area.dataset.version !== data.version) {
    area.value = data.text;
    area.dataset.version = data.version;
  }
  area.oninput = () => {
    clearTimeout(area.timer);
    area.timer = setTimeout(() => setStateValue("typed", { version: data.version, text: area.value }), data.pause);
  };
}
"""


def live_editor(text: str, version: str) -> str:
    """Show the text; give back what it has become.

    Args:
        text: to begin with.
        version: another one replaces what was typed.
    """
    # Registered with each run: a registration belongs to the server, and outlives no restart of it.
    editor = st.components.v2.component("fuseboard.live_editor", html=HTML, css=CSS, js=JS)
    start = {"version": version, "text": text}
    told = editor(
        key="live_editor",
        data={**start, "pause": PAUSE},
        default={"typed": start},
        on_typed_change=lambda: None,
    )
    typed = told.get("typed") or start
    return str(typed["text"]) if typed.get("version") == version else text
