"""The object store of the proofs of payment is gone, does not answer, or cuts uploads."""

import asyncio

from faults.case import Case
from faults.cases.proofs import refusing
from faults.load import LoadGenerator
from faults.stack import Layout, Stack

_SECONDS = 3.0
_LAYOUT = Layout(bucket=True, settings={"PROOF_STORE_TIMEOUT": "1"})


async def _gone(stack: Stack, load: LoadGenerator) -> None:
    assert stack.object_store is not None
    async with load.running():
        await load.wait_until_healthy()
        with refusing(load):
            buckets, stack.object_store.buckets = stack.object_store.buckets, {}
            await asyncio.sleep(_SECONDS)
            stack.object_store.buckets = buckets
        await load.wait_for_recovery()


async def _silent(stack: Stack, load: LoadGenerator) -> None:
    assert stack.object_store_proxy is not None
    async with load.running():
        await load.wait_until_healthy()
        with refusing(load):
            stack.object_store_proxy.forwards_replies.clear()
            await asyncio.sleep(_SECONDS)
            stack.object_store_proxy.forwards_replies.set()
        await load.wait_for_recovery()


async def _cut(stack: Stack, load: LoadGenerator) -> None:
    assert stack.object_store is not None
    async with load.running():
        await load.wait_until_healthy()
        with refusing(load):
            stack.object_store.cuts_bodies = True
            await asyncio.sleep(_SECONDS)
            stack.object_store.cuts_bodies = False
        await load.wait_for_recovery()


CASES = (
    Case("proofs-bucket-gone", "PROOF_STORE: bucket missing for a while", _gone, layout=_LAYOUT),
    Case("proofs-bucket-silent", "PROOF_STORE: no answer for 3 s", _silent, layout=_LAYOUT),
    Case("proofs-bucket-cut", "PROOF_STORE: uploads cut for 3 s", _cut, layout=_LAYOUT),
)
