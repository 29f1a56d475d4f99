"""The measurement of a failover, and the programs that its cases may lack."""

import pytest

from faults.failover import WriteProber, measure
from faults.programs import Unavailable, reason_without
from faults.request_log import Attempt, Kind, RequestLog


def prober(*writes: float) -> WriteProber:
    """Return a prober whose attempts wrote at these times."""
    found = WriteProber(["postgresql://first", "postgresql://second"])
    found.writes += [(at - 0.01, at) for at in writes]
    return found


def log_of(*failures: float) -> RequestLog:
    log = RequestLog()
    attempts = [Attempt(at - 0.5, 0.5, 503, retry_after="5") for at in failures]
    log.open(Kind.LIST).attempts += [*attempts, Attempt(20.0, 0.1, 200)]
    return log


def test_a_failover_is_the_longest_time_without_a_write() -> None:
    # The primary still wrote after the request for a switchover, at 5.0.
    probed = prober(4.9, 5.4, 5.2, 8.5, 8.6, 9.6)
    assert probed.longest_outage(5.0) == (5.4, 8.5)


@pytest.mark.parametrize(
    ("failures", "unavailable", "is_violation"),
    [((), 0.0, False), ((3.0, 6.0, 9.5), 4.0, False), ((6.0, 9.6), 4.1, True)],
)
def test_a_service_may_fail_a_second_longer_than_a_failover_takes(
    failures: tuple[float, ...], unavailable: float, is_violation: bool
) -> None:
    log = log_of(*failures)
    times = measure(prober(5.5, 8.5), log, 5.5)
    assert (times.seconds, times.unavailable) == pytest.approx((3.0, unavailable))
    assert bool(log.violations) == is_violation


def test_a_case_gives_the_reason_why_a_program_cannot_be_had() -> None:
    def find() -> object:
        raise Unavailable("etcd is not installed")

    assert reason_without(object, find)() == "etcd is not installed"
    assert reason_without(object)() == ""
