"""A real object store: Ceph's RADOS Gateway, with a monitor and one OSD in memory.

The packages of Debian 12 are downloaded once into var/ceph and unpacked there. The servers need no
root.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Final
from uuid import uuid4

import httpx
import obstore
import pytest
from obstore.store import S3Store

from tests.support.object_store import ACCESS_KEY, REGION, SECRET_KEY
from tests.support.paths import ROOT
from tests.support.server import free_port

_PLACE: Final = ROOT / "var" / "ceph"
_RELEASE: Final = "16.2.15"
_CEPH: Final = ("ceph-base", "ceph-common", "ceph-mon", "ceph-osd", "radosgw")
_LIBRARIES: Final = (
    "libaio1",
    "libblkid1",
    "libboost-context1.74.0",
    "libboost-filesystem1.74.0",
    "libboost-iostreams1.74.0",
    "libboost-thread1.74.0",
    "libcurl3-gnutls",
    "libdaxctl1",
    "libexpat1",
    "libfmt9",
    "libfuse2",
    "libibverbs1",
    "libicu72",
    "libkmod2",
    "libldap-2.5-0",
    "libleveldb1d",
    "liblua5.3-0",
    "liblz4-1",
    "libndctl6",
    "libnl-3-200",
    "libnl-route-3-200",
    "liboath0",
    "libpmem1",
    "librabbitmq4",
    "librados2",
    "libradosstriper1",
    "librbd1",
    "librdmacm1",
    "librgw2",
    "librtmp1",
    "libsasl2-2",
    "libsnappy1v5",
    "libssh2-1",
)
_START_SECONDS: Final = 120.0

_CONFIGURATION: Final = """
[global]
fsid = {fsid}
mon_host = [v2:127.0.0.1:{port}]
mon_initial_members = a
mon_data = {place}/mon
mon_allow_pool_size_one = true
mon_data_avail_crit = 0
osd_data = {place}/osd
osd_objectstore = memstore
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_crush_chooseleaf_type = 0
osd_class_dir = {libraries}/rados-classes
erasure_code_dir = {libraries}/ceph/erasure-code
plugin_dir = {libraries}/ceph
memstore_device_bytes = 268435456
ms_bind_msgr1 = false
ms_client_mode = crc
ms_cluster_mode = crc
ms_service_mode = crc
ms_mon_client_mode = crc
ms_mon_cluster_mode = crc
ms_mon_service_mode = crc
auth_client_required = none
auth_cluster_required = none
auth_service_required = none
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
keyring = {place}/keyring
run_dir = {place}
admin_socket =
pid_file =
log_file = {place}/$name.log
log_to_stderr = false
mon_cluster_log_file = /dev/null
"""


@cache
def _unpacked() -> tuple[Path, str]:
    """Return the folder of the packages, and the reason why they are not there."""
    folder = _PLACE / _RELEASE
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        return folder, "Ceph is had from the packages of Debian, and this is another system"
    _PLACE.mkdir(parents=True, exist_ok=True)
    with (_PLACE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of test processes, which start at the same time
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=_PLACE) as download:
                command = ["apt-get", "download", "--quiet", *_CEPH, *_LIBRARIES]
                done = _run(command, Path(download))
                if done.returncode:
                    return folder, f"Ceph cannot be downloaded: {done.stderr.splitlines()[-1:]}"
                packages = sorted(Path(download).glob("*.deb"))
                if not any(f"radosgw_{_RELEASE}" in package.name for package in packages):
                    return folder, f"this system has another Ceph than {_RELEASE}"
                for package in packages:
                    _run(["dpkg", "-x", str(package), "files"], Path(download)).check_returncode()
                (Path(download) / "files").rename(folder)
    return folder, ""


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


class _Cluster:
    def __init__(self, packages: Path, place: Path) -> None:
        self.packages = packages
        self.place = place
        libraries = packages / "usr" / "lib" / "x86_64-linux-gnu"
        self.fsid = str(uuid4())
        self.port, self.gateway_port = free_port(), free_port()
        (place / "ceph.conf").write_text(
            _CONFIGURATION.format(fsid=self.fsid, port=self.port, place=place, libraries=libraries)
        )
        paths = (libraries, libraries / "ceph", packages / "lib" / "x86_64-linux-gnu")
        self.environment = os.environ | {
            "LD_LIBRARY_PATH": ":".join(map(str, paths)),
            "CEPH_CONF": str(place / "ceph.conf"),
        }

    def call(self, program: str, *arguments: str) -> None:
        """Run a program to its end."""
        done = subprocess.run(
            [self.packages / "usr" / "bin" / program, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=_START_SECONDS,
        )
        assert done.returncode == 0, f"{program}: {done.stderr}"

    @contextmanager
    def running(self, program: str, *arguments: str) -> Iterator[None]:
        """Run a server for the length of the context."""
        with (self.place / f"{program}.out").open("wb") as output:
            process = subprocess.Popen(
                [self.packages / "usr" / "bin" / program, "-f", *arguments],
                env=self.environment,
                stdout=output,
                stderr=output,
            )
            try:
                yield
            finally:
                process.kill()  # all that it has is in memory
                process.wait()

    def prepare(self) -> None:
        """Make the maps and the data of the monitor and the OSD."""
        place = str(self.place)
        self.call("ceph-authtool", "-C", f"{place}/keyring", "--gen-key", "-n", "mon.")
        address = f"[v2:127.0.0.1:{self.port}]"
        self.call(
            "monmaptool", "--create", "--fsid", self.fsid, "--addv", "a", address, f"{place}/monmap"
        )
        self.call("osdmaptool", "--createsimple", "1", f"{place}/osdmap")
        maps = ("--monmap", f"{place}/monmap", "--osdmap", f"{place}/osdmap")
        self.call("ceph-mon", "--mkfs", "-i", "a", *maps, "--keyring", f"{place}/keyring")


@contextmanager
def run_ceph() -> Iterator[str]:
    """Serve an object store without buckets and yield its URL; skips if Ceph cannot be had."""
    packages, reason = _unpacked()
    if reason:
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="ceph-") as folder, ExitStack() as servers:
        for name in ("mon", "osd"):
            (Path(folder) / name).mkdir()
        cluster = _Cluster(packages, Path(folder))
        cluster.prepare()
        servers.enter_context(cluster.running("ceph-mon", "-i", "a"))
        cluster.call("ceph-osd", "--mkfs", "-i", "0", "--osd-uuid", str(uuid4()))
        servers.enter_context(cluster.running("ceph-osd", "-i", "0"))
        user = ("--uid", "billing", "--display-name", "Billing")
        keys = ("--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY)
        cluster.call("radosgw-admin", "user", "create", *user, *keys)
        frontend = f"beast endpoint=127.0.0.1:{cluster.gateway_port}"
        servers.enter_context(
            cluster.running("radosgw", "--id", "admin", "--rgw_frontends", frontend)
        )
        url = f"http://127.0.0.1:{cluster.gateway_port}"
        _wait_until_it_answers(url)
        yield url


def _wait_until_it_answers(url: str) -> None:
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            httpx.get(url).raise_for_status()
        except httpx.HTTPError:
            assert time.monotonic() < end, "the RADOS Gateway does not answer"
            time.sleep(0.2)
        else:
            return


def create_bucket(url: str, name: str) -> None:
    """Create an empty bucket."""
    store = S3Store(
        name,
        endpoint=url,
        region=REGION,
        access_key_id=ACCESS_KEY,
        secret_access_key=SECRET_KEY,
        client_options={"allow_http": True},
    )
    httpx.put(obstore.sign(store, "PUT", "", timedelta(minutes=1))).raise_for_status()
