"""The report's list of a run's settings."""

import re
from collections.abc import Mapping
from html import escape
from typing import Any

from eacl_jax.config import Config


def settings_list(config: Mapping[str, Any]) -> str:
    """Every setting by group, folded away, those that differ from `Config()` marked."""
    defaults = Config()
    known = defaults.to_dict()
    groups: dict[str, Mapping[str, Any]] = {
        "general": {k: v for k, v in config.items() if not isinstance(v, Mapping)}
    }
    groups.update({k: v for k, v in config.items() if isinstance(v, Mapping)})
    tables, changed, total = [], 0, 0
    for group, content in groups.items():
        before = known if group == "general" else known.get(group, {})
        rows = []
        for key, value in content.items():
            same = key in before and _plain(value) == _plain(before[key])
            changed, total = changed + (not same), total + 1
            note = (
                ""
                if same
                else (
                    f' <span class="quiet">(default: {_setting(before[key])})</span>'
                    if key in before
                    else ""
                )
            )
            rows.append(
                f'<tr class="{"same" if same else "changed"}"><th'
                f' scope="row"><code>{escape(str(key))}</code></th>'
                f"<td>{_setting(value)}{note}</td></tr>"
            )
        about = (
            _first_sentence(type(getattr(defaults, group, None)).__doc__ or "")
            if group in known
            else ""
        )
        quiet = f' <span class="quiet">{escape(about)}</span>' if about else ""
        if rows:
            tables.append(
                "<table"
                f' class="settings"><caption>{escape(group)}{quiet}</caption>'
                f"<tbody>{''.join(rows)}</tbody></table>"
            )
    return (
        f"<details><summary>All {total} settings; {changed} differ from the defaults and are"
        " marked</summary>"
        f'<div class="settings-groups">{"".join(tables)}</div></details>'
    )


def _first_sentence(text: str) -> str:
    """Of a docstring, its lines joined."""
    beginning = " ".join(text.strip().split("\n\n")[0].split())
    return re.split(r"(?<=\.) ", beginning)[0]


def _plain(value: Any) -> Any:
    # A tuple that went through JSON is a list.
    return list(value) if isinstance(value, tuple | list) else value


def _setting(value: Any) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(_setting(item) for item in value) or '<span class="quiet">none</span>'
    return (
        f"<code>{escape(str(value))}</code>" if value != "" else '<span class="quiet">empty</span>'
    )
