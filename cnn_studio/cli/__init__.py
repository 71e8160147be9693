"""The command line: a thin face over ``tasks``. No Qt is needed for any of it but the window."""

from cnn_studio.cli.commands import run

__all__ = ["run"]
