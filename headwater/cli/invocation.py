"""One call of the command line: what its global options said, and how it runs."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from headwater.cli.output import Output

if TYPE_CHECKING:
    import asyncio

    from headwater.config import Settings

T = TypeVar("T")


@dataclass
class Invocation:
    """Handed to every command by `@click.pass_obj`. Reading settings and running are put off until asked."""

    project_dir: Path = field(default_factory=Path.cwd)
    env_file: Path | None = None
    flags: Mapping[str, Any] = field(default_factory=dict)
    """Settings given as global options, by dotted name."""
    json: bool = False
    color: str = "auto"
    """auto, always or never."""
    verbosity: int = 0
    """Above 0: tracebacks and debug lines. Below: results and warnings only."""

    @property
    def verbose(self) -> bool:
        """Whether `-v` was given."""
        return self.verbosity > 0

    @property
    def quiet(self) -> bool:
        """Whether `-q` was given."""
        return self.verbosity < 0

    @cached_property
    def settings(self) -> Settings:
        """The settings in force. Raises SettingsError."""
        return self.load()

    @cached_property
    def out(self) -> Output:
        """Where results and notes go."""
        return Output(json=self.json, quiet=self.quiet, color=self.color)

    def load(self, flags: Mapping[str, Any] | None = None) -> Settings:
        """The settings with a command's own options, by dotted name, on top; None is not given.

        `settings` are these from then on. Raises SettingsError.
        """
        from headwater.config import environment, load  # noqa: PLC0415 (help needs no settings)

        level = {"log.level": "debug"} if self.verbose else {"log.level": "warning"} if self.quiet else {}
        together = {**level, **self.flags, **(flags or {})}
        self.settings = load(self.project_dir, environment(), together, env_file=self.env_file)
        return self.settings

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run to the end, log lines configured. Ctrl-C and SIGTERM cancel: KeyboardInterrupt."""
        from headwater.cli import running  # noqa: PLC0415 (help needs no event loop)

        try:
            settings = self.settings.log
        except BaseException:
            work.close()  # else Python warns that nobody awaited it, above the message that counts
            raise
        return running.run(work, settings)

    def serve(
        self,
        make: Callable[[asyncio.Event], Coroutine[Any, Any, T]],
        *,
        in_hand: Callable[[], int] | None = None,
    ) -> T:
        """Run what `make` gives until it ends by itself or has drained after a signal.

        The first Ctrl-C or SIGTERM sets the event that `make` was handed and says how much is
        `in_hand`; the second stops at once: KeyboardInterrupt.
        """
        from headwater.cli import running  # noqa: PLC0415 (help needs no event loop)

        return running.serve(make, self.settings.log, say=self.out.note, in_hand=in_hand)
