"""What this process takes is seen."""

from __future__ import annotations

import os
import resource
import time

from palio.monitoring.processes import ProcessWatch
from palio.testing.fakes import FakeClock


def test_memory_and_processor_are_those_of_this_process() -> None:
    clock = FakeClock()
    watch = ProcessWatch("p", "s", clock=clock, loaded=lambda: ["m:1"])
    began = time.process_time()
    while time.process_time() - began < 0.1:
        pass
    use = watch()
    assert (use.process, use.server, use.at, use.loaded) == ("p", "s", clock(), ("m:1",))
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024  # the kernel's own
    assert 0.2 * peak_bytes < use.rss_bytes <= 1.05 * peak_bytes
    assert 0.0 < use.cpu_share <= 2.0 * (os.cpu_count() or 1)
