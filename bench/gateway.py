"""The model gateway between a client and a provider, each in a process of its own.

Aims: 300 requests a second, under 5 ms added at the median, 200 streams at once, memory that stays flat.
"""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from common import table

from mleb_core.gateway import Gateway, Provider
from mleb_core.layout import RunLayout
from mleb_core.run import RunKey

TEXT = "A plan in some words, then code. " * 60  # about 2 kB, as replies of agents' models are
BODY = {"model": "mleb-model", "messages": [{"role": "user", "content": "x" * 8000}]}


async def ask(reader, writer, head: bytes, body: bytes) -> None:
    """One exchange over a connection that is kept."""
    writer.write(head + body)
    raw = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in raw.split(b"\r\n")[0], raw
    lines = dict(line.lower().split(b": ", 1) for line in raw.split(b"\r\n")[1:] if b": " in line)
    if b"content-length" in lines:
        await reader.readexactly(int(lines[b"content-length"]))
        return
    while size := int(await reader.readline(), 16):
        await reader.readexactly(size + 2)
    await reader.readline()


async def load(url: str, token: str, connections: int, count: int, stream: bool) -> list[float]:
    """Seconds of `count` exchanges on each of `connections` connections."""
    host, port = url.removeprefix("http://").split(":")
    body = json.dumps(BODY | ({"stream": True} if stream else {})).encode()
    lines = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n"
    head = f"{lines}content-length: {len(body)}\r\n\r\n".encode()

    async def one() -> list[float]:
        reader, writer = await asyncio.open_connection(host, int(port))
        taken = []
        for _ in range(count):
            start = time.perf_counter()
            await ask(reader, writer, head, body)
            taken.append(time.perf_counter() - start)
        writer.close()
        return taken

    return [seconds for part in await asyncio.gather(*(one() for _ in range(connections))) for seconds in part]


def client(url: str, token: str, connections: int, count: int, stream: bool = False) -> tuple[float, list[float]]:
    """The load from a process of its own: wall-clock seconds, and seconds of each exchange."""
    options = json.dumps([url, token, connections, count, stream])
    done = subprocess.run([sys.executable, __file__, "--load", options], stdout=subprocess.PIPE, check=True, text=True)
    wall, taken = json.loads(done.stdout)
    return wall, taken


@contextlib.contextmanager
def provider(*options: str):
    """A scripted provider in a process of its own."""
    command = [sys.executable, "-m", "mleb_core.testing.model_server", "--text", TEXT, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def megabytes() -> float:
    """Resident memory of this process, which runs the gateway."""
    return psutil.Process().memory_info().rss / 1e6


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--load", help=argparse.SUPPRESS)
    parser.add_argument("--requests", type=int, default=3000, help="for the throughput")
    options = parser.parse_args()
    if options.load:
        start = time.perf_counter()
        taken = asyncio.run(load(*json.loads(options.load)))
        print(json.dumps([time.perf_counter() - start, taken]))
        return
    rows = []
    with (
        tempfile.TemporaryDirectory() as root,
        provider() as plain,
        provider("--pieces", "40", "--pause", "0.1") as slow,
    ):
        providers = {
            name: Provider(name, f"{url}/v1", price_id="openai") for name, url in (("plain", plain), ("slow", slow))
        }
        with Gateway("plain/gpt-4o", providers=providers) as gateway:
            tokens = []
            for seed, model in enumerate(("plain/gpt-4o", "slow/gpt-4o")):
                layout = RunLayout(Path(root) / str(seed))
                layout.root.mkdir()
                key = RunKey(competition="bench", agent="bench", seed=seed)
                tokens.append(gateway.register_run(key, layout, models=model))
            client(gateway.url, tokens[0], 4, 20)
            pairs = [(client(plain, "x", 1, 100)[1], client(gateway.url, tokens[0], 1, 100)[1]) for _ in range(5)]
            direct, through = (
                statistics.median(seconds for run in runs for seconds in run) * 1000
                for runs in zip(*pairs, strict=True)
            )
            rows.append(("added at the median, one after another", "5 ms", f"{through - direct:.1f} ms"))
            rows.append(("  without / with the gateway", "", f"{direct:.1f} / {through:.1f} ms"))
            memory = []
            for _ in range(3):
                before = psutil.Process().cpu_times()
                wall, taken = client(gateway.url, tokens[0], 32, options.requests // 32)
                after = psutil.Process().cpu_times()
                cpu = (after.user + after.system - before.user - before.system) / len(taken) * 1000
                memory.append(megabytes())
                rows.append(("requests a second, 32 connections", "300", f"{len(taken) / wall:.0f}"))
                rows.append(("  processor time of the gateway for each", "", f"{cpu:.2f} ms"))
            rows.append(("memory after each third", "flat", ", ".join(f"{value:.0f} MB" for value in memory)))
            wall, taken = client(gateway.url, tokens[1], 200, 1, True)
            alone, _ = client(slow, "x", 1, 1, True)
            rows.append(("200 streams at once, of 40 pieces", f"{alone:.1f} s as one alone", f"{wall:.1f} s"))
            rows.append(("memory after it", "flat", f"{megabytes():.0f} MB"))
            assert not gateway.problems, gateway.problems
    table("Model gateway", ("what", "aim", "measured"), rows)


if __name__ == "__main__":
    main()
