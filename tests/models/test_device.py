import subprocess
import sys

import pytest

FAULTS_OF_A_BLOCK = """
import resource
import torch
from clipc.models.device import choose_device

choose_device("cpu")
for _ in range(10):
    torch.ones(25_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
torch.ones(25_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc returns large blocks to the system at once")
def test_memory_that_was_freed_is_used_again_on_a_cpu() -> None:
    faults = subprocess.run([sys.executable, "-c", FAULTS_OF_A_BLOCK], capture_output=True, text=True, check=True)
    assert int(faults.stdout) < 1000  # a new block of 100 MB would cost 24,000
