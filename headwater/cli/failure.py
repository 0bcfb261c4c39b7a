"""What is said when a command fails, and with which code it ends."""

from __future__ import annotations

import click

from headwater.errors import DeclarationError, HeadwaterError, ServerUnavailable, SettingsError

_LIKELY: tuple[tuple[type[BaseException], str, str], ...] = (
    (SettingsError, "a setting is missing, misspelt or out of range", "headwater config show --sources"),
    (ServerUnavailable, "the server is down or starting, or its address is wrong", "headwater doctor"),
    (
        DeclarationError,
        "a name is wrong, or the project's declarations lack something or contradict each other",
        "correct the declaration named above",
    ),
    (HeadwaterError, "the state of the system does not allow it", "headwater doctor"),
)


def exit_code(error: BaseException) -> int:
    """2 settings · 3 a server does not answer · 130 interrupted · 1 everything else."""
    first = _first(error)
    if isinstance(first, KeyboardInterrupt | click.Abort):
        return 130
    if isinstance(first, SettingsError):
        return 2
    return 3 if isinstance(first, ServerUnavailable) else 1


def explain(error: BaseException, *, verbose: bool) -> str:
    """What, likely why, what to do: three lines; before them the traceback, with `-v`."""
    first = _first(error)
    if isinstance(first, KeyboardInterrupt | click.Abort):
        return "interrupted"
    from headwater.telemetry.logs import safe_text, safe_trace  # noqa: PLC0415 (help needs no log lines)

    what = safe_text(first)
    why, do = "a defect of headwater or of the project", "run it again with -v, and report what it shows"
    if not isinstance(first, HeadwaterError):
        what = f"{type(first).__name__}: {what}"
    for kind, likely, remedy in _LIKELY:
        if isinstance(first, kind):
            why, do = likely, getattr(first, "hint", "") or remedy
            break
    lines = [f"error:   {what}", f"likely:  {why}", f"do:      {do}"]
    return "\n".join(([safe_trace(error)] if verbose else []) + lines)


def _first(error: BaseException) -> BaseException:
    """The one error that a task group wrapped, the most telling when there are several."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    inner = [_first(one) for one in error.exceptions]
    return next((one for one in inner if isinstance(one, HeadwaterError)), inner[0])
