"""A policy as a TOML file that reads back equal."""

from __future__ import annotations

import json
from collections.abc import Sequence

from escrow.custody.policy import After, Form, KeyKind, Older, Path, Policy, Role
from escrow.custody.shape import check_shape


def write_policy(policy: Policy) -> str:
    """The policy as TOML. Raises BadInput("policy/value") if its shape is bad."""
    check_shape(policy)
    lines = [
        "[policy]",
        *(
            f"{key} = {_text(value)}"
            for key, value in (
                ("name", policy.name),
                ("title", policy.title),
                ("about", policy.about),
                ("source", policy.source),
                ("script", policy.script.value),
            )
        ),
    ]
    if policy.assumed:
        lines.append(f"assumed = {_texts(policy.assumed)}")
    if policy.accepts:
        lines.append(f"accepts = {_texts(policy.accepts)}")
    for role in policy.roles:
        lines += _role(role)
    for path in policy.paths:
        lines += _path(path)
    return "\n".join(lines) + "\n"


def _role(role: Role) -> list[str]:
    lines = ["", "[[role]]", f"name = {_text(role.name)}"]
    if role.holder != role.name:
        lines.append(f"holder = {_text(role.holder)}")
    if role.key is not KeyKind.SOFTWARE:
        lines.append(f"key = {_text(role.key.value)}")
    return lines


def _path(path: Path) -> list[str]:
    lines = [
        "",
        "[[path]]",
        f"name = {_text(path.name)}",
        f"threshold = {path.threshold}",
        f"roles = {_texts(path.roles)}",
    ]
    match path.lock:
        case After(moment=moment):
            lines.append(f"after = {_text(moment.value)}")
        case Older(seconds=seconds):
            lines.append(f"older = {_text(f'{seconds}s')}")
        case None:
            pass
    if path.form is not Form.SCRIPT:
        lines.append(f"form = {_text(path.form.value)}")
    if path.via:
        lines.append(f"via = {_text(path.via)}")
    if path.to:
        lines.append(f"to = {_text(path.to)}")
    if path.held_by:
        lines.append(f"held_by = {_texts(path.held_by)}")
    return lines


def _text(text: str) -> str:
    # A line of printable characters: JSON's escapes for it (\\ and \") are also TOML's.
    return json.dumps(text, ensure_ascii=False)


def _texts(texts: Sequence[str]) -> str:
    return "[" + ", ".join(map(_text, texts)) + "]"
