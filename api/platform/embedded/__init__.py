"""A real MongoDB without an installation: one `mongod` as a child of this process (POSIX only).

It is for trying out, tests, demos and one-machine parks. A configured `MONGODB_URI` always wins:
the caller checks that first and does not come here.

Measured on 2 cores, mongod 6.0.27 of the wheel, from `start()` to a writable primary: new folder
0.4 s, existing folder 0.5 s, after kill -9 or on another port 0.5-0.7 s; up to 0.9 s with cold disk
caches or a busy machine. A clean stop takes 1.1 s, mongod's own threads need it. About 135 MiB of
memory and, empty, 300 MB of disk (journal).
"""

from api.platform.embedded.binary import MongodBinary, find_mongod
from api.platform.embedded.errors import EmbeddedMongoError
from api.platform.embedded.server import EmbeddedMongo
from api.platform.embedded.several import EmbeddedSet

__all__ = ["EmbeddedMongo", "EmbeddedMongoError", "EmbeddedSet", "MongodBinary", "find_mongod"]
