"""The command that opens the studio: `sparring studio`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from sparring.config import UserError
from sparring.flags import command, positional, text
from sparring.hosts import listening, loopback


def studio(arguments: Sequence[str]) -> None:
    """Watch, start and explore runs in the browser."""

    def run(
        runs: positional(str, "RUNS") = "runs",  # type: ignore[valid-type]
        data: str = ".",
        uploads: text("FOLDER") = None,  # type: ignore[valid-type]
        port: int = 7860,
        host: str = "127.0.0.1",
        open: bool = True,
    ) -> None:
        """Open a page in the browser: runs side by side and live, new ones started, models explored, the duel in 2-D.

        It needs no network, and what it starts goes on when it is closed. Its address holds a token made anew each
        time; without it nothing is answered.

        Args:
            runs: The folder of runs to show; new ones go there.
            data: Folders and files of data may be chosen in here, and nowhere else.
            uploads: Pictures that the page uploads are kept here; none: `uploads` beside the folder of runs.
            port: Of the address; 0 takes a free one.
            host: Where it listens. Any other than 127.0.0.1 lets other machines in: whoever has the token can then
                read these runs and start trainings on this machine, and what is sent is not encrypted.
            open: Open the browser.
        """
        serve(Path(runs), Path(data), Path(uploads) if uploads else None, host, port, open)

    command(run, arguments, "studio")


def serve(runs: Path, data: Path, uploads: Path | None, host: str, port: int, browser: bool) -> None:
    """Until Ctrl-C. `UserError` where the folders or the port cannot be used."""
    try:
        import uvicorn

        from sparring.studio.app import Settings, app
        from sparring.studio.guard import address
    except ImportError as error:
        raise UserError(f"sparring studio needs {error.name}: pip install 'sparring[studio]'") from None
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    data, runs = data.expanduser().resolve(), runs.expanduser().resolve()
    if not data.is_dir():
        raise UserError(f"data={data} is not a folder")
    if runs.exists() and not runs.is_dir():
        raise UserError(f"runs={runs} is not a folder")
    at = listening(host, port)
    kept = (uploads.expanduser() if uploads else runs.parent / "uploads").resolve()
    settings = Settings(runs, data, kept, host, at.getsockname()[1])
    opened = address(host, settings.port, token=settings.token)
    if not loopback(host):
        console.print(
            f"host={host}: other machines are let in. Whoever has the address below can read these runs and start "
            "trainings on this machine, and what is sent is not encrypted. Use it only in a network that you trust.",
            style="yellow",
        )
    console.print(f"the studio: {opened}\nCtrl-C closes it; trainings that it began go on", markup=False)
    if browser:
        import webbrowser

        webbrowser.open(address(host, settings.port, ticket=settings.ticket))
    config = uvicorn.Config(
        app(settings), log_level="warning", access_log=False, server_header=False, ws_max_size=2**20
    )
    config.timeout_graceful_shutdown = 2  # pages keep asking; they need not be waited for
    try:
        uvicorn.Server(config).run([at])
    finally:
        at.close()
