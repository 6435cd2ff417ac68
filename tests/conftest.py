"""What every test may ask for, and the two small things that hold for all of them."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("house", deadline=None)  # the first call of a kernel compiles for seconds
settings.load_profile("house")


def pytest_make_parametrize_id(val: object) -> str | None:
    """Bytes do not name a test: those of an archive hold the time, and two workers would collect different names."""
    return "bytes" if isinstance(val, bytes) else None


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data sets, named by the environment variable GRAPHFORGET_DATA."""
    named = os.environ.get("GRAPHFORGET_DATA")
    if not named:
        pytest.skip("needs real data: GRAPHFORGET_DATA is not set")
    root = Path(named)
    if not root.is_dir():
        pytest.skip(f"needs real data: GRAPHFORGET_DATA names no folder (got {named!r})")
    return root


@pytest.fixture(scope="session", autouse=True)
def one_thread_a_worker() -> None:
    """Under xdist each worker computes on one thread; a kernel test may still ask numba for its second.

    NUMBA_NUM_THREADS stays at 2 (Makefile): it is the most that ``numba.set_num_threads`` accepts, and comparing one
    thread with several needs more than one. Torch and numba are only touched where a test module has loaded them.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)
    if numba := sys.modules.get("numba"):
        numba.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_setting_leaks():
    """Fail the test that leaves torch's default type or gradient mode changed; the next one starts clean."""
    yield
    if not (torch := sys.modules.get("torch")):
        return
    left = []
    if torch.get_default_dtype() is not torch.float32:
        left.append(f"default dtype {torch.get_default_dtype()}")
        torch.set_default_dtype(torch.float32)
    if not torch.is_grad_enabled():
        left.append("gradients off")
        torch.set_grad_enabled(True)
    assert not left, f"the test left behind: {', '.join(left)}"
