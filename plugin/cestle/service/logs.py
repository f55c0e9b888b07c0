"""Logs: one JSON object a line on standard error, without patient data.

What is logged is chosen line by line: UIDs, AE titles, counts and times. Libraries are not let
through, since their messages quote values of data sets.
"""

import logging
import sys
import traceback
import warnings
from typing import Final

import structlog

_QUIET: Final = (
    "dbos",
    "pynetdicom",
    "pydicom",
    "highdicom",
    "sqlalchemy",
    "matplotlib",
    "PIL",
    "uvicorn",
)
_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def configure_logging(level: str) -> None:
    """Set up the logs of a process of the node.

    Parameters
    ----------
    level
        Least level that is shown: debug, info, warning or error.
    """
    # pydicom's warnings quote the value that they complain about.
    warnings.simplefilter("ignore")
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _faults_by_name,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )


def describe_fault(fault: BaseException) -> str:
    """Type and place of a fault of ours, without its message, which may quote a data set."""
    place = ""
    for frame, line in traceback.walk_tb(fault.__traceback__):
        place = f" in {frame.f_code.co_qualname} line {line}"
    return f"{type(fault).__name__}{place}"


def _faults_by_name(
    logger: object, method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    del logger, method
    fault = event.pop("exc_info", None)
    if isinstance(fault, BaseException):
        event["fault"] = describe_fault(fault)
    return event
