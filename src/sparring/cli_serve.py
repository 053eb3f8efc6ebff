"""The command that puts a trained model at an address: `sparring serve`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rich.console import Console

from sparring.config import UserError
from sparring.flags import command, positional


def serve(arguments: Sequence[str]) -> None:
    """A trained model as a service."""

    def run(
        path: positional(str, "RUN"),  # type: ignore[valid-type]
        host: str = "127.0.0.1",
        port: int = 8000,
        waiting: int = 64,
        rows: int = 64,
        upload: float = 8.0,
        timeout: float = 30.0,
        threads: int = 0,
        checkpoint: Literal["final", "best"] = "final",
        trust: bool = False,
    ) -> None:
        """Serve a trained model over HTTP: samples, interpolation, translation; /openapi.json describes them.

        Requests that come together go through the network together. There are no accounts: whoever reaches the address
        may ask. On 127.0.0.1, the usual one, that is this machine alone.

        Args:
            path: The run's folder, e.g. runs/cdcgan-mnist-1, or a model file made from one.
            host: The address to listen at; 0.0.0.0 is open to the network.
            port: 0 is any that is free.
            waiting: Requests that may wait; further ones are told when to come again.
            rows: Samples of one forward pass, at most.
            upload: Megabytes of an uploaded picture or text, at most.
            timeout: Seconds for an answer, and for an upload to arrive.
            threads: CPU threads; 0 is as many as training took.
            checkpoint: The end of training, or the best on the way there.
            trust: Run the code of your own that the run names.
        """
        from sparring import trained
        from sparring.serve.model import Limits
        from sparring.serve.run import serve as served

        least = {"waiting": waiting, "rows": rows, "upload": upload, "timeout": timeout}
        for name, value in least.items():
            if not 0 < value < 10**6:
                raise UserError(f"{name}={value} must be above 0, and below a million")
        if not 0 <= port < 2**16 or not 0 <= threads <= 1024:
            raise UserError(f"port={port} threads={threads}: ports are 0 to 65,535, threads 0 to 1,024")
        limits = Limits(waiting, rows, round(upload * 2**20), timeout)
        console = Console(stderr=True)

        def told(address: str) -> None:
            print(address, flush=True)
            console.print(f"{address}/openapi.json describes it; Ctrl-C ends it", markup=False, soft_wrap=True)

        served(trained.load(path, trust, checkpoint=checkpoint), host, port, limits, threads, told)

    command(run, arguments, "serve")
