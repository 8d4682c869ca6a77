"""`python -m benchmarks.demo_latency LINK FOLDER`: a second process beside a running demo, timing frames in its own socket.

It sends a few emails of its own, reads them in the demo's mail folder, and fetches their pixels: from the pixel's
answer to the frame of the join. A second list of its own gives the lateness of "no reply" joins; the demo's no-reply
list, where emails join it meanwhile, is timed as well. Everything but the people is deleted in the end.
"""

import argparse
import asyncio
import secrets
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from server.demo import mailbox
from server.demo.campaign import DRAFT, PERSON, SAVE, SEND
from server.demo.client import Client
from server.demo.mailbox import Mail
from server.demo.verdict import spread
from server.demo.watching import Timed, Watch

# Waits are polls here: another process is waited for.
ARRIVAL_SECONDS = 60.0
FRAME_SECONDS = 10.0
POLL_SECONDS = 0.1
VIEWED, WAITING = "Probe: viewed", "Probe: no reply"
LISTS = "{savedSearches(first:100){nodes{id name filter}}}"
FORGET = "mutation($id:ID!){savedSearchDelete(id:$id){deletedIds userErrors{message path code}}}"
ARCHIVE = "mutation($ids:[ID!]!){emailArchive(ids:$ids){userErrors{message path code}}}"
DELETE = "mutation($ids:[ID!]!){emailDelete(ids:$ids){userErrors{message path code}}}"
