"""``batchproof models``: every model version that the server holds."""

from batchproof_client.client import AsyncClient
from batchproof_client.commands.arguments import ModelsArguments
from batchproof_client.commands.terminal import write_json, write_table
from batchproof_client.descriptions import ModelSummary
from batchproof_client.kinds import Verdict


async def models(client: AsyncClient, arguments: ModelsArguments) -> int:
    """Returns 0.

    Raises:
        BatchproofError: the server could not answer.
    """
    summaries = await client.list_models()
    if arguments.server.json:
        for summary in summaries:
            write_json(_record(summary))
    else:
        headings = ("model", "version", "state", "verdict", "default", "labels", "findings")
        write_table(headings, [_row(summary) for summary in summaries])
    return 0


def _record(summary: ModelSummary) -> dict[str, object]:
    return {
        "name": summary.name,
        "version": summary.version,
        "state": summary.state.name,
        "verdict": summary.verdict.name,
        "is_default": summary.is_default,
        "labels": list(summary.labels),
        "findings": list(summary.findings),
    }


def _row(summary: ModelSummary) -> tuple[str, ...]:
    return (
        summary.name,
        str(summary.version),
        summary.state.name,
        "" if summary.verdict is Verdict.UNSPECIFIED else summary.verdict.name,
        "yes" if summary.is_default else "",
        ", ".join(summary.labels),
        "; ".join(summary.findings),
    )
