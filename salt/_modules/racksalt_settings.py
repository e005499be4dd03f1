"""
What the pillar may say to each built-in stage, below ``racksalt:stages:<stage>``: the one table of it.

Every stage asks ``checked`` before it does anything, in test mode, too. A misspelt key would otherwise be no
wish at all, and a stage that compares, loads or spares less than was asked for would pass. Stages that a site
declares by itself have settings of its own, which nothing here refuses. ``racksalt site check`` asks
``problems`` of the layers' files.
"""

import json
import math
import re

from salt.exceptions import CommandExecutionError

_LEVELS = ("raid0", "raid1", "raid4", "raid5", "raid6", "raid10", "linear")
_MEDIA = ("ssd", "hdd", "nvme", "unknown")
_REQUIRED = ("secure_boot", "bmc_password", "foreign_disks", "firmware")
_SHARE = re.compile(r"[0-9]+(\.[0-9]+)?%")

_ERASE = {"disks": "marks?", "verify": {"whole_mib": "whole", "samples": "whole"}}
_IMAGE = {"version": "version", "url": "text", "sha256": "text", "reboot": "truth"}
_ARRAY = {
    "name": "text!",
    "level": "level!",
    "devices": "whole!",
    "disks": "marks?",
    "match": {"media": "media", "model": "text", "size_gb_min": "number", "size_gb_max": "number"},
}
_MATCH = {
    **dict.fromkeys(("serial", "wwn", "model", "name"), "marks"),
    "min_gb": "number",
    "max_gb": "number",
    "rotational": "truth",
    "transport": "marks",
}
_USER = {"name": "text!", "ssh_keys": "texts?", "sudo": "truth?", "password_hash": "secret?"}

# Braces are a map with these keys ("*" for any), brackets a list of such maps; a word is one of _KINDS below. What has
# a word with "?" may stand without a value, what has one with "!" must be there.
STAGES = {
    "inventory": {"lldp_s": "number"},
    "firmware": {"baseline": {"*": "version"}, "images": {"*": _IMAGE}},
    "bios": {"settings": {"*": "plain"}},
    "raid": {"arrays": [_ARRAY], "overwrite": "truth?"},
    "burn_in": {
        "cpu_s": "number",
        "memory_mib": "share",
        "memory_s": "number?",
        "disk_s": "number?",
        "self_test_s": "number",
        "require_self_test": "truth?",
        "network_mib": "number",
        "disk_mib": "number",
    },
    "security": {"require": "required?", "allowed": {"*": "versions"}},
    "partition": {
        "disks": {"count": "whole?", "match": _MATCH},
        "raid": "text?",
        "root_gb": "number?",
        "filesystem": "text?",
        "partitions": [{"*": "plain"}],
    },
    "image": {"source": "text?"},
    "configure": {
        "users": [_USER],
        "ntp": "texts?",
        "timezone": "text?",
        "dns": {"servers": "texts?", "search": "texts?"},
        "hosts": {"*": "texts"},
        "console": "text?",
        "kernel_arguments": "text?",
    },
    "erase": _ERASE,
    "wipe": _ERASE,
}


def checked(stage, settings=None):
    """
    Return a stage's settings if all of them are such as it knows; one text where a list of texts belongs
    becomes a list of one. Raises an error that names each key that is wrong, and what would be right.

    stage
        the stage's name; a stage that is not built in has its settings returned as they are

    settings
        what the node's pillar has below ``racksalt:stages:<stage>``

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_settings.checked erase '{disks: all}'
    """
    told = [f"{key}: {message}; {hint}" for key, message, hint in problems(stage, settings)]
    if told:
        raise CommandExecutionError(". ".join(told))
    return _listed(STAGES.get(stage), {} if settings is None else settings)


def problems(stage, settings=None):
    """
    Return what is wrong with a stage's settings: ``[[key, message, hint]]``, empty for a stage that is not
    built in.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_settings.problems erase '{disk: [SER-2]}'
    """
    where = f"racksalt:stages:{stage}"
    found = _found(where, STAGES[stage], settings) if stage in STAGES else ()
    return [list(one) for one in found]


def _found(where, kind, value):
    if isinstance(kind, str):
        yield from _wrong_word(where, kind, value)
    elif value is not None:  # a map or list that nobody has written anything in
        yield from (_wrong_list if isinstance(kind, list) else _wrong_map)(where, kind, value)


