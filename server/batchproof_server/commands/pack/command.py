"""``batchproof-server pack``: from a model file and labelled pictures to a bundle that serves."""

from argparse import Namespace

from batchproof_server.application.config import prepare_engines, read_config
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.files import reason_of
from batchproof_server.commands.certify.command import FINDINGS, OK, USAGE
from batchproof_server.commands.evaluate.command import tell_fault
from batchproof_server.commands.pack.packing import Packing
from batchproof_server.commands.pack.telling import Telling
from batchproof_server.commands.pack.work import read_work
from batchproof_server.commands.terminal import write_error
from batchproof_server.drift.summarising import CannotProfile
from batchproof_server.offline.evaluation.paths import EvaluationFailed
from batchproof_server.offline.packing.converting import explained
from batchproof_server.offline.packing.files import written_beside


def pack(arguments: Namespace) -> int:
    """Runs the command.

    Returns:
        0 with a bundle; 1 when the model is refused or fails its proof; 2 for wrong usage and data
        that cannot be used. Without a bundle nothing is left.
    """
    tell = Telling()
    try:
        given = {"proof": {"allow_unproven": True}} if arguments.allow_unproven else {}
        work = read_work(arguments, read_config(arguments.config, given))
        prepare_engines()
        with written_beside(work.out) as fresh:
            Packing(work, fresh, tell).run()
    except ModelRefused as refused:
        return tell_fault(arguments.model, explained(refused, arguments.model))
    except (CannotProfile, EvaluationFailed) as failed:
        write_error(str(failed))
        return FINDINGS
    except ValueError as fault:  # settings, data, or a path
        write_error(str(fault))
        return USAGE
    except OSError as fault:
        write_error(f"{fault.filename}: {reason_of(fault)}")
        return USAGE
    tell.end(work.out, arguments.out)
    return OK
