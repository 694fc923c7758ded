"""The conformance stage: pytest scenarios on Schemathesis that send one request at a time, each recorded and judged."""

from pathlib import Path

FOLDER = Path(__file__).parent
ENV_PROFILE = "STEPUP_PROFILE"  # path of the target's profile
ENV_RUN = "STEPUP_RUN"  # the run folder, whose run.json says which users are this stage's
ENV_SEED = "STEPUP_SEED"
OURS = 64  # added to the stage's own exit codes inside pytest, whose codes mean other things


def pytest_arguments(seed: int, extra: list[str], pairs: int = 1) -> list[str]:
    """What follows `python` to run the stage; `extra` are the user's own arguments for pytest, such as `-k token`.

    Of the requests with two unusual values one in `pairs` is sent; which ones, the seed says.

    The cache behind `--lf` and `--ff` is kept where the user stands, as run folders come and go.
    """
    cache = Path.cwd() / ".pytest_cache" / "conformance"
    fixed = [
        "-c",
        str(FOLDER / "pytest.ini"),
        f"--rootdir={FOLDER}",
        f"--stepup-seed={seed}",
        f"--stepup-pairs={pairs}",
    ]
    return ["-m", "scenarios.conformance", *fixed, "-o", f"cache_dir={cache}", str(FOLDER), *extra]
