"""A mail server that reports each message: `python -m benchmarks.sink`.

It writes its port, and then the time of each arrival in seconds, one a line.
"""

import asyncio
import time

from tests.support.smtp import MailServer, run_mail_server


async def _print_arrivals(sink: MailServer) -> None:
    printed = 0
    while True:
        await sink.arrival.wait()
        sink.arrival.clear()
        for _ in sink.mailbox[printed:]:
            print(time.monotonic(), flush=True)  # noqa: T201 - its result
        printed = len(sink.mailbox)


async def _main() -> None:
    async with run_mail_server() as sink:
        print(sink.port, flush=True)  # noqa: T201 - its result
        await _print_arrivals(sink)


if __name__ == "__main__":
    asyncio.run(_main())
