"""``batchproof-server drift``: pictures, or a log of answers, against the reference profile."""

import asyncio
from argparse import Namespace

from batchproof_server.application.config import prepare_engines
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.files import reason_of, write_whole
from batchproof_server.commands.certify.command import FINDINGS, OK, USAGE
from batchproof_server.commands.drift.log import compare_log, read_wanted_log
from batchproof_server.commands.drift.page import drift_page
from batchproof_server.commands.drift.pictures import compare_pictures, read_wanted_pictures
from batchproof_server.commands.drift.report import drift_report
from batchproof_server.commands.drift.result import DriftResult
from batchproof_server.commands.evaluate.command import tell_fault
from batchproof_server.commands.terminal import write, write_error
from batchproof_server.models.profiles import ProfileRefused


def drift(arguments: Namespace) -> int:
    """Runs the command.

    Returns:
        0 when no alert would fire; 1 when one would, or the model or the profile is refused; 2 for
        wrong usage and unusable data.
    """
    try:
        result = _compared(arguments)
        if arguments.html is not None:
            write_whole(arguments.html, drift_page(result))
    except ModelRefused as refused:
        return tell_fault(arguments.bundle, refused)
    except ProfileRefused as refused:
        write_error(str(refused))
        return FINDINGS
    except ValueError as fault:  # settings, data, or a path that is no bundle
        write_error(str(fault))
        return USAGE
    except OSError as fault:
        write_error(f"{fault.filename}: {reason_of(fault)}")
        return USAGE
    write(result.to_json() if arguments.json else drift_report(result))
    if arguments.html is not None and not arguments.json:
        write(f"  wrote         {arguments.html}")
    return FINDINGS if result.alerting else OK


def _compared(arguments: Namespace) -> DriftResult:
    if arguments.log is not None:
        return compare_log(read_wanted_log(arguments))
    wanted = read_wanted_pictures(arguments)
    prepare_engines()
    return asyncio.run(compare_pictures(wanted))
