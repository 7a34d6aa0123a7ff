"""The docker runner: each agent in a container of its own.

    runner.py     the runner                       images*.py   images: base, one layer a scaffold, what is unused
    attempt.py    one container, start to end      dockerfiles/ what the base images are made of
    container.py  how it is shut in                clean.py     what dead groups left behind
    place.py      its directories on the host      helper.py    its first process, in the container
    watch.py      time, memory, disk, snapshots    verdict.py   how it ended

Nothing outside of this folder imports `docker`.
"""
