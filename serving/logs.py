"""The server's log: a line of JSON for each event, on standard error."""

import json
import logging
from typing import Any


class Formatter(logging.Formatter):
    """Formats a record as JSON. A message that is a dict adds its keys."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line."""
        fields = record.msg if isinstance(record.msg, dict) else {"message": record.getMessage()}
        line = {"time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"), "level": record.levelname.lower(), **fields}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)


CONFIG: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": Formatter}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {"serving": {"level": "INFO"}, "uvicorn": {"level": "INFO"}},
}
