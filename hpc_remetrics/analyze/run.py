"""A run of `analyze` on one page: resolve and plan, profile, gather, reduce.

Every rank runs this code. A user-facing error on any rank is raised on every rank
(`mpi/collective.py`); an exception that nobody catches ends every rank at once.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from ..buckets import total_size
from ..config import AnalyzeOptions
from ..errors import PartError
from ..mpi.collective import on_rank_0
from ..mpi.comm import Comm
from ..mpi.signals import StopRequest
from ..profile.parent import Child
from ..records import Layer
from ..wording import counted
from .backlog import Backlog
from .outcome import code_if_complete, exit_code, warn_of_false_claims
from .profiling import Profiled, profile
from .provenance import about_rank, about_run
from .run_inputs import Inputs, Work
from .session import Session, run_with_child
from .signature import fingerprint_of

if TYPE_CHECKING:
    from ..gather.dataset_reader import Reused


def analyze(options: AnalyzeOptions) -> int:
    """Profile the layers of all images of the sources into one dataset; return the exit code.

    A restart with the same output resumes, whatever ended the run before.
    """

    def run(comm: Comm, stop: StopRequest, child: Child | None) -> int:
        return _run(Session(comm, options, stop), child)

    return run_with_child(options.limits, run)


def _run(session: Session, child: Child | None) -> int:
    """Do one run on this rank, under the output lock; return its exit code."""
    comm = session.comm
    session.leave_on_stop()
    # Refuse what is wrong before anything is made.
    inputs = Inputs(session)
    on_rank_0(comm, inputs.check)
    with session.output_lock(inputs.check_output):
        work = inputs.resolve()
        with _reused_layers(session, work) as reused:
            code = _make_dataset(session, work, reused, child)
        on_rank_0(comm, lambda: session.write_kept_index(work.catalog, code))
        return code


def _reused_layers(session: Session, work: Work) -> AbstractContextManager[Reused | None]:
    """Open the earlier datasets of `--reuse`, if there are any; all ranks call it."""
    if not session.options.reuse:
        return nullcontext()
    # Only a run that reuses layers loads h5py for that.
    from .reuse import reused_layers

    return reused_layers(session, work.catalog)


def _make_dataset(session: Session, work: Work, reused: Reused | None, child: Child | None) -> int:
    """Profile the layers that nothing holds, then gather all of them; return the exit code."""
    comm, options = session.comm, session.options
    backlog = Backlog(session, work.layers, work.signature, reused)
    todo = backlog.layers_left()
    if not todo and not options.share:
        code = on_rank_0(comm, lambda: code_if_complete(session, work))
        if code is not None:
            return int(code)
    profiled = Profiled()
    while True:
        if todo:
            profiled = profile(session, work, todo, child, backlog.reused_amount)
            backlog.is_attempted = True
            left = backlog.layers_left()
            if left:
                return _say_stopped(session, len(work.layers), left)
        if options.share:
            return _say_share_is_done(session, backlog)
        try:
            return _gather_and_reduce(session, work, backlog, profiled)
        except PartError as error:
            # Profile the layers of damaged parts and earlier datasets again.
            backlog.set_parts_aside(error)
            todo = backlog.layers_left()


def _gather_and_reduce(session: Session, work: Work, backlog: Backlog, profiled: Profiled) -> int:
    """Gather the parts into one dataset, with its metrics; return the exit code."""
    from ..gather.gather import gather
    from ..metrics.compute import add_metrics

    comm, options = session.comm, session.options
    session.say(f"gathering into {options.output}")
    ranks = comm.allgather(about_rank(comm, profiled.worker, profiled.seconds))
    with session.new_scratch() as scratch:
        about = None
        if work.catalog is not None:
            about = about_run(
                options,
                fingerprint=fingerprint_of(options, work.catalog),
                started=session.started,
                parts=session.parts,
                ranks=ranks,
            )
        # The metrics are added before the dataset has its name.
        reduce = partial(add_metrics, comm, scratch=scratch.path, memory=int(options.memory * 1e6))
        gathered = gather(
            comm,
            session.parts,
            work.catalog,
            options.output,
            scratch.path,
            about,
            reduce,
            backlog.passed_over,
            check_sizes=True,
            reused=backlog.reused,
        )
    claims = [(str(claim.digest), claim.cause, claim.message) for claim in gathered.claims]
    false_claims = on_rank_0(comm, lambda: warn_of_false_claims(claims))
    session.say(f"{options.output}: {gathered.ledger}")
    return exit_code(gathered.ledger, work.lost, false_claims)


def _say_stopped(session: Session, total: int, left: list[Layer]) -> int:
    """Say how many layers a run that was stopped has left; return its exit code."""
    reason = f" on {session.stop.reason}" if session.stop else ""
    done = f"{total - len(left)} of {counted(total, 'layer')} done"
    session.say(
        f"stopped{reason}: {done}, {len(left)} left with {total_size(left) / 1e9:.2f} GB; "
        "run the command again to continue"
    )
    return 4


def _say_share_is_done(session: Session, backlog: Backlog) -> int:
    """Say what comes after a share; return the exit code of its layers on every rank."""
    code = int(on_rank_0(session.comm, lambda: backlog.ledger.exit_code))
    session.say(
        f"this share is done ({backlog.ledger}); "
        "when all shares are, run the command without --share to gather"
    )
    return code