def _wrong_map(where, kind, value):
    if not isinstance(value, dict):
        yield where, f"{_shown(value)} is no map", "write its keys below it, indented"
        return
    for key, one in value.items():
        inner = kind.get(key, kind.get("*"))
        if not isinstance(key, str):
            yield f"{where}:{key}", "this key is no text", "put it in quotes"
        elif inner is None:
            yield f"{where}:{key}", "no such key", f"use {', '.join(kind)}"
        else:
            yield from _found(f"{where}:{key}", inner, one)
    for key, inner in kind.items():
        if str(inner).endswith("!") and key not in value:
            yield f"{where}:{key}", "is missing", "say it"


def _wrong_list(where, kind, value):
    if not isinstance(value, (list, tuple)):
        yield where, f"{_shown(value)} is no list", "begin each of its parts with a hyphen"
        return
    for number, one in enumerate(value, 1):
        name = one.get("name") if isinstance(one, dict) else None
        yield from _wrong_map(f"{where}:{name if isinstance(name, str) else number}", kind[0], one)


def _wrong_word(where, kind, value):
    name = kind.rstrip("?!")
    fits, what, hint = _KINDS[name]
    several = name in _SEVERAL and isinstance(value, (list, tuple))
    for one in value if several else [value]:
        if not fits(one) and not (value is None and kind.endswith("?")):
            shown = "it" if name == "secret" else _shown(one, with_hex=name == "marks")
            yield where, f"{shown} is {what}", hint


def _shown(value, with_hex=False):
    if isinstance(value, (dict, list, tuple)):
        return "a map" if isinstance(value, dict) else "a list"
    if with_hex and type(value) is int:
        return f"{value} ({value:#x})"
    return json.dumps(value, ensure_ascii=False, default=str)[:80]


def _listed(kind, value):
    """Return the settings with a list wherever a list of texts belongs."""
    if isinstance(kind, dict) and isinstance(value, dict):
        return {key: _listed(kind.get(key, kind.get("*")), one) for key, one in value.items()}
    if isinstance(kind, list) and isinstance(value, (list, tuple)):
        return [_listed(kind[0], one) for one in value]
    is_one = isinstance(value, str) and str(kind).rstrip("?!") in _LISTS
    return [value] if is_one else value


def _is_text(value):
    return isinstance(value, str)


def _is_truth(value):
    return isinstance(value, bool)


def _is_number(value):
    is_one = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_one and math.isfinite(value) and value >= 0


def _is_whole(value):
    return _is_number(value) and isinstance(value, int)


def _is_share(value):
    return _is_number(value) or (_is_text(value) and bool(_SHARE.fullmatch(value)))


def _is_plain(value):
    return isinstance(value, (str, int, float))


_QUOTES = "put it in quotes"
_BARE = "write it without quotes"
_VERSION = f"{_QUOTES}: without them 1.10 is 1.1"

# Word -> what fits, what anything else is told to be, what to do about it.
_KINDS = {
    "text": (_is_text, "no text", _QUOTES),
    "texts": (_is_text, "no text", _QUOTES),
    "marks": (_is_text, "no text", _QUOTES),
    "secret": (_is_text, "no text", _QUOTES),
    "version": (_is_text, "no text", _VERSION),
    "versions": (_is_text, "no text", _VERSION),
    "number": (_is_number, "no number from 0 up", _BARE),
    "whole": (_is_whole, "no whole number from 0 up", _BARE),
    "truth": (_is_truth, "neither true nor false", _BARE),
    "share": (_is_share, "neither a number nor a share", 'use 4096 for MiB, or "75%"'),
    "plain": (_is_plain, "no text, number, true or false", "use one of these"),
    "level": (_LEVELS.__contains__, "no level", f"use {', '.join(_LEVELS)}"),
    "media": (_MEDIA.__contains__, "no kind of disk", f"use {', '.join(_MEDIA)}"),
    "required": (_REQUIRED.__contains__, "nothing to require", f"use {', '.join(_REQUIRED)}"),
}
# These may be a list, or one alone; `marks` stay as they are, for `disks: all` is no list.
_LISTS = ("texts", "versions", "required")
_SEVERAL = (*_LISTS, "marks")
