"""Work handed to processes that may be ended: an answer within a time, or none."""

import asyncio
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import tpl

LONGEST = 2**28  # bytes of an answer
GRACE = 1.0  # seconds in which a withdrawn question may still be answered


class NoAnswer(Exception):
    """The work took too long, or ended its process."""


class Worker:
    """A process that answers one request at a time. It starts with the first one, and anew after it was ended."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._one = asyncio.Lock()
        self._asking: asyncio.Task[Any] | None = None

    async def ask(self, task: str, text: str, seconds: float) -> Any:
        """The result of a task on a text. Raises NoAnswer; then the process has been ended.

        A question that is withdrawn may still be answered for a moment: to begin anew takes longer.
        """
        asking = asyncio.create_task(self._exchange(task, text, seconds))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            asking.add_done_callback(lambda done: done.cancelled() or done.exception())
            if self._asking is asking:
                asyncio.get_running_loop().call_later(GRACE, asking.cancel)
            else:
                asking.cancel()
            raise

    async def _exchange(self, task: str, text: str, seconds: float) -> Any:
        async with self._one:
            self._asking = asyncio.current_task()
            try:
                return await asyncio.wait_for(self._answer({"task": task, "text": text}), seconds)
            except (TimeoutError, OSError, ValueError, EOFError) as problem:
                await self.stop()
                raise NoAnswer(f"{task}: {type(problem).__name__}") from None
            except asyncio.CancelledError:
                await self.stop()  # its answer would be taken for that to the next question
                raise
            finally:
                self._asking = None

    async def _answer(self, request: dict[str, str]) -> Any:
        process = self._process
        if process is None or process.returncode is not None:
            process = self._process = await _start()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(request).encode() + b"\n")
        await process.stdin.drain()
        reply = json.loads(await process.stdout.readuntil(b"\n"))
        if "error" in reply:
            raise NoAnswer(f"{request['task']}: {reply['error']}")
        return reply["result"]

    def kill(self) -> "asyncio.subprocess.Process | None":
        """End the process, whatever it does."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        return process

    async def stop(self) -> None:
        """End the process, and wait until it is gone."""
        process = self.kill()
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()


_BEGIN = "import sys; sys.path[:] = sys.argv[1:]; from tpl.editor.worker import main; main()"


def _paths() -> list[str]:
    """Where a worker finds modules: where this process does, but for the folder that is being edited in.

    Unless tpl itself lies there, as in a checkout.
    """
    home, here = str(Path(tpl.__file__).resolve().parents[1]), os.getcwd()
    return [x for x in map(os.path.abspath, sys.path) if x != here or x == home]


async def _start() -> asyncio.subprocess.Process:
    """A worker that imports the same tpl as this process."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-c", _BEGIN, *_paths(), stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, limit=LONGEST,
    )  # fmt: skip
